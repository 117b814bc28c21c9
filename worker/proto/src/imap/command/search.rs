//! SEARCH (RFC 9051 section 6.4.4), SORT and THREAD (RFC 5256), with ESEARCH (RFC 4731), SEARCHRES (RFC 5182), WITHIN (RFC 5032),
//! PARTIAL (RFC 9394), CONDSTORE (RFC 7162), OBJECTID (RFC 8474) and SAVEDATE (RFC 8514).
use crate::imap::cursor::{Cursor, Parsed, Str, is_atom_char};
use crate::imap::sequence_set::SequenceSet;
use crate::imap::write::Writer;

/// `SEARCH [RETURN (…)] [CHARSET …] keys`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search<'f> {
    /// `RETURN (…)`
    pub returns: Option<Vec<Return>>,
    /// `CHARSET`
    pub charset: Option<Str<'f>>,
    /// All of these.
    pub keys: Vec<Key<'f>>,
}

/// `SORT [RETURN (…)] (criteria) charset keys`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort<'f> {
    /// `RETURN (…)`
    pub returns: Option<Vec<Return>>,
    /// By what: `true` in reverse.
    pub criteria: Vec<(bool, &'static str)>,
    /// Always there.
    pub charset: Str<'f>,
    /// All of these.
    pub keys: Vec<Key<'f>>,
}

/// `THREAD algorithm charset keys`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread<'f> {
    /// How.
    pub algorithm: &'f [u8],
    /// Always there.
    pub charset: Str<'f>,
    /// All of these.
    pub keys: Vec<Key<'f>>,
}

/// What a search shall return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// `MIN`
    Min,
    /// `MAX`
    Max,
    /// `ALL`
    All,
    /// `COUNT`
    Count,
    /// `SAVE`
    Save,
    /// `PARTIAL`
    Partial(Page),
}

/// `1:100` from the beginning, `-1:-100` from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Counted from the last one.
    pub from_end: bool,
    /// From here.
    pub first: u32,
    /// To here.
    pub last: u32,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'f> {
    /// A word alone: `ALL`, `UNSEEN` …
    Plain(&'static str),
    /// A word and a string: `FROM`, `BODY` …
    Text(&'static str, Str<'f>),
    /// A word and a date: `SINCE` …
    Date(&'static str, &'f [u8]),
    /// A word and a number: `LARGER`, `YOUNGER` …
    Number(&'static str, u64),
    /// A word and an atom: `KEYWORD`, `EMAILID` …
    Atom(&'static str, &'f [u8]),
    /// `HEADER name value`
    Header(Str<'f>, Str<'f>),
    /// `UID set`
    Uid(SequenceSet<'f>),
    /// A set of message numbers.
    Set(SequenceSet<'f>),
    /// `MODSEQ [entry type] value`
    ModSeq(Option<(Str<'f>, &'static str)>, u64),
    /// `NOT key`
    Not(Box<Key<'f>>),
    /// `OR key key`
    Or(Box<Key<'f>>, Box<Key<'f>>),
    /// `(keys)`
    And(Vec<Key<'f>>),
}

const PLAIN: [&str; 15] = [
    "ALL",
    "ANSWERED",
    "DELETED",
    "DRAFT",
    "FLAGGED",
    "NEW",
    "OLD",
    "RECENT",
    "SEEN",
    "UNANSWERED",
    "UNDELETED",
    "UNDRAFT",
    "UNFLAGGED",
    "UNSEEN",
    "SAVEDATESUPPORTED",
];
const TEXT: [&str; 7] = ["BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO"];
const DATE: [&str; 9] =
    ["BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE", "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE"];
const NUMBER: [&str; 4] = ["LARGER", "SMALLER", "OLDER", "YOUNGER"];
const ATOM: [&str; 4] = ["KEYWORD", "UNKEYWORD", "EMAILID", "THREADID"];
const SORT: [&str; 9] =
    ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"];

impl<'f> Search<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.space()?;
        let returns = parse_returns(cursor)?;
        let mut charset = None;
        if cursor.eat_word("CHARSET") {
            cursor.space()?;
            charset = Some(cursor.astring()?);
            cursor.space()?;
        }
        Ok(Self { returns, charset, keys: parse_keys(cursor)? })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        write_returns(self.returns.as_deref(), writer);
        if let Some(charset) = &self.charset {
            writer.word(" CHARSET ");
            writer.astring(charset);
        }
        write_keys(&self.keys, writer);
    }
}

impl<'f> Sort<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.space()?;
        let returns = parse_returns(cursor)?;
        let mut criteria = Vec::new();
        let mut reverse = false;
        cursor.list(|cursor| {
            if !reverse && cursor.eat_word("REVERSE") {
                reverse = true;
                return Ok(());
            }
            let Some(name) = eat_one_of(cursor, &SORT) else {
                return Err(cursor.wrong("a sort criterion was expected"));
            };
            criteria.push((std::mem::take(&mut reverse), name));
            Ok(())
        })?;
        if reverse || criteria.is_empty() {
            return Err(cursor.wrong("a sort criterion was expected"));
        }
        cursor.space()?;
        let charset = cursor.astring()?;
        cursor.space()?;
        Ok(Self { returns, criteria, charset, keys: parse_keys(cursor)? })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        write_returns(self.returns.as_deref(), writer);
        writer.raw(b" (");
        for (index, (reverse, name)) in self.criteria.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            if *reverse {
                writer.word("REVERSE ");
            }
            writer.word(name);
        }
        writer.raw(b") ");
        writer.astring(&self.charset);
        write_keys(&self.keys, writer);
    }
}

