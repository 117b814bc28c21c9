#!/usr/bin/env python3
"""Writes the hostile and the deceptive corpus.

usage: hostile.py CORPUSDIR [PAYLOADFILE]

CORPUSDIR/hostile gets small mails that honest readers could read differently from one another. CORPUSDIR/deceptive
gets those that have one reading by the standards, or differ only in names that can all be judged, yet put something
bad where a careless judge does not look. The two digits in a name are the class of ambiguity, the rest says what the
file does; INDEX.md in each folder says more. In nearly every mail lies PAYLOAD, harmless by default; a test that wants
to know who finds a detectable payload names a file with it.
"""
import base64
import binascii
import re
import struct
import sys
import zlib
from pathlib import Path

OUT = Path(sys.argv[1])
PAYLOAD = Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else b"harmless payload of the test corpus, 0123456789\r\n"
B64 = base64.b64encode(PAYLOAD)
B64_LINES = b"".join(B64[i:i + 76] + b"\r\n" for i in range(0, len(B64), 76))
INDEX = {"hostile": [], "deceptive": []}

# What a strict recogniser may accept: the danger is in what the mail holds, not in how it is read.
DECEPTIVE = {
    "m05-encoded-word-in-filename",
    "m14-encoding-odd-case",
    "m23-empty-part-head",
    "m23-second-header-block",
    "m25-alternative-with-program",
    "m25-related-start",
    "m25-report-with-program",
    "m25-signed-with-program-as-signature",
    "m29-begin-line-in-prose",
    "m32-filename-plain-and-rfc2231",
    "m32-filename-right-to-left",
    "m32-filename-trailing-dot",
    "m32-name-and-filename-differ",
    "m33-html-named-image",
    "m36-charset-utf7",
    "m39-authentication-results",
    "m39-spam-and-virus-marks",
}

TOP = (b"Return-Path: <bounce@example.org>\r\n"
       b"Received: from mx1.example.org (mx1.example.org [192.0.2.10])\r\n\tby mx0.example.net with ESMTP id 4F17;"
       b" Sun, 1 Mar 2026 12:00:00 +0000\r\n"
       b"From: Anna Hale <anna.hale@example.org>\r\nTo: user@mail.example.net\r\nSubject: test\r\n"
       b"Date: Sun, 1 Mar 2026 12:00:00 +0000\r\nMessage-ID: <hostile@mail.example.org>\r\n")
MIME = b"MIME-Version: 1.0\r\n"
TEXT = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nHello.\r\n"
ATTACHED = b"Content-Disposition: attachment; filename=\"program.exe\"\r\n"
EVIL_HEAD = (b"Content-Type: application/octet-stream; name=\"program.exe\"\r\n" + ATTACHED
             + b"Content-Transfer-Encoding: base64\r\n")
EVIL = EVIL_HEAD + b"\r\n" + B64_LINES


def case(name: str, what: str, mail: bytes) -> None:
    folder = "deceptive" if name in DECEPTIVE else "hostile"
    assert re.fullmatch(r"m\d\d-[a-z0-9-]+", name) and name not in [n for n, _ in INDEX[folder]], name
    (OUT / folder / f"{name}.eml").write_bytes(mail)
    INDEX[folder].append((name, what))


def parts(boundary: bytes, *inner: bytes) -> bytes:
    """A well-formed body of a multipart."""
    return b"".join(b"--" + boundary + b"\r\n" + p + b"\r\n" for p in inner) + b"--" + boundary + b"--\r\n"


def mixed(boundary: bytes, *inner: bytes) -> bytes:
    """The head field and body of a well-formed multipart/mixed."""
    return b"Content-Type: multipart/mixed; boundary=\"" + boundary + b"\"\r\n\r\n" + parts(boundary, *inner)


def multipart(head: bytes, body: bytes) -> bytes:
    """A mail with the given Content-Type field (and others) and body."""
    return TOP + MIME + head + b"\r\n" + body


def attachment(head: bytes, body: bytes, boundary: bytes = b"b1") -> bytes:
    """A well-formed mail but for its second part."""
    return TOP + MIME + mixed(boundary, TEXT, head + b"\r\n" + body)


def single(head: bytes, body: bytes) -> bytes:
    return TOP + MIME + head + b"\r\n" + body


BOTH = parts(b"one", TEXT) + parts(b"two", TEXT, EVIL)


