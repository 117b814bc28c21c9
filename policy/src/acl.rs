//! Phases 1 and 2: who may connect, and what the session may do. Pure: facts in, rule and reason out.
use crate::model::Policy;
use crate::names::Protocol;
use std::net::SocketAddr;

/// What is known of a connection when it is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Index of the listener.
    pub listener: u16,
    /// Index of its tenant.
    pub tenant: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddr,
    /// Where it wanted to go.
    pub destination: SocketAddr,
    /// Whether NAT brought it.
    pub transparent: bool,
}

/// What a phase decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Rule with this index accepts.
    Accept(u16),
    /// Rule with this index denies.
    Deny(u16),
    /// No rule matched, which denies.
    NoMatch,
}

/// Phase 1: the first `[[session-acl]]` all of whose conditions hold.
pub fn session(policy: &Policy, peer: &Peer) -> Decision {
    let matching = policy.session_acls.iter().zip(0_u16..).find(|(acl, _)| {
        holds(&acl.listeners, peer.listener)
            && holds(&acl.tenants, peer.tenant)
            && acl.from.matches(peer.client.ip())
            && acl.to.matches(peer.destination.ip())
            && acl.transparent.is_none_or(|transparent| transparent == peer.transparent)
    });
    decide(matching.map(|(acl, index)| (acl.accept, index)))
}

/// Phase 2 of a connection that phase 1 accepted by `session_rule`: the first `[[command-acl]]` all of whose
/// conditions hold.
pub fn command(policy: &Policy, peer: &Peer, session_rule: u16) -> Decision {
    let matching = policy.command_acls.iter().zip(0_u16..).find(|(acl, _)| {
        holds(&acl.session_acls, session_rule)
            && holds(&acl.protocols, peer.protocol)
            && holds(&acl.listeners, peer.listener)
            && holds(&acl.tenants, peer.tenant)
            && acl.from.matches(peer.client.ip())
    });
    decide(matching.map(|(acl, index)| (acl.accept, index)))
}

/// A condition holds if it was not given or one of its alternatives is met.
pub(crate) fn holds<T: PartialEq>(alternatives: &[T], fact: T) -> bool {
    alternatives.is_empty() || alternatives.contains(&fact)
}

fn decide(matching: Option<(bool, u16)>) -> Decision {
    match matching {
        Some((true, index)) => Decision::Accept(index),
        Some((false, index)) => Decision::Deny(index),
        None => Decision::NoMatch,
    }
}
