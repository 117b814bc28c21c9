//! From a job to the lease of a scanner: which engines are asked about it, their fresh connections, and the grant.
use super::{Job, Lease, MailJob};
use crate::answers::Asked;
use crate::children::ChildId;
use crate::daemons;
use crate::engines::Part;
use crate::event_loop::{Event, Supervisor};
use ipc::ids::{Checker, EngineAnswer, LeaseId};
use ipc::supervisor_scanner::{EngineGrant, EngineState, KnownMail, Purpose, ToScanner};
use ipc::supervisor_worker::{NoLease, ToWorker};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a scanner has beyond the longest engine timeout: to parse, to judge, to write.
const GRACE: Duration = Duration::from_secs(15);

/// One engine or spam filter of a lease after dialling.
#[derive(Debug)]
pub(crate) struct EngineDialled {
    /// Which.
    pub(crate) checker: Checker,
    /// Connected, or the error number; or its state where it was not dialled.
    pub(crate) outcome: Result<OwnedFd, EngineState>,
}

/// The engines of a lease before dialling.
#[derive(Default)]
struct Parts {
    /// Every demanded one, spam filters too.
    all: Vec<(Checker, Part)>,
    /// Those that will be shown the mail.
    asked: Vec<(u16, Asked)>,
    /// What others said of it before.
    known: Vec<EngineAnswer>,
}