def headers() -> None:
    case("m01-content-type-twice", "the first field says text, the second multipart: first wins or last wins",
         multipart(b"Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=\"two\"\r\n", parts(b"two", TEXT, EVIL)))
    case("m01-transfer-encoding-twice", "7bit and base64 for one part: text or a program",
         attachment(b"Content-Type: application/octet-stream\r\n" + ATTACHED
                    + b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n", B64_LINES))
    case("m01-disposition-twice", "inline text and attached program",
         attachment(b"Content-Type: application/octet-stream\r\nContent-Disposition: inline; filename=\"a.txt\"\r\n"
                    + ATTACHED + b"Content-Transfer-Encoding: base64\r\n", B64_LINES))
    case("m01-from-and-subject-twice", "two senders: the reader shows one, a filter checked the other",
         TOP + b"From: Support <support@shop.example>\r\nSubject: other subject\r\n" + MIME + TEXT)
    case("m01-mime-version-missing-and-doubled", "MIME-Version 1.0 and 2.0: is it MIME at all",
         TOP + b"MIME-Version: 2.0\r\nMIME-Version: 1.0\r\n" + mixed(b"b1", TEXT, EVIL))
    case("m02-two-types-in-one-field", "a comma between two values in Content-Type",
         multipart(b"Content-Type: text/plain, multipart/mixed; boundary=\"two\"\r\n", parts(b"two", TEXT, EVIL)))
    case("m02-two-encodings-in-one-field", "Content-Transfer-Encoding with a list",
         attachment(EVIL_HEAD.replace(b": base64", b": 7bit, base64"), B64_LINES))
    case("m02-encoding-quoted", "Content-Transfer-Encoding in quotes is no token",
         attachment(EVIL_HEAD.replace(b": base64", b": \"base64\""), B64_LINES))
    case("m03-boundary-twice", "two boundary parameters: first or last",
         multipart(b"Content-Type: multipart/mixed; boundary=\"one\"; boundary=\"two\"\r\n", BOTH))
    case("m03-name-twice", "two file names in one field",
         attachment(b"Content-Type: application/octet-stream; name=\"a.txt\"; name=\"program.exe\"\r\n"
                    b"Content-Disposition: attachment; filename=\"a.txt\"; filename=\"program.exe\"\r\n"
                    b"Content-Transfer-Encoding: base64\r\n", B64_LINES))
    case("m03-boundary-case-differs", "boundary and BOUNDARY: two parameters or one",
         multipart(b"Content-Type: multipart/mixed; boundary=\"one\"; BOUNDARY=\"two\"\r\n", BOTH))
    case("m04-boundary-rfc2231", "boundary* with charset and percent encoding beside a plain boundary",
         multipart(b"Content-Type: multipart/mixed; boundary=\"one\"; boundary*=us-ascii''t%77o\r\n", BOTH))
    case("m04-boundary-continued", "boundary*0 and boundary*1, joined or ignored",
         multipart(b"Content-Type: multipart/mixed; boundary*0=\"t\"; boundary*1=\"wo\"\r\n", parts(b"two", TEXT, EVIL)))
    case("m04-boundary-continued-with-hole", "sections 0 and 2, out of order",
         multipart(b"Content-Type: multipart/mixed; boundary*2=\"x\"; boundary*0=\"two\"\r\n",
                   parts(b"two", TEXT) + parts(b"twox", TEXT, EVIL)))
    case("m05-encoded-word-in-boundary", "boundary as RFC 2047 word: literal or decoded",
         multipart(b"Content-Type: multipart/mixed; boundary=\"=?us-ascii?q?two?=\"\r\n",
                   parts(b"=?us-ascii?q?two?=", TEXT) + parts(b"two", TEXT, EVIL)))
    case("m05-encoded-word-as-transfer-encoding", "base64 hidden in an encoded word",
         attachment(EVIL_HEAD.replace(b": base64", b": =?us-ascii?q?base64?="), B64_LINES))
    case("m05-encoded-word-in-filename", "the name is text or a program by whether it is decoded",
         attachment(b"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; "
                    b"filename=\"=?us-ascii?q?program=2Eexe?=\"\r\nContent-Transfer-Encoding: base64\r\n", B64_LINES))
    case("m06-junk-parameter-before-boundary", "a parameter without '=' may end the parse",
         multipart(b"Content-Type: multipart/mixed; junk junk; =; boundary=\"two\"\r\n", parts(b"two", TEXT, EVIL)))
    case("m06-no-semicolon-before-boundary", "the semicolon is missing",
         multipart(b"Content-Type: multipart/mixed boundary=\"two\"\r\n", parts(b"two", TEXT, EVIL)))
    case("m07-comment-with-boundary", "a boundary inside a comment and one outside",
         multipart(b"Content-Type: multipart/mixed; (; boundary=\"one\") boundary=\"two\"\r\n", BOTH))
    case("m07-comment-inside-type", "comments around the slash and in the encoding",
         multipart(b"Content-Type: multipart(a)/(b)mixed (c); boundary=(d)\"two\"(e)\r\n",
                   parts(b"two", TEXT, EVIL_HEAD.replace(b": base64", b": ba(x)se64 (y)") + b"\r\n" + B64_LINES)))
    case("m07-comment-never-closed", "an open comment swallows the boundary or does not",
         multipart(b"Content-Type: multipart/mixed (open; boundary=\"two\"\r\n", parts(b"two", TEXT, EVIL)))
    case("m08-boundary-quote-open", "the closing quote is missing",
         multipart(b"Content-Type: multipart/mixed; boundary=\"two\r\n", parts(b"two", TEXT, EVIL)))
    case("m08-boundary-escaped", "backslashes in the quoted boundary: removed or kept",
         multipart(b"Content-Type: multipart/mixed; boundary=\"t\\wo\"\r\n", parts(b"t\\wo", TEXT) + parts(b"two", TEXT, EVIL)))
    case("m08-boundary-single-quotes", "single quotes belong to the boundary or not",
         multipart(b"Content-Type: multipart/mixed; boundary='two'\r\n", parts(b"'two'", TEXT) + parts(b"two", TEXT, EVIL)))
    case("m08-boundary-empty-quotes-then-text", "\"\"two\"\": empty, or two",
         multipart(b"Content-Type: multipart/mixed; boundary=\"\"two\"\"\r\n", parts(b"two", TEXT, EVIL)))


def spaces_and_line_ends() -> None:
    multi = b"Content-Type: multipart/mixed; boundary=\"two\"\r\n"
    body = parts(b"two", TEXT, EVIL)
    case("m09-blank-before-colon", "'Content-Type :' is a field, or junk that ends the head",
         multipart(multi.replace(b"Type:", b"Type :"), body))
    case("m09-blank-before-first-field", "the mail begins with a continuation line",
         b" leading: line\r\n" + TOP + MIME + multi + b"\r\n" + body)
    case("m09-vertical-tab-and-form-feed", "VT and FF as white space in the value",
         multipart(multi.replace(b"; ", b";\x0b\x0c"), body))
    case("m09-blanks-behind-boundary-line", "delimiter lines with blanks and tabs behind them",
         multipart(multi, body.replace(b"--two\r\n", b"--two \t  \r\n")))
    case("m10-fold-before-colon", "the field name ends on one line, the colon comes on the next",
         multipart(multi.replace(b"Type:", b"Type\r\n :"), body))
    case("m10-fold-inside-boundary", "the quoted boundary is folded in the middle",
         multipart(b"Content-Type: multipart/mixed; boundary=\"t\r\n wo\"\r\n",
                   parts(b"t wo", TEXT) + parts(b"two", TEXT, EVIL)))
    case("m10-fold-around-equals", "folds before and behind '='",
         multipart(b"Content-Type: multipart/mixed; boundary\r\n =\r\n\t\"two\"\r\n", body))
    case("m10-fold-line-of-blanks", "a continuation line of blanks only: the end of the head, or not",
         multipart(b"Content-Type: multipart/mixed;\r\n  \t \r\n boundary=\"two\"\r\n", body))
    case("m11-nul-in-boundary", "a NUL ends the boundary, is dropped, or is part of it",
         multipart(b"Content-Type: multipart/mixed; boundary=\"two\0x\"\r\n",
                   parts(b"two\0x", TEXT) + parts(b"twox", TEXT) + body))
    case("m11-nul-in-field-name", "a NUL in 'Content-Type'",
         multipart(multi.replace(b"Content-", b"Content\0-"), body))
    case("m11-eight-bit-in-encoding", "a high byte behind 'base64'",
         attachment(EVIL_HEAD.replace(b": base64", b": base64\xa0"), B64_LINES))
    case("m11-eight-bit-in-boundary", "a boundary outside ASCII",
         multipart(b"Content-Type: multipart/mixed; boundary=\"tw\xf6\"\r\n", parts(b"tw\xf6", TEXT, EVIL)))
    case("m12-bare-lf-in-header", "a bare LF in Subject starts a Content-Type field, or does not",
         TOP.replace(b"Subject: test\r\n", b"Subject: test\n" + multi) + MIME + b"Content-Type: text/plain\r\n\r\n" + body)
    case("m12-bare-cr-in-header", "a bare CR in Subject starts a Content-Type field, or does not",
         TOP.replace(b"Subject: test\r\n", b"Subject: test\r" + multi) + MIME + b"Content-Type: text/plain\r\n\r\n" + body)
    case("m12-bare-lf-head-end", "LF LF ends the head early",
         TOP + MIME + b"X-Note: end\n\n" + multi + b"\r\n" + body)
    case("m12-bare-cr-delimiter", "the delimiter line ends in a bare CR",
         multipart(multi, body.replace(b"--two\r\nContent-Type: app", b"--two\rContent-Type: app")))
    case("m12-cr-cr-lf", "every line of the head ends CR CR LF",
         (TOP + MIME + multi).replace(b"\r\n", b"\r\r\n") + b"\r\r\n" + body)
    case("m12-lf-only", "no CR anywhere", multipart(multi, body).replace(b"\r\n", b"\n"))
    case("m13-no-blank-line", "the first delimiter follows the head without an empty line",
         TOP + MIME + multi + body)
    case("m13-part-without-blank-line", "the part's data follow its head without an empty line",
         multipart(multi, parts(b"two", TEXT, EVIL_HEAD + B64_LINES)))
    case("m13-junk-line-in-header", "a line without colon ends the head, or is skipped",
         TOP + MIME + b"this is no field\r\n" + multi + b"\r\n" + body)
    case("m13-mbox-from-line", "the mail begins with an mbox line, and has another in its head",
         b"From anna.hale@example.org Sun Mar  1 12:00:00 2026\r\n" + TOP + MIME
         + b">From bruno@example.net Sun Mar  1 12:00:00 2026\r\n" + multi + b"\r\n" + body)
    case("m13-empty-line-first", "an empty line before the head: no head at all, or skipped",
         b"\r\n" + TOP + MIME + multi + b"\r\n" + body)


def encodings() -> None:
    for name, value, what in (
            ("m14-encoding-odd-case", b"bAsE64", "case only: a reader that compares bytes sees an unknown encoding"),
            ("m14-encoding-x-base64", b"x-base64", "unknown, or base64 by its tail"),
            ("m14-encoding-base645", b"base645", "unknown, or base64 by its head"),
            ("m14-encoding-unknown", b"none", "unknown: raw, or hidden as octet-stream")):
        case(name, what, attachment(EVIL_HEAD.replace(b": base64", b": " + value), B64_LINES))
    case("m14-encoding-on-multipart", "base64 on a multipart: decode first, or ignore",
         multipart(b"Content-Type: multipart/mixed; boundary=\"two\"\r\nContent-Transfer-Encoding: base64\r\n",
                   base64.encodebytes(parts(b"two", TEXT, EVIL)).replace(b"\n", b"\r\n")))
    case("m14-encoding-on-multipart-plain", "base64 announced on a multipart that is not encoded",
         multipart(b"Content-Type: multipart/mixed; boundary=\"two\"\r\nContent-Transfer-Encoding: base64\r\n",
                   parts(b"two", TEXT, EVIL)))
    junk = b"".join(bytes([c]) + b"-._#\xe9"[i % 5:i % 5 + 1] for i, c in enumerate(B64))
    case("m15-base64-junk-characters", "'-', '.', '_', '#' and a high byte between the characters: skipped, decoded or the end",
         attachment(EVIL_HEAD, junk + b"\r\n"))
    case("m15-base64-url-alphabet", "the URL alphabet where plain base64 is announced",
         attachment(EVIL_HEAD, base64.urlsafe_b64encode(b"\xfb\xef\xff" + PAYLOAD) + b"\r\n"))
    third = [PAYLOAD[i:i + 7] for i in range(0, len(PAYLOAD), 7)]
    case("m16-base64-padded-runs", "many runs, each with its padding: stop at the first '=', or go on",
         attachment(EVIL_HEAD, b"\r\n".join(base64.b64encode(p) for p in third) + b"\r\n"))
    case("m16-base64-padding-first", "'=' before the data", attachment(EVIL_HEAD, b"=" + B64_LINES))
    case("m16-base64-padding-missing", "the last group lacks its padding",
         attachment(EVIL_HEAD, base64.b64encode(PAYLOAD + b"\0" * ((1 - len(PAYLOAD)) % 3)).rstrip(b"=") + b"\r\n"))
    case("m16-base64-odd-length", "one character too many at the end", attachment(EVIL_HEAD, B64.rstrip(b"=") + b"Q\r\n"))
    case("m17-base64-short-lines", "three characters a line: groups cross lines",
         attachment(EVIL_HEAD, b"".join(B64[i:i + 3] + b"\r\n" for i in range(0, len(B64), 3))))
    case("m17-base64-blank-lines", "empty lines inside: the end, or nothing",
         attachment(EVIL_HEAD, b"".join(B64[i:i + 8] + b"\r\n\r\n" for i in range(0, len(B64), 8))))
    case("m17-base64-spaced", "blanks between all characters", attachment(EVIL_HEAD, b" ".join(B64[i:i + 1] for i in range(len(B64))) + b"\r\n"))
    case("m17-base64-after-text", "a line of prose before the data",
         attachment(EVIL_HEAD, b"This is the file you wanted:\r\n\r\n" + B64_LINES))
    quoted = EVIL_HEAD.replace(b"base64", b"quoted-printable")
    code = b"".join(b"=%02X" % c for c in PAYLOAD)
    case("m18-qp-lower-case", "lower case hex digits", attachment(quoted, code.lower() + b"\r\n"))
    case("m18-qp-soft-break-with-blanks", "blanks between '=' and the line end: soft break, or not",
         attachment(quoted, b"= \t\r\n".join(code[i:i + 30] for i in range(0, len(code), 30)) + b"\r\n"))
    case("m18-qp-bad-hex", "'=' with no hex digits behind it: kept, dropped, or the end",
         attachment(quoted, b"=ZZ=" + code + b"=4\r\n"))
    case("m18-qp-soft-break-bare-lf", "soft breaks of '=' LF and '=' CR",
         attachment(quoted, b"=\n".join(code[i:i + 30] for i in range(0, len(code), 30)) + b"=\r=41\r\n"))
    case("m18-qp-raw-eight-bit", "raw high bytes, and '=' as the last byte", attachment(quoted, b"caf\xe9 \xff" + code + b"="))


def boundaries() -> None:
    def with_boundary(value: bytes, body: bytes) -> bytes:
        return multipart(b"Content-Type: multipart/mixed; boundary=" + value + b"\r\n", body)
    case("m19-boundary-empty", "an empty boundary: every line '--' delimits", with_boundary(b'""', parts(b"", TEXT, EVIL)))
    case("m19-boundary-blanks-only", "a boundary of blanks", with_boundary(b'"   "', parts(b"   ", TEXT, EVIL)))
    long = b"l" * 120
    case("m19-boundary-too-long", "120 characters, where 70 are allowed: cut, or taken", with_boundary(b'"' + long + b'"',
         parts(long, TEXT) + parts(long[:70], TEXT, EVIL)))
    case("m19-boundary-prefix-of-another", "the inner boundary begins with the outer one",
         with_boundary(b'"two"', parts(b"two", TEXT, mixed(b"two-inner", TEXT, EVIL))))
    case("m19-boundary-text-behind-delimiter", "text behind the delimiter on its line",
         with_boundary(b'"two"', parts(b"two", TEXT, EVIL).replace(b"--two\r\nContent-Type: app", b"--two and more\r\nContent-Type: app")))
    case("m19-boundary-ends-in-dashes", "boundary 'two--' and 'two': a delimiter of one closes the other",
         with_boundary(b'"two--"', parts(b"two--", TEXT) + parts(b"two", TEXT, EVIL)))
    case("m19-boundary-case-differs-in-body", "'TWO' in the head, 'two' in the body", with_boundary(b'"TWO"', parts(b"two", TEXT, EVIL)))
    case("m19-boundary-without-dashes", "delimiter lines without '--'", with_boundary(b'"two"', parts(b"two", TEXT, EVIL).replace(b"--two", b"two")))
    case("m20-end-missing", "no end delimiter: the last part counts, or not",
         with_boundary(b'"two"', parts(b"two", TEXT, EVIL).removesuffix(b"--two--\r\n")))
    case("m20-end-early", "the end delimiter comes before the last part",
         with_boundary(b'"two"', b"--two\r\n" + TEXT + b"\r\n--two--\r\n--two\r\n" + EVIL + b"\r\n--two--\r\n"))
    case("m20-end-cut", "the mail ends in the middle of the delimiter", with_boundary(b'"two"', parts(b"two", TEXT, EVIL)[:-5]))
    same = b"Content-Type: multipart/mixed; boundary=\"two\"\r\n\r\n"
    case("m21-inner-same-as-outer", "both multiparts have one boundary",
         with_boundary(b'"two"', b"--two\r\n" + same + parts(b"two", TEXT, EVIL) + b"\r\n--two--\r\n"))
    case("m21-inner-without-boundary", "the inner multipart has no boundary and uses the outer one",
         with_boundary(b'"two"', b"--two\r\nContent-Type: multipart/mixed\r\n\r\n" + parts(b"two", TEXT, EVIL)))
    deep = EVIL
    for level in range(60):
        deep = mixed(b"level%d" % level, deep)
    case("m21-deep-nesting", "60 multiparts within one another", TOP + MIME + deep)
    case("m21-outer-delimiter-inside-inner", "the outer delimiter appears while the inner multipart is open",
         with_boundary(b'"two"', b"--two\r\nContent-Type: multipart/mixed; boundary=\"in\"\r\n\r\n--in\r\n" + TEXT
                       + b"\r\n--two\r\n" + TEXT + b"\r\n--in\r\n" + EVIL + b"\r\n--in--\r\n--two--\r\n"))
    case("m22-part-in-preamble", "a part with an own head before the first delimiter",
         with_boundary(b'"two"', EVIL + b"\r\n" + parts(b"two", TEXT)))
    case("m22-part-in-epilogue", "a part, with delimiters of another name, behind the end",
         with_boundary(b'"two"', parts(b"two", TEXT) + parts(b"one", EVIL)))
    case("m23-second-header-block", "a second block of fields behind the empty line of a part's head",
         attachment(b"Content-Type: text/plain\r\n", EVIL))
    case("m23-header-behind-junk", "a line of junk, then the fields of the part",
         attachment(b"!!!\r\n" + EVIL_HEAD, B64_LINES))
    case("m23-empty-part-head", "the part begins with an empty line, its fields come after",
         with_boundary(b'"two"', b"--two\r\n" + TEXT + b"\r\n--two\r\n\r\n" + EVIL + b"\r\n--two--\r\n"))


def types() -> None:
    body = parts(b"two", TEXT, EVIL)
    case("m24-multipart-without-boundary", "multipart/mixed without a boundary: guessed from the body, or text",
         multipart(b"Content-Type: multipart/mixed\r\n", body))
    case("m24-multipart-without-subtype", "'multipart' alone", multipart(b"Content-Type: multipart; boundary=\"two\"\r\n", body))
    case("m24-x-multipart", "an unknown main type with a boundary", multipart(b"Content-Type: x-multi/mixed; boundary=\"two\"\r\n", body))
    case("m24-text-with-boundary", "text/plain with a boundary and delimiter lines",
         multipart(b"Content-Type: text/plain; boundary=\"two\"\r\n", body))
    case("m24-type-missing", "parameters without a type", multipart(b"Content-Type: ; boundary=\"two\"\r\n", body))
    inner = b"From: bruno@example.net\r\nSubject: inner\r\n" + MIME + mixed(b"in", TEXT, EVIL)
    case("m25-digest-default-type", "a part without type: a mail in a digest, text elsewhere",
         multipart(b"Content-Type: multipart/digest; boundary=\"two\"\r\n", parts(b"two", b"\r\n" + inner)))
    case("m25-alternative-with-program", "an alternative no reader shows, yet some store",
         multipart(b"Content-Type: multipart/alternative; boundary=\"two\"\r\n", body))
    case("m25-related-start", "related whose start names the second part",
         multipart(b"Content-Type: multipart/related; start=\"<root@example.org>\"; boundary=\"two\"\r\n",
                   parts(b"two", TEXT, b"Content-ID: <root@example.org>\r\n" + EVIL)))
    case("m25-report-with-program", "the machine part of a report is a program",
         multipart(b"Content-Type: multipart/report; report-type=delivery-status; boundary=\"two\"\r\n",
                   parts(b"two", TEXT, EVIL_HEAD.replace(b"application/octet-stream", b"message/delivery-status") + b"\r\n" + B64_LINES)))
    case("m25-signed-with-program-as-signature", "the signature part is a program",
         multipart(b"Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha256; boundary=\"two\"\r\n",
                   parts(b"two", TEXT, EVIL_HEAD.replace(b"octet-stream", b"pgp-signature") + b"\r\n" + B64_LINES)))
    case("m26-rfc822-base64", "an embedded mail in base64, which RFC 2046 forbids: decoded by some",
         attachment(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n",
                    base64.encodebytes(inner).replace(b"\n", b"\r\n")))
    case("m26-rfc822-quoted-printable", "an embedded mail in quoted-printable",
         attachment(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n",
                    binascii.b2a_qp(inner.replace(b"\r\n", b"\n"), istext=True).replace(b"\n", b"\r\n")))
    case("m27-partial-first", "message/partial: a reader may join this with number 2",
         single(b"Content-Type: message/partial; id=\"whole@example.org\"; number=1; total=2\r\n", inner[:len(inner) - 60]))
    case("m27-partial-last", "the second piece of m27-partial-first",
         single(b"Content-Type: message/partial; id=\"whole@example.org\"; number=2; total=2\r\n", inner[len(inner) - 60:]))
    case("m28-external-body", "message/external-body: the content is elsewhere",
         single(b"Content-Type: message/external-body; access-type=URL;\r\n URL=\"http://files.example.net/program.exe\"\r\n",
                b"Content-Type: application/octet-stream\r\nContent-ID: <ext@example.org>\r\n\r\n"))


def old_encodings() -> None:
    uu = b"".join(binascii.b2a_uu(PAYLOAD[i:i + 45]).replace(b"\n", b"\r\n") for i in range(0, len(PAYLOAD), 45))
    block = b"begin 644 program.exe\r\n" + uu + b"`\r\nend\r\n"
    plain = b"Content-Type: text/plain; charset=us-ascii\r\n"
    case("m29-uuencode-in-text", "a uuencoded file in the text", single(plain, b"Hello.\r\n\r\n" + block))
    case("m29-uuencode-without-end", "'begin' without 'end'", single(plain, block.replace(b"`\r\nend\r\n", b"")))
    case("m29-uuencode-as-transfer-encoding", "x-uuencode as transfer encoding",
         attachment(EVIL_HEAD.replace(b": base64", b": x-uuencode"), block))
    case("m29-begin-line-in-prose", "prose that begins 'begin  ': a file to one old reader",
         single(plain, b"Hello.\r\n\r\nbegin  the day with tea.\r\nM and then go on\r\n"))
    yenc = b"".join(b"=" + bytes([(c + 106) & 255]) if (c + 42) & 255 in (0, 10, 13, 61) else bytes([(c + 42) & 255]) for c in PAYLOAD)
    case("m30-yenc-in-text", "a yEnc block",
         single(plain, b"=ybegin line=128 size=%d name=program.exe\r\n" % len(PAYLOAD) + yenc
                + b"\r\n=yend size=%d crc32=%08x\r\n" % (len(PAYLOAD), zlib.crc32(PAYLOAD))))
    case("m30-binhex", "a BinHex 4.0 file in the text and as type",
         attachment(b"Content-Type: application/mac-binhex40; name=\"program.hqx\"\r\n",
                    b"(This file must be converted with BinHex 4.0)\r\n\r\n:" + binhex(b"program.exe", PAYLOAD) + b":\r\n"))
    attach = tnef_attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0xffffffff, 0, 0, 0)) + \
        tnef_attribute(2, 0x00018010, b"program.exe\0") + tnef_attribute(2, 0x0006800F, PAYLOAD)
    tnef = struct.pack("<IH", 0x223E9F78, 1) + tnef_attribute(1, 0x00089006, struct.pack("<I", 0x00010000)) + attach
    case("m31-winmail-dat", "a TNEF bundle with a program in it",
         attachment(b"Content-Type: application/ms-tnef; name=\"winmail.dat\"\r\nContent-Transfer-Encoding: base64\r\n",
                    base64.encodebytes(tnef).replace(b"\n", b"\r\n")))


