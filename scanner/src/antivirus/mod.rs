//! Antivirus engines. Each gives one answer for one mail; no engine's clean hides another's finding.
pub mod builtin;
pub mod clamd;
pub mod icap;
#[cfg(test)]
mod liar;
pub mod probe;
pub mod signatures;
pub(crate) mod talk;

use ipc::ids::Viruses;
use policy::status::{Status, StatusSet};

/// What an engine found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Empty only while nobody looked.
    pub statuses: StatusSet,
    /// Which viruses.
    pub viruses: Viruses,
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
        Self { statuses: StatusSet::of(Status::Clean), viruses: Viruses::default(), detail: String::new() }
    }

    /// A status and its reason.
    pub fn of(status: Status, detail: impl Into<String>) -> Self {
        Self { statuses: StatusSet::of(status), viruses: Viruses::default(), detail: detail.into() }
    }

    /// Nothing that is a status; a few words for the log.
    pub(crate) fn remark(detail: &str) -> Self {
        Self { detail: detail.to_owned(), ..Self::default() }
    }

    /// A virus by name.
    pub fn infected(virus: &str) -> Self {
        Self {
            statuses: StatusSet::of(Status::Infected),
            viruses: Viruses::named(virus),
            detail: String::new(),
        }
    }

    /// A virus without a name, and how it is known.
    pub(crate) fn unnamed(detail: &str) -> Self {
        let statuses = StatusSet::of(Status::Infected);
        Self { statuses, viruses: Viruses::unnamed(), detail: detail.to_owned() }
    }

    /// Viruses in a part.
    pub(crate) fn in_part(viruses: Viruses) -> Self {
        Self { statuses: StatusSet::of(Status::Infected), viruses, detail: String::new() }
    }

    /// Both; all viruses and the first reason are kept.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            statuses: self.statuses.union(other.statuses),
            viruses: self.viruses.and(other.viruses),
            detail: if self.detail.is_empty() { other.detail } else { self.detail },
        }
    }
}

/// The statuses that count in a mail in which the operator allowed these viruses: `infected` does not, where each virus that was
/// found is one of them.
pub(crate) fn counting(statuses: StatusSet, viruses: &Viruses, allowed: &[String]) -> StatusSet {
    if !statuses.contains(Status::Infected) || !viruses.within(allowed) {
        return statuses;
    }
    let rest: StatusSet = statuses.iter().filter(|status| *status != Status::Infected).collect();
    if rest.is_empty() { StatusSet::of(Status::Clean) } else { rest }
}

/// Whether the operator wants this virus not to count.
fn is_ignored(virus: &str, ignore: &[String]) -> bool {
    ignore.iter().any(|pattern| matches(pattern, virus))
}

/// `*` matches any run of characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for piece in pieces {
        last = Some(piece);
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    match last {
        None => rest.is_empty(),
        Some(last) => last.is_empty() || rest.is_empty() || name.ends_with(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_names_do_not_count_and_others_do() {
        let ignore = ["PUA.*".to_owned(), "*.Phishing.*".to_owned()];
        for virus in ["PUA.Win.Packer", "PUA.", "Heuristics.Phishing.Email"] {
            assert!(is_ignored(virus, &ignore), "{virus}");
        }
        for virus in ["Win.PUA.x", "PU", "Phishing"] {
            assert!(!is_ignored(virus, &ignore), "{virus}");
        }
    }
}
