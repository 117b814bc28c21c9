//! Lends a scanner and fresh engine connections to one mail (D11): the queue, the deadline, the retry, the poison list,
//! and the probes of engines, which are leases without a worker.
use crate::children::{ChildId, Phase};
use crate::engines::{Change, Health, Part};
use crate::event_loop::{Event, Supervisor};
use crate::poison::PoisonList;
use crate::queue::Queue;
use ipc::boot::Role;
use ipc::ids::{EngineAnswer, LeaseId, MailId, SessionId, Sha256};
use ipc::log::Level;
use ipc::supervisor_scanner::{EngineGrant, EngineState, FromScanner, Purpose, ToScanner};
use ipc::supervisor_worker::{NoLease, ToWorker};
use policy::status::Status;
use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Mails that may wait in all, and of one session.
const QUEUE: usize = 10_000;
const QUEUE_OF_SESSION: usize = 64;
/// What a scanner has beyond the longest engine timeout: to parse, to judge, to write.
const GRACE: Duration = Duration::from_secs(15);
/// A probe waits this long behind mails and then goes first: under endless load an engine must be able to come back.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// Attempts to scan one mail.
const ATTEMPTS: u8 = 2;

/// A mail that waits for a scanner.
#[derive(Clone, Debug)]
pub(crate) struct MailJob {
    session: SessionId,
    mail: MailId,
    worker: ChildId,
    sha256: Sha256,
    /// Scanners that were lost with it.
    lost: u8,
}

/// What a lease is for.
#[derive(Debug)]
enum Job {
    Mail(MailJob),
    Probe { engine: u16, purpose: Purpose },
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
    /// The engines that were connected.
    connected: Vec<u16>,
    /// The scanner verified the mail and parses it.
    begun: bool,
    /// The deadline passed and the scanner was killed for it.
    killed: bool,
}

/// One engine of a lease after dialling.
#[derive(Debug)]
pub(crate) struct EngineDialled {
    /// Which.
    pub(crate) engine: u16,
    /// Connected, or the error number; or its state where it was not dialled.
    pub(crate) outcome: Result<OwnedFd, EngineState>,
}

#[derive(Debug)]
struct WaitingProbe {
    engine: u16,
    purpose: Purpose,
    since: Instant,
}

/// Every lease and what waits for one.
#[derive(Debug)]
pub(crate) struct Leases {
    queue: Queue<MailJob>,
    probes: HashMap<u16, VecDeque<WaitingProbe>>,
    live: HashMap<LeaseId, Lease>,
    poison: PoisonList,
    next: u64,
    stopping: bool,
}

