//! A mail that anybody on the Internet wrote: the recogniser ends, and every leaf lies inside the mail, in order.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mime::recogniser::{Limits, decode, recognise};

fuzz_target!(|mail: &[u8]| {
    if let Ok(accepted) = recognise(mail, &Limits::default()) {
        let mut last = 0;
        for leaf in &accepted.leaves {
            assert!(last <= leaf.header.start && leaf.header.end <= leaf.body.start.max(leaf.header.end));
            assert!(leaf.body.start <= leaf.body.end && leaf.body.end <= mail.len());
            last = leaf.header.start;
            let _ = decode(mail, leaf);
        }
    }
});
