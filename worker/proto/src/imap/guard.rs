//! Commands that would remove mails which were served changed: while their originals are nowhere else, they stay (the rule
//! "nothing lost"). Which mails a command means the server may have to say.
use super::command::search::Key;
use super::command::{Body, Command};
use super::core::Core;
use super::outstanding::Purpose;
use super::sequence_set::number_set;
use super::upstream::tag;
use super::verb::Verb;
use super::write::Writer;
use crate::machine::Output;
use zeroize::Zeroizing;

/// Changed mails of one mailbox that are asked about in one command.
const ASKED: usize = 500;

/// Whether a command may go on.
pub(super) enum Guarded {
    /// It removes nothing, or nothing of these.
    Free,
    /// It would remove one.
    Refused,
    /// The server says, by a search with these keys, whether it would.
    Ask(Vec<u8>),
}

impl Core {
    /// Holds a command against the mails that were served changed.
    pub(super) fn guard(&self, command: &Command<'_>) -> Guarded {
        let Some(selected) = &self.selected else { return Guarded::Free };
        let changed = selected.irreplaceable();
        if !self.common.settings.refuse_delete || changed.is_empty() {
            return Guarded::Free;
        }
        let asked = |keys: &[u8]| {
            if changed.len() > ASKED {
                return Guarded::Refused;
            }
            Guarded::Ask([keys, b" UID ", &number_set(&changed)].concat())
        };
        match (&command.body, command.verb) {
            (Body::UidExpunge(set), _) if set.is_saved_result() => asked(b"DELETED $"),
            (Body::UidExpunge(set), _) if set.meets(&changed) => {
                asked(&[b"DELETED UID ", set.text()].concat())
            }
            (Body::Copy(copy), Verb::UidMove) if copy.set.is_saved_result() => asked(b"$"),
            (Body::Copy(copy), Verb::UidMove) if copy.set.meets(&changed) => {
                asked(&[b"UID ", copy.set.text()].concat())
            }
            (Body::Copy(copy), Verb::Move) => asked(copy.set.text()),
            (Body::Replace(replace), Verb::UidReplace) if replace.replaced.meets(&changed) => {
                Guarded::Refused
            }
            (Body::Replace(_), Verb::Replace) => Guarded::Refused,
            (_, Verb::Expunge) => asked(b"DELETED"),
            (_, Verb::Close) if selected.read_write => asked(b"DELETED"),
            _removes_none => Guarded::Free,
        }
    }

    /// Whether a command searches in content, and may not.
    #[expect(clippy::wildcard_enum_match_arm, reason = "three commands search")]
    pub(super) fn refuses_search(&self, command: &Command<'_>) -> bool {
        let keys = match &command.body {
            Body::Search(search) => &search.keys,
            Body::Sort(sort) => &sort.keys,
            Body::Thread(thread) => &thread.keys,
            _searches_nothing => return false,
        };
        self.common.settings.rules.imap.refuse_content_search && keys.iter().any(searches_content)
    }

    /// Asks the server whether the command means one of them; the command waits. Not by UID SEARCH, during which the server may
    /// renumber messages: the command would then name others than the client meant.
    pub(super) fn ask(&mut self, command: &Command<'_>, keys: &[u8], out: &mut Output) {
        let mut text = Zeroizing::new(Vec::new());
        let mut stops = Vec::new();
        command.write(
            b"",
            &mut Writer::to_server(&mut text, &mut stops, self.common.literals, self.common.utf8),
        );
        if !stops.is_empty() {
            // A name for which the server would have to be waited for in the middle: rare enough to be refused.
            return self.common_say(Some(command.tag), texts::Answer::DeleteReplaced, out);
        }
        let number = self.upstream.next_number();
        out.server.extend_from_slice(&tag(number));
        out.server.extend_from_slice(b" SEARCH ");
        out.server.extend_from_slice(keys);
        out.server.extend_from_slice(b"\r\n");
        self.sent(number, command.tag, command.verb, Purpose::Ask { command: text, found: false });
    }
}

fn searches_content(key: &Key<'_>) -> bool {
    match key {
        Key::Text(word, _) => matches!(*word, "BODY" | "TEXT"),
        Key::Not(key) => searches_content(key),
        Key::Or(one, other) => searches_content(one) || searches_content(other),
        Key::And(keys) => keys.iter().any(searches_content),
        Key::Plain(_)
        | Key::Date(..)
        | Key::Number(..)
        | Key::Atom(..)
        | Key::Header(..)
        | Key::Uid(_)
        | Key::Set(_)
        | Key::ModSeq(..) => false,
    }
}
