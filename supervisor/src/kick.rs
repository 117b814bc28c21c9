//! A session that shall end (an operator says so, the rules, `max-time`): its worker is asked to end it in its protocol; a worker that
//! does not is not asked again. The
//! connections are cut by the kernel then, and a worker that keeps the session all the same does not live on.
use crate::destroy::destroy;
use crate::event_loop::Supervisor;
use ipc::ids::SessionId;
use ipc::log::Level;
use ipc::supervisor_worker::{Counters, End, ToWorker};
use std::time::{Duration, Instant};

/// How long a session has for its last words.
const GRACE: Duration = Duration::from_secs(5);
/// How long its worker has to notice that its connections are gone.
const CUT: Duration = Duration::from_secs(5);
/// The same where they could not be cut: no phase of a session that waits without listening lasts longer by default.
const NOT_CUT: Duration = Duration::from_secs(30);

/// How far the end of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kicked {
    /// Its worker was asked.
    Asked(Instant),
    /// Its worker has until then.
    Cut(Instant),
}

impl Supervisor {
    /// Asks every session to end in its protocol.
    pub(crate) fn kick_all(&mut self) {
        let all: Vec<SessionId> = self.sessions.live.keys().copied().collect();
        all.into_iter().for_each(|session| self.kick(session));
    }

    /// Asks a session to end in its protocol.
    pub(crate) fn kick(&mut self, id: SessionId) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        match session.worker {
            Some(worker) => {
                if session.kicked.is_none() {
                    session.kicked = Some(Kicked::Asked(Instant::now()));
                }
                self.children.tell_worker(worker, ToWorker::Kick { session: id }, Vec::new());
            }
            None => self.end(id, End::Kicked, &Counters::default()),
        }
    }

    /// Ends by force what did not end in its time, and tells what is over `max-time` to end: its worker should have done that by
    /// itself.
    pub(crate) fn kicks_overdue(&mut self) {
        let now = Instant::now();
        let rules = &self.policy.command_acls;
        let over_time: Vec<SessionId> = self
            .sessions
            .live
            .iter()
            .filter(|(_, session)| {
                let rule = session.rule.and_then(|rule| rules.get(usize::from(rule)));
                let most = rule.and_then(|rule| rule.session.max_time);
                let over = most.is_some_and(|most| now.duration_since(session.started) >= most + GRACE);
                over && session.kicked.is_none()
            })
            .map(|(id, _)| *id)
            .collect();
        over_time.into_iter().for_each(|id| self.kick(id));
        let overdue: Vec<(SessionId, Kicked)> = self
            .sessions
            .live
            .iter()
            .filter_map(|(id, session)| Some((*id, session.kicked?)))
            .filter(|(_, kicked)| match kicked {
                Kicked::Asked(since) => now.duration_since(*since) >= GRACE,
                Kicked::Cut(until) => now >= *until,
            })
            .collect();
        for (id, kicked) in overdue {
            match kicked {
                Kicked::Asked(_) => self.cut(id, now),
                Kicked::Cut(_) => {
                    if let Some(worker) = self.sessions.get(id).and_then(|session| session.worker) {
                        self.condemn(worker, "does not end a session that it was told to end");
                    }
                }
            }
        }
    }

    fn cut(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let client = destroy(session.local, session.client);
        let server = session.dialled.map_or(Ok(()), |ends| destroy(ends.from, ends.to));
        let cut = client.and(server);
        session.kicked = Some(Kicked::Cut(now + if cut.is_ok() { CUT } else { NOT_CUT }));
        let fields = [
            ("session", id.to_string()),
            ("error", cut.err().map(|error| error.desc().to_owned()).unwrap_or_default()),
        ];
        self.journal.note(Level::Warn, "session does not end: its connections are cut", &fields);
    }
}
