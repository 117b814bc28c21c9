<?php
// Mails as PHPMailer writes them, caught after preSend() instead of being sent.
// usage: php phpmailer.php MATERIAL OUTDIR
declare(strict_types=1);

foreach (['Exception', 'PHPMailer', 'SMTP'] as $class) {
    require_once "libphp-phpmailer/src/$class.php"; // Debian's libphp-phpmailer, on PHP's include path
}
use PHPMailer\PHPMailer\PHPMailer;

[, $material, $out] = $argv;
$letters = json_decode(file_get_contents("$material/letters.json"), true);
$count = 0;

function mail_of(array $letter, string $charset = 'utf-8', string $encoding = '8bit'): PHPMailer
{
    $mail = new PHPMailer(true);
    $mail->Hostname = 'www.shop.example';
    $mail->XMailer = 'PHPMailer';
    $mail->CharSet = $charset;
    $mail->Encoding = $encoding;
    $own = fn (string $text): string => $charset === 'utf-8' ? $text : iconv('UTF-8', "$charset//TRANSLIT", $text);
    $mail->setFrom($letter['from'][1], $own($letter['from'][0]));
    $mail->addAddress($letter['to'][1], $charset === 'utf-8' ? $letter['to'][0] : '');
    $mail->Subject = $own($letter['subject']);
    $mail->Body = $own($letter['text']);
    $mail->MessageDate = date('D, j M Y H:i:s O', $letter['time']);
    return $mail;
}

function save(PHPMailer $mail): void
{
    global $out, $count;
    $mail->AllowEmpty = true;
    $mail->preSend();
    file_put_contents(sprintf('%s/phpmailer-%03d.eml', $out, ++$count), $mail->getSentMIMEMessage());
}

foreach ([[0, 'us-ascii', '7bit'], [3, 'utf-8', '8bit'], [6, 'iso-8859-1', '8bit'], [9, 'utf-8', 'quoted-printable'], [10, 'utf-8', '8bit'],
    [12, 'utf-8', '8bit'], [13, 'utf-8', 'base64'], [14, 'iso-8859-2', 'quoted-printable'], [16, 'utf-8', 'base64'],
    [17, 'iso-2022-jp', '7bit'], [19, 'utf-8', 'quoted-printable'], [21, 'iso-8859-1', '8bit'], [8, 'utf-8', '8bit']] as [$n, $charset, $encoding]) {
    save(mail_of($letters[$n], $charset, $encoding));
}
foreach ([2, 13, 17, 11] as $n) {
    $mail = mail_of($letters[$n], 'utf-8', $n === 17 ? 'base64' : 'quoted-printable');
    $mail->isHTML(true);
    $mail->AltBody = $n === 11 ? '' : $letters[$n]['text'];
    $mail->Body = $letters[$n]['html'];
    save($mail);
}
$mail = mail_of($letters[2]);
$mail->addAttachment("$material/invoice.pdf");
save($mail);
$mail = mail_of($letters[13]);
$mail->addAttachment("$material/table.csv", 'ceník příloha.csv', 'quoted-printable', 'text/csv');
$mail->addStringAttachment(file_get_contents("$material/archive.zip"), 'archiv; všechno "dohromady".zip');
save($mail);
$mail = mail_of($letters[4]);
$mail->isHTML(true);
$mail->Body = $letters[4]['htmlpic'];
$mail->AltBody = $letters[4]['text'];
$mail->addEmbeddedImage("$material/picture.png", 'picture.1@example.org', 'picture.png');
save($mail);
$mail->addAttachment("$material/offer.docx");
save($mail);
$mail = mail_of($letters[0]);
$mail->isHTML(true);
$mail->Body = $letters[0]['html'];
$mail->AltBody = $letters[0]['text'];
$mail->Ical = file_get_contents("$material/invite.ics");
save($mail);
$mail = mail_of($letters[11]);
$mail->Priority = 1;
$mail->ConfirmReadingTo = 'support@shop.example';
$mail->addReplyTo('support@shop.example', 'Support, Example Ltd.');
$mail->addBCC('archive@shop.example');
$mail->addCustomHeader('List-Unsubscribe', '<https://shop.example/leave?u=417>, <mailto:leave@shop.example>');
$mail->addCustomHeader('List-Unsubscribe-Post', 'List-Unsubscribe=One-Click');
save($mail);
$mail = mail_of($letters[22], 'utf-8', 'quoted-printable');
$mail->XMailer = null;
$mail->addStringAttachment(file_get_contents("$material/notes.txt"), 'notes.txt', '8bit', 'text/plain', 'inline');
$mail->addStringAttachment(file_get_contents("$material/bytes.bin"), 'bytes.bin');
save($mail);
