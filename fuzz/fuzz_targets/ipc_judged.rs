//! Whatever a captured scanner answers a worker.
#![no_main]
use ipc::wire::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for fds in 0..4 {
        if let Ok(message) = decode::<ipc::worker_scanner::Judged>(bytes, fds) {
            // What is accepted can be said again, and means the same.
            let again = encode(&message).expect("a decoded message encodes");
            assert_eq!(decode::<ipc::worker_scanner::Judged>(&again, fds).expect("an encoded message decodes"), message);
        }
    }
});
