//! From an admitted connection to a worker that has it: choose the worker, send the client. The way to its server is
//! `route.rs`, what workers then say of their sessions `requests.rs`.
use crate::admission::{Admitted, Refusal};
use crate::changed::Mailbox;
use crate::children::ChildId;
use crate::dial::Dialled;
use crate::event_loop::Supervisor;
use crate::kick::Kicked;
use crate::listener::Accepted;
use crate::original_dst::{Ends, OriginalDst, canonical};
use crate::records::{Acl, SessionStart};
use ipc::boot::Role;
use ipc::ids::{Selection, SessionId};
use ipc::log::Level;
use ipc::supervisor_worker::{Counters, End, NoServer, Plan, Session as SessionRecord, ToWorker};
use policy::conditions::Facts;
use policy::model::Listener;
use policy::time::Moment;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

/// Sessions of a tenant that may wait for a worker; beyond, they are closed.
const WAITING: usize = 1024;
/// How long a server is not dialled to which the way led back to us.
const CIRCLE: Duration = Duration::from_secs(30);
/// One-session workers that a pool may hold ready, whatever the load.
const LARGEST_POOL: usize = 256;

/// A live session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) tenant: u16,
    /// Index of its `[[command-acl]]`; `None`: its client's certificate or name will decide it.
    pub(crate) rule: Option<u16>,
    /// The name that the client logs in with decides the rule, with each attempt again.
    pub(crate) late: bool,
    /// Servers that were asked for, by name.
    pub(crate) attempts: u8,
    /// What its worker learnt of the client, where that decides: octets that lookup alone reads.
    pub(crate) learnt: Option<Vec<u8>>,
    /// When lookup was asked for the rule, which it has not answered yet.
    pub(crate) deciding: Option<Moment>,
    /// Index of its `[[session-acl]]`.
    pub(crate) session_rule: u16,
    pub(crate) listener: u16,
    pub(crate) client: SocketAddr,
    pub(crate) client_name: Option<String>,
    pub(crate) destination: OriginalDst,
    /// Both ends of the client's connection, before any redirection.
    pub(crate) ends: Ends,
    /// Our end of it as the kernel has it.
    pub(crate) local: SocketAddr,
    pub(crate) at_ns: u64,
    /// The worker that has it.
    pub(crate) worker: Option<ChildId>,
    /// The client's connection, until the worker has it.
    pub(crate) socket: Option<OwnedFd>,
    pub(crate) server: Server,
    /// Its server was dialled once more, to be relayed unseen.
    pub(crate) again: bool,
    pub(crate) dialling: Option<AbortHandle>,
    /// Its worker reported its login; of one that is relayed unseen it does not.
    pub(crate) logged_in: bool,
    /// The mailbox that is open, and its number.
    pub(crate) mailbox: Option<(Selection, Mailbox)>,
    /// The server's name for the index of changed mails: as configured, so that it survives a change of address.
    pub(crate) server_key: String,
    pub(crate) upstream: Option<SocketAddr>,
    /// The connection to it.
    pub(crate) dialled: Option<Ends>,
    pub(crate) user: String,
    pub(crate) started: Instant,
    /// It shall end.
    pub(crate) kicked: Option<Kicked>,
    _place: OwnedSemaphorePermit,
}

/// The way to the server.
#[derive(Debug)]
pub(crate) enum Server {
    /// Nobody knows where: the rule is not decided.
    Undecided,
    /// Lookup was asked, until then.
    Asked { until: Instant },
    /// Being dialled.
    Dialling,
    /// The outcome is there and the worker is not.
    Waiting(Result<Dialled, NoServer>),
    /// The worker was told.
    Told { connected: bool },
}

/// Every live session, and what waits for a worker.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) live: HashMap<SessionId, Session>,
    pub(crate) waiting: HashMap<u16, VecDeque<SessionId>>,
    /// Live sessions by mailbox, to tell them what others changed.
    pub(crate) readers: HashMap<Mailbox, Vec<SessionId>>,
    pub(crate) next: u64,
    /// Both ends of our connections to servers, and of those of clients before any redirection: one that is both is a circle.
    pub(crate) dialled: HashSet<Ends>,
    pub(crate) accepted: HashSet<Ends>,
    /// Servers to which the way led back to us, and when that was seen.
    pub(crate) circles: HashMap<SocketAddr, Instant>,
}

