//! TLS towards servers: what is trusted, the named exceptions, and what is required of the certificate. Nothing is sent
//! to a server before its certificate was verified, because the handshake does not end before.
use crate::chain::{Chain, Facts, certificates, describe};
use crate::remote::{Keyholder, RemoteKey, Which};
use crate::{Blame, Channel, Error, Failure, failure, provider, versions};
use policy::conditions::CertificateMatch;
use policy::tls::{ServerTls, Verify};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

tokio::task_local! {
    /// The certificates that the server of this handshake showed, for the log.
    static SEEN: RefCell<Vec<String>>;
}

/// What the files of a server-tls hold.
#[derive(Debug, Default)]
pub struct ServerFiles {
    /// `ca`: PEM, one or several files.
    pub ca: Vec<Vec<u8>>,
    /// `certificate`.
    pub chain: Option<Chain>,
}

/// Shakes hands with servers.
#[derive(Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    expected: Option<String>,
}

impl Connector {
    /// For one server-tls and `require-server-certificate`.
    ///
    /// # Errors
    /// When a file does not hold what it should.
    pub fn new(
        tls: &ServerTls,
        files: &ServerFiles,
        required: &[CertificateMatch],
        keyholder: &Arc<dyn Keyholder>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for pem in &files.ca {
            roots.add_parsable_certificates(certificates(pem)?);
        }
        if roots.is_empty() && matches!(tls.verify, Verify::Full | Verify::Chain) && !tls.accept.self_signed {
            return Err(Error::new("there is no authority to trust: install ca-certificates, or write `ca`"));
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(tls.versions))
            .map_err(|error| Error::new(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier {
                tls: tls.clone(),
                roots,
                required: required.to_vec(),
                provider: provider(),
            }));
        let config = match &files.chain {
            None => builder.with_no_client_auth(),
            Some(chain) => {
                let key = RemoteKey::new(chain, Which::TowardsServer, Arc::clone(keyholder))?;
                let certified = CertifiedKey::new(chain.der.clone(), Arc::new(key));
                builder.with_client_cert_resolver(Arc::new(Always(Arc::new(certified))))
            }
        };
        Ok(Self { config: Arc::new(config), expected: tls.expected.clone() })
    }

    /// Shakes hands. `name` is the server's, where the configuration does not say another; an address is one too.
    ///
    /// # Errors
    /// Whatever is no handshake that this configuration asks for, within the time.
    pub async fn connect(
        &self,
        stream: TcpStream,
        name: &str,
        within: Duration,
    ) -> Result<(TcpStream, Channel), Failure> {
        let name = self.expected.as_deref().unwrap_or(name);
        let Ok(name) = ServerName::try_from(name.to_owned()) else {
            let why =
                format!("`{name}` is no name that a certificate could have: write `name` in the server-tls");
            return Err(Failure { blame: Blame::Certificate, why });
        };
        let handshake = async {
            let ended = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
            ended.map_err(|error| failure(&error, &SEEN.with(|seen| seen.borrow().clone())))
        };
        let handshake = SEEN.scope(RefCell::default(), handshake);
        let Ok(ended) = tokio::time::timeout(within, handshake).await else {
            let why = format!("the handshake did not end within {} s", within.as_secs());
            return Err(Failure { blame: Blame::Deadline, why });
        };
        let (stream, connection) = ended?.into_inner();
        Ok((stream, Channel::new(connection.into())))
    }
}

/// The certificate towards servers that ask for one.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Verifier {
    tls: ServerTls,
    roots: RootCertStore,
    required: Vec<CertificateMatch>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let facts = Facts::of(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if self.tls.verify == Verify::Fingerprint {
            let known = self.tls.fingerprints.contains(&facts.certificate.fingerprint);
            return if known { Ok(()) } else { Err(CertificateError::UnknownIssuer.into()) };
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        if matches!(self.tls.verify, Verify::Full | Verify::Chain) {
            self.chain(&parsed, intermediates, &facts, now)?;
        }
        if self.tls.verify == Verify::Full {
            verify_server_name(&parsed, name)?;
        }
        if self.required.is_empty() || self.required.iter().any(|wanted| wanted.matches(&facts.certificate)) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    /// Chain and dates, with the exceptions that are named.
    fn chain(
        &self,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        facts: &Facts,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if intermediates.len() > if self.tls.depth == 0 { DEPTH } else { self.tls.depth } {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let at = self.moment(facts, now);
        let algorithms = self.provider.signature_verification_algorithms.all;
        let verified =
            verify_server_cert_signed_by_trust_anchor(parsed, &self.roots, intermediates, at, algorithms);
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if self.tls.accept.self_signed && facts.is_self_issued() => itself(facts, at),
            verified => verified,
        }
    }

    /// When the certificate is looked at: now, or where an exception is named, the nearest moment of its validity.
    fn moment(&self, facts: &Facts, now: UnixTime) -> UnixTime {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let moment = if self.tls.accept.expired && seconds > facts.not_after {
            facts.not_after
        } else if self.tls.accept.not_yet_valid && seconds < facts.not_before {
            facts.not_before
        } else {
            return now;
        };
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(moment).unwrap_or(0)))
    }
}

/// A certificate that is its own authority: it proves only its dates and that who shows it has its key, which the
/// handshake verifies.
fn itself(facts: &Facts, at: UnixTime) -> Result<(), rustls::Error> {
    let at = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    if at > facts.not_after {
        return Err(CertificateError::Expired.into());
    }
    if at < facts.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

/// webpki's bound of certificates between a server's and an authority's.
const DEPTH: usize = 6;

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Outside a handshake of `connect` nobody asks what was seen.
        let _ = SEEN.try_with(|seen| {
            let chain = [end_entity].into_iter().chain(intermediates).take(DEPTH + 1);
            *seen.borrow_mut() = chain.map(|der| describe(der)).collect();
        });
        self.verify(end_entity, intermediates, server_name, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