impl Supervisor {
    /// Reserves the scanner and dials the engines; the grant follows when they have answered.
    pub(super) fn begin(&mut self, tenant: u16, scanner: ChildId, job: Job) {
        self.leases.next += 1;
        let id = LeaseId(self.leases.next);
        let purpose = match &job {
            Job::Mail(mail) => self.leases.poison.purpose(tenant, mail.sha256, mail.lost > 0),
            Job::Probe { purpose, .. } => *purpose,
        };
        let Parts { all: parts, asked, known } = match &job {
            Job::Mail(mail) => self.parts_of(tenant, mail, purpose == Purpose::Poison),
            Job::Probe { checker, .. } => Parts { all: vec![(*checker, Part::Dial)], ..Parts::default() },
        };
        let lease = Lease {
            tenant,
            generation: self.generation,
            scanner,
            job,
            deadline: None,
            asked,
            known,
            followers: Vec::new(),
            purpose,
            connected: Vec::new(),
            begun: false,
            outstanding: false,
            processor: None,
            overdrawn: None,
        };
        self.leases.live.insert(id, lease);
        if let Some(child) = self.children.get_mut(scanner) {
            child.lease = Some(id);
            child.lives = child.lives.saturating_sub(1);
        }
        // A scanner on its last mail is replaced while it works.
        self.fill();
        let policy = Rc::clone(&self.policy);
        let down = |errno| EngineState::Down { errno };
        let mut engines = Vec::new();
        let mut far = Vec::new();
        for (checker, part) in parts {
            let outcome = match (part, daemons::daemon_of(&policy, checker)) {
                (Part::State(state), _) => Some(Err(state)),
                (Part::Dial, Some(daemon)) => {
                    let outcome = daemons::dial_at_once(daemon);
                    if outcome.is_none() {
                        far.push((checker, daemon.clone()));
                    }
                    outcome.map(|outcome| outcome.map_err(down))
                }
                (Part::Dial, None) => Some(Err(EngineState::Unproven)),
            };
            engines.extend(outcome.map(|outcome| EngineDialled { checker, outcome }));
        }
        if far.is_empty() {
            self.engines_dialled(id, engines);
            return;
        }
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            let dials: Vec<_> = far
                .into_iter()
                .map(|(checker, daemon)| {
                    tokio::task::spawn_local(async move {
                        let outcome = daemons::dial(&daemon).await.map_err(down);
                        EngineDialled { checker, outcome }
                    })
                })
                .collect();
            for dial in dials {
                engines.extend(dial.await);
            }
            let _ = events.send(Event::EnginesDialled { lease: id, engines }).await;
        });
    }

    /// How each demanded engine takes part: one that answered about this mail before is not asked again.
    fn parts_of(&self, tenant: u16, mail: &MailJob, poison: bool) -> Parts {
        let mut parts = Parts::default();
        let scanning = self.scanning_of(mail);
        let filter = scanning.map_or(0, |scanning| scanning.mail_filter);
        for engine in scanning.map(|scanning| scanning.engines.clone()).unwrap_or_default() {
            let mut part = self.engines.part(tenant, engine);
            let asks = part == Part::Dial && !poison;
            if let Some(generation) = self.engines.generation(tenant, engine).filter(|_| asks) {
                let asked = Asked { generation, filter, tenant, mail: mail.sha256 };
                match self.leases.answers.get(&asked, Instant::now()) {
                    Some(answer) => {
                        part = Part::State(EngineState::Known);
                        parts.known.push(answer);
                    }
                    None => parts.asked.push((engine, asked)),
                }
            }
            parts.all.push((Checker::Engine(engine), part));
        }
        for filter in scanning.map(|scanning| scanning.spam_filters.as_slice()).unwrap_or_default() {
            parts.all.push((Checker::Filter(*filter), self.spam_filters.part(tenant, *filter, mail.size)));
        }
        parts
    }

    /// The engines of a lease are connected as far as they can be: grant it.
    pub(crate) fn engines_dialled(&mut self, id: LeaseId, engines: Vec<EngineDialled>) {
        let policy = Rc::clone(&self.policy);
        // Gone meanwhile: the session ended or the scanner died.
        let Some(lease) = self.leases.live.get_mut(&id) else { return };
        let (tenant, scanner) = (lease.tenant, lease.scanner);
        if lease.generation != self.generation {
            // Other engines may be demanded by now: the mail begins again, and goes first.
            if let Job::Mail(mail) = &lease.job
                && self.sessions.get(mail.session).is_some()
            {
                let mail = mail.clone();
                self.leases.queue.push_front(tenant, mail.session, mail);
            }
            self.finish(id);
            return;
        }
        let mut grants = Vec::new();
        let mut connections = Vec::new();
        let mut failures = Vec::new();
        let mut longest = Duration::ZERO;
        for EngineDialled { checker, outcome } in engines {
            longest = longest.max(daemons::timeout_of(&policy, checker));
            let state = match outcome {
                Ok(connection) => {
                    connections.push(connection);
                    lease.connected.push(checker);
                    EngineState::Up
                }
                Err(state) => {
                    if let EngineState::Down { errno } = state {
                        failures.push((checker, errno));
                    }
                    state
                }
            };
            // A probe shows mails of every size.
            let limit = match (&lease.job, checker) {
                (Job::Mail(_), Checker::Engine(engine)) => self.engines.limit(tenant, engine),
                (Job::Mail(_), Checker::Filter(_)) | (Job::Probe { .. }, _) => None,
            };
            grants.push(EngineGrant { checker, state, limit });
        }
        // A suspect is taken apart before any of them is asked; its scanner says when that is.
        lease.outstanding = lease.purpose != Purpose::Suspect && !lease.connected.is_empty();
        let time = longest + GRACE;
        lease.deadline = Some(Instant::now() + time);
        let probe = match &lease.job {
            Job::Mail(_) => None,
            Job::Probe { purpose, .. } => Some(*purpose),
        };
        for (checker, errno) in &failures {
            self.dial_failed(tenant, *checker, *errno, probe.is_some());
        }
        let granted = match probe {
            Some(_) if !failures.is_empty() => {
                self.finish(id);
                return;
            }
            Some(purpose) => self.grant(id, scanner, time, grants, (purpose, None), connections),
            None => self.grant_mail(id, scanner, time, grants, connections),
        };
        if !granted {
            self.condemn(scanner, "cannot be given a lease");
        }
    }

    fn grant_mail(
        &mut self,
        id: LeaseId,
        scanner: ChildId,
        time: Duration,
        grants: Vec<EngineGrant>,
        connections: Vec<OwnedFd>,
    ) -> bool {
        let Some(Lease { tenant, job: Job::Mail(job), purpose, known, connected, .. }) =
            self.leases.live.get(&id)
        else {
            return false;
        };
        let file = connected.iter().any(|checker| daemons::takes_descriptor(&self.policy, *checker));
        let (tenant, purpose, job, answers) = (*tenant, *purpose, job.clone(), known.clone());
        let MailJob { worker, session, sha256, mail, .. } = job;
        let allowed = self.allowed_in(tenant, &job);
        let formerly = self.found_formerly(&job);
        let any = !answers.is_empty() || !allowed.is_empty() || !formerly.is_empty();
        let known = any.then(|| KnownMail { sha256, answers, allowed: allowed.clone(), formerly });
        let Ok((ours, theirs)) = ipc::pair() else {
            self.no_lease(worker, session, mail, NoLease::Busy);
            self.finish(id);
            return true;
        };
        let mut fds = vec![ours];
        fds.extend(connections);
        let granted = self.grant(id, scanner, time, grants, (purpose, known), fds);
        let lease = ToWorker::Lease { session, mail, lease: id, allowed, file };
        self.children.tell_worker(worker, lease, vec![theirs]);
        granted
    }

    fn grant(
        &mut self,
        id: LeaseId,
        scanner: ChildId,
        time: Duration,
        engines: Vec<EngineGrant>,
        (purpose, known): (Purpose, Option<KnownMail>),
        fds: Vec<OwnedFd>,
    ) -> bool {
        let deadline_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let generation = self.generation;
        self.children.tell_scanner(
            scanner,
            ToScanner::Lease { id, generation, deadline_ms, engines, purpose, known },
            fds,
        )
    }
}
