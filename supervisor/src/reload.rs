//! Another policy for a running service: read and checked whole, then swapped in one turn of the event loop (D32). Until
//! the swap nothing has changed, so whatever is wrong changes nothing.
//!
//! Mail rules, engines and limits apply from the next mail of every session. The rules of the first two phases are asked
//! again about each session (`sessions.rs`).
mod sessions;

pub(crate) use sessions::scanned_otherwise;

use crate::boot;
use crate::children::{ChildId, GroupPlan, Phase};
use crate::clock::settle_zone;
use crate::dial::Balance;
use crate::event_loop::Supervisor;
use crate::journal::Journal;
use crate::records::Writer;
use crate::slices::Slices;
use ipc::boot::Role;
use ipc::log::{self, Level};
use ipc::supervisor_scanner::ToScanner;
use policy::model::{Listener, Policy, Service};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

/// Octets of an explanation in the log; the operator who asked gets all of it.
const LOGGED: usize = 2000;

/// What a reload did.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// The number of the policy that applies now; a start has the first.
    pub(crate) generation: u64,
    /// Sessions that go on.
    pub(crate) kept: usize,
    /// Sessions that the new rules ended.
    pub(crate) ended: usize,
    /// Warnings of the loader, drawn.
    pub(crate) notes: String,
}

/// A policy that can take effect, with all that might still have failed.
pub(crate) struct Prepared {
    pub(crate) policy: Policy,
    pub(crate) slices: Slices,
    pub(crate) plans: Vec<GroupPlan>,
}

impl Supervisor {
    /// Reads the configuration again and lets it take effect. `keep_sessions`: sessions stay under the rules that they are
    /// under, by name, whether these would still let them in or not.
    ///
    /// # Errors
    /// What is wrong, for the operator; nothing has changed.
    pub(crate) fn reload(&mut self, by: &str, keep_sessions: bool) -> Result<Reloaded, String> {
        let started = Instant::now();
        let outcome = self.prepare().and_then(|(prepared, notes)| {
            let (kept, ended) = self.take_effect(prepared, keep_sessions)?;
            Ok(Reloaded { generation: self.generation, kept, ended, notes })
        });
        match &outcome {
            Ok(done) => {
                let fields = [
                    ("by", by.to_owned()),
                    ("generation", done.generation.to_string()),
                    ("sessions-kept", done.kept.to_string()),
                    ("sessions-ended", done.ended.to_string()),
                    ("reload-ms", started.elapsed().as_millis().to_string()),
                ];
                self.journal.note(Level::Info, "reloaded", &fields);
            }
            Err(why) => {
                let fields = [("by", by.to_owned()), ("why", log::printable(&one_line(why), LOGGED))];
                self.journal.note(Level::Error, "not reloaded: nothing was changed", &fields);
            }
        }
        outcome
    }

    fn prepare(&self) -> Result<(Prepared, String), String> {
        let (mut policy, notes) = (self.load)()?;
        settle_zone(&mut policy);
        self.names.settle(&mut policy);
        let differences = needs_restart(&self.policy, &policy);
        if !differences.is_empty() {
            return Err(format!(
                "a reload cannot change {}: restart Mailward to apply it",
                differences.join(", ")
            ));
        }
        let slices = Slices::new(&policy)?;
        let plans = boot::plan(&policy, self.identities.as_ref(), self.descriptors);
        for plan in plans.iter().filter(|plan| plan.role == Role::Worker) {
            if self.children.file_limit(plan) < plan.limits.file_size {
                return Err(
                    "a reload cannot raise the largest `max-mail`: running workers are bound by the former one; restart \
                     Mailward to apply it"
                        .to_owned(),
                );
            }
        }
        Ok((Prepared { policy, slices, plans }, notes))
    }

    /// The policy that applies takes effect anew, because something that it names is another by now: addresses of a name,
    /// files. The configuration file is not read; sessions stay.
    ///
    /// # Errors
    /// A sentence; nothing has changed.
    pub(crate) fn take_effect_again(&mut self, policy: Policy) -> Result<(), String> {
        let plans = boot::plan(&policy, self.identities.as_ref(), self.descriptors);
        let slices = Slices::new(&policy)?;
        self.take_effect(Prepared { policy, slices, plans }, true).map(drop)
    }

