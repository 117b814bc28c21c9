//! TLS towards clients: which certificate is shown, whose certificates are taken, and the handshake within its time.
use crate::chain::{Chain, Facts, certificates, revocations};
use crate::remote::{Keyholder, RemoteKey, Tickets, Which};
use crate::{Blame, Channel, Error, Failure, failure, provider_with, versions};
use policy::conditions::CertificateMatch;
use policy::names::Protocol;
use policy::tls::{ClientTls, Demand};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, ServerConnection,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// What the files of a client-tls hold.
#[derive(Debug, Default)]
pub struct ClientFiles {
    /// The certificates in their order, each with its OCSP answer if there is one.
    pub chains: Vec<(Chain, Option<Vec<u8>>)>,
    /// `client-ca`, PEM.
    pub client_ca: Option<Vec<u8>>,
    /// `crl`, PEM or DER.
    pub crl: Vec<Vec<u8>>,
}

/// Shakes hands with clients.
#[derive(Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    required: Vec<CertificateMatch>,
    deadline: Duration,
}

impl Acceptor {
    /// For one client-tls, protocol and `require-client-certificate`.
    ///
    /// # Errors
    /// When a file does not hold what it should.
    pub fn new(
        tls: &ClientTls,
        files: &ClientFiles,
        required: &[CertificateMatch],
        protocol: Protocol,
        keyholder: &Arc<dyn Keyholder>,
    ) -> Result<Self, Error> {
        let provider = provider_with(&tls.ciphers);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions(tls.versions))
            .map_err(|error| Error::new(format!("versions and ciphers do not go together: {error}")))?;
        let demand = if required.is_empty() { tls.demand } else { Demand::Required };
        let builder = match demand {
            Demand::None => builder.with_no_client_auth(),
            Demand::Optional | Demand::Required => {
                let ca = files.client_ca.as_deref().ok_or_else(|| Error::new("client-ca is missing"))?;
                let mut verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), Arc::clone(&provider))
                        .with_crls(lists(files)?);
                if demand == Demand::Optional {
                    verifier = verifier.allow_unauthenticated();
                }
                let verifier = verifier.build().map_err(|error| Error::new(format!("client-ca: {error}")))?;
                builder
                    .with_client_cert_verifier(Arc::new(Required { verifier, required: required.to_vec() }))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(files, keyholder)?));
        config.alpn_protocols = vec![alpn(protocol)];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if demand == Demand::None {
            config.ticketer = Arc::new(Tickets(Arc::clone(keyholder)));
            config.send_tls13_tickets = 1;
        } else {
            // A resumed session would not be asked for its certificate, whatever was revoked meanwhile.
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), required: required.to_vec(), deadline: tls.deadline })
    }

    /// Shakes hands. Gives the connection, its records, and what is known of the client's certificate.
    ///
    /// # Errors
    /// Whatever is no handshake that this configuration asks for, within its deadline.
    pub async fn accept<IO>(&self, stream: IO) -> Result<(IO, Channel, Option<Facts>), Failure>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let Ok(ended) = tokio::time::timeout(self.deadline, handshake).await else {
            let why = format!("the handshake did not end within {} s", self.deadline.as_secs());
            return Err(Failure { blame: Blame::Deadline, why });
        };
        let (stream, connection) = ended.map_err(|error| failure(&error, &[]))?.into_inner();
        let (channel, shown) = self.taken(connection)?;
        Ok((stream, channel, shown))
    }

    /// The same, with a certificate that was minted for this session instead of its own. Its sessions are not resumed:
    /// each begins with a look at the server.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn showing(&self, minted: &[Vec<u8>], keyholder: &Arc<dyn Keyholder>) -> Result<Self, Error> {
        let chain = Chain::from_der(minted)?;
        let key = RemoteKey::new(&chain, Which::Minted, Arc::clone(keyholder))?;
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(Only(Arc::new(CertifiedKey::new(chain.der, Arc::new(key)))));
        config.ticketer = Arc::new(NoTickets);
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), required: self.required.clone(), deadline: self.deadline })
    }

    pub(crate) const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// How long a handshake may take.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A handshake ended; whether its certificate is one of those that are required.
    pub(crate) fn taken(&self, connection: ServerConnection) -> Result<(Channel, Option<Facts>), Failure> {
        let shown = connection.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.and_then(|der| Facts::of(der).ok());
        let meets = |facts: &Facts| self.required.iter().any(|wanted| wanted.matches(&facts.certificate));
        if !self.required.is_empty() && !shown.as_ref().is_some_and(meets) {
            let why = "the client's certificate is none of those that are required".to_owned();
            return Err(Failure { blame: Blame::Certificate, why });
        }
        Ok((Channel::new(connection.into()), shown))
    }
}

/// One certificate for every name.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// No session is resumed.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// IANA's registry of ALPN protocol IDs. A client that offers others only is refused by the library (RFC 7301 section 3.2).
fn alpn(protocol: Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Pop3 => b"pop3".to_vec(),
        Protocol::Imap => b"imap".to_vec(),
        Protocol::Sieve => b"managesieve".to_vec(),
    }
}

pub(crate) fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(pem)?);
    if added == 0 {
        return Err(Error::new("there is no authority's certificate in it"));
    }
    Ok(roots)
}

fn lists(
    files: &ClientFiles,
) -> Result<Vec<rustls::pki_types::CertificateRevocationListDer<'static>>, Error> {
    let mut lists = Vec::new();
    for file in &files.crl {
        lists.extend(revocations(file)?);
    }
    Ok(lists)
}

/// The certificate for the name that the client asks for (RFC 6066 section 3), of those whose key it can verify; the
/// first one for any other name.
#[derive(Debug)]
struct ByName {
    known: Vec<(Chain, Arc<CertifiedKey>)>,
}

impl ByName {
    fn new(files: &ClientFiles, keyholder: &Arc<dyn Keyholder>) -> Result<Self, Error> {
        let mut known = Vec::new();
        for ((chain, staple), index) in files.chains.iter().zip(0_u16..) {
            let key = RemoteKey::new(chain, Which::TowardsClient(index), Arc::clone(keyholder))?;
            let mut certified = CertifiedKey::new(chain.der.clone(), Arc::new(key));
            certified.ocsp.clone_from(staple);
            known.push((chain.clone(), Arc::new(certified)));
        }
        if known.is_empty() { Err(Error::new("there is no certificate to show")) } else { Ok(Self { known }) }
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let verifiable = |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let usable = || self.known.iter().filter(|(_, key)| verifiable(key));
        let named = hello.server_name().and_then(|name| usable().find(|(chain, _)| chain.is_for(name)));
        named.or_else(|| usable().next()).map(|(_, key)| Arc::clone(key))
    }
}

/// A client certificate that an authority signed and that is one of those required.
#[derive(Debug)]
struct Required {
    verifier: Arc<dyn ClientCertVerifier>,
    required: Vec<CertificateMatch>,
}

impl ClientCertVerifier for Required {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.verifier.verify_client_cert(end_entity, intermediates, now)?;
        let facts = Facts::of(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if self.required.is_empty() || self.required.iter().any(|wanted| wanted.matches(&facts.certificate)) {
            return Ok(verified);
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
