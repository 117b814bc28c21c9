//! A hostile server: arbitrary bytes at arbitrary cuts behind a client that logs in and fetches. Whatever it sends, a
//! mail reaches the client only out of a judged copy, and here every mail is deferred.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mailward_fuzz::{Peers, run};
use worker_proto::machine::Side;

fuzz_target!(|bytes: &[u8]| {
    let mut peers = Peers::new(Side::Server);
    run(&mut peers, bytes);
    // A deferred RETR is one line; a mail would end in a terminator behind it.
    assert!(!peers.to_client.windows(11).any(|window| window == b"octets\r\n.\r\n"));
});
