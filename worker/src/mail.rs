//! The way of one mail through a session: wanted, spooled, sealed, leased, judged, on record, delivered.
//!
//! Whatever goes wrong on it defers the mail: the client hears of a failure that passes, the mail stays where it is.
mod record;
mod served;

pub(crate) use record::printable;

use crate::copy::Copy;
use crate::limits::ANSWER_TEXT;
use crate::quarantine::{self, Original};
use crate::scan::{self, Decision, Judgement, Lost, Question, Trip};
use crate::session::Session;
use crate::spool::SealedMail;
use ipc::ids::{LeaseId, MailId};
use ipc::log::{self, Level, Outcome};
use ipc::supervisor_worker::{FromWorker, NoLease};
use ipc::worker_scanner::{Context, Disposition, Judged};
use policy::names::{Direction, Protocol};
use policy::status::StatusSet;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use worker_proto::machine::{Input, Machine, Spooled, Verdict};

/// A mail between its first octet and its judgement.
pub(crate) struct InHand {
    pub(crate) id: MailId,
    /// The machine's number.
    number: u32,
    /// IMAP: the mailbox that was open when it began.
    mailbox: Option<Rc<String>>,
    /// IMAP: its UID there.
    uid: Option<u32>,
    direction: Direction,
    /// What spooling found.
    found: StatusSet,
    /// It was served changed before.
    changed: bool,
    /// Viruses that the operator allowed in it.
    allowed: Vec<String>,
    /// Its last octet came.
    since: Instant,
    /// The client waits for it until then.
    patience: Option<Instant>,
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
            self.serve(number, copy);
        } else if self.hands.iter().any(|hand| hand.number == number) {
            // Its client ran out of patience before; the scan went on.
            self.be_patient(number);
        } else {
            self.driver.tell(Input::Pull);
        }
    }

    /// A peer begins to send it.
    pub(crate) fn mail_begins(&mut self, number: u32, direction: Direction) {
        if !M::KEEPS_COPIES {
            // One at a time: nobody waits for the one before any more. It is forgotten, its lease ends by itself.
            self.hands.clear();
        }
        let id = self.next_mail();
        let (found, changed, allowed) = (StatusSet::EMPTY, false, Vec::new());
        let (since, patience, stage) = (Instant::now(), None, Stage::Spooling);
        let (mailbox, uid) = (self.mailbox.clone(), None);
        self.hands.push(InHand {
            id,
            number,
            mailbox,
            uid,
            direction,
            found,
            changed,
            allowed,
            since,
            patience,
            stage,
        });
    }

    /// It outgrew `spool-file-above`.
    pub(crate) fn need_file(&mut self, number: u32) {
        if let Some(hand) = self.hands.iter().find(|hand| hand.number == number) {
            self.worker.tell(FromWorker::NeedSpool { session: self.id, mail: hand.id });
        } else {
            self.driver.take_spool(number);
        }
    }

    /// The file came.
    pub(crate) fn spool_file(&mut self, id: MailId, write: OwnedFd, read: OwnedFd) {
        if let Some(number) = self.in_hand(id).map(|hand| hand.number) {
            if let Some(spooling) = self.driver.spooling(number) {
                spooling.continue_in(write, read, &mut self.worker.buffers.borrow_mut().piece);
            }
            self.seal_if_complete(id);
        }
    }

    /// No file came: what is still to come of the mail is dropped.
    pub(crate) fn no_spool_file(&mut self, id: MailId) {
        if let Some(number) = self.in_hand(id).map(|hand| hand.number) {
            if let Some(spooling) = self.driver.spooling(number) {
                spooling.give_up();
            }
            self.seal_if_complete(id);
        }
    }

    /// It is complete.
    pub(crate) fn mail_ends(&mut self, number: u32, spooled: Spooled) {
        let Some(hand) = self.hands.iter_mut().find(|hand| hand.number == number) else {
            self.driver.take_spool(number);
            self.driver.tell(Input::Judged(number, Verdict::Defer { case: None }));
            return;
        };
        (hand.found, hand.changed, hand.uid) = (spooled.found, spooled.changed, spooled.uid);
        hand.since = Instant::now();
        hand.stage = Stage::AwaitingFile;
        let id = hand.id;
        self.be_patient(number);
        self.seal_if_complete(id);
    }

    fn seal_if_complete(&mut self, id: MailId) {
        let Some(hand) = self.hands.iter_mut().find(|hand| hand.id == id) else { return };
        let awaits_file = self.driver.spooling(hand.number).is_some_and(|spooling| spooling.awaits_file());
        if !matches!(hand.stage, Stage::AwaitingFile) || awaits_file {
            return;
        }
        match self.driver.take_spool(hand.number).ok_or("no spool").and_then(|spooling| spooling.seal()) {
            Ok(mail) => {
                let (size, sha256, changed) = (mail.length(), mail.sha256(), hand.changed);
                hand.stage = Stage::Sealed(Rc::new(mail));
                let (session, direction) = (self.id, hand.direction);
                let mail = id;
                self.worker.tell(FromWorker::NeedScan { session, mail, direction, size, sha256, changed });
            }
            Err(why) => {
                self.note(Level::Error, "a mail cannot be kept for its scan", why);
                self.defer(id, why, None);
            }
        }
    }

    /// A scanner was lent for it. A second lease for the same mail replaces the first, whose scanner died.
    pub(crate) fn leased(
        &mut self,
        id: MailId,
        lease: LeaseId,
        allowed: Vec<String>,
        file: bool,
        pair: OwnedFd,
    ) {
        let Some(hand) = self.in_hand(id) else { return };
        let Some(mail) = hand.mail().cloned() else { return };
        let question = Question { allowed: allowed.clone(), ..self.question(hand) };
        if let Some(hand) = self.hands.iter_mut().find(|hand| hand.id == id) {
            hand.allowed = allowed;
            hand.stage = Stage::Scanning(Rc::clone(&mail), scan::trip(lease, pair, mail, file, question));
        }
    }

    /// None will be lent.
    pub(crate) fn not_leased(&mut self, id: MailId, why: NoLease) {
        let why = match why {
            NoLease::Busy => "no scanner is free",
            NoLease::Died => "the scanner died twice",
            NoLease::Stopping => "the service is stopping",
        };
        self.defer(id, why, None);
    }

    /// The scanner answered, or did not.
    pub(crate) fn answered(&mut self, id: MailId, answer: Result<Judgement, Lost>) {
        match answer {
            Ok(judgement) => self.judged(id, judgement),
            Err(Lost::Scanner) => {
                // The supervisor sees its death too: it leases another, or says that there is none.
                if let Some(hand) = self.hands.iter_mut().find(|hand| hand.id == id)
                    && let Some(mail) = hand.mail().cloned()
                {
                    hand.stage = Stage::Sealed(mail);
                }
            }
            Err(Lost::Lied(why)) => {
                // Nothing that it said is worth a record.
                self.note(Level::Error, "scanner's answer refused", why);
                self.defer(id, why, None);
            }
            Err(Lost::Internal(why)) => self.defer(id, why, None),
        }
    }

    fn judged(&mut self, id: MailId, Judgement { judged, decision }: Judgement) {
        let case = judged.sha256.case();
        match decision {
            Decision::Deliver(copy) => {
                let outcome = match judged.disposition {
                    Disposition::Correct { .. } => Outcome::Corrected,
                    Disposition::Replace { .. } => Outcome::Replaced,
                    Disposition::Pass | Disposition::Deny | Disposition::Defer => Outcome::Passed,
                };
                let Some(hand) = self.finish(id, outcome, Some(&judged), &judged.reason) else { return };
                if let Some(mail) = hand.mail().filter(|_| copy.is_changed())
                    && hand.direction == Direction::Download
                {
                    let facts = quarantine::facts(&self.question(&hand).context, &judged);
                    self.originals.hold(Original::new(hand.number, Rc::clone(mail), facts));
                }
                if M::KEEPS_COPIES {
                    return self.give(hand.number, copy, judged.keywords);
                }
                self.copies.keep(hand.number, Rc::clone(&copy), self.generation.copy_cache);
                if hand.patience.is_some() {
                    self.serve(hand.number, copy);
                }
            }
            Decision::Deny => {
                self.refuse(id, Outcome::Denied, Some(&judged), &judged.reason, |reason| {
                    let reason = reason.to_owned();
                    Verdict::Deny { reason, case }
                });
            }
            Decision::Defer => self.defer(id, &judged.reason, Some(&judged)),
        }
    }

    /// The machine keeps the copy; of a changed one we know until it is on record.
    fn give(&mut self, number: u32, copy: Rc<Copy>, keywords: Vec<String>) {
        let changed = copy.is_changed();
        let counter =
            if changed { &mut self.counters.mails_replaced } else { &mut self.counters.mails_passed };
        *counter = counter.saturating_add(1);
        if changed {
            self.unrecorded.push((number, Rc::clone(&copy)));
        }
        self.driver.tell(Input::Scanned { number, copy, changed, keywords });
    }

    /// Refuses a mail in hand for now.
    fn defer(&mut self, id: MailId, why: &str, judged: Option<&Judged>) {
        let case = self.in_hand(id).and_then(InHand::mail).map(|mail| mail.sha256().case());
        self.refuse(id, Outcome::Deferred, judged, why, |_| Verdict::Defer { case });
    }

    fn refuse(
        &mut self,
        id: MailId,
        outcome: Outcome,
        judged: Option<&Judged>,
        why: &str,
        verdict: impl FnOnce(&str) -> Verdict,
    ) {
        let Some(hand) = self.finish(id, outcome, judged, why) else { return };
        if hand.patience.is_some() {
            let why = log::printable(why, ANSWER_TEXT);
            self.driver.tell(Input::Judged(hand.number, verdict(&why)));
        }
    }

    /// `scan-patience` ends the client's waiting and nothing else: the judgement is kept for its next attempt.
    pub(crate) fn out_of_patience(&mut self) {
        let now = Instant::now();
        while let Some(hand) =
            self.hands.iter_mut().find(|hand| hand.patience.is_some_and(|patience| patience <= now))
        {
            hand.patience = None;
            let (number, case) = (hand.number, hand.mail().map(|mail| mail.sha256().case()));
            if hand.mail().is_none() {
                // It never became a mail: there is nothing to wait for.
                self.forget(number);
            }
            self.counters.mails_deferred = self.counters.mails_deferred.saturating_add(1);
            self.note(Level::Warn, "scan-patience is over", case.as_deref().unwrap_or(""));
            self.driver.tell(Input::Judged(number, Verdict::Defer { case }));
        }
        self.watch_patience();
    }

    /// Nobody asks for this mail any more.
    pub(crate) fn forget(&mut self, number: u32) {
        self.hands.retain(|hand| hand.number != number);
        self.unrecorded.retain(|(of, _)| *of != number);
        self.driver.take_spool(number);
        // POP3 has one mail at a time: of this one nothing is delivered.
        self.driver.delivered();
        self.watch_patience();
    }

    fn be_patient(&mut self, number: u32) {
        let until = Instant::now().checked_add(self.settings.rules.scan_patience);
        if let Some(hand) = self.hands.iter_mut().find(|hand| hand.number == number) {
            hand.patience = until;
        }
        self.watch_patience();
    }

    fn watch_patience(&mut self) {
        self.driver.set_patience(self.hands.iter().filter_map(|hand| hand.patience).min());
    }

    /// A mail in hand has its outcome: one MAIL record.
    fn finish(
        &mut self,
        id: MailId,
        outcome: Outcome,
        judged: Option<&Judged>,
        reason: &str,
    ) -> Option<InHand> {
        let at = self.hands.iter().position(|hand| hand.id == id)?;
        let hand = self.hands.remove(at);
        self.watch_patience();
        let counter = match outcome {
            // Counted when they are delivered, or when patience was over.
            Outcome::Passed | Outcome::Corrected | Outcome::Replaced => None,
            Outcome::Denied | Outcome::Deferred if hand.patience.is_none() => None,
            Outcome::Denied => Some(&mut self.counters.mails_denied),
            Outcome::Deferred => Some(&mut self.counters.mails_deferred),
        };
        if let Some(counter) = counter {
            *counter = counter.saturating_add(1);
        }
        let record = hand.record(self.id, outcome, judged, reason);
        self.worker.log.event(&log::Event::Mail(Box::new(record)));
        Some(hand)
    }

    fn in_hand(&self, id: MailId) -> Option<&InHand> {
        self.hands.iter().find(|hand| hand.id == id)
    }

    fn next_mail(&mut self) -> MailId {
        self.mails = self.mails.wrapping_add(1);
        MailId(self.mails)
    }

    fn question(&self, hand: &InHand) -> Question {
        let names = &self.generation.engines;
        let rules = &self.settings.rules;
        let engines = match hand.direction {
            Direction::Download => &rules.download.engines,
            Direction::Upload => &rules.upload.engines,
        };
        let engines =
            engines.iter().filter_map(|index| names.get(usize::from(*index)).cloned()).collect::<Rc<[_]>>();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Question {
            found: hand.found,
            engines,
            allowed: Vec::new(),
            passes: self.generation.passes,
            keywords: Rc::clone(&self.settings.keywords),
            parts: self.admission.protocol == Protocol::Imap && hand.direction == Direction::Download,
            context: Context {
                session: self.id,
                protocol: self.admission.protocol,
                direction: hand.direction,
                client: self.admission.client,
                client_name: self.admission.client_name.clone(),
                destination: self.admission.destination,
                user: self.user.to_string(),
                language: self.admission.language,
                listener: self.admission.listener,
                command_rule: self.rule,
                time: i64::try_from(time).unwrap_or(i64::MAX),
            },
        }
    }
}
