//! A hostile client: arbitrary bytes at arbitrary cuts, in front of an ordinary server. The server sees permitted
//! commands only, and no octet of a mail reaches the client before its verdict.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mailward_fuzz::{Peers, SECRET, run};
use worker_proto::machine::Side;

fuzz_target!(|bytes: &[u8]| {
    let mut peers = Peers::new(Side::Client);
    run(&mut peers, bytes);
    for line in peers.to_server.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let verb: Vec<u8> = line.iter().take_while(|byte| byte.is_ascii_alphabetic()).copied().collect();
        let known = [
            "USER", "PASS", "APOP", "AUTH", "CAPA", "STAT", "LIST", "UIDL", "RETR", "TOP", "NOOP", "LAST", "RSET",
            "UTF", "LANG", "QUIT",
        ];
        // Lines of a SASL exchange are no commands; the server of this target never asks for one.
        assert!(known.iter().any(|name| name.as_bytes() == verb), "{:?}", String::from_utf8_lossy(line));
    }
    assert!(!contains(&peers.to_client, SECRET));
});

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
