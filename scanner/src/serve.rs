//! Serves the supervisor: policy and signatures first, then one lease after another. One mail at a time.
use crate::Error;
use crate::answer::{self, Worker};
use crate::antivirus::probe;
use crate::antivirus::signatures::{Collector, Signatures};
use crate::content::{Content, read_all};
use crate::engines::{self, Demanded};
use crate::job::{self, Job};
use crate::outside::trust::Authorities;
use ipc::ids::{EngineAnswer, LeaseId, SessionId, Sha256, SpamAnswer};
use ipc::log::{Level, Log, printable};
use ipc::supervisor_scanner::{EngineGrant, EngineState, FromScanner, KnownMail, Purpose, ToScanner};
use ipc::waiting::Waiting;
use ipc::wire::{MAX_SLICE, decode_slice};
use ipc::worker_scanner::{Context, ScanJob, Task};
use ipc::{LinkError, descriptors};
use nix::sys::stat::fstat;
use policy::engine::EngineKind;
use policy::names::{Direction, Language, Protocol};
use policy::slice::ScannerSlice;
use policy::status::{Status, StatusSet};
use policy::time::Clock;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// A signature file of more octets is refused.
const MAX_SIGNATURES: usize = 64 << 20;
/// Policies of which sessions may still have leases.
const KEPT_GENERATIONS: usize = 16;
/// Lines about signature files that cannot be used.
const MAX_FAULTS: usize = 32;

type Supervisor = Waiting<FromScanner, ToScanner>;

/// What the supervisor lends this scanner for, besides descriptors.
struct Lease {
    id: LeaseId,
    generation: u64,
    engines: Vec<EngineGrant>,
    purpose: Purpose,
    known: Option<KnownMail>,
}

struct Scanner {
    supervisor: Supervisor,
    log: Rc<Log>,
    policies: BTreeMap<u64, Rc<Generation>>,
    signatures: Rc<Signatures>,
    authorities: Rc<Authorities>,
}

/// Of one lease: what was scanned, what each engine said, what each spam filter said.
type Outcome = (Option<Sha256>, Vec<EngineAnswer>, Vec<SpamAnswer>);

const NOTHING: Outcome = (None, Vec::new(), Vec::new());

/// Until the supervisor is gone. Between leases nothing is under way that would have to go on meanwhile.
pub(crate) async fn serve(supervisor: Supervisor, log: Rc<Log>) -> Result<(), Error> {
    let mut collector = Some(Collector::default());
    let (signatures, _) = Collector::default().finish();
    let mut scanner = Scanner {
        supervisor,
        log,
        policies: BTreeMap::new(),
        signatures: Rc::new(signatures),
        authorities: Rc::default(),
    };
    let mut authorities = Authorities::default();
    loop {
        let (message, fds) = match scanner.supervisor.recv() {
            Ok(received) => received,
            Err(LinkError::Closed) => return Ok(()),
            Err(error) => return Err(Error::Link(error)),
        };
        let mut fds = fds.into_iter();
        match message {
            ToScanner::Policy { generation, len } => scanner.take_policy(generation, len, fds.next())?,
            ToScanner::Signatures { name } => {
                if let (Some(collector), Some(file)) = (collector.as_mut(), fds.next()) {
                    collect(collector, &name, &file, &scanner.log);
                }
            }
            ToScanner::Authorities { server_tls } => {
                if let Some(file) = fds.next() {
                    match read_file(&file) {
                        Ok(content) => authorities.add(server_tls, content),
                        Err(why) => scanner.log.note(Level::Error, None, "authorities cannot be read", why),
                    }
                }
            }
            ToScanner::Serve => {
                scanner.authorities = Rc::new(std::mem::take(&mut authorities));
                let mut collected = collector.take().unwrap_or_default();
                if scanner.policies.values().any(|policy| wants_test(&policy.slice)) {
                    collected.add_test();
                }
                let (signatures, mut faults) = collected.finish();
                faults.truncate(MAX_FAULTS);
                let faults = faults.iter().map(|fault| printable(fault, 500)).collect();
                let answer = FromScanner::Serving { signatures: signatures.count(), faults };
                scanner.signatures = Rc::new(signatures);
                scanner.supervisor.send(&answer, &[])?;
            }
            ToScanner::Lease { id, generation, deadline_ms, engines, purpose, known } => {
                let deadline = Duration::from_millis(deadline_ms.into());
                let waits = engines.iter().any(|grant| grant.state == EngineState::Up);
                let lease = scanner.lease(Lease { id, generation, engines, purpose, known }, fds);
                // Where nobody outside is asked, nothing is waited for: a timer would cost two system calls.
                let done = if waits { tokio::time::timeout(deadline, lease).await } else { Ok(lease.await) };
                // At the deadline the supervisor ends this process; until then nothing is answered.
                let Ok((sha256, answers, spam)) = done else { return Ok(()) };
                let done = FromScanner::Done { lease: id, sha256, answers, spam };
                scanner.supervisor.send(&done, &[])?;
            }
        }
    }
}

