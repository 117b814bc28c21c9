//! Lends a scanner and fresh engine connections to one mail (D11): the queue, the deadline, the retry, the poison list. A
//! mail that engines were shown before, or that another lease is showing them now, is not shown to them again (D20). Probes
//! of engines (`probes.rs`) are leases without a worker.
use crate::answers::{Answers, Asked, can_be_kept};
use crate::children::{ChildId, Phase};
use crate::daemons;
use crate::engines::Part;
use crate::event_loop::{Event, Supervisor};
use crate::poison::PoisonList;
use crate::probes::Probes;
use crate::queue::Queue;
use ipc::boot::Role;
use ipc::ids::{Checker, EngineAnswer, LeaseId, MailId, SessionId, Sha256, SpamAnswer};
use ipc::log::Level;
use ipc::supervisor_scanner::{EngineGrant, EngineState, FromScanner, KnownAnswers, Purpose, ToScanner};
use ipc::supervisor_worker::{NoLease, ToWorker};
use policy::model::Scanning;
use policy::status::Status;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Mails that may wait in all, and of one session.
const QUEUE: usize = 10_000;
const QUEUE_OF_SESSION: usize = 64;
/// What a scanner has beyond the longest engine timeout: to parse, to judge, to write.
const GRACE: Duration = Duration::from_secs(15);
/// Attempts to scan one mail.
const ATTEMPTS: u8 = 2;
/// Mails that wait for one lease's answers; further ones are scanned beside it.
const FOLLOWERS: usize = 1000;
/// How often one mail waits for another lease: where those fail it goes its own way.
const MOST_WAITS: u8 = 2;

/// A mail that waits for a scanner.
#[derive(Clone, Debug)]
pub(crate) struct MailJob {
    session: SessionId,
    mail: MailId,
    worker: ChildId,
    sha256: Sha256,
    /// Scanners that were lost with it.
    lost: u8,
    /// Leases of the same mail whose answers it waited for.
    waited: u8,
}

/// What a lease is for.
#[derive(Debug)]
pub(crate) enum Job {
    Mail(MailJob),
    Probe { checker: Checker, purpose: Purpose },
}

/// One scanner lent.
#[derive(Debug)]
struct Lease {
    tenant: u16,
    /// The policy generation that the engines' indices are of.
    generation: u64,
    scanner: ChildId,
    job: Job,
    /// From the grant; `None` while the engines are dialled.
    deadline: Option<Instant>,
    /// The engines that are shown the mail, as they are at that time.
    asked: Vec<(u16, Asked)>,
    /// What the others said of it before.
    known: Vec<EngineAnswer>,
    /// The same mail of other sessions: what the engines say now is for them too.
    followers: Vec<MailJob>,
    /// The mail killed two scanners; no answer is about its content.
    poison: bool,
    /// The engines and spam filters that were connected.
    connected: Vec<Checker>,
    /// The scanner verified the mail and parses it.
    begun: bool,
    /// The deadline passed and the scanner was killed for it.
    killed: bool,
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

/// One engine or spam filter of a lease after dialling.
#[derive(Debug)]
pub(crate) struct EngineDialled {
    /// Which.
    pub(crate) checker: Checker,
    /// Connected, or the error number; or its state where it was not dialled.
    pub(crate) outcome: Result<OwnedFd, EngineState>,
}

/// Every lease and what waits for one.
#[derive(Debug)]
pub(crate) struct Leases {
    queue: Queue<MailJob>,
    pub(crate) probes: Probes,
    pub(crate) answers: Answers,
    live: HashMap<LeaseId, Lease>,
    poison: PoisonList,
    next: u64,
    pub(crate) stopping: bool,
}

impl Leases {
    pub(crate) fn new(answers: Answers) -> Self {
        Self {
            queue: Queue::new(QUEUE, QUEUE_OF_SESSION),
            probes: Probes::default(),
            answers,
            live: HashMap::new(),
            poison: PoisonList::default(),
            next: 0,
            stopping: false,
        }
    }
}

impl Supervisor {
    /// A worker has a mail to be scanned.
    pub(crate) fn need_scan(
        &mut self,
        worker: ChildId,
        session: SessionId,
        mail: MailId,
        _size: u64,
        sha256: Sha256,
    ) {
        let Some(tenant) = self.sessions.get(session).map(|found| found.tenant) else { return };
        if self.leases.stopping {
            self.no_lease(worker, session, mail, NoLease::Stopping);
            return;
        }
        let job = MailJob { session, mail, worker, sha256, lost: 0, waited: 0 };
        if self.leases.queue.push(tenant, session, job).is_err() {
            self.no_lease(worker, session, mail, NoLease::Busy);
            return;
        }
        self.lend(tenant);
    }

    fn no_lease(&mut self, worker: ChildId, session: SessionId, mail: MailId, why: NoLease) {
        self.children.tell_worker(worker, ToWorker::NoLease { session, mail, why }, Vec::new());
    }

    /// Gives idle scanners of a tenant to what waits.
    pub(crate) fn lend(&mut self, tenant: u16) {
        loop {
            let most = self.policy.service.scanners.max(1);
            let busy = self.leases.live.values().filter(|lease| lease.tenant == tenant).count();
            if busy >= most {
                return;
            }
            let idle = self
                .children
                .serving(Role::Scanner, tenant)
                .filter(|(_, scanner)| scanner.lease.is_none())
                .min_by_key(|(id, scanner)| (scanner.lives, *id))
                .map(|(id, _)| id);
            let Some(scanner) = idle else { return };
            let Some(job) = self.next_job(tenant) else { return };
            self.begin(tenant, scanner, job);
        }
    }

