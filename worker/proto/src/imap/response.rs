//! Responses of a server: parsed, checked, and written anew for the client. What is not of a kind that is listed here is no
//! response: the session ends, because nobody knows what it would carry round the scanner.
//!
//! Reads bytes chosen by a server.
pub mod code;
pub mod data;
pub mod envelope;
pub mod fetch;
pub mod structure;

use super::cursor::{Cursor, Parsed, Str, is_tag_char};
use super::frame::Frame;
use super::sequence_set::SequenceSet;
use super::write::Writer;
use crate::machine::Side;
use crate::quirks;
use code::Code;
use data::{Kind, Value};
use fetch::Fetch;

/// A response that is well formed; it borrows from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response<'f> {
    /// Tagged or not: OK, NO, BAD, and greetings.
    Status(Status<'f>),
    /// `+ text`
    Continue(&'f [u8]),
    /// Everything else.
    Data(Data<'f>),
}

/// A status response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status<'f> {
    /// Of the command that it answers; `None` for `*`.
    pub tag: Option<&'f [u8]>,
    /// Which.
    pub kind: StatusKind,
    /// In brackets.
    pub code: Option<Code<'f>>,
    /// For people; may be empty.
    pub text: &'f [u8],
}

/// The word of a status response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusKind {
    /// OK
    Ok,
    /// NO
    No,
    /// BAD
    Bad,
    /// BYE; never tagged.
    Bye,
    /// PREAUTH; never tagged.
    Preauth,
}

/// Untagged data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'f> {
    /// `CAPABILITY`
    Capability(Words<'f>),
    /// `ENABLED`
    Enabled(Words<'f>),
    /// `n EXISTS`
    Exists(u32),
    /// `n RECENT`
    Recent(u32),
    /// `n EXPUNGE`
    Expunge(u32),
    /// `VANISHED [(EARLIER)] uids` (RFC 7162)
    Vanished {
        /// Not now, but since the client looked last.
        earlier: bool,
        /// Which.
        uids: SequenceSet<'f>,
    },
    /// `n FETCH (…)`
    Fetch(Fetch<'f>),
    /// `ESEARCH [(TAG …)] …` (RFC 4731)
    Esearch {
        /// Of the command that it answers.
        tag: Option<Str<'f>>,
        /// What follows it.
        result: Value<'f>,
    },
    /// A kind whose values are checked and passed: `LIST …`
    Other(Value<'f>),
}

/// Atoms with blanks between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words<'f>(&'f [u8]);

impl<'f> Words<'f> {
    /// Reads them up to the end, or to what is no atom.
    pub(super) fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        let words = cursor.span(|cursor| {
            while cursor
                .rest()
                .iter()
                .find(|byte| **byte != b' ')
                .copied()
                .is_some_and(super::cursor::is_atom_char)
            {
                cursor.space()?;
                cursor.atom()?;
            }
            Ok(())
        })?;
        Ok(Self(words))
    }

    /// Each.
    pub fn iter(self) -> impl Iterator<Item = &'f [u8]> {
        self.0.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
    }

    /// Whether one of them is this, in any case.
    pub fn contains(self, word: &str) -> bool {
        self.iter().any(|here| here.eq_ignore_ascii_case(word.as_bytes()))
    }
}

impl StatusKind {
    const ALL: [(&'static str, Self); 5] = [
        ("OK", Self::Ok),
        ("NO", Self::No),
        ("BAD", Self::Bad),
        ("BYE", Self::Bye),
        ("PREAUTH", Self::Preauth),
    ];

    fn eat(cursor: &mut Cursor<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _kind)| cursor.eat_word(name)).map(|(_name, kind)| kind)
    }

    /// As on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
            Self::Preauth => "PREAUTH",
        }
    }
}

impl<'f> Response<'f> {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`super::cursor::Wrong`] if it is no response of a kind that is known.
    pub fn parse(frame: Frame<'f>) -> Parsed<Self> {
        let mut cursor = Cursor::new(frame, Side::Server);
        if let Some(text) = quirks::challenge(frame.text) {
            return Ok(Self::Continue(text));
        }
        let tag = if cursor.eat(b'*') { None } else { Some(cursor.word(is_tag_char, "a tag was expected")?) };
        cursor.space()?;
        if let Some(kind) = StatusKind::eat(&mut cursor) {
            if tag.is_some() && matches!(kind, StatusKind::Bye | StatusKind::Preauth) {
                return Err(cursor.wrong("a tag in front of BYE or PREAUTH"));
            }
            return Status::parse_rest(tag, kind, cursor).map(Self::Status);
        }
        if tag.is_some() {
            return Err(cursor.wrong("OK, NO or BAD was expected"));
        }
        Data::parse(cursor, frame).map(Self::Data)
    }

    /// Writes it for the client, with CRLF. A FETCH response can be written so only if all of it stands in its frame.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Status(status) => status.write(status.tag, writer),
            Self::Continue(text) => {
                writer.raw(b"+ ");
                writer.raw(text);
                writer.end();
            }
            Self::Data(data) => data.write(writer),
        }
    }
}

