//! Accepted → Admitted, or a refusal with its reason: session-acl, command-acl and the limits per client. Pure: the
//! facts are addresses that the kernel gave, never a byte that a peer chose.
use policy::acl::{self, Decision};
use policy::conditions::Facts;
use policy::model::Policy;
use std::collections::HashMap;
use std::net::IpAddr;

/// The rules that let a connection in, by the policy's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// `[[session-acl]]`.
    pub(crate) session_rule: u16,
    /// `[[command-acl]]`; `None`: the client's certificate decides it, after the handshake, or its name.
    pub(crate) command_rule: Option<u16>,
    /// Its name, whatever its certificate is.
    pub(crate) late: bool,
}

/// Why a connection is closed without a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Phase 1 denies; by this rule, or because none matched.
    Session(Option<u16>),
    /// Phase 2 denies; by this rule, or because none matched.
    Command(Option<u16>),
    /// `max-sessions-per-client` of the service.
    ClientSessions,
    /// `max-sessions` of this tenant.
    TenantSessions(u16),
    /// `max-sessions-per-client` of this session-acl rule.
    RuleClientSessions(u16),
}

impl Refusal {
    /// The word in the ACL record.
    pub(crate) const fn decision(self) -> &'static str {
        match self {
            Self::Session(Some(_)) | Self::Command(Some(_)) => "deny",
            Self::Session(None) | Self::Command(None) => "no-match",
            Self::ClientSessions | Self::RuleClientSessions(_) => "max-sessions-per-client",
            Self::TenantSessions(_) => "max-sessions",
        }
    }

    /// The phase, as it is called in the configuration.
    pub(crate) const fn phase(self) -> &'static str {
        match self {
            Self::Session(_) | Self::RuleClientSessions(_) => "session-acl",
            Self::Command(_) => "command-acl",
            Self::ClientSessions => "service",
            Self::TenantSessions(_) => "tenant",
        }
    }

    /// The name of the rule that refused, empty where none did.
    pub(crate) fn rule(self, policy: &Policy) -> &str {
        match self {
            Self::Session(Some(index)) | Self::RuleClientSessions(index) => {
                policy.session_acls.get(usize::from(index)).map_or("", |rule| &rule.name)
            }
            Self::Command(Some(index)) => {
                policy.command_acls.get(usize::from(index)).map_or("", |rule| &rule.session.name)
            }
            Self::TenantSessions(tenant) => {
                policy.tenants.get(usize::from(tenant)).map_or("", |tenant| tenant)
            }
            Self::Session(None) | Self::Command(None) | Self::ClientSessions => "",
        }
    }
}

/// The live sessions of each tenant, and of each client, in all and by session-acl rule.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    tenants: HashMap<u16, usize>,
    clients: HashMap<IpAddr, usize>,
    by_rule: HashMap<(u16, IpAddr), usize>,
}

impl Admission {
    /// Decides, and counts the session if it is admitted; [`Admission::release`] must follow its end.
    pub(crate) fn admit(&mut self, policy: &Policy, facts: &Facts<'_>) -> Result<Admitted, Refusal> {
        let admitted = decide(policy, facts)?;
        let client = facts.client.ip().to_canonical();
        let session_rule = admitted.session_rule;
        let reached = |count: Option<&usize>, limit: usize| limit > 0 && count.is_some_and(|n| *n >= limit);
        if reached(self.clients.get(&client), policy.service.max_sessions_per_client) {
            return Err(Refusal::ClientSessions);
        }
        let of_tenant = policy.tenant_sessions.get(usize::from(facts.tenant)).copied().unwrap_or(0);
        if reached(self.tenants.get(&facts.tenant), of_tenant) {
            return Err(Refusal::TenantSessions(facts.tenant));
        }
        let of_rule =
            policy.session_acls.get(usize::from(session_rule)).map_or(0, |rule| rule.max_sessions_per_client);
        if reached(self.by_rule.get(&(session_rule, client)), of_rule) {
            return Err(Refusal::RuleClientSessions(session_rule));
        }
        self.count(facts.tenant, client, session_rule);
        Ok(admitted)
    }

