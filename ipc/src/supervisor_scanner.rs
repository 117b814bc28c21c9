//! Supervisor and scanner: policy, signature files, one lease per mail.
use crate::ids::{Checker, EngineAnswer, Found, LeaseId, Sha256, SpamAnswer};
use crate::wire::Message;
use serde::{Deserialize, Serialize};

/// One engine or spam filter of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineGrant {
    /// Which.
    pub checker: Checker,
    /// Whether it can be asked.
    pub state: EngineState,
    /// Of an engine: octets of the largest mail in which it was seen to find the test virus at the end: above, the status is `limit`
    /// whatever the engine says. `None` is no limit.
    pub limit: Option<u64>,
}

/// What the supervisor knows of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineState {
    /// Connected: one descriptor of the lease is its connection.
    Up,
    /// Runs inside the scanner: no descriptor.
    Inside,
    /// Could not be dialled.
    Down {
        /// The error number of the dial.
        errno: i32,
    },
    /// Never yet found the test virus: it counts as `error` until it does. A spam filter: never yet gave a score.
    Unproven,
    /// It answered about this very mail before: what it said is in the lease's `known`.
    Known,
}

/// What is known of a mail before it is scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownMail {
    /// The mail. A worker can ask for one and send another: of any other mail nothing is known.
    pub sha256: Sha256,
    /// What engines said of it that need not see it again: one for each of the lease that is `Known`.
    pub answers: Vec<EngineAnswer>,
    /// Viruses that the operator allowed in it: they do not count.
    pub allowed: Vec<String>,
    /// What was found in it when it was served changed under the name that it has: that stays found.
    pub formerly: Vec<Found>,
}

impl KnownMail {
    /// If it is of this mail.
    pub fn about(&self, mail: Sha256) -> Option<&Self> {
        (self.sha256 == mail).then_some(self)
    }
}

/// What a lease is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A mail: the first descriptor is the scanner's end of a pair with a worker.
    Mail,
    /// The same, for a mail that a scanner died with: it is taken apart before any engine is asked, and the scanner says
    /// when it asks them and when it heard them, so that another death can be laid to the mail or not.
    Suspect,
    /// The same, for a mail that killed two scanners: the body is replaced without being parsed.
    Poison,
    /// No worker: show the demanded engines the test virus.
    ProbeTestVirus,
    /// No worker: the test virus in the last attachment of a mail of about `size` octets.
    ProbeSize {
        /// Octets of the whole mail.
        size: u64,
    },
    /// No worker: an encrypted archive, to learn whether the engine reports it.
    ProbeEncrypted,
    /// No worker and no mail: what the engine says of its version and signatures. The answer's `detail` is that text.
    ProbeVersion,
    /// No worker: an ordinary mail, to learn whether the spam filter gives a score.
    ProbeFilter,
}

impl Purpose {
    /// Whether a worker stands at the other end.
    pub const fn has_worker(self) -> bool {
        matches!(self, Self::Mail | Self::Suspect | Self::Poison)
    }
}

/// Supervisor to scanner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToScanner {
    /// One descriptor: a sealed memfd of `len` octets holding an encoded `policy::slice::ScannerSlice`.
    Policy {
        /// Its number; leases name it.
        generation: u64,
        /// Octets.
        len: u32,
    },
    /// One descriptor: a signature file, opened read-only. All come before `Serve`.
    Signatures {
        /// File name, for messages.
        name: String,
    },
    /// One descriptor: a file of authorities, for engines behind TLS. All come before `Serve`.
    Authorities {
        /// Index into the scanner slice's `server_tls`.
        server_tls: u16,
    },
    /// Signatures are complete: compile them and answer `Serving`.
    Serve,
    /// Descriptors: the worker's pair if the purpose has one, then one per engine that is `Up`, in order.
    Lease {
        /// Its number.
        id: LeaseId,
        /// The policy generation whose rules apply.
        generation: u64,
        /// From now, in milliseconds; the supervisor kills the scanner then.
        deadline_ms: u32,
        /// The demanded engines and spam filters.
        engines: Vec<EngineGrant>,
        /// What for.
        purpose: Purpose,
        /// What is known of the mail.
        known: Option<KnownMail>,
    },
}

impl Message for ToScanner {
    const MAX_FDS: usize = 1 + policy::engine::MOST_DAEMONS;
    fn fd_count(&self) -> usize {
        match self {
            Self::Policy { .. } | Self::Signatures { .. } | Self::Authorities { .. } => 1,
            Self::Serve => 0,
            Self::Lease { engines, purpose, .. } => {
                let up = engines.iter().filter(|grant| grant.state == EngineState::Up).count();
                up + usize::from(purpose.has_worker())
            }
        }
    }
}

/// Scanner to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromScanner {
    /// Signatures are compiled; leases may come. `signatures` counts them, `faults` names files that were refused.
    Serving {
        /// Rules and hashes in force.
        signatures: u32,
        /// What could not be used, a line each, bounded.
        faults: Vec<String>,
    },
    /// The mail's seal and hash were verified; parsing starts.
    Begun {
        /// Which lease.
        lease: LeaseId,
        /// The hash of what was given.
        sha256: Sha256,
    },
    /// Of a suspect: the engines are being asked, or have answered.
    Asking {
        /// Which lease.
        lease: LeaseId,
        /// Some answer is outstanding.
        outstanding: bool,
    },
    /// The lease is over: the scanner is idle again.
    Done {
        /// Which lease.
        lease: LeaseId,
        /// The hash of what was scanned, if it came to that.
        sha256: Option<Sha256>,
        /// What each engine said, at most 4 KiB encoded.
        answers: Vec<EngineAnswer>,
        /// What each spam filter said.
        spam: Vec<SpamAnswer>,
    },
}

impl Message for FromScanner {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
