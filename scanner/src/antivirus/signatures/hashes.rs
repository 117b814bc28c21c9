//! Hashes of whole files, in ClamAV's words: `.hdb` and `.hsb`, one `hash:size:name` a line. The hash is MD5, SHA-1 or
//! SHA-256 by its length; the size `*` is every size. Which a file is compared with is decided by its size first, so
//! that most files need not be hashed at all.
use super::{NOT_A_NAME, Refusal, name};
use sha2::Digest as _;

/// Hashes in force.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    md5: Table<16>,
    sha1: Table<20>,
    sha256: Table<32>,
}

/// Hashes of one kind, in order of size and hash. No size is before every size.
#[derive(Debug)]
struct Table<const N: usize> {
    entries: Vec<Entry<N>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<const N: usize> {
    size: Option<u64>,
    hash: [u8; N],
    name: Box<str>,
}

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl Hashes {
    /// One line.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn add(&mut self, line: &str) -> Result<(), Refusal> {
        const FORM: Refusal = "not hash:size:name";
        let mut fields = line.split(':');
        let (hash, size) = (fields.next().ok_or(FORM)?, fields.next().ok_or(FORM)?);
        let name = name(fields.next().ok_or(FORM)?).ok_or(NOT_A_NAME)?;
        let size = match size {
            "*" => None,
            number => Some(number.parse().map_err(|_| FORM)?),
        };
        match hash.len() {
            32 => self.md5.add(size, hash, name),
            40 => self.sha1.add(size, hash, name),
            64 => self.sha256.add(size, hash, name),
            _ => None,
        }
        .ok_or("neither MD5 nor SHA-1 nor SHA-256")
    }

    /// Puts them in order, once all are there. How many there are.
    pub(super) fn settle(&mut self) -> usize {
        self.md5.settle() + self.sha1.settle() + self.sha256.settle()
    }

    /// The names of what these octets are, one by each kind of hash.
    pub(super) fn find(&self, octets: &[u8]) -> impl Iterator<Item = &str> {
        let md5 = || <[u8; 16]>::from(<md5::Md5 as md5::Digest>::digest(octets));
        let sha1 = || <[u8; 20]>::from(<sha1::Sha1 as sha1::Digest>::digest(octets));
        let sha256 = || <[u8; 32]>::from(sha2::Sha256::digest(octets));
        let size = octets.len() as u64;
        let named = [self.sha256.find(size, sha256), self.md5.find(size, md5), self.sha1.find(size, sha1)];
        named.into_iter().flatten()
    }
}

impl<const N: usize> Table<N> {
    fn add(&mut self, size: Option<u64>, hex: &str, name: &str) -> Option<()> {
        let mut hash = [0; N];
        for (octet, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *octet = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
        }
        self.entries.push(Entry { size, hash, name: name.into() });
        Some(())
    }

    fn settle(&mut self) -> usize {
        self.entries.sort_unstable();
        self.entries.dedup_by(|second, first| (second.size, second.hash) == (first.size, first.hash));
        self.entries.shrink_to_fit();
        self.entries.len()
    }

    fn find(&self, size: u64, hash: impl FnOnce() -> [u8; N]) -> Option<&str> {
        let (of_any, of_this) = (self.of_size(None), self.of_size(Some(size)));
        if of_any.is_empty() && of_this.is_empty() {
            return None;
        }
        let hash = hash();
        let among = |entries: &'_ [Entry<N>]| entries.binary_search_by(|entry| entry.hash.cmp(&hash)).ok();
        let this = among(of_this).and_then(|at| of_this.get(at));
        this.or_else(|| among(of_any).and_then(|at| of_any.get(at))).map(|entry| &*entry.name)
    }

    fn of_size(&self, size: Option<u64>) -> &[Entry<N>] {
        let from = self.entries.partition_point(|entry| entry.size < size);
        let to = self.entries.partition_point(|entry| entry.size <= size);
        self.entries.get(from..to).unwrap_or_default()
    }
}
