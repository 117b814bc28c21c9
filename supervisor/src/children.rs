//! Starts roles, checks what they report, replaces the dead with back-off. Whatever a child sends is hostile input; the
//! penalty for breaking the contract is the child's life, never the supervisor's.
use crate::backoff::Backoff;
use crate::event_loop::Event;
use crate::post::{Carrier, Post, post};
use ipc::boot::{Boot, Ready, Role, build};
use ipc::ids::LeaseId;
use ipc::link::{Link, LinkError};
use ipc::log;
use ipc::supervisor_keyholder::{FromKeyholder, ToKeyholder};
use ipc::supervisor_lookup::{FromLookup, ToLookup};
use ipc::supervisor_scanner::{FromScanner, ToScanner};
use ipc::supervisor_worker::{FromWorker, ToWorker};
use ipc::supervisor_writer::{FromWriter, ToWriter};
use ipc::wire::Message;
use sandbox::{Jail, Limits, Namespace, Spec};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long a child may take from its start to `Ready`. Far beyond what any takes: the machine may be busy.
const BOOT: Duration = Duration::from_secs(20);

/// One process; unique for the life of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChildId(pub(crate) u64);

/// What a child did.
#[derive(Debug)]
pub(crate) enum FromChild {
    /// It confined itself.
    Ready(Box<Ready>),
    /// A worker says.
    Worker(FromWorker),
    /// A scanner says.
    Scanner(FromScanner),
    /// Lookup says.
    Lookup(FromLookup),
    /// The keyholder says.
    Keyholder(FromKeyholder),
    /// A writer says.
    Writer(FromWriter),
    /// Something for the log.
    Log(Box<log::Event>),
    /// Its link ended, or what came over it broke the contract.
    Lost(LinkError),
}

/// The way to a child.
#[derive(Debug)]
enum Outbox {
    Worker(Post<ToWorker, FromWorker>),
    Scanner(Post<ToScanner, FromScanner>),
    Lookup(Post<ToLookup, FromLookup>),
    Keyholder(Post<ToKeyholder, FromKeyholder>),
    Writer(Post<ToWriter, FromWriter>),
}

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Started, not confined yet.
    Booting,
    /// Confined and checked; a scanner still compiles its signatures, the keyholder reads its keys, a writer looks
    /// what it has.
    Preparing,
    /// At work.
    Serving,
    /// Takes nothing new; its end is expected.
    Leaving,
}

/// A living child.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) role: Role,
    pub(crate) tenant: u16,
    pub(crate) pid: u32,
    pub(crate) phase: Phase,
    /// Sessions of a worker that live.
    pub(crate) sessions: usize,
    /// What a scanner does.
    pub(crate) lease: Option<LeaseId>,
    /// Mails that a scanner may still take.
    pub(crate) lives: u32,
    group: usize,
    born: Instant,
    process: sandbox::Child,
    outbox: Outbox,
}

/// The children that one role of one tenant shall have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupPlan {
    pub(crate) role: Role,
    pub(crate) tenant: u16,
    /// The user that they become; `None` without root.
    pub(crate) id: Option<u32>,
    /// How many there shall be.
    pub(crate) wanted: usize,
    /// Mails that a scanner takes before it is replaced.
    pub(crate) lives: u32,
    pub(crate) limits: Limits,
}

/// The children of one role of one tenant.
#[derive(Debug)]
struct Group {
    plan: GroupPlan,
    backoff: Backoff,
    jail: Option<Jail>,
    /// A refill is already arranged for later.
    paused: bool,
}

/// A child that is gone from the table and not yet reaped.
#[derive(Debug)]
struct Dying {
    role: Role,
    tenant: u16,
    process: sandbox::Child,
    expected: bool,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) role: Role,
    pub(crate) tenant: u16,
    pub(crate) pid: u32,
    /// `exit status 1`, `killed by SIGSYS`.
    pub(crate) how: String,
    /// Nothing that anybody has to look at.
    pub(crate) expected: bool,
}

