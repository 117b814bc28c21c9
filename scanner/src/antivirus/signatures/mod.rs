//! The builtin engine's signatures: the test virus, lists of ClamAV's kinds, YARA rules. Made once before the first mail;
//! new ones are a new scanner. A line that cannot be used is counted and said, and the rest is in force.
//!
//! ```text
//! hashes.rs   .hdb and .hsb: hashes of whole files      bodies.rs   .ndb: octets anywhere in a file
//! pattern.rs  one such run of octets, with what may stand between its pieces
//! ```
mod bodies;
mod hashes;
mod pattern;

use bodies::Bodies;
use boreal::Compiler;
use boreal::scanner::ScanParams;
use hashes::Hashes;
use ipc::ids::Viruses;
use ipc::log::printable;
use memchr::memmem::Finder;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one leaf may cost the rules.
const RULES_TIMEOUT: Duration = Duration::from_secs(10);
/// The name of the test signature.
const TEST_VIRUS: &str = "Eicar-Test-Signature";
/// Octets of a name.
const MAX_NAME: usize = 128;

/// Why a line cannot be used, in constant words.
type Refusal = &'static str;

const NOT_A_NAME: Refusal = "a name with odd characters, or none";

/// Compiled signatures.
#[derive(Debug)]
pub struct Signatures {
    test: Option<Finder<'static>>,
    hashes: Hashes,
    bodies: Bodies,
    rules: Option<boreal::Scanner>,
    count: u32,
}

/// What the signatures say of octets.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing matches.
    Clean,
    /// These signatures match.
    Infected(Viruses),
    /// The search did not come to an end.
    Undecided,
}

/// Collects files before they are compiled.
#[derive(Debug, Default)]
pub struct Collector {
    test: bool,
    hashes: Hashes,
    bodies: Bodies,
    rules: Vec<(String, String)>,
    faults: Vec<String>,
}

impl Collector {
    /// `builtin:test`: the EICAR test string.
    pub fn add_test(&mut self) {
        self.test = true;
    }

    /// A file, by what its name ends in.
    pub fn add_file(&mut self, name: &str, content: &[u8]) {
        let Ok(text) = std::str::from_utf8(content) else {
            self.faults.push(format!("{name}: not a text file"));
            return;
        };
        let Self { hashes, bodies, faults, .. } = self;
        match name.rsplit('.').next() {
            Some("hdb" | "hsb") => faults.extend(lines(name, text, |line| hashes.add(line))),
            Some("ndb") => faults.extend(lines(name, text, |line| bodies.add(line))),
            Some("yar" | "yara") => self.rules.push((name.to_owned(), text.to_owned())),
            _ => faults.push(format!("{name}: neither .hdb, .hsb, .ndb, .yar nor .yara")),
        }
    }

    /// Compiles the rules. What cannot be used is named in the faults; the rest is in force.
    pub fn finish(mut self) -> (Signatures, Vec<String>) {
        let hashes = self.hashes.settle();
        let count = usize::from(self.test) + hashes + self.bodies.settle();
        let mut count = u32::try_from(count).unwrap_or(u32::MAX);
        // A compiler costs milliseconds of every fresh scanner; most have no rules.
        let mut compiler = (!self.rules.is_empty()).then(Compiler::new);
        let mut any = false;
        for (name, text) in &self.rules {
            match compiler.as_mut().map(|compiler| compiler.add_rules_str(text)) {
                Some(Ok(_)) => any = true,
                Some(Err(error)) => self.faults.push(format!("{name}: {error}")),
                None => {}
            }
        }
        let rules = compiler.filter(|_| any).map(|compiler| {
            let mut scanner = compiler.finalize();
            count = count.saturating_add(u32::try_from(scanner.rules().count()).unwrap_or(u32::MAX));
            scanner.set_scan_params(ScanParams::default().timeout_duration(Some(RULES_TIMEOUT)));
            scanner
        });
        let test = self.test.then(|| Finder::new(&eicar()).into_owned());
        (Signatures { test, hashes: self.hashes, bodies: self.bodies, rules, count }, self.faults)
    }
}

/// Gives every line to `add`, but for empty ones and comments. What could not be used: how many lines, and why.
fn lines(name: &str, text: &str, mut add: impl FnMut(&str) -> Result<(), Refusal>) -> Option<String> {
    let (mut used, mut refused) = (0_usize, BTreeMap::<Refusal, (usize, usize)>::new());
    for (line, number) in text.lines().zip(1_usize..) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match add(line) {
            Ok(()) => used += 1,
            Err(why) => refused.entry(why).or_insert((0, number)).0 += 1,
        }
    }
    if refused.is_empty() {
        return None;
    }
    let unused: usize = refused.values().map(|(count, _)| count).sum();
    let why = |(why, (count, first)): (&Refusal, &(usize, usize))| match count {
        1 => format!("{why} (line {first})"),
        _ => format!("{why} ({count}, the first in line {first})"),
    };
    let reasons: Vec<String> = refused.iter().map(why).collect();
    Some(format!("{name}: {unused} of {} signatures are not used: {}", used + unused, reasons.join("; ")))
}

/// A name that can stand in a log.
fn name(text: &str) -> Option<&str> {
    let plain =
        !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|octet| octet.is_ascii_graphic());
    plain.then_some(text)
}

impl Signatures {
    /// Signatures in force.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Compares octets with every signature.
    pub fn scan(&self, octets: &[u8]) -> Verdict {
        let mut viruses = Viruses::default();
        let mut found = |name: &str| {
            viruses = std::mem::take(&mut viruses).and(Viruses::named(printable(name, MAX_NAME)));
        };
        if self.test.as_ref().is_some_and(|finder| finder.find(octets).is_some()) {
            found(TEST_VIRUS);
        }
        self.hashes.find(octets).for_each(&mut found);
        let mut undecided = self.bodies.find(octets, &mut found).is_err();
        match self.rules.as_ref().map(|rules| rules.scan_mem(octets)) {
            Some(Ok(result)) => result.rules.iter().for_each(|rule| found(rule.name)),
            Some(Err(_)) => undecided = true,
            None => {}
        }
        match (viruses.names.is_empty(), undecided) {
            (true, false) => Verdict::Clean,
            (true, true) => Verdict::Undecided,
            // What else would have been found nobody knows.
            (false, undecided) => Verdict::Infected(Viruses { more: viruses.more || undecided, ..viruses }),
        }
    }
}

/// The EICAR test string, put together here so that no scanner stops at this program.
pub fn eicar() -> Vec<u8> {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat().into_bytes()
}

#[cfg(test)]
mod tests;
