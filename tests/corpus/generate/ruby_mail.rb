#!/usr/bin/env ruby
# Mails as Ruby's mail gem writes them (the one below Action Mailer).
# usage: ruby_mail.rb MATERIAL OUTDIR
require 'json'
require 'mail'

MATERIAL, OUT = ARGV
LETTERS = JSON.parse(File.read("#{MATERIAL}/letters.json", encoding: 'UTF-8'))
$count = 0

def file(name)
  File.binread("#{MATERIAL}/#{name}")
end

def address(pair)
  made = Mail::Address.new
  made.address = pair[1]
  made.display_name = pair[0]
  made.format
end

def letter(index, subject = nil)
  l = LETTERS[index]
  mail = Mail.new(charset: 'UTF-8')
  mail.from = address(l['from'])
  mail.to = address(l['to'])
  mail.subject = subject || l['subject']
  mail.date = Time.at(l['time']).utc
  $count += 1
  mail.message_id = "<#{l['time']}.#{$count}@rails.example.net>"
  mail
end

$saved = 0
def save(mail)
  $saved += 1
  File.binwrite(format('%s/ruby-mail-%03d.eml', OUT, $saved), mail.to_s)
end

[0, 3, 6, 9, 10, 12, 13, 16, 19].each do |n|
  mail = letter(n)
  mail.body = LETTERS[n]['text']
  save(mail)
end
[[14, 'base64'], [18, 'quoted-printable'], [21, '8bit']].each do |n, encoding|
  mail = letter(n)
  mail.body = LETTERS[n]['text']
  mail.content_transfer_encoding = encoding
  save(mail)
end
[[17, 'ISO-2022-JP'], [20, 'ISO-8859-2']].each do |n, charset|
  mail = letter(n)
  mail.charset = charset
  mail.content_type = "text/plain; charset=#{charset}"
  mail.content_transfer_encoding = charset =~ /2022/ ? '7bit' : 'quoted-printable'
  mail.body = LETTERS[n]['text'].tr('–', '-').encode(charset).force_encoding('BINARY')
  save(mail)
end
[2, 15, 16].each do |n|
  mail = letter(n)
  mail.text_part = Mail::Part.new { body LETTERS[n]['text'] }
  mail.html_part = Mail::Part.new do
    content_type 'text/html; charset=UTF-8'
    body LETTERS[n]['html']
  end
  save(mail)
end
[[2, { 'invoice.pdf' => 'invoice.pdf' }], [13, { 'ceník.csv' => 'table.csv', 'faktura.pdf' => 'invoice.pdf' }],
 [17, { '注文書.zip' => 'archive.zip' }], [21, { 'Größen.docx' => 'offer.docx', 'empty.dat' => 'empty.dat' }]].each do |n, files|
  mail = letter(n)
  mail.body = LETTERS[n]['text']
  files.each { |shown, name| mail.attachments[shown] = file(name) }
  save(mail)
end
mail = letter(4)
mail.attachments.inline['picture.png'] = file('picture.png')
mail.html_part = Mail::Part.new do
  content_type 'text/html; charset=UTF-8'
  body LETTERS[4]['htmlpic']
end
save(mail)
forward = letter(1, "Fwd: Minutes of Monday's meeting")
forward.body = "See below.\n"
forward.add_part(Mail::Part.new do
  content_type 'message/rfc822'
  content_disposition 'attachment; filename="minutes.eml"'
  body "From: anna.hale@example.org\r\nTo: bruno@example.net\r\nSubject: Minutes\r\n\r\nHere they are.\r\n"
end)
save(forward)
thread = letter(1)
thread.references = (1..25).map { |n| "<#{n}.printer@example.org>" }
thread.in_reply_to = '<25.printer@example.org>'
thread['List-Id'] = 'Gardeners <garden.lists.example.org>'
thread.body = LETTERS[1]['text']
save(thread)
