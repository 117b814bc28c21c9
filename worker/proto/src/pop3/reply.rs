//! Status lines of a server, and how they are written for a client.
use std::borrow::Cow;

/// RFC 1939 section 3: the two status indicators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `+OK`
    Ok,
    /// `-ERR`
    Err,
}

/// A status line without its CRLF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Which.
    pub status: Status,
    /// What follows the blank.
    pub text: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads a line of a server; `None` where it is neither `+OK` nor `-ERR`, and the session cannot go on.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (status, rest) = if let Some(rest) = line.strip_prefix(b"+OK") {
            (Status::Ok, rest)
        } else {
            (Status::Err, line.strip_prefix(b"-ERR")?)
        };
        match rest {
            [] => Some(Self { status, text: b"" }),
            [b' ', text @ ..] => Some(Self { status, text }),
            _other => None,
        }
    }

    /// Writes it for the client, with CRLF, in printable characters.
    pub fn write(&self, utf8: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.status {
            Status::Ok => b"+OK",
            Status::Err => b"-ERR",
        });
        if !self.text.is_empty() {
            out.push(b' ');
            out.extend_from_slice(&printable(self.text, utf8));
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The text with `?` for every character that does not print; 8-bit text passes only where the client asked for
/// UTF-8 (RFC 6856) and it is that.
pub fn printable(text: &[u8], utf8: bool) -> Cow<'_, [u8]> {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    if utf8 && let Ok(text) = std::str::from_utf8(text) {
        let clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        return Cow::Owned(clean.into_bytes());
    }
    Cow::Owned(text.iter().map(|byte| if matches!(byte, b' '..=b'~') { *byte } else { b'?' }).collect())
}