impl<'f> Status<'f> {
    fn parse_rest(tag: Option<&'f [u8]>, kind: StatusKind, mut cursor: Cursor<'f>) -> Parsed<Self> {
        let mut status = Self { tag, kind, code: None, text: &[] };
        // Without text: quirk of many servers (`a OK`).
        if !cursor.is_at_end() {
            cursor.space()?;
        }
        while cursor.peek() == Some(b'[') {
            let code = code::parse(&mut cursor)?;
            if code.is_some() && !cursor.is_at_end() {
                let _ = cursor.eat_space();
            }
            // A referral is left out, and what stands behind it then stands in its place.
            let left_out = code == Some(Code::Referral);
            status.code = code.or(status.code);
            if !left_out {
                break;
            }
        }
        status.text = cursor.rest();
        Ok(status)
    }

    /// Writes it with this tag, and CRLF.
    pub fn write(&self, tag: Option<&[u8]>, writer: &mut Writer<'_>) {
        writer.words([tag.unwrap_or(b"*"), self.kind.name().as_bytes()]);
        writer.space();
        if let Some(code) = &self.code {
            code.write(writer);
        }
        if self.text.is_empty() {
            // The grammar wants at least one character.
            writer.word(self.kind.name());
        } else {
            writer.text(self.text);
        }
        writer.end();
    }
}

impl<'f> Data<'f> {
    fn parse(mut cursor: Cursor<'f>, frame: Frame<'f>) -> Parsed<Self> {
        if cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            let number = cursor.number()?;
            cursor.space()?;
            let data = if cursor.eat_word("FETCH") {
                return Fetch::parse_rest(number, cursor, frame).map(Self::Fetch);
            } else if cursor.eat_word("EXISTS") {
                Self::Exists(number)
            } else if cursor.eat_word("RECENT") {
                Self::Recent(number)
            } else if cursor.eat_word("EXPUNGE") {
                Self::Expunge(number)
            } else {
                return Err(cursor.wrong("data of a kind that is not known"));
            };
            cursor.end()?;
            return Ok(data);
        }
        let data = if cursor.eat_word("CAPABILITY") {
            Self::Capability(Words::parse(&mut cursor)?)
        } else if cursor.eat_word("ENABLED") {
            Self::Enabled(Words::parse(&mut cursor)?)
        } else if cursor.eat_word("VANISHED") {
            cursor.space()?;
            let earlier = cursor.eat(b'(');
            if earlier {
                if !cursor.eat_word("EARLIER") {
                    return Err(cursor.wrong("EARLIER was expected"));
                }
                cursor.expect(b')', "`)` was expected")?;
                cursor.space()?;
            }
            Self::Vanished { earlier, uids: SequenceSet::parse(&mut cursor)? }
        } else if cursor.eat_word("ESEARCH") {
            let mut tag = None;
            if cursor.rest().trim_ascii_start().starts_with(b"(") {
                cursor.space()?;
                cursor.expect(b'(', "`(` was expected")?;
                if !cursor.eat_word("TAG") {
                    return Err(cursor.wrong("TAG was expected"));
                }
                cursor.space()?;
                tag = Some(cursor.astring()?);
                cursor.expect(b')', "`)` was expected")?;
            }
            Self::Esearch { tag, result: Value::parse(Kind::Esearch, &mut cursor)? }
        } else {
            let Some(kind) = Kind::eat(&mut cursor) else {
                return Err(cursor.wrong("data of a kind that is not known"));
            };
            Self::Other(Value::parse(kind, &mut cursor)?)
        };
        cursor.end()?;
        Ok(data)
    }

    /// Writes it, with CRLF.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.raw(b"* ");
        match self {
            Self::Capability(words) => write_words("CAPABILITY", *words, writer),
            Self::Enabled(words) => write_words("ENABLED", *words, writer),
            Self::Exists(number) => write_numbered(*number, " EXISTS", writer),
            Self::Recent(number) => write_numbered(*number, " RECENT", writer),
            Self::Expunge(number) => write_numbered(*number, " EXPUNGE", writer),
            Self::Vanished { earlier, uids } => {
                writer.word(if *earlier { "VANISHED (EARLIER) " } else { "VANISHED " });
                writer.raw(uids.text());
            }
            Self::Fetch(fetch) => fetch.write(writer),
            Self::Esearch { tag, result } => {
                writer.word("ESEARCH");
                if let Some(tag) = tag {
                    writer.word(" (TAG ");
                    writer.string_bytes(tag.bytes());
                    writer.raw(b")");
                }
                result.write(writer);
            }
            Self::Other(value) => {
                writer.word(value.kind().name());
                value.write(writer);
            }
        }
        writer.end();
    }
}

fn write_words(name: &str, words: Words<'_>, writer: &mut Writer<'_>) {
    writer.word(name);
    for word in words.iter() {
        writer.space();
        writer.raw(word);
    }
}

fn write_numbered(number: u32, name: &str, writer: &mut Writer<'_>) {
    writer.number(u64::from(number));
    writer.word(name);
}
