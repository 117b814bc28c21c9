//! Worker and writer: the original of a mail that will be served changed, and whether it is kept.
use crate::ids::{EngineAnswer, SessionId, Sha256};
use crate::wire::Message;
use policy::names::{Direction, Protocol};
use policy::status::StatusSet;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What is known of a mail besides its octets. The writer bounds every text and makes it printable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Which session.
    pub session: SessionId,
    /// What is spoken.
    pub protocol: Protocol,
    /// Which way the mail travels.
    pub direction: Direction,
    /// The client.
    pub client: SocketAddr,
    /// The login name.
    pub user: String,
    /// The server's name for the mail: UIDL, or UID.
    pub name: String,
    /// The rule that decided.
    pub rule: String,
    /// What was found.
    pub statuses: StatusSet,
    /// What each engine said.
    pub answers: Vec<EngineAnswer>,
    /// Why.
    pub reason: String,
    /// Seconds since 1970, UTC.
    pub time: i64,
}

/// Worker to writer. One descriptor: the sealed mail, or its file opened read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Comes back with the answer.
    pub number: u32,
    /// Octets of the mail.
    pub size: u64,
    /// Hash of the mail.
    pub sha256: Sha256,
    /// What is known of it.
    pub facts: Facts,
}

impl Message for Keep {
    const MAX_FDS: usize = 1;
    fn fd_count(&self) -> usize {
        1
    }
}

/// Writer to worker, for each mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Of the mail.
    pub number: u32,
    /// Hash of what was kept.
    pub sha256: Sha256,
    /// Whether a copy is on disk.
    pub kept: bool,
}

impl Message for Answer {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
