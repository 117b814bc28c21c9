//! What FETCH asks for, one item each, and the names under which a response brings it: RFC 9051 section 6.4.5, RFC 3516
//! (BINARY), 7162 (MODSEQ), 8474 (EMAILID, THREADID), 8514 (SAVEDATE).
//!
//! Reads bytes chosen by either peer.
use super::cursor::{Cursor, MAX_DEPTH, Parsed, Str};
use super::write::Writer;
use crate::machine::Side;
use std::borrow::Cow;

/// One item of a FETCH command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem<'f> {
    /// `FLAGS`
    Flags,
    /// `UID`
    Uid,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY`
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `MODSEQ`
    ModSeq,
    /// `EMAILID`
    EmailId,
    /// `THREADID`
    ThreadId,
    /// `SAVEDATE`
    SaveDate,
    /// `BODY[…]<…>`, `BODY.PEEK[…]<…>`
    Section {
        /// Which octets.
        section: Section<'f>,
        /// Which of these.
        partial: Option<Partial>,
        /// \Seen stays as it is.
        peek: bool,
    },
    /// `BINARY[…]<…>`, `BINARY.PEEK[…]<…>`
    Binary {
        /// Which part.
        part: Part<'f>,
        /// Which of its octets.
        partial: Option<Partial>,
        /// \Seen stays as it is.
        peek: bool,
    },
    /// `BINARY.SIZE[…]`
    BinarySize(Part<'f>),
    /// `RFC822`
    Rfc822,
    /// `RFC822.HEADER`
    Rfc822Header,
    /// `RFC822.TEXT`
    Rfc822Text,
}

/// `<origin.length>`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The first octet, from 0.
    pub origin: u64,
    /// At most so many; never 0.
    pub length: u64,
}

/// A part's number, such as `1.2`; empty for the whole message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part<'f>(Cow<'f, [u8]>);

/// What stands between `[` and `]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section<'f> {
    /// The part.
    pub part: Part<'f>,
    /// What of it.
    pub text: SectionText<'f>,
}

