//! DELETE and RENAME of whole mailboxes. While one of them holds a mail that was served changed and whose original is nowhere else,
//! it stays (the rule "nothing lost"): deleted it would take the original along, and under another name nobody would know that
//! mail again. The index knows what a mailbox holds by its UIDVALIDITY, for which the server is asked.
use super::command::{Body, Command};
use super::core::Core;
use super::mailbox::Mailbox;
use super::outstanding::Purpose;
use super::response::StatusKind;
use super::response::data::{Kind, Value};
use super::verb::Verb;
use super::write::Writer;
use crate::machine::{Changed, Event, Output};
use std::collections::VecDeque;
use texts::Answer;
use zeroize::Zeroizing;

/// Mailboxes that a RENAME may move with the one that it names; above, it is refused.
const INSPECTED: usize = 100;

/// Octets of a name that is kept meanwhile; no server makes longer ones.
const MAX_NAME: usize = 4096;

/// A command that waits until its mailboxes were looked at.
#[derive(Debug)]
pub(super) struct Inspection {
    tag: Box<[u8]>,
    verb: Verb,
    /// The command, without a tag.
    command: Zeroizing<Vec<u8>>,
    /// Mailboxes that are still to be looked at.
    names: VecDeque<Vec<u8>>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The server says which mailboxes there are.
    Listing,
    /// The server says which UIDVALIDITY this one has.
    Asked { name: Vec<u8>, uid_validity: Option<u32> },
    /// The index says what it holds.
    LookedUp,
}

impl Core {
    /// Whether a command is about whole mailboxes, which may not be lost.
    pub(super) fn removes_mailbox(&self, command: &Command<'_>) -> bool {
        let settings = &self.common.settings;
        settings.refuse_delete
            && settings.rules.download.scan
            && matches!(command.verb, Verb::Delete | Verb::Rename)
    }

    /// Looks at its mailboxes first; the command waits.
    #[expect(clippy::wildcard_enum_match_arm, reason = "two commands are about whole mailboxes")]
    pub(super) fn inspect(&mut self, command: &Command<'_>, out: &mut Output) {
        let mut text = Zeroizing::new(Vec::new());
        let mut stops = Vec::new();
        command.write(
            b"",
            &mut Writer::to_server(&mut text, &mut stops, self.common.literals, self.common.utf8),
        );
        if !stops.is_empty() {
            // A name for which the server would have to be waited for in the middle: rare enough to be refused.
            return self.common_say(Some(command.tag), Answer::MailboxReplaced, out);
        }
        let (stage, names, pattern) = match &command.body {
            // Names below it move along (RFC 9051 section 6.3.6). It itself is looked at also where the server does not list it.
            Body::Rename(from, _) => (Stage::Listing, VecDeque::from([name_of(from)]), Some(from)),
            Body::Mailbox(name) => (Stage::LookedUp, VecDeque::from([name_of(name)]), None),
            _other => return,
        };
        let (tag, verb) = (command.tag.into(), command.verb);
        self.inspection = Some(Box::new(Inspection { tag, verb, command: text, names, stage }));
        match pattern {
            Some(from) => {
                let pattern = [from.bytes(), b"*"].concat();
                self.ask_about("LIST \"\" ", &pattern, "", out);
            }
            None => self.inspect_next(out),
        }
    }

    /// The next mailbox; after the last the command goes on.
    fn inspect_next(&mut self, out: &mut Output) {
        let Some(inspection) = &mut self.inspection else { return };
        match inspection.names.pop_front() {
            Some(name) => {
                inspection.stage = Stage::Asked { name: name.clone(), uid_validity: None };
                self.ask_about("STATUS ", &name, " (UIDVALIDITY)", out);
            }
            None => self.end_inspection(true, out),
        }
    }

    fn ask_about(&mut self, before: &str, name: &[u8], behind: &str, out: &mut Output) {
        let (literals, utf8) = (self.common.literals, self.common.utf8);
        let number = self.upstream.send_with(literals, utf8, out, |tag, writer| {
            writer.raw(tag);
            writer.space();
            writer.word(before);
            writer.astring_bytes(name);
            writer.word(behind);
            writer.end();
        });
        self.sent(number, b"", Verb::Status, Purpose::Inspect);
    }

    /// Whether untagged data answers a question of ours.
    pub(super) fn answers_inspection(&mut self, value: &Value<'_>) -> bool {
        let Some(inspection) = &mut self.inspection else { return false };
        match (&mut inspection.stage, value.kind()) {
            (Stage::Listing, Kind::List) => {
                // One that cannot be read answers nothing: it ends the session as data that no command asked for.
                let name = value.listed().map(|name| name_of(&name)).filter(|name| name.len() <= MAX_NAME);
                let Some(name) = name else { return false };
                if inspection.names.len() <= INSPECTED && !inspection.names.contains(&name) {
                    inspection.names.push_back(name);
                }
                true
            }
            (Stage::Asked { uid_validity, .. }, Kind::Status) => {
                *uid_validity = value.uid_validity();
                true
            }
            (Stage::Listing | Stage::Asked { .. } | Stage::LookedUp, _) => false,
        }
    }

    /// The server answered it.
    pub(super) fn inspected(&mut self, kind: StatusKind, out: &mut Output) {
        let Some(inspection) = &mut self.inspection else { return };
        let stage = std::mem::replace(&mut inspection.stage, Stage::LookedUp);
        match (stage, kind) {
            (Stage::Listing, StatusKind::Ok) if inspection.names.len() <= INSPECTED => self.inspect_next(out),
            (Stage::Asked { name, uid_validity: Some(uid_validity) }, StatusKind::Ok) => {
                let mailbox = Mailbox::named(&name).canonical(self.common.utf8);
                out.events.push(Event::Selected { mailbox, uid_validity });
            }
            // Nothing with this name can be opened, so nothing of it was served.
            (Stage::Asked { .. }, StatusKind::No) => self.inspect_next(out),
            _unknown => self.end_inspection(false, out),
        }
    }

    /// The index says what the mailbox holds. Whether it was asked for that.
    pub(super) fn inspection_learns(&mut self, changed: &[Changed], out: &mut Output) -> bool {
        let waits =
            self.inspection.as_ref().is_some_and(|inspection| matches!(inspection.stage, Stage::LookedUp));
        if waits && changed.iter().all(|mail| mail.kept) {
            self.inspect_next(out);
        } else if waits {
            self.end_inspection(false, out);
        }
        waits
    }

    /// The command goes on, or is refused. What is learnt from here on is about the open mailbox again.
    fn end_inspection(&mut self, free: bool, out: &mut Output) {
        let Some(inspection) = self.inspection.take() else { return };
        let (mailbox, uid_validity) =
            self.selected.as_ref().map(|selected| selected.name.clone()).unwrap_or_default();
        out.events.push(Event::Selected { mailbox, uid_validity });
        let Inspection { tag, verb, command, .. } = *inspection;
        if !free {
            return self.common_say(Some(&tag), Answer::MailboxReplaced, out);
        }
        let number = self.upstream.next_number();
        out.server.extend_from_slice(&super::upstream::tag(number));
        out.server.extend_from_slice(&command);
        self.sent(number, &tag, verb, Purpose::Relay);
    }
}

/// As the server is asked about it.
fn name_of(mailbox: &Mailbox<'_>) -> Vec<u8> {
    if mailbox.is_inbox() { b"INBOX".to_vec() } else { mailbox.bytes().to_vec() }
}
