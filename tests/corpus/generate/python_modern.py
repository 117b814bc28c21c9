#!/usr/bin/env python3
"""Mails as today's Python programs write them: email.message.EmailMessage with the SMTP policies.

usage: python_modern.py MATERIAL OUTDIR
"""
import json
import sys
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from datetime import datetime, timedelta, timezone
from pathlib import Path

MATERIAL, OUT = Path(sys.argv[1]), Path(sys.argv[2])
LETTERS = json.loads((MATERIAL / "letters.json").read_text(encoding="utf-8"))
CLOCK = timezone(timedelta(hours=2))
count = 0


def file(name: str) -> bytes:
    return (MATERIAL / name).read_bytes()


def address(pair) -> Address:
    return Address(display_name=pair[0], addr_spec=pair[1])


def new(index: int, subject=None, rule=policy.SMTP) -> EmailMessage:
    letter = LETTERS[index]
    message = EmailMessage(policy=rule)
    message["Subject"] = letter["subject"] if subject is None else subject
    message["From"] = address(letter["from"])
    message["To"] = [address(letter["to"]), address(letter["cc"])]
    message["Date"] = format_datetime(datetime.fromtimestamp(letter["time"], CLOCK))
    message["Message-ID"] = make_msgid(domain="example.org")
    return message


def save(message) -> None:
    global count
    count += 1
    (OUT / f"python-modern-{count:03}.eml").write_bytes(message.as_bytes())


for index in (1, 3, 6, 9, 10):
    message = new(index)
    message.set_content(LETTERS[index]["text"])
    save(message)
for index, how in ((12, "8bit"), (14, "quoted-printable"), (16, "base64"), (18, "8bit"), (19, "quoted-printable")):
    message = new(index)
    message.set_content(LETTERS[index]["text"], cte=how)
    save(message)
for index, charset in ((17, "iso-2022-jp"), (12, "iso-8859-2"), (22, "iso-8859-1"), (20, "windows-1250"), (18, "shift_jis")):
    message = new(index)
    message.set_content(LETTERS[index]["text"].replace("–", "-"), charset=charset)
    save(message)
flowed = new(10)
flowed.set_content("A paragraph whose lines end in a blank \nbelongs together, so that narrow \nscreens may wrap it anew.\n\n"
                   "> quoted \n> text flows\n> too\n\n From is stuffed\n-- \nAnna\n", params={"format": "flowed", "delsp": "no"})
save(flowed)
for index in (2, 15, 16):
    message = new(index)
    message.set_content(LETTERS[index]["text"])
    message.add_alternative(LETTERS[index]["html"], subtype="html")
    save(message)
# html only, html with a picture, the full tree mixed(alternative(plain, related(html, png)), pdf)
message = new(11)
message.set_content(LETTERS[11]["html"], subtype="html")
save(message)
for index in (4, 15):
    message = new(index)
    message.set_content(LETTERS[index]["text"])
    message.add_alternative(LETTERS[index]["htmlpic"], subtype="html")
    message.get_payload()[1].add_related(file("picture.png"), "image", "png", cid="<picture.1@example.org>",
                                         filename="picture.png", disposition="inline")
    message.add_attachment(file("photo.png"), "image", "png", filename="výhled č. 1.png" if index == 15 else "photo.png")
    save(message)
message = new(17)
message.set_content(LETTERS[17]["text"])
message.add_attachment(file("invoice.pdf"), "application", "pdf", filename="請求書(二〇二六年四月分・控え)株式会社サクラ商店御中.pdf")
message.add_attachment(file("archive.zip"), "application", "zip", filename="archive with \"quotes\" and spaces.zip")
message.add_attachment(file("bytes.bin"), "application", "octet-stream", filename="bytes.bin")
save(message)
message = new(13)
message.set_content(LETTERS[13]["text"])
message.add_attachment(file("table.csv").decode(), subtype="csv", filename="příloha.csv")
message.add_attachment(file("notes.txt").decode(), subtype="plain", filename="notes.txt", disposition="inline")
save(message)
inner = new(0)
inner.set_content(LETTERS[0]["text"])
inner.add_attachment(file("minutes.pdf"), "application", "pdf", filename="minutes.pdf")
outer = new(1, "Fwd: Minutes of Monday's meeting")
outer.set_content("For your files.\n")
outer.add_attachment(inner)
save(outer)
invite = new(0, "Invitation: Planning")
invite.set_content("You are invited to: Planning, Thursday 9:00, Room 2.\n")
invite.add_alternative(file("invite.ics").decode(), subtype="calendar", params={"method": "REQUEST"})
invite.add_attachment(file("invite.ics"), "application", "ics", filename="invite.ics")
save(invite)
thread = new(1)
thread["In-Reply-To"] = "<0.first.letter@example.org>"
thread["References"] = " ".join(f"<{n}.a-long-thread-about-the-printer.{n * 7919}@example.org>" for n in range(45))
thread["X-Spam-Status"] = "No, score=-0.2 required=5.0 tests=BAYES_50,HTML_MESSAGE autolearn=no version=3.4.6"
thread.set_content(LETTERS[1]["text"])
save(thread)
world = new(16, rule=policy.SMTPUTF8)
world.set_content(LETTERS[16]["text"], cte="8bit")
save(world)
empty = new(8, "")
empty.set_content("")
save(empty)
