#!/usr/bin/env python3
"""Writes the raw material every generator uses: letters.json and the attachment files.

usage: material.py OUTDIR

Nothing here builds a mail. The material is made from nothing but the standard library, so it is the same on every
machine. All persons are invented, all domains are reserved by RFC 2606.
"""
import io
import json
import struct
import sys
import zipfile
import zlib
from pathlib import Path

PEOPLE = [
    ["Anna Hale", "anna.hale@example.org"], ["Bruno Keel", "bruno@example.net"],
    ["Žofie Černá", "zofie.cerna@brod.example"], ["Jiří Dvořáček", "jiri.dvoracek@brod.example"],
    ["山田 花子", "hanako@sakura.example"], ["田中 一郎", "ichiro.tanaka@sakura.example"],
    ["Łucja Wąs", "lucja.was@example.org"], ["Jürgen Groß", "juergen.gross@werk.example"],
    ["Support, Example Ltd.", "support@shop.example"], ["O'Neil \"Ace\" Field", "ace.field@example.net"],
]

EN = [
    ("Minutes of Monday's meeting", "Hello all,\n\nhere are the minutes of Monday. Please read them before Thursday and tell me what is missing.\n\n- budget: agreed\n- new office: open\n- printer: still broken\n\nBest wishes,\nAnna\n\n-- \nAnna Hale\nExample Office, second floor\n"),
    ("Re: Minutes of Monday's meeting", "On Tuesday, Anna Hale wrote:\n> here are the minutes of Monday. Please read them before Thursday\n> and tell me what is missing.\n\nThe printer was repaired on Friday.\n\nBruno\n"),
    ("Invoice 2026-0417", "Dear customer,\n\nthank you for your order. Please find the invoice enclosed. The amount of EUR 129.50 is due within 14 days.\n\nYour order:\n\n  2 x lamp           89.00\n  1 x table cloth    40.50\n\nKind regards\nExample Shop\nhttps://shop.example/orders/0417?id=7&lang=en\n"),
    ("Your parcel is on its way", "Your parcel 00340434 has left our house and should reach you on Wednesday between 9:00 and 12:00.\n\nTrack it: https://shop.example/track/00340434\n"),
    ("Holiday pictures", "Hi,\n\nit rained four days of seven, but look at the last one!\n\nlove, B.\n"),
    ("lunch?", "12:30 at the usual place?\n"),
    ("Nightly backup report", "backup started  01:00:02\nbackup finished 01:42:57\n\nvolume      files      bytes     state\n/home       12034   8123456789  ok\n/var/mail    5120   1234567890  ok\n/srv         9001    987654321  2 warnings\n\n.\n..\n.hidden files were skipped\nFrom here on the log is empty.\n"),
    ("A rather long subject that goes on and on so that every program which writes it has to fold it at least once, and some of them twice, before it ends", "The subject says it all.\n"),
    ("", "This mail has no subject worth the name.\n"),
    ("Poem", "From the hill I saw the sea,\n.dots begin this line,\n\n\n   three blanks and a tab:\t<- here\ntrailing blanks:   \n\nFrom the sea I saw the hill.\n"),
    ("[garden] Seed exchange in spring", "Dear gardeners,\n\nthe seed exchange takes place on the first Saturday in March. Bring seeds, bring cake.\n\n" + "Every year we write the same long paragraph to explain the rules, and every year somebody brings mint anyway, which then grows through the whole garden and into the neighbour's lawn. " * 3 + "\n"),
    ("Password changed", "The password of your account at shop.example was changed. If it was not you, call us.\n"),
]
CS = [
    ("Pozvánka na školení bezpečnosti práce", "Dobrý den,\n\nzveme Vás na školení, které se koná ve čtvrtek v 9:00 v zasedací místnosti. Příliš žluťoučký kůň úpěl ďábelské ódy.\n\nS pozdravem\nŽofie Černá\n"),
    ("Faktura č. 2026/118 – připomínka úhrady", "Vážený zákazníku,\n\ndovolujeme si Vás upozornit, že faktura č. 2026/118 je po splatnosti.\n\nČástka: 1 250,00 Kč\n\nS pozdravem\nJiří Dvořáček\núčtárna\n"),
    ("Re: Změna termínu schůzky, prosím o potvrzení do pátku, děkuji předem všem za rychlou odpověď", "Souhlasím, úterý mi vyhovuje lépe.\n\nDne 3. března Žofie napsala:\n> Můžeme schůzku přesunout na úterý?\n"),
    ("Fotky z výletu 📷", "Ahoj,\n\nposílám fotky z výletu. 🏔️ Nejlepší je ta s medvědem.\n\nJirka\n"),
]
JA = [
    ("会議の議事録について", "皆様\n\n月曜日の会議の議事録をお送りします。ご確認ください。\n\nよろしくお願いいたします。\n山田\n"),
    ("ご注文ありがとうございます(注文番号:00417)", "お客様\n\nこの度はご注文いただき、ありがとうございます。商品は三日以内に発送いたします。\n\nサクラ商店\n"),
    ("Re: 来週の予定", "了解しました。火曜日の午後三時に伺います。\n\n> 来週の予定を教えてください。\n"),
]
PL = [
    ("Zażółć gęślą jaźń – oferta", "Dzień dobry,\n\nw załączeniu przesyłam ofertę. Zażółć gęślą jaźń.\n\nŁucja Wąs\n"),
    ("Potwierdzenie zamówienia", "Dziękujemy za zamówienie. Przesyłka będzie gotowa w środę.\n"),
]
DE = [
    ("Größenübersicht für die Bestellung", "Guten Tag,\n\nanbei die Größenübersicht. Die Maße sind in Zentimetern.\n\nViele Grüße\nJürgen Groß\n"),
    ("Störung behoben", "Die Störung von heute früh ist behoben. Es lag am Überspannungsschutz.\n"),
]