fn wants_test(slice: &ScannerSlice) -> bool {
    slice.engines.iter().any(|engine| match &engine.kind {
        EngineKind::Builtin { signatures } => signatures.iter().any(|signature| signature == "builtin:test"),
        EngineKind::Clamd(_) | EngineKind::Icap { .. } => false,
    })
}

fn collect(collector: &mut Collector, name: &str, file: &OwnedFd, log: &Log) {
    match read_file(file) {
        Ok(content) => collector.add_file(name, &content),
        Err(why) => {
            log.note(Level::Error, None, "a signature file cannot be read", &format!("{name}: {why}"))
        }
    }
}

fn read_file(file: &OwnedFd) -> Result<Vec<u8>, &'static str> {
    let size = fstat(file).ok().and_then(|stat| usize::try_from(stat.st_size).ok()).unwrap_or(usize::MAX);
    if size > MAX_SIGNATURES { Err("too large") } else { read_all(file.as_fd(), size) }
}

/// The rules of one generation, and the clock that their times are told by.
struct Generation {
    slice: Rc<ScannerSlice>,
    clock: Clock,
}

impl Scanner {
    fn take_policy(&mut self, generation: u64, len: u32, memfd: Option<OwnedFd>) -> Result<(), Error> {
        let wrong = |why: &str| Error::Io(std::io::Error::other(why.to_owned()));
        let memfd = memfd.ok_or_else(|| wrong("a policy without its descriptor"))?;
        let length = usize::try_from(len).unwrap_or(usize::MAX);
        if length > MAX_SLICE
            || !descriptors::is_sealed(&memfd)
            || !descriptors::has_length(&memfd, len.into())
        {
            return Err(wrong("a policy that is not sealed or of another size"));
        }
        let bytes = read_all(memfd.as_fd(), length).map_err(wrong)?;
        let slice: ScannerSlice = decode_slice(&bytes).map_err(|error| Error::Link(error.into()))?;
        let clock = slice.zone.clock();
        self.policies.insert(generation, Rc::new(Generation { slice: Rc::new(slice), clock }));
        while self.policies.len() > KEPT_GENERATIONS {
            self.policies.pop_first();
        }
        Ok(())
    }

    /// One lease.
    async fn lease(&self, lease: Lease, mut fds: impl Iterator<Item = OwnedFd>) -> Outcome {
        let Lease { id: lease, generation, engines, purpose, known } = lease;
        let worker = if purpose.has_worker() { fds.next() } else { None };
        let engines: Vec<Demanded> = engines
            .into_iter()
            .map(|grant| {
                let connection = if grant.state == EngineState::Up { fds.next() } else { None };
                Demanded { grant, connection }
            })
            .collect();
        let Some(policy) = self.policies.get(&generation).map(Rc::clone) else {
            self.log.note(
                Level::Error,
                None,
                "a lease under a policy that is not known",
                &generation.to_string(),
            );
            return NOTHING;
        };
        if purpose == Purpose::ProbeVersion {
            return (None, engines::versions(&policy.slice, engines, &self.authorities).await, Vec::new());
        }
        match (worker, probe::mail(purpose)) {
            (Some(worker), None) => self.for_worker(lease, &policy, engines, purpose, known, worker).await,
            (_, probe) => self.probe(lease, &policy, engines, probe.unwrap_or_default()).await,
        }
    }

