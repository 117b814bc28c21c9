//! From an admitted connection to a worker that has both its ends: choose the worker, send the client, dial meanwhile,
//! send the server. Checks that a worker speaks only of its own sessions.
use crate::admission::{Admitted, Refusal};
use crate::changed::Maildrop;
use crate::children::ChildId;
use crate::dial::{self, Dialled, Target};
use crate::event_loop::Supervisor;
use crate::listener::Accepted;
use crate::original_dst::OriginalDst;
use crate::records::{Acl, SessionEnd, SessionStart};
use ipc::boot::Role;
use ipc::ids::{MailId, SessionId};
use ipc::log::Level;
use ipc::supervisor_lookup::{FromLookup, ToLookup};
use ipc::supervisor_worker::{
    ChangedMail, Counters, End, FromWorker, NoServer, Plan, Session as SessionRecord, ToWorker,
};
use policy::conditions::Facts;
use policy::model::{Listener, PlugTo};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

/// Sessions of a tenant that may wait for a worker; beyond, they are closed.
const WAITING: usize = 1024;
/// One-session workers that a pool may hold ready, whatever the load.
const LARGEST_POOL: usize = 256;
/// Entries of the index in one message: each at most 128 octets encoded, so it stays below the message limit.
const PIECE: usize = 400;
/// RFC 1939 section 7: a unique-id has at most 70 octets.
const MAX_UIDL: usize = 70;
/// Lookup gets this long beyond its own `timeout`.
const LOOKUP_GRACE: Duration = Duration::from_secs(1);

/// A live session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) tenant: u16,
    /// Index of its `[[command-acl]]`.
    pub(crate) rule: u16,
    /// Index of its `[[session-acl]]`.
    pub(crate) session_rule: u16,
    pub(crate) listener: u16,
    pub(crate) client: SocketAddr,
    pub(crate) client_name: Option<String>,
    pub(crate) destination: OriginalDst,
    at_ns: u64,
    /// The worker that has it.
    pub(crate) worker: Option<ChildId>,
    /// The client's connection, until the worker has it.
    socket: Option<OwnedFd>,
    server: Server,
    dialling: Option<AbortHandle>,
    /// The server's name for the index of changed mails: as configured, so that it survives a change of address.
    maildrop: Option<Maildrop>,
    server_key: String,
    upstream: Option<SocketAddr>,
    user: String,
    started: Instant,
    _place: OwnedSemaphorePermit,
}

impl Session {
    /// Whether the worker reported its login; where no mail is scanned it does not.
    pub(crate) const fn is_logged_in(&self) -> bool {
        self.maildrop.is_some()
    }

    /// Whether lookup was asked for its server.
    pub(crate) const fn is_asked(&self) -> bool {
        matches!(self.server, Server::Asked { .. })
    }
}

