//! FETCH responses (RFC 9051 section 7.5.2), one item at a time. Octets of messages may stand in the frame or come beside it;
//! a frame that is not yet complete is read up to the literal with which it ends.
use super::data::{Kind, Value};
use crate::imap::cursor::{Content, Cursor, Parsed, Str};
use crate::imap::fetch_item::{Part, Section};
use crate::imap::frame::{Elided, Frame};
use crate::imap::write::Writer;
use crate::machine::Side;

/// `n FETCH (…)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch<'f> {
    /// The message's number.
    pub number: u32,
    frame: Frame<'f>,
    /// Where the items begin.
    at: usize,
    open: bool,
}

/// One item of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchData<'f> {
    /// `FLAGS (…)`
    Flags(Value<'f>),
    /// `UID n`
    Uid(u32),
    /// `MODSEQ (n)`
    ModSeq(u64),
    /// `INTERNALDATE "…"`
    InternalDate(Str<'f>),
    /// `RFC822.SIZE n`
    Size(u64),
    /// `ENVELOPE (…)`
    Envelope(Value<'f>),
    /// `BODY (…)`
    Body(Value<'f>),
    /// `BODYSTRUCTURE (…)`
    BodyStructure(Value<'f>),
    /// `EMAILID (…)`
    EmailId(&'f [u8]),
    /// `THREADID (…)`, or NIL
    ThreadId(Option<&'f [u8]>),
    /// `SAVEDATE "…"`, or NIL
    SaveDate(Option<Str<'f>>),
    /// `BINARY.SIZE[…] n`
    BinarySize(Part<'f>, u64),
    /// Octets of the message.
    Content(ContentName<'f>, Content<'f>),
}

/// Under which name octets of a message come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentName<'f> {
    /// `BODY[…]<origin>`
    Section(Section<'f>, Option<u64>),
    /// `BINARY[…]<origin>`
    Binary(Part<'f>, Option<u64>),
    /// `RFC822`
    Rfc822,
    /// `RFC822.HEADER`
    Rfc822Header,
    /// `RFC822.TEXT`
    Rfc822Text,
}

/// Whether the literal with which a response ends so far is octets of a message: the word in front of it names some. Cheap,
/// and sure for what is well formed; the items tell for certain.
pub fn announces_content(frame: Frame<'_>) -> bool {
    let Some(Elided { at, .. }) = frame.elided.last() else { return false };
    let announcement = frame.text.get(..*at).unwrap_or_default();
    let before =
        memchr::memrchr(b'{', announcement).and_then(|open| announcement.get(..open)).unwrap_or_default();
    let before = before.strip_suffix(b"~").unwrap_or(before);
    let Some(name) = before.strip_suffix(b" ").map(<[u8]>::trim_ascii_end) else { return false };
    let word = name.rsplit(|byte| matches!(byte, b' ' | b'(')).next().unwrap_or_default();
    word.ends_with(b"]")
        || (word.ends_with(b">") && memchr::memchr(b'<', word).is_some())
        || ["RFC822", "RFC822.HEADER", "RFC822.TEXT"]
            .iter()
            .any(|item| word.eq_ignore_ascii_case(item.as_bytes()))
}

impl<'f> Fetch<'f> {
    pub(super) fn parse_rest(number: u32, mut cursor: Cursor<'f>, frame: Frame<'f>) -> Parsed<Self> {
        cursor.space()?;
        cursor.expect(b'(', "`(` was expected")?;
        let fetch = Self { number, frame, at: cursor.at(), open: false };
        for item in fetch.items() {
            item?;
        }
        Ok(fetch)
    }

    /// Reads a frame that ends with the announcement of a literal.
    ///
    /// # Errors
    /// [`super::super::cursor::Wrong`] if it is no FETCH response, or the literal is not the octets of a message.
    pub fn parse_announced(frame: Frame<'f>) -> Parsed<Self> {
        let mut cursor = Cursor::new(frame, Side::Server);
        cursor.expect(b'*', "`*` was expected")?;
        cursor.space()?;
        let number = cursor.number()?;
        cursor.space()?;
        if !cursor.eat_word("FETCH") {
            return Err(cursor.wrong("FETCH was expected"));
        }
        cursor.space()?;
        cursor.expect(b'(', "`(` was expected")?;
        Ok(Self { number, frame, at: cursor.at(), open: true })
    }

    /// Its items, from the first on.
    pub const fn items(&self) -> Items<'f> {
        self.items_from(self.at)
    }

    /// Its items, from a place on that [`Items::at`] told for the same frame when less of it had come.
    pub const fn items_from(&self, at: usize) -> Items<'f> {
        Items { cursor: Cursor::new(self.frame, Side::Server).moved_to(at), open: self.open, done: false }
    }

    /// Whether octets of a message stand in it or beside it.
    pub fn has_content(&self) -> bool {
        self.items().any(|item| matches!(item, Ok(FetchData::Content(..))))
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        Self::write_head(self.number, writer);
        for (index, item) in self.items().flatten().enumerate() {
            if index > 0 {
                writer.space();
            }
            item.write(writer);
        }
        writer.raw(b")");
    }

    /// `n FETCH (`
    pub fn write_head(number: u32, writer: &mut Writer<'_>) {
        writer.number(u64::from(number));
        writer.word(" FETCH (");
    }
}

/// The items that are left.
#[derive(Clone, Debug)]
pub struct Items<'f> {
    cursor: Cursor<'f>,
    open: bool,
    done: bool,
}

impl<'f> Items<'f> {
    /// Where the next one begins.
    pub const fn at(&self) -> usize {
        self.cursor.at()
    }

    fn step(&mut self) -> Parsed<Option<FetchData<'f>>> {
        let _ = self.cursor.eat_space();
        if self.open && self.cursor.is_at_end() {
            return Ok(None);
        }
        if self.cursor.eat(b')') {
            self.cursor.end()?;
            return Ok(None);
        }
        FetchData::parse(&mut self.cursor).map(Some)
    }
}

/// In a frame that is not yet complete, the last item is content whose literal comes now. Nothing follows what is wrong.
impl<'f> Iterator for Items<'f> {
    type Item = Parsed<FetchData<'f>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.step().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl<'f> FetchData<'f> {
    fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        let item = if cursor.eat_word("FLAGS") {
            return Value::parse(Kind::Flags, cursor).map(Self::Flags);
        } else if cursor.eat_word("UID") {
            cursor.space()?;
            Self::Uid(cursor.number_above_zero()?)
        } else if cursor.eat_word("RFC822.SIZE") {
            cursor.space()?;
            Self::Size(cursor.number64()?)
        } else if cursor.eat_word("INTERNALDATE") {
            cursor.space()?;
            Self::InternalDate(date(cursor)?)
        } else if cursor.eat_word("ENVELOPE") {
            cursor.space()?;
            Self::Envelope(Value::parse(Kind::Envelope, cursor)?)
        } else if cursor.eat_word("BODYSTRUCTURE") {
            cursor.space()?;
            Self::BodyStructure(Value::parse(Kind::Body, cursor)?)
        } else if cursor.eat_word("BODY") {
            cursor.space()?;
            Self::Body(Value::parse(Kind::Body, cursor)?)
        } else if cursor.eat_word("MODSEQ") {
            cursor.space()?;
            Self::ModSeq(in_parentheses(cursor, Cursor::number64)?)
        } else if cursor.eat_word("EMAILID") {
            cursor.space()?;
            Self::EmailId(in_parentheses(cursor, Cursor::atom)?)
        } else if cursor.eat_word("THREADID") {
            cursor.space()?;
            let none = cursor.eat_word("NIL");
            Self::ThreadId(if none { None } else { Some(in_parentheses(cursor, Cursor::atom)?) })
        } else if cursor.eat_word("SAVEDATE") {
            cursor.space()?;
            let none = cursor.eat_word("NIL");
            Self::SaveDate(if none { None } else { Some(date(cursor)?) })
        } else if cursor.eat_prefix("BINARY.SIZE[") {
            let part = Part::parse_bracketed(cursor)?;
            cursor.space()?;
            Self::BinarySize(part, cursor.number64()?)
        } else {
            let name = ContentName::parse(cursor)?;
            cursor.space()?;
            Self::Content(name, cursor.content()?)
        };
        Ok(item)
    }

    /// Writes it. Of content that came beside the frame, the announcement is written: its octets must follow.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Flags(flags) => {
                writer.word("FLAGS");
                flags.write(writer);
            }
            Self::Uid(number) => named_number("UID ", u64::from(*number), writer),
            Self::Size(number) => named_number("RFC822.SIZE ", *number, writer),
            Self::ModSeq(number) => {
                named_number("MODSEQ (", *number, writer);
                writer.raw(b")");
            }
            Self::InternalDate(date) => {
                writer.word("INTERNALDATE ");
                writer.string(date);
            }
            Self::Envelope(value) => {
                writer.word("ENVELOPE ");
                value.write(writer);
            }
            Self::Body(value) => {
                writer.word("BODY ");
                value.write(writer);
            }
            Self::BodyStructure(value) => {
                writer.word("BODYSTRUCTURE ");
                value.write(writer);
            }
            Self::EmailId(id) => write_id("EMAILID", Some(id), writer),
            Self::ThreadId(id) => write_id("THREADID", *id, writer),
            Self::SaveDate(date) => {
                writer.word("SAVEDATE ");
                writer.nstring(date.as_ref());
            }
            Self::BinarySize(part, size) => {
                writer.word("BINARY.SIZE");
                part.write_bracketed(writer);
                named_number(" ", *size, writer);
            }
            Self::Content(name, content) => {
                name.write(writer);
                writer.space();
                match content {
                    Content::Inline(string) => writer.nstring(string.as_ref()),
                    Content::Elided { size, binary, .. } => writer.announce(*size, *binary),
                }
            }
        }
    }
}

impl<'f> ContentName<'f> {
    fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        if cursor.eat_prefix("BODY[") {
            let section = Section::parse_rest(cursor)?;
            return Ok(Self::Section(section, origin(cursor)?));
        }
        if cursor.eat_prefix("BINARY[") {
            let part = Part::parse_bracketed(cursor)?;
            return Ok(Self::Binary(part, origin(cursor)?));
        }
        if cursor.eat_word("RFC822.HEADER") {
            return Ok(Self::Rfc822Header);
        }
        if cursor.eat_word("RFC822.TEXT") {
            return Ok(Self::Rfc822Text);
        }
        if cursor.eat_word("RFC822") {
            return Ok(Self::Rfc822);
        }
        Err(cursor.wrong("an item that FETCH does not have here"))
    }

    /// Writes it without a blank behind.
    pub fn write(&self, writer: &mut Writer<'_>) {
        let origin = match self {
            Self::Section(section, origin) => {
                writer.word("BODY");
                section.write(writer);
                *origin
            }
            Self::Binary(part, origin) => {
                writer.word("BINARY");
                part.write_bracketed(writer);
                *origin
            }
            Self::Rfc822 => return writer.word("RFC822"),
            Self::Rfc822Header => return writer.word("RFC822.HEADER"),
            Self::Rfc822Text => return writer.word("RFC822.TEXT"),
        };
        if let Some(origin) = origin {
            named_number("<", origin, writer);
            writer.raw(b">");
        }
    }
}

