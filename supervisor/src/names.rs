//! Names in lists of hosts: lookup is asked at the start and again and again; when what they stand for has changed, that is
//! another policy, which takes effect like a reload. Until a name is known it matches nothing, and behind `!` everything.
use crate::boot::Bound;
use crate::children::ChildId;
use crate::event_loop::Supervisor;
use crate::listener;
use ipc::boot::Role;
use ipc::log::Level;
use ipc::supervisor_lookup::ToLookup;
use policy::host::Names;
use policy::model::Policy;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Lookup is asked again after this time; name servers' answers may be older, as far as they permit.
const REFRESH: Duration = Duration::from_secs(60);

/// What is known of names.
#[derive(Debug, Default)]
pub(crate) struct HostNames {
    /// Of the policy in force, in the order of lookup's slice.
    wanted: Vec<String>,
    /// What was last answered. A name that cannot be resolved for a while stays what it was.
    known: Names,
    /// What the policy in force was settled with.
    settled: Names,
    /// Indices that have yet to be answered.
    open: BTreeSet<u16>,
    asked: Option<Instant>,
}

impl HostNames {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self { wanted: policy.host_names().into_iter().collect(), ..Self::default() }
    }

    /// Another policy is about to take effect: what is known of its names is filled in.
    pub(crate) fn settle(&self, policy: &mut Policy) {
        policy.settle_names(&self.known);
    }

    /// It took effect.
    pub(crate) fn renew(&mut self, policy: &Policy) {
        self.wanted = policy.host_names().into_iter().collect();
        let wanted = &self.wanted;
        self.known.retain(|name, _| wanted.binary_search(name).is_ok());
        self.settled.clone_from(&self.known);
        self.open.clear();
        self.asked = None;
    }
}

/// Listeners that are bound, and wait for names before clients are taken from their backlogs.
pub(crate) struct Pending {
    pub(crate) listeners: Vec<Bound>,
    pub(crate) places: Arc<Semaphore>,
    /// `startup-timeout` ends here.
    pub(crate) until: Instant,
}

impl Supervisor {
    /// Asks for every name, if it is time and lookup is there.
    pub(crate) fn ask_names(&mut self) {
        let due = self.names.asked.is_none_or(|asked| asked.elapsed() >= REFRESH);
        if self.names.wanted.is_empty() || !due {
            return;
        }
        let Some(lookup) = self.children.serving(Role::Lookup, 0).map(|(child, _)| child).next() else {
            return;
        };
        self.names.asked = Some(Instant::now());
        let count = u16::try_from(self.names.wanted.len()).unwrap_or(u16::MAX);
        self.names.open = (0..count).collect();
        for index in 0..count {
            let message = ToLookup::Host { generation: self.generation, index };
            self.children.tell_lookup(lookup, message, Vec::new());
        }
    }

    /// Lookup was restarted, and may not have answered.
    pub(crate) fn ask_names_again(&mut self) {
        self.names.asked = None;
        self.ask_names();
    }

    /// Lookup answered. Taken only once, and only for what was asked.
    pub(crate) fn name_answered(
        &mut self,
        child: ChildId,
        generation: u64,
        index: u16,
        addresses: Option<Vec<IpAddr>>,
    ) {
        if generation != self.generation {
            // The policy was reloaded meanwhile, and everything was asked again.
            return;
        }
        if !self.names.open.remove(&index) {
            self.condemn(child, "lookup answers what was not asked");
            return;
        }
        let name = self.names.wanted.get(usize::from(index)).cloned();
        if let (Some(name), Some(mut addresses)) = (name, addresses) {
            addresses.sort_unstable();
            addresses.dedup();
            self.names.known.insert(name, addresses);
        }
        if self.names.open.is_empty() {
            self.names_are_known();
        }
    }

    fn names_are_known(&mut self) {
        if self.names.known != self.names.settled {
            let asked = self.names.asked;
            let mut policy = Policy::clone(&self.policy);
            self.names.settle(&mut policy);
            match self.take_effect_again(policy) {
                Ok(_) => {
                    self.names.asked = asked;
                    let fields = [("generation", self.generation.to_string())];
                    self.journal.note(
                        Level::Info,
                        "names in lists of hosts stand for other addresses",
                        &fields,
                    );
                }
                Err(why) => self.journal.note(Level::Error, "names cannot take effect", &[("why", why)]),
            }
        }
        self.begin_accepting();
    }

    /// Takes clients, once.
    pub(crate) fn begin_accepting(&mut self) {
        let Some(Pending { listeners, places, .. }) = self.pending.take() else { return };
        for bound in listeners {
            let places = Arc::clone(&places);
            let events = self.events.clone();
            let task = listener::accept(bound.socket, bound.listener, bound.transparent, places, events);
            self.accepting.push(tokio::task::spawn_local(task).abort_handle());
        }
        self.announce();
    }

    /// The start waits no longer than `startup-timeout`.
    pub(crate) fn names_overdue(&mut self) {
        self.ask_names();
        if self.pending.as_ref().is_some_and(|pending| pending.until <= Instant::now()) {
            let missing: Vec<&str> = self
                .names
                .wanted
                .iter()
                .filter(|name| !self.names.known.contains_key(*name))
                .map(String::as_str)
                .collect();
            let fields = [("names", missing.join(" "))];
            self.journal.note(Level::Warn, "started without knowing all names in lists of hosts", &fields);
            self.names_are_known();
        }
    }

    /// The policy in force, for reading beside what changes.
    pub(crate) fn names_renewed(&mut self) {
        let policy = Rc::clone(&self.policy);
        self.names.renew(&policy);
        self.client_names.wanted = policy.asks_client_names();
    }
}
