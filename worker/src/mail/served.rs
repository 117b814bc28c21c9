//! From the judgement to the client: a changed mail is on record, and its original safe, before its first octet is served.
use crate::copy::{Copy, Delivery};
use crate::quarantine;
use crate::session::Session;
use ipc::ids::MailId;
use ipc::log::Level;
use ipc::supervisor_worker::{ChangedMail, FromWorker};
use std::rc::Rc;
use worker_proto::machine::{Input, Machine, Verdict};

impl<M: Machine> Session<M> {
    /// The machine may serve this copy, and only this.
    pub(super) fn serve(&mut self, number: u32, copy: Rc<Copy>) {
        let (length, changed) = (copy.length, copy.is_changed());
        self.driver.serve(number, Verdict::Deliver { length, changed }, Delivery::new(copy));
    }

    /// Nothing lost: the original is in the quarantine, or cannot be deleted, and the change is on record, before its first
    /// octet is served.
    pub(crate) fn replaced(&mut self, number: u32, uidl: Option<Vec<u8>>, length: u64) {
        let kept = self.unrecorded.iter().find(|(of, _)| *of == number).map(|(_, copy)| Rc::clone(copy));
        let Some(copy) = kept.or_else(|| self.copies.get(number)) else {
            self.not_on_record(number);
            return;
        };
        let mail = self.next_mail();
        self.storing.push((mail, number));
        let uidl = uidl.unwrap_or_default();
        let entry = ChangedMail {
            uidl: uidl.clone(),
            sha256: copy.sha256,
            length,
            found: copy.found.clone(),
            kept: false,
        };
        let store = FromWorker::Store { session: self.id, selection: self.selection, mail, entry };
        quarantine::keep_then_store(&self.worker, self.originals.get(number), &uidl, store);
    }

    /// The supervisor wrote it down, or could not.
    pub(crate) fn stored(&mut self, id: MailId, safe: bool, kept: bool) {
        let Some(at) = self.storing.iter().position(|(mail, _)| *mail == id) else { return };
        let (_, number) = self.storing.remove(at);
        if kept {
            self.originals.forget(number);
            self.driver.tell(Input::Kept(number));
        }
        if M::KEEPS_COPIES {
            self.unrecorded.retain(|(of, _)| *of != number);
            if !safe {
                self.note(Level::Error, "changed mail is not on record, so it is deferred", "");
            }
            return self.driver.tell(Input::Recorded { number, safe });
        }
        match self.copies.get(number) {
            Some(copy) if safe => self.serve(number, copy),
            Some(_) | None => self.not_on_record(number),
        }
    }

    fn not_on_record(&mut self, number: u32) {
        self.note(Level::Error, "changed mail is not on record, so it is deferred", "");
        self.counters.mails_deferred = self.counters.mails_deferred.saturating_add(1);
        self.driver.delivered();
        self.driver.tell(Input::Judged(number, Verdict::Defer { case: None }));
    }

    /// The client has it, or will: a machine that keeps copies serves it when it is its turn.
    pub(crate) fn delivered(&mut self, number: u32) {
        if M::KEEPS_COPIES {
            return;
        }
        self.driver.delivered();
        let changed = self.copies.get(number).is_some_and(|copy| copy.is_changed());
        let counter =
            if changed { &mut self.counters.mails_replaced } else { &mut self.counters.mails_passed };
        *counter = counter.saturating_add(1);
    }
}
