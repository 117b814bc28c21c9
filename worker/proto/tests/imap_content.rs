//! FETCH items out of a scanned copy: what one item says of a message, every other says too.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

#[path = "../../../tests/corpus/read.rs"]
mod corpus;

use mime::part_map::{Part, PartMap};
use mime::recogniser::{Encoding, Limits};
use mime::transfer_encoding::{decode_base64, decode_quoted_printable};
use proptest::prelude::*;
use std::sync::OnceLock;
use worker_proto::imap::content::{Refusal, plan};
use worker_proto::imap::cursor::Cursor;
use worker_proto::imap::fetch_item::FetchItem;
use worker_proto::machine::{CopyFault, ScannedCopy, Side};

/// A copy that gives few octets at once.
#[derive(Debug)]
struct Held {
    mail: Vec<u8>,
    map: PartMap,
}

impl Held {
    fn of(mail: &[u8]) -> Self {
        let map = PartMap::of(mail, &Limits::default()).unwrap_or_else(|_| PartMap::tolerant(mail));
        Self { mail: mail.to_vec(), map }
    }
}

impl ScannedCopy for Held {
    fn length(&self) -> u64 {
        self.mail.len() as u64
    }
    fn parts(&self) -> &PartMap {
        &self.map
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize, CopyFault> {
        let rest = self.mail.get(usize::try_from(at).unwrap()..).ok_or(CopyFault::Unreadable)?;
        let count = rest.len().min(into.len()).min(5000);
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

fn written(copy: &dyn ScannedCopy, item: &str, bound: usize) -> Result<Vec<u8>, Refusal> {
    let items = FetchItem::parse_all(&mut Cursor::of_part(item.as_bytes(), Side::Client)).unwrap();
    let mut answer = plan(&items[0], copy, false)?.unwrap();
    let (length, mut out) = (answer.length(), Vec::new());
    loop {
        let before = out.len();
        let done = answer.write(copy, &mut out, bound)?;
        assert!(
            out.len() - before <= bound.max(600).saturating_add(16 * 1024),
            "one call writes a bounded piece"
        );
        if done {
            assert_eq!(out.len() as u64, length, "{item}");
            assert_eq!(answer.length(), 0);
            return Ok(out);
        }
    }
}

/// The value that an item is answered with; nothing for NIL.
fn value(copy: &dyn ScannedCopy, item: &str) -> Option<Vec<u8>> {
    let name = item.replace(".PEEK", "");
    let name = name.find('<').map_or(name.clone(), |at| {
        let origin = name[at + 1..].split('.').next().unwrap();
        format!("{}<{origin}>", &name[..at])
    });
    let out = written(copy, item, 64 * 1024).unwrap();
    let rest = out.strip_prefix(format!("{name} ").as_bytes()).unwrap_or_else(|| {
        unreachable!("{name} is echoed in {}", String::from_utf8_lossy(&out[..out.len().min(100)]))
    });
    if rest == b"NIL" {
        return None;
    }
    let rest = rest.strip_prefix(b"~").unwrap_or(rest);
    let end = rest.iter().position(|octet| *octet == b'\n').unwrap();
    let announced: usize = std::str::from_utf8(&rest[1..end - 2]).unwrap().parse().unwrap();
    let octets = &rest[end + 1..];
    assert_eq!(octets.len(), announced, "{item}");
    Some(octets.to_vec())
}

fn content(copy: &dyn ScannedCopy, item: &str) -> Vec<u8> {
    value(copy, item).unwrap_or_else(|| unreachable!("{item} is there"))
}

fn text(copy: &dyn ScannedCopy, item: &str) -> String {
    String::from_utf8(written(copy, item, 1000).unwrap()).unwrap()
}

/// Good mails and bad ones.
fn held() -> &'static [Held] {
    static MAILS: OnceLock<Vec<Held>> = OnceLock::new();
    MAILS.get_or_init(|| {
        let mails = corpus::mails(&["deceptive", "hostile", "ordinary"]);
        mails.iter().map(|(_, mail)| Held::of(mail)).collect()
    })
}

fn numbered(map: &PartMap) -> impl Iterator<Item = &Part> {
    map.parts().iter().filter(|part| !part.section.ends_with("TEXT"))
}

/// A value of IMAP's syntax.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Nil,
    Number(u64),
    Text(Vec<u8>),
    List(Vec<Value>),
}

fn parsed(text: &mut &[u8]) -> Value {
    while text.first() == Some(&b' ') {
        *text = &text[1..];
    }
    match text[0] {
        b'(' => {
            *text = &text[1..];
            let mut values = Vec::new();
            while text[0] != b')' {
                values.push(parsed(text));
                while text[0] == b' ' {
                    *text = &text[1..];
                }
            }
            *text = &text[1..];
            Value::List(values)
        }
        b'"' => {
            let (mut plain, mut at) = (Vec::new(), 1);
            while text[at] != b'"' {
                at += usize::from(text[at] == b'\\');
                plain.push(text[at]);
                at += 1;
            }
            *text = &text[at + 1..];
            Value::Text(plain)
        }
        b'{' => {
            let end = text.iter().position(|octet| *octet == b'\n').unwrap();
            let count: usize = std::str::from_utf8(&text[1..end - 2]).unwrap().parse().unwrap();
            let plain = text[end + 1..end + 1 + count].to_vec();
            *text = &text[end + 1 + count..];
            Value::Text(plain)
        }
        _ => {
            let end = text.iter().position(|octet| b" ()".contains(octet)).unwrap_or(text.len());
            let word = std::str::from_utf8(&text[..end]).unwrap();
            *text = &text[end..];
            if word == "NIL" { Value::Nil } else { Value::Number(word.parse().unwrap()) }
        }
    }
}

fn structure(copy: &dyn ScannedCopy) -> Value {
    let out = written(copy, "BODYSTRUCTURE", 1000).unwrap();
    let mut rest = out.strip_prefix(b"BODYSTRUCTURE ").unwrap();
    let value = parsed(&mut rest);
    assert!(rest.is_empty());
    value
}

/// (number, octets, lines) of every leaf and message that a structure tells of.
fn leaves(value: &Value, number: &str, whole: bool, found: &mut Vec<(String, u64, Option<u64>)>) {
    let Value::List(items) = value else { unreachable!("{value:?}") };
    let below =
        |index: usize| if number.is_empty() { index.to_string() } else { format!("{number}.{index}") };
    if let Value::List(_) = items[0] {
        for (index, inner) in items.iter().take_while(|item| matches!(item, Value::List(_))).enumerate() {
            leaves(inner, &below(index + 1), false, found);
        }
        return;
    }
    let number = if whole { below(1) } else { number.to_owned() };
    let (Value::Text(kind), Value::Text(subtype), Value::Number(octets)) = (&items[0], &items[1], &items[6])
    else {
        unreachable!("{items:?}")
    };
    let lines = |at: usize| if let Value::Number(lines) = items[at] { Some(lines) } else { None };
    match (kind.as_slice(), subtype.as_slice()) {
        (b"message", b"rfc822") => {
            found.push((number.clone(), *octets, lines(9)));
            leaves(&items[8], &number, true, found);
        }
        (b"text", _) => found.push((number, *octets, lines(7))),
        _ => found.push((number, *octets, None)),
    }
}

fn structure_agrees(copy: &Held) {
    let mut found = Vec::new();
    leaves(&structure(copy), "", true, &mut found);
    let told: Vec<_> = found.iter().map(|(number, ..)| number.clone()).collect();
    let there: Vec<_> =
        numbered(&copy.map).filter(|part| !part.is_multipart()).map(|part| part.section.clone()).collect();
    assert_eq!(told, there);
    for (number, octets, lines) in found {
        let body = content(copy, &format!("BODY.PEEK[{number}]"));
        assert_eq!(octets, body.len() as u64, "octets of {number}");
        if let Some(lines) = lines {
            assert_eq!(
                lines,
                body.iter().filter(|octet| **octet == b'\n').count() as u64,
                "lines of {number}"
            );
        }
    }
}

#[test]
fn header_and_text_are_the_message_under_every_name() {
    for copy in held() {
        let whole = content(copy, "BODY.PEEK[]");
        assert_eq!(whole, copy.mail);
        let (header, text) = (content(copy, "BODY[HEADER]"), content(copy, "BODY.PEEK[TEXT]"));
        assert_eq!([header.clone(), text.clone()].concat(), whole);
        assert_eq!(content(copy, "RFC822"), whole);
        assert_eq!(content(copy, "RFC822.HEADER"), header);
        assert_eq!(content(copy, "RFC822.TEXT"), text);
        assert_eq!(self::text(copy, "RFC822.SIZE"), format!("RFC822.SIZE {}", whole.len()));
        let all = content(copy, "BODY.PEEK[HEADER.FIELDS.NOT (X-Nowhere)]");
        assert_eq!(all.strip_suffix(b"\r\n").map(<[u8]>::len), Some(all.len() - 2));
        assert!(header.starts_with(&all[..all.len() - 2]));
        let [some, others] = [
            content(copy, "BODY.PEEK[HEADER.FIELDS (subject FROM)]"),
            content(copy, "BODY.PEEK[HEADER.FIELDS.NOT (subject FROM)]"),
        ];
        assert_eq!(some.len() + others.len(), all.len() + 2, "each field is in one of both");
    }
}

#[test]
fn every_part_is_what_the_structure_says() {
    for copy in held() {
        structure_agrees(copy);
        for part in numbered(&copy.map) {
            let number = &part.section;
            assert_eq!(content(copy, &format!("BODY.PEEK[{number}.MIME]")), copy.mail[part.header.clone()]);
            let sections = ["HEADER", "TEXT"].map(|text| value(copy, &format!("BODY.PEEK[{number}.{text}]")));
            if part.is_message() {
                let message = content(copy, &format!("BODY.PEEK[{number}]"));
                assert_eq!(sections.map(Option::unwrap).concat(), message);
            } else {
                assert_eq!(sections.map(Option::unwrap), [b"", b""]);
            }
        }
    }
}

#[test]
fn a_decoded_part_is_as_long_as_its_size_says() {
    let mut decoded = 0;
    for copy in held() {
        for part in numbered(&copy.map) {
            let number = &part.section;
            let body = &copy.mail[part.body.clone()];
            let container = part.is_message() || part.is_multipart();
            let expected = match part.encoding {
                None => {
                    let refused = written(copy, &format!("BINARY.PEEK[{number}]"), 1);
                    assert_eq!(refused, Err(Refusal::UnknownEncoding));
                    continue;
                }
                Some(Encoding::Base64) if !container => decode_base64(body),
                Some(Encoding::QuotedPrintable) if !container => decode_quoted_printable(body),
                Some(_) => body.to_vec(),
            };
            let size = text(copy, &format!("BINARY.SIZE[{number}]"));
            assert_eq!(size, format!("BINARY.SIZE[{number}] {}", expected.len()));
            assert_eq!(content(copy, &format!("BINARY.PEEK[{number}]")), expected);
            let (from, count) = (expected.len() / 3, expected.len() / 2 + 1);
            let some = content(copy, &format!("BINARY[{number}]<{from}.{count}>"));
            assert_eq!(some, expected[from..expected.len().min(from + count)]);
            decoded += usize::from(expected.len() != body.len());
        }
    }
    assert!(decoded > 200);
}

#[test]
fn what_is_not_there_is_empty_and_so_is_what_is_past_the_end() {
    let copy = Held::of(b"Subject: s\r\n\r\nHi.\r\n");
    assert_eq!(text(&copy, "BODY[2]"), "BODY[2] {0}\r\n");
    assert_eq!(text(&copy, "BODY[1.1]"), "BODY[1.1] {0}\r\n");
    assert_eq!(text(&copy, "BODY[1.HEADER]<0.5>"), "BODY[1.HEADER]<0> {0}\r\n");
    assert_eq!(text(&copy, "BINARY[2]"), "BINARY[2] ~{0}\r\n");
    assert_eq!(text(&copy, "BINARY.SIZE[2]"), "BINARY.SIZE[2] 0");
    assert_eq!(text(&copy, "BODY[]<19.5>"), "BODY[]<19> {0}\r\n");
    assert_eq!(
        text(&copy, "BODY[]<9223372036854775807.9223372036854775807>").split_once(' ').unwrap().1,
        "{0}\r\n"
    );
    assert_eq!(text(&copy, "BODY[1]<2.100>"), "BODY[1]<2> {3}\r\n.\r\n");
    assert_eq!(
        text(&copy, "BODY.PEEK[HEADER.FIELDS (Subject)]<3.4>"),
        "BODY[HEADER.FIELDS (Subject)]<3> {4}\r\nject"
    );
}

#[test]
fn an_item_of_the_server_s_is_not_answered_here() {
    let copy = Held::of(b"Subject: s\r\n\r\nHi.\r\n");
    for item in ["FLAGS", "UID", "INTERNALDATE", "MODSEQ", "EMAILID", "THREADID", "SAVEDATE"] {
        let items = FetchItem::parse_all(&mut Cursor::of_part(item.as_bytes(), Side::Client)).unwrap();
        assert!(plan(&items[0], &copy, false).unwrap().is_none(), "{item}");
    }
}

#[test]
fn the_envelope_tells_fields_unfolded_and_not_decoded() {
    let copy = Held::of(
        b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nSubject: =?utf-8?Q?=C4=8D?=\r\n and \"more\"\r\n\
          From: \"A B\" <a@example.org>\r\nReply-To: \r\n\tr@example.org\r\nTo: team: x@y;\r\n\
          Message-ID: <1@example.org>\r\n\r\n",
    );
    let from = r#"(("A B" NIL "a" "example.org"))"#;
    assert_eq!(
        text(&copy, "ENVELOPE"),
        format!(
            r#"ENVELOPE ("Thu, 1 Jan 2026 00:00:00 +0000" "=?utf-8?Q?=C4=8D?= and \"more\"" {from} {from} ((NIL NIL "r" "example.org")) ((NIL NIL "team" NIL)(NIL NIL "x" "y")(NIL NIL NIL NIL)) NIL NIL NIL "<1@example.org>")"#
        )
    );
    let copy = Held::of("Subject: \u{10d}\r\n\r\n".as_bytes());
    assert_eq!(text(&copy, "ENVELOPE"), "ENVELOPE (NIL {2}\r\n\u{10d} NIL NIL NIL NIL NIL NIL NIL NIL)");
}

#[test]
fn the_structure_tells_every_field_of_a_part() {
    let copy = Held::of(
        b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\
          Content-Language: en, de\r\n\r\n--b\r\nContent-Type: image/png; name=\"a\r\n b.png\"\r\n\
          Content-Transfer-Encoding: BASE64\r\nContent-ID: <c@d>\r\nContent-Description: a\r\n picture\r\n\
          Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\nContent-Disposition: attachment; filename=x\r\n\
          Content-Location: http://example.org/\r\nContent-Language: en\r\n\r\nYQ==\r\n--b--\r\n",
    );
    assert_eq!(
        text(&copy, "BODYSTRUCTURE"),
        r#"BODYSTRUCTURE (("image" "png" ("name" "a b.png") "<c@d>" "a picture" "BASE64" 4 "Q2hlY2sgSW50ZWdyaXR5IQ==" ("attachment" ("filename" "x")) ("en") "http://example.org/") "mixed" ("boundary" "b") NIL ("en" "de") NIL)"#
    );
    assert_eq!(
        text(&copy, "BODY"),
        r#"BODY (("image" "png" ("name" "a b.png") "<c@d>" "a picture" "BASE64" 4) "mixed")"#
    );
}

#[test]
fn a_scanner_that_lies_about_a_decoded_length_ends_the_answer() {
    let mail = b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\nContent-Type: a/b\r\n\r\nYWJj\r\n";
    let honest = Held::of(mail);
    let encoded = honest.map.encode().unwrap();
    let at = encoded.windows(8).position(|octets| octets == 3_u64.to_le_bytes()).unwrap();
    for lie in [0_u8, 2, 4, 6] {
        let mut encoded = encoded.clone();
        encoded[at] = lie;
        let map = PartMap::decode(&encoded, mail.len(), &Limits::default()).unwrap();
        let copy = Held { mail: mail.to_vec(), map };
        assert_eq!(written(&copy, "BINARY[1]", 100), Err(Refusal::Copy(CopyFault::Changed)), "{lie}");
    }
}

#[test]
fn a_copy_that_ends_early_is_not_served_as_if_it_were_whole() {
    let mut copy = Held::of(b"Subject: s\r\n\r\nHi.\r\n");
    copy.mail.truncate(15);
    let items = FetchItem::parse_all(&mut Cursor::of_part(b"BODY[TEXT]", Side::Client)).unwrap();
    let mut answer = plan(&items[0], &copy, false).unwrap().unwrap();
    let mut out = Vec::new();
    assert_eq!(answer.write(&copy, &mut out, 1000), Err(CopyFault::Unreadable));
    assert_eq!(out, b"BODY[TEXT] {5}\r\n");
}

#[test]
fn a_large_mail_is_written_in_bounded_pieces() {
    let body =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(20_000);
    let mail =
        format!("MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\nContent-Type: a/b\r\n\r\n{body}");
    let copy = Held::of(mail.as_bytes());
    assert_eq!(written(&copy, "BODY[]", 10_000).unwrap().len(), mail.len() + "BODY[] {1560079}\r\n".len());
    assert_eq!(content(&copy, "BINARY[1]").len(), 57 * 20_000);
}

fn entity(depth: u32) -> impl Strategy<Value = String> {
    let leaf = ("[a-z ]{0,20}", 0_usize..4, prop::bool::ANY).prop_map(|(line, lines, html)| {
        let kind = if html { "text/html" } else { "application/x" };
        format!("Content-Type: {kind}\r\n\r\n{}", format!("{line}\r\n").repeat(lines))
    });
    leaf.prop_recursive(depth, 20, 4, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 1..4), "[a-z]{12}").prop_map(|(parts, boundary)| {
                let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n{parts}--{boundary}--\r\n")
            }),
            inner.prop_map(|inner| format!(
                "Content-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\n{inner}"
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_cutting_of_any_section_gives_the_section(
        pick in any::<prop::sample::Index>(),
        part in any::<prop::sample::Index>(),
        lengths in prop::collection::vec(1_usize..3000, 1..6),
        bound in 1_usize..5000,
    ) {
        let copy = &held()[pick.index(held().len())];
        let parts: Vec<_> = numbered(&copy.map).collect();
        let number = parts.get(part.index(parts.len().max(1))).map_or("1", |part| part.section.as_str());
        for section in [
            "BODY.PEEK[]".to_owned(), "BODY.PEEK[TEXT]".into(), format!("BODY.PEEK[{number}]"),
            format!("BINARY.PEEK[{number}]"), "BODY.PEEK[HEADER.FIELDS.NOT (Received Date)]".into(),
        ] {
            if section.starts_with("BINARY") && written(copy, &section, 1000).is_err() {
                continue;
            }
            let Some(whole) = value(copy, &section) else { continue };
            let (mut joined, mut lengths) = (Vec::new(), lengths.iter().cycle());
            loop {
                let length = lengths.next().unwrap() + whole.len() / 40;
                let piece = content(copy, &format!("{section}<{}.{length}>", joined.len()));
                if piece.is_empty() {
                    break;
                }
                joined.extend(piece);
            }
            prop_assert!(joined == whole, "{} in pieces", section);
            prop_assert_eq!(written(copy, &section, bound), written(copy, &section, usize::MAX));
        }
    }

    #[test]
    fn generated_mails_of_any_nesting_obey_the_same_laws(entity in entity(5)) {
        let mail = format!("From: a@example.org\r\nMIME-Version: 1.0\r\n{entity}");
        prop_assert!(PartMap::of(mail.as_bytes(), &Limits::default()).is_ok(), "{}", mail);
        let copy = Held::of(mail.as_bytes());
        structure_agrees(&copy);
        prop_assert_eq!([content(&copy, "BODY[HEADER]"), content(&copy, "BODY[TEXT]")].concat(), mail.as_bytes());
    }

    #[test]
    fn whatever_octets_a_copy_has_every_item_is_answered(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "--b\r\n", "--b--\r\n", "\r\n", "\n", "x", "\"", "(", "<", "From: ", ":;,@", "a@b", "Subject: \u{10d}\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: message/rfc822\r\n", "Content-Disposition: a; ",
            "=\"\\", "Content-Transfer-Encoding: base64\r\n", "YQ=", "\0", "Content-Language: a, \"b\", (c\r\n",
        ]), 0..40),
    ) {
        let copy = Held::of(pieces.concat().as_bytes());
        structure_agrees(&copy);
        for item in ["ENVELOPE", "BODY", "BODYSTRUCTURE"] {
            let out = written(&copy, item, 1000).unwrap();
            let mut rest = &out[item.len() + 1..];
            parsed(&mut rest);
            prop_assert!(rest.is_empty());
        }
        if copy.map.section("1").is_some_and(|part| part.encoding.is_some()) {
            let decoded = content(&copy, "BINARY[1]").len();
            prop_assert_eq!(text(&copy, "BINARY.SIZE[1]"), format!("BINARY.SIZE[1] {decoded}"));
        }
    }
}