impl<'f> Thread<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.space()?;
        let algorithm = cursor.atom()?;
        cursor.space()?;
        let charset = cursor.astring()?;
        cursor.space()?;
        Ok(Self { algorithm, charset, keys: parse_keys(cursor)? })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        writer.raw(self.algorithm);
        writer.space();
        writer.astring(&self.charset);
        write_keys(&self.keys, writer);
    }
}

impl<'f> Key<'f> {
    /// Whether it looks into messages (`content-search = "refuse"`): BODY, TEXT.
    pub fn is_about_content(&self) -> bool {
        match self {
            Self::Text(name, _) => matches!(*name, "BODY" | "TEXT"),
            Self::Not(key) => key.is_about_content(),
            Self::Or(one, other) => one.is_about_content() || other.is_about_content(),
            Self::And(keys) => keys.iter().any(Key::is_about_content),
            Self::Plain(_)
            | Self::Date(..)
            | Self::Number(..)
            | Self::Atom(..)
            | Self::Header(..)
            | Self::Uid(_)
            | Self::Set(_)
            | Self::ModSeq(..) => false,
        }
    }

    fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        if cursor.peek() == Some(b'(') {
            let mut keys = Vec::new();
            cursor.list(|cursor| {
                keys.push(Self::parse(cursor)?);
                Ok(())
            })?;
            return if keys.is_empty() {
                Err(cursor.wrong("a search key was expected"))
            } else {
                Ok(Self::And(keys))
            };
        }
        if cursor.peek().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'$')) {
            return SequenceSet::parse(cursor).map(Self::Set);
        }
        if let Some(name) = eat_one_of(cursor, &PLAIN) {
            return Ok(Self::Plain(name));
        }
        if let Some(name) = eat_one_of(cursor, &TEXT) {
            cursor.space()?;
            return Ok(Self::Text(name, cursor.astring()?));
        }
        if let Some(name) = eat_one_of(cursor, &DATE) {
            cursor.space()?;
            return Ok(Self::Date(name, parse_date(cursor)?));
        }
        if let Some(name) = eat_one_of(cursor, &NUMBER) {
            cursor.space()?;
            return Ok(Self::Number(name, cursor.number64()?));
        }
        if let Some(name) = eat_one_of(cursor, &ATOM) {
            cursor.space()?;
            return Ok(Self::Atom(name, cursor.word(is_atom_char, "an atom was expected")?));
        }
        if cursor.eat_word("HEADER") {
            cursor.space()?;
            let name = cursor.astring()?;
            cursor.space()?;
            return Ok(Self::Header(name, cursor.astring()?));
        }
        if cursor.eat_word("UID") {
            cursor.space()?;
            return SequenceSet::parse(cursor).map(Self::Uid);
        }
        if cursor.eat_word("MODSEQ") {
            cursor.space()?;
            let mut entry = None;
            if cursor.peek() == Some(b'"') {
                let name = cursor.string()?;
                if !name.bytes().iter().all(|byte| matches!(byte, b' '..=b'~')) {
                    return Err(cursor.wrong("the name of a flag was expected"));
                }
                cursor.space()?;
                let Some(kind) = eat_one_of(cursor, &["priv", "shared", "all"]) else {
                    return Err(cursor.wrong("priv, shared or all was expected"));
                };
                cursor.space()?;
                entry = Some((name, kind));
            }
            return Ok(Self::ModSeq(entry, cursor.number64()?));
        }
        if cursor.eat_word("NOT") {
            cursor.space()?;
            return cursor.nested(|cursor| Self::parse(cursor).map(Box::new).map(Self::Not));
        }
        if cursor.eat_word("OR") {
            return cursor.nested(|cursor| {
                cursor.space()?;
                let one = Box::new(Self::parse(cursor)?);
                cursor.space()?;
                Ok(Self::Or(one, Box::new(Self::parse(cursor)?)))
            });
        }
        Err(cursor.wrong("a search key was expected"))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Plain(name) => writer.word(name),
            Self::Text(name, text) => {
                writer.word(name);
                writer.space();
                writer.astring(text);
            }
            Self::Date(name, value) | Self::Atom(name, value) => writer.words([name.as_bytes(), value]),
            Self::Number(name, number) => {
                writer.word(name);
                writer.space();
                writer.number(*number);
            }
            Self::Header(name, value) => {
                writer.word("HEADER ");
                writer.astring(name);
                writer.space();
                writer.astring(value);
            }
            Self::Uid(set) => writer.words([b"UID", set.text()]),
            Self::Set(set) => writer.raw(set.text()),
            Self::ModSeq(entry, value) => {
                writer.word("MODSEQ ");
                if let Some((name, kind)) = entry {
                    writer.string(name);
                    writer.space();
                    writer.word(kind);
                    writer.space();
                }
                writer.number(*value);
            }
            Self::Not(key) => {
                writer.word("NOT ");
                key.write(writer);
            }
            Self::Or(one, other) => {
                writer.word("OR ");
                one.write(writer);
                writer.space();
                other.write(writer);
            }
            Self::And(keys) => {
                writer.raw(b"(");
                for (index, key) in keys.iter().enumerate() {
                    if index > 0 {
                        writer.space();
                    }
                    key.write(writer);
                }
                writer.raw(b")");
            }
        }
    }
}