fn origin(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let origin = cursor.number64()?;
    cursor.expect(b'>', "`>` was expected")?;
    Ok(Some(origin))
}

/// `date-time`; servers write days and zones in more ways than the grammar has, so that any printable ASCII will do.
fn date<'f>(cursor: &mut Cursor<'f>) -> Parsed<Str<'f>> {
    let date = cursor.string()?;
    let printable = date.bytes().len() <= 64 && date.bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
    if printable { Ok(date) } else { Err(cursor.wrong("a date was expected")) }
}

fn in_parentheses<'f, T>(
    cursor: &mut Cursor<'f>,
    inner: impl FnOnce(&mut Cursor<'f>) -> Parsed<T>,
) -> Parsed<T> {
    cursor.expect(b'(', "`(` was expected")?;
    let value = inner(cursor)?;
    cursor.expect(b')', "`)` was expected")?;
    Ok(value)
}

fn named_number(name: &str, number: u64, writer: &mut Writer<'_>) {
    writer.word(name);
    writer.number(number);
}

fn write_id(name: &str, id: Option<&[u8]>, writer: &mut Writer<'_>) {
    writer.word(name);
    match id {
        Some(id) => {
            writer.raw(b" (");
            writer.raw(id);
            writer.raw(b")");
        }
        None => writer.raw(b" NIL"),
    }
}
