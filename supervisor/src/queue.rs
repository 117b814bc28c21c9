//! Whose turn it is to be scanned: tenants never wait for each other (each has its own scanners), and within a tenant
//! sessions take turns, so that a session with a thousand mails delays another's first by one mail. Pure.
use ipc::ids::SessionId;
use std::collections::{HashMap, VecDeque};

/// What waits, in turns. `T` is a job.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    tenants: HashMap<u16, Turns<T>>,
    length: usize,
    bound: usize,
    session_bound: usize,
}

#[derive(Debug)]
struct Turns<T> {
    /// Sessions with jobs, the next one first; each stands here once.
    order: VecDeque<SessionId>,
    jobs: HashMap<SessionId, VecDeque<T>>,
}

impl<T> Queue<T> {
    /// A queue of at most `bound` jobs, and `session_bound` of one session.
    pub(crate) fn new(bound: usize, session_bound: usize) -> Self {
        Self { tenants: HashMap::new(), length: 0, bound, session_bound }
    }

    /// Adds a job, or gives it back when the queue is full.
    pub(crate) fn push(&mut self, tenant: u16, session: SessionId, job: T) -> Result<(), T> {
        let turns = self.turns(tenant);
        let of_session = turns.jobs.get(&session).map_or(0, VecDeque::len);
        if self.length >= self.bound || of_session >= self.session_bound {
            return Err(job);
        }
        let turns = self.turns(tenant);
        let jobs = turns.jobs.entry(session).or_default();
        if jobs.is_empty() {
            turns.order.push_back(session);
        }
        jobs.push_back(job);
        self.length += 1;
        Ok(())
    }

    /// Puts a job that was already taken back in front of all others: its scanner was lost.
    pub(crate) fn push_front(&mut self, tenant: u16, session: SessionId, job: T) {
        let turns = self.turns(tenant);
        turns.order.retain(|other| *other != session);
        turns.order.push_front(session);
        turns.jobs.entry(session).or_default().push_front(job);
        self.length += 1;
    }

    /// Takes the next job of a tenant; its session goes to the end of the line.
    pub(crate) fn next(&mut self, tenant: u16) -> Option<T> {
        let turns = self.tenants.get_mut(&tenant)?;
        let session = turns.order.pop_front()?;
        let jobs = turns.jobs.get_mut(&session)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            turns.jobs.remove(&session);
        } else {
            turns.order.push_back(session);
        }
        self.length -= 1;
        Some(job)
    }

    /// Drops what an ended session waited for.
    pub(crate) fn forget(&mut self, tenant: u16, session: SessionId) {
        if let Some(turns) = self.tenants.get_mut(&tenant)
            && let Some(jobs) = turns.jobs.remove(&session)
        {
            turns.order.retain(|other| *other != session);
            self.length -= jobs.len();
        }
    }

    fn turns(&mut self, tenant: u16) -> &mut Turns<T> {
        self.tenants.entry(tenant).or_insert_with(|| Turns { order: VecDeque::new(), jobs: HashMap::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue<&'static str>, tenant: u16) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.next(tenant)).collect()
    }

    #[test]
    fn a_session_with_many_mails_delays_another_by_one() {
        let mut queue = Queue::new(100, 100);
        for job in ["a1", "a2", "a3"] {
            queue.push(0, SessionId(1), job).unwrap();
        }
        queue.push(0, SessionId(2), "b1").unwrap();
        queue.push(0, SessionId(3), "c1").unwrap();
        assert_eq!(drain(&mut queue, 0), ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[test]
    fn a_tenant_gets_only_its_own_jobs() {
        let mut queue = Queue::new(100, 100);
        queue.push(0, SessionId(1), "ours").unwrap();
        queue.push(1, SessionId(2), "theirs").unwrap();
        assert_eq!(drain(&mut queue, 1), ["theirs"]);
        assert_eq!(drain(&mut queue, 0), ["ours"]);
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let mut queue = Queue::new(2, 1);
        queue.push(0, SessionId(1), "a1").unwrap();
        assert_eq!(queue.push(0, SessionId(1), "a2"), Err("a2"), "bound of a session");
        queue.push(0, SessionId(2), "b1").unwrap();
        assert_eq!(queue.push(0, SessionId(3), "c1"), Err("c1"), "bound of all");
        assert_eq!(queue.next(0), Some("a1"));
        queue.push(0, SessionId(3), "c1").unwrap();
    }

    #[test]
    fn a_retry_goes_first_and_an_ended_session_leaves_nothing() {
        let mut queue = Queue::new(10, 10);
        queue.push(0, SessionId(1), "a1").unwrap();
        queue.push(0, SessionId(2), "b1").unwrap();
        queue.push(0, SessionId(2), "b2").unwrap();
        queue.push_front(0, SessionId(2), "b0");
        assert_eq!(queue.next(0), Some("b0"));
        queue.forget(0, SessionId(2));
        assert_eq!(drain(&mut queue, 0), ["a1"]);
        assert_eq!(queue.length, 0);
    }
}
