//! TLS on both sides: the only crate that names rustls, and none of its types leaves it.
//!
//! ```text
//! clients.rs   towards clients: certificates by name, client certificates, tickets
//! servers.rs   towards servers: what is trusted, the exceptions, what is required
//! channel.rs   bytes <-> records of one connection, after its handshake
//! stream.rs    the same for who reads and writes and nothing else: the scanner, towards engines
//! remote.rs    a key that is somewhere else: the worker's view of the keyholder
//! key.rs       a private key: the keyholder's, and `mailward check`'s
//! shape.rs     what a handshake lets a key sign, and nothing else
//! chain.rs     certificates: from files, and what is to be known of them
//! hello.rs     clients whose first words are read before they are answered
//! mint.rs      certificates in the place of servers', signed by the operator's authority: the keyholder's
//! ```
//!
//! # Security
//! Policy is the same object on every path: implicit TLS and STARTTLS use one [`Acceptor`] and one [`Connector`] each.
#![forbid(unsafe_code)]

mod chain;
mod channel;
mod clients;
mod hello;
mod key;
mod mint;
mod remote;
mod servers;
mod shape;
mod stream;

pub use chain::{Chain, Facts, check_revocations};
pub use channel::Channel;
pub use clients::{Acceptor, ClientFiles};
pub use hello::Hello;
pub use key::PrivateKey;
pub use mint::{Authority, Minted};
pub use remote::{Keyholder, NoKeys, TicketKeys, Which};
pub use servers::{Connector, Judge, Secured, ServerFiles, Verified};
pub use shape::{is_client_signature, is_server_signature};
pub use stream::ClientStream;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Why something about TLS cannot be, in a sentence without the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub(crate) String);

impl Error {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Whose fault a failed handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It did not end in time.
    Deadline,
    /// The peer hung up.
    Gone,
    /// The peer's certificate is not what is asked for.
    Certificate,
    /// The server asked for a certificate, and there was none to show.
    CertificateAsked,
    /// The peer speaks no TLS, or not the one that is asked for.
    Protocol,
}

/// A handshake that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault.
    pub blame: Blame,
    /// What, for the log; where the peer showed certificates, their names and dates. Printable, bounded.
    pub why: String,
}

/// Does once what is probed once, before a filter forbids it: the processor, the kernel's entropy.
///
/// # Errors
/// When there is no entropy.
pub fn warm_up() -> Result<(), Error> {
    let mut octets = [0; 8];
    provider().secure_random.fill(&mut octets).map_err(|_| Error::new("the kernel gives no entropy"))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

/// The provider with these cipher suites only, by IANA's names; none given: all.
fn provider_with(ciphers: &[String]) -> Arc<CryptoProvider> {
    if ciphers.is_empty() {
        return provider();
    }
    let mut provider = CryptoProvider::clone(&provider());
    provider.cipher_suites.retain(|suite| {
        // The library's own names of TLS 1.3 suites begin with TLS13_.
        let name = suite.suite().as_str().unwrap_or_default().replace("TLS13_", "TLS_");
        ciphers.contains(&name)
    });
    Arc::new(provider)
}

fn versions(versions: policy::tls::Versions) -> Vec<&'static SupportedProtocolVersion> {
    let wanted = [(versions.v1_3, &rustls::version::TLS13), (versions.v1_2, &rustls::version::TLS12)];
    wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, version)| version).collect()
}

/// What the library says, as a failure.
fn failure(error: &std::io::Error, seen: &[String]) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (blame, mut why) = match tls {
        None => (Blame::Gone, "the peer hung up in the handshake".to_owned()),
        Some(error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) => {
            (Blame::Certificate, error.to_string())
        }
        Some(error) => (Blame::Protocol, error.to_string()),
    };
    for certificate in seen {
        why.push_str("; ");
        why.push_str(certificate);
    }
    Failure { blame, why }
}