def html_of(subject: str, text: str, picture: bool = False) -> str:
    """An HTML face for a letter, in the style of ordinary mail programs."""
    esc = lambda s: s.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    paras = "".join(f"<p style=\"margin:0 0 1em\">{esc(p).replace(chr(10), '<br>' + chr(10))}</p>\n"
                    for p in text.strip().split("\n\n"))
    image = '<img src="cid:picture.1@example.org" width="32" height="32" alt="picture">\n' if picture else ""
    return ("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>" + esc(subject) + "</title></head>\n"
            "<body bgcolor=\"#ffffff\">\n<h1>" + esc(subject) + "</h1>\n" + image + paras + "</body></html>\n")


def png(width: int, height: int, tint: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(v for x in range(width)
                                  for v in ((x * 7 + tint) & 255, (y * 5) & 255, (x * y) & 255)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def pdf(line: str) -> bytes:
    stream = f"BT /F1 18 Tf 72 720 Td ({line}) Tj ET".encode()
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
               b"/Resources << /Font << /F1 5 0 R >> >> >>",
               b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream",
               b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % o for o in offsets)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


def zipped(files: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 1, 12, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def docx(text: str) -> bytes:
    return zipped({
        "[Content_Types].xml": '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/'
        'package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
        'officedocument.wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/'
        f'wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>'})


def ics(method: str, summary: str) -> bytes:
    return "\r\n".join([
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Example//Calendar 1.0//EN", f"METHOD:{method}", "BEGIN:VEVENT",
        "UID:20260305T090000-417@example.org", "DTSTAMP:20260301T120000Z", "DTSTART:20260305T090000Z",
        "DTEND:20260305T100000Z", f"SUMMARY:{summary}", "ORGANIZER;CN=Anna Hale:mailto:anna.hale@example.org",
        "ATTENDEE;RSVP=TRUE;CN=Bruno Keel:mailto:bruno@example.net", "LOCATION:Room 2", "END:VEVENT",
        "END:VCALENDAR", ""]).encode()


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    csv = "article;pieces;price\n" + "".join(f"lamp {n};{n};{n * 7}.50\n" for n in range(1, 40))
    files = {
        "picture.png": png(32, 32, 0), "photo.png": png(72, 54, 90), "logo.png": png(16, 16, 40),
        "invoice.pdf": pdf("Invoice 2026-0417"), "minutes.pdf": pdf("Minutes of Monday"),
        "table.csv": csv.encode(), "archive.zip": zipped({"table.csv": csv, "readme.txt": "Two files.\n"}),
        "offer.docx": docx("Our offer: two lamps."), "invite.ics": ics("REQUEST", "Planning"),
        "reply.ics": ics("REPLY", "Planning"), "notes.txt": b"Line one\nLine two\n\nLast line without end",
        "card.vcf": b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Anna Hale\r\nEMAIL:anna.hale@example.org\r\nEND:VCARD\r\n",
        "empty.dat": b"", "bytes.bin": bytes(range(256)) * 3,
    }
    for name, data in files.items():
        (out / name).write_bytes(data)
    letters = []
    for lang, group, authors in (("en", EN, (0, 1, 8, 9)), ("cs", CS, (2, 3)), ("ja", JA, (4, 5)),
                                 ("pl", PL, (6,)), ("de", DE, (7,))):
        for number, (subject, text) in enumerate(group):
            sender = PEOPLE[authors[number % len(authors)]]
            to = PEOPLE[(authors[0] + 1 + number) % len(PEOPLE)]
            letters.append({"lang": lang, "subject": subject, "text": text, "html": html_of(subject, text),
                            "htmlpic": html_of(subject, text, True), "from": sender, "to": to,
                            "cc": PEOPLE[(number + 5) % len(PEOPLE)]})
            # seconds since the epoch, spread over the year before October 2026
            letters[-1]["time"] = 1762000000 + len(letters) * 1209607
    (out / "letters.json").write_text(json.dumps(letters, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