    /// Counts a session, whatever the limits are.
    pub(crate) fn count(&mut self, tenant: u16, client: IpAddr, session_rule: u16) {
        let client = client.to_canonical();
        *self.tenants.entry(tenant).or_default() += 1;
        *self.clients.entry(client).or_default() += 1;
        *self.by_rule.entry((session_rule, client)).or_default() += 1;
    }

    /// An admitted session is over.
    pub(crate) fn release(&mut self, tenant: u16, client: IpAddr, session_rule: u16) {
        let client = client.to_canonical();
        count_down(&mut self.tenants, tenant);
        count_down(&mut self.clients, client);
        count_down(&mut self.by_rule, (session_rule, client));
    }
}

/// What the rules of both phases say before the client said anything.
pub(crate) fn decide(policy: &Policy, facts: &Facts<'_>) -> Result<Admitted, Refusal> {
    let session_rule = match acl::session(policy, facts, &mut ()) {
        Decision::Accept(index) => index,
        Decision::Deny(index) | Decision::Waits(index, _) => return Err(Refusal::Session(Some(index))),
        Decision::NoMatch => return Err(Refusal::Session(None)),
    };
    let learns = policy.learns_certificate(facts.listener, session_rule, facts.transparent);
    let facts = Facts { certificate: if learns { None } else { Some(None) }, ..*facts };
    // Where TLS is intercepted the server comes first: nobody has a name by then.
    let intercepted = policy.intercepts(facts.listener, session_rule, facts.transparent).is_some();
    let (command_rule, late) = match acl::command(policy, &facts, session_rule, &mut ()) {
        Decision::Accept(index) => (Some(index), false),
        Decision::Waits(_, "client-certificate") => (None, false),
        Decision::Waits(_, "user") if !intercepted => (None, true),
        // A rule that waits for groups is not in this version, and the loader says so: nobody gets in by one.
        Decision::Deny(index) | Decision::Waits(index, _) => return Err(Refusal::Command(Some(index))),
        Decision::NoMatch => return Err(Refusal::Command(None)),
    };
    Ok(Admitted { session_rule, command_rule, late })
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use policy::conditions::CertificateMatch;
    use policy::names::Protocol;
    use policy::tls::{ClientMode, ClientTls, Demand, Versions};

    fn peer(client: &str) -> Facts<'static> {
        Facts {
            listener: 0,
            tenant: 0,
            protocol: Protocol::Pop3,
            client: client.parse().unwrap(),
            client_name: None,
            destination: "127.0.0.1:1110".parse().unwrap(),
            transparent: false,
            moment: policy::time::Zone::Utc.clock().moment(0),
            certificate: None,
            user: None,
            groups: None,
        }
    }

    #[test]
    fn a_client_over_its_limit_is_refused_until_a_session_of_it_ends() {
        let mut policy = fixtures::policy(1);
        policy.service.max_sessions_per_client = 1;
        let mut admission = Admission::default();
        assert_eq!(
            admission.admit(&policy, &peer("127.0.0.1:5")),
            Ok(Admitted { session_rule: 0, command_rule: Some(0), late: false })
        );
        assert_eq!(
            admission.admit(&policy, &peer("[::ffff:127.0.0.1]:6")),
            Err(Refusal::ClientSessions),
            "the mapped form is the same client"
        );
        assert!(admission.admit(&policy, &peer("127.0.0.2:5")).is_ok());
        admission.release(0, "127.0.0.1".parse().unwrap(), 0);
        assert!(admission.admit(&policy, &peer("127.0.0.1:7")).is_ok());
    }

    #[test]
    fn a_tenant_over_its_limit_is_refused_and_others_are_not() {
        let mut policy = fixtures::policy(2);
        policy.tenant_sessions = vec![1, 0];
        let mut admission = Admission::default();
        assert!(admission.admit(&policy, &peer("127.0.0.1:5")).is_ok());
        let refused = admission.admit(&policy, &peer("127.0.0.2:5"));
        assert_eq!(refused, Err(Refusal::TenantSessions(0)));
        let other = Facts { tenant: 1, ..peer("127.0.0.2:5") };
        assert!((0..3).all(|_| admission.admit(&policy, &other).is_ok()), "no limit");
        admission.release(0, "127.0.0.1".parse().unwrap(), 0);
        assert!(admission.admit(&policy, &peer("127.0.0.2:5")).is_ok());
    }

    #[test]
    fn a_rule_limits_its_own_sessions() {
        let mut policy = fixtures::policy(1);
        policy.session_acls[0].max_sessions_per_client = 1;
        let mut admission = Admission::default();
        assert!(admission.admit(&policy, &peer("127.0.0.1:5")).is_ok());
        assert_eq!(admission.admit(&policy, &peer("127.0.0.1:6")), Err(Refusal::RuleClientSessions(0)));
    }

    #[test]
    fn a_certificate_that_may_decide_is_waited_for_where_the_handshake_comes_first() {
        let mut policy = fixtures::policy(1);
        let wanted =
            CertificateMatch { subject: Some("*,ou=staff".to_owned()), ..CertificateMatch::default() };
        let mut staff = policy.command_acls[0].clone();
        staff.when.certificates = vec![wanted];
        policy.command_acls.insert(0, staff);
        policy.client_tls = vec![ClientTls {
            name: "lan".to_owned(),
            certificates: Vec::new(),
            versions: Versions::default(),
            ciphers: Vec::new(),
            demand: Demand::Optional,
            client_ca: None,
            crl: Vec::new(),
            deadline: std::time::Duration::from_secs(15),
            intercept: None,
        }];
        let facts = peer("127.0.0.1:5");
        for (mode, demand, rule) in [
            (ClientMode::Implicit, Demand::Optional, None),
            (ClientMode::Implicit, Demand::Required, None),
            (ClientMode::Implicit, Demand::None, Some(1)),
            (ClientMode::StartTls, Demand::Optional, Some(1)),
            (ClientMode::StartTlsRequired, Demand::Required, Some(1)),
            (ClientMode::Off, Demand::Optional, Some(1)),
        ] {
            policy.listeners[0].tls = mode;
            policy.client_tls[0].demand = demand;
            let decided = decide(&policy, &facts);
            assert_eq!(
                decided,
                Ok(Admitted { session_rule: 0, command_rule: rule, late: false }),
                "{mode:?} {demand:?}"
            );
        }
        policy.client_tls[0].demand = Demand::Optional;
        policy.listeners[0].tls = ClientMode::Implicit;
        policy.command_acls[1].accept = false;
        assert_eq!(
            decide(&policy, &facts).map(|admitted| admitted.command_rule),
            Ok(None),
            "the rule behind denies"
        );
        policy.command_acls.swap(0, 1);
        assert_eq!(decide(&policy, &facts), Err(Refusal::Command(Some(0))), "the first rule that is certain");
    }

    #[test]
    fn a_name_that_may_decide_is_waited_for_and_a_rule_in_front_that_is_certain_is_not() {
        let mut policy = fixtures::policy(1);
        let mut staff = policy.command_acls[0].clone();
        staff.when.users = policy::list::Patterns::new(["*@example.net"], policy::list::Case::User);
        policy.command_acls.insert(0, staff);
        let facts = peer("127.0.0.1:5");
        assert_eq!(decide(&policy, &facts), Ok(Admitted { session_rule: 0, command_rule: None, late: true }));
        policy.command_acls.swap(0, 1);
        let early = Admitted { session_rule: 0, command_rule: Some(0), late: false };
        assert_eq!(decide(&policy, &facts), Ok(early));
    }

    #[test]
    fn what_no_rule_matches_is_refused() {
        let mut policy = fixtures::policy(1);
        policy.session_acls[0].accept = false;
        let mut admission = Admission::default();
        let denied = admission.admit(&policy, &peer("127.0.0.1:5")).unwrap_err();
        assert_eq!(denied, Refusal::Session(Some(0)));
        assert_eq!(denied.rule(&policy), policy.session_acls[0].name);
        policy.session_acls.clear();
        assert_eq!(admission.admit(&policy, &peer("127.0.0.1:5")), Err(Refusal::Session(None)));
        assert!(admission.clients.is_empty(), "a refused connection counts nowhere");
    }
}