/// What follows from the loss of a child.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) role: Role,
    pub(crate) pid: u32,
    pub(crate) lease: Option<LeaseId>,
    /// It never got as far as `Ready`.
    pub(crate) booting: bool,
    /// Its group has to wait this long before the replacement.
    pub(crate) wait: Duration,
    /// A crash loop has just been noticed.
    pub(crate) alarm: bool,
}

/// Every child.
#[derive(Debug)]
pub(crate) struct Children {
    groups: Vec<Group>,
    living: HashMap<ChildId, Child>,
    dying: Vec<Dying>,
    next: u64,
    require_all: bool,
    events: mpsc::Sender<Event>,
    tenants: Vec<String>,
    /// Where writers have their folders.
    state_dir: PathBuf,
}

impl Children {
    pub(crate) fn new(
        events: mpsc::Sender<Event>,
        tenants: Vec<String>,
        state_dir: PathBuf,
        require_all: bool,
    ) -> Self {
        Self {
            groups: Vec::new(),
            living: HashMap::new(),
            dying: Vec::new(),
            next: 1,
            require_all,
            events,
            tenants,
            state_dir,
        }
    }

    /// Adds a role of a tenant; as root its namespaces and its empty root are made here, once (D25).
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub(crate) fn add_group(&mut self, plan: GroupPlan) -> Result<(), sandbox::Error> {
        let jail = match plan.id {
            Some(_) => Some(Jail::make(&namespaces(plan.role))?),
            None => None,
        };
        self.groups.push(Group { plan, backoff: Backoff::default(), jail, paused: false });
        Ok(())
    }

    /// The roles that another policy needs: groups that are missing are added, the others get their new plan, and what no
    /// plan names is wanted no more.
    ///
    /// # Errors
    /// A sentence; nothing was changed.
    pub(crate) fn replan(&mut self, plans: &[GroupPlan]) -> Result<(), String> {
        for plan in plans {
            if self.group(plan).is_none() {
                let role = plan.role;
                self.add_group(GroupPlan { wanted: 0, ..*plan })
                    .map_err(|error| format!("the walls of {role} cannot be built: {error}"))?;
            }
        }
        for group in &mut self.groups {
            let same = |plan: &&GroupPlan| plan.role == group.plan.role && plan.tenant == group.plan.tenant;
            match plans.iter().find(same) {
                Some(plan) => group.plan = *plan,
                None => group.plan.wanted = 0,
            }
        }
        Ok(())
    }

    fn group(&self, plan: &GroupPlan) -> Option<&Group> {
        self.groups.iter().find(|group| group.plan.role == plan.role && group.plan.tenant == plan.tenant)
    }

    /// The octets that a file of a running worker may have, by the limit that its process was given; `None`: it has none.
    pub(crate) fn file_limit(&self, plan: &GroupPlan) -> Option<u64> {
        self.group(plan).and_then(|group| group.plan.limits.file_size)
    }

    pub(crate) fn plans(&self) -> impl Iterator<Item = &GroupPlan> {
        self.groups.iter().map(|group| &group.plan)
    }

    pub(crate) fn plan_mut(&mut self, role: Role, tenant: u16) -> Option<&mut GroupPlan> {
        self.groups
            .iter_mut()
            .map(|group| &mut group.plan)
            .find(|plan| plan.role == role && plan.tenant == tenant)
    }

    pub(crate) fn get(&self, child: ChildId) -> Option<&Child> {
        self.living.get(&child)
    }

    pub(crate) fn get_mut(&mut self, child: ChildId) -> Option<&mut Child> {
        self.living.get_mut(&child)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChildId, &Child)> {
        self.living.iter().map(|(id, child)| (*id, child))
    }

    /// The children of a role of a tenant that are at work.
    pub(crate) fn serving(&self, role: Role, tenant: u16) -> impl Iterator<Item = (ChildId, &Child)> {
        self.iter().filter(move |(_, child)| {
            child.role == role && child.tenant == tenant && child.phase == Phase::Serving
        })
    }