/// The way to the server.
#[derive(Debug)]
enum Server {
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
    waiting: HashMap<u16, VecDeque<SessionId>>,
    /// Live sessions by maildrop, to tell them what others changed.
    readers: HashMap<Maildrop, Vec<SessionId>>,
    next: u64,
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
        let facts =
            self.facts(listener, accepted.listener, accepted.client, client_name.as_deref(), destination);
        let Admitted { session_rule, command_rule } = match self.admission.admit(&policy, &facts) {
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
            session_rule,
            listener: accepted.listener,
            client: accepted.client,
            client_name,
            destination,
            at_ns: accepted.at_ns,
            worker: None,
            socket: Some(accepted.socket),
            server: Server::Dialling,
            dialling: None,
            maildrop: None,
            server_key: String::new(),
            upstream: None,
            user: String::new(),
            started: Instant::now(),
            _place: accepted.permit,
        };
        self.sessions.live.insert(id, session);
        // The worker is on its way to wake up while the rest is done.
        self.seat(id);
        self.route(id);
        self.record_start(id);
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
            command_rule: policy
                .command_acls
                .get(usize::from(session.rule))
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
    fn seat(&mut self, id: SessionId) {
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

    fn hand_over(&mut self, id: SessionId, worker: ChildId) {
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
            plan: Plan::Early { rule: session.rule },
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

    /// Finds out where a session goes, and begins to dial.
    pub(crate) fn route(&mut self, id: SessionId) {
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let Some(rule) = policy.command_acls.get(usize::from(session.rule)) else { return };
        if rule.plug_to.is_empty() {
            let target = Target { address: session.destination.address, item: None, name: None };
            let targets = if session.destination.redirected { vec![target] } else { Vec::new() };
            self.dial(id, targets, NoServer::Loop);
            return;
        }
        let addresses: Option<Vec<Target>> = rule
            .plug_to
            .iter()
            .zip(0_u16..)
            .map(|(item, index)| match item {
                PlugTo::Address(address) => Some(Target { address: *address, item: Some(index), name: None }),
                PlugTo::Name { .. } => None,
            })
            .collect();
        if let Some(targets) = addresses {
            self.dial(id, targets, NoServer::Loop);
            return;
        }
        session.server = Server::Asked { until: Instant::now() + policy.resolver.timeout + LOOKUP_GRACE };
        self.ask_lookup(id);
    }

    fn ask_lookup(&mut self, session: SessionId) {
        let Some(rule) = self.sessions.live.get(&session).map(|session| session.rule) else { return };
        let lookup = self.children.serving(Role::Lookup, 0).map(|(child, _)| child).next();
        if let Some(lookup) = lookup {
            let message = ToLookup::Resolve { session, generation: self.generation, rule };
            self.children.tell_lookup(lookup, message, Vec::new());
        }
    }

    /// Lookup was restarted: what was asked of the former one is asked again.
    pub(crate) fn ask_again(&mut self) {
        let asked: Vec<SessionId> = self.asked(|_| true);
        for id in asked {
            self.ask_lookup(id);
        }
    }

    /// The sessions that wait for lookup go on waiting: its replacement is asked again, their time runs.
    pub(crate) fn lookup_lost(&mut self) {
        self.journal.note(Level::Warn, "lookup is lost; names wait for its replacement", &[]);
    }

    /// Sessions whose name took too long.
    pub(crate) fn lookups_overdue(&mut self) {
        let now = Instant::now();
        for id in self.asked(|until| until <= now) {
            self.no_server(id, NoServer::NotResolved);
        }
    }

    fn asked(&self, matches: impl Fn(Instant) -> bool) -> Vec<SessionId> {
        self.sessions
            .live
            .iter()
            .filter(|(_, session)| match session.server {
                Server::Asked { until } => matches(until),
                Server::Dialling | Server::Waiting(_) | Server::Told { .. } => false,
            })
            .map(|(id, _)| *id)
            .collect()
    }

    /// Lookup answered. Taken only for a session that asked, once, for its own rule, and only within what the rule says.
    pub(crate) fn lookup_said(&mut self, child: ChildId, message: FromLookup) {
        let (id, generation, rule, candidates) = match message {
            FromLookup::Dial { session, generation, rule, candidates } => {
                (session, generation, rule, candidates)
            }
            FromLookup::Client { question, name } => {
                self.client_confirmed(child, question, name);
                return;
            }
            FromLookup::Host { generation, index, addresses } => {
                self.name_answered(child, generation, index, addresses);
                return;
            }
        };
        if generation != self.generation {
            // The policy was reloaded meanwhile, and what it says now was asked again.
            return;
        }
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get(&id) else { return };
        if !matches!(session.server, Server::Asked { .. }) {
            // Too late, or asked twice around a restart.
            return;
        }
        let items = policy.command_acls.get(usize::from(rule)).map_or(&[][..], |rule| &rule.plug_to);
        let targets: Option<Vec<Target>> = candidates
            .iter()
            .map(|candidate| match items.get(usize::from(candidate.item))? {
                PlugTo::Address(address) => (*address == candidate.address).then_some(Target {
                    address: *address,
                    item: Some(candidate.item),
                    name: None,
                }),
                PlugTo::Name { host, port } => (*port == candidate.address.port()).then(|| Target {
                    address: candidate.address,
                    item: Some(candidate.item),
                    name: Some(host.clone()),
                }),
            })
            .collect();
        match targets {
            Some(targets) if session.rule == rule && targets.len() <= 16 => {
                if targets.is_empty() {
                    self.no_server(id, NoServer::NotResolved);
                } else {
                    self.dial(id, targets, NoServer::Loop);
                }
            }
            Some(_) | None => self.condemn(child, "lookup answers what was not asked"),
        }
    }

    /// Dials the targets that are not ourselves; `none` is said where none is left.
    fn dial(&mut self, id: SessionId, mut targets: Vec<Target>, none: NoServer) {
        targets.retain(|target| !self.own.contain(target.address));
        if targets.is_empty() {
            self.no_server(id, none);
            return;
        }
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let Some(rule) = policy.command_acls.get(usize::from(session.rule)) else { return };
        self.balance.order(session.rule, rule.plug_to.len(), &mut targets, Instant::now());
        session.server = Server::Dialling;
        let task = dial::dial(id, targets, rule.connect_timeout, self.events.clone());
        session.dialling = Some(tokio::task::spawn_local(task).abort_handle());
    }

    /// A dial ended.
    pub(crate) fn dialled(&mut self, id: SessionId, outcome: Result<Dialled, NoServer>, failed: &[u16]) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        session.dialling = None;
        let reached = outcome.as_ref().ok().and_then(|server| server.target.item);
        self.balance.outcome(session.rule, failed, reached, Instant::now());
        if let Ok(server) = &outcome {
            session.upstream = Some(server.target.address);
            session.server_key = server.target.key();
        }
        session.server = Server::Waiting(outcome);
        self.tell_server(id);
    }

    fn no_server(&mut self, id: SessionId, why: NoServer) {
        if let Some(session) = self.sessions.live.get_mut(&id) {
            session.server = Server::Waiting(Err(why));
            self.tell_server(id);
        }
    }

    /// Tells the worker what came of the dial, once both are there.
    fn tell_server(&mut self, id: SessionId) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let Some(worker) = session.worker else { return };
        if !matches!(session.server, Server::Waiting(_)) {
            return;
        }
        match std::mem::replace(&mut session.server, Server::Told { connected: false }) {
            Server::Waiting(Ok(Dialled { socket, target })) => {
                session.server = Server::Told { connected: true };
                self.grant_server(id, worker);
                let message = ToWorker::Server { session: id, address: target.address, name: target.name };
                self.children.tell_worker(worker, message, vec![socket]);
            }
            Server::Waiting(Err(why)) => {
                self.children.tell_worker(worker, ToWorker::NoServer { session: id, why }, Vec::new());
            }
            Server::Asked { .. } | Server::Dialling | Server::Told { .. } => {}
        }
    }

