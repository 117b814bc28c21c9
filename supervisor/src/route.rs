//! The way of a session to its server: where it goes, asking lookup for names, dialling, and telling its worker.
use crate::children::ChildId;
use crate::dial::{self, Dialled, Target};
use crate::event_loop::Supervisor;
use crate::handover::Server;
use crate::original_dst::Ends;
use ipc::boot::Role;
use ipc::ids::SessionId;
use ipc::log::Level;
use ipc::supervisor_lookup::{FromLookup, ToLookup};
use ipc::supervisor_worker::{NoServer, ToWorker};
use policy::intercept::CertificateAsked;
use policy::model::PlugTo;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Lookup gets this long beyond its own `timeout`.
const LOOKUP_GRACE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Finds out where a session goes, and begins to dial.
    pub(crate) fn route(&mut self, id: SessionId) {
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let rule = session.rule.and_then(|rule| policy.command_acls.get(usize::from(rule)));
        let Some(rule) = rule else { return };
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

    pub(crate) fn lookup(&self) -> Option<ChildId> {
        self.children.serving(Role::Lookup, 0).map(|(child, _)| child).next()
    }

    fn ask_lookup(&mut self, session: SessionId) {
        let Some(rule) = self.sessions.live.get(&session).and_then(|session| session.rule) else { return };
        if let Some(lookup) = self.lookup() {
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
        let deciding = self.sessions.live.iter().filter(|(_, session)| session.deciding.is_some());
        let deciding: Vec<SessionId> = deciding.map(|(id, _)| *id).collect();
        for id in deciding {
            self.ask_rule(id);
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
            self.not_resolved(id);
        }
    }

    fn asked(&self, matches: impl Fn(Instant) -> bool) -> Vec<SessionId> {
        self.sessions
            .live
            .iter()
            .filter(|(_, session)| match session.server {
                Server::Asked { until } => matches(until),
                Server::Undecided | Server::Dialling | Server::Waiting(_) | Server::Told { .. } => false,
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
            FromLookup::Decided { session, generation, rule } => {
                self.rule_decided(child, session, generation, rule);
                return;
            }
            FromLookup::NameDecides { session, generation } => {
                self.name_decides(child, session, generation);
                return;
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
            Some(targets) if session.rule == Some(rule) && targets.len() <= 16 => {
                if targets.is_empty() {
                    self.not_resolved(id);
                } else {
                    self.dial(id, targets, NoServer::Loop);
                }
            }
            Some(_) | None => self.condemn(child, "lookup answers what was not asked"),
        }
    }

    /// The connection of an intercepted session shall be relayed unseen: a server that heard one handshake cannot hear another,
    /// so the same address is dialled once more.
    pub(crate) fn dial_again(&mut self, worker: ChildId, id: SessionId) {
        let may = self.intercepted(id).is_some_and(|intercept| {
            !intercept.bypass.is_empty() || intercept.certificate_asked == CertificateAsked::Bypass
        });
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let connected = matches!(session.server, Server::Told { connected: true });
        let Some(address) = session.upstream.filter(|_| connected && !session.again) else {
            self.condemn(worker, "asks for a second server out of place");
            return;
        };
        session.again = true;
        if !may {
            // The worker asks by a policy that a reload replaced meanwhile, or lies.
            self.no_server(id, NoServer::Denied);
            return;
        }
        self.dial(id, vec![Target { address, item: None, name: None }], NoServer::Loop);
    }

    /// Dials the targets that are not ourselves; `none` is said where none is left.
    fn dial(&mut self, id: SessionId, mut targets: Vec<Target>, none: NoServer) {
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get(&id) else { return };
        let Some(index) = session.rule else { return };
        let Some(rule) = policy.command_acls.get(usize::from(index)) else { return };
        let Some(listener) = policy.listeners.get(usize::from(session.listener)) else { return };
        // Before anything is held against the address: a port that is not written is the protocol's.
        for target in targets.iter_mut().filter(|target| target.address.port() == 0) {
            target.address.set_port(policy.server_port(rule, listener.protocol));
        }
        targets.retain(|target| !self.own.contain(target.address) && !self.leads_back(target.address));
        if targets.is_empty() {
            self.no_server(id, none);
            return;
        }
        self.balance.order(index, rule.plug_to.len(), &mut targets, Instant::now());
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        session.server = Server::Dialling;
        let task = dial::dial(id, targets, rule.connect_timeout, self.events.clone());
        session.dialling = Some(tokio::task::spawn_local(task).abort_handle());
    }

    /// No name of the rule's servers stands for an address.
    fn not_resolved(&mut self, id: SessionId) {
        let policy = Rc::clone(&self.policy);
        let rule = self.sessions.live.get(&id).and_then(|session| session.rule);
        let rule = rule.and_then(|rule| policy.command_acls.get(usize::from(rule)));
        let names = rule.map(|rule| &rule.plug_to).into_iter().flatten().filter_map(|item| match item {
            PlugTo::Name { host, .. } => Some(host.as_str()),
            PlugTo::Address(_) => None,
        });
        let fields = [("session", id.to_string()), ("names", names.collect::<Vec<_>>().join(" "))];
        self.journal.note(Level::Warn, "names of servers do not resolve", &fields);
        self.no_server(id, NoServer::NotResolved);
    }

    /// Servers that a dial did not reach, whether or not it reached another one.
    pub(crate) fn note_failures(&mut self, id: SessionId, failures: &[(SocketAddr, String)]) {
        for (address, why) in failures {
            let fields =
                [("session", id.to_string()), ("server", address.to_string()), ("detail", why.clone())];
            self.journal.note(Level::Warn, "server cannot be reached", &fields);
        }
    }

    /// A dial ended.
    pub(crate) fn dialled(&mut self, id: SessionId, outcome: Result<Dialled, NoServer>, failed: &[u16]) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        session.dialling = None;
        let reached = outcome.as_ref().ok().and_then(|server| server.target.item);
        if let Some(rule) = session.rule {
            self.balance.outcome(rule, failed, reached, Instant::now());
        }
        let mut outcome = outcome;
        if let Ok(server) = &outcome {
            session.upstream = Some(server.target.address);
            session.server_key = server.target.key();
            let ends = Ends::of(server.from, server.target.address);
            if let Some(former) = session.dialled.replace(ends) {
                self.sessions.dialled.remove(&former);
            }
            self.sessions.dialled.insert(ends);
            if self.sessions.accepted.contains(&ends) {
                outcome = Err(NoServer::Loop);
                self.came_back(ends);
            }
        }
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        session.server = Server::Waiting(outcome);
        self.tell_server(id);
    }

    pub(crate) fn no_server(&mut self, id: SessionId, why: NoServer) {
        if let Some(session) = self.sessions.live.get_mut(&id) {
            session.server = Server::Waiting(Err(why));
            self.tell_server(id);
        }
    }

    /// Tells the worker what came of the dial, once both are there.
    pub(crate) fn tell_server(&mut self, id: SessionId) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let Some(worker) = session.worker else { return };
        if !matches!(session.server, Server::Waiting(_)) {
            return;
        }
        match std::mem::replace(&mut session.server, Server::Told { connected: false }) {
            Server::Waiting(Ok(Dialled { socket, target, .. })) => {
                session.server = Server::Told { connected: true };
                if !session.again {
                    self.grant_server(id, worker);
                }
                let message = ToWorker::Server { session: id, address: target.address, name: target.name };
                self.children.tell_worker(worker, message, vec![socket]);
            }
            Server::Waiting(Err(why)) => {
                self.children.tell_worker(worker, ToWorker::NoServer { session: id, why }, Vec::new());
            }
            Server::Undecided | Server::Asked { .. } | Server::Dialling | Server::Told { .. } => {}
        }
    }
}
