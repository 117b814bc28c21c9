//! What the recogniser accepts and what it refuses, on mails of others and on constructs of an attacker.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

#[path = "../../tests/corpus/read.rs"]
mod corpus;

use corpus::mails;
use mime::recogniser::{Limits, decode, recognise};
use mime::transfer_encoding::{
    check_base64, check_quoted_printable, decode_base64, decode_quoted_printable, encode_base64,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::OnceLock;

fn accepts(mail: &[u8]) -> bool {
    recognise(mail, &Limits::default()).is_ok()
}

fn refusal(mail: &str) -> &'static str {
    recognise(mail.as_bytes(), &Limits::default()).map(|_| "accepted").unwrap_or_else(|refused| refused.what)
}

#[test]
fn at_least_95_of_100_ordinary_mails_of_seventeen_generators_are_accepted() {
    let mails = mails(&["ordinary"]);
    let mut by_generator: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (name, mail) in &mails {
        let generator = name.trim_end_matches(".eml").trim_end_matches(|c: char| c.is_ascii_digit());
        let counts = by_generator.entry(generator.trim_end_matches('-').to_owned()).or_default();
        counts.1 += 1;
        match recognise(mail, &Limits::default()) {
            Ok(_) => counts.0 += 1,
            Err(refused) => println!("  {name}: {} at {}", refused.what, refused.offset),
        }
    }
    for (generator, (accepted, all)) in &by_generator {
        println!("{generator:<20} {accepted:>3} of {all:>3}");
    }
    let accepted: usize = by_generator.values().map(|(accepted, _)| accepted).sum();
    println!("{:<20} {accepted:>3} of {:>3}: {} %", "in all", mails.len(), accepted * 100 / mails.len());
    assert!(mails.len() >= 200);
    assert!(by_generator.len() >= 17);
    assert!(accepted * 100 >= mails.len() * 95);
}

#[test]
fn every_hostile_mail_of_the_corpus_is_refused() {
    let mails = mails(&["hostile"]);
    assert!(mails.len() >= 40);
    for (name, mail) in mails {
        assert!(!accepts(&mail), "{name}");
    }
}

const PLAIN: &str = "From: a@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nHello.\r\n";
const MULTI: &str = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\nA preamble.\r\n--b1\r\nContent-Type: text/plain\r\n\r\none\r\n--b1\r\nContent-Type: application/octet-stream; name=x.bin\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename*=utf-8''%C4%8D.bin\r\n\r\naGVsbG8=\r\n--b1--\r\n";

#[test]
fn the_leaves_of_a_multipart_are_found_and_decoded() {
    let accepted = recognise(MULTI.as_bytes(), &Limits::default()).unwrap();
    let leaves: Vec<_> = accepted.leaves.iter().map(|leaf| decode(MULTI.as_bytes(), leaf)).collect();
    assert_eq!(leaves, [b"one".to_vec(), b"hello".to_vec()]);
    assert_eq!(accepted.leaves[1].names, ["x.bin", "č.bin"]);
    assert_eq!(accepted.leaves[1].content_type, "application/octet-stream");
}