    /// A worker says something of a session: it must be one of its own.
    pub(crate) fn worker_said(&mut self, worker: ChildId, message: FromWorker) {
        let id = match &message {
            FromWorker::LoggedIn { session, .. }
            | FromWorker::NeedSpool { session, .. }
            | FromWorker::NeedScan { session, .. }
            | FromWorker::Store { session, .. }
            | FromWorker::SessionEnded { session, .. } => *session,
        };
        match self.sessions.live.get(&id) {
            Some(session) if session.worker == Some(worker) => {}
            // A message about a session that a kick ended here crosses the kick on its way: none ends here first, so
            // whatever is not its own is a breach.
            Some(_) | None => {
                self.condemn(worker, "speaks of a session that is not its own");
                return;
            }
        }
        match message {
            FromWorker::LoggedIn { session, user } => self.logged_in(worker, session, &user),
            FromWorker::NeedSpool { session, mail } => self.need_spool(worker, session, mail),
            FromWorker::NeedScan { session, mail, size, sha256 } => {
                self.need_scan(worker, session, mail, size, sha256);
            }
            FromWorker::Store { session, mail, entry } => self.store(worker, session, mail, entry),
            FromWorker::SessionEnded { session, end, counters } => {
                if let Some(child) = self.children.get_mut(worker) {
                    child.sessions = child.sessions.saturating_sub(1);
                }
                self.end(session, end, &counters);
            }
        }
    }

    fn logged_in(&mut self, worker: ChildId, id: SessionId, user: &str) {
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let connected = matches!(session.server, Server::Told { connected: true });
        if !connected || session.maildrop.is_some() || user.len() > 512 {
            self.condemn(worker, "reports a login out of place");
            return;
        }
        user.clone_into(&mut session.user);
        let tenant = policy.tenants.get(usize::from(session.tenant)).map_or("", |name| name);
        let maildrop = self.index.maildrop(tenant, &session.server_key, user);
        let entries = match self.index.entries(&maildrop) {
            Ok(entries) => entries.to_vec(),
            Err(error) => {
                // What was replaced is not known any more, so nothing of this maildrop may be served or deleted.
                let fields = [("session", id.to_string()), ("error", error.to_string())];
                self.journal.note(Level::Error, "the index of changed mails cannot be read", &fields);
                self.children.tell_worker(worker, ToWorker::Kick { session: id }, Vec::new());
                return;
            }
        };
        session.maildrop = Some(maildrop.clone());
        self.sessions.readers.entry(maildrop).or_default().push(id);
        let mut pieces = entries.chunks(PIECE).peekable();
        if pieces.peek().is_none() {
            let message = ToWorker::Changed { session: id, entries: Vec::new(), more: false };
            self.children.tell_worker(worker, message, Vec::new());
        }
        while let Some(piece) = pieces.next() {
            let more = pieces.peek().is_some();
            let message = ToWorker::Changed { session: id, entries: piece.to_vec(), more };
            self.children.tell_worker(worker, message, Vec::new());
        }
    }

