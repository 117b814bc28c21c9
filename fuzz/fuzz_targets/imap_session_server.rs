//! A hostile IMAP server: arbitrary bytes at arbitrary cuts behind a client that logs in, lists and fetches. Every mail is put off, so
//! whatever it sends, no content reaches the client.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mailward_fuzz::imap_session::{Session, play};
use worker_proto::machine::Side;

fuzz_target!(|bytes: &[u8]| {
    let mut session = Session::new(Side::Server);
    play(&mut session, bytes);
    assert!(!session.serves_content(), "content that nobody judged");
});