#[test]
fn one_change_makes_an_unambiguous_mail_a_refused_one() {
    assert_eq!(refusal(PLAIN), "accepted");
    assert_eq!(refusal(MULTI), "accepted");
    for (mail, from, to) in [
        (PLAIN, "Subject: s\r\n", "Subject: s\n"),
        (PLAIN, "Hello.", "Hel\rlo."),
        (PLAIN, "Hello.", "Hel\0lo."),
        (PLAIN, "Hello.\r\n", "Hello."),
        (PLAIN, "Subject: s", "Subject : s"),
        (PLAIN, "Subject: s", "Subject s"),
        (PLAIN, "Subject: s", "Subject: s\r\n \t"),
        (PLAIN, "Subject: s", "Subject: s\r\nSubject: t"),
        (PLAIN, "Subject: s", "X-Mailward-Status: clean"),
        (PLAIN, "From: a", "From someone Mon\r\nFrom: a"),
        (PLAIN, "text/plain;", "text;"),
        (PLAIN, "text/plain;", "text/plain (comment);"),
        (PLAIN, "charset=us-ascii", "charset=us-ascii; charset=utf-8"),
        (PLAIN, "charset=us-ascii", "charset*=utf-8''us-ascii"),
        (PLAIN, "charset=us-ascii", "charset=\"us-ascii"),
        (PLAIN, "charset=us-ascii", "boundary=x"),
        (PLAIN, "text/plain", "message/partial"),
        (PLAIN, "text/plain", "message/external-body"),
        (PLAIN, "text/plain", "application/ms-tnef"),
        (PLAIN, "\r\n\r\nHello", "\r\nContent-Transfer-Encoding: base65\r\n\r\nHello"),
        (PLAIN, "\r\n\r\nHello", "\r\nContent-Transfer-Encoding: base64\r\n\r\nHello"),
        (PLAIN, "\r\n\r\nHello", "\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nHello"),
        (PLAIN, "\r\n\r\nHello", "\r\n Hello"),
        (PLAIN, "Hello.", "begin 644 x.exe\r\n#0V%T\r\n`\r\nend"),
        (PLAIN, "Hello.", "BEGIN  7\r\nx\r\n#0V%T\r\nend"),
        (PLAIN, "Hello.", "begin\t+100644a.exe\r\n#0V%T\r\n`\r\nend"),
        (PLAIN, "Subject: s", "X-Content-Type: text/html"),
        (PLAIN, "Subject: s", "Content-Transfer-Encoding.: base64"),
        (PLAIN, "Subject: s", "\"content-disposition\": attachment"),
        (PLAIN, "Hello.", "=ybegin line=128 size=3 name=x"),
        (PLAIN, "Hello.", "Hell\u{f6}."),
        (MULTI, "MIME-Version: 1.0\r\n", ""),
        (MULTI, "MIME-Version: 1.0\r\n", "MIME-Version: 1.0b\r\n"),
        (MULTI, "A preamble.", "A: preamble."),
        (MULTI, "A preamble.", "A preamble.\r\n\r\nAnd a text."),
        (MULTI, "--b1\r\nContent-Type: text/plain\r\n", "--b1\r\n"),
        (MULTI, "one\r\n", "one\r\n--B1\r\n"),
        (MULTI, "boundary=\"b1\"", "boundary=\"b1=?\""),
        (MULTI, "Encoding: base64", "Encoding: base64 "),
        (MULTI, "Encoding: base64", "Encoding:\r\n base64"),
        (MULTI, "filename*=utf-8''%C4%8D.bin", "filename*=%C4%8D.bin"),
        (MULTI, "filename*=utf-8''%C4%8D.bin", "filename*=utf-8''%C4%8.bin"),
        (MULTI, "filename*=utf-8''%C4%8D.bin", "filename*1=b; filename*0=a"),
        (MULTI, "filename*=utf-8''%C4%8D.bin", "filename*0=a; filename*2=b"),
        (MULTI, "filename*=utf-8''%C4%8D.bin", "filename=\"a\\\"; x=\\\"\""),
        (MULTI, "filename*=utf-8''%C4%8D.bin", "filename=\"a\\\"\""),
        (MULTI, "filename*=utf-8''%C4%8D.bin", "filename=\"a\\\\b\""),
        (MULTI, "text/plain", "message/disposition-notification\r\nContent-Transfer-Encoding: base64"),
        (MULTI, "text/plain\r\n\r\none", "message/delivery-status\r\n\r\ncontent-type: text/html"),
        (MULTI, "boundary=\"b1\"", "boundary=\"b1 \""),
        (MULTI, "boundary=\"b1\"", "boundary=\"\""),
        (MULTI, "boundary=\"b1\"", "boundary*=us-ascii''b1"),
        (MULTI, "boundary=\"b1\"", "boundary=\"b1\"; boundary=\"b2\""),
        (MULTI, "; boundary=\"b1\"", ""),
        (MULTI, "--b1--", "--b1"),
        (MULTI, "--b1--\r\n", "--b1--\r\nmore\r\n"),
        (MULTI, "--b1--\r\n", "--b1--\r\n--b1\r\n\r\nhidden\r\n--b1--\r\n"),
        (MULTI, "one\r\n", "one\r\n--b1x\r\n"),
        (MULTI, "A preamble.", "--other\r\nContent-Type: text/plain"),
        (MULTI, "aGVsbG8=", "aGVs!bG8="),
        (MULTI, "aGVsbG8=", "aGVsbG8=aGVsbG8="),
        (MULTI, "aGVsbG8=", "aGVsbG8"),
        (MULTI, "aGVsbG8=", "aGVs\r\n\r\nbG8="),
        (MULTI, "aGVsbG8=", "aGVsbG9="),
        (MULTI, "Content-Type: text/plain\r\n", "Content-Type: text/plain\r\nContent-Type: text/html\r\n"),
        (MULTI, "Content-Type: text/plain\r\n", "Content-Type: multipart/mixed; boundary=\"b1\"\r\n"),
        (MULTI, "Content-Type: text/plain\r\n", "Content-Type: multipart/mixed; boundary=\"b11\"\r\n"),
    ] {
        let changed = mail.replacen(from, to, 1);
        assert_ne!(changed, mail, "{from:?}");
        assert_ne!(refusal(&changed), "accepted", "{from:?} -> {to:?}");
    }
}

