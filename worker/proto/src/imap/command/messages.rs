//! Commands about messages: FETCH, STORE, COPY, MOVE (RFC 9051 sections 6.4.5 to 6.4.8), with the modifiers of CONDSTORE and QRESYNC
//! (RFC 7162) and PARTIAL (RFC 9394).
use super::search::{Page, parse_page};
use crate::imap::cursor::{Cursor, Parsed, is_atom_char};
use crate::imap::fetch_item::FetchItem;
use crate::imap::mailbox::Mailbox;
use crate::imap::sequence_set::SequenceSet;
use crate::imap::write::Writer;

/// `FETCH set items [modifiers]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch<'f> {
    /// Of which messages.
    pub set: SequenceSet<'f>,
    /// What; macros are spelled out.
    pub items: Vec<FetchItem<'f>>,
    /// `CHANGEDSINCE`
    pub changed_since: Option<u64>,
    /// `VANISHED`
    pub vanished: bool,
    /// `PARTIAL`
    pub page: Option<Page>,
}

/// `STORE set [UNCHANGEDSINCE] flags`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store<'f> {
    /// Of which messages.
    pub set: SequenceSet<'f>,
    /// `UNCHANGEDSINCE`
    pub unchanged_since: Option<u64>,
    /// How.
    pub change: Change,
    /// `.SILENT`
    pub silent: bool,
    /// Which.
    pub flags: Vec<&'f [u8]>,
}

/// What STORE does with the flags that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `FLAGS`
    Set,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// `COPY set mailbox`, `MOVE set mailbox`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy<'f> {
    /// Which messages.
    pub set: SequenceSet<'f>,
    /// Where to.
    pub mailbox: Mailbox<'f>,
}

impl<'f> Fetch<'f> {
    /// Reads what follows the name.
    pub fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.space()?;
        let set = SequenceSet::parse(cursor)?;
        cursor.space()?;
        let items = FetchItem::parse_all(cursor)?;
        let mut fetch = Self { set, items, changed_since: None, vanished: false, page: None };
        if cursor.rest().starts_with(b" (") {
            cursor.space()?;
            cursor.list(|cursor| fetch.parse_modifier(cursor))?;
        }
        Ok(fetch)
    }

    fn parse_modifier(&mut self, cursor: &mut Cursor<'f>) -> Parsed<()> {
        if cursor.eat_word("CHANGEDSINCE") {
            cursor.space()?;
            self.changed_since = Some(cursor.number64()?);
        } else if cursor.eat_word("VANISHED") {
            self.vanished = true;
        } else if cursor.eat_word("PARTIAL") {
            cursor.space()?;
            self.page = Some(parse_page(cursor)?);
        } else {
            return Err(cursor.wrong("a modifier that FETCH does not have here"));
        }
        Ok(())
    }

    /// Writes its arguments, with these items instead of its own.
    pub fn write_with(&self, items: &[FetchItem<'_>], writer: &mut Writer<'_>) {
        writer.space();
        writer.raw(self.set.text());
        writer.raw(b" (");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            item.write(writer);
        }
        writer.raw(b")");
        let mut opened = false;
        let mut open = |writer: &mut Writer<'_>| {
            writer.raw(if opened { b" " } else { b" (" });
            opened = true;
        };
        if let Some(modseq) = self.changed_since {
            open(writer);
            writer.word("CHANGEDSINCE ");
            writer.number(modseq);
        }
        if self.vanished {
            open(writer);
            writer.word("VANISHED");
        }
        if let Some(page) = self.page {
            open(writer);
            writer.word("PARTIAL ");
            page.write(writer);
        }
        if opened {
            writer.raw(b")");
        }
    }
}

impl<'f> Store<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.space()?;
        let set = SequenceSet::parse(cursor)?;
        cursor.space()?;
        let mut unchanged_since = None;
        if cursor.peek() == Some(b'(') {
            cursor.list(|cursor| {
                if !cursor.eat_word("UNCHANGEDSINCE") {
                    return Err(cursor.wrong("a modifier that STORE does not have here"));
                }
                cursor.space()?;
                unchanged_since = Some(cursor.number64()?);
                Ok(())
            })?;
            cursor.space()?;
        }
        let change = if cursor.eat(b'+') {
            Change::Add
        } else if cursor.eat(b'-') {
            Change::Remove
        } else {
            Change::Set
        };
        let silent = cursor.eat_word("FLAGS.SILENT");
        if !silent && !cursor.eat_word("FLAGS") {
            return Err(cursor.wrong("FLAGS was expected"));
        }
        cursor.space()?;
        let flags = if cursor.peek() == Some(b'(') {
            parse_flags(cursor)?
        } else {
            let mut flags = vec![parse_flag(cursor)?];
            while cursor.rest().iter().any(|byte| *byte != b' ') {
                cursor.space()?;
                flags.push(parse_flag(cursor)?);
            }
            flags
        };
        Ok(Self { set, unchanged_since, change, silent, flags })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        writer.raw(self.set.text());
        if let Some(modseq) = self.unchanged_since {
            writer.word(" (UNCHANGEDSINCE ");
            writer.number(modseq);
            writer.raw(b")");
        }
        writer.word(match self.change {
            Change::Set => " FLAGS",
            Change::Add => " +FLAGS",
            Change::Remove => " -FLAGS",
        });
        writer.word(if self.silent { ".SILENT " } else { " " });
        write_flags(&self.flags, writer);
    }
}

impl<'f> Copy<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        cursor.space()?;
        let set = SequenceSet::parse(cursor)?;
        cursor.space()?;
        Ok(Self { set, mailbox: Mailbox::parse(cursor, utf8)? })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        writer.raw(self.set.text());
        writer.space();
        self.mailbox.write(writer);
    }
}

/// `flag-list`
pub(in crate::imap) fn parse_flags<'f>(cursor: &mut Cursor<'f>) -> Parsed<Vec<&'f [u8]>> {
    let mut flags = Vec::new();
    cursor.list(|cursor| {
        flags.push(parse_flag(cursor)?);
        Ok(())
    })?;
    Ok(flags)
}

/// `flag`: a keyword, or a system flag with its backslash.
pub(in crate::imap) fn parse_flag<'f>(cursor: &mut Cursor<'f>) -> Parsed<&'f [u8]> {
    cursor.span(|cursor| {
        cursor.eat(b'\\');
        cursor.word(is_atom_char, "a flag was expected").map(|_flag| ())
    })
}

pub(in crate::imap) fn write_flags(flags: &[&[u8]], writer: &mut Writer<'_>) {
    writer.raw(b"(");
    writer.words(flags.iter().copied());
    writer.raw(b")");
}
