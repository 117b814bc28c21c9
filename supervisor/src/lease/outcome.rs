//! What becomes of a lease: what its scanner says, in order; that it dies with the mail; that it does not end in time.
use super::{ATTEMPTS, Job, Lease, MailJob, Overdrawn};
use crate::answers::can_be_kept;
use crate::children::{Child, ChildId, Phase};
use crate::event_loop::Supervisor;
use ipc::ids::{Checker, EngineAnswer, LeaseId, Sha256, SpamAnswer};
use ipc::log::Level;
use ipc::supervisor_scanner::{FromScanner, Purpose};
use ipc::supervisor_worker::NoLease;
use policy::status::Status;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Processor time that one mail may take: the largest take a few seconds. Looked at once a second.
const PROCESSOR: Duration = Duration::from_secs(12);

impl Supervisor {
    /// A scanner says something: of its own lease, in order.
    pub(crate) fn scanner_said(&mut self, scanner: ChildId, message: FromScanner) {
        let Some(child) = self.children.get(scanner) else { return };
        let (tenant, phase, lease) = (child.tenant, child.phase, child.lease);
        match message {
            FromScanner::Serving { signatures, faults } => {
                if phase == Phase::Leaving {
                    // A reload replaced its signatures while it compiled them.
                    return;
                }
                if phase != Phase::Preparing {
                    self.condemn(scanner, "begins to serve twice");
                    return;
                }
                self.serving(scanner, signatures, &faults);
                self.lend(tenant);
                self.start_probes();
            }
            FromScanner::Begun { lease: id, sha256 } => {
                let live = self.leases.live.get_mut(&id).filter(|_| lease == Some(id));
                match live {
                    Some(Lease { job: Job::Mail(mail), begun, .. }) if !*begun && mail.sha256 == sha256 => {
                        *begun = true;
                    }
                    // Probes are made inside the scanner.
                    Some(Lease { job: Job::Probe { .. }, begun, .. }) if !*begun => *begun = true,
                    Some(_) | None => self.condemn(scanner, "begins what it was not given"),
                }
            }
            FromScanner::Asking { lease: id, outstanding } => {
                let live = self.leases.live.get_mut(&id).filter(|_| lease == Some(id));
                match live.filter(|live| live.begun && live.purpose == Purpose::Suspect) {
                    Some(live) => live.outstanding = outstanding,
                    None => self.condemn(scanner, "speaks of engines that it was not asked about"),
                }
            }
            FromScanner::Done { lease: id, sha256, answers, spam } => {
                if lease != Some(id) {
                    self.condemn(scanner, "ends a lease that is not its own");
                    return;
                }
                self.done(tenant, id, sha256, &answers, &spam);
                self.finish(id);
            }
        }
    }

    fn serving(&mut self, scanner: ChildId, signatures: u32, faults: &[String]) {
        let Some(child) = self.children.get_mut(scanner) else { return };
        child.phase = Phase::Serving;
        let fields = [("pid", child.pid.to_string()), ("signatures", signatures.to_string())];
        self.journal.note(Level::Debug, "scanner serves", &fields);
        // Every scanner compiles the same files: what it says is said once, and again when it is something else.
        let said = &self.leases.signatures;
        if said.0 == signatures && said.1 == faults {
            return;
        }
        self.journal.note(Level::Info, "signatures are in force", &[("signatures", signatures.to_string())]);
        for fault in faults.iter().take(64) {
            let fields = [("file", ipc::log::printable(fault, 512))];
            self.journal.note(Level::Warn, "signatures that cannot be used", &fields);
        }
        self.leases.signatures = (signatures, faults.to_vec());
    }

    fn done(
        &mut self,
        tenant: u16,
        id: LeaseId,
        sha256: Option<Sha256>,
        answers: &[EngineAnswer],
        spam: &[SpamAnswer],
    ) {
        let policy = Rc::clone(&self.policy);
        let Some(lease) = self.leases.live.get(&id) else { return };
        if lease.generation != self.generation {
            return;
        }
        let answer_of = |engine: u16| {
            let name = policy.engines.get(usize::from(engine)).map(|engine| engine.name.as_str());
            answers.iter().find(|answer| Some(answer.engine.as_str()) == name)
        };
        let scored = |filter: u16| {
            let name = policy.spam_filters.get(usize::from(filter)).map(|filter| filter.name.as_str());
            spam.iter().any(|answer| Some(answer.filter.as_str()) == name && answer.score.is_some())
        };
        match &lease.job {
            Job::Probe { checker: Checker::Engine(engine), purpose } => {
                self.probe_answered(tenant, *engine, *purpose, answer_of(*engine));
            }
            Job::Probe { checker: Checker::Filter(filter), .. } => {
                let filter = *filter;
                self.filter_answered(tenant, filter, scored(filter), true);
            }
            Job::Mail(mail) => {
                // Of the mail that was asked about and parsed, and every engine's word counts: else none is kept.
                if lease.begun
                    && lease.purpose != Purpose::Poison
                    && sha256 == Some(mail.sha256)
                    && answers.iter().all(can_be_kept)
                {
                    let now = Instant::now();
                    for (engine, asked) in &lease.asked {
                        if self.engines.generation(tenant, *engine) == Some(asked.generation)
                            && let Some(answer) = answer_of(*engine)
                        {
                            self.leases.answers.put(asked, answer.clone(), now);
                        }
                    }
                }
                for checker in lease.connected.clone() {
                    match checker {
                        Checker::Engine(engine) => {
                            let failed = |answer: &EngineAnswer| answer.statuses.contains(Status::Error);
                            if answer_of(engine).is_some_and(failed) {
                                self.engines.suspect(tenant, engine);
                            }
                        }
                        Checker::Filter(filter) => {
                            self.filter_answered(tenant, filter, scored(filter), false);
                        }
                    }
                }
            }
        }
    }

