//! What this session knows about the mails of its maildrop beyond what the server says: which were served changed,
//! which are deferred. Empty, and without memory, for nearly every session.
use super::command::MessageNumber;
use super::survey::{Sizes, Survey};
use crate::machine::{Changed, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use texts::Answer;

/// The marks of a maildrop's mails.
#[derive(Debug, Default)]
pub(super) struct Maildrop {
    marks: BTreeMap<u32, Mark>,
    /// Changed mails whose numbers are not yet known.
    unidentified: Vec<Changed>,
    /// Those of them that the server is being asked for; sorted by UIDL.
    asked: Box<[Changed]>,
    /// The server has no UIDL although there are changed mails: any mail could be one of them.
    opaque: bool,
    /// Changed mails whose originals are in the quarantine.
    #[expect(clippy::box_collection, reason = "nearly every session has none: an idle one is kept small")]
    kept: Option<Box<BTreeSet<u32>>>,
    /// Marked as deleted: the driver may hold copies, but the server would not serve them any more.
    #[expect(clippy::box_collection, reason = "nearly every session has none: an idle one is kept small")]
    deleted: Option<Box<BTreeSet<u32>>>,
    /// Its mails are being judged.
    survey: Option<Box<Survey>>,
    /// They were.
    surveyed: bool,
}

#[derive(Debug)]
enum Mark {
    /// Served changed, in this or an earlier session.
    Changed { length: u64, uidl: Option<Box<[u8]>> },
    /// Deferred in this session, and not yet judged otherwise.
    Deferred,
    /// Judged, and served as it is or denied; kept only where the maildrop is opaque.
    Judged,
}

impl Maildrop {
    /// Takes what the index of changed mails holds.
    pub(super) fn learn(&mut self, changed: &[Changed]) {
        if self.opaque {
            return;
        }
        self.unidentified.extend_from_slice(changed);
    }

    /// Whether the server must be asked for UIDL before anything else.
    pub(super) const fn must_identify(&self) -> bool {
        !self.unidentified.is_empty() || !self.asked.is_empty()
    }

    /// The server is asked for UIDL now. What is learnt later takes another question.
    pub(super) fn ask(&mut self) {
        self.asked = std::mem::take(&mut self.unidentified).into();
        self.asked.sort_by(|a, b| a.uidl.cmp(&b.uidl));
    }

    /// The server says that mail `number` has this UIDL.
    pub(super) fn identify(&mut self, number: u32, uidl: &[u8]) {
        if let Ok(at) = self.asked.binary_search_by(|changed| changed.uidl.as_slice().cmp(uidl))
            && let Some(changed) = self.asked.get(at)
        {
            let mark = Mark::Changed { length: changed.length, uidl: Some(uidl.into()) };
            self.marks.insert(number, mark);
            if changed.kept {
                self.keep(number);
            }
        }
    }

    /// The server's UIDL ended. A changed mail that was not in it is no longer there.
    pub(super) fn identified(&mut self) {
        self.asked = Box::default();
    }

    /// The server refused UIDL.
    pub(super) fn unidentifiable(&mut self) {
        self.opaque = true;
        self.asked = Box::default();
        self.unidentified = Vec::new();
    }

    /// Its mails are to be judged, for a client that waits for their sizes.
    pub(super) fn begin_survey(&mut self, asked: Sizes, limit: usize) {
        self.survey = Some(Box::new(Survey::new(asked, limit)));
    }

    /// Whether they are being judged.
    pub(super) const fn is_surveyed_now(&self) -> bool {
        self.survey.is_some()
    }

    /// Whether they were.
    pub(super) const fn is_surveyed(&self) -> bool {
        self.surveyed
    }

    /// The server has this mail.
    pub(super) fn found(&mut self, number: MessageNumber) {
        if let Some(survey) = &mut self.survey {
            survey.found(number);
        }
    }

    /// The next of them.
    pub(super) fn next_unjudged(&mut self) -> Option<MessageNumber> {
        self.survey.as_mut()?.next()
    }

    /// All were judged: what waits for that.
    pub(super) fn end_survey(&mut self) -> Option<Sizes> {
        self.surveyed = true;
        self.survey.take().map(|survey| survey.asked())
    }

    /// UIDL of this mail where it is known.
    pub(super) fn uidl(&self, number: u32) -> Option<Vec<u8>> {
        match self.marks.get(&number)? {
            Mark::Changed { uidl, .. } => uidl.as_deref().map(<[u8]>::to_vec),
            Mark::Deferred | Mark::Judged => None,
        }
    }

    /// Octets of this mail where they are not those that the server says.
    pub(super) fn length(&self, number: u32) -> Option<u64> {
        match self.marks.get(&number)? {
            Mark::Changed { length, .. } => Some(*length),
            Mark::Deferred | Mark::Judged => None,
        }
    }

    /// Whether some sizes are not the server's.
    pub(super) fn resized(&self) -> bool {
        self.marks.values().any(|mark| matches!(mark, Mark::Changed { .. }))
    }

    /// Keeps a verdict that changes nothing in the mail.
    pub(super) fn judged(&mut self, number: u32, verdict: &Verdict) {
        match verdict {
            // Such a mail is not served, so what was said of it before stays true.
            Verdict::Defer { .. } | Verdict::Deny { .. } if self.length(number).is_some() => {}
            Verdict::Defer { .. } => {
                self.marks.insert(number, Mark::Deferred);
            }
            Verdict::Deny { .. } | Verdict::Deliver { .. } if self.opaque => {
                self.marks.insert(number, Mark::Judged);
            }
            Verdict::Deny { .. } | Verdict::Deliver { .. } => {
                self.marks.remove(&number);
            }
        }
    }

    /// Keeps that this mail is served changed.
    pub(super) fn replaced(&mut self, number: u32, uidl: Option<&[u8]>, length: u64) {
        self.marks.insert(number, Mark::Changed { length, uidl: uidl.map(Into::into) });
    }

    /// The quarantine has the original of this mail.
    pub(super) fn keep(&mut self, number: u32) {
        self.kept.get_or_insert_default().insert(number);
    }

    /// Whether it has.
    pub(super) fn is_kept(&self, number: u32) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.contains(&number))
    }

    /// The server marked this mail as deleted.
    pub(super) fn delete(&mut self, number: u32) {
        self.deleted.get_or_insert_default().insert(number);
    }

    /// The server took back all such marks.
    pub(super) fn reset(&mut self) {
        self.deleted = None;
    }

    /// Whether the mail is marked as deleted.
    pub(super) fn is_deleted(&self, number: u32) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.contains(&number))
    }

    /// Whether the mail may be deleted; else the answer without `-ERR`.
    pub(super) fn may_delete(&self, number: u32, refuse_changed: bool) -> Result<(), Answer> {
        match self.marks.get(&number) {
            Some(Mark::Deferred) => Err(Answer::DeleteDeferred),
            Some(Mark::Changed { .. }) if refuse_changed && !self.is_kept(number) => {
                Err(Answer::DeleteReplaced)
            }
            None if self.opaque && refuse_changed => Err(Answer::DeleteUnknown),
            Some(Mark::Changed { .. } | Mark::Judged) | None => Ok(()),
        }
    }
}
