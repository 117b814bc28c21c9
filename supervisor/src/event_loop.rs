//! The one place where state changes: tasks turn listeners, links, dials and signals into events, and each event is
//! handled to its end before the next. Nothing here waits for a peer or a child.
use crate::admission::Admission;
use crate::allowed::Allowed;
use crate::changed::Index;
use crate::children::{ChildId, Children, FromChild, Phase};
use crate::client_names::ClientNames;
use crate::control::{Answer, Request, Socket};
use crate::dial::{Balance, Dialled, OwnAddresses};
use crate::engines::Engines;
use crate::handover::Sessions;
use crate::identity::Identities;
use crate::journal::Journal;
use crate::keys::Scopes;
use crate::lease::{EngineDialled, Leases};
use crate::listener::Accepted;
use crate::lock::InstanceLock;
use crate::names::{HostNames, Pending};
use crate::redirect::{Redirect, Wanted};
use crate::renewal::Watch;
use crate::report::Report;
use crate::spam_filters::SpamFilters;
use crate::spool_file::SpoolDir;
use ipc::boot::Role;
use ipc::ids::{Checker, LeaseId, SessionId};
use ipc::log::Level;
use ipc::supervisor_scanner::Purpose;
use ipc::supervisor_worker::NoServer;
use nix::sys::signal::{SigSet, Signal};
use policy::model::Policy;
use policy::time::Clock;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// Events that may wait; a full queue slows children and accepting down, never the loop.
pub(crate) const EVENTS: usize = 1024;
/// Events that are handled before signals are looked at again.
const TURN: usize = 64;
/// Probes, deadlines and lookups are looked after this often.
const TICK: Duration = Duration::from_secs(1);
/// When to try again to write log records that nobody took.
const SLOW_READER: Duration = Duration::from_millis(10);
/// How long sessions have for their last words when the service stops.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long killed children may take to be gone.
const LAST_REAP: Duration = Duration::from_secs(2);

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client connected.
    Accepted(Box<Accepted>),
    /// A listener cannot accept.
    ListenerFailed {
        /// Which.
        listener: u16,
        /// Why.
        error: io::Error,
    },
    /// A child did something.
    Child {
        /// Which.
        id: ChildId,
        /// What.
        what: FromChild,
    },
    /// A dial to a server ended.
    Dialled {
        /// For whom.
        session: SessionId,
        /// The server, or why there is none.
        outcome: Result<Dialled, NoServer>,
        /// The `plug-to` items that could not be reached.
        failed: Vec<u16>,
        /// Every address that could not be reached, and why.
        failures: Vec<(SocketAddr, String)>,
    },
    /// The engines of a lease were dialled.
    EnginesDialled {
        /// Which lease.
        lease: LeaseId,
        /// What came of it.
        engines: Vec<EngineDialled>,
    },
    /// An engine or a spam filter was dialled to see whether a probe makes sense.
    ProbeDialled {
        /// The policy generation that the engine's index is of.
        generation: u64,
        /// Whose.
        tenant: u16,
        /// Which.
        checker: Checker,
        /// What the probe shall be.
        purpose: Purpose,
        /// Connected, or the error number.
        outcome: Result<(), i32>,
    },
    /// An operator asks over the control socket.
    Asked {
        /// The user who does.
        uid: u32,
        /// What.
        request: Request,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// A client's name was not confirmed in time.
    NotConfirmed {
        /// Which question.
        question: u64,
    },
    /// The pause of a group of children is over.
    Refill {
        /// Which.
        group: usize,
    },
}

/// Everything that the supervisor knows.
pub(crate) struct Supervisor {
    pub(crate) policy: Rc<Policy>,
    /// In the zone of the policy.
    pub(crate) clock: Clock,
    /// Reads the configuration again.
    pub(crate) load: crate::Load,
    pub(crate) identities: Option<Identities>,
    /// How many descriptors a process may have.
    pub(crate) descriptors: u64,
    pub(crate) generation: u64,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) journal: Journal,
    pub(crate) report: Report,
    pub(crate) children: Children,
    pub(crate) slices: crate::slices::Slices,
    pub(crate) scopes: Scopes,
    pub(crate) watch: Watch,
    pub(crate) admission: Admission,
    pub(crate) sessions: Sessions,
    pub(crate) own: OwnAddresses,
    pub(crate) balance: Balance,
    pub(crate) leases: Leases,
    pub(crate) engines: Engines,
    pub(crate) spam_filters: SpamFilters,
    pub(crate) index: Index,
    pub(crate) allowed: Allowed,
    pub(crate) spool: SpoolDir,
    /// Addresses that were bound, in the order of the policy.
    pub(crate) listening: Vec<SocketAddr>,
    /// What shall be redirected to us, and what is; `None` with a wish is a redirection that was lost.
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) _lock: InstanceLock,
    pub(crate) control: Option<Socket>,
    pub(crate) accepting: Vec<AbortHandle>,
    /// Listeners that do not take clients yet.
    pub(crate) pending: Option<Pending>,
    pub(crate) names: HostNames,
    pub(crate) client_names: ClientNames,
    pub(crate) started: Instant,
    /// Every child of the start is at work and it was said.
    pub(crate) announced: bool,
    /// Children that were killed because they broke the contract or were stuck, since the start.
    pub(crate) killed: u64,
    /// Walls that some child reported as missing.
    pub(crate) missing_walls: Vec<String>,
    /// Set when the service cannot be.
    pub(crate) fatal: Option<String>,
}

