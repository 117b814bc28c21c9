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

    /// A name that was checked once already.
    pub(super) const fn named(name: &'f [u8]) -> Self {
        Self(Cow::Borrowed(name))
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

    /// One name for one mailbox, by which the index knows it: in UTF-8, whatever a session speaks. `utf8`: it is in that already.
    pub fn canonical(&self, utf8: bool) -> Vec<u8> {
        if self.is_inbox() {
            return b"INBOX".to_vec();
        }
        let decoded = if utf8 { None } else { decode(&self.0) };
        decoded.unwrap_or_else(|| self.0.to_vec())
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

/// Modified UTF-7. Of what is none, nothing.
fn decode(name: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = name.split(|byte| *byte == b'&');
    let mut decoded = pieces.next()?.to_vec();
    for piece in pieces {
        let end = piece.iter().position(|byte| *byte == b'-')?;
        let (shifted, plain) = (piece.get(..end)?, piece.get(end + 1..)?);
        if shifted.is_empty() {
            decoded.push(b'&');
        } else {
            let text: Result<String, _> = char::decode_utf16(utf16(shifted)?).collect();
            decoded.extend_from_slice(text.ok()?.as_bytes());
        }
        decoded.extend_from_slice(plain);
    }
    Some(decoded)
}

/// Base64 with `,` for `/` and without `=`.
fn utf16(shifted: &[u8]) -> Option<Vec<u16>> {
    let (mut units, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for byte in shifted {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b',' => 63,
            _other => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from((bits >> count) & 0xffff).ok()?);
        }
        bits &= (1 << count) - 1;
    }
    (count < 6 && bits == 0).then_some(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(name: &str, utf8: bool) -> String {
        String::from_utf8(Mailbox(name.as_bytes().into()).canonical(utf8)).unwrap()
    }

    #[test]
    fn a_mailbox_has_one_name_whatever_a_session_speaks() {
        for (utf7, utf8) in [
            ("&AOk-t&AOk-", "\u{e9}t\u{e9}"),
            ("a &- b", "a & b"),
            // RFC 3501 section 5.1.3
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}"),
            ("&2D3cqQ-", "\u{1f4a9}"),
            ("INBOX/x", "INBOX/x"),
        ] {
            assert_eq!(canonical(utf7, false), utf8);
            assert_eq!(canonical(utf8, true), utf8);
        }
        assert_eq!((canonical("iNbOx", false), canonical("inbox", true)), ("INBOX".into(), "INBOX".into()));
        for none in ["a&b", "&", "&AOk", "&A-", "&AOl-", "&2D0-", "&*-", "a&-&"] {
            assert_eq!(canonical(none, false), none, "what cannot be read stays what it is");
        }
    }
}
