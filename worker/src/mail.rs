//! The way of one mail through a session: wanted, spooled, sealed, leased, judged, on record, delivered.
//!
//! Whatever goes wrong on it defers the mail: the client hears `-ERR [SYS/TEMP]`, the mail stays on the server.
use crate::copy::{Copy, Delivery};
use crate::limits::{ANSWER_TEXT, VIRUS_NAME};
use crate::scan::{self, Decision, Judgement, Lost, Question, Trip};
use crate::session::Session;
use crate::spool::SealedMail;
use ipc::ids::{EngineAnswer, LeaseId, MailId, Sha256};
use ipc::log::{self, Level, Outcome};
use ipc::supervisor_worker::{ChangedMail, FromWorker, NoLease};
use ipc::worker_scanner::{Context, Judged};
use policy::names::Direction;
use policy::status::StatusSet;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use worker_proto::machine::{Input, Machine, Spooled, Verdict};

/// A mail between its first octet and its judgement. One per session: the machine waits for each.
pub(crate) struct InHand {
    id: MailId,
    number: u32,
    /// What spooling found.
    found: StatusSet,
    /// Its last octet came.
    since: Instant,
    /// The client still waits for it.
    awaited: bool,
    stage: Stage,
}

enum Stage {
    /// Its octets are coming.
    Spooling,
    /// Its last octets wait for the spool file.
    AwaitingFile,
    /// It is sealed; a lease was asked for.
    Sealed(Rc<SealedMail>),
    /// A scanner has it.
    Scanning(Rc<SealedMail>, Trip),
}

impl InHand {
    /// The way to the scanner and back, if it is on it.
    pub(crate) const fn trip(&mut self) -> Option<&mut Trip> {
        match &mut self.stage {
            Stage::Scanning(_, trip) => Some(trip),
            Stage::Spooling | Stage::AwaitingFile | Stage::Sealed(_) => None,
        }
    }

    const fn mail(&self) -> Option<&Rc<SealedMail>> {
        match &self.stage {
            Stage::Sealed(mail) | Stage::Scanning(mail, _) => Some(mail),
            Stage::Spooling | Stage::AwaitingFile => None,
        }
    }
}

impl<M: Machine> Session<M> {
    /// The client asks for a mail: a copy that is held, a judgement that is on its way, or else the server's mail.
    pub(crate) fn want_mail(&mut self, number: u32) {
        if let Some(copy) = self.copies.current(number) {
            self.serve(copy);
        } else if let Some(hand) = self.hand.as_mut().filter(|hand| hand.number == number) {
            // Its client ran out of patience before; the scan went on.
            hand.awaited = true;
            self.be_patient();
        } else {
            self.driver.tell(Input::Pull);
        }
    }

    /// The server begins to send it. A mail that nobody waits for any more is forgotten, its lease ends by itself.
    pub(crate) fn mail_begins(&mut self, number: u32) {
        let id = self.next_mail();
        let found = StatusSet::EMPTY;
        let since = Instant::now();
        self.hand =
            Some(Box::new(InHand { id, number, found, since, awaited: true, stage: Stage::Spooling }));
    }

    /// It outgrew `spool-file-above`.
    pub(crate) fn need_file(&mut self) {
        if let Some(hand) = &self.hand {
            self.worker.tell(FromWorker::NeedSpool { session: self.id, mail: hand.id });
        }
    }

    /// The file came.
    pub(crate) fn spool_file(&mut self, id: MailId, write: OwnedFd, read: OwnedFd) {
        if self.in_hand(id).is_some() {
            if let Some(spooling) = self.driver.spooling() {
                spooling.continue_in(write, read, &mut self.worker.buffers.borrow_mut().piece);
            }
            self.seal_if_complete();
        }
    }

    /// No file came: what is still to come of the mail is dropped.
    pub(crate) fn no_spool_file(&mut self, id: MailId) {
        if self.in_hand(id).is_some() {
            if let Some(spooling) = self.driver.spooling() {
                spooling.give_up();
            }
            self.seal_if_complete();
        }
    }

    /// It is complete.
    pub(crate) fn mail_ends(&mut self, spooled: Spooled) {
        let Some(hand) = &mut self.hand else {
            self.driver.tell(Input::Judged(Verdict::Defer { case: None }));
            return;
        };
        hand.found = spooled.found;
        hand.since = Instant::now();
        hand.stage = Stage::AwaitingFile;
        self.be_patient();
        self.seal_if_complete();
    }

