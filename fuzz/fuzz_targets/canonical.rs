//! A mail that anybody on the Internet wrote, or a file of an older format: it has one canonical form, which the
//! recogniser accepts and which stays as it is; reading it in every other way ends, within its bounds.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mime::recogniser::{Limits, recognise};
use scanner::canonical::rebuild;
use scanner::readings::{Bounds, of, unpack_tnef};

fuzz_target!(|mail: &[u8]| {
    let limits = Limits::default();
    match rebuild(mail, &limits, 1 << 24) {
        Ok(once) => {
            let accepted = recognise(&once.mail, &limits).expect("it is accepted");
            assert_eq!(accepted.leaves.len(), once.names.len());
            let twice = rebuild(&once.mail, &limits, 1 << 25).expect("it has a form too");
            assert_eq!(twice.mail, once.mail);
        }
        Err(refused) => assert!(refused.limit, "{refused:?}"),
    }
    let bounds = Bounds { leaves: 1000, octets: 1 << 24 };
    let readings = of(mail, bounds);
    assert!(readings.leaves.len() <= bounds.leaves);
    let _ = unpack_tnef(mail);
});
