//! Sessions under another policy: the rules of the first two phases are asked again about each; one that they deny now, or
//! that cannot go on under its new rule, is ended in its protocol.
use crate::admission::{self, Admission, Admitted};
use crate::event_loop::Supervisor;
use ipc::ids::SessionId;
use ipc::log::Level;
use policy::model::Policy;
use std::rc::Rc;

impl Supervisor {
    /// Asks the rules about every session again.
    pub(super) fn renew_sessions(&mut self, former: &Policy, keep: bool) -> (usize, usize) {
        self.admission = Admission::default();
        let all: Vec<SessionId> = self.sessions.live.keys().copied().collect();
        let (mut kept, mut ended) = (0, 0);
        for id in all {
            if self.renew_session(id, former, keep) {
                kept += 1;
            } else {
                ended += 1;
            }
        }
        (kept, ended)
    }

    /// Whether the session goes on.
    fn renew_session(&mut self, id: SessionId, former: &Policy, keep: bool) -> bool {
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get(&id) else { return false };
        let Some(listener) = policy.listeners.get(usize::from(session.listener)) else { return false };
        let (client, old_rule, learnt) = (session.client, session.rule, session.learnt.is_some());
        let (index, destination) = (session.listener, session.destination);
        let (name, tenant) = (session.client_name.clone(), session.tenant);
        let facts = self.facts(listener, index, client, name.as_deref(), destination);
        let former_rule = session.session_rule;
        // What lookup is being asked is asked again: the rule meanwhile only stands for the one that it will name.
        let settled = session.deciding.is_none();
        let named = old_rule
            .filter(|_| keep && settled)
            .and_then(|old| same_names(former, &policy, former_rule, old));
        let decided = named.map_or_else(|| admission::decide(&policy, &facts), Ok);
        let going_on = match decided {
            Err(refusal) => {
                self.refused(Some(id), &facts, &listener.name, refusal);
                None
            }
            Ok(admitted) => self.goes_on(id, former, old_rule, learnt, admitted),
        };
        // One that ends counts for its client until it has ended, and for no rule.
        let session_rule = going_on.map_or(u16::MAX, |admitted| admitted.session_rule);
        self.admission.count(tenant, client.ip(), session_rule);
        let Some(session) = self.sessions.live.get_mut(&id) else { return false };
        session.session_rule = session_rule;
        session.deciding = None;
        let Some(Admitted { command_rule, late, .. }) = going_on else {
            self.kick(id);
            return false;
        };
        if session.late && session.learnt.is_none() {
            // Its client has not logged in yet: the rules of that time decide.
            return true;
        }
        if session.rule.is_none() && session.worker.is_none() {
            session.late = late;
        }
        match command_rule {
            Some(rule) => self.put_under(id, rule),
            None => {
                // Until lookup knows better the worker is left with the former rule; here the one of its name stands for it.
                session.rule = old_rule.and_then(|old| same_rule(former, &policy, old));
                self.decide_again(id);
            }
        }
        true
    }

    /// What a session that the rules let in goes on under, if it can.
    fn goes_on(
        &mut self,
        id: SessionId,
        former: &Policy,
        old_rule: Option<u16>,
        learnt: bool,
        admitted: Admitted,
    ) -> Option<Admitted> {
        let why = match (old_rule, admitted.command_rule) {
            (None, _) => return Some(admitted),
            (Some(old), Some(rule)) => scanned_otherwise(former, old, &self.policy, rule),
            // The rules ask now for what nobody wrote down when the session began.
            (Some(_), None) if !learnt => Some("the rules ask for the client's certificate or name now"),
            (Some(old), None) => match same_rule(former, &self.policy, old) {
                Some(rule) => scanned_otherwise(former, old, &self.policy, rule),
                None => Some("its rule is gone"),
            },
        };
        let Some(why) = why else { return Some(admitted) };
        let fields = [("session", id.to_string()), ("why", why.to_owned())];
        self.journal.note(Level::Info, "session ends: it cannot go on under the new rules", &fields);
        None
    }
}

/// A maildrop that was not followed from the login on cannot be scanned from the middle on.
pub(crate) fn scanned_otherwise(
    former: &Policy,
    old: u16,
    policy: &Policy,
    rule: u16,
) -> Option<&'static str> {
    let scans = |policy: &Policy, rule: u16| {
        policy.command_acls.get(usize::from(rule)).map(|rule| rule.session.download.scan)
    };
    (scans(former, old) != scans(policy, rule)).then_some("mail is scanned otherwise now")
}

/// The rules of the same names, where both are there.
fn same_names(former: &Policy, policy: &Policy, session_rule: u16, command_rule: u16) -> Option<Admitted> {
    let session = &former.session_acls.get(usize::from(session_rule))?.name;
    let index = policy.session_acls.iter().position(|rule| rule.name == *session)?;
    let command_rule = same_rule(former, policy, command_rule)?;
    Some(Admitted { session_rule: u16::try_from(index).ok()?, command_rule: Some(command_rule), late: false })
}

/// The command-acl of the same name.
fn same_rule(former: &Policy, policy: &Policy, rule: u16) -> Option<u16> {
    let name = &former.command_acls.get(usize::from(rule))?.session.name;
    let index = policy.command_acls.iter().position(|rule| rule.session.name == *name)?;
    u16::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn rules_are_found_again_by_name_wherever_they_stand() {
        let former = fixtures::policy(1);
        let mut policy = former.clone();
        policy.session_acls.insert(0, former.session_acls[0].clone());
        policy.session_acls[0].name = "first".to_owned();
        let found = same_names(&former, &policy, 0, 0);
        assert_eq!(found, Some(Admitted { session_rule: 1, command_rule: Some(0), late: false }));
        policy.command_acls.clear();
        assert_eq!(same_names(&former, &policy, 0, 0), None);
    }
}