    fn next_job(&mut self, tenant: u16) -> Option<Job> {
        if !self.leases.probes.impatient(tenant) {
            while let Some(job) = self.leases.queue.next(tenant) {
                if let Some(job) = self.follow(tenant, job) {
                    return Some(Job::Mail(job));
                }
            }
        }
        self.leases.probes.next(tenant)
    }

    /// Single flight: where the same mail is being shown to engines that this one needs too, it waits for what they say.
    /// Gives back the job that has to be done now.
    fn follow(&mut self, tenant: u16, mut job: MailJob) -> Option<MailJob> {
        if self.leases.answers.is_off() || job.waited >= MOST_WAITS {
            return Some(job);
        }
        let demanded =
            self.scanning_of(job.session).map(|scanning| scanning.engines.clone()).unwrap_or_default();
        let generation = self.generation;
        let leader = self.leases.live.values_mut().find(|lease| {
            let same = match &lease.job {
                Job::Mail(mail) => mail.sha256 == job.sha256,
                Job::Probe { .. } => false,
            };
            same && lease.tenant == tenant
                && lease.generation == generation
                && lease.followers.len() < FOLLOWERS
                && lease.asked.iter().any(|(engine, _)| demanded.contains(engine))
        });
        match leader {
            Some(lease) => {
                job.waited += 1;
                lease.followers.push(job);
                None
            }
            None => Some(job),
        }
    }

    /// How each demanded engine takes part: one that answered about this mail before is not asked again.
    fn parts_of(&self, tenant: u16, mail: &MailJob, poison: bool) -> Parts {
        let mut parts = Parts::default();
        let scanning = self.scanning_of(mail.session);
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
            parts.all.push((Checker::Filter(*filter), self.spam_filters.part(tenant, *filter)));
        }
        parts
    }

    /// Reserves the scanner and dials the engines; the grant follows when they have answered.
    fn begin(&mut self, tenant: u16, scanner: ChildId, job: Job) {
        self.leases.next += 1;
        let id = LeaseId(self.leases.next);
        let poison = match &job {
            Job::Mail(mail) => self.leases.poison.contains(tenant, mail.sha256),
            Job::Probe { .. } => false,
        };
        let Parts { all: parts, asked, known } = match &job {
            Job::Mail(mail) => self.parts_of(tenant, mail, poison),
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
            poison,
            connected: Vec::new(),
            begun: false,
            killed: false,
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

    /// What the rule of a session demands for its mail.
    fn scanning_of(&self, session: SessionId) -> Option<&Scanning> {
        let rule = self.sessions.get(session)?.rule?;
        self.policy.command_acls.get(usize::from(rule)).map(|rule| &rule.session.download)
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
        let Some(Lease { job: Job::Mail(mail), poison, known, .. }) = self.leases.live.get(&id) else {
            return false;
        };
        let purpose = if *poison { Purpose::Poison } else { Purpose::Mail };
        let known = (!known.is_empty()).then(|| KnownAnswers { sha256: mail.sha256, answers: known.clone() });
        let (worker, session, mail) = (mail.worker, mail.session, mail.mail);
        let Ok((ours, theirs)) = ipc::pair() else {
            self.no_lease(worker, session, mail, NoLease::Busy);
            self.finish(id);
            return true;
        };
        let mut fds = vec![ours];
        fds.extend(connections);
        let granted = self.grant(id, scanner, time, grants, (purpose, known), fds);
        self.children.tell_worker(worker, ToWorker::Lease { session, mail, lease: id }, vec![theirs]);
        granted
    }

    fn grant(
        &mut self,
        id: LeaseId,
        scanner: ChildId,
        time: Duration,
        engines: Vec<EngineGrant>,
        (purpose, known): (Purpose, Option<KnownAnswers>),
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
        if !self.leases_ever() {
            for fault in faults.iter().take(64) {
                let fields = [("file", ipc::log::printable(fault, 512))];
                self.journal.note(Level::Warn, "signatures that cannot be used", &fields);
            }
        }
    }

    /// Whether any lease was given yet: faults of signature files are said by the first scanners only.
    const fn leases_ever(&self) -> bool {
        self.leases.next > 0
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

    /// A lease is over: its scanner is idle again, or has had its last mail.
    fn finish(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.live.remove(&id) else { return };
        self.release(lease.tenant, lease.followers);
        if let Some(scanner) = self.children.get_mut(lease.scanner) {
            scanner.lease = None;
            if scanner.lives == 0 {
                scanner.phase = Phase::Leaving;
                self.children.kill(lease.scanner);
            }
        }
        self.lend(lease.tenant);
    }

    /// The lease that these waited for is over: the first of them that finds no answer is the next that asks.
    fn release(&mut self, tenant: u16, followers: Vec<MailJob>) {
        for job in followers.into_iter().rev() {
            self.leases.queue.push_front(tenant, job.session, job);
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

    /// A session ended: what it queued goes; what is being scanned for it is finished, its answer finds nobody.
    pub(crate) fn forget_jobs(&mut self, tenant: u16, session: SessionId) {
        self.leases.queue.forget(tenant, session);
        for lease in self.leases.live.values_mut().filter(|lease| lease.tenant == tenant) {
            lease.followers.retain(|job| job.session != session);
        }
    }

    /// The service stops: nothing new is lent.
    pub(crate) fn refuse_all_leases(&mut self) {
        self.leases.stopping = true;
        self.leases.probes.clear();
    }
}
