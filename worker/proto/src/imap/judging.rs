//! Judgements: what the driver says of mails that were scanned, and of the mailbox that they are in.
use super::core::{Core, MAILS};
use super::fetch::Outcome;
use super::upload::Scanned;
use crate::machine::{Changed, Event, Output, ScannedCopy, Verdict};
use std::rc::Rc;

/// A mail whose client was told "not now", and that may still be judged.
#[derive(Debug)]
pub(super) struct PutOff {
    /// By the machine's number.
    mail: u32,
    uid: u32,
    /// While it is certain.
    pub(super) number: Option<u32>,
    /// As the server told them with it.
    flags: Option<Vec<u8>>,
}

impl Core {
    /// A mail was judged, and may not be served.
    pub(super) fn judged(&mut self, mail: u32, verdict: Verdict, out: &mut Output) {
        self.common.active = self.common.now;
        if self.upload_judged(mail, &verdict) {
            return self.go_on_with_upload(out);
        }
        let outcome = match verdict {
            Verdict::Defer { case } => Outcome::Deferred { case },
            Verdict::Deny { reason, case } => Outcome::Denied { reason, case },
            // It comes as `Scanned`.
            Verdict::Deliver { .. } => return,
        };
        if let Some(pending) = self.outbox.pending(mail) {
            pending.outcome = outcome;
            self.put_off.push(PutOff {
                mail,
                uid: pending.uid,
                number: pending.now,
                flags: pending.flags.clone(),
            });
            if self.put_off.len() > MAILS {
                self.put_off.remove(0);
            }
        }
    }

    /// A mail was judged, and this may be served of it.
    pub(super) fn scanned(
        &mut self,
        mail: u32,
        copy: Rc<dyn ScannedCopy>,
        changed: bool,
        keywords: &[String],
        out: &mut Output,
    ) {
        self.common.active = self.common.now;
        if let Some(upload) = &mut self.upload
            && let Some((_, scanned)) = upload.mails.iter_mut().find(|(number, _)| *number == mail)
        {
            *scanned = Some(Scanned::Copy(copy));
            return self.go_on_with_upload(out);
        }
        let late = self.put_off.iter().position(|late| late.mail == mail).map(|at| self.put_off.remove(at));
        let known = self
            .outbox
            .pending(mail)
            .map(|pending| (pending.uid, pending.now, pending.job.by_uid, pending.flags.clone()));
        let known = known.or(late.map(|late| (late.uid, late.number, false, late.flags)));
        let Some((uid, number, by_uid, flags)) = known else {
            out.events.push(Event::Forgotten { number: mail });
            return;
        };
        let marked = self.mark(uid, number.filter(|_| !by_uid), flags.as_deref(), keywords);
        if let Some(pending) = self.outbox.pending(mail) {
            pending.marked = marked;
        }
        let length = copy.length();
        let bound = self.common.settings.copy_cache;
        let on_record = self.selected.as_ref().and_then(|selected| selected.length(uid)) == Some(length);
        let has_original = self.selected.as_ref().is_some_and(|selected| selected.has_original(uid));
        if let Some(selected) = &mut self.selected
            && (!changed || on_record)
        {
            selected.keep(uid, number, Rc::clone(&copy), changed, bound);
        }
        let Some(pending) = self.outbox.pending(mail) else {
            if changed {
                out.events.push(Event::Forgotten { number: mail });
            }
            return;
        };
        // As long as the original is nowhere but on the server, it is tried again to have it kept.
        if changed && !(on_record && has_original) {
            pending.outcome = Outcome::Recording(copy);
            let uidl = Some(uid.to_string().into_bytes());
            out.events.push(Event::Replaced { number: mail, uidl, length });
        } else {
            pending.outcome = Outcome::Ready(copy);
            out.events.push(Event::Delivered { number: mail });
        }
    }

    /// The quarantine has its original.
    pub(super) fn kept(&mut self, mail: u32) {
        if let Some(uid) = self.outbox.pending(mail).map(|pending| pending.uid)
            && let Some(selected) = &mut self.selected
        {
            selected.keep_original(uid);
        }
    }

    /// The index of changed mails holds it, or cannot.
    pub(super) fn recorded(&mut self, mail: u32, safe: bool) {
        let Some(pending) = self.outbox.pending(mail) else { return };
        let (uid, number) = (pending.uid, pending.now);
        if let Outcome::Recording(copy) = &pending.outcome {
            let copy = Rc::clone(copy);
            if safe {
                pending.outcome = Outcome::Ready(Rc::clone(&copy));
                if let Some(selected) = &mut self.selected {
                    selected.replaced(uid, copy.length());
                    selected.keep(uid, number, copy, true, self.common.settings.copy_cache);
                }
            } else {
                pending.outcome = Outcome::Deferred { case: None };
            }
        }
    }

    /// What the index knows of the mailbox that is being opened, or what it learnt since.
    pub(super) fn learn(&mut self, changed: &[Changed], out: &mut Output) {
        if self.inspection_learns(changed, out) {
            return;
        }
        if let Some(opening) = self.opening.take() {
            let (words, mut selected) = *opening;
            selected.learn(changed);
            self.selected = Some(Box::new(selected));
            self.outbox.say(out, |octets| octets.extend_from_slice(&words));
        } else if let Some(selected) = &mut self.selected {
            selected.learn(changed);
        }
    }
}
