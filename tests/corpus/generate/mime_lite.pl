#!/usr/bin/perl
# Mails as MIME::Lite writes them, the module behind many cron jobs and web forms.
# usage: mime_lite.pl MATERIAL OUTDIR
use strict;
use warnings;
use utf8;
use JSON::PP;
use MIME::Lite;
use Encode qw(encode);
use POSIX qw(strftime);

my ($material, $out) = @ARGV;
my $letters = decode_json(slurp("letters.json"));
my $count = 0;

sub slurp { open my $f, '<:raw', "$material/$_[0]" or die "$_[0]: $!"; local $/; return scalar(<$f>) // "" }
sub word { my $t = shift; return $t =~ /[^\x20-\x7e]/ ? encode('MIME-Header', $t) : $t }
sub person { my $p = shift; my $n = word($p->[0]); $n =~ s/(["\\])/\\$1/g unless $n =~ /^=\?/;
    return ($n =~ /^=\?/ ? $n : "\"$n\"") . " <$p->[1]>" }
sub head {
    my $l = shift;
    return (From => person($l->{from}), To => person($l->{to}), Subject => word($l->{subject}),
        Date => strftime('%a, %d %b %Y %H:%M:%S +0000', gmtime $l->{time}));
}
sub save {
    open my $f, '>:raw', sprintf('%s/perl-mime-lite-%03d.eml', $out, ++$count) or die $!;
    print $f $_[0]->as_string; close $f;
}

# plain text in every encoding the module knows
my @way = ('7bit', '7bit', 'quoted-printable', 'binary', '8bit', 'base64', 'quoted-printable', '8bit', 'base64');
my @which = (0, 3, 6, 9, 12, 16, 19, 21, 14);
for my $i (0 .. $#which) {
    my $l = $letters->[$which[$i]];
    my $m = MIME::Lite->new(head($l), Type => 'TEXT', Encoding => $way[$i], Data => encode('UTF-8', $l->{text}));
    $m->attr('content-type.charset' => 'UTF-8');
    save($m);
}
# html alone, with an own charset
for my $n (11, 20) {
    my $l = $letters->[$n];
    my $m = MIME::Lite->new(head($l), Type => 'text/html', Encoding => 'quoted-printable', Data => encode('iso-8859-2', $l->{html}));
    $m->attr('content-type.charset' => 'ISO-8859-2');
    save($m);
}
# attachments
my %kind = ('invoice.pdf' => 'application/pdf', 'table.csv' => 'text/csv', 'archive.zip' => 'application/zip',
    'picture.png' => 'image/png', 'offer.docx' => 'application/octet-stream', 'notes.txt' => 'text/plain', 'empty.dat' => 'application/octet-stream');
for my $set ([2, 'invoice.pdf'], [13, 'invoice.pdf', 'table.csv'], [4, 'picture.png'], [17, 'archive.zip', 'offer.docx'],
    [6, 'notes.txt', 'empty.dat'], [22, 'offer.docx', 'notes.txt', 'picture.png', 'table.csv']) {
    my ($n, @files) = @$set;
    my $l = $letters->[$n];
    my $m = MIME::Lite->new(head($l), Type => 'multipart/mixed');
    $m->attach(Type => 'text/plain; charset=UTF-8', Encoding => 'quoted-printable', Data => encode('UTF-8', $l->{text}));
    $m->attach(Type => $kind{$_}, Data => slurp($_), Encoding => $kind{$_} =~ /^text/ ? 'quoted-printable' : 'base64',
        Filename => $_, Disposition => 'attachment') for @files;
    save($m);
}
# html with a picture
for my $n (4, 15) {
    my $l = $letters->[$n];
    my $m = MIME::Lite->new(head($l), Type => 'multipart/related');
    $m->attach(Type => 'text/html; charset=utf-8', Encoding => '8bit', Data => encode('UTF-8', $l->{htmlpic}));
    $m->attach(Type => 'image/png', Id => '<picture.1@example.org>', Data => slurp('picture.png'), Filename => 'picture.png');
    save($m);
}
# alternative, forwarded mail, a part within a part
my $alt = MIME::Lite->new(head($letters->[2]), Type => 'multipart/alternative');
$alt->attach(Type => 'TEXT', Data => $letters->[2]{text});
$alt->attach(Type => 'text/html', Data => $letters->[2]{html});
save($alt);
my $forward = MIME::Lite->new(head($letters->[1]), Type => 'multipart/mixed');
$forward->attach(Type => 'TEXT', Data => "See below.\n");
$forward->attach(Type => 'message/rfc822', Encoding => '8bit', Data => $alt->as_string);
save($forward);
my $deep = MIME::Lite->new(head($letters->[10]), Type => 'multipart/mixed');
my $inner = MIME::Lite->new(Type => 'multipart/alternative');
$inner->attach(Type => 'TEXT', Data => $letters->[10]{text});
$inner->attach(Type => 'text/html', Data => $letters->[10]{html}, Encoding => 'quoted-printable');
$deep->attach($inner);
$deep->attach(Type => 'TEXT', Data => "_______________________________________________\nGardeners mailing list\nhttps://lists.example.org/garden\n", Disposition => 'inline');
$deep->add('List-Id' => 'Gardeners <garden.lists.example.org>');
$deep->add(Precedence => 'list');
save($deep);
