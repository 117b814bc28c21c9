//! A hostile IMAP client: arbitrary bytes at arbitrary cuts in front of an ordinary server, whose every mail is put off. It sees none of
//! them, and the server sees commands of ours alone: the script ends when a line is none.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mailward_fuzz::imap_session::{Session, play};
use worker_proto::machine::Side;

fuzz_target!(|bytes: &[u8]| {
    let mut session = Session::new(Side::Client);
    play(&mut session, bytes);
    assert!(!session.leaks(), "content that nobody judged");
});
