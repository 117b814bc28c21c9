//! Commands about mailboxes: SELECT and EXAMINE (RFC 9051 section 6.3.2, with CONDSTORE and QRESYNC, RFC 7162), CREATE (with
//! SPECIAL-USE, RFC 6154), LIST (with LIST-EXTENDED, RFC 5258, and LIST-STATUS, RFC 5819), STATUS.
use super::search::eat_one_of;
use crate::imap::cursor::{Cursor, Parsed};
use crate::imap::mailbox::Mailbox;
use crate::imap::sequence_set::SequenceSet;
use crate::imap::write::Writer;

/// `SELECT mailbox [parameters]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select<'f> {
    /// Which.
    pub mailbox: Mailbox<'f>,
    /// `CONDSTORE`
    pub condstore: bool,
    /// `QRESYNC`
    pub qresync: Option<Qresync<'f>>,
}

/// What a client remembers of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qresync<'f> {
    /// UIDVALIDITY as it was.
    pub uid_validity: u32,
    /// HIGHESTMODSEQ as it was.
    pub modseq: u64,
    /// UIDs that it knows.
    pub known: Option<SequenceSet<'f>>,
    /// Message numbers and their UIDs.
    pub matched: Option<(SequenceSet<'f>, SequenceSet<'f>)>,
}

/// `CREATE mailbox [(USE (…))]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create<'f> {
    /// Which.
    pub mailbox: Mailbox<'f>,
    /// `USE`
    pub uses: Option<Vec<&'f [u8]>>,
}

/// `LIST [(selection)] reference patterns [RETURN (…)]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<'f> {
    /// In parentheses in front of the reference.
    pub selection: Option<Vec<&'static str>>,
    /// Where to begin.
    pub reference: Mailbox<'f>,
    /// One, or several in parentheses.
    pub patterns: Vec<Mailbox<'f>>,
    /// Whether they stood in parentheses.
    pub many: bool,
    /// `RETURN (…)`
    pub returns: Option<Vec<ListReturn>>,
}

/// What LIST shall return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListReturn {
    /// `SUBSCRIBED`, `CHILDREN`, `SPECIAL-USE`, `MYRIGHTS`
    Plain(&'static str),
    /// `STATUS (…)`
    Status(Vec<&'static str>),
}

/// `STATUS mailbox (…)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status<'f> {
    /// Which.
    pub mailbox: Mailbox<'f>,
    /// What about it.
    pub items: Vec<&'static str>,
}

/// What STATUS tells.
pub(in crate::imap) const STATUS_ITEMS: [&str; 11] = [
    "MESSAGES",
    "UIDNEXT",
    "UIDVALIDITY",
    "UNSEEN",
    "DELETED",
    "SIZE",
    "RECENT",
    "HIGHESTMODSEQ",
    "APPENDLIMIT",
    "MAILBOXID",
    "DELETED-STORAGE",
];

impl<'f> Select<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = Mailbox::parse(cursor, utf8)?;
        let mut select = Self { mailbox, condstore: false, qresync: None };
        if cursor.rest().starts_with(b" (") {
            cursor.space()?;
            cursor.list(|cursor| {
                if cursor.eat_word("CONDSTORE") {
                    select.condstore = true;
                } else if cursor.eat_word("QRESYNC") {
                    cursor.space()?;
                    select.qresync = Some(Qresync::parse(cursor)?);
                } else {
                    return Err(cursor.wrong("a parameter that SELECT does not have here"));
                }
                Ok(())
            })?;
        }
        Ok(select)
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        self.mailbox.write(writer);
        match (self.condstore, &self.qresync) {
            (false, None) => {}
            (true, None) => writer.word(" (CONDSTORE)"),
            (condstore, Some(qresync)) => {
                writer.word(if condstore { " (CONDSTORE QRESYNC (" } else { " (QRESYNC (" });
                writer.number(u64::from(qresync.uid_validity));
                writer.space();
                writer.number(qresync.modseq);
                if let Some(known) = &qresync.known {
                    writer.space();
                    writer.raw(known.text());
                }
                if let Some((numbers, uids)) = &qresync.matched {
                    writer.raw(b" (");
                    writer.words([numbers.text(), uids.text()]);
                    writer.raw(b")");
                }
                writer.raw(b"))");
            }
        }
    }
}

