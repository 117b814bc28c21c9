//! The part map: numbers as IMAP gives them, and no belief in octets that were not checked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

#[path = "../../tests/corpus/read.rs"]
mod corpus;

use corpus::mails;
use mime::decoder::{Decoder, decoded_length};
use mime::part_map::{Name, PartMap};
use mime::recogniser::{Encoding, Limits, recognise};
use mime::transfer_encoding::{decode_base64, decode_quoted_printable};
use proptest::prelude::*;
use std::sync::OnceLock;

/// A mixed mail: a text, an alternative of two, an embedded mixed mail, an embedded plain one.
const MAIL: &str = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\none\r\ntwo\r\n\r\n--b1\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\nContent-Type: text/plain\r\n\r\na\r\n--b2\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b2--\r\n\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b3\r\n\r\n--b3\r\nContent-Type: text/plain\r\n\r\nx\r\n--b3--\r\n\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ny\r\n\r\n--b1--\r\n";

/// Every mail of the corpus, good and bad.
fn corpus() -> &'static [Vec<u8>] {
    static MAILS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MAILS.get_or_init(|| {
        let all = mails(&["deceptive", "hostile", "ordinary"]);
        all.into_iter().map(|(_, mail)| mail).collect()
    })
}

fn ordinary_maps() -> &'static [(usize, PartMap)] {
    static MAPS: OnceLock<Vec<(usize, PartMap)>> = OnceLock::new();
    MAPS.get_or_init(|| {
        let ordinary = mails(&["ordinary"]);
        let map = |mail: &[u8]| Some((mail.len(), PartMap::of(mail, &Limits::default()).ok()?));
        ordinary.iter().filter_map(|(_, mail)| map(mail)).collect()
    })
}

#[test]
fn parts_are_numbered_as_imap_numbers_them() {
    let map = PartMap::of(MAIL.as_bytes(), &Limits::default()).unwrap();
    let found: Vec<_> =
        map.parts().iter().map(|part| (part.section.as_str(), part.content_type.as_str())).collect();
    assert_eq!(
        found,
        [
            ("TEXT", "multipart/mixed"),
            ("1", "text/plain"),
            ("2", "multipart/alternative"),
            ("2.1", "text/plain"),
            ("2.2", "text/html"),
            ("3", "message/rfc822"),
            ("3.TEXT", "multipart/mixed"),
            ("3.1", "text/plain"),
            ("4", "message/rfc822"),
            ("4.1", "text/plain"),
        ]
    );
    let text = map.section("1").unwrap();
    assert_eq!(&MAIL[text.body.clone()], "one\r\ntwo\r\n");
    assert_eq!((text.lines, text.encoding, text.decoded), (2, Some(Encoding::Identity), 10));
    assert_eq!(&MAIL[text.field(Name::ContentType).unwrap()], " text/plain; charset=utf-8");
    let html = map.section("2.2").unwrap();
    assert_eq!((html.encoding, html.decoded), (Some(Encoding::Base64), 1));
    assert_eq!(&MAIL[map.section("4.1").unwrap().header.clone()], "Subject: in\r\n\r\n");
    assert_eq!(map.section("5"), None);
}

#[test]
fn the_single_part_of_a_plain_mail_is_number_one() {
    let map = PartMap::of(b"Subject: s\r\n\r\nx\r\n", &Limits::default()).unwrap();
    assert_eq!(map.parts().iter().map(|part| part.section.as_str()).collect::<Vec<_>>(), ["1"]);
}

#[test]
fn maps_of_ordinary_mails_survive_the_way_between_processes() {
    assert!(ordinary_maps().len() >= 200);
    for (length, map) in ordinary_maps() {
        let octets = map.encode().unwrap();
        assert_eq!(PartMap::decode(&octets, *length, &Limits::default()).as_ref(), Ok(map));
        assert!(
            PartMap::decode(&octets, length + 1, &Limits::default()).is_err(),
            "the mail of another size"
        );
        let longer = [octets.as_slice(), b"\0"].concat();
        assert!(PartMap::decode(&longer, *length, &Limits::default()).is_err(), "an octet too many");
    }
}

#[test]
fn a_tolerant_reader_sees_in_an_accepted_mail_what_the_recogniser_saw() {
    let mut accepted = 0;
    for mail in corpus() {
        let tolerant = PartMap::tolerant(mail);
        let octets = tolerant.encode().unwrap();
        assert_eq!(PartMap::decode(&octets, mail.len(), &Limits::default()).as_ref(), Ok(&tolerant));
        if let Ok(map) = PartMap::of(mail, &Limits::default()) {
            assert_eq!(map, tolerant, "{}", String::from_utf8_lossy(mail));
            accepted += 1;
        }
    }
    assert!(accepted >= 200);
}

