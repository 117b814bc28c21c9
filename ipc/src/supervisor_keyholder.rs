//! Supervisor and keyholder: which keys there are, and which session may have one of them used.
use crate::ids::SessionId;
use crate::supervisor_worker::TlsFile;
use crate::wire::Message;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a private key is for, by the policy's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyOf {
    /// A certificate that clients are shown.
    ClientTls {
        /// Index of the `[client-tls.NAME]`.
        tls: u16,
        /// Index of the certificate in it.
        certificate: u16,
    },
    /// The certificate that servers are shown.
    ServerTls {
        /// Index of the `[server-tls.NAME]`.
        tls: u16,
    },
    /// An authority of interception.
    Authority {
        /// Index of the `[client-tls.NAME]`.
        tls: u16,
        /// `untrusted-ca`, else `ca`.
        untrusted: bool,
    },
}

impl fmt::Display for KeyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientTls { tls, certificate } => {
                write!(f, "certificate {} of client-tls {}", certificate + 1, tls + 1)
            }
            Self::ServerTls { tls } => write!(f, "the certificate of server-tls {}", tls + 1),
            Self::Authority { tls, untrusted } => {
                write!(f, "the {} of client-tls {}", if *untrusted { "untrusted-ca" } else { "ca" }, tls + 1)
            }
        }
    }
}

/// What a session may have done, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A handshake with its client: one signature, one session ticket.
    Client {
        /// Index of the `[client-tls.NAME]` whose keys may sign.
        tls: u16,
        /// Tickets of one scope can be resumed in it: one listener of one tenant.
        scope: u32,
    },
    /// A handshake with its client that is intercepted: one certificate in the place of the server's, one signature. It is sent
    /// when the server is dialled.
    Intercept {
        /// Index of the `[client-tls.NAME]` whose authorities and keys may sign.
        tls: u16,
        /// Index of the `[server-tls.NAME]` by which the server's certificate is verified.
        server_tls: u16,
    },
    /// A handshake with its server: one signature.
    Server {
        /// Index of the `[server-tls.NAME]` whose key may sign.
        tls: u16,
    },
}

/// Supervisor to keyholder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToKeyholder {
    /// One descriptor: a sealed memfd of `len` octets holding an encoded `policy::slice::KeyholderSlice`.
    Policy {
        /// The policy generation.
        generation: u64,
        /// Octets.
        len: u32,
    },
    /// One descriptor: a public file, opened read-only: authorities of servers, or an authority of interception.
    Tls {
        /// The policy generation.
        generation: u64,
        /// Which file.
        file: TlsFile,
    },
    /// One descriptor, or two: a key file, opened read-only, and the file with its passphrase.
    Key {
        /// The policy generation.
        generation: u64,
        /// Whose key.
        of: KeyOf,
        /// Whether the second descriptor comes.
        passphrase: bool,
    },
    /// What there is of this generation is complete. Answered by `Loaded`.
    Complete {
        /// The policy generation.
        generation: u64,
    },
    /// One descriptor: the keyholder's end of a pair with a worker.
    Worker {
        /// Its number, which `Grant` repeats.
        worker: u64,
    },
    /// A worker may have a key used for a session.
    Grant {
        /// Which worker.
        worker: u64,
        /// For which session.
        session: SessionId,
        /// The policy generation whose keys are meant.
        generation: u64,
        /// For what.
        purpose: Purpose,
        /// How long: what was not used by then will not be.
        seconds: u32,
    },
}

impl Message for ToKeyholder {
    const MAX_FDS: usize = 2;
    fn fd_count(&self) -> usize {
        match self {
            Self::Key { passphrase, .. } => 1 + usize::from(*passphrase),
            Self::Policy { .. } | Self::Tls { .. } | Self::Worker { .. } => 1,
            Self::Complete { .. } | Self::Grant { .. } => 0,
        }
    }
}

/// Keyholder to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromKeyholder {
    /// The keys of a generation were read. Those that could not be are named with the reason: at most 64, each at most
    /// 256 octets.
    Loaded {
        /// Which generation.
        generation: u64,
        /// What cannot be used, and why.
        problems: Vec<(KeyOf, String)>,
    },
    /// A worker asked for what it was not granted: it must die.
    Misuse {
        /// Which worker.
        worker: u64,
        /// For which session it asked.
        session: SessionId,
        /// What, at most 256 octets.
        why: String,
    },
}

impl Message for FromKeyholder {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
