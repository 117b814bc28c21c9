//! Antivirus engines. Each gives one answer for one mail; no engine's clean hides another's finding.
pub mod builtin;
pub mod clamd;
pub mod probe;
pub mod signatures;

use policy::status::{Status, StatusSet};

/// What an engine found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Empty only while nobody looked.
    pub statuses: StatusSet,
    /// The virus that it named.
    pub virus: Option<String>,
    /// Why the status is not clean, for the log.
    pub detail: String,
}

impl Finding {
    /// Nobody looked yet.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Nothing was found.
    pub fn clean() -> Self {
        Self { statuses: StatusSet::of(Status::Clean), virus: None, detail: String::new() }
    }

    /// A status and its reason.
    pub fn of(status: Status, detail: impl Into<String>) -> Self {
        Self { statuses: StatusSet::of(status), virus: None, detail: detail.into() }
    }

    /// A virus by name.
    pub fn infected(virus: &str) -> Self {
        Self {
            statuses: StatusSet::of(Status::Infected),
            virus: Some(virus.to_owned()),
            detail: String::new(),
        }
    }

    /// Both; the first virus and the first reason are kept.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            statuses: self.statuses.union(other.statuses),
            virus: self.virus.or(other.virus),
            detail: if self.detail.is_empty() { other.detail } else { self.detail },
        }
    }
}
