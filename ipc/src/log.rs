//! Typed, bounded log events from every child. The child never formats and never waits; the supervisor writes.
use crate::ids::{EngineAnswer, SessionId, Sha256, SpamAnswer};
use crate::wire::{self, Message};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use policy::model::MailAction;
use policy::names::Direction;
use policy::status::StatusSet;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd};

/// How loud an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Something failed that should not.
    Error,
    /// Something that an operator may have to look at.
    Warn,
    /// What happened.
    Info,
    /// How it happened.
    Debug,
}

/// What became of a mail, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Delivered byte for byte.
    Passed,
    /// Delivered without what readers could disagree about, and nothing else changed.
    Corrected,
    /// Delivered as a notice or changed copy.
    Replaced,
    /// Refused for good.
    Denied,
    /// Refused for now.
    Deferred,
}

impl Outcome {
    /// The word in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Corrected => "corrected",
            Self::Replaced => "replaced",
            Self::Denied => "denied",
            Self::Deferred => "deferred",
        }
    }
}

/// The MAIL record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Which session.
    pub session: SessionId,
    /// POP3: message number in the maildrop. IMAP: which mail of this session it was.
    pub number: u32,
    /// IMAP: the mailbox it is in, as the server names it; printable, at most 512 octets. Else empty.
    pub mailbox: String,
    /// IMAP: its UID there.
    pub uid: Option<u32>,
    /// Which way.
    pub direction: Direction,
    /// Octets.
    pub size: u64,
    /// Hash of the original, where it came whole.
    pub sha256: Option<Sha256>,
    /// What became of it.
    pub outcome: Outcome,
    /// The rule that decided, or empty where none could.
    pub rule: String,
    /// With `enforce = "monitor"`: what would have become of it.
    pub would: Option<MailAction>,
    /// What was found.
    pub statuses: StatusSet,
    /// What was found too, and does not count: the operator allowed it in this mail.
    pub allowed: Vec<String>,
    /// What each engine said.
    pub answers: Vec<EngineAnswer>,
    /// What each spam filter said.
    pub spam: Vec<SpamAnswer>,
    /// Why.
    pub reason: String,
    /// From the last octet spooled to the judgement, in microseconds.
    pub micros: u32,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Anything worth a line. `text` is constant, `detail` is bounded and printable.
    Note {
        /// How loud.
        level: Level,
        /// Which session, if one.
        session: Option<SessionId>,
        /// Constant text.
        text: String,
        /// Values.
        detail: String,
    },
    /// A login was tried.
    Login {
        /// Which session.
        session: SessionId,
        /// The name given, lossy, at most 512 octets.
        user: String,
        /// Whether the server took it.
        accepted: bool,
    },
    /// A mail was judged.
    Mail(Box<Mail>),
}

impl Message for Event {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}

/// The child's end of its log socket. Never blocks: what does not fit is counted and dropped.
#[derive(Debug)]
pub struct Log {
    socket: OwnedFd,
    dropped: Cell<u64>,
}

impl Log {
    /// Takes the descriptor that the supervisor placed at [`crate::link::LOG_FD`].
    pub const fn new(socket: OwnedFd) -> Self {
        Self { socket, dropped: Cell::new(0) }
    }

    /// Another handle on the same socket, with a drop counter of its own.
    ///
    /// # Errors
    /// When there is no free descriptor.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self::new(self.socket.try_clone()?))
    }

    /// Sends one event, and before it the number of events that had to be dropped.
    pub fn event(&self, event: &Event) {
        let dropped = self.dropped.get();
        if dropped > 0 && self.try_event(&note(Level::Warn, None, "log events dropped", &dropped.to_string()))
        {
            self.dropped.set(0);
        }
        if !self.try_event(event) {
            self.dropped.set(self.dropped.get().saturating_add(1));
        }
    }

    /// Sends a [`Event::Note`].
    pub fn note(&self, level: Level, session: Option<SessionId>, text: &str, detail: &str) {
        self.event(&note(level, session, text, detail));
    }

    fn try_event(&self, event: &Event) -> bool {
        let Ok(bytes) = wire::encode(event) else { return false };
        loop {
            match send(self.socket.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }
}

fn note(level: Level, session: Option<SessionId>, text: &str, detail: &str) -> Event {
    Event::Note { level, session, text: printable(text, 256), detail: printable(detail, 1024) }
}

/// Cuts to `max` octets and replaces everything that is not printable ASCII, so that no log line can be forged.
pub fn printable(text: &str, max: usize) -> String {
    text.bytes()
        .take(max)
        .map(|byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '?' })
        .collect()
}
