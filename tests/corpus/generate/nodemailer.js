#!/usr/bin/env node
// Mails as nodemailer writes them (npm install nodemailer), caught from its stream transport instead of being sent.
// usage: NODE_PATH=.../node_modules nodemailer.js MATERIAL OUTDIR
'use strict';
const fs = require('fs');
const path = require('path');
const nodemailer = require('nodemailer');

const [material, out] = process.argv.slice(2);
const letters = JSON.parse(fs.readFileSync(path.join(material, 'letters.json'), 'utf8'));
const transport = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
const file = (name) => fs.readFileSync(path.join(material, name));
const person = ([name, address]) => ({ name, address });
let count = 0;

function letter(index, more = {}) {
  const l = letters[index];
  return { from: person(l.from), to: person(l.to), cc: person(l.cc), subject: l.subject, text: l.text, date: new Date(l.time * 1000), ...more };
}
const attach = (name, filename = name, more = {}) => ({ filename, content: file(name), ...more });
const picture = { filename: 'picture.png', content: file('picture.png'), cid: 'picture.1@example.org' };

const mails = [
  letter(0), letter(5), letter(6), letter(9), letter(10), letter(7),
  letter(12), letter(14, { textEncoding: 'quoted-printable' }), letter(16), letter(18, { textEncoding: 'base64' }), letter(20, { textEncoding: 'quoted-printable' }),
  letter(2, { html: letters[2].html }), letter(13, { html: letters[13].html }), letter(17, { html: letters[17].html, textEncoding: 'base64' }),
  letter(11, { text: undefined, html: letters[11].html }),
  letter(2, { attachments: [attach('invoice.pdf')] }),
  letter(13, { attachments: [attach('invoice.pdf', 'faktura č. 2026-118.pdf'), attach('table.csv', 'ceník.csv')] }),
  letter(17, { attachments: [attach('archive.zip', '注文書(控え)二〇二六年四月分、株式会社サクラ商店.zip'), attach('offer.docx')] }),
  letter(4, { html: letters[4].htmlpic, attachments: [picture] }),
  letter(15, { html: letters[15].htmlpic, attachments: [picture, attach('photo.png', 'výhled.png')] }),
  letter(0, { subject: 'Invitation: Planning', icalEvent: { method: 'REQUEST', filename: 'invite.ics', content: file('invite.ics').toString() } }),
  letter(10, { list: { help: 'help@lists.example.org', unsubscribe: [{ url: 'https://lists.example.org/garden/leave', comment: 'Leave' }, 'leave@lists.example.org'], id: { url: 'garden.lists.example.org', comment: 'Gardeners' } }, headers: { Precedence: 'list' } }),
  letter(1, { inReplyTo: '<20.printer@example.org>', references: Array.from({ length: 20 }, (_, n) => `<${n + 1}.printer@example.org>`) }),
  letter(11, { priority: 'high', replyTo: 'noreply@shop.example', headers: { 'X-Campaign': 'security-2026', 'Feedback-ID': '417:shop:example' },
    dkim: { domainName: 'shop.example', keySelector: 'spring', privateKey: require('crypto').generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' }) } }),
  letter(22, { attachments: [attach('notes.txt', 'notes.txt', { contentTransferEncoding: 'quoted-printable' }), attach('empty.dat'), attach('bytes.bin')] }),
  letter(1, { subject: "Fwd: Minutes of Monday's meeting", attachments: [{ contentType: 'message/rfc822', filename: 'minutes.eml', content: 'From: anna.hale@example.org\r\nSubject: Minutes\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nHere they are.\r\n' }] }),
];

(async () => {
  for (const mail of mails) {
    const info = await transport.sendMail(mail);
    count += 1;
    fs.writeFileSync(path.join(out, `nodemailer-${String(count).padStart(3, '0')}.eml`), info.message);
  }
})();