#[test]
fn parts_of_a_refused_mail_are_found_where_a_reader_finds_them() {
    let mail = b"Content-Type: multipart/mixed;\n boundary=\"b\" (c)\n\npreamble\n--b \nContent-Type: message/rfc822\n\nSubject: in\n\nx\n--b\nContent-Transfer-Encoding: x-odd\n\ny\n";
    let map = PartMap::tolerant(mail);
    let found: Vec<_> = map
        .parts()
        .iter()
        .map(|part| (part.section.as_str(), part.content_type.as_str(), &mail[part.body.clone()]))
        .collect();
    assert_eq!(
        found[1..],
        [
            ("1", "message/rfc822", &b"Subject: in\n\nx"[..]),
            ("1.1", "text/plain", b"x"),
            ("2", "text/plain", b"y\n"),
        ]
    );
    assert_eq!(map.section("2").unwrap().encoding, None);
    for nothing in [&b""[..], b"\r\n", b"\n", b"x", b"Subject: x", b"\r\nbody"] {
        let map = PartMap::tolerant(nothing);
        assert_eq!(map.parts().len(), 1);
        assert_eq!(map.parts()[0].body.end, nothing.len());
        let octets = map.encode().unwrap();
        assert_eq!(PartMap::decode(&octets, nothing.len(), &Limits::default()), Ok(map));
    }
}

#[test]
fn the_leaves_of_the_map_are_those_of_the_recogniser() {
    let accepted = recognise(MAIL.as_bytes(), &Limits::default()).unwrap();
    let map = PartMap::of(MAIL.as_bytes(), &Limits::default()).unwrap();
    let of_map: Vec<_> = map
        .parts()
        .iter()
        .filter(|part| !part.content_type.starts_with("multipart/") && part.content_type != "message/rfc822")
        .map(|part| (part.header.clone(), part.body.clone()))
        .collect();
    let of_recogniser: Vec<_> =
        accepted.leaves.iter().map(|leaf| (leaf.header.clone(), leaf.body.clone())).collect();
    assert_eq!(of_map, of_recogniser);
}

#[test]
fn a_map_over_a_limit_is_not_believed() {
    let octets = PartMap::of(MAIL.as_bytes(), &Limits::default()).unwrap().encode().unwrap();
    let decode = |limits| PartMap::decode(&octets, MAIL.len(), &limits);
    assert!(decode(Limits { max_parts: 10, max_depth: 4, ..Limits::default() }).is_ok());
    assert!(decode(Limits { max_parts: 9, ..Limits::default() }).is_err());
    assert!(decode(Limits { max_depth: 2, ..Limits::default() }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn of_a_damaged_map_only_parts_inside_one_another_are_believed(
        pick in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (length, map) = &ordinary_maps()[pick.index(ordinary_maps().len())];
        let mut octets = map.encode().unwrap();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        if let Ok(map) = PartMap::decode(&octets, *length, &Limits::default()) {
            let mut last = 0;
            for part in map.parts() {
                prop_assert!(last <= part.header.start && part.header.end == part.body.start);
                prop_assert!(part.body.end <= *length);
                last = part.header.end;
            }
        }
    }

    #[test]
    fn any_octets_have_a_map_that_is_believed(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "--b\r\n", "--b--\r\n", "--c\n", "\r\n", "\n", "x", "\"", "Subject: s\r\n", "MIME-Version: 1.0\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: multipart/digest; boundary=c\r\n",
            "content-type : message/rfc822\r\n", "Content-Transfer-Encoding: base64\r\n",
        ]), 0..40),
    ) {
        let mail = pieces.concat().into_bytes();
        let map = PartMap::tolerant(&mail);
        let octets = map.encode().unwrap();
        let decoded = PartMap::decode(&octets, mail.len(), &Limits::default());
        prop_assert_eq!(decoded.as_ref(), Ok(&map));
        if let Ok(accepted) = PartMap::of(&mail, &Limits::default()) {
            prop_assert_eq!(accepted, map);
        }
    }

    #[test]
    fn decoding_in_pieces_gives_what_decoding_the_whole_gives(
        body in prop_oneof![
            "([a-zA-Z0-9+/= ]|\r\n){0,80}".prop_map(String::into_bytes),
            "(=|=3D|=ff|=\r\n|=\n|\r\n|[a-f]| ){0,60}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..200),
        ],
        cuts in proptest::collection::vec(1_usize..20, 1..20),
    ) {
        for (encoding, whole) in [
            (Encoding::Identity, body.clone()),
            (Encoding::Base64, decode_base64(&body)),
            (Encoding::QuotedPrintable, decode_quoted_printable(&body)),
        ] {
            let mut decoder = Decoder::new(encoding);
            let (mut decoded, mut rest) = (Vec::new(), body.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at(rest.len().min(*cut));
                decoder.push(piece, &mut decoded);
                rest = behind;
            }
            decoder.finish(&mut decoded);
            prop_assert_eq!(decoded_length(&body, encoding), whole.len());
            prop_assert_eq!(decoded, whole);
        }
    }

    #[test]
    fn arbitrary_octets_are_no_map(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(PartMap::decode(&octets, 100, &Limits::default()).is_err());
    }
}
