//! The name of a client, where rules ask for it: lookup confirms it before the rules are asked (D34). A client whose name is
//! not confirmed in time has none.
use crate::children::ChildId;
use crate::event_loop::{Event, Supervisor};
use crate::listener::Accepted;
use ipc::boot::Role;
use ipc::supervisor_lookup::ToLookup;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A connection waits this long; lookup gives up after a second.
const PATIENCE: Duration = Duration::from_millis(1500);
/// An answer counts this long.
const FRESH: Duration = Duration::from_secs(60);
/// Connections that may wait, and answers that are kept.
const MOST: usize = 4096;
/// RFC 1035 section 2.3.4, as text.
const MAX_NAME: usize = 253;

/// What was asked and answered.
#[derive(Debug, Default)]
pub(crate) struct ClientNames {
    /// A rule of the policy in force asks.
    pub(crate) wanted: bool,
    waiting: HashMap<u64, Accepted>,
    known: HashMap<IpAddr, (Option<String>, Instant)>,
    next: u64,
}

impl ClientNames {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted, ..Self::default() }
    }
}

impl Supervisor {
    /// A client connected. Rules that ask for its name wait for it.
    pub(crate) fn accepted(&mut self, accepted: Accepted) {
        if !self.client_names.wanted {
            self.admit(accepted, None);
            return;
        }
        let address = accepted.client.ip().to_canonical();
        let known = self.client_names.known.get(&address).filter(|(_, since)| since.elapsed() < FRESH);
        if let Some((name, _)) = known {
            let name = name.clone();
            self.admit(accepted, name);
            return;
        }
        let lookup = self.children.serving(Role::Lookup, 0).map(|(child, _)| child).next();
        let Some(lookup) = lookup.filter(|_| self.client_names.waiting.len() < MOST) else {
            self.admit(accepted, None);
            return;
        };
        self.client_names.next += 1;
        let question = self.client_names.next;
        self.client_names.waiting.insert(question, accepted);
        self.children.tell_lookup(lookup, ToLookup::Client { question, address }, Vec::new());
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(PATIENCE).await;
            let _ = events.send(Event::NotConfirmed { question }).await;
        });
    }

    /// Lookup answered. One that comes too late is for nobody.
    pub(crate) fn client_confirmed(&mut self, child: ChildId, question: u64, name: Option<String>) {
        if name.as_ref().is_some_and(|name| name.len() > MAX_NAME) || question > self.client_names.next {
            self.condemn(child, "lookup answers what was not asked");
            return;
        }
        let Some(accepted) = self.client_names.waiting.remove(&question) else { return };
        if self.client_names.known.len() >= MOST {
            self.client_names.known.clear();
        }
        let address = accepted.client.ip().to_canonical();
        self.client_names.known.insert(address, (name.clone(), Instant::now()));
        self.admit(accepted, name);
    }

    /// It took too long.
    pub(crate) fn client_not_confirmed(&mut self, question: u64) {
        if let Some(accepted) = self.client_names.waiting.remove(&question) {
            self.admit(accepted, None);
        }
    }
}
