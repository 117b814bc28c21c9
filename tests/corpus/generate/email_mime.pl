#!/usr/bin/perl
# Mails as Email::MIME writes them: the Perl Email project's immutable-minded builder.
# usage: email_mime.pl MATERIAL OUTDIR
use strict;
use warnings;
use utf8;
use JSON::PP;
use Email::MIME;
use POSIX qw(strftime);

my ($material, $out) = @ARGV;
my $letters = decode_json(slurp("letters.json"));
my $count = 0;

sub slurp { open my $f, '<:raw', "$material/$_[0]" or die "$_[0]: $!"; local $/; return scalar(<$f>) // "" }
sub person { my $p = shift; my $n = $p->[0]; $n =~ s/(["\\])/\\$1/g; return "\"$n\" <$p->[1]>" }
sub head {
    my ($l, $subject) = @_;
    return [From => person($l->{from}), To => person($l->{to}), Cc => person($l->{cc}), Subject => $subject // $l->{subject},
        Date => strftime('%a, %d %b %Y %H:%M:%S +0100', gmtime($l->{time} + 3600))];
}
sub text {
    my ($l, $charset, $encoding, $kind) = @_;
    return Email::MIME->create(
        attributes => {content_type => $kind ? "text/$kind" : 'text/plain', charset => $charset, encoding => $encoding},
        body_str => $kind ? $l->{html} : $l->{text});
}
sub attached {
    my ($name, $type, $shown) = @_;
    return Email::MIME->create(body => slurp($name),
        attributes => {content_type => $type, encoding => 'base64', disposition => 'attachment', filename => $shown // $name, name => $shown // $name});
}
sub save {
    open my $f, '>:raw', sprintf('%s/perl-email-mime-%03d.eml', $out, ++$count) or die $!;
    print $f $_[0]->as_string; close $f;
}
sub tree { my ($l, $type, @parts) = @_;
    return Email::MIME->create(header_str => head($l), attributes => {content_type => $type}, parts => \@parts) }

for my $case ([0, 'us-ascii', '7bit'], [7, 'us-ascii', 'quoted-printable'], [9, 'utf-8', 'quoted-printable'], [12, 'utf-8', '8bit'],
    [14, 'iso-8859-2', 'quoted-printable'], [16, 'utf-8', 'base64'], [18, 'iso-2022-jp', '7bit'], [17, 'euc-jp', 'base64'],
    [21, 'iso-8859-1', '8bit'], [22, 'utf-8', 'quoted-printable'], [8, 'utf-8', '7bit']) {
    my ($n, $charset, $encoding) = @$case;
    my $l = $letters->[$n];
    save(Email::MIME->create(header_str => head($l),
        attributes => {content_type => 'text/plain', charset => $charset, encoding => $encoding}, body_str => $l->{text}));
}
for my $n (3, 13, 16) {
    my $l = $letters->[$n];
    save(tree($l, 'multipart/alternative', text($l, 'utf-8', 'quoted-printable'), text($l, 'utf-8', 'quoted-printable', 'html')));
}
my $l = $letters->[2];
save(tree($l, 'multipart/mixed', text($l, 'utf-8', '8bit'), attached('invoice.pdf', 'application/pdf')));
$l = $letters->[13];
save(tree($l, 'multipart/mixed', text($l, 'utf-8', 'quoted-printable'), attached('table.csv', 'text/csv', 'cenik.csv'), attached('archive.zip', 'application/zip')));
$l = $letters->[21];
save(tree($l, 'multipart/mixed', text($l, 'utf-8', 'base64'),
    attached('offer.docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document', 'Angebot mit einem sehr langen Namen, der umbrochen werden muss, 2026.docx')));
$l = $letters->[4];
my $picture = Email::MIME->create(body => slurp('picture.png'), header_str => ['Content-ID' => '<picture.1@example.org>'],
    attributes => {content_type => 'image/png', encoding => 'base64', disposition => 'inline', filename => 'picture.png'});
my $htmlpic = Email::MIME->create(attributes => {content_type => 'text/html', charset => 'utf-8', encoding => 'quoted-printable'}, body_str => $l->{htmlpic});
my $related = Email::MIME->create(attributes => {content_type => 'multipart/related'}, parts => [$htmlpic, $picture]);
save(tree($l, 'multipart/alternative', text($l, 'utf-8', 'quoted-printable'), $related));
my $forwarded = tree($letters->[12], 'multipart/mixed', text($letters->[12], 'utf-8', 'quoted-printable'), attached('minutes.pdf', 'application/pdf'));
$l = $letters->[14];
save(tree($l, 'multipart/mixed', text($l, 'utf-8', 'quoted-printable'),
    Email::MIME->create(body => $forwarded->as_string, attributes => {content_type => 'message/rfc822', encoding => '8bit', disposition => 'inline'})));
$l = $letters->[1];
my $thread = Email::MIME->create(header_str => head($l), body_str => $l->{text},
    attributes => {content_type => 'text/plain', charset => 'utf-8', encoding => '7bit', format => 'flowed'});
$thread->header_raw_set('References', join ' ', map { "<$_.printer\@example.org>" } 1 .. 30);
$thread->header_raw_set('In-Reply-To', '<30.printer@example.org>');
save($thread);
my $calendar = Email::MIME->create(body => slurp('invite.ics'), attributes => {content_type => 'text/calendar', charset => 'utf-8', encoding => 'base64'});
$calendar->content_type_attribute_set(method => 'REQUEST');
save(tree($letters->[0], 'multipart/mixed', text($letters->[0], 'utf-8', '7bit'), $calendar));
save(tree($letters->[11], 'multipart/mixed', attached('card.vcf', 'text/vcard')));