    /// Starts what is missing in every group that need not wait. Returns what could not be started, to be said.
    pub(crate) fn fill(&mut self) -> Vec<(Role, io::Error)> {
        let mut failures = Vec::new();
        for index in 0..self.groups.len() {
            let Some(group) = self.groups.get(index).filter(|group| !group.paused) else { continue };
            let (role, wanted) = (group.plan.role, group.plan.wanted);
            let there =
                self.living.values().filter(|child| child.group == index && child.stays(role)).count();
            for _ in there..wanted {
                if let Err(error) = self.start(index) {
                    failures.push((role, error));
                    self.pause(index, Duration::from_secs(1));
                    break;
                }
            }
        }
        failures
    }

    /// The pause of a group is over.
    pub(crate) fn resume(&mut self, group: usize) {
        if let Some(group) = self.groups.get_mut(group) {
            group.paused = false;
        }
    }

    fn pause(&mut self, index: usize, wait: Duration) {
        if let Some(group) = self.groups.get_mut(index)
            && !group.paused
        {
            group.paused = true;
            let events = self.events.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(wait).await;
                let _ = events.send(Event::Refill { group: index }).await;
            });
        }
    }

    fn start(&mut self, index: usize) -> io::Result<()> {
        let Some(group) = self.groups.get(index) else { return Ok(()) };
        let GroupPlan { role, tenant, id: user, lives, limits, .. } = group.plan;
        let (ours, theirs) = ipc::pair()?;
        let (our_log, their_log) = ipc::pair()?;
        let tenant_name = self.tenants.get(usize::from(tenant)).cloned().unwrap_or_default();
        let title = match role {
            Role::Lookup | Role::Keyholder => format!("mailward {role}"),
            Role::Worker | Role::Scanner | Role::Writer => format!("mailward {role} {tenant_name}"),
        };
        let join = group.jail.as_ref().map(Jail::kinds).unwrap_or_default();
        let mut descriptors = group.jail.as_ref().map(Jail::descriptors).unwrap_or_default();
        let directory = match role {
            Role::Writer => Some(crate::quarantine::open_folder(&self.state_dir, &tenant_name, user)?),
            Role::Worker | Role::Scanner | Role::Lookup | Role::Keyholder => None,
        };
        descriptors.extend(directory.as_ref().map(AsFd::as_fd));
        let boot = Boot {
            build: build(),
            role,
            tenant: tenant_name,
            spec: Spec {
                id: user,
                make: if group.jail.is_some() { Vec::new() } else { own_namespaces(role) },
                empty_root: group.jail.is_none(),
                join,
                directory: directory.is_some(),
                network: role == Role::Lookup,
                limits,
                require_all: self.require_all,
                supervisor_pid: std::process::id(),
            },
        };
        // The socket is fresh: there is room, so this does not block.
        ipc::link::send_blocking(ours.as_fd(), &boot, &descriptors).map_err(io::Error::other)?;
        let process = sandbox::spawn(role.name(), &title, theirs, their_log)?;
        // Inherited from us, who are to be taken last; a child is to be taken like any other process.
        let _ = std::fs::write(format!("/proc/{}/oom_score_adj", process.pid), "0");
        let id = ChildId(self.next);
        self.next += 1;
        let (ready, events) = (ours.try_clone()?, self.events.clone());
        let outbox = match role {
            Role::Worker => Outbox::Worker(converse(id, ready, ours, FromChild::Worker, events)),
            Role::Scanner => Outbox::Scanner(converse(id, ready, ours, FromChild::Scanner, events)),
            Role::Lookup => Outbox::Lookup(converse(id, ready, ours, FromChild::Lookup, events)),
            Role::Keyholder => Outbox::Keyholder(converse(id, ready, ours, FromChild::Keyholder, events)),
            Role::Writer => Outbox::Writer(converse(id, ready, ours, FromChild::Writer, events)),
        };
        tokio::task::spawn_local(listen_to_log(id, our_log, self.events.clone()));
        self.living.insert(
            id,
            Child {
                role,
                tenant,
                pid: process.pid,
                phase: Phase::Booting,
                sessions: 0,
                lease: None,
                lives,
                group: index,
                born: Instant::now(),
                process,
                outbox,
            },
        );
        Ok(())
    }

    /// Checks `Ready`: the same build, and as root every wall against `/proc`.
    ///
    /// # Errors
    /// A sentence for the log; the child must die.
    pub(crate) fn check_ready(&mut self, id: ChildId, ready: &Ready) -> Result<(), String> {
        let Some(child) = self.living.get_mut(&id) else { return Ok(()) };
        if child.phase != Phase::Booting {
            return Err("Ready twice".to_owned());
        }
        if ready.build != build() {
            return Err("another build".to_owned());
        }
        if ready.walls.pid != child.pid {
            return Err("reports another process".to_owned());
        }
        if let Some(Group { plan: GroupPlan { id: Some(id), .. }, jail, .. }) = self.groups.get(child.group) {
            if ready.walls.uid != *id || ready.walls.gid != *id {
                return Err("reports another user".to_owned());
            }
            let expected = jail.as_ref().map(Jail::inodes).unwrap_or_default();
            if expected.iter().any(|namespace| !ready.walls.namespaces.contains(namespace)) {
                return Err("is not in the namespaces of its role".to_owned());
            }
            sandbox::verify(child.pid, &ready.walls).map_err(|differences| differences.join("; "))?;
        }
        if self.require_all && !ready.walls.missing.is_empty() {
            return Err(format!("walls are missing: {}", ready.walls.missing.join("; ")));
        }
        child.phase = match child.role {
            Role::Scanner | Role::Keyholder | Role::Writer => Phase::Preparing,
            Role::Worker | Role::Lookup => Phase::Serving,
        };
        Ok(())
    }

    /// Sends to a worker. False: it is gone or stuck; a stuck one has been killed.
    pub(crate) fn tell_worker(&mut self, id: ChildId, message: ToWorker, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Worker(outbox) => outbox.send(message, fds),
            Outbox::Scanner(_) | Outbox::Lookup(_) | Outbox::Keyholder(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to a scanner, as [`Children::tell_worker`].
    pub(crate) fn tell_scanner(&mut self, id: ChildId, message: ToScanner, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Scanner(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Lookup(_) | Outbox::Keyholder(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to lookup, as [`Children::tell_worker`].
    pub(crate) fn tell_lookup(&mut self, id: ChildId, message: ToLookup, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Lookup(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Scanner(_) | Outbox::Keyholder(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to the keyholder, as [`Children::tell_worker`].
    pub(crate) fn tell_keyholder(&mut self, id: ChildId, message: ToKeyholder, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Keyholder(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Scanner(_) | Outbox::Lookup(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to a writer, as [`Children::tell_worker`].
    pub(crate) fn tell_writer(&mut self, id: ChildId, message: ToWriter, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Writer(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Scanner(_) | Outbox::Lookup(_) | Outbox::Keyholder(_) => false,
        };
        self.kill_unless(sent, id)
    }

    fn kill_unless(&self, sent: bool, id: ChildId) -> bool {
        if !sent {
            self.kill(id);
        }
        sent
    }

    /// Ends a child at once; its link closes and [`Children::lost`] follows.
    pub(crate) fn kill(&self, id: ChildId) {
        if let Some(child) = self.living.get(&id) {
            child.process.kill();
        }
    }

    /// A child is lost: its link is closed or was broken. It is killed, in case it still runs, and leaves the table.
    pub(crate) fn lost(&mut self, id: ChildId) -> Option<Loss> {
        let child = self.living.remove(&id)?;
        child.process.kill();
        let expected = child.phase == Phase::Leaving;
        let mut loss = Loss {
            role: child.role,
            pid: child.pid,
            lease: child.lease,
            booting: child.phase == Phase::Booting,
            wait: Duration::ZERO,
            alarm: false,
        };
        if !expected && let Some(group) = self.groups.get_mut(child.group) {
            let pause = group.backoff.died(child.born.elapsed());
            (loss.wait, loss.alarm) = (pause.wait, pause.alarm);
            if !pause.wait.is_zero() {
                self.pause(child.group, pause.wait);
            }
        }
        let Child { role, tenant, process, .. } = child;
        self.dying.push(Dying { role, tenant, process, expected });
        Some(loss)
    }

    /// Children that should have reported `Ready` long ago.
    pub(crate) fn overdue(&self) -> Vec<ChildId> {
        self.iter()
            .filter(|(_, child)| child.phase == Phase::Booting && child.born.elapsed() > BOOT)
            .map(|(id, _)| id)
            .collect()
    }

    /// Collects the exit status of children that have ended (on SIGCHLD).
    pub(crate) fn reap(&mut self) -> Vec<Death> {
        let mut deaths = Vec::new();
        self.dying.retain(|dying| {
            let how = match dying.process.try_reap() {
                Ok(None) => return true,
                Ok(Some(how)) => how,
                Err(error) => error.to_string(),
            };
            deaths.push(Death {
                role: dying.role,
                tenant: dying.tenant,
                pid: dying.process.pid,
                how,
                expected: dying.expected,
            });
            false
        });
        deaths
    }

    /// Whether every child has ended and was reaped.
    pub(crate) fn all_gone(&self) -> bool {
        self.living.is_empty() && self.dying.is_empty()
    }

    /// Ends every child at once, for the end of the service.
    pub(crate) fn kill_all(&mut self) {
        let ids: Vec<ChildId> = self.living.keys().copied().collect();
        for id in ids {
            if let Some(child) = self.living.get_mut(&id) {
                child.phase = Phase::Leaving;
            }
            self.lost(id);
        }
    }

    /// No replacements from here on.
    pub(crate) fn stop(&mut self) {
        for group in &mut self.groups {
            group.plan.wanted = 0;
        }
    }
}

impl Child {
    /// Whether this child will still be there for the next task, so that no replacement is needed.
    fn stays(&self, role: Role) -> bool {
        self.phase != Phase::Leaving && (role != Role::Scanner || self.lease.is_none() || self.lives > 0)
    }
}

/// What each role has of its own, in the order of joining: the root last, while names can still be looked up. Lookup
/// needs the network.
fn namespaces(role: Role) -> Vec<Namespace> {
    let mut kinds = vec![Namespace::Ipc, Namespace::Uts, Namespace::Mount];
    if role != Role::Lookup {
        kinds.insert(0, Namespace::Network);
    }
    kinds
}

/// Without root, namespaces are made by the child itself, where the kernel lets a user do so. Lookup needs the network.
fn own_namespaces(role: Role) -> Vec<Namespace> {
    let mut make = vec![Namespace::User];
    make.extend(namespaces(role));
    make
}

/// Awaits `Ready`, then carries messages both ways until the link ends.
fn converse<Tx: Message + 'static, Rx: Message + 'static>(
    id: ChildId,
    ready: OwnedFd,
    socket: OwnedFd,
    wrap: fn(Rx) -> FromChild,
    events: mpsc::Sender<Event>,
) -> Post<Tx, Rx> {
    let (post, carrier) = post();
    tokio::task::spawn_local(async move {
        let error = match receive(id, ready, socket, wrap, &events, carrier).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let _ = events.send(Event::Child { id, what: FromChild::Lost(error) }).await;
    });
    post
}

async fn receive<Tx: Message + 'static, Rx: Message + 'static>(
    id: ChildId,
    ready: OwnedFd,
    socket: OwnedFd,
    wrap: fn(Rx) -> FromChild,
    events: &mpsc::Sender<Event>,
    carrier: Carrier<Tx, Rx>,
) -> Result<std::convert::Infallible, LinkError> {
    let first = Link::<Boot, Ready>::new(ready).map_err(LinkError::Io)?;
    let (walls, _) = first.recv().await?;
    drop(first);
    let receiving = carrier.open(socket)?;
    let say = async |what| events.send(Event::Child { id, what }).await.map_err(|_| LinkError::Closed);
    say(FromChild::Ready(Box::new(walls))).await?;
    loop {
        say(wrap(receiving.next().await?)).await?;
    }
}

async fn listen_to_log(id: ChildId, socket: OwnedFd, events: mpsc::Sender<Event>) {
    let Ok(link) = Link::<log::Event, log::Event>::new(socket) else { return };
    // An event that does not decode ends only the log of this child; its link decides over its life.
    while let Ok((event, _)) = link.recv().await {
        let what = FromChild::Log(Box::new(event));
        if events.send(Event::Child { id, what }).await.is_err() {
            return;
        }
    }
}
