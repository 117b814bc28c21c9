//! What each session may still have done: a signature is worth a handshake, and a session has one with its client.
use ipc::ids::SessionId;
use ipc::supervisor_keyholder::Purpose;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;
use tls::Minted;

/// A worker and one of its sessions; towards its client or its server.
type Place = (u64, SessionId, bool);

/// Tickets that a client may show in one handshake; it shows what it likes, so more of them are no misuse.
const MOST_OPENED: u8 = 8;

/// What one grant is still good for.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) generation: u64,
    pub(crate) purpose: Purpose,
    /// The certificate that was minted for the session.
    pub(crate) minted: Option<Rc<Minted>>,
    mints: u8,
    signatures: u8,
    tickets: u8,
    opened: u8,
}

/// Every grant that was not forgotten.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    live: HashMap<Place, (Grant, u64)>,
    /// By their end; a later grant of the same place has another number.
    ends: BTreeMap<(Instant, u64), Place>,
    next: u64,
}

/// Why something is not done: the worker asks for what nobody gave it.
pub(crate) type Misuse = &'static str;

impl Grants {
    /// A worker may have a key used for a session.
    pub(crate) fn add(
        &mut self,
        (worker, session): (u64, SessionId),
        generation: u64,
        purpose: Purpose,
        time: Range<Instant>,
    ) {
        self.forget(time.start);
        let (client, mints, tickets) = match purpose {
            Purpose::Client { .. } => (true, 0, 1),
            Purpose::Intercept { .. } => (true, 1, 0),
            Purpose::Server { .. } => (false, 0, 0),
        };
        let place = (worker, session, client);
        self.next += 1;
        let grant = Grant { generation, purpose, minted: None, mints, signatures: 1, tickets, opened: 0 };
        self.live.insert(place, (grant, self.next));
        self.ends.insert((time.end, self.next), place);
    }

    fn forget(&mut self, now: Instant) {
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, number), place) = first.remove_entry();
            if self.live.get(&place).is_some_and(|(_, live)| *live == number) {
                self.live.remove(&place);
            }
        }
    }

    /// A worker is gone, and its grants with it.
    pub(crate) fn worker_gone(&mut self, worker: u64) {
        self.live.retain(|(owner, _, _), _| *owner != worker);
    }

    pub(crate) fn is_known(&self, worker: u64, session: SessionId, client: bool) -> bool {
        self.live.contains_key(&(worker, session, client))
    }

    /// Uses up the signature.
    pub(crate) fn sign(&mut self, worker: u64, session: SessionId, client: bool) -> Result<Grant, Misuse> {
        let grant = self.get(worker, session, client)?;
        grant.signatures = grant.signatures.checked_sub(1).ok_or("a second signature for one handshake")?;
        Ok(grant.clone())
    }

    /// Uses up the certificate that may be minted; what comes of it is put into [`Grant::minted`] by [`Grants::minted`].
    pub(crate) fn mint(&mut self, worker: u64, session: SessionId) -> Result<Grant, Misuse> {
        let grant = self.get(worker, session, true)?;
        grant.mints = grant.mints.checked_sub(1).ok_or("a certificate that it was not granted")?;
        Ok(grant.clone())
    }

    /// This certificate is the session's.
    pub(crate) fn minted(&mut self, worker: u64, session: SessionId, minted: Rc<Minted>) {
        if let Ok(grant) = self.get(worker, session, true) {
            grant.minted = Some(minted);
        }
    }

    /// Uses up the ticket.
    pub(crate) fn seal(&mut self, worker: u64, session: SessionId) -> Result<Grant, Misuse> {
        let grant = self.get(worker, session, true)?;
        grant.tickets = grant.tickets.checked_sub(1).ok_or("a second ticket for one handshake")?;
        Ok(grant.clone())
    }

    /// Counts a ticket that the client showed; `None`: it showed too many.
    pub(crate) fn open(&mut self, worker: u64, session: SessionId) -> Result<Option<Grant>, Misuse> {
        let grant = self.get(worker, session, true)?;
        grant.opened = grant.opened.saturating_add(1);
        Ok((grant.opened <= MOST_OPENED).then(|| grant.clone()))
    }

    fn get(&mut self, worker: u64, session: SessionId, client: bool) -> Result<&mut Grant, Misuse> {
        let grant = self.live.get_mut(&(worker, session, client)).map(|(grant, _)| grant);
        grant.ok_or("a session that it was granted nothing for")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CLIENT: Purpose = Purpose::Client { tls: 0, scope: 1 };
    const SESSION: SessionId = SessionId(7);
    const MINUTE: Duration = Duration::from_secs(60);

    fn minute(start: Instant) -> Range<Instant> {
        start..start + MINUTE
    }

    #[test]
    fn a_grant_is_good_for_one_signature_and_one_ticket_of_its_own_worker() {
        let mut grants = Grants::default();
        grants.add((1, SESSION), 3, CLIENT, minute(Instant::now()));
        assert!(grants.sign(2, SESSION, true).is_err(), "another worker");
        assert!(grants.sign(1, SessionId(8), true).is_err(), "another session");
        assert!(grants.sign(1, SESSION, false).is_err(), "towards the server");
        assert_eq!(grants.sign(1, SESSION, true).map(|grant| grant.generation), Ok(3));
        assert!(grants.sign(1, SESSION, true).is_err(), "twice");
        assert!(grants.seal(1, SESSION).is_ok() && grants.seal(1, SESSION).is_err());
    }

    #[test]
    fn a_client_may_show_tickets_without_end_and_few_are_looked_at() {
        let mut grants = Grants::default();
        grants.add((1, SESSION), 3, CLIENT, minute(Instant::now()));
        let looked_at = (0..300).filter(|_| grants.open(1, SESSION).unwrap().is_some()).count();
        assert_eq!(looked_at, usize::from(MOST_OPENED));
    }

    #[test]
    fn what_was_not_used_is_forgotten_and_a_new_grant_is_not_forgotten_with_it() {
        let (mut grants, start) = (Grants::default(), Instant::now());
        let half = MINUTE / 2;
        grants.add((1, SESSION), 3, CLIENT, minute(start));
        grants.add((1, SESSION), 4, CLIENT, minute(start + half));
        grants.add((1, SessionId(9)), 4, CLIENT, minute(start + MINUTE));
        assert!(grants.is_known(1, SESSION, true), "the second one");
        grants.add((1, SessionId(9)), 4, CLIENT, minute(start + 2 * MINUTE));
        assert!(!grants.is_known(1, SESSION, true));
        assert_eq!(grants.ends.len(), 1);
        grants.worker_gone(1);
        assert!(grants.live.is_empty());
    }
}
