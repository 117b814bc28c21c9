//! Worker and scanner, over a pair made for one mail: one job, one judgement, and between them at most one question for
//! a file to write in.
use crate::ids::{EngineAnswer, LeaseId, SessionId, Sha256, SpamAnswer};
use crate::wire::{MAX_OCTETS, Message};
use policy::model::MailAction;
use policy::names::{Direction, Language, Protocol};
use policy::status::StatusSet;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the rules may depend on, besides the mail itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// For the log.
    pub session: SessionId,
    /// What is spoken.
    pub protocol: Protocol,
    /// Which way the mail travels.
    pub direction: Direction,
    /// The client.
    pub client: SocketAddr,
    /// Its confirmed name, if rules ask for it: at most 253 octets, lower case.
    pub client_name: Option<String>,
    /// Where it wanted to go.
    pub destination: SocketAddr,
    /// The login name, at most 512 octets, lossy.
    pub user: String,
    /// Of the notice.
    pub language: Language,
    /// Index of the listener.
    pub listener: u16,
    /// Index of the command-acl rule.
    pub command_rule: u16,
    /// Seconds since 1970, UTC.
    pub time: i64,
}

/// What a mail is to be judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanJob {
    /// The lease it is done under.
    pub lease: LeaseId,
    /// Octets of the mail.
    pub size: u64,
    /// Hash of the mail.
    pub sha256: Sha256,
    /// The mail follows the job in its datagram, see [`travels_along`]; else its descriptor does: a sealed memfd, or a file.
    pub here: bool,
    /// Statuses that spooling already found (`limit`: the spool holds only the beginning).
    pub found: StatusSet,
    /// Octets that the copy may have at most.
    pub max_output: u64,
    /// IMAP will be answered from the copy: a part map of it is wanted.
    pub map: bool,
    /// What the rules may depend on.
    pub context: Context,
}

/// Whether a mail travels in the datagram of its job, unless an engine takes it by its descriptor. A memory file for it costs
/// more than two copies do.
pub const fn travels_along(size: u64) -> bool {
    size <= MAX_OCTETS as u64
}

/// Worker to scanner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// First, and once.
    Scan(Box<ScanJob>),
    /// What [`Answer::WantOutput`] asked for. One descriptor: an empty memfd.
    Output,
}

impl Message for Task {
    const MAX_FDS: usize = 1;
    fn fd_count(&self) -> usize {
        match self {
            Self::Scan(job) => usize::from(!job.here),
            Self::Output => 1,
        }
    }
    const MAX_OCTETS: usize = MAX_OCTETS;
    fn octets(&self) -> usize {
        match self {
            Self::Scan(job) if job.here => usize::try_from(job.size).unwrap_or(usize::MAX),
            Self::Scan(_) | Self::Output => 0,
        }
    }
}

/// Octets that stand in the place of a mail of `size` at most: what is rebuilt is base64, and a notice needs room.
pub const fn max_output(size: u64) -> u64 {
    size.saturating_mul(2).saturating_add(NOTICE_ROOM)
}

/// A notice, and the headers of parts.
const NOTICE_ROOM: u64 = 64 * 1024;

/// Octets of the output at most, for mails up to `size`: what is delivered, and its part map.
pub const fn max_file(size: u64) -> u64 {
    max_output(size).saturating_add(MAP_ROOM)
}

/// The largest part map, as `mime` encodes it.
pub const MAP_ROOM: u64 = 4 << 20;

/// What becomes of the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    /// Deliver what was scanned, byte for byte.
    Pass,
    /// Deliver the first `length` octets of the output instead.
    Replace {
        /// Octets.
        length: u64,
    },
    /// Deliver the first `length` octets of the output: the same mail without what readers could disagree about. The
    /// strict recogniser accepts it.
    Correct {
        /// Octets.
        length: u64,
    },
    /// Refuse it for good.
    Deny,
    /// Refuse it for now.
    Defer,
}

/// The part map of the mail, or of the copy in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Octets.
    pub length: u32,
    /// They follow the judgement in its datagram; else they stand in the output, behind the copy if there is one.
    pub here: bool,
    /// The strict recogniser accepts what it is of; else it says what a tolerant reader would see.
    pub recognised: bool,
}

/// What was found out about a mail, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The lease it was done under.
    pub lease: LeaseId,
    /// Hash of what was scanned.
    pub sha256: Sha256,
    /// What becomes of the mail.
    pub disposition: Disposition,
    /// Of what is delivered, where it was wanted.
    pub map: Option<Map>,
    /// Keywords that the mail gets in its mailbox, of those that the rules name.
    pub keywords: Vec<String>,
    /// Name of the rule that decided.
    pub rule: String,
    /// Nothing is enforced (`enforce = "monitor"`): what would have become of the mail.
    pub would: Option<MailAction>,
    /// Everything that was found.
    pub statuses: StatusSet,
    /// One answer per demanded engine.
    pub answers: Vec<EngineAnswer>,
    /// One answer per spam filter that was asked.
    pub spam: Vec<SpamAnswer>,
    /// Why, for the log and the client: printable ASCII, at most 256 octets.
    pub reason: String,
    /// Time in the scanner, in microseconds.
    pub micros: u32,
}

/// Scanner to worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// At most once, before the judgement: something else than the mail will be delivered, or its part map is large. The
    /// worker makes the memfd for it, because a scanner may not.
    WantOutput,
    /// Last, and once.
    Judged(Box<Judged>),
}

impl Message for Answer {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
    const MAX_OCTETS: usize = MAX_OCTETS;
    fn octets(&self) -> usize {
        match self {
            Self::Judged(judged) => match judged.map {
                Some(Map { length, here: true, .. }) => usize::try_from(length).unwrap_or(usize::MAX),
                Some(Map { here: false, .. }) | None => 0,
            },
            Self::WantOutput => 0,
        }
    }
}
