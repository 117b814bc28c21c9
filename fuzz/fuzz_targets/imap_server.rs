//! A hostile server of IMAP: frames of arbitrary bytes at arbitrary cuts. The same frames come however they are cut, and what is
//! written for the client is one response, which is read and written the same way again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mailward_fuzz::imap::{framed, rejoined};
use worker_proto::imap::frame::Frame;
use worker_proto::imap::response::Response;
use worker_proto::imap::write::Writer;
use worker_proto::machine::Side;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let whole = framed(Side::Server, bytes.len(), bytes, |frame| {
        if !frame.elided.is_empty() {
            let _ = Response::parse(frame);
            return;
        }
        let Ok(response) = Response::parse(frame) else { return };
        let once = written(&response);
        let lines = rejoined(Side::Server, &once);
        assert_eq!(lines.len(), 1, "one response is one response");
        let frame = Frame { text: lines.first().expect("one"), elided: &[] };
        let again = written(&Response::parse(frame).expect("what was written"));
        // Text for people may look like a code once its control characters are gone; from then on it stays what it is.
        let lines = rejoined(Side::Server, &again);
        let frame = Frame { text: lines.first().expect("one"), elided: &[] };
        assert_eq!(again, written(&Response::parse(frame).expect("what was written again")));
    });
    let cut = framed(Side::Server, usize::from(*cut) % 64 + 1, bytes, |_frame| {});
    assert_eq!(whole, cut);
});

fn written(response: &Response<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    response.write(&mut Writer::to_client(&mut out, false));
    out
}