/// `section-text`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SectionText<'f> {
    /// The whole message, or the body of a part.
    #[default]
    All,
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS (…)`
    Fields(Fields<'f>),
    /// `HEADER.FIELDS.NOT (…)`
    FieldsNot(Fields<'f>),
    /// `TEXT`
    Text,
    /// `MIME`
    Mime,
}

/// Names of header fields. Equal are those with the same names, in any case.
#[derive(Clone, Debug)]
pub struct Fields<'f> {
    text: Cow<'f, [u8]>,
    from: Side,
}

impl FetchItem<'_> {
    /// Whether it brings octets of the message itself: what may only come from a scanned copy. RFC822.SIZE, ENVELOPE, BODY,
    /// BODYSTRUCTURE and BINARY.SIZE tell about them.
    pub const fn is_content(&self) -> bool {
        match self {
            Self::Section { .. }
            | Self::Binary { .. }
            | Self::Rfc822
            | Self::Rfc822Header
            | Self::Rfc822Text => true,
            Self::Flags
            | Self::Uid
            | Self::InternalDate
            | Self::Size
            | Self::Envelope
            | Self::Body
            | Self::BodyStructure
            | Self::ModSeq
            | Self::EmailId
            | Self::ThreadId
            | Self::SaveDate
            | Self::BinarySize(_) => false,
        }
    }

    /// The header of the message and nothing else (`metadata = "lazy"` leaves it to the server).
    pub const fn is_top_header(&self) -> bool {
        match self {
            Self::Rfc822Header => true,
            Self::Section { section: Section { part, text }, .. } => {
                part.is_whole()
                    && matches!(
                        text,
                        SectionText::Header | SectionText::Fields(_) | SectionText::FieldsNot(_)
                    )
            }
            Self::Binary { .. }
            | Self::Rfc822
            | Self::Rfc822Text
            | Self::Flags
            | Self::Uid
            | Self::InternalDate
            | Self::Size
            | Self::Envelope
            | Self::Body
            | Self::BodyStructure
            | Self::ModSeq
            | Self::EmailId
            | Self::ThreadId
            | Self::SaveDate
            | Self::BinarySize(_) => false,
        }
    }

    /// Whether a server sets \Seen for it (RFC 9051 section 6.4.5; RFC 3501: RFC822.HEADER does not).
    pub const fn sets_seen(&self) -> bool {
        match self {
            Self::Section { peek, .. } | Self::Binary { peek, .. } => !*peek,
            Self::Rfc822 | Self::Rfc822Text => true,
            Self::Rfc822Header
            | Self::Flags
            | Self::Uid
            | Self::InternalDate
            | Self::Size
            | Self::Envelope
            | Self::Body
            | Self::BodyStructure
            | Self::ModSeq
            | Self::EmailId
            | Self::ThreadId
            | Self::SaveDate
            | Self::BinarySize(_) => false,
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> FetchItem<'static> {
        match self {
            Self::Flags => FetchItem::Flags,
            Self::Uid => FetchItem::Uid,
            Self::InternalDate => FetchItem::InternalDate,
            Self::Size => FetchItem::Size,
            Self::Envelope => FetchItem::Envelope,
            Self::Body => FetchItem::Body,
            Self::BodyStructure => FetchItem::BodyStructure,
            Self::ModSeq => FetchItem::ModSeq,
            Self::EmailId => FetchItem::EmailId,
            Self::ThreadId => FetchItem::ThreadId,
            Self::SaveDate => FetchItem::SaveDate,
            Self::Section { section, partial, peek } => {
                FetchItem::Section { section: section.into_owned(), partial, peek }
            }
            Self::Binary { part, partial, peek } => {
                FetchItem::Binary { part: part.into_owned(), partial, peek }
            }
            Self::BinarySize(part) => FetchItem::BinarySize(part.into_owned()),
            Self::Rfc822 => FetchItem::Rfc822,
            Self::Rfc822Header => FetchItem::Rfc822Header,
            Self::Rfc822Text => FetchItem::Rfc822Text,
        }
    }

    /// Writes it as in a command.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Flags => writer.word("FLAGS"),
            Self::Uid => writer.word("UID"),
            Self::InternalDate => writer.word("INTERNALDATE"),
            Self::Size => writer.word("RFC822.SIZE"),
            Self::Envelope => writer.word("ENVELOPE"),
            Self::Body => writer.word("BODY"),
            Self::BodyStructure => writer.word("BODYSTRUCTURE"),
            Self::ModSeq => writer.word("MODSEQ"),
            Self::EmailId => writer.word("EMAILID"),
            Self::ThreadId => writer.word("THREADID"),
            Self::SaveDate => writer.word("SAVEDATE"),
            Self::Section { section, partial, peek } => {
                writer.word(if *peek { "BODY.PEEK" } else { "BODY" });
                section.write(writer);
                write_partial(*partial, writer);
            }
            Self::Binary { part, partial, peek } => {
                writer.word(if *peek { "BINARY.PEEK" } else { "BINARY" });
                part.write_bracketed(writer);
                write_partial(*partial, writer);
            }
            Self::BinarySize(part) => {
                writer.word("BINARY.SIZE");
                part.write_bracketed(writer);
            }
            Self::Rfc822 => writer.word("RFC822"),
            Self::Rfc822Header => writer.word("RFC822.HEADER"),
            Self::Rfc822Text => writer.word("RFC822.TEXT"),
        }
    }
}

impl<'f> FetchItem<'f> {
    /// Reads the items of a command: one, several in parentheses, or a macro, which is spelled out.
    ///
    /// # Errors
    /// [`super::cursor::Wrong`].
    pub fn parse_all(cursor: &mut Cursor<'f>) -> Parsed<Vec<Self>> {
        let fast = [Self::Flags, Self::InternalDate, Self::Size];
        if cursor.eat_word("FAST") {
            return Ok(fast.into());
        }
        if cursor.eat_word("ALL") {
            return Ok(fast.into_iter().chain([Self::Envelope]).collect());
        }
        if cursor.eat_word("FULL") {
            return Ok(fast.into_iter().chain([Self::Envelope, Self::Body]).collect());
        }
        let mut items = Vec::new();
        if cursor.peek() == Some(b'(') {
            cursor.list(|cursor| {
                items.push(Self::parse(cursor)?);
                Ok(())
            })?;
            if items.is_empty() {
                return Err(cursor.wrong("FETCH asks for nothing"));
            }
        } else {
            items.push(Self::parse(cursor)?);
        }
        Ok(items)
    }

    fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        let plain = [
            ("FLAGS", Self::Flags),
            ("UID", Self::Uid),
            ("INTERNALDATE", Self::InternalDate),
            ("RFC822.SIZE", Self::Size),
            ("RFC822.HEADER", Self::Rfc822Header),
            ("RFC822.TEXT", Self::Rfc822Text),
            ("RFC822", Self::Rfc822),
            ("ENVELOPE", Self::Envelope),
            ("BODYSTRUCTURE", Self::BodyStructure),
            ("MODSEQ", Self::ModSeq),
            ("EMAILID", Self::EmailId),
            ("THREADID", Self::ThreadId),
            ("SAVEDATE", Self::SaveDate),
        ];
        for (name, item) in plain {
            if cursor.eat_word(name) {
                return Ok(item);
            }
        }
        for (name, peek) in [("BODY.PEEK[", true), ("BODY[", false)] {
            if cursor.eat_prefix(name) {
                let section = Section::parse_rest(cursor)?;
                return Ok(Self::Section { section, partial: parse_partial(cursor)?, peek });
            }
        }
        for (name, peek) in [("BINARY.PEEK[", true), ("BINARY[", false)] {
            if cursor.eat_prefix(name) {
                let part = Part::parse_bracketed(cursor)?;
                return Ok(Self::Binary { part, partial: parse_partial(cursor)?, peek });
            }
        }
        if cursor.eat_prefix("BINARY.SIZE[") {
            return Part::parse_bracketed(cursor).map(Self::BinarySize);
        }
        if cursor.eat_word("BODY") {
            return Ok(Self::Body);
        }
        Err(cursor.wrong("an item that FETCH does not have here"))
    }
}

impl<'f> Part<'f> {
    /// The whole message.
    pub const WHOLE: Self = Self(Cow::Borrowed(&[]));

    /// Whether it is the whole message.
    pub const fn is_whole(&self) -> bool {
        match &self.0 {
            Cow::Borrowed(text) => text.is_empty(),
            Cow::Owned(text) => text.is_empty(),
        }
    }

    /// Its numbers, outermost first.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let numbers = self.0.split(|byte| *byte == b'.').filter(|digits| !digits.is_empty());
        numbers.map(|digits| {
            digits.iter().fold(0_u32, |value, digit| {
                value.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0')))
            })
        })
    }

    /// As it was written.
    pub fn text(&self) -> &[u8] {
        &self.0
    }

    /// Reads `1.2.3`.
    fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        let text = cursor.span(|cursor| {
            for _depth in 0..MAX_DEPTH {
                if cursor.peek() == Some(b'0') {
                    return Err(cursor.wrong("a part's number begins with 0"));
                }
                cursor.number_above_zero()?;
                let mut behind = cursor.clone();
                if !(behind.eat(b'.') && behind.peek().is_some_and(|byte| byte.is_ascii_digit())) {
                    return Ok(());
                }
                *cursor = behind;
            }
            Err(cursor.wrong("nested too deeply"))
        })?;
        Ok(Self(Cow::Borrowed(text)))
    }

    /// Reads what follows `[`, with the `]`.
    pub(super) fn parse_bracketed(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        let part = if cursor.peek() == Some(b']') { Self::WHOLE } else { Self::parse(cursor)? };
        cursor.expect(b']', "`]` was expected")?;
        Ok(part)
    }

    pub(super) fn write_bracketed(&self, writer: &mut Writer<'_>) {
        writer.raw(b"[");
        writer.raw(&self.0);
        writer.raw(b"]");
    }

    /// The same, owning its text.
    pub fn into_owned(self) -> Part<'static> {
        Part(Cow::Owned(self.0.into_owned()))
    }
}

impl<'f> Section<'f> {
    /// Reads what follows `[`, with the `]`.
    pub(super) fn parse_rest(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        let mut part = Part::WHOLE;
        if cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            part = Part::parse(cursor)?;
            if !cursor.eat(b'.') {
                cursor.expect(b']', "`]` was expected")?;
                return Ok(Self { part, text: SectionText::All });
            }
        } else if cursor.eat(b']') {
            return Ok(Self::default());
        }
        let text = if cursor.eat_word("HEADER") {
            SectionText::Header
        } else if cursor.eat_word("TEXT") {
            SectionText::Text
        } else if cursor.eat_word("HEADER.FIELDS.NOT") {
            SectionText::FieldsNot(Fields::parse(cursor)?)
        } else if cursor.eat_word("HEADER.FIELDS") {
            SectionText::Fields(Fields::parse(cursor)?)
        } else if cursor.eat_word("MIME") && !part.is_whole() {
            SectionText::Mime
        } else {
            return Err(cursor.wrong("a section was expected"));
        };
        cursor.expect(b']', "`]` was expected")?;
        Ok(Self { part, text })
    }

    /// Writes it in its brackets.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.raw(b"[");
        writer.raw(&self.part.0);
        if !self.part.is_whole() && self.text != SectionText::All {
            writer.raw(b".");
        }
        match &self.text {
            SectionText::All => {}
            SectionText::Header => writer.word("HEADER"),
            SectionText::Text => writer.word("TEXT"),
            SectionText::Mime => writer.word("MIME"),
            SectionText::Fields(fields) => {
                writer.word("HEADER.FIELDS ");
                fields.write(writer);
            }
            SectionText::FieldsNot(fields) => {
                writer.word("HEADER.FIELDS.NOT ");
                fields.write(writer);
            }
        }
        writer.raw(b"]");
    }

    /// Whether a response with this section answers an item with the other.
    pub fn answers(&self, asked: &Section<'_>) -> bool {
        self == asked
    }

    /// The same, owning its text.
    pub fn into_owned(self) -> Section<'static> {
        let text = match self.text {
            SectionText::All => SectionText::All,
            SectionText::Header => SectionText::Header,
            SectionText::Text => SectionText::Text,
            SectionText::Mime => SectionText::Mime,
            SectionText::Fields(fields) => SectionText::Fields(fields.into_owned()),
            SectionText::FieldsNot(fields) => SectionText::FieldsNot(fields.into_owned()),
        };
        Section { part: self.part.into_owned(), text }
    }
}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (here, there) = (self.names(), other.names());
        here.len() == there.len()
            && here.iter().zip(&there).all(|(here, there)| here.bytes().eq_ignore_ascii_case(there.bytes()))
    }
}

impl Eq for Fields<'_> {}

impl<'f> Fields<'f> {
    fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.space()?;
        let text = cursor.span(|cursor| {
            let mut count = 0_usize;
            cursor.list(|cursor| {
                count += 1;
                field_name(cursor)?;
                Ok(())
            })?;
            if count == 0 { Err(cursor.wrong("a list of fields is empty")) } else { Ok(()) }
        })?;
        Ok(Self { text: Cow::Borrowed(text), from: cursor.peer() })
    }

    /// Each name, as it was written.
    pub fn names(&self) -> Vec<Str<'_>> {
        let mut names = Vec::new();
        // Read once already: this cannot fail.
        let _ = Cursor::of_part(&self.text, self.from).list(|cursor| {
            names.push(field_name(cursor)?);
            Ok(())
        });
        names
    }

    /// Writes them in their parentheses.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.raw(b"(");
        for (index, name) in self.names().iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            writer.astring(name);
        }
        writer.raw(b")");
    }

    fn into_owned(self) -> Fields<'static> {
        Fields { text: Cow::Owned(self.text.into_owned()), from: self.from }
    }
}

/// RFC 5322 section 3.6.8 has printable ASCII without a colon. Anything else could not be the name of a field, and could end a
/// line where the name is written.
fn field_name<'f>(cursor: &mut Cursor<'f>) -> Parsed<Str<'f>> {
    let name = cursor.astring()?;
    if name.bytes().is_empty() || !name.bytes().iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(cursor.wrong("the name of a header field was expected"));
    }
    Ok(name)
}

fn parse_partial(cursor: &mut Cursor<'_>) -> Parsed<Option<Partial>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let origin = cursor.number64()?;
    cursor.expect(b'.', "`.` was expected")?;
    let length = cursor.number64()?;
    if length == 0 {
        return Err(cursor.wrong("a partial fetch of nothing"));
    }
    cursor.expect(b'>', "`>` was expected")?;
    Ok(Some(Partial { origin, length }))
}

fn write_partial(partial: Option<Partial>, writer: &mut Writer<'_>) {
    if let Some(Partial { origin, length }) = partial {
        writer.raw(b"<");
        writer.number(origin);
        writer.raw(b".");
        writer.number(length);
        writer.raw(b">");
    }
}
