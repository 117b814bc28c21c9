//! The supervisor's part in TLS: it gives the keyholder its keys and each worker a link to it, and says which session
//! may have a key used (D29). It sees neither a key nor an octet of a handshake.
use crate::children::{ChildId, Phase};
use crate::event_loop::Supervisor;
use ipc::boot::Role;
use ipc::ids::SessionId;
use ipc::log::{self, Level};
use ipc::supervisor_keyholder::{FromKeyholder, KeyOf, Purpose, ToKeyholder};
use ipc::supervisor_worker::ToWorker;
use policy::intercept::Intercept;
use policy::tls::{ClientMode, ClientSide};
use std::collections::HashMap;
use std::time::Duration;

/// How long a worker waits for the keyholder: far longer than a signature takes, far shorter than a handshake may.
const PATIENCE: Duration = Duration::from_secs(3);
/// How much longer a grant lasts than the handshake that it is for can be waited for.
const SLACK: Duration = Duration::from_secs(10);

/// Which session tickets can be resumed where: a number for each listener of each tenant, by name, so that it stays what
/// it is when a reload changes their order.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    known: HashMap<(String, String), u32>,
}

impl Scopes {
    fn of(&mut self, tenant: &str, listener: &str) -> u32 {
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        *self.known.entry((tenant.to_owned(), listener.to_owned())).or_insert(next)
    }
}

impl Supervisor {
    /// A keyholder is confined: it gets its keys, and says when it has read them.
    pub(crate) fn prepare_keyholder(&mut self, id: ChildId) -> bool {
        let generation = self.generation;
        let Some((fd, len)) = self.slices.keyholder() else { return false };
        if !self.children.tell_keyholder(id, ToKeyholder::Policy { generation, len }, vec![fd]) {
            return false;
        }
        for (file, fd) in self.slices.tls().minting().collect::<Vec<_>>() {
            if !self.children.tell_keyholder(id, ToKeyholder::Tls { generation, file }, vec![fd]) {
                return false;
            }
        }
        for (of, files) in self.slices.tls().keys().collect::<Vec<_>>() {
            let passphrase = files.len() == 2;
            if !self.children.tell_keyholder(id, ToKeyholder::Key { generation, of, passphrase }, files) {
                return false;
            }
        }
        self.children.tell_keyholder(id, ToKeyholder::Complete { generation }, Vec::new())
    }

    /// The keyholder says.
    pub(crate) fn keyholder_said(&mut self, id: ChildId, message: FromKeyholder) {
        match message {
            FromKeyholder::Loaded { generation, problems } => self.keys_loaded(id, generation, &problems),
            FromKeyholder::Misuse { worker, session, why } => {
                let fields = [("session", session.to_string()), ("why", log::printable(&why, 256))];
                self.journal.note(
                    Level::Error,
                    "a worker asked the keyholder for what it was not granted",
                    &fields,
                );
                self.condemn(ChildId(worker), "misuse of the keyholder");
            }
        }
    }

    fn keys_loaded(&mut self, id: ChildId, generation: u64, problems: &[(KeyOf, String)]) {
        let policy = std::rc::Rc::clone(&self.policy);
        for (of, why) in problems.iter().filter(|_| generation == self.generation) {
            let path = match of {
                KeyOf::ClientTls { tls, certificate } => policy
                    .client_tls
                    .get(usize::from(*tls))
                    .and_then(|tls| tls.certificates.get(usize::from(*certificate))),
                KeyOf::ServerTls { tls } => {
                    policy.server_tls.get(usize::from(*tls)).and_then(|tls| tls.certificate.as_ref())
                }
                KeyOf::Authority { tls, untrusted } => {
                    let tls = policy.client_tls.get(usize::from(*tls));
                    tls.and_then(|tls| tls.intercept.as_ref()).and_then(|intercept| {
                        if *untrusted { intercept.untrusted_ca.as_ref() } else { Some(&intercept.ca) }
                    })
                }
            };
            let path = path.map_or_else(|| of.to_string(), |pair| pair.key.display().to_string());
            let why = log::printable(why, 256);
            if !self.announced {
                self.fatal = Some(format!("{path}: {why}"));
            }
            let fields = [("file", path), ("why", why)];
            self.journal.note(Level::Error, "a private key cannot be used: handshakes with it fail", &fields);
        }
        let Some(child) = self.children.get_mut(id).filter(|child| child.phase == Phase::Preparing) else {
            return;
        };
        child.phase = Phase::Serving;
        let workers: Vec<ChildId> = self
            .children
            .iter()
            .filter(|(_, child)| child.role == Role::Worker && child.phase == Phase::Serving)
            .map(|(id, _)| id)
            .collect();
        for worker in workers {
            self.join_keyholder(worker);
        }
        self.grant_again();
        for tenant in 0..u16::try_from(self.policy.tenants.len()).unwrap_or(u16::MAX) {
            self.seat_waiting(tenant);
        }
        self.announce();
    }

