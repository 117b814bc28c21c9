//! Phase 1, the connection: where it comes in, and whether it may.
use crate::conditions::Conditions;
use crate::list::NameList;
use crate::names::{Language, Protocol};
use crate::tls::{ClientMode, Required};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `name`.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `address`: where to bind, at least one. IPv6 sockets take IPv6 only (IPV6_V6ONLY): `*` is one address of each
    /// family.
    pub addresses: Vec<SocketAddr>,
    /// Index into `tenants`.
    pub tenant: u16,
    /// `tls`.
    pub tls: ClientMode,
    /// `client-tls`: index; `None` only where `tls` is off.
    pub client_tls: Option<u16>,
    /// `transparent`.
    pub transparent: Option<Transparent>,
    /// `greeting`, `capabilities`.
    pub welcome: Welcome,
}

/// What clients of a listener are told before they log in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// `greeting`, in place of the built-in one; empty: none is written.
    pub greeting: String,
    /// `capabilities`.
    pub capabilities: NameList,
}

impl Welcome {
    /// What stands for the name of the machine.
    const HOSTNAME: &str = "{hostname}";

    /// The same with the name of this machine filled in.
    #[must_use]
    pub fn on(&self, hostname: &str) -> Self {
        Self { greeting: self.greeting.replace(Self::HOSTNAME, hostname), ..self.clone() }
    }
}

/// `transparent = { method, ports, interfaces }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transparent {
    /// `method = "redirect"`: we install it; "none": the administrator has.
    pub redirect: bool,
    /// `ports` that are redirected to this listener: ranges, both ends included.
    pub ports: Vec<(u16, u16)>,
    /// `interfaces` that clients come in by; empty: every one.
    pub interfaces: Vec<String>,
}

/// One `[[session-acl]]`: phase 1, the connection.
#[derive(Clone, Debug)]
pub struct SessionAcl {
    /// `name`.
    pub name: String,
    /// When it matches.
    pub when: Conditions,
    /// `action = "accept"`.
    pub accept: bool,
    /// `max-sessions-per-client`; 0 is none.
    pub max_sessions_per_client: usize,
    /// `language`, if it is written here.
    pub language: Option<Language>,
    /// `tls`, instead of the listener's.
    pub tls: Option<ClientMode>,
    /// `client-tls`, instead of the listener's: index.
    pub client_tls: Option<u16>,
    /// `require-client-certificate`.
    pub require_client_certificate: Required,
}