    fn seal_if_complete(&mut self) {
        let complete = self.hand.as_ref().is_some_and(|hand| matches!(hand.stage, Stage::AwaitingFile));
        let spooling = self.driver.spooling();
        if !complete || spooling.as_ref().is_some_and(|spooling| spooling.awaits_file()) {
            return;
        }
        let sealed = spooling.take().ok_or("no spool").and_then(|spooling| spooling.seal());
        let Some(hand) = &mut self.hand else { return };
        match sealed {
            Ok(mail) => {
                let (size, sha256) = (mail.length(), mail.sha256());
                hand.stage = Stage::Sealed(Rc::new(mail));
                let mail = hand.id;
                self.worker.tell(FromWorker::NeedScan { session: self.id, mail, size, sha256 });
            }
            Err(why) => self.defer(why, None),
        }
    }

    /// A scanner was lent for it. A second lease for the same mail replaces the first, whose scanner died.
    pub(crate) fn leased(&mut self, id: MailId, lease: LeaseId, pair: OwnedFd) {
        let Some(mail) = self.in_hand(id).and_then(|hand| hand.mail().cloned()) else { return };
        let question = self.question();
        if let Some(hand) = &mut self.hand {
            hand.stage = Stage::Scanning(Rc::clone(&mail), scan::trip(lease, pair, mail, question));
        }
    }

    /// None will be lent.
    pub(crate) fn not_leased(&mut self, id: MailId, why: NoLease) {
        if self.in_hand(id).is_some() {
            let why = match why {
                NoLease::Busy => "no scanner is free",
                NoLease::Died => "the scanner died twice",
                NoLease::Stopping => "the service is stopping",
            };
            self.defer(why, None);
        }
    }

    /// The scanner answered, or did not.
    pub(crate) fn answered(&mut self, answer: Result<Judgement, Lost>) {
        match answer {
            Ok(judgement) => self.judged(judgement),
            Err(Lost::Scanner) => {
                // The supervisor sees its death too: it leases another, or says that there is none.
                if let Some(hand) = &mut self.hand
                    && let Some(mail) = hand.mail().cloned()
                {
                    hand.stage = Stage::Sealed(mail);
                }
            }
            Err(Lost::Lied(why)) => {
                // Nothing that it said is worth a record.
                self.note(Level::Error, "scanner's answer refused", why);
                self.defer(why, None);
            }
            Err(Lost::Internal(why)) => self.defer(why, None),
        }
    }

    fn judged(&mut self, Judgement { judged, decision }: Judgement) {
        let case = judged.sha256.case();
        match decision {
            Decision::Deliver(copy) => {
                let outcome = if copy.is_changed() { Outcome::Replaced } else { Outcome::Passed };
                let Some(hand) = self.finish(outcome, Some(&judged), &judged.reason) else { return };
                self.copies.keep(hand.number, Rc::clone(&copy), self.generation.copy_cache);
                if hand.awaited {
                    self.serve(copy);
                }
            }
            Decision::Deny => {
                self.refuse(Outcome::Denied, Some(&judged), &judged.reason, |reason| {
                    let reason = reason.to_owned();
                    Verdict::Deny { reason, case }
                });
            }
            Decision::Defer => self.defer(&judged.reason, Some(&judged)),
        }
    }

    /// Refuses the mail in hand for now.
    fn defer(&mut self, why: &str, judged: Option<&Judged>) {
        let case = self.hand.as_ref().and_then(|hand| hand.mail()).map(|mail| mail.sha256().case());
        self.refuse(Outcome::Deferred, judged, why, |_| Verdict::Defer { case });
    }

    fn refuse(
        &mut self,
        outcome: Outcome,
        judged: Option<&Judged>,
        why: &str,
        verdict: impl FnOnce(&str) -> Verdict,
    ) {
        let Some(hand) = self.finish(outcome, judged, why) else { return };
        if hand.awaited {
            let why = log::printable(why, ANSWER_TEXT);
            self.driver.tell(Input::Judged(verdict(&why)));
        }
    }

    /// `scan-patience` ends the client's waiting and nothing else: the judgement is kept for its next attempt.
    pub(crate) fn out_of_patience(&mut self) {
        let Some(hand) = &mut self.hand else { return };
        if !std::mem::take(&mut hand.awaited) {
            return;
        }
        let case = hand.mail().map(|mail| mail.sha256().case());
        if hand.mail().is_none() {
            // It never became a mail: there is nothing to wait for.
            self.hand = None;
            *self.driver.spooling() = None;
        }
        self.counters.mails_deferred = self.counters.mails_deferred.saturating_add(1);
        self.note(Level::Warn, "scan-patience is over", case.as_deref().unwrap_or(""));
        self.driver.tell(Input::Judged(Verdict::Defer { case }));
    }

    fn be_patient(&mut self) {
        let until = Instant::now().checked_add(self.settings.rules.scan_patience);
        self.driver.set_patience(until);
    }