impl<'f> Qresync<'f> {
    fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.nested(|cursor| {
            cursor.expect(b'(', "`(` was expected")?;
            let uid_validity = cursor.number_above_zero()?;
            cursor.space()?;
            let modseq = cursor.number64()?;
            let mut qresync = Self { uid_validity, modseq, known: None, matched: None };
            while cursor.eat_space() {
                if cursor.eat(b'(') {
                    let numbers = SequenceSet::parse(cursor)?;
                    cursor.space()?;
                    qresync.matched = Some((numbers, SequenceSet::parse(cursor)?));
                    cursor.expect(b')', "`)` was expected")?;
                    break;
                }
                if qresync.known.is_some() {
                    return Err(cursor.wrong("`(` was expected"));
                }
                qresync.known = Some(SequenceSet::parse(cursor)?);
            }
            cursor.expect(b')', "`)` was expected")?;
            Ok(qresync)
        })
    }
}

impl<'f> Create<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = Mailbox::parse(cursor, utf8)?;
        let mut uses = None;
        if cursor.rest().starts_with(b" (") {
            cursor.space()?;
            cursor.list(|cursor| {
                if uses.is_some() || !cursor.eat_word("USE") {
                    return Err(cursor.wrong("a parameter that CREATE does not have here"));
                }
                cursor.space()?;
                uses = Some(super::messages::parse_flags(cursor)?);
                Ok(())
            })?;
        }
        Ok(Self { mailbox, uses })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        self.mailbox.write(writer);
        if let Some(uses) = &self.uses {
            writer.word(" (USE ");
            super::messages::write_flags(uses, writer);
            writer.raw(b")");
        }
    }
}

impl<'f> List<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        const SELECTION: [&str; 4] = ["SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"];
        cursor.space()?;
        let mut selection = None;
        if cursor.peek() == Some(b'(') {
            let mut words = Vec::new();
            cursor.list(|cursor| {
                let word = eat_one_of(cursor, &SELECTION);
                words.push(word.ok_or(cursor.wrong("a selection that LIST does not have here"))?);
                Ok(())
            })?;
            selection = Some(words);
            cursor.space()?;
        }
        let reference = Mailbox::parse(cursor, utf8)?;
        cursor.space()?;
        let mut patterns = Vec::new();
        let many = cursor.peek() == Some(b'(');
        if many {
            cursor.list(|cursor| {
                patterns.push(Mailbox::parse_pattern(cursor, utf8)?);
                Ok(())
            })?;
            if patterns.is_empty() {
                return Err(cursor.wrong("a pattern was expected"));
            }
        } else {
            patterns.push(Mailbox::parse_pattern(cursor, utf8)?);
        }
        let mut returns = None;
        if cursor.rest().iter().any(|byte| *byte != b' ') {
            cursor.space()?;
            if !cursor.eat_word("RETURN") {
                return Err(cursor.wrong("RETURN was expected"));
            }
            cursor.space()?;
            let mut items = Vec::new();
            cursor.list(|cursor| {
                items.push(ListReturn::parse(cursor)?);
                Ok(())
            })?;
            returns = Some(items);
        }
        Ok(Self { selection, reference, patterns, many, returns })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        if let Some(selection) = &self.selection {
            write_words(selection, writer);
            writer.space();
        }
        self.reference.write(writer);
        writer.space();
        if self.many {
            writer.raw(b"(");
        }
        for (index, pattern) in self.patterns.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            pattern.write_pattern(writer);
        }
        if self.many {
            writer.raw(b")");
        }
        let Some(returns) = &self.returns else { return };
        writer.word(" RETURN (");
        for (index, item) in returns.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            match item {
                ListReturn::Plain(word) => writer.word(word),
                ListReturn::Status(items) => {
                    writer.word("STATUS ");
                    write_words(items, writer);
                }
            }
        }
        writer.raw(b")");
    }
}

impl ListReturn {
    fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        if let Some(word) = eat_one_of(cursor, &["SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "MYRIGHTS"]) {
            return Ok(Self::Plain(word));
        }
        if !cursor.eat_word("STATUS") {
            return Err(cursor.wrong("something that LIST does not return here"));
        }
        cursor.space()?;
        parse_status_items(cursor).map(Self::Status)
    }
}

impl<'f> Status<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = Mailbox::parse(cursor, utf8)?;
        cursor.space()?;
        Ok(Self { mailbox, items: parse_status_items(cursor)? })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        self.mailbox.write(writer);
        writer.space();
        write_words(&self.items, writer);
    }
}

fn parse_status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<&'static str>> {
    let mut items = Vec::new();
    cursor.list(|cursor| {
        let item = eat_one_of(cursor, &STATUS_ITEMS);
        items.push(item.ok_or(cursor.wrong("an item that STATUS does not have here"))?);
        Ok(())
    })?;
    if items.is_empty() { Err(cursor.wrong("STATUS asks for nothing")) } else { Ok(items) }
}

fn write_words(words: &[&'static str], writer: &mut Writer<'_>) {
    writer.raw(b"(");
    writer.words(words.iter().map(|word| word.as_bytes()));
    writer.raw(b")");
}
