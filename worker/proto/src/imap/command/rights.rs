//! Commands about what stands beside the mail: quotas (RFC 9208), rights (RFC 4314), annotations of mailboxes (RFC 5464).
use crate::imap::cursor::{Cursor, Parsed, Str};
use crate::imap::mailbox::Mailbox;
use crate::imap::write::Writer;

/// `SETQUOTA root (resource limit …)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetQuota<'f> {
    /// The quota root.
    pub root: Str<'f>,
    /// Resources and their limits.
    pub limits: Vec<(&'f [u8], u64)>,
}

/// `SETACL mailbox identifier rights`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAcl<'f> {
    /// Where.
    pub mailbox: Mailbox<'f>,
    /// Whose.
    pub identifier: Str<'f>,
    /// `+`, `-` or nothing in front.
    pub rights: Str<'f>,
}

/// `GETMETADATA [(options)] mailbox entries`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetMetadata<'f> {
    /// `MAXSIZE`
    pub max_size: Option<u64>,
    /// `DEPTH`
    pub depth: Option<&'static str>,
    /// Where; empty: the server.
    pub mailbox: Mailbox<'f>,
    /// Which.
    pub entries: Vec<Str<'f>>,
}

/// `SETMETADATA mailbox (entry value …)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetMetadata<'f> {
    /// Where; empty: the server.
    pub mailbox: Mailbox<'f>,
    /// Names and values; NIL removes.
    pub entries: Vec<(Str<'f>, Option<Str<'f>>)>,
}

impl<'f> SetQuota<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        cursor.space()?;
        let root = cursor.astring()?;
        cursor.space()?;
        let mut limits = Vec::new();
        let mut resource = None;
        cursor.list(|cursor| {
            match resource.take() {
                None => resource = Some(cursor.atom()?),
                Some(resource) => limits.push((resource, cursor.number64()?)),
            }
            Ok(())
        })?;
        if resource.is_some() { Err(cursor.wrong("a limit was expected")) } else { Ok(Self { root, limits }) }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        writer.astring(&self.root);
        writer.raw(b" (");
        for (index, (resource, limit)) in self.limits.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            writer.raw(resource);
            writer.space();
            writer.number(*limit);
        }
        writer.raw(b")");
    }
}

impl<'f> SetAcl<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = Mailbox::parse(cursor, utf8)?;
        cursor.space()?;
        let identifier = cursor.astring()?;
        cursor.space()?;
        Ok(Self { mailbox, identifier, rights: cursor.astring()? })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        self.mailbox.write(writer);
        writer.space();
        writer.astring(&self.identifier);
        writer.space();
        writer.astring(&self.rights);
    }
}

impl<'f> GetMetadata<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        let (mut max_size, mut depth) = (None, None);
        let mut options = |cursor: &mut Cursor<'f>| {
            cursor.list(|cursor| {
                if cursor.eat_word("MAXSIZE") {
                    cursor.space()?;
                    max_size = Some(cursor.number64()?);
                } else if cursor.eat_word("DEPTH") {
                    cursor.space()?;
                    let value = super::search::eat_one_of(cursor, &["0", "1", "infinity"]);
                    depth = Some(value.ok_or(cursor.wrong("0, 1 or infinity was expected"))?);
                } else {
                    return Err(cursor.wrong("an option that GETMETADATA does not have"));
                }
                Ok(())
            })
        };
        cursor.space()?;
        if cursor.peek() == Some(b'(') {
            options(cursor)?;
            cursor.space()?;
        }
        let mailbox = Mailbox::parse(cursor, utf8)?;
        cursor.space()?;
        let mut entries = Vec::new();
        // RFC 5464 erratum 1691: the grammar has the options in front, its examples behind the mailbox.
        let may_be_options = |rest: &[u8]| {
            ["(MAXSIZE ", "(DEPTH "].iter().any(|option| {
                rest.get(..option.len()).is_some_and(|start| start.eq_ignore_ascii_case(option.as_bytes()))
            })
        };
        if may_be_options(cursor.rest()) {
            options(cursor)?;
            cursor.space()?;
        }
        if cursor.peek() == Some(b'(') {
            cursor.list(|cursor| {
                entries.push(cursor.astring()?);
                Ok(())
            })?;
        } else {
            entries.push(cursor.astring()?);
        }
        if entries.is_empty() {
            return Err(cursor.wrong("an entry was expected"));
        }
        Ok(Self { max_size, depth, mailbox, entries })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        if self.max_size.is_some() || self.depth.is_some() {
            writer.raw(b"(");
            if let Some(size) = self.max_size {
                writer.word("MAXSIZE ");
                writer.number(size);
            }
            if let Some(depth) = self.depth {
                writer.word(if self.max_size.is_some() { " DEPTH " } else { "DEPTH " });
                writer.word(depth);
            }
            writer.raw(b") ");
        }
        self.mailbox.write(writer);
        writer.raw(b" (");
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            writer.astring(entry);
        }
        writer.raw(b")");
    }
}

impl<'f> SetMetadata<'f> {
    pub(super) fn parse(cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        cursor.space()?;
        let mailbox = Mailbox::parse(cursor, utf8)?;
        cursor.space()?;
        let mut entries = Vec::new();
        let mut name = None;
        cursor.list(|cursor| {
            match name.take() {
                None => name = Some(cursor.astring()?),
                Some(name) => entries.push((name, cursor.nstring8()?)),
            }
            Ok(())
        })?;
        if name.is_some() || entries.is_empty() {
            return Err(cursor.wrong("an entry and its value were expected"));
        }
        Ok(Self { mailbox, entries })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.space();
        self.mailbox.write(writer);
        writer.raw(b" (");
        for (index, (name, value)) in self.entries.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            writer.astring(name);
            writer.space();
            writer.nstring(value.as_ref());
        }
        writer.raw(b")");
    }
}
