//! The numbers that name sessions, mails and leases, and other small values that several links share.
use policy::status::{Status, StatusSet};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One client connection; unique for the life of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// One mail within a session, counted by the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MailId(pub u32);

/// Which mailbox of a session is meant, counted by the worker: POP3's only one is 0, IMAP's count from 1 with each SELECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Selection(pub u32);

/// One scanner lent for one mail; unique for the life of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

/// SHA-256 of a spooled mail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Sha256 {
    /// Reads its 64 digits.
    pub fn parse(digits: &str) -> Option<Self> {
        if digits.len() != 64 || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let octets = (0..64).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
        Some(Self(octets.collect::<Option<Vec<u8>>>()?.try_into().ok()?))
    }

    /// The case id shown to people: the first 12 hexadecimal digits, so that the same mail is the same case.
    pub fn case(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

/// Who is asked about a mail, by the index in the scanner slice's engines or spam filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Checker {
    /// An antivirus engine.
    Engine(u16),
    /// A spam filter.
    Filter(u16),
}

/// What one spam filter said of one mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpamAnswer {
    /// The filter's name in the configuration, at most 64 octets.
    pub filter: String,
    /// Thousandths of a point; `None`: it did not say.
    pub score: Option<i64>,
    /// What it found, comma-separated: printable ASCII, at most 256 octets.
    pub symbols: String,
    /// Why there is no score, for the log: printable, at most 256 octets.
    pub detail: String,
    /// Time the filter took, in microseconds.
    pub micros: u32,
}

/// Names that are kept of the viruses in one mail.
pub const MOST_VIRUSES: usize = 16;

/// What an engine had found in a mail that was served changed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The engine's name in the configuration, at most 64 octets.
    pub engine: String,
    /// In the mail and in its parts.
    pub viruses: Viruses,
    /// In which leaves, by index. Empty: it is not known in which.
    pub parts: Vec<(u16, Viruses)>,
}

impl Found {
    /// Octets of all names that are remembered of one mail, and leaves.
    pub const MOST_OCTETS: usize = 512;
    /// See [`Self::MOST_OCTETS`].
    pub const MOST_PARTS: usize = 8;

    /// Of what engines answered, those that found a virus. More than is remembered is a virus without a name, somewhere in the mail.
    pub fn of(answers: &[EngineAnswer]) -> Vec<Self> {
        let infected = answers.iter().filter(|answer| answer.statuses.contains(Status::Infected));
        let found = |answer: &EngineAnswer| {
            let EngineAnswer { engine, viruses, parts, .. } = answer.clone();
            let found = Self { engine, viruses, parts };
            if found.fits() {
                found
            } else {
                Self { viruses: Viruses::unnamed(), parts: Vec::new(), ..found }
            }
        };
        infected.map(found).collect()
    }

    /// Within what is remembered.
    pub fn fits(&self) -> bool {
        let of_parts = self.parts.iter().flat_map(|(_, viruses)| &viruses.names);
        let octets: usize = self.viruses.names.iter().chain(of_parts).map(String::len).sum();
        octets <= Self::MOST_OCTETS && self.parts.len() <= Self::MOST_PARTS && self.engine.len() <= 64
    }
}

/// The viruses that were found in something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viruses {
    /// Each once, in the order in which they were found: printable ASCII, at most 128 octets, at most [`MOST_VIRUSES`].
    pub names: Vec<String>,
    /// And others: without a name, or more than fit.
    pub more: bool,
}

impl Viruses {
    /// One with a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], more: false }
    }

    /// One without.
    pub const fn unnamed() -> Self {
        Self { names: Vec::new(), more: true }
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.more |= other.more;
        for name in other.names {
            if self.names.contains(&name) {
                continue;
            }
            if self.names.len() < MOST_VIRUSES {
                self.names.push(name);
            } else {
                self.more = true;
            }
        }
        self
    }

    /// Whether each of them, and there is one, is among these.
    pub fn within(&self, names: &[String]) -> bool {
        !self.more && !self.names.is_empty() && self.names.iter().all(|name| names.contains(name))
    }
}

impl fmt::Display for Viruses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))
    }
}

/// What one engine said of one mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineAnswer {
    /// The engine's name in the configuration, at most 64 octets.
    pub engine: String,
    /// Its statuses; never empty in a complete answer.
    pub statuses: StatusSet,
    /// What it found, in the mail and in its parts.
    pub viruses: Viruses,
    /// Why the status is not clean, for the log: printable, at most 256 octets.
    pub detail: String,
    /// The leaves of the mail in which it found a virus, by index, and which; at most 32. Empty: it is not known in which.
    pub parts: Vec<(u16, Viruses)>,
    /// Time the engine took, in microseconds.
    pub micros: u32,
}
