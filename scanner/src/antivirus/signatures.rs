//! The builtin engine's signatures: hashes and YARA rules. Made once before the first mail; new ones are a new scanner.
use boreal::Compiler;
use boreal::scanner::ScanParams;
use memchr::memmem::Finder;
use sha2::Digest;
use std::collections::HashMap;
use std::time::Duration;

/// What one leaf may cost the rules.
const RULES_TIMEOUT: Duration = Duration::from_secs(10);
/// The name of the test signature.
const TEST_VIRUS: &str = "Eicar-Test-Signature";

/// Compiled signatures.
#[derive(Debug)]
pub struct Signatures {
    test: Option<Finder<'static>>,
    hashes: HashMap<(usize, [u8; 32]), String>,
    rules: Option<boreal::Scanner>,
    count: u32,
}

/// What the signatures say of octets.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing matches.
    Clean,
    /// This signature matches.
    Infected(String),
    /// The rules did not come to an end.
    Undecided,
}

/// Collects files before they are compiled.
#[derive(Debug, Default)]
pub struct Collector {
    test: bool,
    hashes: HashMap<(usize, [u8; 32]), String>,
    rules: Vec<(String, String)>,
    faults: Vec<String>,
}

impl Collector {
    /// `builtin:test`: the EICAR test string.
    pub fn add_test(&mut self) {
        self.test = true;
    }

    /// A file by its name: `.hsb` (one `sha256:size:name` a line) or `.yar` / `.yara`.
    pub fn add_file(&mut self, name: &str, content: &[u8]) {
        let Ok(text) = std::str::from_utf8(content) else {
            self.faults.push(format!("{name}: not a text file"));
            return;
        };
        match name.rsplit('.').next() {
            Some("hsb") => self.add_hashes(name, text),
            Some("yar" | "yara") => self.rules.push((name.to_owned(), text.to_owned())),
            _ => self.faults.push(format!("{name}: neither .hsb nor .yar nor .yara")),
        }
    }

    fn add_hashes(&mut self, name: &str, text: &str) {
        for (line, number) in text.lines().zip(1_u32..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match hash_line(line) {
                Some((key, virus)) => {
                    self.hashes.insert(key, virus);
                }
                None => self.faults.push(format!("{name}:{number}: not sha256:size:name")),
            }
        }
    }

    /// Compiles the rules. What cannot be used is named in the faults; the rest is in force.
    pub fn finish(mut self) -> (Signatures, Vec<String>) {
        let mut count = u32::from(self.test) + u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
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
        (Signatures { test, hashes: self.hashes, rules, count }, self.faults)
    }
}

impl Signatures {
    /// Hashes and rules in force.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Compares octets with every signature.
    pub fn scan(&self, octets: &[u8]) -> Verdict {
        if self.test.as_ref().is_some_and(|finder| finder.find(octets).is_some()) {
            return Verdict::Infected(TEST_VIRUS.into());
        }
        if self.hashes.keys().any(|(size, _)| *size == octets.len()) {
            let hash: [u8; 32] = sha2::Sha256::digest(octets).into();
            if let Some(virus) = self.hashes.get(&(octets.len(), hash)) {
                return Verdict::Infected(virus.clone());
            }
        }
        match self.rules.as_ref().map(|rules| rules.scan_mem(octets)) {
            None => Verdict::Clean,
            Some(Ok(result)) => {
                result.rules.first().map_or(Verdict::Clean, |rule| Verdict::Infected(rule.name.to_owned()))
            }
            Some(Err(_)) => Verdict::Undecided,
        }
    }
}

fn hash_line(line: &str) -> Option<((usize, [u8; 32]), String)> {
    let mut fields = line.trim_end().split(':');
    let hex = fields.next()?;
    let size = fields.next()?.parse().ok()?;
    let name = fields.next().filter(|name| !name.is_empty() && name.len() <= 128)?;
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (octet, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *octet = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    name.bytes().all(|byte| byte.is_ascii_graphic()).then(|| ((size, hash), name.to_owned()))
}

/// The EICAR test string, put together here so that no scanner stops at this program.
pub fn eicar() -> Vec<u8> {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat().into_bytes()
}
