//! ENVELOPE (RFC 9051 section 7.5.2), read and written at once.
use super::data::{list, nstring, space};
use crate::imap::cursor::{Cursor, Parsed};
use crate::imap::write::Writer;

/// `(date subject from sender reply-to to cc bcc in-reply-to message-id)`
pub(super) fn copy(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    cursor.nested(|cursor| {
        open(cursor, writer)?;
        nstring(cursor, writer)?;
        space(cursor, writer)?;
        nstring(cursor, writer)?;
        for _field in ["from", "sender", "reply-to", "to", "cc", "bcc"] {
            space(cursor, writer)?;
            addresses(cursor, writer)?;
        }
        for _field in ["in-reply-to", "message-id"] {
            space(cursor, writer)?;
            nstring(cursor, writer)?;
        }
        close(cursor, writer)
    })
}

/// `NIL`, or `(` of one or more `(name route mailbox host)` `)`
fn addresses(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    if cursor.eat_word("NIL") {
        writer.word("NIL");
        return Ok(());
    }
    open(cursor, writer)?;
    loop {
        let _ = cursor.eat_space();
        if cursor.eat(b')') {
            writer.raw(b")");
            return Ok(());
        }
        let mut count = 0;
        list(cursor, writer, |cursor, writer| {
            count += 1;
            nstring(cursor, writer)
        })?;
        if count != 4 {
            return Err(cursor.wrong("an address has four strings"));
        }
    }
}

pub(super) fn open(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    writer.raw(b"(");
    cursor.expect(b'(', "`(` was expected")?;
    let _ = cursor.eat_space();
    Ok(())
}

pub(super) fn close(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    let _ = cursor.eat_space();
    writer.raw(b")");
    cursor.expect(b')', "`)` was expected")
}