impl Sessions {
    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.live.get(&id)
    }
}

impl Supervisor {
    /// All that rules ask of a connection is known: it is admitted and handed over, or closed without a byte.
    pub(crate) fn admit(&mut self, accepted: Accepted, client_name: Option<String>) {
        let policy = Rc::clone(&self.policy);
        let Some(listener) = policy.listeners.get(usize::from(accepted.listener)) else { return };
        let destination = accepted.destination;
        let ends = accepted.ends;
        if self.sessions.dialled.contains(&ends) {
            self.came_back(ends);
            return;
        }
        let facts =
            self.facts(listener, accepted.listener, accepted.client, client_name.as_deref(), destination);
        let Admitted { session_rule, command_rule, late } = match self.admission.admit(&policy, &facts) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.refused(None, &facts, &listener.name, refusal);
                return;
            }
        };
        self.sessions.next += 1;
        let id = SessionId(self.sessions.next);
        let session = Session {
            tenant: listener.tenant,
            rule: command_rule,
            late,
            attempts: 0,
            learnt: None,
            deciding: None,
            session_rule,
            listener: accepted.listener,
            client: accepted.client,
            client_name,
            destination,
            ends,
            local: accepted.local,
            at_ns: accepted.at_ns,
            worker: None,
            socket: Some(accepted.socket),
            server: Server::Undecided,
            again: false,
            dialling: None,
            logged_in: false,
            mailbox: None,
            server_key: String::new(),
            upstream: None,
            dialled: None,
            user: String::new(),
            started: Instant::now(),
            kicked: None,
            _place: accepted.permit,
        };
        self.sessions.accepted.insert(ends);
        self.sessions.live.insert(id, session);
        // The worker is on its way to wake up while the rest is done.
        self.seat(id);
        self.route(id);
        self.record_start(id);
    }

    /// A connection of our own to a server came to one of our listeners: some rule, or some redirection, leads in a circle. When
    /// it is seen the connections behind it are under way already, so nobody is dialled there for a while.
    pub(crate) fn came_back(&mut self, Ends { from, to }: Ends) {
        let now = Instant::now();
        self.sessions.circles.retain(|_, since| now.duration_since(*since) < CIRCLE);
        if self.sessions.circles.insert(to, now).is_none() {
            let fields = [("client", from.to_string()), ("destination", to.to_string())];
            self.journal.note(Level::Error, "a connection of our own came back to us", &fields);
        }
    }

    /// Whether the way to a server led back to us lately.
    pub(crate) fn leads_back(&self, server: SocketAddr) -> bool {
        self.sessions.circles.get(&canonical(server)).is_some_and(|since| since.elapsed() < CIRCLE)
    }

    fn record_start(&mut self, id: SessionId) {
        let policy = &self.policy;
        let Some(session) = self.sessions.live.get(&id) else { return };
        self.journal.session_start(&SessionStart {
            session: id,
            tenant: policy.tenants.get(usize::from(session.tenant)).map_or("", |name| name),
            listener: policy
                .listeners
                .get(usize::from(session.listener))
                .map_or("", |listener| &listener.name),
            client: session.client,
            destination: session.destination.address,
            transparent: session.destination.redirected,
            session_rule: policy
                .session_acls
                .get(usize::from(session.session_rule))
                .map_or("", |rule| &rule.name),
            command_rule: session
                .rule
                .and_then(|rule| policy.command_acls.get(usize::from(rule)))
                .map_or("", |rule| &rule.session.name),
        });
    }

    /// What is known of a connection before its client said anything.
    pub(crate) fn facts<'n>(
        &self,
        listener: &Listener,
        index: u16,
        client: SocketAddr,
        client_name: Option<&'n str>,
        destination: OriginalDst,
    ) -> Facts<'n> {
        Facts {
            listener: index,
            tenant: listener.tenant,
            protocol: listener.protocol,
            client,
            client_name,
            destination: destination.address,
            transparent: destination.redirected,
            moment: crate::clock::now(&self.clock),
            certificate: None,
            user: None,
            groups: None,
        }
    }

    pub(crate) fn refused(
        &mut self,
        session: Option<SessionId>,
        facts: &Facts<'_>,
        listener: &str,
        refusal: Refusal,
    ) {
        self.journal.acl(&Acl {
            phase: refusal.phase(),
            session,
            listener,
            client: facts.client,
            destination: facts.destination,
            decision: refusal.decision(),
            rule: refusal.rule(&self.policy),
            parent: "",
        });
    }

    /// Gives a session to the worker of its tenant with the fewest, or lets it wait for one.
    pub(crate) fn seat(&mut self, id: SessionId) {
        let Some(tenant) = self.sessions.live.get(&id).map(|session| session.tenant) else { return };
        let worker = self
            .children
            .serving(Role::Worker, tenant)
            .min_by_key(|(child, worker)| (worker.sessions, *child))
            .map(|(child, _)| child);
        if let Some(worker) = worker.filter(|_| !self.waits_for_keys(id)) {
            self.hand_over(id, worker);
            return;
        }
        let waiting = self.sessions.waiting.entry(tenant).or_default();
        if waiting.len() >= WAITING {
            self.end(id, End::Internal, &Counters::default());
            return;
        }
        waiting.push_back(id);
        let waiting = waiting.len();
        self.grow_pool(tenant, waiting);
    }

    /// A worker is ready: it takes those that wait.
    pub(crate) fn seat_waiting(&mut self, tenant: u16) {
        while self.children.serving(Role::Worker, tenant).next().is_some() {
            let next = self.sessions.waiting.get_mut(&tenant).and_then(VecDeque::pop_front);
            let Some(id) = next else { return };
            if self.waits_for_keys(id) {
                // Their turn comes with the keyholder.
                self.sessions.waiting.entry(tenant).or_default().push_front(id);
                return;
            }
            self.seat(id);
        }
    }

    pub(crate) fn hand_over(&mut self, id: SessionId, worker: ChildId) {
        let policy = Rc::clone(&self.policy);
        let client_side = self.grant_client(id, worker);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let Some(socket) = session.socket.take() else { return };
        let Some(listener) = policy.listeners.get(usize::from(session.listener)) else { return };
        session.worker = Some(worker);
        let record = SessionRecord {
            id,
            generation: self.generation,
            listener: session.listener,
            protocol: listener.protocol,
            client: session.client,
            client_name: session.client_name.clone(),
            destination: session.destination.address,
            session_rule: policy
                .session_acls
                .get(usize::from(session.session_rule))
                .map(|rule| rule.name.clone())
                .unwrap_or_default(),
            language: policy.language(session.session_rule, session.rule),
            client_side,
            session_rule_index: session.session_rule,
            intercept: policy
                .intercepts(session.listener, session.session_rule, session.destination.redirected)
                .is_some(),
            plan: match session.rule {
                Some(rule) => Plan::Early { rule },
                None if session.late => Plan::Late,
                None => Plan::Certificate,
            },
            accepted_ns: session.at_ns,
        };
        if let Some(child) = self.children.get_mut(worker) {
            child.sessions += 1;
        }
        // If the worker is gone its loss, which follows, ends the session.
        self.children.tell_worker(worker, ToWorker::Session(Box::new(record)), vec![socket]);
        if policy.service.process_per_session {
            self.children.tell_worker(worker, ToWorker::Drain, Vec::new());
            if let Some(child) = self.children.get_mut(worker) {
                child.phase = crate::children::Phase::Leaving;
            }
            self.fill();
        }
        self.tell_server(id);
    }

    /// With `isolation = "session"`: the pool was empty, so it was too small for this load.
    fn grow_pool(&mut self, tenant: u16, waiting: usize) {
        let spare = self.policy.service.spare_workers.max(1);
        if self.policy.service.process_per_session
            && let Some(group) = self.children.plan_mut(Role::Worker, tenant)
        {
            group.wanted = (spare + waiting).max(group.wanted).min(LARGEST_POOL.max(spare));
        }
        self.fill();
    }

    /// Pools that grew come back to their size, slowly.
    pub(crate) fn shrink_pools(&mut self) {
        if !self.policy.service.process_per_session {
            return;
        }
        let spare = self.policy.service.spare_workers.max(1);
        for tenant in 0..u16::try_from(self.policy.tenants.len()).unwrap_or(u16::MAX) {
            let idle = self.sessions.waiting.get(&tenant).is_none_or(VecDeque::is_empty);
            if idle
                && let Some(group) = self.children.plan_mut(Role::Worker, tenant)
                && group.wanted > spare
            {
                group.wanted -= 1;
            }
        }
    }
}
