#!/usr/bin/perl
# Mails as MIME::Entity (MIME-tools) writes them, the library inside many filters and ticket systems.
# usage: mime_entity.pl MATERIAL OUTDIR
use strict;
use warnings;
use utf8;
use JSON::PP;
use MIME::Entity;
use Encode qw(encode);
use POSIX qw(strftime);

my ($material, $out) = @ARGV;
my $letters = decode_json(slurp("letters.json"));
my $count = 0;

sub slurp { open my $f, '<:raw', "$material/$_[0]" or die "$_[0]: $!"; local $/; return scalar(<$f>) // "" }
sub word { my ($t, $how) = @_; return $t =~ /[^\x20-\x7e]/ ? encode($how // 'MIME-Q', $t) : $t }
sub person { my $p = shift; my $n = word($p->[0], 'MIME-B'); $n =~ s/(["\\])/\\$1/g unless $n =~ /^=\?/;
    return ($n =~ /^=\?/ ? $n : "\"$n\"") . " <$p->[1]>" }
sub head {
    my ($l, $subject) = @_;
    return (From => person($l->{from}), To => person($l->{to}), Subject => word($subject // $l->{subject}),
        Date => strftime('%a, %d %b %Y %H:%M:%S +0000', gmtime $l->{time}), 'X-Mailer' => undef);
}
sub save {
    open my $f, '>:raw', sprintf('%s/perl-mime-entity-%03d.eml', $out, ++$count) or die $!;
    $_[0]->print($f); close $f;
}

for my $case ([1, 'us-ascii', '7bit'], [3, 'us-ascii', '-SUGGEST'], [6, 'us-ascii', 'quoted-printable'], [9, 'us-ascii', '-SUGGEST'],
    [12, 'UTF-8', '8bit'], [13, 'UTF-8', '-SUGGEST'], [19, 'ISO-8859-2', 'quoted-printable'], [16, 'UTF-8', 'base64'],
    [17, 'ISO-2022-JP', '7bit'], [18, 'Shift_JIS', 'base64'], [22, 'ISO-8859-15', '8bit'], [5, 'us-ascii', 'binary']) {
    my ($n, $charset, $encoding) = @$case;
    my $l = $letters->[$n];
    save(MIME::Entity->build(head($l), Type => 'text/plain', Charset => $charset, Encoding => $encoding, Data => encode($charset, $l->{text})));
}
# preamble and epilogue kept, several attachments
for my $set ([2, ['invoice.pdf', 'application/pdf']], [13, ['table.csv', 'text/csv'], ['offer.docx', 'application/msword']],
    [4, ['photo.png', 'image/png']], [17, ['archive.zip', 'application/x-zip-compressed'], ['bytes.bin', 'application/octet-stream']],
    [20, ['empty.dat', 'application/octet-stream'], ['card.vcf', 'text/x-vcard']]) {
    my ($n, @files) = @$set;
    my $l = $letters->[$n];
    my $m = MIME::Entity->build(head($l), Type => 'multipart/mixed');
    $m->preamble(["If you can read this, your program does not know MIME.\n"]) if $n == 2;
    $m->epilogue(["\n"]) if $n == 13;
    $m->attach(Type => 'text/plain', Charset => 'UTF-8', Encoding => '-SUGGEST', Data => encode('UTF-8', $l->{text}));
    $m->attach(Path => "$material/$_->[0]", Filename => $_->[0], Type => $_->[1], Encoding => 'base64', Disposition => 'attachment') for @files;
    save($m);
}
for my $n (11, 15) {
    my $l = $letters->[$n];
    my $m = MIME::Entity->build(head($l), Type => 'multipart/alternative');
    $m->attach(Type => 'text/plain', Charset => 'UTF-8', Encoding => 'quoted-printable', Data => encode('UTF-8', $l->{text}));
    $m->attach(Type => 'text/html', Charset => 'UTF-8', Encoding => 'quoted-printable', Data => encode('UTF-8', $l->{html}));
    save($m);
}
# a bounce with its three parts, and a read receipt
my $bounce = MIME::Entity->build(head($letters->[0], 'Delivery Status Notification (Failure)'), Type => 'multipart/report; report-type=delivery-status');
$bounce->attach(Type => 'text/plain', Data => "The following address could not be reached:\n\n  nobody\@example.net\n");
$bounce->attach(Type => 'message/delivery-status', Encoding => '7bit',
    Data => "Reporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; nobody\@example.net\nAction: failed\nStatus: 5.4.4\n");
$bounce->attach(Type => 'message/rfc822', Encoding => '7bit',
    Data => MIME::Entity->build(head($letters->[0]), Data => [$letters->[0]{text}])->as_string);
save($bounce);
my $receipt = MIME::Entity->build(head($letters->[5], 'Read: lunch?'), Type => 'multipart/report; report-type=disposition-notification');
$receipt->attach(Type => 'text/plain', Data => "Your mail was displayed.\n");
$receipt->attach(Type => 'message/disposition-notification', Encoding => '7bit',
    Data => "Reporting-UA: mail.example.org; Example Reader\nFinal-Recipient: rfc822; bruno\@example.net\nDisposition: manual-action/MDN-sent-manually; displayed\n");
save($receipt);
# three levels of multiparts
my $deep = MIME::Entity->build(head($letters->[10]), Type => 'multipart/mixed');
my $middle = MIME::Entity->build(Type => 'multipart/related', Top => 0);
my $alternative = MIME::Entity->build(Type => 'multipart/alternative', Top => 0);
$alternative->attach(Type => 'text/plain', Data => $letters->[10]{text});
$alternative->attach(Type => 'text/html', Data => $letters->[10]{htmlpic}, Encoding => 'quoted-printable');
$middle->add_part($alternative);
$middle->attach(Path => "$material/picture.png", Type => 'image/png', Encoding => 'base64', Id => '<picture.1@example.org>', Filename => 'picture.png', Disposition => 'inline');
$deep->add_part($middle);
$deep->attach(Type => 'text/plain', Data => "--\nGardeners list - https://lists.example.org/garden\n", Disposition => 'inline');
save($deep);