    /// Gives a worker a link to the keyholder, if there is one.
    pub(crate) fn join_keyholder(&mut self, worker: ChildId) {
        let Some(keyholder) = self.keyholder() else { return };
        match ipc::link::asking_pair(PATIENCE) {
            Ok((asks, answers)) => {
                let message = ToKeyholder::Worker { worker: worker.0 };
                if self.children.tell_keyholder(keyholder, message, vec![answers]) {
                    self.children.tell_worker(worker, ToWorker::Keyholder, vec![asks]);
                }
            }
            Err(error) => {
                let fields = [("error", error.to_string())];
                self.journal.note(Level::Error, "a worker has no link to the keyholder", &fields);
            }
        }
    }

    fn keyholder(&self) -> Option<ChildId> {
        self.children.serving(Role::Keyholder, 0).map(|(id, _)| id).next()
    }

    /// Whether this session has to wait for a keyholder.
    pub(crate) fn waits_for_keys(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let with_client =
            self.policy.client_side(session.listener, session.session_rule).mode != ClientMode::Off;
        let needed = with_client || session.rule.and_then(|rule| self.server_purpose(rule)).is_some();
        needed && self.keyholder().is_none()
    }

    /// What the session does about TLS towards its client; if anything, one handshake is granted.
    pub(crate) fn grant_client(&mut self, id: SessionId, worker: ChildId) -> ClientSide {
        let none = ClientSide { mode: ClientMode::Off, client_tls: 0 };
        let Some(session) = self.sessions.get(id) else { return none };
        let side = self.policy.client_side(session.listener, session.session_rule);
        // Where TLS is intercepted the grant comes with the server.
        if side.mode != ClientMode::Off && self.intercepted(id).is_none() {
            let listener = self.policy.listeners.get(usize::from(session.listener));
            let tenant = self.policy.tenants.get(usize::from(session.tenant));
            let names = (tenant.map_or("", |name| name), listener.map_or("", |listener| &listener.name));
            let scope = self.scopes.of(names.0, names.1);
            self.grant_key(id, worker, Purpose::Client { tls: side.client_tls, scope });
        }
        side
    }

    /// The keyholder is another one and knows of no grant: sessions that have not logged in may have their handshakes still
    /// before them.
    fn grant_again(&mut self) {
        let before_login = self.sessions.live.iter().filter(|(_, session)| !session.logged_in);
        let waiting: Vec<(SessionId, ChildId)> =
            before_login.filter_map(|(id, session)| Some((*id, session.worker?))).collect();
        for (id, worker) in waiting {
            self.grant_client(id, worker);
            self.grant_server(id, worker);
        }
    }

    /// How the TLS of a session is intercepted, if it is.
    pub(crate) fn intercepted(&self, id: SessionId) -> Option<&Intercept> {
        let session = self.sessions.get(id)?;
        self.policy.intercepts(session.listener, session.session_rule, session.destination.redirected)
    }

    /// If the server may be shown a certificate, one handshake is granted; where TLS is intercepted, so is the one with the
    /// client.
    pub(crate) fn grant_server(&mut self, id: SessionId, worker: ChildId) {
        if let Some(session) = self.sessions.get(id)
            && self.intercepted(id).is_some()
            && let Some(rule) = session.rule.and_then(|rule| self.policy.command_acls.get(usize::from(rule)))
        {
            let tls = self.policy.client_side(session.listener, session.session_rule).client_tls;
            let server_tls = rule.session.server_tls;
            self.grant_key(id, worker, Purpose::Intercept { tls, server_tls });
        }
        let rule = self.sessions.get(id).and_then(|session| session.rule);
        if let Some(purpose) = rule.and_then(|rule| self.server_purpose(rule)) {
            self.grant_key(id, worker, purpose);
        }
    }

    fn server_purpose(&self, rule: u16) -> Option<Purpose> {
        let tls = self.policy.command_acls.get(usize::from(rule))?.session.server_tls;
        let settings = self.policy.server_tls.get(usize::from(tls))?;
        settings.certificate.as_ref().map(|_| Purpose::Server { tls })
    }

    fn grant_key(&mut self, session: SessionId, worker: ChildId, purpose: Purpose) {
        let generation = self.generation;
        let handshake = match purpose {
            Purpose::Client { tls, .. } | Purpose::Intercept { tls, .. } => {
                self.policy.client_tls.get(usize::from(tls)).map_or(Duration::ZERO, |tls| tls.deadline)
            }
            Purpose::Server { .. } => Duration::ZERO,
        };
        let lasts = self.policy.login.deadline.saturating_add(handshake).saturating_add(SLACK);
        let seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
        if let Some(keyholder) = self.keyholder() {
            let message = ToKeyholder::Grant { worker: worker.0, session, generation, purpose, seconds };
            self.children.tell_keyholder(keyholder, message, Vec::new());
        }
    }
}
