//! One mail, judged by a real scanner in its sandbox, without a service: what `mailward test --mail` shows. The caller
//! stands where a worker would.
use crate::allow;
use crate::allowed::Allowed;
use crate::boot;
use crate::children::{Children, FromChild, GroupPlan};
use crate::daemons;
use crate::event_loop::Event;
use crate::identity::Identities;
use crate::slices::{Slices, sealed_file};
use crate::{Error, clock, confinement};
use ipc::Link;
use ipc::boot::Role;
use ipc::ids::{Checker, LeaseId, Sha256};
use ipc::supervisor_scanner::{EngineGrant, EngineState, FromScanner, KnownMail, Purpose, ToScanner};
use ipc::worker_scanner::{Answer, Context, Judged, ScanJob, Task, max_output};
use nix::sys::memfd::{MFdFlags, memfd_create};
use policy::model::{Policy, Scanning};
use policy::status::{Status, StatusSet};
use sha2::{Digest, Sha256 as Hasher};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const GENERATION: u64 = 1;
const LEASE: LeaseId = LeaseId(1);
/// For the start of the scanner, which may compile many rules.
const START: Duration = Duration::from_secs(60);
/// Beyond the engines' own time.
const GRACE: Duration = Duration::from_secs(15);

/// Has a mail judged as one that a session of `tenant` with these facts retrieves, by the engines and rules of the policy.
///
/// # Errors
/// When the scanner cannot be started or does not answer.
pub fn examine(mut policy: Policy, tenant: u16, context: Context, mail: &[u8]) -> Result<Judged, Error> {
    clock::settle_zone(&mut policy);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(format!("cannot start: {error}")))?;
    tokio::task::LocalSet::new().block_on(&runtime, examined(policy, tenant, context, mail))
}

