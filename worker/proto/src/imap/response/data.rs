//! Untagged data that a machine does not act on. Each kind has one grammar, which reads and writes at once: checking it means
//! writing nowhere, and nothing is kept of it but its place in the frame.
use super::envelope;
use super::structure;
use crate::imap::command::{parse_id, write_id};
use crate::imap::cursor::{Cursor, MAX_DEPTH, Parsed, is_astring_char};
use crate::imap::mailbox::Mailbox;
use crate::imap::sequence_set::SequenceSet;
use crate::imap::write::Writer;
use crate::machine::Side;

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the response, or the item, of its name")]
pub enum Kind {
    Id,
    Flags,
    List,
    Lsub,
    Status,
    Search,
    Esearch,
    Sort,
    Thread,
    Quota,
    QuotaRoot,
    Acl,
    ListRights,
    MyRights,
    Metadata,
    Namespace,
    Envelope,
    Body,
}

/// A value that was checked; it is written anew from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'f> {
    kind: Kind,
    text: &'f [u8],
}

impl Kind {
    /// Those that are responses of their own; ESEARCH is read by its caller.
    const RESPONSES: [Self; 15] = [
        Self::Id,
        Self::Flags,
        Self::List,
        Self::Lsub,
        Self::Status,
        Self::Search,
        Self::Sort,
        Self::Thread,
        Self::Quota,
        Self::QuotaRoot,
        Self::Acl,
        Self::ListRights,
        Self::MyRights,
        Self::Metadata,
        Self::Namespace,
    ];

    /// As on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::Flags => "FLAGS",
            Self::List => "LIST",
            Self::Lsub => "LSUB",
            Self::Status => "STATUS",
            Self::Search => "SEARCH",
            Self::Esearch => "ESEARCH",
            Self::Sort => "SORT",
            Self::Thread => "THREAD",
            Self::Quota => "QUOTA",
            Self::QuotaRoot => "QUOTAROOT",
            Self::Acl => "ACL",
            Self::ListRights => "LISTRIGHTS",
            Self::MyRights => "MYRIGHTS",
            Self::Metadata => "METADATA",
            Self::Namespace => "NAMESPACE",
            Self::Envelope => "ENVELOPE",
            Self::Body => "BODY",
        }
    }

    pub(super) fn eat(cursor: &mut Cursor<'_>) -> Option<Self> {
        Self::RESPONSES.into_iter().find(|kind| cursor.eat_word(kind.name()))
    }

    fn copy(self, cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
        match self {
            Self::Id => {
                space(cursor, writer)?;
                write_id(parse_id(cursor)?.as_deref(), writer);
                Ok(())
            }
            Self::Flags => {
                space(cursor, writer)?;
                list(cursor, writer, flag)
            }
            Self::List | Self::Lsub => mailbox_list(cursor, writer),
            Self::Status => status(cursor, writer),
            Self::Search | Self::Sort => search(cursor, writer),
            Self::Esearch => esearch(cursor, writer),
            Self::Thread => thread(cursor, writer),
            Self::Quota => {
                space(cursor, writer)?;
                astring(cursor, writer)?;
                space(cursor, writer)?;
                list(cursor, writer, |cursor, writer| {
                    writer.raw(cursor.atom()?);
                    space(cursor, writer)?;
                    number(cursor, writer)?;
                    space(cursor, writer)?;
                    number(cursor, writer)
                })
            }
            Self::QuotaRoot | Self::Acl | Self::ListRights | Self::MyRights => {
                space(cursor, writer)?;
                mailbox(cursor, writer)?;
                while more(cursor) {
                    space(cursor, writer)?;
                    astring(cursor, writer)?;
                }
                Ok(())
            }
            Self::Metadata => metadata(cursor, writer),
            Self::Namespace => {
                for _class in ["personal", "others'", "shared"] {
                    space(cursor, writer)?;
                    namespace(cursor, writer)?;
                }
                Ok(())
            }
            Self::Envelope => envelope::copy(cursor, writer),
            Self::Body => structure::copy(cursor, writer),
        }
    }
}

impl<'f> Value<'f> {
    /// Reads what follows the name, and for a response its blank.
    pub(super) fn parse(kind: Kind, cursor: &mut Cursor<'f>) -> Parsed<Self> {
        let text = cursor.span(|cursor| kind.copy(cursor, &mut Writer::nowhere()))?;
        Ok(Self { kind, text })
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// As the server wrote it.
    pub const fn text(&self) -> &'f [u8] {
        self.text
    }

