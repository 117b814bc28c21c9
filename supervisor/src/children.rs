//! Keeps the children of each role as many as they shall be: replaces the dead with back-off, reaps them. Whatever a child
//! sends is hostile input; the penalty for breaking the contract is the child's life, never the supervisor's.
//!
//! ```text
//! start.rs   the start, and what of the child's report is believed
//! links.rs   what is said to children, and what they say as events
//! ```
mod links;
mod start;

use crate::backoff::Backoff;
use crate::event_loop::Event;
use ipc::boot::{Ready, Role};
use ipc::ids::LeaseId;
use ipc::link::LinkError;
use ipc::log;
use ipc::supervisor_keyholder::FromKeyholder;
use ipc::supervisor_lookup::FromLookup;
use ipc::supervisor_scanner::FromScanner;
use ipc::supervisor_worker::FromWorker;
use ipc::supervisor_writer::FromWriter;
use links::Outbox;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use sandbox::{Jail, Limits};
use std::collections::HashMap;
use std::io;
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
            Some(_) => Some(Jail::make(&start::namespaces(plan.role))?),
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
    /// Processor time that it has used.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?);
        clock_gettime(clock_getcpuclockid(pid).ok()?).ok().map(Duration::from)
    }

    /// Whether this child will still be there for the next task, so that no replacement is needed.
    fn stays(&self, role: Role) -> bool {
        self.phase != Phase::Leaving && (role != Role::Scanner || self.lease.is_none() || self.lives > 0)
    }
}
