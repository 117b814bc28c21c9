//! What a server says before TLS: three lines, in any cut; nothing of it counts.
#![no_main]
use libfuzzer_sys::fuzz_target;
use policy::names::Protocol;
use worker_proto::upgrade::{Step, Upgrade};

fn play(protocol: Protocol, bytes: &[u8], piece: usize) -> &'static str {
    let mut upgrade = Upgrade::new(protocol);
    for piece in bytes.chunks(piece) {
        upgrade = match upgrade.feed(piece) {
            Ok(Step::More(next) | Step::Ask(next)) => next,
            Ok(Step::Start) => return "start",
            Ok(Step::Refused) => return "refused",
            Err(_) => return "fault",
        };
    }
    "more"
}

fuzz_target!(|bytes: &[u8]| {
    for protocol in [Protocol::Pop3, Protocol::Imap] {
        let whole = play(protocol, bytes, bytes.len().max(1));
        // In one write there is always something behind the greeting.
        assert!(matches!(whole, "fault" | "more"), "{whole}");
        let _ = play(protocol, bytes, 1);
    }
});
