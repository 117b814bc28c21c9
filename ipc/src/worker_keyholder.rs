//! Worker and keyholder: one question, one answer, and the worker waits for it.
use crate::ids::SessionId;
use crate::wire::Message;
use serde::{Deserialize, Serialize};

/// Which of the granted keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Towards {
    /// Of the certificate with this index of the granted client-tls.
    Client(u16),
    /// Of the granted server-tls.
    Server,
    /// Of the certificate that was minted for the session.
    Minted,
}

/// Worker to keyholder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// A signature over a handshake.
    Sign {
        /// For which session.
        session: SessionId,
        /// With which key.
        towards: Towards,
        /// RFC 8446 section 4.2.3.
        scheme: u16,
        /// What is signed: at most 48 KiB, of the shape that TLS signs.
        message: Vec<u8>,
    },
    /// A certificate in the place of this server's, which the keyholder verifies first.
    Mint {
        /// For which session.
        session: SessionId,
        /// The server's name: as configured, else the one that the client asked for, else its address. At most 253 octets.
        name: String,
        /// The server's certificate and those that it showed with it, DER: at most 48 KiB.
        chain: Vec<Vec<u8>>,
    },
    /// A ticket around the state of a session.
    Seal {
        /// For which session.
        session: SessionId,
        /// At most 16 KiB.
        state: Vec<u8>,
    },
    /// The state in a ticket that a client showed.
    Open {
        /// For which session.
        session: SessionId,
        /// At most 32 KiB.
        ticket: Vec<u8>,
    },
}

/// A question with its number: an answer that comes late is known as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Comes back with the answer.
    pub number: u32,
    /// What is asked.
    pub question: Question,
}

/// An answer with the number of its question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Of the question.
    pub number: u32,
    /// What it is.
    pub answer: Answer,
}

impl Question {
    /// For which session.
    pub const fn session(&self) -> SessionId {
        match self {
            Self::Sign { session, .. }
            | Self::Mint { session, .. }
            | Self::Seal { session, .. }
            | Self::Open { session, .. } => *session,
        }
    }
}

impl Message for Asked {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}

/// Keyholder to worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The signature, the ticket or the state.
    Done(Vec<u8>),
    /// The certificate that was minted.
    Minted {
        /// With its authority's and those above, DER.
        chain: Vec<Vec<u8>>,
        /// Whether the server was verified wholly; else the authority is the one that clients do not trust.
        verified: bool,
    },
    /// There is none: no such key, no ticket of ours, a server that is not verified.
    None,
}

impl Message for Answered {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
