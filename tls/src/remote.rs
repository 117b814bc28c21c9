//! A key that is somewhere else: rustls asks it to sign, and it asks the keyholder.
use crate::Error;
use crate::chain::Chain;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Which key of those that a grant names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Of this certificate of the session's client-tls.
    TowardsClient(u16),
    /// Of the certificate of the session's server-tls.
    TowardsServer,
    /// Of the certificate that was minted for the session.
    Minted,
}

/// Who has the keys. Each call is for the session whose handshake is running, and waits for the answer.
pub trait Keyholder: fmt::Debug + Send + Sync {
    /// A signature of this scheme (RFC 8446 section 4.2.3) over a handshake; `None`: refused.
    fn sign(&self, which: Which, scheme: u16, message: &[u8]) -> Option<Vec<u8>>;
    /// A session ticket around this state.
    fn seal(&self, state: &[u8]) -> Option<Vec<u8>>;
    /// The state in a session ticket, if it is one of ours and not too old.
    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>>;
}

/// For those who show no certificate.
#[derive(Debug)]
pub struct NoKeys;

impl Keyholder for NoKeys {
    fn sign(&self, _: Which, _: u16, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn seal(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn open(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// How long a session can be resumed, in seconds. The library's ticket keys are changed as often.
const TICKET_LIFETIME: u32 = 6 * 3600;

/// Keys that seal session tickets: made here, changed every six hours, the former ones taken once more.
pub struct TicketKeys(Arc<dyn ProducesTickets>);

impl TicketKeys {
    /// Makes them.
    ///
    /// # Errors
    /// When there is no entropy.
    pub fn new() -> Result<Self, Error> {
        Ticketer::new().map(Self).map_err(|_| Error::new("the kernel gives no entropy"))
    }

    /// A ticket around this state.
    pub fn seal(&self, state: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(state)
    }

    /// The state in a ticket.
    pub fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(ticket)
    }
}

/// The key of a certificate that is shown, held by the keyholder.
#[derive(Debug)]
pub(crate) struct RemoteKey {
    which: Which,
    algorithm: SignatureAlgorithm,
    schemes: &'static [SignatureScheme],
    keyholder: Arc<dyn Keyholder>,
}

impl RemoteKey {
    /// What the certificate says of its key has to do: the key itself is not here.
    pub(crate) fn new(chain: &Chain, which: Which, keyholder: Arc<dyn Keyholder>) -> Result<Self, Error> {
        let first = chain.der.first().ok_or_else(|| Error::new("there is no certificate in it"))?;
        let (algorithm, schemes) = schemes(first)?;
        Ok(Self { which, algorithm, schemes, keyholder })
    }
}

fn schemes(der: &[u8]) -> Result<(SignatureAlgorithm, &'static [SignatureScheme]), Error> {
    use SignatureScheme::{
        ECDSA_NISTP256_SHA256, ECDSA_NISTP384_SHA384, ECDSA_NISTP521_SHA512, ED25519, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    };
    let unusable = || {
        Error::new("the key of this certificate is neither RSA nor ECDSA (P-256, P-384, P-521) nor Ed25519")
    };
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| unusable())?;
    let algorithm = &parsed.public_key().algorithm;
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => Ok((
            SignatureAlgorithm::RSA,
            &[
                RSA_PSS_SHA256,
                RSA_PSS_SHA384,
                RSA_PSS_SHA512,
                RSA_PKCS1_SHA256,
                RSA_PKCS1_SHA384,
                RSA_PKCS1_SHA512,
            ],
        )),
        "1.3.101.112" => Ok((SignatureAlgorithm::ED25519, &[ED25519])),
        "1.2.840.10045.2.1" => {
            let schemes: &[SignatureScheme] = match curve.map(|oid| oid.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => &[ECDSA_NISTP256_SHA256],
                Some("1.3.132.0.34") => &[ECDSA_NISTP384_SHA384],
                Some("1.3.132.0.35") => &[ECDSA_NISTP521_SHA512],
                Some(_) | None => return Err(unusable()),
            };
            Ok((SignatureAlgorithm::ECDSA, schemes))
        }
        _ => Err(unusable()),
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner { which: self.which, scheme, keyholder: Arc::clone(&self.keyholder) }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

#[derive(Debug)]
struct RemoteSigner {
    which: Which,
    scheme: SignatureScheme,
    keyholder: Arc<dyn Keyholder>,
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature = self.keyholder.sign(self.which, self.scheme.into(), message);
        signature.ok_or_else(|| rustls::Error::General("the keyholder does not sign".to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Session tickets (RFC 8446 section 4.6.1, RFC 5077), sealed by the keyholder, so that every worker of a listener can
/// resume a session and none can forge one.
#[derive(Debug)]
pub(crate) struct Tickets(pub(crate) Arc<dyn Keyholder>);

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.seal(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.open(cipher)
    }
}
