//! The statuses of a scanned mail and how they combine (a mail is clean only when nothing else was found).
use serde::{Deserialize, Serialize};
use std::fmt;

/// What scanning found. The order is the order in which statuses are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// An engine named a virus.
    Infected,
    /// An engine was down, late, or reported a failure.
    Error,
    /// An engine's answer was not understood.
    Unknown,
    /// A size, count or depth was over its limit.
    Limit,
    /// Content that cannot be looked into without a key.
    Encrypted,
    /// Honest readers could disagree about this mail.
    Malformed,
    /// No engine was demanded.
    Skipped,
    /// Every demanded engine looked and found nothing.
    Clean,
}

impl Status {
    /// Every status, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Infected,
        Self::Error,
        Self::Unknown,
        Self::Limit,
        Self::Encrypted,
        Self::Malformed,
        Self::Skipped,
        Self::Clean,
    ];

    /// The word used in the configuration and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infected => "infected",
            Self::Error => "error",
            Self::Unknown => "unknown",
            Self::Limit => "limit",
            Self::Encrypted => "encrypted",
            Self::Malformed => "malformed",
            Self::Skipped => "skipped",
            Self::Clean => "clean",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of statuses. An empty set means that nothing has been found out yet: it is never clean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatusSet(u8);

impl StatusSet {
    /// The set without a status.
    pub const EMPTY: Self = Self(0);

    /// The set of one status.
    pub const fn of(status: Status) -> Self {
        Self(status.bit())
    }

    /// The statuses that a rule names: `Clean` stays beside others, for a rule may name both.
    pub fn naming(statuses: impl IntoIterator<Item = Status>) -> Self {
        Self(statuses.into_iter().fold(0, |bits, status| bits | status.bit()))
    }

    /// Adds a status. `Clean` stays only while it is alone.
    #[must_use]
    pub const fn with(self, status: Status) -> Self {
        self.union(Self::of(status))
    }

    /// Both sets; one engine's clean never hides another's finding.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let both = self.0 | other.0;
        let bad = both & !Status::Clean.bit();
        Self(if bad == 0 { both } else { bad })
    }

    /// Whether `status` is in the set.
    pub const fn contains(self, status: Status) -> bool {
        self.0 & status.bit() != 0
    }

    /// Whether some status is in both sets.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every status of this set is in `other`.
    pub const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether nothing was found out.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the mail is clean: looked at, and nothing found.
    pub const fn is_clean(self) -> bool {
        self.0 == Status::Clean.bit()
    }

    /// The statuses, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = Status> {
        Status::ALL.into_iter().filter(move |status| self.contains(*status))
    }
}

impl FromIterator<Status> for StatusSet {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        statuses.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, status) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(status.name())?;
        }
        Ok(())
    }
}
