//! The part map: numbers as IMAP gives them, and no belief in octets that were not checked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mime::part_map::{PartMap, Transfer};
use mime::recogniser::{Limits, recognise};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// A mixed mail: a text, an alternative of two, an embedded mixed mail, an embedded plain one.
const MAIL: &str = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\none\r\ntwo\r\n\r\n--b1\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\nContent-Type: text/plain\r\n\r\na\r\n--b2\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b2--\r\n\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b3\r\n\r\n--b3\r\nContent-Type: text/plain\r\n\r\nx\r\n--b3--\r\n\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ny\r\n\r\n--b1--\r\n";

fn ordinary_maps() -> &'static [(usize, PartMap)] {
    static MAPS: OnceLock<Vec<(usize, PartMap)>> = OnceLock::new();
    MAPS.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/ordinary");
        let files = fs::read_dir(path).unwrap().flatten().map(|entry| entry.path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "eml")).collect();
        files.sort();
        files
            .iter()
            .map(|path| fs::read(path).unwrap())
            .filter_map(|mail| Some((mail.len(), PartMap::of(&mail, &Limits::default()).ok()?)))
            .collect()
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
    assert_eq!((text.lines, text.encoding), (2, Transfer::Absent));
    assert_eq!(text.parameters, [("charset".to_owned(), b"utf-8".to_vec())]);
    assert_eq!(map.section("2.2").unwrap().encoding, Transfer::Base64);
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
    fn arbitrary_octets_are_no_map(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(PartMap::decode(&octets, 100, &Limits::default()).is_err());
    }
}
