//! Phases 1 and 2: who may connect, and what the session may do. Pure: facts in, rule and reason out. Called by the
//! supervisor for every connection, by lookup where what a client said decides, and by `mailward test`, which watches.
use crate::conditions::{Facts, Verdict};
use crate::model::Policy;
use crate::names::Language;
use crate::slice::LookupSlice;

/// What a phase decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Rule with this index accepts.
    Accept(u16),
    /// Rule with this index denies.
    Deny(u16),
    /// No rule matched, which denies.
    NoMatch,
    /// Phase 2 only: rule with this index may match, and this condition is not known yet. The decision is made again,
    /// from the top, when it is.
    Waits(u16, &'static str),
}

impl Policy {
    /// What a session under these rules is answered in: the command-acl's word, else the session-acl's, else `[service]`'s.
    pub fn language(&self, session_rule: u16, command_rule: Option<u16>) -> Language {
        let command = command_rule.and_then(|rule| self.command_acls.get(usize::from(rule)));
        let command = command.and_then(|rule| rule.language);
        let session = self.session_acls.get(usize::from(session_rule)).and_then(|rule| rule.language);
        command.or(session).unwrap_or(self.service.language)
    }
}

/// Is told of every rule that is tried, in order.
pub trait Watch {
    /// The rule with this index came to this.
    fn tried(&mut self, rule: u16, verdict: Verdict);
}

/// Nobody watches.
impl Watch for () {
    fn tried(&mut self, _: u16, _: Verdict) {}
}

/// Everybody's notebook.
impl Watch for Vec<(u16, Verdict)> {
    fn tried(&mut self, rule: u16, verdict: Verdict) {
        self.push((rule, verdict));
    }
}

/// Phase 1: the first `[[session-acl]]` all of whose conditions hold.
pub fn session(policy: &Policy, facts: &Facts<'_>, watch: &mut impl Watch) -> Decision {
    let rules = policy.session_acls.iter().map(|acl| (&acl.when, acl.accept));
    first(rules, facts, None, watch)
}

/// Phase 2 of a connection that phase 1 accepted by `session_rule`: the first `[[command-acl]]` none of whose conditions
/// fails. If all of them hold it decides, else the decision waits.
pub fn command(policy: &Policy, facts: &Facts<'_>, session_rule: u16, watch: &mut impl Watch) -> Decision {
    let rules = policy.command_acls.iter().map(|acl| (&acl.when, acl.accept));
    first(rules, facts, Some(session_rule), watch)
}

impl LookupSlice {
    /// [`command`], where only the conditions of the rules are known.
    pub fn command(&self, facts: &Facts<'_>, session_rule: u16) -> Decision {
        let rules = self.rules.iter().map(|(when, accept)| (when, *accept));
        first(rules, facts, Some(session_rule), &mut ())
    }
}

/// Whether [`command`] could come to this rule (`None`: to none) if what these facts leave open were known: no earlier rule
/// is certain, and this one does not fail. What somebody else decided is held against it.
pub fn possible(policy: &Policy, facts: &Facts<'_>, session_rule: u16, rule: Option<u16>) -> bool {
    for (acl, index) in policy.command_acls.iter().zip(0_u16..) {
        let verdict = acl.when.hold(facts, Some(session_rule));
        if rule == Some(index) {
            return !matches!(verdict, Verdict::Fails(_));
        }
        if verdict == Verdict::Holds {
            return false;
        }
    }
    rule.is_none()
}

fn first<'p>(
    rules: impl Iterator<Item = (&'p crate::conditions::Conditions, bool)>,
    facts: &Facts<'_>,
    parent: Option<u16>,
    watch: &mut impl Watch,
) -> Decision {
    for ((conditions, accept), index) in rules.zip(0_u16..) {
        let verdict = conditions.hold(facts, parent);
        watch.tried(index, verdict);
        match verdict {
            Verdict::Fails(_) => {}
            Verdict::Waits(condition) => return Decision::Waits(index, condition),
            Verdict::Holds if accept => return Decision::Accept(index),
            Verdict::Holds => return Decision::Deny(index),
        }
    }
    Decision::NoMatch
}