    async fn for_worker(
        &self,
        lease: LeaseId,
        policy: &Generation,
        engines: Vec<Demanded>,
        purpose: Purpose,
        known: Option<KnownMail>,
        worker: OwnedFd,
    ) -> Outcome {
        let worker = Worker::new(worker);
        // A worker that closes early or lies costs its own mail; the lease ends here.
        let Ok((Task::Scan(job), octets, fds)) = worker.recv_with() else { return NOTHING };
        let content = match fds.into_iter().next() {
            Some(file) => Content::take(file, job.size),
            None => Ok(Content::from(octets)),
        };
        let content = match content {
            Ok(content) if job.lease == lease && content.sha256() == job.sha256 => content,
            Ok(_) => {
                return self.refuse(lease, &job, &worker, "the mail is not the one that was announced");
            }
            Err(why) => return self.refuse(lease, &job, &worker, why),
        };
        let begun = FromScanner::Begun { lease, sha256: job.sha256 };
        if self.supervisor.send(&begun, &[]).is_err() {
            return NOTHING;
        }
        let poison = purpose == Purpose::Poison;
        let suspect = (purpose == Purpose::Suspect).then_some(&self.supervisor);
        let Generation { slice, clock } = policy;
        let (signatures, authorities, known) = (&self.signatures, &self.authorities, known.as_ref());
        let work = Job { lease, scan: &job, slice, clock, signatures, authorities, poison, suspect, known };
        let judgement = job::judge(work, Rc::new(content), engines).await;
        let outcome = (Some(job.sha256), judgement.judged.answers.clone(), judgement.judged.spam.clone());
        answer::give(&worker, judgement);
        outcome
    }

    fn refuse(&self, lease: LeaseId, job: &ScanJob, worker: &Worker, why: &str) -> Outcome {
        self.log.note(Level::Error, Some(job.context.session), "a mail that cannot be scanned", why);
        answer::give(worker, job::unreadable(lease, job.sha256, why));
        NOTHING
    }

    /// A mail of our own, shown to the demanded engines; nobody else waits for the answer.
    async fn probe(
        &self,
        lease: LeaseId,
        policy: &Generation,
        mut engines: Vec<Demanded>,
        mail: Vec<u8>,
    ) -> Outcome {
        // The question is what the engine says, not what we know of its limits.
        engines.iter_mut().for_each(|demanded| demanded.grant.limit = None);
        let content = Rc::new(Content::from(mail));
        let sha256 = content.sha256();
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let context = Context {
            session: SessionId(0),
            protocol: Protocol::Pop3,
            direction: Direction::Download,
            client: nowhere,
            client_name: None,
            destination: nowhere,
            user: String::new(),
            language: Language::En,
            listener: 0,
            command_rule: 0,
            time: 0,
        };
        let size = content.bytes().len() as u64;
        let scan = ScanJob {
            lease,
            size,
            sha256,
            here: true,
            found: StatusSet::of(Status::Skipped),
            max_output: 0,
            map: false,
            context,
        };
        let Generation { slice, clock } = policy;
        let (signatures, authorities) = (&self.signatures, &self.authorities);
        let (poison, suspect, known) = (false, None, None);
        let work = Job { lease, scan: &scan, slice, clock, signatures, authorities, poison, suspect, known };
        let (answers, spam) = job::ask_all(&work, &content, engines).await;
        (Some(sha256), answers, spam)
    }
}
