//! The first message both ways on every link between the supervisor and a child: same build, then confinement.
//!
//! The child blocks on `Boot`, confines itself as told and answers `Ready`. Only then do the role's own
//! messages flow.
use crate::wire::Message;
use sandbox::{Spec, Walls};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The jobs that run in processes of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Speaks POP3 and IMAP with client and server.
    Worker,
    /// Parses and judges one mail at a time.
    Scanner,
    /// Resolves names.
    Lookup,
    /// Has the private keys.
    Keyholder,
    /// Keeps originals of changed mails.
    Writer,
}

impl Role {
    /// The word on the command line, in `ps` and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Scanner => "scanner",
            Self::Lookup => "lookup",
            Self::Keyholder => "keyholder",
            Self::Writer => "writer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names the build: children must come from the same one, there is no negotiation.
pub fn build() -> String {
    format!("mailward {} wire {}", env!("CARGO_PKG_VERSION"), crate::wire::WIRE_VERSION)
}

/// Supervisor to child, once, first. Carries the descriptors of the namespaces to join, in `spec.join` order, and the
/// directory of a role that has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// [`build()`] of the supervisor.
    pub build: String,
    /// What the child is.
    pub role: Role,
    /// Whose mail it may see.
    pub tenant: String,
    /// How it must confine itself.
    pub spec: Spec,
}

impl Message for Boot {
    const MAX_FDS: usize = 8;
    fn fd_count(&self) -> usize {
        self.spec.join.len() + usize::from(self.spec.directory)
    }
}

/// Child to supervisor, once, first: the build, and the walls that stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// [`build()`] of the child.
    pub build: String,
    /// What `sandbox::confine` proved.
    pub walls: Walls,
}

impl Message for Ready {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
