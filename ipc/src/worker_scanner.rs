//! Worker and scanner, over a pair made for one mail: one job, one judgement.
use crate::ids::{EngineAnswer, LeaseId, SessionId, Sha256, SpamAnswer};
use crate::wire::Message;
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

/// Worker to scanner. Descriptors: the sealed mail, the output memfd, and where it is wanted the memfd of the part map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanJob {
    /// The lease it is done under.
    pub lease: LeaseId,
    /// Octets of the mail.
    pub size: u64,
    /// Hash of the mail.
    pub sha256: Sha256,
    /// Statuses that spooling already found (`limit`: the spool holds only the beginning).
    pub found: StatusSet,
    /// Octets that the copy may have at most.
    pub max_output: u64,
    /// IMAP will be answered from the copy: a part map of it is wanted.
    pub map: bool,
    /// What the rules may depend on.
    pub context: Context,
}

impl Message for ScanJob {
    const MAX_FDS: usize = 3;
    fn fd_count(&self) -> usize {
        if self.map { 3 } else { 2 }
    }
}

/// Octets that stand in the place of a mail of `size` at most: what is rebuilt is base64, and a notice needs room.
pub const fn max_output(size: u64) -> u64 {
    size.saturating_mul(2).saturating_add(NOTICE_ROOM)
}

/// A notice, and the headers of parts.
const NOTICE_ROOM: u64 = 64 * 1024;

/// What becomes of the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    /// Deliver what was scanned, byte for byte.
    Pass,
    /// Deliver the first `length` octets of the output memfd instead.
    Replace {
        /// Octets.
        length: u64,
    },
    /// Deliver the first `length` octets of the output memfd: the same mail without what readers could disagree about. The
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

/// The part map that was written, of the mail or of the copy in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Octets at the start of the memfd.
    pub length: u32,
    /// The strict recogniser accepts what it is of; else it says what a tolerant reader would see.
    pub recognised: bool,
}

/// Scanner to worker, once.
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

impl Message for Judged {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
