//! What becomes of a lease: what its scanner says, in order; that it dies with the mail; that it does not end in time.
use super::{ATTEMPTS, Job, Lease};
use crate::answers::can_be_kept;
use crate::children::{ChildId, Phase};
use crate::event_loop::Supervisor;
use ipc::ids::{Checker, EngineAnswer, LeaseId, Sha256, SpamAnswer};
use ipc::log::Level;
use ipc::supervisor_scanner::FromScanner;
use ipc::supervisor_worker::NoLease;
use policy::status::Status;
use std::rc::Rc;
use std::time::Instant;

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
        if self.leases.signatures.as_ref().is_some_and(|said| said.0 == signatures && said.1 == faults) {
            return;
        }
        self.journal.note(Level::Info, "signatures are in force", &[("signatures", signatures.to_string())]);
        for fault in faults.iter().take(64) {
            let fields = [("file", ipc::log::printable(fault, 512))];
            self.journal.note(Level::Warn, "signatures that cannot be used", &fields);
        }
        self.leases.signatures = Some((signatures, faults.to_vec()));
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
                    && !lease.poison
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
        let Some(lease) = self.leases.live.remove(&id).filter(|lease| lease.scanner == scanner) else {
            return;
        };
        let tenant = lease.tenant;
        // Behind the mail itself, which goes first.
        self.release(tenant, lease.followers);
        match lease.job {
            Job::Probe { checker, .. } if lease.generation == self.generation => match checker {
                Checker::Engine(engine) => self.engines.abandoned(tenant, engine),
                Checker::Filter(filter) => self.spam_filters.abandoned(tenant, filter),
            },
            Job::Probe { .. } => {}
            Job::Mail(mut mail) => {
                mail.lost = mail.lost.saturating_add(1);
                let was_poison = self.leases.poison.contains(tenant, mail.sha256);
                // A death before `Begun` says nothing about the mail, nor does one that we caused.
                let poison = lease.begun && !lease.killed && self.leases.poison.died(tenant, mail.sha256);
                let fields = [
                    ("session", mail.session.to_string()),
                    ("sha256", mail.sha256.to_string()),
                    ("deadline", lease.killed.to_string()),
                    ("begun", lease.begun.to_string()),
                ];
                self.journal.note(Level::Warn, "a scanner died with a mail", &fields);
                let again = (mail.lost < ATTEMPTS || poison) && !was_poison;
                let alive = self.sessions.get(mail.session).is_some();
                if !alive {
                    // Nobody waits for it any more.
                } else if again && !self.leases.stopping {
                    self.leases.queue.push_front(tenant, mail.session, mail);
                } else {
                    self.no_lease(mail.worker, mail.session, mail.mail, NoLease::Died);
                }
            }
        }
        self.lend(tenant);
    }

    /// Kills scanners whose time is over.
    pub(crate) fn leases_overdue(&mut self) {
        let now = Instant::now();
        let mut late = Vec::new();
        for lease in self.leases.live.values_mut() {
            if lease.deadline.is_some_and(|deadline| deadline <= now) && !lease.killed {
                lease.killed = true;
                late.push(lease.scanner);
            }
        }
        for scanner in late {
            self.condemn(scanner, "does not end its lease in time");
        }
    }
}