/// Runs until SIGTERM or SIGINT, then ends sessions and children.
///
/// # Errors
/// When signals cannot be received.
pub(crate) async fn run(supervisor: &mut Supervisor, mut events: mpsc::Receiver<Event>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut child = signal(SignalKind::child())?;
    // Whoever started the service may have had them blocked, which is inherited.
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD]).thread_unblock()?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    supervisor.fill();
    if supervisor.policy.host_names().is_empty() {
        supervisor.begin_accepting();
    }
    let mut happened = Vec::with_capacity(TURN);
    while supervisor.fatal.is_none() {
        tokio::select! {
            count = events.recv_many(&mut happened, TURN) => {
                if count == 0 {
                    break;
                }
                happened.drain(..).for_each(|event| supervisor.handle(event));
            }
            _ = child.recv() => supervisor.reap(),
            _ = tick.tick() => supervisor.tick(),
            () = tokio::time::sleep(SLOW_READER), if supervisor.journal.holds() => supervisor.journal.flush(),
            _ = hangup.recv() => {
                // The log says what came of it.
                let _ = supervisor.reload("SIGHUP", false);
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    supervisor.stop_serving();
    let last_words = Instant::now() + LAST_WORDS;
    while !supervisor.sessions.is_empty() && Instant::now() < last_words {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => supervisor.handle(event),
                None => break,
            },
            _ = child.recv() => supervisor.reap(),
            () = tokio::time::sleep_until(last_words.into()) => break,
        }
    }
    supervisor.children.kill_all();
    let last_reap = Instant::now() + LAST_REAP;
    supervisor.reap();
    while !supervisor.children.all_gone() && Instant::now() < last_reap {
        tokio::select! {
            _ = child.recv() => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        supervisor.reap();
    }
    supervisor.journal.note(Level::Info, "stopped", &[]);
    Ok(())
}

impl Supervisor {
    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Accepted(accepted) => self.accepted(*accepted),
            Event::ListenerFailed { listener, error } => {
                let listener = self.policy.listeners.get(usize::from(listener));
                let name = listener.map_or_else(String::new, |listener| listener.name.clone());
                let fields = [("listener", name), ("error", error.to_string())];
                self.journal.note(Level::Error, "cannot accept connections", &fields);
            }
            Event::Child { id, what } => self.child_did(id, what),
            Event::Dialled { session, outcome, failed, failures } => {
                self.note_failures(session, &failures);
                self.dialled(session, outcome, &failed);
            }
            Event::EnginesDialled { lease, engines } => self.engines_dialled(lease, engines),
            Event::ProbeDialled { generation, tenant, checker, purpose, outcome } => {
                if generation == self.generation {
                    self.probe_dialled(tenant, checker, purpose, outcome);
                }
            }
            Event::Asked { uid, request, reply } => {
                let answer = self.asked_by(uid, request);
                // An operator who left has the answer in the log.
                let _ = reply.send(answer);
            }
            Event::NotConfirmed { question } => self.client_not_confirmed(question),
            Event::Refill { group } => {
                self.children.resume(group);
                self.fill();
            }
        }
    }

    fn tick(&mut self) {
        for id in self.children.overdue() {
            self.condemn(id, "does not report Ready");
        }
        self.lookups_overdue();
        self.names_overdue();
        self.leases_overdue();
        self.kicks_overdue();
        self.keep_redirection();
        self.start_probes();
        self.shrink_pools();
        self.look_at_files();
    }

    /// Clients that are not redirected reach servers unscanned: a redirection whose owner somebody killed is installed
    /// again at once, and every second until that succeeds. It waits for nft, which no peer and no child can delay.
    pub(crate) fn keep_redirection(&mut self) {
        let lost = self.redirect.as_mut().is_none_or(Redirect::lost);
        if self.wanted.is_empty() || !lost || self.accepting.is_empty() {
            return;
        }
        self.redirect = None;
        match crate::boot::install(&self.wanted, &mut self.journal) {
            Ok(redirect) => {
                self.redirect = Some(redirect);
                self.journal.note(Level::Error, "redirection was lost and is installed again", &[]);
            }
            Err(error) => {
                let fields = [("error", error.to_string())];
                self.journal.note(
                    Level::Error,
                    "redirection is lost: clients reach servers unscanned",
                    &fields,
                );
            }
        }
    }

    /// Says once that the service is up: every child of the start is at work.
    pub(crate) fn announce(&mut self) {
        let begins = |phase, role| {
            phase == Phase::Booting
                || (phase == Phase::Preparing && matches!(role, Role::Keyholder | Role::Writer))
        };
        if self.announced
            || self.fatal.is_some()
            || self.pending.is_some()
            || self.children.iter().any(|(_, child)| begins(child.phase, child.role))
        {
            return;
        }
        self.announced = true;
        let addresses: Vec<String> = self.listening.iter().map(SocketAddr::to_string).collect();
        let roles: Vec<String> = self
            .children
            .plans()
            .map(|group| {
                let tenant = self.policy.tenants.get(usize::from(group.tenant)).map_or("", |name| name);
                group.id.map_or_else(
                    || format!("{}/{tenant}", group.role),
                    |id| format!("{}/{tenant}:{id}", group.role),
                )
            })
            .collect();
        let fields = [
            ("addresses", addresses.join(" ")),
            ("roles", roles.join(" ")),
            ("missing-walls", self.missing_walls.join("; ")),
            ("start-ms", self.started.elapsed().as_millis().to_string()),
        ];
        self.journal.note(Level::Info, "listening", &fields);
        self.report.listening(&self.listening);
        crate::notify::ready();
    }

    /// Stops accepting and asks sessions to end.
    fn stop_serving(&mut self) {
        self.journal.note(Level::Info, "stopping", &[]);
        crate::notify::stopping();
        self.pending = None;
        for task in self.accepting.drain(..) {
            task.abort();
        }
        self.children.stop();
        self.refuse_all_leases();
        self.kick_all();
    }
}
