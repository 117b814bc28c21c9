//! The command-acl of a session whose client's certificate or name decides it (D3, D4): the worker says what it learnt in
//! the handshake or from the login, lookup holds the rules against it, and what it answers is held here against everything that is known without
//! the client's words. Those words pass through unread.
use crate::admission::Refusal;
use crate::children::ChildId;
use crate::event_loop::Supervisor;
use crate::handover::Server;
use crate::records::Acl;
use crate::reload::scanned_otherwise;
use ipc::ids::SessionId;
use ipc::log::Level;
use ipc::supervisor_lookup::{Known, ToLookup};
use ipc::supervisor_worker::{NoServer, ToWorker};
use ipc::worker_lookup::MAX_LEARNT;
use policy::acl;
use policy::conditions::Facts;
use std::rc::Rc;

/// Servers that one session may ask for by name: more than a client has attempts.
const MOST_ATTEMPTS: u8 = 100;

impl Supervisor {
    /// A worker learnt what decides about its session.
    pub(crate) fn learnt(&mut self, worker: ChildId, id: SessionId, learnt: Vec<u8>) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        if session.late || session.learnt.is_some() || learnt.len() > MAX_LEARNT {
            self.condemn(worker, "learns out of place");
            return;
        }
        session.learnt = Some(learnt);
        // A reload may have decided it meanwhile without the client's word.
        if session.rule.is_none() {
            self.decide_again(id);
        }
    }

    /// The client of a session in the late plan logs in: once for each attempt, and not after one succeeded.
    pub(crate) fn want_server(&mut self, worker: ChildId, id: SessionId, learnt: Vec<u8>) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let turn = match session.server {
            Server::Undecided => session.deciding.is_none(),
            Server::Told { .. } => true,
            Server::Asked { .. } | Server::Dialling | Server::Waiting(_) => false,
        };
        if !turn || !session.late || session.logged_in || learnt.len() > MAX_LEARNT {
            self.condemn(worker, "asks for a server out of place");
            return;
        }
        session.attempts = session.attempts.saturating_add(1);
        if session.attempts > MOST_ATTEMPTS {
            self.condemn(worker, "asks for servers without end");
            return;
        }
        session.rule = None;
        session.server = Server::Undecided;
        session.learnt = Some(learnt);
        self.decide_again(id);
    }

    /// The certificate leaves the rule open: the worker takes the client's login, and asks then.
    pub(crate) fn name_decides(&mut self, child: ChildId, id: SessionId, generation: u64) {
        if generation != self.generation {
            return;
        }
        let may = self.policy.has_user_rules();
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        if session.deciding.is_none() {
            return;
        }
        if session.late || !may {
            self.condemn(child, "lookup waits for a name that it has or does not need");
            return;
        }
        session.deciding = None;
        if session.rule.is_some() {
            // It is with its server, and the name that it gave there was not kept for this.
            let fields = [("session", id.to_string())];
            self.journal.note(Level::Info, "session ends: the rules ask for its client's name now", &fields);
            self.kick(id);
            return;
        }
        session.learnt = None;
        session.late = true;
        if let Some(worker) = session.worker {
            self.children.tell_worker(worker, ToWorker::Late { session: id }, Vec::new());
        }
    }

    /// Asks lookup for the rule of a session, if its client showed already what it has.
    pub(crate) fn decide_again(&mut self, id: SessionId) {
        let moment = crate::clock::now(&self.clock);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        if session.learnt.is_some() {
            session.deciding = Some(moment);
            self.ask_rule(id);
        }
    }

    /// Asks what a lookup that is lost cannot answer any more, or asks at first.
    pub(crate) fn ask_rule(&mut self, id: SessionId) {
        let policy = Rc::clone(&self.policy);
        let Some(lookup) = self.lookup() else { return };
        let Some(session) = self.sessions.live.get(&id) else { return };
        let Some(listener) = policy.listeners.get(usize::from(session.listener)) else { return };
        let (Some(moment), Some(learnt)) = (session.deciding, session.learnt.clone()) else { return };
        let name = session.client_name.as_deref();
        let facts = self.facts(listener, session.listener, session.client, name, session.destination);
        let known = Box::new(Known::new(&Facts { moment, ..facts }, session.session_rule));
        let message = ToLookup::Decide { session: id, generation: self.generation, known, learnt };
        self.children.tell_lookup(lookup, message, Vec::new());
    }

    /// Lookup knows the rule. Taken only for a session that asked, and only a rule that its addresses and the time leave
    /// open.
    pub(crate) fn rule_decided(&mut self, child: ChildId, id: SessionId, generation: u64, rule: Option<u16>) {
        if generation != self.generation {
            // The policy was reloaded meanwhile, and what it says now was asked again.
            return;
        }
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get(&id) else { return };
        let Some(listener) = policy.listeners.get(usize::from(session.listener)) else { return };
        // Asked twice around a restart.
        let Some(moment) = session.deciding else { return };
        let (session_rule, destination) = (session.session_rule, session.destination);
        let name = session.client_name.clone();
        let facts = self.facts(listener, session.listener, session.client, name.as_deref(), destination);
        let facts = Facts { moment, ..facts };
        if !acl::possible(&policy, &facts, session_rule, rule) {
            self.condemn(child, "lookup decides what cannot be");
            return;
        }
        let former = session.rule;
        if let Some(session) = self.sessions.live.get_mut(&id) {
            session.deciding = None;
        }
        let decided = rule.and_then(|index| Some((index, policy.command_acls.get(usize::from(index))?)));
        let Some((index, acl)) = decided.filter(|(_, acl)| acl.accept) else {
            self.refused(Some(id), &facts, &listener.name, Refusal::Command(rule));
            match former {
                None => self.no_server(id, NoServer::Denied),
                Some(_) => self.kick(id),
            }
            return;
        };
        self.journal.acl(&Acl {
            phase: "command-acl",
            session: Some(id),
            listener: &listener.name,
            client: facts.client,
            destination: facts.destination,
            decision: "accept",
            rule: &acl.session.name,
            parent: policy.session_acls.get(usize::from(session_rule)).map_or("", |rule| &rule.name),
        });
        if let Some(why) = former.and_then(|former| scanned_otherwise(&policy, former, &policy, index)) {
            let fields = [("session", id.to_string()), ("why", why.to_owned())];
            self.journal.note(Level::Info, "session ends: it cannot go on under the new rules", &fields);
            self.kick(id);
            return;
        }
        self.put_under(id, index);
    }

    /// The session is under this rule of the policy in force: its worker is told, and where nobody dials yet, that begins.
    pub(crate) fn put_under(&mut self, id: SessionId, rule: u16) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        session.rule = Some(rule);
        let language = self.policy.language(session.session_rule, Some(rule));
        let (worker, unrouted) =
            (session.worker, matches!(session.server, Server::Undecided | Server::Asked { .. }));
        if let Some(worker) = worker {
            let message = ToWorker::Renew { session: id, generation: self.generation, rule, language };
            self.children.tell_worker(worker, message, Vec::new());
        }
        if unrouted {
            // What lookup may have been asked was of other rules.
            self.route(id);
        }
    }
}