impl Leases {
    pub(crate) fn new() -> Self {
        Self {
            queue: Queue::new(QUEUE, QUEUE_OF_SESSION),
            probes: HashMap::new(),
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
        let job = MailJob { session, mail, worker, sha256, lost: 0 };
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
    fn lend(&mut self, tenant: u16) {
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
        let probes = self.leases.probes.entry(tenant).or_default();
        let impatient = probes.front().is_some_and(|probe| {
            probe.purpose == Purpose::ProbeTestVirus && probe.since.elapsed() >= PROBE_PATIENCE
        });
        if !impatient && let Some(job) = self.leases.queue.next(tenant) {
            return Some(Job::Mail(job));
        }
        let probe = probes.pop_front()?;
        Some(Job::Probe { engine: probe.engine, purpose: probe.purpose })
    }

    /// Reserves the scanner and dials the engines; the grant follows when they have answered.
    fn begin(&mut self, tenant: u16, scanner: ChildId, job: Job) {
        self.leases.next += 1;
        let id = LeaseId(self.leases.next);
        let parts: Vec<(u16, Part)> = match &job {
            Job::Mail(mail) => {
                let engines = self.engines_of(mail.session).into_iter();
                engines.map(|engine| (engine, self.engines.part(tenant, engine))).collect()
            }
            Job::Probe { engine, .. } => vec![(*engine, Part::Dial)],
        };
        let lease = Lease {
            tenant,
            generation: self.generation,
            scanner,
            job,
            deadline: None,
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
        for (engine, part) in parts {
            let outcome = match (part, policy.engines.get(usize::from(engine))) {
                (Part::State(state), _) => Some(Err(state)),
                (Part::Dial, Some(settings)) => {
                    let outcome = crate::engines::dial_at_once(settings);
                    if outcome.is_none() {
                        far.push((engine, settings.clone()));
                    }
                    outcome.map(|outcome| outcome.map_err(down))
                }
                (Part::Dial, None) => Some(Err(EngineState::Unproven)),
            };
            engines.extend(outcome.map(|outcome| EngineDialled { engine, outcome }));
        }
        if far.is_empty() {
            self.engines_dialled(id, engines);
            return;
        }
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            let dials: Vec<_> = far
                .into_iter()
                .map(|(engine, settings)| {
                    tokio::task::spawn_local(async move {
                        let outcome = crate::engines::dial(&settings).await.map_err(down);
                        EngineDialled { engine, outcome }
                    })
                })
                .collect();
            for dial in dials {
                engines.extend(dial.await);
            }
            let _ = events.send(Event::EnginesDialled { lease: id, engines }).await;
        });
    }

    /// The engines that the rule of a session demands.
    fn engines_of(&self, session: SessionId) -> Vec<u16> {
        let rule = self.sessions.get(session).and_then(|session| session.rule);
        let rule = rule.and_then(|rule| self.policy.command_acls.get(usize::from(rule)));
        rule.map(|rule| rule.session.download.engines.clone()).unwrap_or_default()
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
        for EngineDialled { engine, outcome } in engines {
            if let Some(settings) = policy.engines.get(usize::from(engine)) {
                longest = longest.max(settings.timeout);
            }
            let state = match outcome {
                Ok(connection) => {
                    connections.push(connection);
                    lease.connected.push(engine);
                    EngineState::Up
                }
                Err(state) => {
                    if let EngineState::Down { errno } = state {
                        failures.push((engine, errno));
                    }
                    state
                }
            };
            // A probe shows mails of every size.
            let limit =
                if matches!(lease.job, Job::Mail(_)) { self.engines.limit(tenant, engine) } else { None };
            grants.push(EngineGrant { engine, state, limit });
        }
        let time = longest + GRACE;
        lease.deadline = Some(Instant::now() + time);
        let probe = match &lease.job {
            Job::Mail(_) => None,
            Job::Probe { engine, purpose } => Some((*engine, *purpose)),
        };
        for (engine, errno) in &failures {
            let change = self.engines.dial_failed(tenant, *engine, *errno, probe.is_some());
            self.say(tenant, *engine, change);
        }
        let granted = match probe {
            Some((_, _)) if !failures.is_empty() => {
                self.finish(id);
                return;
            }
            Some((_, purpose)) => self.grant(id, scanner, time, grants, purpose, connections),
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
        let Some(Lease { tenant, job: Job::Mail(mail), .. }) = self.leases.live.get(&id) else {
            return false;
        };
        let poison = self.leases.poison.contains(*tenant, mail.sha256);
        let purpose = if poison { Purpose::Poison } else { Purpose::Mail };
        let (worker, session, mail) = (mail.worker, mail.session, mail.mail);
        let Ok((ours, theirs)) = ipc::pair() else {
            self.no_lease(worker, session, mail, NoLease::Busy);
            self.finish(id);
            return true;
        };
        let mut fds = vec![ours];
        fds.extend(connections);
        let granted = self.grant(id, scanner, time, grants, purpose, fds);
        self.children.tell_worker(worker, ToWorker::Lease { session, mail, lease: id }, vec![theirs]);
        granted
    }

    fn grant(
        &mut self,
        id: LeaseId,
        scanner: ChildId,
        time: Duration,
        engines: Vec<EngineGrant>,
        purpose: Purpose,
        fds: Vec<OwnedFd>,
    ) -> bool {
        let deadline_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let generation = self.generation;
        self.children.tell_scanner(
            scanner,
            ToScanner::Lease { id, generation, deadline_ms, engines, purpose },
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
            FromScanner::Done { lease: id, sha256: _, answers } => {
                if lease != Some(id) {
                    self.condemn(scanner, "ends a lease that is not its own");
                    return;
                }
                self.done(tenant, id, &answers);
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

    fn done(&mut self, tenant: u16, id: LeaseId, answers: &[EngineAnswer]) {
        let policy = Rc::clone(&self.policy);
        let Some(lease) = self.leases.live.get(&id) else { return };
        if lease.generation != self.generation {
            return;
        }
        let answer_of = |engine: u16| {
            let name = policy.engines.get(usize::from(engine)).map(|engine| engine.name.as_str());
            answers.iter().find(|answer| Some(answer.engine.as_str()) == name)
        };
        match &lease.job {
            Job::Probe { engine, purpose } => {
                let (engine, purpose) = (*engine, *purpose);
                let statuses = answer_of(engine).map(|answer| answer.statuses);
                let change = self.engines.answered(tenant, engine, purpose, statuses);
                self.say(tenant, engine, change);
                self.start_probes_of_proven(change);
            }
            Job::Mail(_) => {
                for engine in lease.connected.clone() {
                    if answer_of(engine).is_some_and(|answer| answer.statuses.contains(Status::Error)) {
                        self.engines.suspect(tenant, engine);
                    }
                }
            }
        }
    }

    /// A lease is over: its scanner is idle again, or has had its last mail.
    fn finish(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.live.remove(&id) else { return };
        if let Some(scanner) = self.children.get_mut(lease.scanner) {
            scanner.lease = None;
            if scanner.lives == 0 {
                scanner.phase = Phase::Leaving;
                self.children.kill(lease.scanner);
            }
        }
        self.lend(lease.tenant);
    }

    /// A scanner died: its mail gets one more, unless that would kill it again.
    pub(crate) fn scanner_lost(&mut self, scanner: ChildId, lease: Option<LeaseId>) {
        let Some(id) = lease else { return };
        let Some(lease) = self.leases.live.remove(&id).filter(|lease| lease.scanner == scanner) else {
            return;
        };
        let tenant = lease.tenant;
        match lease.job {
            Job::Probe { engine, .. } if lease.generation == self.generation => {
                self.engines.abandoned(tenant, engine);
            }
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
    }

    /// The policy was reloaded: probes that wait are of the former one's engines.
    pub(crate) fn forget_probes(&mut self) {
        self.leases.probes.clear();
    }

    /// The service stops: nothing new is lent.
    pub(crate) fn refuse_all_leases(&mut self) {
        self.leases.stopping = true;
        self.leases.probes.clear();
    }

    /// Dials every engine that is to be probed; those that answer are queued behind the mails.
    pub(crate) fn start_probes(&mut self) {
        if self.leases.stopping {
            return;
        }
        let generation = self.generation;
        for (tenant, engine, purpose) in self.engines.due() {
            let (policy, events) = (Rc::clone(&self.policy), self.events.clone());
            tokio::task::spawn_local(async move {
                let outcome = match policy.engines.get(usize::from(engine)) {
                    Some(settings) => crate::engines::dial(settings).await.map(drop),
                    None => Err(nix::errno::Errno::ENOENT as i32),
                };
                let _ =
                    events.send(Event::ProbeDialled { generation, tenant, engine, purpose, outcome }).await;
            });
        }
    }

    /// After a proof the series of sizes begins at once; everything else waits for the next tick.
    fn start_probes_of_proven(&mut self, change: Option<Change>) {
        match change {
            Some(Change::Health(Health::Proven)) => self.start_probes(),
            Some(Change::Health(_) | Change::Limit(_) | Change::Encrypted(_)) | None => {}
        }
    }

    /// An engine that shall be probed was dialled.
    pub(crate) fn probe_dialled(
        &mut self,
        tenant: u16,
        engine: u16,
        purpose: Purpose,
        outcome: Result<(), i32>,
    ) {
        match outcome {
            Ok(()) => {
                let probe = WaitingProbe { engine, purpose, since: Instant::now() };
                self.leases.probes.entry(tenant).or_default().push_back(probe);
                self.lend(tenant);
            }
            Err(errno) => {
                let change = self.engines.dial_failed(tenant, engine, errno, true);
                self.say(tenant, engine, change);
            }
        }
    }

    /// Logs what became of an engine.
    fn say(&mut self, tenant: u16, engine: u16, change: Option<Change>) {
        let Some(change) = change else { return };
        let name = self.policy.engines.get(usize::from(engine)).map_or("", |engine| &engine.name);
        let (level, text, value) = match change {
            Change::Health(Health::Proven) => {
                (Level::Info, "engine answers and finds the test virus", String::new())
            }
            Change::Health(Health::Down { errno }) => (
                Level::Warn,
                "engine is down: mails that need it are deferred",
                nix::errno::Errno::from_raw(errno).desc().to_owned(),
            ),
            Change::Health(Health::Blind) => (
                Level::Warn,
                "engine does not find the test virus: mails that need it are deferred",
                String::new(),
            ),
            Change::Health(Health::Failing) => (
                Level::Warn,
                "engine fails on the test virus: mails that need it are deferred",
                String::new(),
            ),
            Change::Health(Health::Unproven) => {
                (Level::Info, "engine has yet to find the test virus", String::new())
            }
            Change::Limit(octets) => (
                Level::Info,
                "engine finds the test virus in mails up to this many octets",
                octets.to_string(),
            ),
            Change::Encrypted(true) => (Level::Info, "engine reports encrypted archives", String::new()),
            Change::Encrypted(false) => (
                Level::Info,
                "engine does not report encrypted archives: the scanner's own check decides",
                String::new(),
            ),
        };
        let tenant = self.policy.tenants.get(usize::from(tenant)).cloned().unwrap_or_default();
        let mut fields = vec![("engine", name.to_owned()), ("tenant", tenant)];
        if !value.is_empty() {
            fields.push(("detail", value));
        }
        self.journal.note(level, text, &fields);
    }
}
