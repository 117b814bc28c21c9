//! `[mail-filter.NAME] encrypted`: which kinds of locked content have the status `encrypted`. The others pass as far as
//! this status goes, and the log says so.
use serde::{Deserialize, Serialize};

/// Kinds of content that nobody can look into without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Locked {
    /// ZIP, RAR, 7z.
    Archive,
    /// Documents of offices.
    Office,
    /// PDF.
    Pdf,
    /// CMS (RFC 5652) that is enveloped or encrypted.
    Smime,
    /// OpenPGP messages (RFC 9580).
    Pgp,
}

impl Locked {
    /// All of them, as the configuration calls them.
    pub(crate) const WORDS: [(&str, Self); 5] = [
        ("archive", Self::Archive),
        ("office", Self::Office),
        ("pdf", Self::Pdf),
        ("smime", Self::Smime),
        ("pgp", Self::Pgp),
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedKinds(u8);

impl Default for LockedKinds {
    /// Locked files; what a sender locked for the reader alone is the reader's.
    fn default() -> Self {
        Self::of([Locked::Archive, Locked::Office, Locked::Pdf])
    }
}

impl LockedKinds {
    /// Every kind.
    pub const ALL: Self = Self(0b1_1111);

    /// These kinds.
    pub fn of(kinds: impl IntoIterator<Item = Locked>) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | kind.bit()))
    }

    /// Whether this kind has the status.
    pub const fn contains(self, kind: Locked) -> bool {
        self.0 & kind.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_files_count_by_default_and_messages_for_the_reader_alone_do_not() {
        let counts = Locked::WORDS.map(|(word, kind)| (word, LockedKinds::default().contains(kind)));
        let expected = [("archive", true), ("office", true), ("pdf", true), ("smime", false), ("pgp", false)];
        assert_eq!(counts, expected);
        assert_eq!(LockedKinds::of(Locked::WORDS.map(|(_, kind)| kind)), LockedKinds::ALL);
    }
}
