//! What the client gets, in its order. An answer that waits for a judgement holds back what is behind it; while nothing
//! waits, octets pass straight through.
use super::answer::say_text;
use super::common::Common;
use super::fetch::{Job, PIECE, Pending, Serving};
use super::numbers::behind;
use crate::machine::{CopyFault, Output};
use std::collections::VecDeque;
use std::rc::Rc;

/// Answers that may wait behind one that is not ready, octets.
const QUEUED: usize = 1024 * 1024;

/// What is queued for the client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Entry>,
    /// Octets in `Entry::Octets`.
    octets: usize,
    serving: Option<Box<Serving>>,
    /// A flag of ours is being set.
    marking: bool,
}

#[derive(Debug)]
enum Entry {
    Octets(Said),
    Pending(Box<Pending>),
    /// The end of a FETCH: the tag, and the server's words behind it.
    End {
        tag: Box<[u8]>,
        words: Vec<u8>,
        job: Rc<Job>,
    },
}

/// Whole lines.
#[derive(Debug, Default)]
struct Said {
    octets: Vec<u8>,
    /// Where the last of them begins, if it is the answer to a command.
    end: Option<usize>,
}

impl Outbox {
    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.serving.is_none()
    }

    /// Whether the server should wait.
    pub(super) const fn is_full(&self) -> bool {
        self.octets > QUEUED
    }

    /// Whether something can be said as soon as the client takes it.
    pub(super) fn has_more(&self) -> bool {
        self.serving.is_some()
            || match self.queue.front() {
                Some(Entry::Pending(pending)) => pending.is_ready(),
                Some(Entry::End { .. }) => !self.holds_ends(),
                Some(Entry::Octets(_)) => true,
                None => false,
            }
    }

    /// Whether the end of a FETCH waits for a flag. Not where mails of further commands are behind it: these are in progress then, and
    /// the server, which answers in its order, may have to be heard about them first.
    fn holds_ends(&self) -> bool {
        let pending = |entry: &Entry| matches!(entry, Entry::Pending(_));
        self.marking && !self.is_full() && !self.queue.iter().any(pending)
    }

    /// Whether what comes next waits for a judgement, and nothing is in the middle of being said.
    pub(super) fn is_held(&self) -> bool {
        !self.is_empty() && !self.has_more()
    }

    /// Whether an answer is cut in its middle.
    pub(super) const fn is_in_answer(&self) -> bool {
        self.serving.is_some()
    }

    /// Whether a flag of ours is being set. The server may tell of expunged messages meanwhile; the client must hear of them before it
    /// believes that no command is in progress and names messages by numbers that have become those of others.
    pub(super) const fn set_marking(&mut self, marking: bool) {
        self.marking = marking;
    }

    /// What the server tells of the mailbox: as [`Outbox::say`], but while a flag is set, in front of the last end of a command that
    /// waits for it.
    pub(super) fn tell(&mut self, out: &mut Output, write: impl FnOnce(&mut Vec<u8>)) {
        let end = match self.queue.back_mut() {
            Some(Entry::End { .. }) if self.marking => self.queue.pop_back(),
            Some(Entry::Octets(said)) if self.marking => said.end.map(|end| {
                let octets = said.octets.split_off(end);
                self.octets = self.octets.saturating_sub(octets.len());
                Entry::Octets(Said { octets, end: Some(0) })
            }),
            Some(_) | None => None,
        };
        self.say(out, write);
        if let Some(Entry::Octets(Said { octets, .. })) = end {
            return self.say_end(out, |queued| queued.extend_from_slice(&octets));
        }
        self.queue.extend(end);
    }

    /// Whole lines, in their order.
    pub(super) fn say(&mut self, out: &mut Output, write: impl FnOnce(&mut Vec<u8>)) {
        self.queue_lines(out, false, write);
    }

    /// The answer to a command, likewise.
    pub(super) fn say_end(&mut self, out: &mut Output, write: impl FnOnce(&mut Vec<u8>)) {
        self.queue_lines(out, true, write);
    }

    fn queue_lines(&mut self, out: &mut Output, end: bool, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_empty() {
            return write(&mut out.client);
        }
        if !matches!(self.queue.back(), Some(Entry::Octets(_))) {
            self.queue.push_back(Entry::Octets(Said::default()));
        }
        if let Some(Entry::Octets(said)) = self.queue.back_mut() {
            let before = said.octets.len();
            write(&mut said.octets);
            said.end = end.then_some(before);
            self.octets += said.octets.len() - before;
        }
    }

    /// Queues an answer.
    pub(super) fn push(&mut self, pending: Pending) {
        self.queue.push_back(Entry::Pending(Box::new(pending)));
    }

    /// Queues the end of a FETCH, whose words depend on how its mails fared.
    pub(super) fn push_end(&mut self, tag: Box<[u8]>, words: Vec<u8>, job: Rc<Job>) {
        self.queue.push_back(Entry::End { tag, words, job });
    }

    /// The answer that waits for this mail.
    pub(super) fn pending(&mut self, mail: u32) -> Option<&mut Pending> {
        self.queue.iter_mut().find_map(|entry| match entry {
            Entry::Pending(pending) if pending.mail == mail && mail != 0 => Some(&mut **pending),
            Entry::Pending(_) | Entry::Octets(_) | Entry::End { .. } => None,
        })
    }

    /// Messages are gone ([`Core::renumber`](super::core::Core::renumber)).
    pub(super) fn renumber(&mut self, gone: Option<u32>) {
        for entry in &mut self.queue {
            if let Entry::Pending(pending) = entry {
                pending.now = behind(pending.now, gone);
            }
        }
    }

    /// Answers that wait.
    pub(super) fn pendings(&self) -> usize {
        self.queue.iter().filter(|entry| matches!(entry, Entry::Pending(_))).count()
    }

    /// Says what can be said, up to about a piece. `begins` hears of every answer before it is begun, and says whether that leads to a
    /// flag of ours.
    pub(super) fn drain(
        &mut self,
        common: &Common,
        out: &mut Output,
        mut begins: impl FnMut(&Pending) -> bool,
    ) -> Result<(), CopyFault> {
        while out.client.len() < PIECE {
            if let Some(serving) = &mut self.serving {
                if !serving.write(common.utf8, &mut out.client)? {
                    return Ok(());
                }
                self.serving = None;
            }
            match self.queue.front() {
                Some(Entry::Pending(pending)) if !pending.is_ready() => return Ok(()),
                Some(Entry::End { .. }) if self.holds_ends() => return Ok(()),
                Some(_) => {}
                None => {
                    self.queue = VecDeque::new();
                    return Ok(());
                }
            }
            match self.queue.pop_front() {
                Some(Entry::Octets(Said { octets, .. })) => {
                    self.octets = self.octets.saturating_sub(octets.len());
                    out.client.extend_from_slice(&octets);
                }
                Some(Entry::Pending(pending)) => {
                    self.marking |= begins(&pending);
                    self.serving = pending.begin(common, &mut out.client).map(Box::new);
                }
                Some(Entry::End { tag, words, job }) => end(&tag, &words, &job, common, &mut out.client),
                None => {}
            }
        }
        Ok(())
    }
}

/// The tagged answer to a FETCH. BAD where nothing could be answered of any mail now: mbsync takes NO for the last word about
/// a mail and never asks for it again. One bad mail of many never fails all.
fn end(tag: &[u8], words: &[u8], job: &Job, common: &Common, out: &mut Vec<u8>) {
    if let Some(code) = job.failed.get() {
        return say_text(Some(tag), &["NO ", code].concat(), "an item cannot be answered", out);
    }
    if job.deferred.get() > 0 && job.answered.get() == 0 {
        let text = texts::mail_deferred(common.language, None, common.utf8);
        return say_text(Some(tag), "BAD [UNAVAILABLE] ", &text, out);
    }
    out.extend_from_slice(tag);
    out.push(b' ');
    out.extend_from_slice(words);
}
