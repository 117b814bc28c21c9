#!/usr/bin/perl
# Perl MIME-tools. See README.md.
use strict;
use warnings;
use MIME::Base64 qw(encode_base64);
use MIME::Parser;

my $parser = MIME::Parser->new;
$parser->output_to_core(1);
$parser->tmp_to_core(1);
$parser->extract_nested_messages('NEST');
$parser->extract_uuencode(1);

sub leaves {
    my ($entity) = @_;
    my @parts = $entity->parts;
    return map { leaves($_) } @parts if @parts;
    my $body = $entity->bodyhandle;
    return defined $body ? ($body->as_string) : ();
}

while (my $name = <STDIN>) {
    chomp $name;
    my @found = eval { leaves($parser->parse_open($name)) };
    print STDERR "$name: $@" if $@;
    my $list = join ',', map { '"' . encode_base64($_, '') . '"' } @found;
    print qq({"mail": "$name", "leaves": [$list]}\n);
    $parser->filer->purge;
}
