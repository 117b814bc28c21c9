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

/// Phase 1.
pub fn session(_policy: &Policy, _peer: &Peer) -> Decision {
    todo!()
}

/// Phase 2 of a connection that phase 1 accepted by `session_rule`.
pub fn command(_policy: &Policy, _peer: &Peer, _session_rule: u16) -> Decision {
    todo!()
}
