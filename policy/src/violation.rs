//! `[mail-filter.NAME]`: what a mail can be guilty of, and what is done about it.
use serde::{Deserialize, Serialize};

/// A violation of the standards of mail, or a form about which readers disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Violation {
    /// CR or LF alone.
    BareNewlines,
    /// NUL octets.
    NulBytes,
    /// Octets above 127 in a header.
    EightBitHeader,
    /// Octets above 127 in a body that declares none.
    EightBitBody,
    /// Lines of more than 998 octets.
    LongLines,
    /// Wrong quoted-printable.
    BadQuoting,
    /// Wrong base64, or an unknown encoding.
    BadEncoding,
    /// Boundaries that are missing, late or ambiguous.
    BadBoundary,
    /// Fields twice that stand once.
    DuplicateHeaders,
    /// Header lines that are none.
    InvalidHeader,
    /// Content types that are none.
    InvalidType,
    /// Whatever readers could disagree about.
    Ambiguous,
    /// message/partial and message/external-body.
    PartialMessage,
}

impl Violation {
    /// Every violation, in the order of the configuration.
    pub const ALL: [Self; 13] = [
        Self::BareNewlines,
        Self::NulBytes,
        Self::EightBitHeader,
        Self::EightBitBody,
        Self::LongLines,
        Self::BadQuoting,
        Self::BadEncoding,
        Self::BadBoundary,
        Self::DuplicateHeaders,
        Self::InvalidHeader,
        Self::InvalidType,
        Self::Ambiguous,
        Self::PartialMessage,
    ];

    /// The word of the configuration and of the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BareNewlines => "bare-newlines",
            Self::NulBytes => "nul-bytes",
            Self::EightBitHeader => "eight-bit-header",
            Self::EightBitBody => "eight-bit-body",
            Self::LongLines => "long-lines",
            Self::BadQuoting => "bad-quoting",
            Self::BadEncoding => "bad-encoding",
            Self::BadBoundary => "bad-boundary",
            Self::DuplicateHeaders => "duplicate-headers",
            Self::InvalidHeader => "invalid-header",
            Self::InvalidType => "invalid-type",
            Self::Ambiguous => "ambiguous",
            Self::PartialMessage => "partial-message",
        }
    }

    const fn shipped(self) -> Treatment {
        match self {
            Self::InvalidType | Self::PartialMessage => Treatment::Malformed,
            Self::BareNewlines
            | Self::NulBytes
            | Self::EightBitHeader
            | Self::EightBitBody
            | Self::LongLines
            | Self::BadQuoting
            | Self::BadEncoding
            | Self::BadBoundary
            | Self::DuplicateHeaders
            | Self::InvalidHeader
            | Self::Ambiguous => Treatment::Correct,
        }
    }
}

/// What is done about a violation. The order is that of strictness: of several the greatest decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Treatment {
    /// Delivered as it came.
    Pass,
    /// The mail is rebuilt without it.
    Correct,
    /// The mail has the status `malformed`.
    Malformed,
}

/// The treatment of every violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Treatments([Treatment; Violation::ALL.len()]);

impl Default for Treatments {
    /// What is shipped: corrected, but for types that are none and fragments of messages.
    fn default() -> Self {
        Self(Violation::ALL.map(Violation::shipped))
    }
}

impl Treatments {
    /// Every violation makes a mail malformed.
    pub const STRICT: Self = Self([Treatment::Malformed; Violation::ALL.len()]);

    /// What is done about this one.
    pub fn of(&self, violation: Violation) -> Treatment {
        self.0.get(violation as usize).copied().unwrap_or(Treatment::Malformed)
    }

    pub(crate) fn set(&mut self, violation: Violation, treatment: Treatment) {
        if let Some(place) = self.0.get_mut(violation as usize) {
            *place = treatment;
        }
    }

    /// What is done about a mail with these violations; without one it passes.
    pub fn of_all(&self, violations: impl IntoIterator<Item = Violation>) -> Treatment {
        violations.into_iter().map(|violation| self.of(violation)).max().unwrap_or(Treatment::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_treatment_of_all_violations_decides() {
        let mut treatments = Treatments::default();
        assert_eq!(treatments.of_all([]), Treatment::Pass);
        assert_eq!(treatments.of_all([Violation::Ambiguous]), Treatment::Correct);
        assert_eq!(treatments.of_all([Violation::Ambiguous, Violation::InvalidType]), Treatment::Malformed);
        treatments.set(Violation::Ambiguous, Treatment::Pass);
        assert_eq!(treatments.of_all([Violation::Ambiguous]), Treatment::Pass);
        for violation in Violation::ALL {
            assert_eq!(Violation::ALL.get(violation as usize), Some(&violation));
            assert_eq!(Treatments::STRICT.of(violation), Treatment::Malformed);
        }
    }
}
