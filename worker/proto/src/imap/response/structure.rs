//! BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2), read and written at once.
use super::data::{any_value, list, nstring, space, string};
use super::envelope::{self, close, open};
use crate::imap::cursor::{Cursor, Parsed};
use crate::imap::write::Writer;
use crate::quirks;

/// `body`
pub(super) fn copy(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    cursor.nested(|cursor| {
        open(cursor, writer)?;
        if cursor.peek() == Some(b'(') {
            multipart(cursor, writer)?
        } else {
            single(cursor, writer)?
        }
        close(cursor, writer)
    })
}

/// `1*body SP subtype [SP parameters [SP disposition …]]`
fn multipart(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    loop {
        copy(cursor, writer)?;
        let blank = cursor.eat_space();
        if cursor.peek() != Some(b'(') {
            if !blank {
                return Err(cursor.wrong("a blank was expected"));
            }
            break;
        }
    }
    writer.space();
    nstring(cursor, writer)?;
    if next(cursor, writer) {
        parameters(cursor, writer)?;
        behind_the_parameters(cursor, writer)?;
    }
    Ok(())
}

/// `type SP subtype SP parameters SP id SP description SP encoding SP octets …`
fn single(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    nstring(cursor, writer)?;
    space(cursor, writer)?;
    nstring(cursor, writer)?;
    space(cursor, writer)?;
    parameters(cursor, writer)?;
    for _field in ["id", "description", "encoding"] {
        space(cursor, writer)?;
        nstring(cursor, writer)?;
    }
    space(cursor, writer)?;
    size(cursor, writer)?;
    if !next(cursor, writer) {
        return Ok(());
    }
    if cursor.peek() == Some(b'(') {
        // message/rfc822 and message/global: the envelope and the structure of what is inside, and its lines.
        envelope::copy(cursor, writer)?;
        space(cursor, writer)?;
        copy(cursor, writer)?;
        space(cursor, writer)?;
        size(cursor, writer)?;
        if !next(cursor, writer) {
            return Ok(());
        }
    } else if cursor.peek().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-') {
        // text: its lines.
        size(cursor, writer)?;
        if !next(cursor, writer) {
            return Ok(());
        }
    }
    // MD5.
    nstring(cursor, writer)?;
    behind_the_parameters(cursor, writer)
}

/// `[SP disposition [SP language [SP location *(SP extension)]]]`
fn behind_the_parameters(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    if !next(cursor, writer) {
        return Ok(());
    }
    if cursor.eat_word("NIL") {
        writer.word("NIL");
    } else if cursor.peek() == Some(b'(') {
        cursor.nested(|cursor| {
            open(cursor, writer)?;
            string(cursor, writer)?;
            space(cursor, writer)?;
            parameters(cursor, writer)?;
            close(cursor, writer)
        })?;
    } else {
        string(cursor, writer)?;
    }
    if !next(cursor, writer) {
        return Ok(());
    }
    if cursor.peek() == Some(b'(') {
        list(cursor, writer, string)?
    } else {
        nstring(cursor, writer)?
    }
    if !next(cursor, writer) {
        return Ok(());
    }
    nstring(cursor, writer)?;
    while next(cursor, writer) {
        any_value(cursor, writer)?;
    }
    Ok(())
}

/// `(name value …)` or NIL
fn parameters(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    if cursor.eat_word("NIL") {
        writer.word("NIL");
        return Ok(());
    }
    let mut count = 0_u32;
    list(cursor, writer, |cursor, writer| {
        count += 1;
        if count.is_multiple_of(2) { nstring(cursor, writer) } else { string(cursor, writer) }
    })?;
    if count.is_multiple_of(2) { Ok(()) } else { Err(cursor.wrong("a parameter without a value")) }
}

/// Octets or lines.
fn size(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> Parsed<()> {
    match quirks::odd_size(cursor.rest()) {
        Some(length) => {
            *cursor = cursor.clone().moved_to(cursor.at() + length);
            writer.number(0);
        }
        None => writer.number(cursor.number64()?),
    }
    Ok(())
}

/// Whether another field follows; then its blank is taken.
fn next(cursor: &mut Cursor<'_>, writer: &mut Writer<'_>) -> bool {
    let follows = cursor.rest().iter().find(|byte| **byte != b' ').is_some_and(|byte| *byte != b')');
    let follows = follows && cursor.eat_space();
    if follows {
        writer.space();
    }
    follows
}
