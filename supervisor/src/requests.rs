//! What workers say of their sessions: logins, changed mails, spool files, the end. Checks that each speaks only of its own.
use crate::children::ChildId;
use crate::event_loop::Supervisor;
use crate::handover::Server;
use crate::records::SessionEnd;
use ipc::ids::{MailId, SessionId};
use ipc::log::Level;
use ipc::supervisor_worker::{ChangedMail, Counters, End, FromWorker, ToWorker};
use std::rc::Rc;

/// Entries of the index in one message: each at most 128 octets encoded, so it stays below the message limit.
const PIECE: usize = 400;
/// RFC 1939 section 7: a unique-id has at most 70 octets.
const MAX_UIDL: usize = 70;

impl Supervisor {
    /// A worker says something of a session: it must be one of its own.
    pub(crate) fn worker_said(&mut self, worker: ChildId, message: FromWorker) {
        let id = match &message {
            FromWorker::Learnt { session, .. }
            | FromWorker::Again { session }
            | FromWorker::LoggedIn { session, .. }
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
            FromWorker::Learnt { session, learnt } => self.learnt(worker, session, learnt),
            FromWorker::Again { session } => self.dial_again(worker, session),
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
    pub(crate) fn end(&mut self, id: SessionId, end: End, counters: &Counters) {
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