async fn examined(policy: Policy, tenant: u16, context: Context, mail: &[u8]) -> Result<Judged, Error> {
    let rule = policy.command_acls.get(usize::from(context.command_rule));
    let scanning = rule.map(|rule| rule.session.scanning(context.direction).clone());
    let scanning = scanning.ok_or_else(|| Error::new("there is no such rule"))?;
    let slices = Slices::new(&policy).map_err(Error::new)?;
    let (events, mut inbox) = mpsc::channel(64);
    let mut children = started(&policy, tenant, events)?;
    let asked = async {
        let scanner = timeout(START, serving(&mut children, &slices, tenant, &mut inbox))
            .await
            .map_err(|_| Error::new("the scanner does not start"))??;
        let (grants, mut fds, time) = engines_of(&policy, &scanning).await;
        let (ours, theirs) = ipc::pair().map_err(|error| Error::new(format!("a pair: {error}")))?;
        fds.insert(0, theirs);
        let deadline_ms = u32::try_from((time + GRACE).as_millis()).unwrap_or(u32::MAX);
        let lease = ToScanner::Lease {
            id: LEASE,
            generation: GENERATION,
            deadline_ms,
            engines: grants,
            purpose: Purpose::Mail,
            known: known(&policy, tenant, mail),
        };
        if !children.tell_scanner(scanner, lease, fds) {
            return Err(Error::new("the scanner takes no mail"));
        }
        timeout(time + GRACE, ask(ours, context, mail, &scanning))
            .await
            .map_err(|_| Error::new("the scanner does not answer"))?
    };
    let judged = asked.await;
    children.kill_all();
    while !children.all_gone() {
        children.reap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    judged
}

/// What the operator allowed in this mail. A list that this user cannot read allows nothing here.
fn known(policy: &Policy, tenant: u16, mail: &[u8]) -> Option<KnownMail> {
    let (tenant, now) = (policy.tenants.get(usize::from(tenant))?, allow::now());
    let mut lists = Allowed::new(&policy.service.state_dir);
    lists.list(tenant, now).ok()?;
    let sha256 = Sha256(Hasher::digest(mail).into());
    Some(KnownMail {
        sha256,
        answers: Vec::new(),
        allowed: lists.viruses(tenant, sha256, now),
        formerly: Vec::new(),
    })
}

/// One scanner of the tenant, on its way.
fn started(policy: &Policy, tenant: u16, events: mpsc::Sender<Event>) -> Result<Children, Error> {
    let root = nix::unistd::geteuid().is_root();
    let descriptors = confinement::raise_descriptor_limit()
        .map_err(|error| Error::new(format!("limit of descriptors: {error}")))?;
    let tenants = u16::try_from(policy.tenants.len()).map_err(|_| Error::new("too many tenants"))?;
    let identities =
        if root { Some(Identities::allocate(&policy.service, tenants).map_err(Error::new)?) } else { None };
    let require_all = policy.service.require_full_sandbox.unwrap_or(root);
    let mut children =
        Children::new(events, policy.tenants.clone(), policy.service.state_dir.clone(), require_all);
    let plans = boot::plan(policy, identities.as_ref(), descriptors);
    let scanners = plans.into_iter().filter(|plan| plan.role == Role::Scanner && plan.tenant == tenant);
    for plan in scanners {
        children
            .add_group(GroupPlan { wanted: 1, ..plan })
            .map_err(|error| Error::new(format!("the scanner's walls cannot be built: {error}")))?;
    }
    match children.fill().into_iter().next() {
        Some((_, error)) => Err(Error::new(format!("the scanner cannot be started: {error}"))),
        None => Ok(children),
    }
}

/// Waits until the scanner stands behind its walls and knows its rules and signatures.
async fn serving(
    children: &mut Children,
    slices: &Slices,
    tenant: u16,
    inbox: &mut mpsc::Receiver<Event>,
) -> Result<crate::children::ChildId, Error> {
    while let Some(event) = inbox.recv().await {
        let Event::Child { id, what } = event else { continue };
        match what {
            FromChild::Ready(ready) => {
                children.check_ready(id, &ready).map_err(Error::new)?;
                if !slices.prepare_scanner(children, id, tenant, GENERATION) {
                    return Err(Error::new("the scanner cannot be given its policy"));
                }
            }
            FromChild::Scanner(FromScanner::Serving { .. }) => return Ok(id),
            FromChild::Lost(error) => return Err(Error::new(format!("the scanner is lost: {error}"))),
            FromChild::Worker(_)
            | FromChild::Scanner(_)
            | FromChild::Lookup(_)
            | FromChild::Keyholder(_)
            | FromChild::Writer(_)
            | FromChild::Log(_) => {}
        }
    }
    Err(Error::new("the scanner is gone"))
}

/// The demanded engines and spam filters, connected where they can be, and the longest that one may take.
async fn engines_of(policy: &Policy, scanning: &Scanning) -> (Vec<EngineGrant>, Vec<OwnedFd>, Duration) {
    let (mut grants, mut connections, mut longest) = (Vec::new(), Vec::new(), Duration::ZERO);
    let engines = scanning.engines.iter().map(|index| Checker::Engine(*index));
    let filters = scanning.spam_filters.iter().map(|index| Checker::Filter(*index));
    for checker in engines.chain(filters) {
        longest = longest.max(daemons::timeout_of(policy, checker));
        let state = match daemons::daemon_of(policy, checker) {
            None => EngineState::Inside,
            Some(daemon) => match daemons::dial(daemon).await {
                Ok(connection) => {
                    connections.push(connection);
                    EngineState::Up
                }
                Err(errno) => EngineState::Down { errno },
            },
        };
        grants.push(EngineGrant { checker, state, limit: None });
    }
    (grants, connections, longest)
}

/// The worker's part: the mail goes, the judgement comes.
async fn ask(pair: OwnedFd, context: Context, mail: &[u8], scanning: &Scanning) -> Result<Judged, Error> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Error::new(format!("{what}: {error}"));
    let link: Link<Task, Answer> = Link::new(pair).map_err(|error| failed("a link", &error))?;
    // As a spool would: of a mail that is too large only the beginning is there.
    let most = usize::try_from(scanning.max_mail).unwrap_or(usize::MAX);
    let spooled = mail.get(..most).unwrap_or(mail);
    let long = spooled.split(|octet| *octet == b'\n').any(|line| line.len() >= scanning.mail_line_len);
    let over = long || spooled.len() < mail.len();
    let found = if over { StatusSet::of(Status::Limit) } else { StatusSet::EMPTY };
    let file = sealed_file("mail", spooled).map_err(|error| failed("a memory file", &error))?;
    let size = spooled.len() as u64;
    let job = ScanJob {
        lease: LEASE,
        size,
        sha256: Sha256(Hasher::digest(spooled).into()),
        here: false,
        found,
        max_output: max_output(size),
        map: false,
        context,
    };
    let gone = |error| failed("the scanner", &error);
    link.send(&Task::Scan(Box::new(job)), &[file.as_fd()]).await.map_err(gone)?;
    loop {
        match link.recv().await.map_err(gone)?.0 {
            Answer::Judged(judged) => return Ok(*judged),
            Answer::WantOutput => {
                let output = memfd_create("output", MFdFlags::MFD_CLOEXEC);
                let output = output.map_err(|error| failed("a memory file", &error))?;
                link.send(&Task::Output, &[output.as_fd()]).await.map_err(gone)?;
            }
        }
    }
}
