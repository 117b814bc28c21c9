//! Whatever an engine or a spam filter answers, and whatever stands in the header that the latter is told of. Clean is only
//! what is said of the whole mail; nothing depends on where the octets were cut.
#![no_main]
use libfuzzer_sys::fuzz_target;
use scanner::antispam::envelope::Envelope;
use scanner::antispam::{rspamd, spamd};
use scanner::antivirus::clamd;
use scanner::antivirus::icap::{Reader, Response, Sent, understand};

const MAIL: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fuzz_target!(|octets: &[u8]| {
    let whole = read(&[octets]);
    if let Some(response) = &whole {
        let partly = [Sent::Part, Sent::Preview].map(|sent| understand(response, sent, &[]));
        assert!(partly.iter().all(|finding| !finding.statuses.is_clean()));
    }
    let (first, second) = octets.split_at(octets.len() / 2);
    assert_eq!(read(&[first, second]), whole);
    let early = clamd::Answer { octets: octets.to_vec(), number: 1, early: true };
    assert!(!clamd::understand(&early, &[]).statuses.is_clean());
    let finding = clamd::understand(&clamd::Answer { early: false, ..early }, &[]);
    assert!(!finding.statuses.is_clean() || octets.starts_with(b"1: ") && octets.ends_with(b": OK\0"));
    for score in [rspamd::understand(octets), spamd::understand(octets)].into_iter().flatten() {
        assert!(score.score.abs() <= 1_000_000_000_000);
    }
    let text = String::from_utf8_lossy(octets);
    let _ = policy::engine::signatures_made(&text);
    let fields: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(':')).collect();
    let Envelope { helo, from, to, .. } = Envelope::read(&fields);
    let told = [helo, from, to].into_iter().flatten();
    told.for_each(|word| assert!(word.bytes().all(|octet| octet.is_ascii_graphic())));
});

fn read(pieces: &[&[u8]]) -> Option<Response> {
    let mut reader = Reader::new(MAIL);
    pieces.iter().try_for_each(|piece| reader.take(piece)).ok()?;
    reader.response()
}
