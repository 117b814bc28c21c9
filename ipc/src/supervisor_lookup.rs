//! Supervisor and lookup: who goes where.
use crate::ids::SessionId;
use crate::wire::Message;
use policy::conditions::{Certificate, Facts};
use policy::names::Protocol;
use policy::time::Moment;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Supervisor to lookup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToLookup {
    /// One descriptor: a sealed memfd of `len` octets holding an encoded `policy::slice::LookupSlice`.
    Policy {
        /// Its number.
        generation: u64,
        /// Octets.
        len: u32,
    },
    /// One descriptor: the resolver configuration, opened read-only.
    ResolvConf,
    /// One descriptor: the static host table, opened read-only.
    Hosts,
    /// A name in a list of hosts: what are its addresses now?
    Host {
        /// The policy generation.
        generation: u64,
        /// Index into the lookup slice's `hosts`.
        index: u16,
    },
    /// What is the name of a client, if an address of that name is this one?
    Client {
        /// Comes back with the answer.
        question: u64,
        /// The client.
        address: IpAddr,
    },
    /// What a client showed decides the command-acl of its session: which rule is it?
    Decide {
        /// Which session.
        session: SessionId,
        /// The policy generation.
        generation: u64,
        /// What the supervisor knows.
        known: Box<Known>,
        /// What the worker learnt: an encoded [`crate::worker_lookup::Learnt`].
        learnt: Vec<u8>,
    },
    /// The command-acl rule is decided and names its servers: resolve them.
    Resolve {
        /// Which session.
        session: SessionId,
        /// The policy generation.
        generation: u64,
        /// Index into the lookup slice's rules.
        rule: u16,
    },
}

/// What is known of a session without its client's words: [`policy::conditions::Facts`], and the rule that let it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Index of the session-acl rule.
    pub session_rule: u16,
    /// Index of the listener.
    pub listener: u16,
    /// Index of its tenant.
    pub tenant: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddr,
    /// Its name, confirmed, if rules ask for it.
    pub client_name: Option<String>,
    /// Where it wanted to go.
    pub destination: SocketAddr,
    /// Whether NAT brought it.
    pub transparent: bool,
    /// When.
    pub moment: Moment,
}

impl Known {
    /// Of these facts.
    pub fn new(facts: &Facts<'_>, session_rule: u16) -> Self {
        Self {
            session_rule,
            listener: facts.listener,
            tenant: facts.tenant,
            protocol: facts.protocol,
            client: facts.client,
            client_name: facts.client_name.map(str::to_owned),
            destination: facts.destination,
            transparent: facts.transparent,
            moment: facts.moment,
        }
    }

    /// The facts, with the certificate that the client showed, and the name that it gave if it did.
    pub fn facts<'a>(&'a self, certificate: Option<&'a Certificate>, user: Option<&'a str>) -> Facts<'a> {
        Facts {
            listener: self.listener,
            tenant: self.tenant,
            protocol: self.protocol,
            client: self.client,
            client_name: self.client_name.as_deref(),
            destination: self.destination,
            transparent: self.transparent,
            moment: self.moment,
            certificate: Some(certificate),
            user,
            groups: None,
        }
    }
}

impl Message for ToLookup {
    const MAX_FDS: usize = 1;
    fn fd_count(&self) -> usize {
        match self {
            Self::Policy { .. } | Self::ResolvConf | Self::Hosts => 1,
            Self::Decide { .. } | Self::Resolve { .. } | Self::Host { .. } | Self::Client { .. } => 0,
        }
    }
}

/// One place to dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Address and port.
    pub address: SocketAddr,
    /// Index of the `plug-to` item that it came from.
    pub item: u16,
}

/// Lookup to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromLookup {
    /// The addresses of a name in a list of hosts, at most 256; `None`: it did not resolve.
    Host {
        /// The generation that was asked for.
        generation: u64,
        /// The index that was asked for.
        index: u16,
        /// What it stands for.
        addresses: Option<Vec<IpAddr>>,
    },
    /// The name of a client, confirmed forward: at most 253 octets, lower case. `None`: it has none.
    Client {
        /// Of the question.
        question: u64,
        /// The name.
        name: Option<String>,
    },
    /// The command-acl rule that decides about the session; `None`: none matches.
    Decided {
        /// Which session.
        session: SessionId,
        /// The generation that was asked for.
        generation: u64,
        /// Index of the rule, which accepts or denies.
        rule: Option<u16>,
    },
    /// The command-acl rule depends on the client's name, and that was not among what was learnt.
    NameDecides {
        /// Which session.
        session: SessionId,
        /// The generation that was asked for.
        generation: u64,
    },
    /// Where the session may go, best first, at most 16. Empty: nothing resolved.
    Dial {
        /// Which session.
        session: SessionId,
        /// The generation that was asked for.
        generation: u64,
        /// The rule that was asked for.
        rule: u16,
        /// Where.
        candidates: Vec<Candidate>,
    },
}

impl Message for FromLookup {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
