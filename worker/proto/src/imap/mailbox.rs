//! Names of mailboxes: octets that stay what they are, modified UTF-7 (RFC 3501 section 5.1.3) or UTF-8 behind ENABLE
//! UTF8=ACCEPT. Only INBOX has a case of its own choice.
use super::cursor::{Cursor, Parsed, Str};
use super::write::Writer;
use crate::machine::Side;
use std::borrow::Cow;

/// A name, or a pattern of LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox<'f>(Cow<'f, [u8]>);

impl<'f> Mailbox<'f> {
    /// Reads a name. `utf8`: it may be in UTF-8.
    ///
    /// # Errors
    /// [`super::cursor::Wrong`].
    pub fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        let name = cursor.astring()?;
        Self::checked(cursor, name, utf8)
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`super::cursor::Wrong`].
    pub fn parse_pattern(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        let pattern = cursor.list_mailbox()?;
        Self::checked(cursor, pattern, utf8)
    }

    pub(super) fn checked(cursor: &Cursor<'f>, name: Str<'f>, utf8: bool) -> Parsed<Self> {
        let name = match name {
            Str::Atom(bytes) | Str::Literal { bytes, binary: false } => Cow::Borrowed(bytes),
            Str::Quoted(bytes) => bytes,
            Str::Literal { binary: true, .. } => return Err(cursor.wrong("`~{` in a name")),
        };
        if name.iter().any(u8::is_ascii_control) {
            return Err(cursor.wrong("a control character in a name"));
        }
        // Servers may give names in 8 bits to everybody; a client gets them as they are.
        if cursor.peer() == Side::Client && !name.is_ascii() && !(utf8 && std::str::from_utf8(&name).is_ok())
        {
            return Err(cursor.wrong("8-bit octets in a name"));
        }
        Ok(Self(name))
    }

    /// Its octets.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// INBOX, in any case.
    pub fn is_inbox(&self) -> bool {
        self.0.eq_ignore_ascii_case(b"INBOX")
    }

    /// Writes it, as an atom where that can be.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.astring_bytes(&self.0);
    }

    /// Writes it as a pattern, of which `%` and `*` may stand bare.
    pub fn write_pattern(&self, writer: &mut Writer<'_>) {
        writer.pattern_bytes(&self.0);
    }

    /// The same, owning its octets.
    pub fn into_owned(self) -> Mailbox<'static> {
        Mailbox(Cow::Owned(self.0.into_owned()))
    }
}
