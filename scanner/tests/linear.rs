//! What a hostile mail costs grows with its size and no faster: processor time over three sizes, for shapes that make
//! careless readers slow.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use nix::time::{ClockId, clock_gettime};
use policy::model::MailFilter;
use scanner::parts::take_apart;
use std::time::Duration;

const TOP: &str = "From: a@example.org\r\nMIME-Version: 1.0\r\n";
/// Sixteen times from the first to the last: linear costs grow sixteen times, quadratic ones 256 times.
const SIZES: [usize; 3] = [1 << 14, 1 << 16, 1 << 18];
/// Of the processor time of the thread.
const EXPONENT: f64 = 1.15;

fn filter() -> MailFilter {
    MailFilter {
        max_parts: 100_000,
        max_depth: 256,
        max_header: 16 << 20,
        max_decoded: 1 << 30,
        ..MailFilter::default()
    }
}

fn fill(before: &str, unit: &str, after: &str, size: usize) -> Vec<u8> {
    format!("{TOP}{before}{}{after}", unit.repeat(size / unit.len())).into_bytes()
}

fn spent() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    Duration::from(time)
}

#[test]
fn the_cost_of_a_hostile_mail_is_linear_in_its_size() {
    let multipart = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n";
    let shapes: [(&str, &str, &str, &str); 19] = [
        ("fields", "", "X-A: b\r\n", "Subject : x\r\n\r\nbody\r\n"),
        ("folds", "Subject: x", "\r\n y", "\r\nX : y\r\n\r\nbody\r\n"),
        ("junk lines", "", "junk\r\n", "\r\nbody\r\n"),
        ("parameters", "Content-Type: text/plain", "; a*0=b", "\r\n\r\nbody\r\n"),
        ("comments", "Content-Type: ", "(x", "text/plain\r\n\r\nbody\r\n"),
        ("quotes", "Content-Type: text/plain; a=", "\"\\", "\r\n\r\nbody\r\n"),
        ("encoded words", "Subject : ", "=?utf-8?Q?x?= ", "\r\n\r\nbody\r\n"),
        ("addresses", "To : ", "\"\u{e9}\" <a@b>, ", "\r\n\r\nbody\r\n"),
        ("parts", multipart, "--b\r\n\r\nx\r\n", "--b--\r\n"),
        ("delimiters", multipart, "--x\r\n", "--b--\r\n"),
        ("boundaries", multipart, "boundary=a\r\n", "--b--\r\n"),
        ("hyphens", multipart, "--", "\r\n--b--\r\n"),
        ("base64", "Content-Transfer-Encoding: base64\r\n\r\n", "QUJD!=", "\r\n"),
        ("quoted-printable", "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "a=\n=G", "\r\n"),
        ("uuencode", "\r\n", "begin 644 x\r\n#0V%T\r\n", "end\r\n"),
        ("beginnings", "\r\n", "begin 1\r\n", "!!!!!\r\n"),
        ("yEnc", "\r\n", "=ybegin x\r\n", "=yend\r\n"),
        ("BinHex", "\r\n", "(This file must be converted with BinHex\r\n", ":x:\r\n"),
        ("carriage returns", "\r\n", "x\ry\r", "\r\n"),
    ];
    let mut slow = Vec::new();
    for (name, before, unit, after) in shapes {
        let costs = SIZES.map(|size| {
            let mail = fill(before, unit, after, size);
            let cost = |_| {
                let begun = spent();
                let parts = take_apart(&mail, &filter());
                assert!(!parts.recognised, "{name} was to be doubtful");
                spent() - begun
            };
            (0..3).map(cost).min().unwrap().as_secs_f64()
        });
        let exponent = (costs[2] / costs[0]).ln() / (SIZES[2] as f64 / SIZES[0] as f64).ln();
        println!(
            "{name:<18} {:>8.2} {:>8.2} {:>8.2} ms, exponent {exponent:.2}",
            costs[0] * 1e3,
            costs[1] * 1e3,
            costs[2] * 1e3
        );
        if exponent > EXPONENT {
            slow.push((name, exponent));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}
