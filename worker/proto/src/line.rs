//! Bounded lines out of bytes of any cut, for both protocols. Lines are slices of what was read; only what is not
//! yet complete is kept, and freed (and wiped: it may be half a password) as soon as it is.
//!
//! Reads bytes chosen by either peer; trusts nothing but their count.
use crate::quirks;
use memchr::{memchr, memchr2};
use zeroize::Zeroize;

/// A line that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// Longer than the limit, which counts the line end.
    TooLong,
    /// NUL, a bare CR or a bare LF inside.
    Malformed,
}

/// The next line of a server, without its CRLF; `None` while it is incomplete. A server's line ends with CRLF and
/// nothing else: a reader that took a bare LF for a line end would see other answers than we do.
///
/// # Errors
/// [`LineError`]; the caller ends the session.
pub fn server_line<'a>(rest: &mut &'a [u8], limit: usize) -> Result<Option<&'a [u8]>, LineError> {
    let Some(line) = until_line_feed(rest, limit)? else { return Ok(None) };
    let line = line.strip_suffix(b"\r").ok_or(LineError::Malformed)?;
    if memchr2(0, b'\r', line).is_some() {
        return Err(LineError::Malformed);
    }
    Ok(Some(line))
}

/// The next line of a client, without its CRLF or LF; `None` while it is incomplete. A bare CR or a NUL
/// inside is left to the command parser, which wants printable arguments.
///
/// # Errors
/// [`LineError::TooLong`]; the caller skips to the next line.
pub fn client_line<'a>(rest: &mut &'a [u8], limit: usize) -> Result<Option<&'a [u8]>, LineError> {
    let line = until_line_feed(rest, limit)?;
    Ok(line.map(quirks::without_carriage_return))
}

/// Drops bytes up to and with the next LF; whether there was one.
pub fn skip_line(rest: &mut &[u8]) -> bool {
    match memchr(b'\n', rest) {
        Some(at) => {
            *rest = rest.get(at + 1..).unwrap_or_default();
            true
        }
        None => {
            *rest = &[];
            false
        }
    }
}

/// Takes the line with its LF off `rest`, and returns it without.
fn until_line_feed<'a>(rest: &mut &'a [u8], limit: usize) -> Result<Option<&'a [u8]>, LineError> {
    let window = rest.get(..limit).unwrap_or(rest);
    let Some(at) = memchr(b'\n', window) else {
        return if rest.len() >= limit { Err(LineError::TooLong) } else { Ok(None) };
    };
    let (line, after) = rest.split_at(at);
    *rest = after.get(1..).unwrap_or_default();
    Ok(Some(line))
}

/// Bytes that were read and could not be used yet: an incomplete line, or commands that wait for their turn.
/// Holds at most what one read brought and one incomplete line.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What waits.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether a complete line waits.
    pub fn has_line(&self) -> bool {
        memchr(b'\n', self.unread()).is_some()
    }

    /// Gives `consume` what waits and `more` behind it, and keeps what it left; whether it took anything.
    ///
    /// # Errors
    /// Those of `consume`; then nothing is kept.
    pub fn feed<E>(
        &mut self,
        more: &[u8],
        consume: impl FnOnce(&mut &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        if self.is_empty() {
            // What can be used at once is never copied.
            let mut rest = more;
            consume(&mut rest)?;
            self.push(rest);
            return Ok(rest.len() < more.len());
        }
        self.push(more);
        let mut rest = self.unread();
        let before = rest.len();
        consume(&mut rest)?;
        let left = rest.len();
        self.keep_last(left);
        Ok(left < before)
    }

    /// Adds bytes. A vector that grows in place would leave its old octets in freed memory, so it is moved by hand.
    pub(crate) fn push(&mut self, more: &[u8]) {
        if more.is_empty() {
            return;
        }
        let wanted = self.unread().len() + more.len();
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            let mut grown = Vec::with_capacity(wanted.max(2 * self.unread().len()));
            grown.extend_from_slice(self.unread());
            self.bytes.zeroize();
            self.bytes = grown;
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Keeps only the last `left` octets; the others are wiped, and the memory goes with the last one.
    fn keep_last(&mut self, left: usize) {
        let start = self.bytes.len().saturating_sub(left);
        if let Some(used) = self.bytes.get_mut(self.start..start) {
            used.zeroize();
        }
        self.start = start;
        if self.start == self.bytes.len() {
            self.bytes.zeroize();
            self.bytes = Vec::new();
            self.start = 0;
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never its content: it may be a password.
        write!(f, "Inbox({} octets)", self.unread().len())
    }
}
