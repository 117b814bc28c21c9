//! Live sessions, as an operator sees them and ends them.
use crate::control::{Answer, LiveSession, WhichSessions};
use crate::event_loop::Supervisor;
use crate::handover::Session;
use ipc::ids::SessionId;
use ipc::log::Level;
use policy::host::HostList;

impl Supervisor {
    /// The sessions that are meant, oldest first.
    pub(crate) fn list_sessions(&self, which: &WhichSessions) -> Answer {
        match self.meant_sessions(which) {
            Ok(meant) => Answer::Sessions {
                sessions: meant
                    .into_iter()
                    .filter_map(|id| self.sessions.get(id).map(|session| self.shown(id, session)))
                    .collect(),
            },
            Err(why) => Answer::Refused { why },
        }
    }

    /// Ends the sessions that are meant, each in its protocol.
    pub(crate) fn kick_sessions(&mut self, uid: u32, which: &WhichSessions) -> Answer {
        if which.is_everything() {
            return Answer::Refused { why: "it does not say which sessions shall end".to_owned() };
        }
        let meant = match self.meant_sessions(which) {
            Ok(meant) => meant,
            Err(why) => return Answer::Refused { why },
        };
        let fields = [
            ("uid", uid.to_string()),
            ("sessions", meant.len().to_string()),
            ("session", if let [one] = meant.as_slice() { one.to_string() } else { String::new() }),
            ("user", which.user.clone().unwrap_or_default()),
            ("tenant", which.tenant.clone().unwrap_or_default()),
            ("client", which.client.clone().unwrap_or_default()),
        ];
        self.journal.note(Level::Info, "an operator ends sessions", &fields);
        for id in &meant {
            self.kick(*id);
        }
        let sessions: Vec<String> = meant.iter().map(SessionId::to_string).collect();
        let missing = which.sessions.iter().filter(|id| !sessions.contains(id)).cloned().collect();
        Answer::Kicked { sessions, missing }
    }

    fn meant_sessions(&self, which: &WhichSessions) -> Result<Vec<SessionId>, String> {
        if let Some(wanted) = &which.tenant
            && !self.policy.tenants.iter().any(|tenant| **tenant == **wanted)
        {
            return Err(format!("there is no tenant {wanted}"));
        }
        let clients = which.client.as_deref().map(hosts).transpose()?;
        let is_meant = |id: SessionId, session: &Session| {
            (which.sessions.is_empty() || which.sessions.contains(&id.to_string()))
                && which.user.as_ref().is_none_or(|user| *user == session.user)
                && which.tenant.as_ref().is_none_or(|tenant| **tenant == *self.tenant_of(session))
                && clients.as_ref().is_none_or(|clients| {
                    clients.matches_host(session.client.ip(), session.client_name.as_deref())
                })
        };
        let live = self.sessions.live.iter();
        let mut meant: Vec<SessionId> =
            live.filter(|(id, session)| is_meant(**id, session)).map(|(id, _)| *id).collect();
        meant.sort_unstable_by_key(|id| id.0);
        Ok(meant)
    }

    fn shown(&self, id: SessionId, session: &Session) -> LiveSession {
        let policy = &self.policy;
        let listener = policy.listeners.get(usize::from(session.listener));
        let rule = session.rule.and_then(|rule| policy.command_acls.get(usize::from(rule)));
        LiveSession {
            session: id.to_string(),
            seconds: session.started.elapsed().as_secs(),
            tenant: self.tenant_of(session).to_owned(),
            listener: listener.map(|listener| listener.name.to_string()).unwrap_or_default(),
            client: session.client,
            client_name: session.client_name.clone(),
            user: session.user.clone(),
            server: session.upstream,
            command_rule: rule.map(|rule| rule.session.name.to_string()).unwrap_or_default(),
            ending: session.kicked.is_some(),
        }
    }

    fn tenant_of(&self, session: &Session) -> &str {
        self.policy.tenants.get(usize::from(session.tenant)).map_or("", |name| name)
    }
}

/// Clients by address, network, range, or pattern of their confirmed names.
fn hosts(text: &str) -> Result<HostList, String> {
    let mut list = HostList::default();
    let invalid = || format!("{text}: an address, a network such as 192.0.2.0/24, or *.name was expected");
    list.add(text, &mut |_list| None).map_err(|_wrong| invalid())?;
    let mut names = false;
    list.each_name(&mut |_name| names = true);
    if names { Err(invalid()) } else { Ok(list) }
}

#[cfg(test)]
mod tests {
    use super::hosts;

    #[test]
    fn clients_are_meant_by_address_network_or_pattern_and_not_by_a_name_that_nobody_resolves() {
        let network = hosts("192.0.2.0/24").unwrap();
        assert!(network.matches("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!network.matches("198.51.100.7".parse().unwrap()));
        assert!(
            hosts("*.example.net").unwrap().matches_host("192.0.2.7".parse().unwrap(), Some("a.example.net"))
        );
        assert!(hosts("pc7.example.net").is_err() && hosts("@lan").is_err() && hosts("").is_err());
    }
}
