//! TLS on either side, as it is configured. Files are named here and read elsewhere: the private keys by the keyholder
//! alone, everything else by the workers, from descriptors that the supervisor opened.
use crate::conditions::CertificateMatch;
use crate::intercept::Intercept;
use crate::model::Policy;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// `tls` of a listener or a session-acl: towards clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClientMode {
    /// Clear text.
    Off,
    /// Clear text, until the client asks for TLS (RFC 2595).
    StartTls,
    /// The same, and no login before.
    StartTlsRequired,
    /// TLS from the first octet (RFC 8314).
    #[default]
    Implicit,
}

/// `mode` of a server-tls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ServerMode {
    /// Clear text.
    Off,
    /// TLS is asked for, and without it there is no session.
    StartTls,
    /// TLS is asked for, and a refusal is accepted with a warning.
    Opportunistic,
    /// TLS from the first octet.
    #[default]
    Implicit,
}

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// RFC 5246.
    pub v1_2: bool,
    /// RFC 8446.
    pub v1_3: bool,
}

impl Default for Versions {
    fn default() -> Self {
        Self { v1_2: true, v1_3: true }
    }
}

/// A certificate and its key, by their files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// `cert`.
    pub cert: PathBuf,
    /// `key`.
    pub key: PathBuf,
    /// `passphrase-file`.
    pub passphrase: Option<PathBuf>,
    /// `staple`: an OCSP answer, DER.
    pub staple: Option<PathBuf>,
}

/// `client-certificates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Demand {
    /// Clients are not asked.
    #[default]
    None,
    /// Clients are asked and need not show one.
    Optional,
    /// Without one there is no handshake.
    Required,
}

/// `[client-tls.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientTls {
    /// Its name.
    pub name: String,
    /// `certificates`: chosen by the name that the client asks for, else the first. At least one.
    pub certificates: Vec<Pair>,
    /// `versions`.
    pub versions: Versions,
    /// `ciphers`: names of IANA; empty: all that the library considers safe.
    pub ciphers: Vec<String>,
    /// `client-certificates`.
    pub demand: Demand,
    /// `client-ca`.
    pub client_ca: Option<PathBuf>,
    /// `crl`.
    pub crl: Vec<PathBuf>,
    /// `deadline` of the handshake.
    pub deadline: Duration,
    /// `[client-tls.NAME.intercept]`.
    pub intercept: Option<Intercept>,
}

/// `ca` of a server-tls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trust {
    /// The authorities of the system.
    #[default]
    System,
    /// Those in a file, or in the files of a directory.
    Path(PathBuf),
}

/// `verify` of a server-tls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verify {
    /// Chain, dates and name.
    #[default]
    Full,
    /// Chain and dates.
    Chain,
    /// The certificate is one of `fingerprints`; nothing else counts.
    Fingerprint,
    /// Nothing.
    None,
}

/// `accept` of a server-tls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exceptions {
    /// `expired`.
    pub expired: bool,
    /// `not-yet-valid`.
    pub not_yet_valid: bool,
    /// `self-signed`.
    pub self_signed: bool,
}

/// `[server-tls.NAME]`, or one of the two that are built in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServerTls {
    /// Its name.
    pub name: String,
    /// `mode`.
    pub mode: ServerMode,
    /// `ca`.
    pub trust: Trust,
    /// `verify`.
    pub verify: Verify,
    /// `accept`.
    pub accept: Exceptions,
    /// `depth`: certificates between the server's and an authority's, at most 6. 0 stands for that too.
    pub depth: usize,
    /// `name`: what to expect instead of the server's name.
    pub expected: Option<String>,
    /// `certificate` to show to the server.
    pub certificate: Option<Pair>,
    /// `fingerprints`: SHA-256, hexadecimal in lower case.
    pub fingerprints: Vec<String>,
    /// `versions`.
    pub versions: Versions,
}

/// The index of the built-in `"off"` in `Policy::server_tls`.
pub const SERVER_OFF: u16 = 0;
/// The index of the built-in `"system"`.
pub const SERVER_SYSTEM: u16 = 1;

impl ServerTls {
    /// What exists without being written.
    pub fn built_in() -> [Self; 2] {
        [
            Self { name: "off".to_owned(), mode: ServerMode::Off, ..Self::default() },
            Self { name: "system".to_owned(), ..Self::default() },
        ]
    }
}

/// What a session does about TLS towards its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSide {
    /// When.
    pub mode: ClientMode,
    /// Index of the `[client-tls.NAME]`; meant only where `mode` is not off.
    pub client_tls: u16,
}

impl Policy {
    /// TLS towards the client of a session on this listener under this session-acl, which may say otherwise.
    pub fn client_side(&self, listener: u16, session_rule: u16) -> ClientSide {
        let listener = self.listeners.get(usize::from(listener));
        let rule = self.session_acls.get(usize::from(session_rule));
        let mode = rule.and_then(|rule| rule.tls).or(listener.map(|listener| listener.tls));
        let named =
            rule.and_then(|rule| rule.client_tls).or(listener.and_then(|listener| listener.client_tls));
        ClientSide { mode: mode.unwrap_or_default(), client_tls: named.unwrap_or(0) }
    }

    /// Whether such a session learns its client's certificate, or that there is none, before its command-acl is decided:
    /// where TLS is implicit, is not intercepted, and clients are asked for one. Any other session begins without.
    pub fn learns_certificate(&self, listener: u16, session_rule: u16, transparent: bool) -> bool {
        let side = self.client_side(listener, session_rule);
        let demand = self.client_tls.get(usize::from(side.client_tls)).map(|tls| tls.demand);
        let rule = self.session_acls.get(usize::from(session_rule));
        let required = rule.is_some_and(|rule| !rule.require_client_certificate.is_empty());
        side.mode == ClientMode::Implicit
            && self.intercepts(listener, session_rule, transparent).is_none()
            && (required || demand.is_some_and(|demand| demand != Demand::None))
    }

    /// Whether the name that a client logs in with can decide its command-acl.
    pub fn has_user_rules(&self) -> bool {
        self.command_acls.iter().any(|acl| !acl.when.users.is_everything())
    }

    /// Whether the certificate of a client can decide its command-acl.
    pub fn has_certificate_rules(&self) -> bool {
        self.command_acls.iter().any(|acl| !acl.when.certificates.is_empty())
    }
}

impl Policy {
    /// Whether some session needs a private key.
    pub fn has_keys(&self) -> bool {
        let indices = |count: usize| 0..u16::try_from(count).unwrap_or(u16::MAX);
        indices(self.tenants.len()).any(|tenant| {
            let towards_servers =
                self.server_tls.iter().zip(0_u16..).filter(|(tls, _)| tls.certificate.is_some());
            indices(self.client_tls.len()).any(|tls| self.shows(tenant, tls))
                || towards_servers.into_iter().any(|(_, tls)| self.dials_with(tenant, tls))
        })
    }
}

/// What a certificate must be like: one of these. Empty: nothing is asked.
pub type Required = Vec<CertificateMatch>;