    /// The mail in hand has its outcome: one MAIL record.
    fn finish(&mut self, outcome: Outcome, judged: Option<&Judged>, reason: &str) -> Option<Box<InHand>> {
        let hand = self.hand.take()?;
        if hand.awaited {
            self.driver.set_patience(None);
        }
        let counter = match outcome {
            // Counted when they are delivered, or when patience was over.
            Outcome::Passed | Outcome::Replaced => None,
            Outcome::Denied | Outcome::Deferred if !hand.awaited => None,
            Outcome::Denied => Some(&mut self.counters.mails_denied),
            Outcome::Deferred => Some(&mut self.counters.mails_deferred),
        };
        if let Some(counter) = counter {
            *counter = counter.saturating_add(1);
        }
        let (size, sha256) = hand.mail().map_or((0, Sha256([0; 32])), |mail| (mail.length(), mail.sha256()));
        let record = log::Mail {
            session: self.id,
            number: hand.number,
            direction: Direction::Download,
            size,
            sha256,
            outcome,
            rule: judged.map(|judged| log::printable(&judged.rule, ANSWER_TEXT)).unwrap_or_default(),
            would: judged.and_then(|judged| judged.would),
            statuses: judged.map_or(hand.found, |judged| judged.statuses),
            answers: judged.map(|judged| printable(&judged.answers)).unwrap_or_default(),
            reason: log::printable(reason, ANSWER_TEXT),
            micros: u32::try_from(hand.since.elapsed().as_micros()).unwrap_or(u32::MAX),
        };
        self.worker.log.event(&log::Event::Mail(Box::new(record)));
        Some(hand)
    }

    /// The machine may serve this copy, and only this.
    fn serve(&mut self, copy: Rc<Copy>) {
        let (length, changed) = (copy.length, copy.is_changed());
        self.driver.serve(Verdict::Deliver { length, changed }, Delivery::new(copy));
    }

    /// Nothing lost: the change is on record before its first octet is served.
    pub(crate) fn replaced(&mut self, number: u32, uidl: Option<Vec<u8>>, length: u64) {
        let Some(copy) = self.copies.get(number) else {
            self.not_on_record();
            return;
        };
        let mail = self.next_mail();
        self.storing = Some((mail, number));
        let entry = ChangedMail { uidl: uidl.unwrap_or_default(), sha256: copy.sha256, length };
        self.worker.tell(FromWorker::Store { session: self.id, mail, entry });
    }

    /// The supervisor wrote it down, or could not.
    pub(crate) fn stored(&mut self, id: MailId, safe: bool) {
        let Some((_, number)) = self.storing.take_if(|(mail, _)| *mail == id) else { return };
        match self.copies.get(number) {
            Some(copy) if safe => self.serve(copy),
            Some(_) | None => self.not_on_record(),
        }
    }

    fn not_on_record(&mut self) {
        self.note(Level::Error, "changed mail is not on record, so it is deferred", "");
        self.counters.mails_deferred = self.counters.mails_deferred.saturating_add(1);
        self.driver.delivered();
        self.driver.tell(Input::Judged(Verdict::Defer { case: None }));
    }

    /// The client has it.
    pub(crate) fn delivered(&mut self, number: u32) {
        self.driver.delivered();
        let changed = self.copies.get(number).is_some_and(|copy| copy.is_changed());
        let counter =
            if changed { &mut self.counters.mails_replaced } else { &mut self.counters.mails_passed };
        *counter = counter.saturating_add(1);
    }

    fn in_hand(&self, id: MailId) -> Option<&InHand> {
        self.hand.as_deref().filter(|hand| hand.id == id)
    }

    fn next_mail(&mut self) -> MailId {
        self.mails = self.mails.wrapping_add(1);
        MailId(self.mails)
    }

    fn question(&self) -> Question {
        let names = &self.generation.engines;
        let engines = &self.settings.rules.download.engines;
        let engines =
            engines.iter().filter_map(|index| names.get(usize::from(*index)).cloned()).collect::<Rc<[_]>>();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Question {
            found: self.hand.as_ref().map_or(StatusSet::EMPTY, |hand| hand.found),
            engines,
            passes: self.generation.passes,
            context: Context {
                session: self.id,
                protocol: self.admission.protocol,
                direction: Direction::Download,
                client: self.admission.client,
                client_name: self.admission.client_name.clone(),
                destination: self.admission.destination,
                user: self.user.clone(),
                language: self.admission.language,
                listener: self.admission.listener,
                command_rule: self.rule,
                time: i64::try_from(time).unwrap_or(i64::MAX),
            },
        }
    }
}

/// What engines said, fit for a log: the names in it were chosen by whoever wrote the signatures, or the mail.
fn printable(answers: &[EngineAnswer]) -> Vec<EngineAnswer> {
    let mut answers = answers.to_vec();
    for answer in &mut answers {
        answer.virus = answer.virus.take().map(|virus| log::printable(&virus, VIRUS_NAME));
        answer.detail = log::printable(&answer.detail, ANSWER_TEXT);
    }
    answers
}