def tnef_attribute(level: int, kind: int, data: bytes) -> bytes:
    return struct.pack("<BII", level, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xffff)


def binhex(name: bytes, data: bytes) -> bytes:
    """BinHex 4.0 without run-length packing but for the escaped 0x90 (RFC 1741)."""
    def crc(block: bytes) -> bytes:
        return struct.pack(">H", binascii.crc_hqx(block, 0))
    head = bytes([len(name)]) + name + b"\0BINAEXMP" + struct.pack(">HII", 0, len(data), 0)
    whole = (head + crc(head) + data + crc(data) + crc(b"")).replace(b"\x90", b"\x90\0")
    alphabet = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    bits = "".join(f"{c:08b}" for c in whole)
    bits += "0" * (-len(bits) % 6)
    coded = bytes(alphabet[int(bits[i:i + 6], 2)] for i in range(0, len(bits), 6))
    return b"\r\n".join([coded[:63]] + [coded[i:i + 64] for i in range(63, len(coded), 64)])


def names_and_marks() -> None:
    def named(name: bytes, filename: bytes) -> bytes:
        return attachment(b"Content-Type: application/octet-stream; " + name + b"\r\nContent-Disposition: attachment; "
                          + filename + b"\r\nContent-Transfer-Encoding: base64\r\n", B64_LINES)
    case("m32-name-and-filename-differ", "picture by one field, program by the other",
         named(b'name="picture.png"', b'filename="program.exe"'))
    case("m32-filename-plain-and-rfc2231", "filename and filename* differ",
         named(b'name="a.txt"', b"filename=\"a.txt\"; filename*=utf-8''program%2Eexe"))
    case("m32-filename-trailing-dot", "'program.exe.' is program.exe on some systems", named(b'name="program.exe. "', b'filename="program.exe. "'))
    case("m32-filename-right-to-left", "a direction override shows 'exe.png' for 'gnp.exe'",
         named(b'name="a.txt"', b"filename*=utf-8''photo%E2%80%AEgnp.exe"))
    case("m32-filename-with-path", "a path in the name", named(b'name="..\\\\..\\\\program.exe"', b'filename="../../program.exe"'))
    case("m33-html-named-image", "HTML that calls itself a picture",
         attachment(b"Content-Type: image/png; name=\"picture.png\"\r\nContent-Transfer-Encoding: base64\r\n",
                    base64.encodebytes(b"<html><script>void 0</script>" + PAYLOAD + b"</html>").replace(b"\n", b"\r\n")))
    case("m36-charset-utf7", "text in UTF-7: angle brackets for those who decode it",
         single(b"Content-Type: text/html; charset=utf-7\r\n", b"+ADw-p+AD4-Hello+ADw-/p+AD4-\r\n"))
    case("m36-charset-twice", "two charsets for one text",
         single(b"Content-Type: text/plain; charset=us-ascii; charset=utf-7\r\n", b"+AGg-ello\r\n"))
    for name, field in (
            ("m39-own-mark", b"X-Mailward-Verdict: clean\r\n"),
            ("m39-own-mark-odd-case-and-blank", b"x-MAILWARD-verdict : clean\r\nX-Mailward-Scanned: yes\r\n"),
            ("m39-spam-and-virus-marks", b"X-Spam-Status: No, score=-99\r\nX-Spam-Flag: NO\r\nX-Virus-Scanned: clean\r\n"),
            ("m39-authentication-results", b"Authentication-Results: mail.example.net; dkim=pass header.d=shop.example; dmarc=pass\r\n")):
        case(name, "the sender writes a field a reader may trust", TOP + field + MIME + mixed(b"b1", TEXT, EVIL))


def main() -> None:
    for folder in INDEX:
        (OUT / folder).mkdir(parents=True, exist_ok=True)
        for old in (OUT / folder).glob("*.eml"):
            old.unlink()
    for group in (headers, spaces_and_line_ends, encodings, boundaries, types, old_encodings, names_and_marks):
        group()
    for folder, mails in INDEX.items():
        lines = [f"# {folder.capitalize()} mails", "", "Written by `../generate/hostile.py`.", "",
                 "| file | what it does |", "|---|---|"]
        lines += [f"| `{name}.eml` | {what} |" for name, what in sorted(mails)]
        (OUT / folder / "INDEX.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert DECEPTIVE == {name for name, _ in INDEX["deceptive"]}


if __name__ == "__main__":
    main()
