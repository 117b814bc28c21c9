//! `metadata = "strict"`: before the client is told a size for the first time, the mails of the maildrop are judged, so that what
//! STAT and LIST say is what RETR will bring.
use super::command::{Command, MessageNumber};
use std::collections::VecDeque;

/// A command that tells sizes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sizes {
    Stat,
    List(Option<MessageNumber>),
}

impl Sizes {
    /// Whether a command is one.
    #[expect(clippy::wildcard_enum_match_arm, reason = "two commands tell sizes")]
    pub(super) const fn asked_by(command: &Command<'_>) -> Option<Self> {
        match command {
            Command::Stat => Some(Self::Stat),
            Command::List(number) => Some(Self::List(*number)),
            _tells_none => None,
        }
    }

    pub(super) const fn command(self) -> Command<'static> {
        match self {
            Self::Stat => Command::Stat,
            Self::List(number) => Command::List(number),
        }
    }
}

/// What the client waits for, and the mails that are still to be judged.
#[derive(Debug)]
pub(super) struct Survey {
    asked: Sizes,
    left: VecDeque<MessageNumber>,
    /// `strict-limit`; 0 is none.
    limit: usize,
}

impl Survey {
    pub(super) const fn new(asked: Sizes, limit: usize) -> Self {
        Self { asked, left: VecDeque::new(), limit }
    }

    /// The maildrop has this mail. Of more than `strict-limit` the newest count: the others were there before.
    pub(super) fn found(&mut self, number: MessageNumber) {
        if self.limit > 0 && self.left.len() >= self.limit {
            self.left.pop_front();
        }
        self.left.push_back(number);
    }

    /// The next mail to be judged.
    pub(super) fn next(&mut self) -> Option<MessageNumber> {
        self.left.pop_front()
    }

    /// What the client asked.
    pub(super) const fn asked(&self) -> Sizes {
        self.asked
    }
}
