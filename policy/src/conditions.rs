//! Conditions that the rules of every phase share, and the facts of a session that they are held against. Pure, and
//! three-valued: what is not known yet is neither true nor false.
use crate::host::HostList;
use crate::list::Patterns;
use crate::names::Protocol;
use crate::time::{Moment, TimeList};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What is known of a session when a rule is tried. `None`: not known yet.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Index of the listener.
    pub listener: u16,
    /// Index of its tenant.
    pub tenant: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddr,
    /// Its name, in lower case, if an address of that name is the client's; asked for where rules have patterns of names.
    pub client_name: Option<&'a str>,
    /// Where it wanted to go.
    pub destination: SocketAddr,
    /// Whether NAT brought it.
    pub transparent: bool,
    /// When.
    pub moment: Moment,
    /// The client's certificate, once TLS stands; `Some(None)`: it showed none.
    pub certificate: Option<Option<&'a Certificate>>,
    /// The name that the client logs in with.
    pub user: Option<&'a str>,
    /// The user's groups, once authenticated.
    pub groups: Option<&'a [String]>,
}

/// What rules can ask of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// RFC 4514, most specific first.
    pub subject: String,
    /// Likewise.
    pub issuer: String,
    /// Subject alternative names: DNS names, mail addresses, IP addresses.
    pub names: Vec<String>,
    /// SHA-256 of the certificate, hexadecimal in lower case.
    pub fingerprint: String,
}

/// The conditions of one rule. All that were given must hold; each is a list of alternatives; empty: not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// `session-acl` of a command-acl, `command-acl` of a mail or document rule: indices.
    pub parents: Vec<u16>,
    /// `listener`: indices.
    pub listeners: Vec<u16>,
    /// `tenant`: indices.
    pub tenants: Vec<u16>,
    /// `protocol`.
    pub protocols: Vec<Protocol>,
    /// `transparent`.
    pub transparent: Option<bool>,
    /// `from`: the client.
    pub from: HostList,
    /// `to`: where the client wanted to go.
    pub to: HostList,
    /// `time`.
    pub time: TimeList,
    /// `client-certificate`.
    pub certificates: Vec<CertificateMatch>,
    /// `user`.
    pub users: Patterns,
    /// `group`.
    pub groups: Patterns,
}

/// One alternative of `client-certificate`: everything that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateMatch {
    /// `subject`, in lower case.
    pub subject: Option<String>,
    /// `issuer`, in lower case.
    pub issuer: Option<String>,
    /// `san`.
    pub san: Option<String>,
    /// `fingerprint`, 64 hexadecimal digits in lower case.
    pub fingerprint: Option<String>,
}

/// What trying a rule came to. The word is the item of the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All conditions hold.
    Holds,
    /// None fails, but this one cannot be decided yet.
    Waits(&'static str),
    /// This one fails.
    Fails(&'static str),
}

impl Conditions {
    /// Holds the conditions against the facts; `parent` is the rule of the phase before. A condition that fails decides
    /// before one that waits.
    pub fn hold(&self, facts: &Facts<'_>, parent: Option<u16>) -> Verdict {
        let parents = self.parents.is_empty() || parent.is_some_and(|parent| self.parents.contains(&parent));
        let known = [
            ("parent", parents),
            ("listener", one_of(&self.listeners, facts.listener)),
            ("tenant", one_of(&self.tenants, facts.tenant)),
            ("protocol", one_of(&self.protocols, facts.protocol)),
            ("transparent", self.transparent.is_none_or(|wanted| wanted == facts.transparent)),
        ];
        if let Some((condition, _)) = known.iter().find(|(_, holds)| !holds) {
            return Verdict::Fails(condition);
        }
        if !self.from.matches_host(facts.client.ip(), facts.client_name) {
            return Verdict::Fails("from");
        }
        if !self.to.matches(facts.destination.ip()) {
            return Verdict::Fails("to");
        }
        if !self.time.matches(&facts.moment) {
            return Verdict::Fails("time");
        }
        let learnt = [
            ("client-certificate", self.certificate(facts)),
            ("user", given(&self.users, facts.user.map(|user| self.users.matches(user)))),
            ("group", given(&self.groups, facts.groups.map(|groups| self.groups.matches_any(groups)))),
        ];
        let failed = learnt.iter().find(|(_, holds)| *holds == Some(false));
        let waiting = learnt.iter().find(|(_, holds)| holds.is_none());
        match (failed, waiting) {
            (Some((condition, _)), _) => Verdict::Fails(condition),
            (None, Some((condition, _))) => Verdict::Waits(condition),
            (None, None) => Verdict::Holds,
        }
    }

    /// Whether every session that these conditions let in is let in by `earlier` too, as far as the texts tell. What
    /// `parents`, `listeners`, `tenants` and `protocols` say is left to the caller.
    pub(crate) fn within(&self, earlier: &Self) -> bool {
        (earlier.from.is_everyone() || earlier.from == self.from)
            && (earlier.to.is_everyone() || earlier.to == self.to)
            && (earlier.transparent.is_none() || earlier.transparent == self.transparent)
            && (earlier.time.is_always() || earlier.time == self.time)
            && (earlier.certificates.is_empty() || earlier.certificates == self.certificates)
            && (earlier.users.is_everything() || earlier.users == self.users)
            && (earlier.groups.is_everything() || earlier.groups == self.groups)
    }

    fn certificate(&self, facts: &Facts<'_>) -> Option<bool> {
        if self.certificates.is_empty() {
            return Some(true);
        }
        let shown = facts.certificate?;
        Some(shown.is_some_and(|shown| self.certificates.iter().any(|wanted| wanted.matches(shown))))
    }
}

impl CertificateMatch {
    /// Whether everything that is given matches.
    pub fn matches(&self, certificate: &Certificate) -> bool {
        let name = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| crate::list::matches(wanted, &text.to_lowercase()))
        };
        name(&self.subject, &certificate.subject)
            && name(&self.issuer, &certificate.issuer)
            && self.san.as_ref().is_none_or(|wanted| {
                certificate.names.iter().any(|name| crate::list::matches_name(wanted, name))
            })
            && self.fingerprint.as_ref().is_none_or(|wanted| *wanted == certificate.fingerprint)
    }
}

/// A condition holds if it was not given or one of its alternatives is met.
pub(crate) fn one_of<T: PartialEq>(alternatives: &[T], fact: T) -> bool {
    alternatives.is_empty() || alternatives.contains(&fact)
}

/// What is not asked for holds, known or not.
fn given(patterns: &Patterns, holds: Option<bool>) -> Option<bool> {
    if patterns.is_everything() { Some(true) } else { holds }
}
