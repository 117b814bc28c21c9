//! A body signature of whoever makes them, and octets that anybody on the Internet wrote: reading it breaks nothing, and the
//! search ends. Behind the first line of the input stand the octets.
#![no_main]
use libfuzzer_sys::fuzz_target;
use scanner::antivirus::signatures::{Collector, Verdict};

fuzz_target!(|input: &[u8]| {
    let (line, octets) = input.split_at(input.iter().position(|octet| *octet == b'\n').unwrap_or(input.len()));
    let mut collector = Collector::default();
    collector.add_file("fuzz.ndb", line);
    collector.add_file("fuzz.hsb", line);
    let (signatures, faults) = collector.finish();
    assert!(faults.len() <= 2 && signatures.count() <= 2);
    let verdict = signatures.scan(octets);
    assert!(signatures.count() > 0 || verdict == Verdict::Clean);
    assert_eq!(verdict, signatures.scan(octets));
});