    /// The swap. Returns how many sessions go on and how many end.
    ///
    /// # Errors
    /// A sentence; nothing has changed.
    pub(crate) fn take_effect(
        &mut self,
        prepared: Prepared,
        keep_sessions: bool,
    ) -> Result<(usize, usize), String> {
        let Prepared { policy, slices, mut plans } = prepared;
        let same_scanners = slices.same_signatures(&self.slices) && self.same_limits(&plans);
        // A limit of files that is smaller now stays what it is: the workers that run have it.
        for plan in plans.iter_mut().filter(|plan| plan.role == Role::Worker) {
            plan.limits.file_size = self.children.file_limit(plan).max(plan.limits.file_size);
        }
        self.children.replan(&plans)?;
        let former = std::mem::replace(&mut self.policy, Rc::new(policy));
        self.generation += 1;
        self.clock = self.policy.service.zone.clone().unwrap_or_default().clock();
        self.slices = slices;
        self.names_renewed();
        self.engines = self.engines.renewed(&former, &self.policy);
        self.spam_filters = self.spam_filters.renewed(&former, &self.policy);
        self.leases.probes.clear();
        self.leases.answers.bound(self.policy.service.answer_cache);
        self.balance = Balance::default();
        if former.log != self.policy.log {
            self.journal = Journal::new(Writer::new(&self.policy.log));
        }
        self.tell_children(same_scanners);
        let counts = self.renew_sessions(&former, keep_sessions);
        self.fill();
        self.start_probes();
        self.ask_names();
        Ok(counts)
    }

    fn same_limits(&self, plans: &[GroupPlan]) -> bool {
        let scanners = |plan: &&GroupPlan| plan.role == Role::Scanner;
        let all = |plan: &GroupPlan| (plan.tenant, plan.limits.file_size, plan.limits.memory);
        let former: HashSet<_> = self.children.plans().filter(scanners).map(all).collect();
        former == plans.iter().filter(scanners).map(all).collect()
    }

    /// Gives every child at work its slice; those that are still starting get it with their first message. Scanners that
    /// compiled other signatures, or are bound by other limits, are replaced: at once, or after the mail that they have.
    fn tell_children(&mut self, same_scanners: bool) {
        let generation = self.generation;
        let all: Vec<(ChildId, Role, u16, Phase)> = self
            .children
            .iter()
            .filter(|(_, child)| child.phase != Phase::Booting)
            .map(|(id, child)| (id, child.role, child.tenant, child.phase))
            .collect();
        for (id, role, tenant, phase) in all {
            match role {
                Role::Worker => {
                    if !self.slices.prepare_worker(&mut self.children, id, tenant, generation) {
                        self.condemn(id, "cannot be given its policy");
                    }
                }
                Role::Scanner if phase == Phase::Leaving => {}
                Role::Scanner if same_scanners => {
                    let told = self.slices.scanner(tenant).is_some_and(|(fd, len)| {
                        self.children.tell_scanner(id, ToScanner::Policy { generation, len }, vec![fd])
                    });
                    if !told {
                        self.condemn(id, "cannot be given its policy");
                    }
                }
                Role::Scanner => self.retire_scanner(id),
                Role::Keyholder => {
                    if !self.prepare_keyholder(id) {
                        self.condemn(id, "cannot be given its keys");
                    }
                }
                Role::Writer => {
                    if self.policy.quarantine.is_none() {
                        self.retire(id);
                    } else if !self.prepare_writer(id) {
                        self.condemn(id, "cannot be given its limits");
                    }
                }
                Role::Lookup => {
                    if !self.prepare_lookup(id) {
                        self.condemn(id, "cannot be given its policy");
                    }
                }
            }
        }
    }

