//! Words that every role shares: protocols, directions, roles and the numbers that name things.
use serde::{Deserialize, Serialize};
use std::fmt;

/// The mail access protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// RFC 1939.
    Pop3,
    /// RFC 9051.
    Imap,
    /// RFC 5804. In the language, not in this version.
    Sieve,
}

impl Protocol {
    /// IANA's ports: with implicit TLS, else the plain ones.
    pub const fn port(self, implicit: bool) -> u16 {
        match (self, implicit) {
            (Self::Pop3, true) => 995,
            (Self::Pop3, false) => 110,
            (Self::Imap, true) => 993,
            (Self::Imap, false) => 143,
            (Self::Sieve, _) => 4190,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
            Self::Sieve => "sieve",
        })
    }
}

/// A language of answers and notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Czech.
    Cs,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
}

impl Language {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::En, Self::Cs, Self::De, Self::Fr, Self::Es];
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::En => "en",
            Self::Cs => "cs",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
        })
    }
}

/// Which way a mail travels: `Download` is server to client, `Upload` is client to server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Server to client (RETR, TOP, FETCH).
    Download,
    /// Client to server (APPEND).
    Upload,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Download => "download",
            Self::Upload => "upload",
        })
    }
}
