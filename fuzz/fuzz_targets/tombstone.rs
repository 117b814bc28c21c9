//! A mail that the recogniser accepts: with any of its leaves buried it is accepted again, and nothing has moved.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mime::recogniser::{Limits, recognise};
use scanner::rewrite::tombstone::{Words, refill};
use scanner::rewrite::{Edit, apply};

fuzz_target!(|mail: &[u8]| {
    let Ok(accepted) = recognise(mail, &Limits::default()) else { return };
    let words = Words { long: vec!["This was removed.".into(), "File: $(rm) <script>".into()], short: "removed".into() };
    let bury = |leaf: &mime::recogniser::Leaf| {
        let (octets, _) = refill(&mail[leaf.body.clone()], leaf.encoding, &words);
        Edit { range: leaf.body.clone(), octets }
    };
    let copy = apply(mail, accepted.leaves.iter().map(bury).collect()).unwrap();
    assert_eq!(copy.len(), mail.len());
    assert_eq!(recognise(&copy, &Limits::default()).unwrap(), accepted);
});
