//! `[client-tls.NAME.intercept]`: TLS of connections that NAT brought is ended here, with certificates in the servers' place.
use crate::host::{HostError, HostList};
use crate::list::matches_name;
use crate::model::Policy;
use crate::tls::{ClientMode, Pair};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// `[client-tls.NAME.intercept]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intercept {
    /// `ca`: signs for servers that were verified.
    pub ca: Pair,
    /// `untrusted-ca`: signs for servers that were not, where the server-tls lets them pass.
    pub untrusted_ca: Option<Pair>,
    /// `bypass`.
    pub bypass: Bypass,
    /// `certificate-asked`.
    pub certificate_asked: CertificateAsked,
}

/// `certificate-asked`: what to do where a server asks for a client's certificate, which cannot be shown in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CertificateAsked {
    /// No session.
    #[default]
    Refuse,
    /// The connection is relayed unseen.
    Bypass,
}

/// Servers whose connections are relayed unseen: by address, or by a name that their certificate proves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    addresses: Vec<HostList>,
    /// In lower case.
    names: Vec<String>,
}

impl Bypass {
    /// Adds an item as the operator wrote it: an address, a network, a range, a name or a pattern of names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, item: &str) -> Result<(), HostError> {
        if item == "*" || item.starts_with(['!', '@', '/']) {
            let why = "only addresses and names of servers can stand here".to_owned();
            return Err(HostError::Invalid(why));
        }
        let mut list = HostList::default();
        list.add(item, &mut |_| None)?;
        let mut is_name = list.has_patterns();
        list.each_name(&mut |_| is_name = true);
        if is_name {
            self.names.push(item.trim_end_matches('.').to_ascii_lowercase());
        } else {
            self.addresses.push(list);
        }
        Ok(())
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.names.is_empty()
    }

    /// Whether connections to this address are relayed.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|list| list.matches(address))
    }

    /// Whether connections to a server of this name are relayed, if it proves the name.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| matches_name(pattern, &name.to_ascii_lowercase()))
    }
}

impl Policy {
    /// How such a session's TLS is intercepted, if it is: it is implicit, NAT brought the connection, and its client-tls
    /// says so.
    pub fn intercepts(&self, listener: u16, session_rule: u16, transparent: bool) -> Option<&Intercept> {
        let side = self.client_side(listener, session_rule);
        let tls = self.client_tls.get(usize::from(side.client_tls))?;
        tls.intercept.as_ref().filter(|_| transparent && side.mode == ClientMode::Implicit)
    }

    /// Whether any session's TLS can be intercepted.
    pub fn has_interception(&self) -> bool {
        self.client_tls.iter().any(|tls| tls.intercept.is_some())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn servers_are_bypassed_by_address_and_by_name_and_an_empty_list_has_nobody() {
        let mut bypass = Bypass::default();
        let address = |text: &str| text.parse().unwrap();
        assert!(!bypass.has_address(address("192.0.2.1")) && !bypass.has_name("mail.example.net"));
        for item in
            ["192.0.2.0/28", "198.51.100.7-198.51.100.9", "2001:db8::1", "*.Bank.example", "mail.example.net"]
        {
            bypass.add(item).unwrap();
        }
        for (text, has) in [
            ("192.0.2.15", true),
            ("192.0.2.16", false),
            ("198.51.100.8", true),
            ("::ffff:192.0.2.1", true),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(bypass.has_address(address(text)), has, "{text}");
        }
        for (name, has) in [
            ("a.bank.example", true),
            ("A.B.BANK.example", true),
            ("bank.example", false),
            ("mail.example.net", true),
            ("x.mail.example.net", false),
        ] {
            assert_eq!(bypass.has_name(name), has, "{name}");
        }
        for wrong in ["*", "!192.0.2.1", "@list", "/regex/", "192.0.2.1/33", "a b"] {
            assert!(bypass.clone().add(wrong).is_err(), "{wrong}");
        }
    }
}