    /// The mailbox that a LIST response tells of.
    pub fn listed(&self) -> Option<Mailbox<'f>> {
        let mut cursor = Cursor::of_part(self.text, Side::Server);
        let nowhere = &mut Writer::nowhere();
        cursor.space().ok()?;
        list(&mut cursor, nowhere, flag).ok()?;
        space(&mut cursor, nowhere).ok()?;
        nstring(&mut cursor, nowhere).ok()?;
        cursor.space().ok()?;
        let name = cursor.astring().ok()?;
        Mailbox::checked(&cursor, name, true).ok()
    }

    /// UIDVALIDITY in a STATUS response.
    pub fn uid_validity(&self) -> Option<u32> {
        let mut cursor = Cursor::of_part(self.text, Side::Server);
        let mut found = None;
        cursor.space().ok()?;
        cursor.astring().ok()?;
        cursor.space().ok()?;
        let items = cursor.list(|cursor| {
            let name = cursor.atom()?;
            cursor.space()?;
            if name.eq_ignore_ascii_case(b"UIDVALIDITY") {
                found = Some(cursor.number_above_zero()?);
                Ok(())
            } else {
                any_value(cursor, &mut Writer::nowhere())
            }
        });
        items.ok().and(found)
    }

    /// Writes it anew.
    pub fn write(&self, writer: &mut Writer<'_>) {
        // Read once already: this cannot fail.
        let _ = self.kind.copy(&mut Cursor::of_part(self.text, Side::Server), writer);
    }
}

pub(super) fn space(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    writer.space();
    cursor.space()
}

/// Whether something but blanks follows.
pub(super) fn more(cursor: &Cursor<'_>) -> bool {
    cursor.rest().iter().any(|byte| *byte != b' ')
}

pub(super) fn list(
    cursor: &mut Cursor<'_>,
    writer: &mut Writer<'_>,
    mut item: impl FnMut(&mut Cursor<'_>, &mut Writer<'_>) -> Parsed<()>,
) -> Parsed<()> {
    let mut first = true;
    writer.raw(b"(");
    cursor.list(|cursor| {
        if !std::mem::take(&mut first) {
            writer.space();
        }
        item(cursor, writer)
    })?;
    writer.raw(b")");
    Ok(())
}

pub(super) fn number(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    writer.number(cursor.number64()?);
    Ok(())
}

pub(super) fn string(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    writer.string(&cursor.string()?);
    Ok(())
}

pub(super) fn nstring(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    writer.nstring(cursor.nstring()?.as_ref());
    Ok(())
}

fn astring(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    writer.astring(&cursor.astring()?);
    Ok(())
}

fn mailbox(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    // The form stays the server's.
    let name = cursor.astring()?;
    Mailbox::checked(cursor, name.clone(), true)?;
    writer.astring(&name);
    Ok(())
}

/// A flag, also `\*`; keywords may hold more octets than the grammar has (`]` in names of labels).
pub(super) fn flag(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    let flag = cursor.span(|cursor| {
        if cursor.eat(b'\\') && cursor.eat(b'*') {
            return Ok(());
        }
        cursor.word(is_astring_char, "a flag was expected").map(|_flag| ())
    })?;
    writer.raw(flag);
    Ok(())
}

/// `(attributes) delimiter mailbox [(extended)]`
fn mailbox_list(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    space(cursor, writer)?;
    list(cursor, writer, flag)?;
    space(cursor, writer)?;
    nstring(cursor, writer)?;
    space(cursor, writer)?;
    mailbox(cursor, writer)?;
    if more(cursor) {
        space(cursor, writer)?;
        list(cursor, writer, |cursor, writer| {
            astring(cursor, writer)?;
            space(cursor, writer)?;
            any_value(cursor, writer)
        })?;
    }
    Ok(())
}

/// `tagged-ext-val`, or any value of an extension: a number, a set, a string, or a list of these.
pub(super) fn any_value(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    match cursor.peek() {
        Some(b'(') => list(cursor, writer, any_value),
        Some(byte) if byte.is_ascii_digit() || byte == b'*' => {
            let text = cursor
                .word(|byte| byte.is_ascii_digit() || b":,*".contains(&byte), "a number was expected")?;
            writer.raw(text);
            Ok(())
        }
        Some(_) | None => astring(cursor, writer),
    }
}

