#!/usr/bin/perl
# Perl Email::MIME. See README.md.
use strict;
use warnings;
use Email::MIME;
use MIME::Base64 qw(encode_base64);

# Readers of today stop at some depth; what is asked here is how they would read on.
$Email::MIME::MAX_DEPTH = 100;

sub leaves {
    my ($part, $depth) = @_;
    my @parts = grep { $_ != $part } $part->subparts;
    return map { leaves($_, $depth + 1) } @parts if @parts;
    my $body = eval { $part->body };
    $body = $part->body_raw unless defined $body;
    if (($part->content_type // '') =~ m{^message/rfc822}i && $depth < 40) {
        return leaves(Email::MIME->new($body), $depth + 1);
    }
    return ($body);
}

$SIG{__WARN__} = sub { };
while (my $name = <STDIN>) {
    chomp $name;
    my $mail = do { open my $file, '<:raw', $name or die; local $/; <$file> };
    my @found = eval { leaves(Email::MIME->new($mail), 0) };
    print STDERR "$name: $@" if $@;
    my $list = join ',', map { utf8::encode($_) if utf8::is_utf8($_); '"' . encode_base64($_, '') . '"' } @found;
    print qq({"mail": "$name", "leaves": [$list]}\n);
}
