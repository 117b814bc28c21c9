//! What workers say of their sessions: spool files, the end, and what other files answer. Checks that each speaks only of its own.
use crate::children::ChildId;
use crate::event_loop::Supervisor;
use crate::records::SessionEnd;
use ipc::ids::{MailId, SessionId};
use ipc::log::Level;
use ipc::supervisor_worker::{Counters, End, FromWorker, ToWorker};

impl Supervisor {
    /// A worker says something of a session: it must be one of its own.
    pub(crate) fn worker_said(&mut self, worker: ChildId, message: FromWorker) {
        let id = match &message {
            FromWorker::Learnt { session, .. }
            | FromWorker::WantServer { session, .. }
            | FromWorker::Again { session }
            | FromWorker::LoggedIn { session, .. }
            | FromWorker::NeedSpool { session, .. }
            | FromWorker::NeedScan { session, .. }
            | FromWorker::Selected { session, .. }
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
            FromWorker::WantServer { session, learnt } => self.want_server(worker, session, learnt),
            FromWorker::Again { session } => self.dial_again(worker, session),
            FromWorker::LoggedIn { session, user } => self.logged_in(worker, session, &user),
            FromWorker::NeedSpool { session, mail } => self.need_spool(worker, session, mail),
            FromWorker::NeedScan { session, mail, direction, size, sha256, changed } => {
                self.need_scan(worker, (session, mail), direction, (sha256, size), changed);
            }
            FromWorker::Selected { session, selection, mailbox, uid_validity } => {
                self.selected(worker, session, selection, &mailbox, uid_validity);
            }
            FromWorker::Store { session, selection, mail, entry } => {
                self.store(worker, session, (selection, mail), entry);
            }
            FromWorker::SessionEnded { session, end, counters } => {
                if let Some(child) = self.children.get_mut(worker) {
                    child.sessions = child.sessions.saturating_sub(1);
                }
                self.end(session, end, &counters);
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
        self.sessions.accepted.remove(&session.ends);
        if let Some(ends) = session.dialled {
            self.sessions.dialled.remove(&ends);
        }
        self.admission.release(session.tenant, session.client.ip(), session.session_rule);
        if let Some(waiting) = self.sessions.waiting.get_mut(&session.tenant) {
            waiting.retain(|other| *other != id);
        }
        if let Some((_, mailbox)) = session.mailbox {
            self.leave(id, &mailbox);
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
}
