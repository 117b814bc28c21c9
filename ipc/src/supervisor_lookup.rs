//! Supervisor and lookup: who goes where.
use crate::ids::SessionId;
use crate::wire::Message;
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

impl Message for ToLookup {
    const MAX_FDS: usize = 1;
    fn fd_count(&self) -> usize {
        match self {
            Self::Policy { .. } | Self::ResolvConf | Self::Hosts => 1,
            Self::Resolve { .. } | Self::Host { .. } | Self::Client { .. } => 0,
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