    /// A scanner died: its mail gets one more, unless that would kill it again.
    pub(crate) fn scanner_lost(&mut self, scanner: ChildId, lease: Option<LeaseId>) {
        let Some(id) = lease else { return };
        let Some(mut lease) = self.leases.live.remove(&id).filter(|lease| lease.scanner == scanner) else {
            return;
        };
        let tenant = lease.tenant;
        // Behind the mail itself, which goes first.
        self.release(tenant, std::mem::take(&mut lease.followers));
        match &lease.job {
            Job::Probe { checker, .. } if lease.generation == self.generation => match checker {
                Checker::Engine(engine) => self.engines.abandoned(tenant, *engine),
                Checker::Filter(filter) => self.spam_filters.abandoned(tenant, *filter),
            },
            Job::Probe { .. } => {}
            Job::Mail(mail) => self.died_with(&lease, mail.clone()),
        }
        self.lend(tenant);
    }

    fn died_with(&mut self, lease: &Lease, mut mail: MailJob) {
        mail.lost = mail.lost.saturating_add(1);
        // A death before `Begun` says nothing about the mail, nor does one while an engine's answer is outstanding, nor one
        // at the deadline: the machine may be slow. Time of the processor is the mail's own.
        let counts = lease.begun && !lease.outstanding && lease.overdrawn != Some(Overdrawn::Time);
        let fields = [
            ("session", mail.session.to_string()),
            ("sha256", mail.sha256.to_string()),
            ("begun", lease.begun.to_string()),
            ("deadline", (lease.overdrawn == Some(Overdrawn::Time)).to_string()),
            ("processor", (lease.overdrawn == Some(Overdrawn::Processor)).to_string()),
            ("counts", counts.to_string()),
        ];
        self.journal.note(Level::Warn, "a scanner died with a mail", &fields);
        let was_poison = lease.purpose == Purpose::Poison;
        let poison = counts && !was_poison && self.is_poison_now(lease.tenant, mail.sha256);
        if self.sessions.get(mail.session).is_none() {
            // Nobody waits for it any more.
        } else if (mail.lost < ATTEMPTS || poison) && !was_poison && !self.leases.stopping {
            self.leases.queue.push_front(lease.tenant, mail.session, mail);
        } else {
            self.no_lease(mail.worker, mail.session, mail.mail, NoLease::Died);
        }
    }

    /// Counts a death; the second makes the mail `malformed` for good.
    fn is_poison_now(&mut self, tenant: u16, sha256: Sha256) -> bool {
        if !self.leases.poison.died(tenant, sha256) {
            return false;
        }
        let fields = [("sha256", sha256.to_string())];
        self.journal.note(Level::Error, "a mail ended two scanners: it is malformed for good", &fields);
        if let Err(error) = self.leases.poison.save(&self.policy.tenants) {
            let fields = [("error", error.to_string())];
            self.journal.note(Level::Error, "the list of mails that end scanners cannot be written", &fields);
        }
        true
    }

    /// Kills scanners whose mail took more than it may.
    pub(crate) fn leases_overdue(&mut self) {
        let now = Instant::now();
        let mut overdrawn = Vec::new();
        for lease in self.leases.live.values_mut().filter(|lease| lease.overdrawn.is_none()) {
            let Some(deadline) = lease.deadline else { continue };
            let used = self.children.get(lease.scanner).and_then(Child::processor_time).unwrap_or_default();
            let before = *lease.processor.get_or_insert(used);
            lease.overdrawn = if deadline <= now {
                Some(Overdrawn::Time)
            } else if used.saturating_sub(before) >= PROCESSOR {
                Some(Overdrawn::Processor)
            } else {
                None
            };
            overdrawn.extend(lease.overdrawn.map(|what| (lease.scanner, what)));
        }
        for (scanner, what) in overdrawn {
            let why = match what {
                Overdrawn::Time => "does not end its lease in time",
                Overdrawn::Processor => "takes too much processor time for one mail",
            };
            self.condemn(scanner, why);
        }
    }
}
