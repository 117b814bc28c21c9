//! Lends a scanner and fresh engine connections to one mail (D11): who waits, whose turn it is, when a scanner is idle
//! again. A mail that engines were shown before, or that another lease is showing them now, is not shown to them again (D20).
//! Probes of engines (`probes.rs`) are leases without a worker.
//!
//! ```text
//! grant.rs     which engines are asked, their connections, the grant
//! outcome.rs   what the scanner says, its death, its deadline
//! ```
mod grant;
mod outcome;

use crate::answers::{Answers, Asked};
use crate::children::{ChildId, Phase};
use crate::event_loop::Supervisor;
use crate::poison::PoisonList;
use crate::probes::Probes;
use crate::queue::Queue;
pub(crate) use grant::EngineDialled;
use ipc::boot::Role;
use ipc::ids::{Checker, EngineAnswer, LeaseId, MailId, SessionId, Sha256};
use ipc::supervisor_scanner::Purpose;
use ipc::supervisor_worker::{NoLease, ToWorker};
use policy::model::Scanning;
use policy::names::Direction;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Mails that may wait in all, and of one session.
const QUEUE: usize = 10_000;
const QUEUE_OF_SESSION: usize = 64;
/// Attempts to scan one mail.
const ATTEMPTS: u8 = 2;
/// Mails that wait for one lease's answers; further ones are scanned beside it.
const FOLLOWERS: usize = 1000;
/// How often one mail waits for another lease: where those fail it goes its own way.
const MOST_WAITS: u8 = 2;

/// A mail that waits for a scanner.
#[derive(Clone, Debug)]
pub(crate) struct MailJob {
    pub(crate) session: SessionId,
    mail: MailId,
    worker: ChildId,
    /// Which way it travels: either has engines of its own.
    direction: Direction,
    pub(crate) sha256: Sha256,
    /// Octets, as its worker says.
    size: u64,
    /// It was served changed before, under the name that it has.
    pub(crate) changed: bool,
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
    /// Whether the mail has killed scanners: then no answer is about its content, or it is taken apart alone first.
    purpose: Purpose,
    /// The engines and spam filters that were connected.
    connected: Vec<Checker>,
    /// The scanner verified the mail and parses it.
    begun: bool,
    /// Some engine has yet to answer: if the scanner dies, that may be the engine's doing.
    outstanding: bool,
    /// Processor time of the scanner before this mail, as far as it was looked at.
    processor: Option<Duration>,
    /// The scanner was killed for it.
    overdrawn: Option<Overdrawn>,
}

/// What a mail took too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overdrawn {
    Time,
    Processor,
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
    /// How many signatures scanners have last said they know, and what they cannot use.
    signatures: (u32, Vec<String>),
    pub(crate) stopping: bool,
}

impl Leases {
    pub(crate) fn new(answers: Answers, poison: PoisonList) -> Self {
        Self {
            queue: Queue::new(QUEUE, QUEUE_OF_SESSION),
            probes: Probes::default(),
            answers,
            live: HashMap::new(),
            poison,
            next: 0,
            signatures: (0, Vec::new()),
            stopping: false,
        }
    }
}

impl Supervisor {
    /// A worker has a mail to be scanned.
    pub(crate) fn need_scan(
        &mut self,
        worker: ChildId,
        (session, mail): (SessionId, MailId),
        direction: Direction,
        (sha256, size): (Sha256, u64),
        changed: bool,
    ) {
        let Some(tenant) = self.sessions.get(session).map(|found| found.tenant) else { return };
        if self.leases.stopping {
            self.no_lease(worker, session, mail, NoLease::Stopping);
            return;
        }
        let job = MailJob { session, mail, worker, direction, sha256, size, changed, lost: 0, waited: 0 };
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
        let demanded = self.scanning_of(&job).map(|scanning| scanning.engines.clone()).unwrap_or_default();
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

    /// What the rule of a session demands for this mail.
    fn scanning_of(&self, job: &MailJob) -> Option<&Scanning> {
        let rule = self.sessions.get(job.session)?.rule?;
        self.policy.command_acls.get(usize::from(rule)).map(|rule| rule.session.scanning(job.direction))
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
