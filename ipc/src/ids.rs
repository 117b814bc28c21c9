//! The numbers that name sessions, mails and leases, and other small values that several links share.
use policy::status::StatusSet;
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

/// What one engine said of one mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineAnswer {
    /// The engine's name in the configuration, at most 64 octets.
    pub engine: String,
    /// Its statuses; never empty in a complete answer.
    pub statuses: StatusSet,
    /// The virus that it named, printable ASCII, at most 128 octets.
    pub virus: Option<String>,
    /// Why the status is not clean, for the log: printable, at most 256 octets.
    pub detail: String,
    /// The leaves of the mail in which it found a virus, by index, at most 32; empty: it is not known in which.
    pub parts: Vec<u16>,
    /// Time the engine took, in microseconds.
    pub micros: u32,
}
