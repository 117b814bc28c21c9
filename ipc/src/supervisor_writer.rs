//! Supervisor and writer: how much is kept and how long, and which workers it keeps mails of.
use crate::wire::Message;
use serde::{Deserialize, Serialize};

/// Supervisor to writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWriter {
    /// The limits; at the start and after a reload. Answered by `Serving`.
    Policy {
        /// `keep`.
        keep_seconds: u64,
        /// `max-size`.
        max_octets: u64,
    },
    /// One descriptor: the writer's end of a pair with a worker.
    Worker,
}

impl Message for ToWriter {
    const MAX_FDS: usize = 1;
    fn fd_count(&self) -> usize {
        match self {
            Self::Worker => 1,
            Self::Policy { .. } => 0,
        }
    }
}

/// Writer to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWriter {
    /// It knows what is in its directory and takes mails.
    Serving {
        /// Copies that were there when it began.
        copies: u64,
        /// Their octets.
        octets: u64,
    },
}

impl Message for FromWriter {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