    fn retire(&mut self, id: ChildId) {
        if let Some(child) = self.children.get_mut(id) {
            child.phase = Phase::Leaving;
            self.children.kill(id);
        }
    }

    fn retire_scanner(&mut self, id: ChildId) {
        let Some(scanner) = self.children.get_mut(id) else { return };
        scanner.lives = 0;
        if scanner.lease.is_none() {
            scanner.phase = Phase::Leaving;
            self.children.kill(id);
        }
    }
}

/// What the loader drew, without the drawing.
fn one_line(drawn: &str) -> String {
    let words = |line: &&str| !line.starts_with(|first: char| first == '|' || first.is_ascii_digit());
    drawn.lines().map(str::trim).filter(words).collect::<Vec<_>>().join(" ")
}

/// What differs and was given to the kernel or to children once, in the operator's words.
fn needs_restart(former: &Policy, policy: &Policy) -> Vec<String> {
    let mut differences = Vec::new();
    for listener in &former.listeners {
        match policy.listeners.iter().find(|other| other.name == listener.name) {
            Some(other) if same_sockets(other, listener) => {}
            Some(_) | None => differences.push(format!("[[listener]] {}", listener.name)),
        }
    }
    let known = |name: &str| former.listeners.iter().any(|listener| listener.name == name);
    let added = policy.listeners.iter().filter(|listener| !known(&listener.name));
    differences.extend(added.map(|listener| format!("[[listener]] {}", listener.name)));
    let order =
        |policy: &Policy| policy.listeners.iter().map(|listener| listener.name.clone()).collect::<Vec<_>>();
    if differences.is_empty() && order(former) != order(policy) {
        differences.push("the order of [[listener]]".to_owned());
    }
    if former.tenants != policy.tenants {
        differences.push("[[tenant]]".to_owned());
    }
    if former.control != policy.control {
        differences.push("[control]".to_owned());
    }
    let (old, new) = (&former.service, &policy.service);
    type Same = fn(&Service, &Service) -> bool;
    let items: [(&str, Same); 9] = [
        ("isolation", |a, b| a.process_per_session == b.process_per_session),
        ("require-sandbox", |a, b| a.require_full_sandbox == b.require_full_sandbox),
        ("uid-range", |a, b| a.uid_range == b.uid_range),
        ("accounts", |a, b| a.accounts == b.accounts),
        ("state-dir", |a, b| a.state_dir == b.state_dir),
        ("spool-dir", |a, b| a.spool_dir == b.spool_dir),
        ("max-sessions", |a, b| a.max_sessions == b.max_sessions),
        ("backlog", |a, b| a.backlog == b.backlog),
        ("pid-file", |a, b| a.pid_file == b.pid_file),
    ];
    let changed = items.iter().filter(|(_, same)| !same(old, new));
    differences.extend(changed.map(|(name, _)| format!("`{name}` in [service]")));
    differences
}

/// Whether what was bound and redirected is the same; TLS towards clients can change.
fn same_sockets(a: &Listener, b: &Listener) -> bool {
    a.protocol == b.protocol
        && a.addresses == b.addresses
        && a.tenant == b.tenant
        && a.transparent == b.transparent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn rules_engines_and_limits_need_no_restart() {
        let former = fixtures::policy(1);
        let mut policy = former.clone();
        policy.session_acls.clear();
        policy.engines.clear();
        policy.service.scanners += 1;
        policy.service.workers += 1;
        policy.log.level = "debug".to_owned();
        assert!(needs_restart(&former, &policy).is_empty());
    }

    #[test]
    fn what_was_bound_or_given_away_needs_a_restart_and_is_named() {
        let former = fixtures::policy(1);
        let mut policy = former.clone();
        policy.listeners[0].addresses.push("192.0.2.1:110".parse().unwrap());
        policy.service.state_dir = "/elsewhere".into();
        policy.tenants.push("other".to_owned());
        let listener = format!("[[listener]] {}", former.listeners[0].name);
        assert_eq!(needs_restart(&former, &policy), [&listener, "[[tenant]]", "`state-dir` in [service]"]);
    }
}
