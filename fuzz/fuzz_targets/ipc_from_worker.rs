//! Whatever a captured worker sends its supervisor.
#![no_main]
use ipc::wire::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for fds in 0..4 {
        if let Ok(message) = decode::<ipc::supervisor_worker::FromWorker>(bytes, fds) {
            // What is accepted can be said again, and means the same.
            let again = encode(&message).expect("a decoded message encodes");
            assert_eq!(decode::<ipc::supervisor_worker::FromWorker>(&again, fds).expect("an encoded message decodes"), message);
        }
    }
});
