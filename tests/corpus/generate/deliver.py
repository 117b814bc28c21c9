#!/usr/bin/env python3
"""Makes delivered mail out of what the generators wrote: CRLF line ends and the header fields of a journey.

usage: deliver.py RAWDIR OUTDIR

Per mail: a leading mbox `From ` line (git) is dropped; every line end becomes CRLF and the last line gets one; From,
To, Date, Message-ID and MIME-Version are added only where the generator left them to the mail server; then
Return-Path and Received fields go on top, one to four of them, with a DKIM-Signature, Authentication-Results and
mailing list fields on some. What is added follows from the file name alone. No other byte is changed.
"""
import base64
import hashlib
import re
import sys
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

RELAYS = ["mx1.example.org (mx1.example.org [192.0.2.10])", "out.example.net (out.example.net [198.51.100.7])",
          "smtp.shop.example (unknown [203.0.113.25])", "localhost (localhost [127.0.0.1])"]


def fields(head: bytes) -> set:
    return {m.group(1).lower() for m in re.finditer(rb"(?m)^([!-9;-~]+)[ \t]*:", head)}


def journey(seed: bytes) -> tuple:
    """The fields servers put on top, newest first, and the time of delivery."""
    when = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=int.from_bytes(seed[:3], "big") % 390000)
    lines = [f"Return-Path: <bounce-{seed[3]}@{'example.org' if seed[4] & 1 else 'shop.example'}>",
             "Delivered-To: user@mail.example.net"]
    for hop in range(1 + seed[5] % 4):
        helo = RELAYS[(seed[6] + hop) % len(RELAYS)]
        queue = seed[7 + hop:12 + hop].hex().upper()
        protocol = ["ESMTP", "ESMTPS", "ESMTPSA", "SMTP"][(seed[8] + hop) % 4]
        secured = ("\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n\t key-exchange X25519 "
                   "server-signature RSA-PSS (2048 bits))\n\t(No client certificate requested)" if "S" == protocol[5:6] else "")
        stamp = format_datetime((when - timedelta(seconds=3 * hop)).astimezone(timezone(timedelta(hours=seed[9] % 3))))
        lines.append(f"Received: from {helo}{secured}\n\tby mx{hop}.example.net (Postfix) with {protocol} id {queue}\n"
                     f"\tfor <user@mail.example.net>; {stamp}")
    if seed[10] % 3 == 0:
        body_hash = base64.b64encode(hashlib.sha256(seed).digest()).decode()
        stuff = base64.b64encode(hashlib.sha512(seed).digest() * 4).decode()
        folded = "\n\t ".join(stuff[i:i + 68] for i in range(0, len(stuff), 68))
        lines.append("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=example.org;\n\ts=spring; t=1772000000; "
                     f"h=from:to:subject:date:message-id;\n\tbh={body_hash};\n\tb={folded}")
        lines.append("Authentication-Results: mx0.example.net;\n\tdkim=pass header.d=example.org header.s=spring;\n"
                     "\tspf=pass (mx0.example.net: domain of example.org designates 192.0.2.10 as permitted)\n"
                     "\t smtp.mailfrom=bounce@example.org;\n\tdmarc=none")
    if seed[11] % 5 == 0:
        lines.append("X-Spam-Checker-Version: Example 4.0\nX-Spam-Level: *\nX-Spam-Status: No, score=1.2 required=5.0 "
                     "tests=HTML_MESSAGE,\n\tSPF_PASS autolearn=no")
    if seed[12] % 7 == 0:
        lines.append("List-Id: Gardeners <garden.lists.example.org>\nList-Post: <mailto:garden@lists.example.org>\n"
                     "List-Unsubscribe: <https://lists.example.org/garden/leave>,\n <mailto:garden-leave@lists.example.org>\n"
                     "Precedence: list\nSender: garden-bounces@lists.example.org\nErrors-To: garden-bounces@lists.example.org")
    return "\n".join(lines).encode() + b"\n", when


def deliver(name: str, raw: bytes) -> bytes:
    seed = hashlib.sha256(name.encode()).digest()
    raw = re.sub(rb"\r\n?|\n", b"\n", raw)
    raw = re.sub(rb"\AFrom [^\n]*\n", b"", raw)
    raw = raw.lstrip(b"\n")
    head, blank, body = raw.partition(b"\n\n")
    if not blank:
        head, body = raw.rstrip(b"\n"), b""
    top, when = journey(seed)
    own, present = [], fields(top + head)
    if b"from" not in present:
        own.append(b"From: Anna Hale <anna.hale@example.org>")
    if b"to" not in present:
        own.append(b"To: user@mail.example.net")
    if b"date" not in present:
        own.append(b"Date: " + format_datetime(when).encode())
    if b"message-id" not in present:
        own.append(b"Message-ID: <" + seed[:9].hex().encode() + b"@mail.example.org>")
    if b"content-type" in present and b"mime-version" not in present:
        own.append(b"MIME-Version: 1.0")
    # A field the journey brings is not repeated by the generator's mail.
    doubled = fields(top) & fields(head) - {b"received"}
    if doubled:
        top = b"".join(f for f in re.findall(rb"(?m)^[^ \t\n][^\n]*\n(?:[ \t][^\n]*\n)*", top)
                       if f.split(b":")[0].lower() not in doubled)
    full = top + head + b"\n" + b"".join(line + b"\n" for line in own) + b"\n" + body
    if not full.endswith(b"\n"):
        full += b"\n"
    return full.replace(b"\n", b"\r\n")


def main() -> None:
    raw, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(raw.glob("*.eml")):
        (out / path.name).write_bytes(deliver(path.name, path.read_bytes()))


if __name__ == "__main__":
    main()