#[test]
fn a_line_of_prose_that_begins_with_a_beginning_is_prose() {
    for text in ["Begin 7 days before.", "BEGIN 20 SAMPLES\r\nthen go on"] {
        assert_eq!(refusal(&PLAIN.replace("Hello.", text)), "accepted", "{text}");
    }
}

#[test]
fn the_test_virus_is_decoded_where_it_is_a_part_and_nowhere_else_accepted() {
    // Joined here, so that no file of the project is taken for infected.
    let virus = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let encoded = String::from_utf8(encode_base64(virus.as_bytes())).unwrap();
    let mail = MULTI.replacen("aGVsbG8=\r\n", &encoded, 1);
    let accepted = recognise(mail.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(decode(mail.as_bytes(), &accepted.leaves[1]), virus.as_bytes());
    for (from, to) in [
        ("A preamble.", format!("A preamble.\r\n\r\n{virus}")),
        ("--b1--\r\n", format!("--b1--\r\n{virus}\r\n")),
        ("aGVsbG8=", format!("aGVsbG8=\r\n{encoded}")),
        ("aGVsbG8=", encoded.replacen('N', "N!", 1)),
        ("aGVsbG8=", encoded.trim_end().trim_end_matches('=').to_owned()),
    ] {
        assert_ne!(refusal(&MULTI.replacen(from, &to, 1)), "accepted", "{from:?}");
    }
}

#[test]
fn every_form_of_a_file_name_that_a_reader_may_show_is_reported() {
    let names = |disposition: &str| {
        let mail = MULTI.replacen("filename*=utf-8''%C4%8D.bin", disposition, 1);
        recognise(mail.as_bytes(), &Limits::default()).unwrap().leaves[1].names.clone()
    };
    assert_eq!(
        names("filename=\"a \\\"b\\\" c.zip\""),
        ["x.bin", "a \"b\" c.zip", "a \\\"b\\\" c.zip", "a \\"]
    );
    assert_eq!(names("filename=\"a.e\r\n xe\""), ["x.bin", "a.e xe", "a.exe"]);
    assert_eq!(
        names("filename*0*=utf-8''%C4%8D; filename*1=\"'s.b\"; filename*2*=i%6E"),
        ["x.bin", "č's.bin"]
    );
    assert_eq!(names("filename=y.bin; filename*=utf-8''z.bin"), ["x.bin", "y.bin", "z.bin"]);
}

#[test]
fn what_stands_in_a_message_bears_the_name_of_the_message_too_unless_that_is_one_of_a_message() {
    for (name, expected) in [("Fwd: hello.EML", &[][..]), ("run.hta", &["run.hta"])] {
        let mail = format!(
            "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822; name=\"{name}\"\r\n\r\nSubject: x\r\n\r\n<script>\r\n"
        );
        let accepted = recognise(mail.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(accepted.leaves[0].names, expected);
    }
}

#[test]
fn a_header_over_its_limit_is_refused_without_being_read_to_its_end() {
    let mail = [b"a:\r\n".repeat(100_000), b"\r\n".to_vec()].concat();
    let refused = recognise(&mail, &Limits::default()).unwrap_err();
    assert!(refused.limit, "{refused:?}");
    let mail = MULTI.replacen("one", &"--b1\r\nA: b\r\n\r\n\r\n".repeat(1_001), 1);
    let refused = recognise(mail.as_bytes(), &Limits::default()).unwrap_err();
    assert!(refused.limit, "{refused:?}");
}

#[test]
fn over_a_limit_is_a_limit_and_not_malformed() {
    let limits = Limits { max_parts: 2, ..Limits::default() };
    assert!(recognise(MULTI.as_bytes(), &limits).unwrap_err().limit);
    let limits = Limits { max_depth: 1, ..Limits::default() };
    assert!(recognise(MULTI.as_bytes(), &limits).unwrap_err().limit);
    let limits = Limits { max_header: 20, ..Limits::default() };
    assert!(recognise(MULTI.as_bytes(), &limits).unwrap_err().limit);
    let mut nested = String::from("MIME-Version: 1.0\r\n");
    for _ in 0..40 {
        nested.push_str("Content-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\n");
    }
    nested.push_str("\r\nx\r\n");
    assert!(recognise(nested.as_bytes(), &Limits::default()).unwrap_err().limit);
}

/// Ordinary mails of less than 16 KiB, read once.
fn small_ordinary_mails() -> &'static [Vec<u8>] {
    static MAILS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MAILS.get_or_init(|| {
        mails(&["ordinary"]).into_iter().map(|(_, mail)| mail).filter(|mail| mail.len() < 16 * 1024).collect()
    })
}

/// Each makes readers differ wherever a header begins with it.
const EVIL_FIELDS: [&str; 9] = [
    "\r\n",
    " folded: from nothing\r\n",
    "From someone Mon Jan  1 00:00:00 2026\r\n",
    "no colon\r\n",
    "Subject : blank\r\n",
    "X: bare\nLF\r\n",
    "X: bare\rCR\r\n",
    "X: nul\0\r\n",
    "From: first@example.org\r\nFrom: second@example.org\r\n",
];

/// If the mail is accepted, its leaves lie inside it, in order, header before body, and decode.
fn check_leaves(mail: &[u8]) -> Result<(), TestCaseError> {
    let Ok(accepted) = recognise(mail, &Limits::default()) else { return Ok(()) };
    let mut last = 0;
    for leaf in &accepted.leaves {
        prop_assert!(last <= leaf.header.start && leaf.header.start < leaf.header.end);
        prop_assert!(leaf.header.end == leaf.body.start && leaf.body.start <= leaf.body.end);
        prop_assert!(leaf.body.end <= mail.len());
        prop_assert!(decode(mail, leaf).len() <= leaf.body.len());
        last = leaf.body.end;
    }
    Ok(())
}

#[test]
fn base64_has_64_characters_and_a_sign_for_the_end() {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for byte in 0..=u8::MAX {
        assert_eq!(check_base64(&[b'A', byte, b'A', b'A']).is_ok(), alphabet.contains(&byte), "{byte}");
    }
    assert!(check_base64(b"AA==\r\n").is_ok() && check_base64(b"AA=A\r\n").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn arbitrary_octets_never_panic(mail in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = recognise(&mail, &Limits::default());
        let _ = decode_base64(&mail);
        let _ = decode_quoted_printable(&mail);
    }

    #[test]
    fn whatever_is_accepted_of_a_damaged_ordinary_mail_lies_inside_it_in_order(
        pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), remove in 0_usize..80,
        insert in "(\r\n|[\x00 ;:=\"a-z-]|--|Content-Type: |\u{e9}){0,4}"
    ) {
        let mut mail = small_ordinary_mails()[pick.index(small_ordinary_mails().len())].clone();
        let at = at.index(mail.len());
        let end = (at + remove).min(mail.len());
        mail.splice(at..end, insert.bytes());
        check_leaves(&mail)?;
    }

    #[test]
    fn an_accepted_mail_is_refused_once_something_evil_stands_in_its_header(
        pick in any::<prop::sample::Index>(), evil in 0_usize..EVIL_FIELDS.len()
    ) {
        let mail = &small_ordinary_mails()[pick.index(small_ordinary_mails().len())];
        prop_assume!(accepts(mail));
        let evil = [EVIL_FIELDS[evil].as_bytes(), mail].concat();
        prop_assert!(!accepts(&evil));
    }

    #[test]
    fn a_damaged_mail_never_panics_and_leaves_lie_inside_it(
        at in 0..MULTI.len(), remove in 0_usize..20, insert in "[\\r\\n\\x00 ;:=\"a-z-]{0,6}"
    ) {
        let mut mail = MULTI.as_bytes().to_vec();
        let end = (at + remove).min(mail.len());
        mail.splice(at..end, insert.bytes());
        check_leaves(&mail)?;
    }

    #[test]
    fn base64_round_trips_and_is_accepted(octets in proptest::collection::vec(any::<u8>(), 0..500)) {
        let encoded = encode_base64(&octets);
        prop_assert!(check_base64(&encoded).is_ok());
        prop_assert_eq!(decode_base64(&encoded), octets);
    }

    #[test]
    fn base64_in_pieces_of_any_length_is_decoded_as_if_it_were_one(
        octets in proptest::collection::vec(any::<u8>(), 0..300),
        cuts in proptest::collection::vec((0..500_usize, "[\r\n -]{1,3}"), 0..12),
    ) {
        // Nothing that is no base64 counts, wherever it stands: whole lines and broken ones give the same.
        let mut text = encode_base64(&octets);
        for (at, noise) in cuts {
            text.splice(at.min(text.len())..at.min(text.len()), noise.bytes());
        }
        prop_assert_eq!(decode_base64(&text), octets);
    }

    #[test]
    fn accepted_quoted_printable_decodes_without_loss(text in "[ -~]{0,60}") {
        let encoded = text.trim_end().replace('=', "=3D");
        prop_assert!(check_quoted_printable(encoded.as_bytes()).is_ok());
        prop_assert_eq!(decode_quoted_printable(encoded.as_bytes()), text.trim_end().as_bytes());
    }
}
