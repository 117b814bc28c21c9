//! What signatures cost: `cargo run --release -p scanner --example signatures -- 100000` makes so many of each kind, and says
//! how long they take to load, how much memory they take, and how fast octets are compared with them.
use scanner::antivirus::signatures::{Collector, Verdict};
use std::fmt::Write as _;
use std::time::Instant;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    println!("{:<28} {:>9} {:>10} {:>12}", "", "load, ms", "memory, MB", "scan, MB/s");
    for (what, file, kind) in [
        ("SHA-256", "a.hsb", Kind::Sha256),
        ("MD5", "a.hdb", Kind::Md5),
        ("bodies", "a.ndb", Kind::Body),
        ("bodies with gaps", "a.ndb", Kind::Gaps),
    ] {
        let mut text = String::new();
        for number in 0..count {
            line(&mut text, number, kind, &mut random);
        }
        let octets: Vec<u8> = (0..16 << 20).map(|_| random.octet()).collect();
        let before = resident();
        let begun = Instant::now();
        let mut collector = Collector::default();
        collector.add_file(file, text.as_bytes());
        let (signatures, faults) = collector.finish();
        let loaded = begun.elapsed();
        let memory = resident().saturating_sub(before);
        assert!(faults.is_empty(), "{faults:?}");
        let begun = Instant::now();
        assert_eq!(signatures.scan(&octets), Verdict::Clean);
        let rate = octets.len() as f64 / 1e6 / begun.elapsed().as_secs_f64();
        let name = format!("{} {what}", signatures.count());
        println!("{name:<28} {:>9} {:>10.1} {rate:>12.0}", loaded.as_millis(), memory as f64 / 1e6);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Sha256,
    Md5,
    Body,
    Gaps,
}

fn line(text: &mut String, number: usize, kind: Kind, random: &mut Random) {
    let mut hex = |octets: usize| (0..octets).map(|_| format!("{:02x}", random.octet())).collect::<String>();
    let _ = match kind {
        Kind::Sha256 => writeln!(text, "{}:{}:Lab.File.Number-{number}", hex(32), number * 7),
        Kind::Md5 => writeln!(text, "{}:{}:Lab.File.Number-{number}", hex(16), number * 7),
        Kind::Body => writeln!(text, "Lab.Body.Number-{number}:0:*:{}", hex(48)),
        Kind::Gaps => writeln!(
            text,
            "Lab.Body.Number-{number}:0:*:{}??{}{{4-20}}{}*{}",
            hex(10),
            hex(10),
            hex(10),
            hex(12)
        ),
    };
}

/// Octets in memory, with pages that were given back at some time.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

struct Random(u64);

impl Random {
    fn octet(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_be_bytes()[3]
    }
}