impl Page {
    pub(super) fn write(self, writer: &mut Writer<'_>) {
        let sign: &[u8] = if self.from_end { b"-" } else { b"" };
        writer.raw(sign);
        writer.number(u64::from(self.first));
        writer.raw(b":");
        writer.raw(sign);
        writer.number(u64::from(self.last));
    }
}

/// `partial-range` (RFC 9394)
pub(super) fn parse_page(cursor: &mut Cursor<'_>) -> Parsed<Page> {
    let from_end = cursor.eat(b'-');
    let first = cursor.number_above_zero()?;
    cursor.expect(b':', "`:` was expected")?;
    if from_end {
        cursor.expect(b'-', "`-` was expected")?;
    }
    Ok(Page { from_end, first, last: cursor.number_above_zero()? })
}

fn parse_returns(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<Return>>> {
    if !cursor.eat_word("RETURN") {
        return Ok(None);
    }
    cursor.space()?;
    let mut returns = Vec::new();
    cursor.list(|cursor| {
        returns.push(match eat_one_of(cursor, &["MIN", "MAX", "ALL", "COUNT", "SAVE", "PARTIAL"]) {
            Some("MIN") => Return::Min,
            Some("MAX") => Return::Max,
            Some("ALL") => Return::All,
            Some("COUNT") => Return::Count,
            Some("SAVE") => Return::Save,
            Some("PARTIAL") => {
                cursor.space()?;
                Return::Partial(parse_page(cursor)?)
            }
            Some(_) | None => return Err(cursor.wrong("something that a search does not return here")),
        });
        Ok(())
    })?;
    cursor.space()?;
    Ok(Some(returns))
}

fn write_returns(returns: Option<&[Return]>, writer: &mut Writer<'_>) {
    let Some(returns) = returns else { return };
    writer.word(" RETURN (");
    for (index, item) in returns.iter().enumerate() {
        if index > 0 {
            writer.space();
        }
        match item {
            Return::Min => writer.word("MIN"),
            Return::Max => writer.word("MAX"),
            Return::All => writer.word("ALL"),
            Return::Count => writer.word("COUNT"),
            Return::Save => writer.word("SAVE"),
            Return::Partial(page) => {
                writer.word("PARTIAL ");
                page.write(writer);
            }
        }
    }
    writer.raw(b")");
}

fn parse_keys<'f>(cursor: &mut Cursor<'f>) -> Parsed<Vec<Key<'f>>> {
    let mut keys = vec![Key::parse(cursor)?];
    while cursor.rest().iter().any(|byte| *byte != b' ') {
        cursor.space()?;
        keys.push(Key::parse(cursor)?);
    }
    Ok(keys)
}

fn write_keys(keys: &[Key<'_>], writer: &mut Writer<'_>) {
    for key in keys {
        writer.space();
        key.write(writer);
    }
}

/// `date`: `1-Feb-2024`, also in quotes, which are left off.
fn parse_date<'f>(cursor: &mut Cursor<'f>) -> Parsed<&'f [u8]> {
    let quoted = cursor.eat(b'"');
    let start = cursor.clone();
    let text = cursor.word(|byte| byte.is_ascii_alphanumeric() || byte == b'-', "a date was expected")?;
    if quoted {
        cursor.expect(b'"', "a quote is not closed")?;
    }
    let mut parts = text.split(|byte| *byte == b'-');
    let digits = |part: Option<&[u8]>, least, most| {
        part.is_some_and(|part| (least..=most).contains(&part.len()) && part.iter().all(u8::is_ascii_digit))
    };
    let fits = digits(parts.next(), 1, 2)
        && parts.next().is_some_and(is_month)
        && digits(parts.next(), 4, 4)
        && parts.next().is_none();
    if fits { Ok(text) } else { Err(start.wrong("a date was expected")) }
}

/// `date-month`, in any case.
pub(in crate::imap) fn is_month(text: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    MONTHS.iter().any(|month| month.eq_ignore_ascii_case(text))
}

/// Takes the word of these that stands here.
pub(in crate::imap) fn eat_one_of(cursor: &mut Cursor<'_>, words: &[&'static str]) -> Option<&'static str> {
    words.iter().copied().find(|word| cursor.eat_word(word))
}
