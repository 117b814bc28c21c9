//! The canonical form, held against the corpora: accepted, the same the second time, and nothing of an honest mail lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

#[path = "../../tests/corpus/read.rs"]
mod corpus;

use corpus::mails;
use mime::recogniser::{Limits, decode, recognise};
use proptest::prelude::*;
use scanner::canonical::rebuild;
use std::sync::OnceLock;

const MAX_DECODED: u64 = 200 << 20;

/// Decoded leaves and their types.
fn leaves(mail: &[u8]) -> Vec<(String, Vec<u8>)> {
    let accepted = recognise(mail, &Limits::default()).unwrap();
    accepted.leaves.iter().map(|leaf| (leaf.content_type.clone(), decode(mail, leaf))).collect()
}

#[test]
fn every_mail_of_the_corpora_has_one_canonical_form() {
    let mut rebuilt = 0;
    for folder in ["ordinary", "hostile", "deceptive"] {
        for (name, mail) in mails(&[folder]) {
            let once = match rebuild(&mail, &Limits::default(), MAX_DECODED) {
                Ok(once) => once,
                // The corpus has mails over a limit on purpose.
                Err(refused) => {
                    assert!(
                        refused.limit && name.contains("deep") | name.contains("volume"),
                        "{name}: {refused:?}"
                    );
                    continue;
                }
            };
            let accepted = recognise(&once.mail, &Limits::default()).unwrap();
            assert_eq!(accepted.leaves.len(), once.names.len(), "{name}");
            let twice = rebuild(&once.mail, &Limits::default(), MAX_DECODED).unwrap();
            assert_eq!(String::from_utf8_lossy(&twice.mail), String::from_utf8_lossy(&once.mail), "{name}");
            assert!(
                folder != "hostile"
                    || !once.offences.is_empty()
                    || recognise(&mail, &Limits::default()).is_err(),
                "{name}"
            );
            rebuilt += 1;
        }
    }
    assert!(rebuilt > 380, "{rebuilt}");
}

#[test]
fn nothing_of_an_ordinary_mail_is_lost_in_the_canonical_form() {
    for (name, mail) in mails(&["ordinary"]) {
        if recognise(&mail, &Limits::default()).is_err() {
            continue;
        }
        let before = leaves(&mail);
        let after = leaves(&rebuild(&mail, &Limits::default(), MAX_DECODED).unwrap().mail);
        assert_eq!(before.len(), after.len(), "{name}");
        for ((kind, before), (after_kind, after)) in before.iter().zip(&after) {
            let text = |octets: &[u8]| String::from_utf8_lossy(octets).split_whitespace().collect::<String>();
            let ascii = |octets: &[u8]| text(octets).chars().filter(char::is_ascii).collect::<String>();
            let same = if kind.starts_with("text/") {
                ascii(before) == ascii(after) || after.len() > before.len()
            } else {
                before == after || text(before) == text(after)
            };
            assert!(same, "{name}: {kind} {after_kind}");
        }
    }
}

#[test]
fn a_name_of_which_nothing_is_left_is_none() {
    let mail = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascit\"; name=\".\r\n\r\nHello.\r\n";
    let once = rebuild(mail, &Limits::default(), MAX_DECODED).unwrap();
    let twice = rebuild(&once.mail, &Limits::default(), MAX_DECODED).unwrap();
    assert_eq!(String::from_utf8_lossy(&twice.mail), String::from_utf8_lossy(&once.mail));
}

fn small_mails() -> &'static [Vec<u8>] {
    static MAILS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MAILS.get_or_init(|| {
        mails(&["ordinary", "hostile", "deceptive"])
            .into_iter()
            .map(|(_, mail)| mail)
            .filter(|mail| mail.len() < 16 * 1024)
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn whatever_comes_the_form_is_accepted_and_stays_as_it_is(
        pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), remove in 0_usize..80,
        insert in "(\r\n|\n|\r|[\x00 ;:=\"a-z()-]|--|begin 644 x|Content-Type: |multipart/mixed|boundary=|=\\?utf-8\\?Q\\?|\u{e9}){0,4}"
    ) {
        let mut mail = small_mails()[pick.index(small_mails().len())].clone();
        let at = at.index(mail.len());
        let end = (at + remove).min(mail.len());
        mail.splice(at..end, insert.bytes());
        match rebuild(&mail, &Limits::default(), MAX_DECODED) {
            Ok(once) => {
                let twice = rebuild(&once.mail, &Limits::default(), MAX_DECODED).unwrap();
                prop_assert_eq!(String::from_utf8_lossy(&twice.mail), String::from_utf8_lossy(&once.mail));
            }
            Err(refused) => prop_assert!(refused.limit, "{:?}", refused),
        }
    }

    #[test]
    fn arbitrary_octets_have_a_form_too(mail in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let once = rebuild(&mail, &Limits::default(), MAX_DECODED).unwrap();
        let twice = rebuild(&once.mail, &Limits::default(), MAX_DECODED).unwrap();
        prop_assert_eq!(twice.mail, once.mail);
    }
}
