//! Whatever a captured worker sends a scanner.
#![no_main]
use ipc::wire::{decode_with_octets, encode};
use ipc::worker_scanner::Task;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for fds in 0..3 {
        if let Ok((message, octets)) = decode_with_octets::<Task>(bytes, fds) {
            // What is accepted can be said again, and means the same.
            let again = [encode(&message).expect("a decoded message encodes").as_slice(), octets].concat();
            let (same, also) = decode_with_octets::<Task>(&again, fds).expect("an encoded message decodes");
            assert!(same == message && also == octets);
        }
    }
});
