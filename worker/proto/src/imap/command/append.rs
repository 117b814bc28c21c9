//! APPEND (RFC 9051 section 6.3.12) of one or many messages (MULTIAPPEND, RFC 3502), with LITERAL8 (RFC 3516) and UTF8 (RFC 6855);
//! REPLACE (RFC 8508). The messages themselves are literals that do not stand in the frame. CATENATE (RFC 4469) has no
//! place here: it would make a message of parts that nobody scanned.
use super::messages::{parse_flags, write_flags};
use crate::imap::cursor::{Content, Cursor, Parsed};
use crate::imap::mailbox::Mailbox;
use crate::imap::sequence_set::SequenceSet;
use crate::imap::write::Writer;

/// `APPEND mailbox message…`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append<'f> {
    /// Where to.
    pub mailbox: Mailbox<'f>,
    /// At least one.
    pub messages: Vec<Message<'f>>,
}

/// `REPLACE number mailbox message`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace<'f> {
    /// The message that goes: one number.
    pub replaced: SequenceSet<'f>,
    /// Where to.
    pub mailbox: Mailbox<'f>,
    /// What comes.
    pub message: Message<'f>,
}

/// A message and what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'f> {
    /// Flags, if there is a list of them.
    pub flags: Option<Vec<&'f [u8]>>,
    /// INTERNALDATE, without its quotes.
    pub date: Option<&'f [u8]>,
    /// `UTF8 (~{n}…)`
    pub utf8: bool,
    /// Its octets.
    pub content: Content<'f>,
}

impl<'f> Append<'f> {
    /// Reads what follows the name. `open`: the frame may end with the announcement of a message.
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool, open: bool) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = Mailbox::parse(cursor, utf8)?;
        let mut messages = Vec::new();
        while messages.is_empty() || cursor.rest().iter().any(|byte| *byte != b' ') {
            messages.push(Message::parse(cursor, open)?);
        }
        Ok(Self { mailbox, messages })
    }
}

impl<'f> Replace<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool, open: bool) -> Parsed<Self> {
        cursor.space()?;
        let replaced = SequenceSet::parse(cursor)?;
        if replaced.text() != b"*" && replaced.single().is_none() {
            return Err(cursor.wrong("REPLACE takes one message"));
        }
        cursor.space()?;
        let mailbox = Mailbox::parse(cursor, utf8)?;
        Ok(Self { replaced, mailbox, message: Message::parse(cursor, open)? })
    }
}

impl<'f> Message<'f> {
    fn parse(cursor: &mut Cursor<'f>, open: bool) -> Parsed<Self> {
        cursor.space()?;
        let mut flags = None;
        if cursor.peek() == Some(b'(') {
            flags = Some(parse_flags(cursor)?);
            cursor.space()?;
        }
        let mut date = None;
        if cursor.peek() == Some(b'"') {
            date = Some(parse_date_time(cursor)?);
            cursor.space()?;
        }
        let utf8 = cursor.eat_word("UTF8");
        if utf8 {
            cursor.space()?;
            cursor.expect(b'(', "`(` was expected")?;
        }
        if !matches!(cursor.peek(), Some(b'{' | b'~')) {
            return Err(cursor.wrong("a literal was expected"));
        }
        let content = cursor.content()?;
        if utf8 && !(open && cursor.is_at_end()) {
            cursor.expect(b')', "`)` was expected")?;
        }
        Ok(Self { flags, date, utf8, content })
    }

    /// Writes what stands in front of its octets, for a literal of this size.
    pub fn write_head(&self, size: u64, writer: &mut Writer<'_>) {
        writer.space();
        if let Some(flags) = &self.flags {
            write_flags(flags, writer);
            writer.space();
        }
        if let Some(date) = self.date {
            writer.raw(b"\"");
            writer.raw(date);
            writer.raw(b"\" ");
        }
        if self.utf8 {
            writer.word("UTF8 (");
        }
        let binary = match &self.content {
            Content::Elided { binary, .. } => *binary,
            Content::Inline(string) => {
                matches!(string, Some(crate::imap::cursor::Str::Literal { binary: true, .. }))
            }
        };
        writer.announce(size, binary);
    }

    /// Writes what stands behind its octets.
    pub fn write_tail(&self, writer: &mut Writer<'_>) {
        if self.utf8 {
            writer.raw(b")");
        }
    }
}

/// `date-time`: `"dd-Mon-yyyy hh:mm:ss +zzzz"`, where a blank may stand for the first digit of the day.
pub(in crate::imap) fn parse_date_time<'f>(cursor: &mut Cursor<'f>) -> Parsed<&'f [u8]> {
    cursor.expect(b'"', "a date was expected")?;
    let start = cursor.clone();
    let text = cursor.word(|byte| byte != b'"', "a date was expected")?;
    cursor.expect(b'"', "a quote is not closed")?;
    // Digits, letters and what stands between them.
    const SHAPE: &[u8; 26] = b"00-aaa-0000 00:00:00 +0000";
    let fits = text.len() == SHAPE.len()
        && text.iter().zip(SHAPE).enumerate().all(|(index, (byte, shape))| match shape {
            b'0' => byte.is_ascii_digit() || (index == 0 && *byte == b' '),
            b'a' => byte.is_ascii_alphabetic(),
            b'+' => matches!(byte, b'+' | b'-'),
            other => byte == other,
        });
    let month = text.get(3..6).is_some_and(super::search::is_month);
    if fits && month { Ok(text) } else { Err(start.wrong("a date was expected")) }
}
