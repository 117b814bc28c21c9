//! FETCH on its way to the server, and what we ask of our own for its sake: mails whose metadata was left out, and \Seen.
use super::command::{Body, Command};
use super::core::Core;
use super::fetch::Job;
use super::outstanding::{Pull, Purpose};
use super::sequence_set::uid_set;
use super::verb::Verb;
use super::write::Writer;
use crate::machine::Output;
use std::rc::Rc;

/// Mails that are asked for in one command of ours: no server has a shorter line than their UIDs need.
const PULLED: usize = 500;

impl Core {
    /// FETCH: content is answered from scanned copies, of which the server is asked for what they are made of.
    pub(super) fn fetch(&mut self, command: &Command<'_>, out: &mut Output) {
        let Body::Fetch(fetch) = &command.body else { return };
        let rules = &self.common.settings.rules;
        let job = Rc::new(if rules.download.scan {
            Job::new(&fetch.items, &fetch.set, command.verb == Verb::UidFetch, rules.imap.strict)
        } else {
            Job::passing(&fetch.items, &fetch.set, command.verb == Verb::UidFetch)
        });
        let plain = fetch.changed_since.is_none() && !fetch.vanished && fetch.page.is_none();
        if job.content
            && plain
            && let (Some(selected), Some(single)) = (&self.selected, fetch.set.single())
        {
            let by_uid = command.verb == Verb::UidFetch;
            *job.cached.borrow_mut() =
                if by_uid { selected.copy_of(single) } else { selected.copy_at(single) };
        }
        let changed = self.selected.as_ref().is_some_and(|selected| selected.has_changed());
        let items = job.upstream(changed);
        let (literals, utf8) = (self.common.literals, self.common.utf8);
        let number = self.upstream.send_with(literals, utf8, out, |tag, writer| {
            writer.raw(tag);
            writer.space();
            command.verb.write(writer);
            fetch.write_with(&items, writer);
            writer.end();
        });
        self.sent(number, command.tag, command.verb, Purpose::Fetch(job));
    }

    /// Asks for mails whose metadata was left out of an answer, since they are served changed.
    pub(super) fn pull(&mut self, out: &mut Output) {
        if self.upstream.is_waiting() || self.sending.is_some() {
            return;
        }
        let Some(Pull { tag, verb, job, words }) = self.pulls.pop_front() else { return };
        let mut uids = std::mem::take(&mut *job.pulls.borrow_mut());
        uids.sort_unstable();
        *job.pulls.borrow_mut() = uids.split_off(uids.len().min(PULLED));
        let set = uid_set(&uids);
        let number = self.upstream.next_number();
        let mut stops = Vec::new();
        let mut writer = Writer::to_server(&mut out.server, &mut stops, self.common.literals, false);
        writer.raw(&super::upstream::tag(number));
        writer.word(" UID FETCH ");
        writer.raw(&set);
        writer.word(" (UID");
        for item in job.server_items() {
            writer.space();
            item.write(&mut writer);
        }
        writer.word(" BODY.PEEK[])");
        writer.end();
        self.sent(number, &tag, verb, Purpose::Pull { job, words });
    }

    /// Sets \Seen of the mails whose content was served.
    pub(super) fn mark_seen(&mut self, out: &mut Output) {
        if self.marks.is_empty() || self.upstream.is_waiting() || self.sending.is_some() || self.is_in_idle()
        {
            return;
        }
        let set = uid_set(&std::mem::take(&mut self.marks));
        let number = self.upstream.next_number();
        out.server.extend_from_slice(&super::upstream::tag(number));
        out.server.extend_from_slice(b" UID STORE ");
        out.server.extend_from_slice(&set);
        out.server.extend_from_slice(b" +FLAGS.SILENT (\\Seen)\r\n");
        self.sent(number, b"", Verb::UidStore, Purpose::Mark);
    }
}
