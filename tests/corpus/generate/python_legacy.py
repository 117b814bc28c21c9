#!/usr/bin/env python3
"""Mails as Python programs of the last twenty years write them: email.mime.*, the compat32 policy, Charset objects.

usage: python_legacy.py MATERIAL OUTDIR
"""
import json
import sys
from email import charset as cs
from email import encoders
from email.header import Header
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from email.utils import formataddr, formatdate, make_msgid
from pathlib import Path

MATERIAL, OUT = Path(sys.argv[1]), Path(sys.argv[2])
LETTERS = json.loads((MATERIAL / "letters.json").read_text(encoding="utf-8"))
count = 0


def file(name: str) -> bytes:
    return (MATERIAL / name).read_bytes()


def head(message, letter, charset="utf-8", subject=None):
    message["Subject"] = Header(letter["subject"] if subject is None else subject, charset)
    message["From"] = formataddr(tuple(letter["from"]))
    message["To"] = formataddr(tuple(letter["to"]))
    message["Date"] = formatdate(letter["time"])
    message["Message-ID"] = make_msgid(domain="example.org")
    return message


def save(message) -> None:
    global count
    count += 1
    (OUT / f"python-legacy-{count:03}.eml").write_bytes(message.as_bytes(unixfrom=False))


def attach(outer, name, kind, sub, shown=None):
    part = MIMEBase(kind, sub)
    part.set_payload(file(name))
    encoders.encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=shown or name)
    outer.attach(part)


# plain text in each charset and encoding
for index in (0, 5, 8, 9, 12, 16, 21):
    save(head(MIMEText(LETTERS[index]["text"], "plain", "us-ascii" if index < 10 else "utf-8"), LETTERS[index]))
for index, name, encoding in ((12, "iso-8859-2", cs.QP), (14, "iso-8859-2", cs.BASE64), (21, "iso-8859-1", cs.QP),
                              (13, "utf-8", cs.QP), (19, "iso-8859-2", cs.QP), (15, "utf-8", None)):
    wanted = cs.Charset(name)
    wanted.header_encoding, wanted.body_encoding = cs.SHORTEST, encoding
    message = MIMENonMultipart("text", "plain", charset=name)
    body = LETTERS[index]["text"].replace("–", "-")
    if encoding is None:
        message.set_payload(body.encode("utf-8").decode("ascii", "surrogateescape"))
        message["Content-Transfer-Encoding"] = "8bit"
    else:
        message.set_payload(body, wanted)
    save(head(message, LETTERS[index], "utf-8"))
for index in (16, 17, 18):
    save(head(MIMEText(LETTERS[index]["text"], "plain", "iso-2022-jp"), LETTERS[index], "iso-2022-jp"))

# alternative, mixed, related
for index in (2, 13, 17):
    outer = head(MIMEMultipart("alternative"), LETTERS[index])
    outer.attach(MIMEText(LETTERS[index]["text"], "plain", "utf-8"))
    outer.attach(MIMEText(LETTERS[index]["html"], "html", "utf-8"))
    save(outer)
outer = head(MIMEMultipart(), LETTERS[2])
outer.preamble = "This is a multi-part message in MIME format.\n"
outer.attach(MIMEText(LETTERS[2]["text"]))
attach(outer, "invoice.pdf", "application", "pdf")
attach(outer, "table.csv", "text", "csv", ("utf-8", "cs", "ceník příloha.csv"))
save(outer)
outer = head(MIMEMultipart(), LETTERS[21])
outer.attach(MIMEText(LETTERS[21]["text"], "plain", "utf-8"))
outer.attach(MIMEApplication(file("archive.zip"), "zip", name="archive.zip"))
attach(outer, "offer.docx", "application", "vnd.openxmlformats-officedocument.wordprocessingml.document",
       Header("Größen.docx", "utf-8").encode())
attach(outer, "empty.dat", "application", "octet-stream")
save(outer)
outer = head(MIMEMultipart("related", type="text/html"), LETTERS[4])
outer.attach(MIMEText(LETTERS[4]["htmlpic"], "html"))
picture = MIMEImage(file("picture.png"))
picture.add_header("Content-ID", "<picture.1@example.org>")
picture.add_header("Content-Disposition", "inline", filename="picture.png")
outer.attach(picture)
save(outer)

# a forward of a mail with an attachment, twice nested
inner = head(MIMEMultipart(), LETTERS[0])
inner.attach(MIMEText(LETTERS[0]["text"]))
attach(inner, "minutes.pdf", "application", "pdf")
for index in (1, 5):
    outer = head(MIMEMultipart(), LETTERS[index], subject="Fwd: " + str(inner["Subject"]))
    outer.attach(MIMEText("See below.\n"))
    outer.attach(MIMEMessage(inner))
    save(outer)
    inner = outer

# a mailing list digest, a delivery report, a mail without any body
digest = head(MIMEMultipart("digest"), LETTERS[10], subject="garden Digest, Vol 7, Issue 3")
digest["Precedence"] = "list"
digest["List-Id"] = "Gardeners <garden.lists.example.org>"
for index in (10, 3, 5):
    digest.attach(MIMEMessage(head(MIMEText(LETTERS[index]["text"]), LETTERS[index])))
save(digest)
report = head(MIMEMultipart("report", **{"report-type": "delivery-status"}), LETTERS[0],
              subject="Undelivered Mail Returned to Sender")
report["Auto-Submitted"] = "auto-replied"
report.attach(MIMEText("I could not deliver your mail to <nobody@example.net>: no such user.\n"))
status = MIMENonMultipart("message", "delivery-status")
about, victim = Message(), Message()
about["Reporting-MTA"] = "dns; mx.example.net"
about["Arrival-Date"] = formatdate(LETTERS[0]["time"])
victim["Final-Recipient"] = "rfc822; nobody@example.net"
victim["Action"], victim["Status"] = "failed", "5.1.1"
victim["Diagnostic-Code"] = "smtp; 550 5.1.1 no such user"
status.set_payload([about, victim])
report.attach(status)
headers = MIMENonMultipart("text", "rfc822-headers")
headers.set_payload("Subject: Minutes\nFrom: anna.hale@example.org\nTo: nobody@example.net\n")
report.attach(headers)
save(report)
bare = head(Message(), LETTERS[8])
save(bare)