    fn store(&mut self, worker: ChildId, id: SessionId, mail: MailId, entry: ChangedMail) {
        let Some(maildrop) = self.sessions.live.get(&id).and_then(|session| session.maildrop.clone()) else {
            let message = ToWorker::Stored { session: id, mail, safe: false };
            self.children.tell_worker(worker, message, Vec::new());
            return;
        };
        if entry.uidl.len() > MAX_UIDL {
            self.condemn(worker, "stores a unique-id that is too long");
            return;
        }
        let stored = self.index.store(&maildrop, entry.clone());
        if let Err(error) = &stored {
            let fields = [("session", id.to_string()), ("error", error.to_string())];
            self.journal.note(Level::Error, "a changed mail cannot be remembered: it is deferred", &fields);
        }
        let message = ToWorker::Stored { session: id, mail, safe: stored.is_ok() };
        self.children.tell_worker(worker, message, Vec::new());
        if stored.is_err() {
            return;
        }
        for other in self.sessions.readers.get(&maildrop).cloned().unwrap_or_default() {
            let reader = self.sessions.live.get(&other).and_then(|session| session.worker);
            if let Some(reader) = reader.filter(|_| other != id) {
                let message = ToWorker::Changed { session: other, entries: vec![entry.clone()], more: false };
                self.children.tell_worker(reader, message, Vec::new());
            }
        }
    }

    fn need_spool(&mut self, worker: ChildId, session: SessionId, mail: MailId) {
        match self.spool.create() {
            Ok((writable, read_only)) => {
                let message = ToWorker::Spool { session, mail };
                self.children.tell_worker(worker, message, vec![writable, read_only]);
            }
            Err(error) => {
                let fields = [("session", session.to_string()), ("error", error.to_string())];
                self.journal.note(Level::Error, "no spool file: the mail is deferred", &fields);
                self.children.tell_worker(worker, ToWorker::NoSpool { session, mail }, Vec::new());
            }
        }
    }

    /// A session is over: everything that was kept for it goes.
    fn end(&mut self, id: SessionId, end: End, counters: &Counters) {
        let Some(session) = self.sessions.live.remove(&id) else { return };
        if let Some(task) = &session.dialling {
            task.abort();
        }
        self.admission.release(session.tenant, session.client.ip(), session.session_rule);
        if let Some(waiting) = self.sessions.waiting.get_mut(&session.tenant) {
            waiting.retain(|other| *other != id);
        }
        if let Some(maildrop) = &session.maildrop
            && let Some(readers) = self.sessions.readers.get_mut(maildrop)
        {
            readers.retain(|other| *other != id);
            if readers.is_empty() {
                self.sessions.readers.remove(maildrop);
                self.index.forget(maildrop);
            }
        }
        self.forget_jobs(session.tenant, id);
        self.journal.session_end(&SessionEnd {
            session: id,
            end,
            client: session.client,
            upstream: session.upstream,
            user: &session.user,
            counters,
            duration: session.started.elapsed(),
        });
    }

    /// A worker is lost, and its sessions with it.
    pub(crate) fn worker_lost(&mut self, worker: ChildId) {
        let lost: Vec<SessionId> = self
            .sessions
            .live
            .iter()
            .filter(|(_, session)| session.worker == Some(worker))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.end(id, End::Internal, &Counters::default());
        }
    }

    /// Asks every session to end in its protocol.
    pub(crate) fn kick_all(&mut self) {
        let all: Vec<SessionId> = self.sessions.live.keys().copied().collect();
        all.into_iter().for_each(|session| self.kick(session));
    }

    /// Asks a session to end in its protocol.
    pub(crate) fn kick(&mut self, session: SessionId) {
        match self.sessions.live.get(&session).map(|live| live.worker) {
            Some(Some(worker)) => {
                self.children.tell_worker(worker, ToWorker::Kick { session }, Vec::new());
            }
            Some(None) => self.end(session, End::Kicked, &Counters::default()),
            None => {}
        }
    }
}
