//! FETCH on its way to the server, and what we ask of our own for its sake: mails whose metadata was left out.
use super::command::{Body, Command};
use super::core::Core;
use super::fetch::Job;
use super::fetch_item::FetchItem;
use super::outstanding::{Pull, Purpose};
use super::sequence_set::number_set;
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
        let mut job = if rules.download.scan {
            Job::new(&fetch.items, &fetch.set, command.verb == Verb::UidFetch, rules.strict)
        } else {
            Job::passing(&fetch.items, &fetch.set, command.verb == Verb::UidFetch)
        };
        job.marks = rules.download.scan && self.marks_keywords();
        job.since = fetch.changed_since.is_some();
        let job = Rc::new(job);
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

    /// Asks for mails that were left out of an answer, of which the client knows the copy or will. By their numbers where the
    /// client asked so, that it hears of no renumbering before its answer is complete.
    pub(super) fn pull(&mut self, out: &mut Output) {
        if self.upstream.is_waiting() || self.sending.is_some() {
            return;
        }
        let Some(Pull { tag, job, words }) = self.pulls.pop_front() else { return };
        let mut mails = std::mem::take(&mut *job.pulls.borrow_mut());
        if let Some(first_behind) = mails.keys().nth(PULLED).copied() {
            *job.pulls.borrow_mut() = mails.split_off(&first_behind);
        }
        let uids: Vec<u32> = mails.keys().copied().collect();
        let numbers: Option<Vec<u32>> = mails.into_values().collect();
        let numbers = numbers.filter(|_| !job.by_uid && !self.outstanding.may_expunge());
        let (verb, set) = match numbers {
            Some(numbers) => (Verb::Fetch, number_set(&numbers)),
            None => (Verb::UidFetch, number_set(&uids)),
        };
        let number = self.upstream.next_number();
        let mut stops = Vec::new();
        let mut writer = Writer::to_server(&mut out.server, &mut stops, self.common.literals, false);
        writer.raw(&super::upstream::tag(number));
        writer.space();
        verb.write(&mut writer);
        writer.space();
        writer.raw(&set);
        writer.word(" (UID");
        for item in job.server_items() {
            writer.space();
            item.write(&mut writer);
        }
        for (wanted, item) in [(job.marks || job.sets_seen, FetchItem::Flags), (job.since, FetchItem::ModSeq)]
        {
            if wanted && !job.items.contains(&item) {
                writer.space();
                item.write(&mut writer);
            }
        }
        writer.word(" BODY.PEEK[])");
        writer.end();
        self.sent(number, &tag, verb, Purpose::Pull { job, uids, words });
    }
}
