//! A hostile client of IMAP: frames of arbitrary bytes at arbitrary cuts. The same frames come however they are cut, and what
//! is taken for a command is written as one that is read the same way.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mailward_fuzz::imap::{framed, rejoined};
use worker_proto::imap::command::{Body, Command};
use worker_proto::imap::write::{Literals, Writer};
use worker_proto::machine::Side;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let whole = framed(Side::Client, bytes.len(), bytes, |frame| {
        for utf8 in [false, true] {
            let Ok(command) = Command::parse(frame, utf8) else { continue };
            let _ = command.uses();
            if matches!(command.body, Body::Append(_) | Body::Replace(_)) {
                continue;
            }
            let (mut out, mut stops) = (Vec::new(), Vec::new());
            command.write(command.tag, &mut Writer::to_server(&mut out, &mut stops, Literals::Plus, utf8));
            assert!(stops.is_empty());
            let again = rejoined(Side::Client, &out);
            assert_eq!(again.len(), 1, "one command is one command");
            let again = again.first().expect("one");
            let frame = worker_proto::imap::frame::Frame { text: again, elided: &[] };
            assert_eq!(Command::parse(frame, utf8).as_ref(), Ok(&command));
        }
    });
    let cut = framed(Side::Client, usize::from(*cut) % 64 + 1, bytes, |_frame| {});
    assert_eq!(whole, cut);
});
