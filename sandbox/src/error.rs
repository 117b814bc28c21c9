//! Why a wall could not be built.
use std::fmt;

/// A wall and what went wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which wall, in words for the log.
    pub wall: &'static str,
    /// What the kernel or a check said.
    pub why: String,
}

impl Error {
    pub(crate) fn new(wall: &'static str, why: impl fmt::Display) -> Self {
        Self { wall, why: why.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.wall, self.why)
    }
}

impl std::error::Error for Error {}