fn status(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    space(cursor, writer)?;
    mailbox(cursor, writer)?;
    space(cursor, writer)?;
    list(cursor, writer, |cursor, writer| {
        writer.raw(cursor.atom()?);
        space(cursor, writer)?;
        any_value(cursor, writer)
    })
}

/// `*(SP number) [SP (MODSEQ n)]`
fn search(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    while more(cursor) {
        space(cursor, writer)?;
        if cursor.peek() == Some(b'(') {
            return list(cursor, writer, |cursor, writer| {
                if !cursor.eat_word("MODSEQ") {
                    return Err(cursor.wrong("MODSEQ was expected"));
                }
                writer.word("MODSEQ ");
                cursor.space()?;
                number(cursor, writer)
            });
        }
        number(cursor, writer)?;
    }
    Ok(())
}

/// `[SP UID] *(SP name SP value)`
fn esearch(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    while more(cursor) {
        space(cursor, writer)?;
        if cursor.eat_word("UID") {
            writer.word("UID");
            continue;
        }
        let partial = cursor.eat_word("PARTIAL");
        if partial {
            writer.word("PARTIAL ");
            cursor.space()?;
            cursor.expect(b'(', "`(` was expected")?;
            let range =
                cursor.word(|byte| byte.is_ascii_digit() || b":-".contains(&byte), "a range was expected")?;
            writer.raw(b"(");
            writer.raw(range);
            space(cursor, writer)?;
            if cursor.eat_word("NIL") {
                writer.word("NIL");
            } else {
                writer.raw(SequenceSet::parse(cursor)?.text());
            }
            cursor.expect(b')', "`)` was expected")?;
            writer.raw(b")");
        } else {
            writer.raw(cursor.atom()?);
            space(cursor, writer)?;
            any_value(cursor, writer)?;
        }
    }
    Ok(())
}

/// `*thread-list`. It nests as deep as people answer each other, so it is read without recursion.
fn thread(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    const MAX_THREAD_DEPTH: u16 = 8 * MAX_DEPTH as u16;
    if more(cursor) {
        space(cursor, writer)?;
    }
    let mut depth = 0_u16;
    let (mut behind_number, mut behind_open) = (false, false);
    while more(cursor) {
        let blank = cursor.eat_space();
        if cursor.eat(b'(') {
            if behind_number {
                writer.space();
            }
            depth += 1;
            if depth > MAX_THREAD_DEPTH {
                return Err(cursor.wrong("nested too deeply"));
            }
            writer.raw(b"(");
            (behind_number, behind_open) = (false, true);
        } else if depth > 0 && !behind_open && cursor.eat(b')') {
            depth -= 1;
            writer.raw(b")");
            behind_number = false;
        } else if depth > 0 && (blank || !behind_number) {
            if behind_number {
                writer.space();
            }
            writer.number(u64::from(cursor.number_above_zero()?));
            (behind_number, behind_open) = (true, false);
        } else {
            return Err(cursor.wrong("a thread was expected"));
        }
    }
    if depth > 0 { Err(cursor.wrong("`)` was expected")) } else { Ok(()) }
}

/// `mailbox (entry value …)`, or `mailbox entry …`
fn metadata(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    space(cursor, writer)?;
    mailbox(cursor, writer)?;
    space(cursor, writer)?;
    if cursor.peek() == Some(b'(') {
        return list(cursor, writer, |cursor, writer| {
            astring(cursor, writer)?;
            space(cursor, writer)?;
            nstring(cursor, writer)
        });
    }
    astring(cursor, writer)?;
    while more(cursor) {
        space(cursor, writer)?;
        astring(cursor, writer)?;
    }
    Ok(())
}

/// `NIL`, or `(` of one or more `(prefix delimiter [extensions])` `)`
fn namespace(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    if cursor.eat_word("NIL") {
        writer.word("NIL");
        return Ok(());
    }
    cursor.expect(b'(', "`(` was expected")?;
    writer.raw(b"(");
    loop {
        let _ = cursor.eat_space();
        if cursor.eat(b')') {
            writer.raw(b")");
            return Ok(());
        }
        let mut place = 0;
        list(cursor, writer, |cursor, writer| {
            place += 1;
            match place {
                1 => string(cursor, writer),
                2 => nstring(cursor, writer),
                _extension => any_value(cursor, writer),
            }
        })?;
    }
}
