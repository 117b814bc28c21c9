//! A command as it goes on to the server.
use super::{Body, Command};
use crate::imap::cursor::Str;
use crate::imap::write::Writer;

impl Command<'_> {
    /// Writes it with this tag, and CRLF. APPEND and REPLACE are written up to their first message, without CRLF: the messages
    /// follow with [`super::append::Message::write_head`], their octets, and its tail.
    pub fn write(&self, tag: &[u8], writer: &mut Writer<'_>) {
        writer.raw(tag);
        writer.space();
        self.verb.write(writer);
        self.body.write(writer);
        if !matches!(self.body, Body::Append(_) | Body::Replace(_)) {
            writer.end();
        }
    }
}

impl Body<'_> {
    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Nothing => {}
            Self::Append(append) => {
                writer.space();
                append.mailbox.write(writer);
            }
            Self::Replace(replace) => {
                writer.space();
                writer.raw(replace.replaced.text());
                writer.space();
                replace.mailbox.write(writer);
            }
            Self::Id(pairs) => {
                writer.space();
                write_id(pairs.as_deref(), writer);
            }
            Self::Enable(names) => {
                writer.space();
                writer.words(names.iter().copied());
            }
            Self::Login { user, password } => {
                writer.space();
                writer.astring(user);
                writer.space();
                writer.astring(&password.0);
            }
            Self::Authenticate { mechanism, initial } => {
                writer.space();
                writer.raw(mechanism);
                if let Some(initial) = initial {
                    writer.space();
                    writer.raw(initial.0);
                }
            }
            Self::Select(select) => select.write(writer),
            Self::Create(create) => create.write(writer),
            Self::Mailbox(mailbox) => {
                writer.space();
                mailbox.write(writer);
            }
            Self::Rename(from, to) => {
                writer.space();
                from.write(writer);
                writer.space();
                to.write(writer);
            }
            Self::List(list) => list.write(writer),
            Self::Lsub(reference, pattern) => {
                writer.space();
                reference.write(writer);
                writer.space();
                pattern.write_pattern(writer);
            }
            Self::Status(status) => status.write(writer),
            Self::UidExpunge(set) => {
                writer.space();
                writer.raw(set.text());
            }
            Self::Search(search) => search.write(writer),
            Self::Sort(sort) => sort.write(writer),
            Self::Thread(thread) => thread.write(writer),
            Self::Fetch(fetch) => fetch.write_with(&fetch.items, writer),
            Self::Store(store) => store.write(writer),
            Self::Copy(copy) => copy.write(writer),
            Self::GetQuota(root) => {
                writer.space();
                writer.astring(root);
            }
            Self::SetQuota(quota) => quota.write(writer),
            Self::SetAcl(acl) => acl.write(writer),
            Self::Identifier(mailbox, identifier) => {
                writer.space();
                mailbox.write(writer);
                writer.space();
                writer.astring(identifier);
            }
            Self::GetMetadata(metadata) => metadata.write(writer),
            Self::SetMetadata(metadata) => metadata.write(writer),
        }
    }
}

/// `id-params-list`
pub(in crate::imap) fn write_id(pairs: Option<&[(Str<'_>, Option<Str<'_>>)]>, writer: &mut Writer<'_>) {
    let Some(pairs) = pairs else { return writer.word("NIL") };
    writer.raw(b"(");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            writer.space();
        }
        writer.string(name);
        writer.space();
        writer.nstring(value.as_ref());
    }
    writer.raw(b")");
}
