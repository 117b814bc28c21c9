//! TLS towards servers: what is trusted, the named exceptions, and what is required of the certificate. Nothing is sent
//! to a server before its certificate was verified, because the handshake does not end before.
use crate::chain::{Chain, Facts, certificates, describe};
use crate::remote::{Keyholder, RemoteKey, Which};
use crate::stream::ClientStream;
use crate::{Blame, Channel, Error, Failure, failure, provider, versions};
use policy::conditions::CertificateMatch;
use policy::tls::{Exceptions, ServerTls, Verify};
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
use tokio_rustls::client::TlsStream;

tokio::task_local! {
    /// Of the server whose handshake this is.
    static SEEN: RefCell<Seen>;
}

#[derive(Default)]
struct Seen {
    /// The certificates that it showed, for the log.
    certificates: Vec<String>,
    /// Whether it asked for one, and there was none to show.
    asked: bool,
}

/// A server, behind TLS.
#[derive(Debug)]
pub struct Secured {
    /// The connection.
    pub stream: TcpStream,
    /// Its records.
    pub channel: Channel,
    /// Whether it asked for a certificate, and there was none to show.
    pub asked: bool,
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
        let verifier = Verifier::new(tls, &files.ca, required)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(tls.versions))
            .map_err(|error| Error::new(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let shown = match &files.chain {
            None => Shown(None),
            Some(chain) => {
                let key = RemoteKey::new(chain, Which::TowardsServer, Arc::clone(keyholder))?;
                Shown(Some(Arc::new(CertifiedKey::new(chain.der.clone(), Arc::new(key)))))
            }
        };
        let config = builder.with_client_cert_resolver(Arc::new(shown));
        Ok(Self { config: Arc::new(config), expected: tls.expected.clone() })
    }

    /// Shakes hands. `name` is the server's, where the configuration does not say another; an address is one too.
    ///
    /// # Errors
    /// Whatever is no handshake that this configuration asks for, within the time.
    pub async fn connect(&self, stream: TcpStream, name: &str, within: Duration) -> Result<Secured, Failure> {
        let (stream, asked) = self.shake_hands(stream, name, within).await?;
        let (stream, connection) = stream.into_inner();
        Ok(Secured { stream, channel: Channel::new(connection.into()), asked })
    }

    /// The same, for a caller that only reads and writes.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn connect_stream(
        &self,
        stream: TcpStream,
        name: &str,
        within: Duration,
    ) -> Result<ClientStream, Failure> {
        self.shake_hands(stream, name, within).await.map(|(stream, _)| ClientStream::new(stream))
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        name: &str,
        within: Duration,
    ) -> Result<(TlsStream<TcpStream>, bool), Failure> {
        let name = expected(self.expected.as_deref(), name)
            .map_err(|why| Failure { blame: Blame::Certificate, why: why.0 })?;
        let handshake = async {
            let ended = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
            let Seen { certificates, asked } = SEEN.with(RefCell::take);
            match ended {
                Ok(stream) => Ok((stream, asked)),
                Err(error) => {
                    let failure = failure(&error, &certificates);
                    // A server that asked and got none may have refused for that.
                    let blame = if asked && failure.blame != Blame::Certificate {
                        Blame::CertificateAsked
                    } else {
                        failure.blame
                    };
                    Err(Failure { blame, ..failure })
                }
            }
        };
        let handshake = SEEN.scope(RefCell::default(), handshake);
        let Ok(ended) = tokio::time::timeout(within, handshake).await else {
            let why = format!("the handshake did not end within {} s", within.as_secs());
            return Err(Failure { blame: Blame::Deadline, why });
        };
        ended
    }
}

/// The name that the certificate must have: the configured one, else the server's.
fn expected(configured: Option<&str>, name: &str) -> Result<ServerName<'static>, Error> {
    let name = configured.unwrap_or(name);
    ServerName::try_from(name.to_owned()).map_err(|_| {
        Error::new(format!(
            "`{name}` is no name that a certificate could have: write `name` in the server-tls"
        ))
    })
}

/// The certificate towards servers that ask for one, if there is one.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if self.0.is_none() {
            // Outside a handshake of `connect` nobody asks what was seen.
            let _ = SEEN.try_with(|seen| seen.borrow_mut().asked = true);
        }
        self.0.as_ref().filter(|shown| shown.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// How a server's certificate was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Chain, dates and name, or by its fingerprint.
    Wholly,
    /// Only because the server-tls is content with less, or names an exception.
    ByException,
}

/// Verifies servers' certificates without a handshake, by one server-tls.
#[derive(Debug)]
pub struct Judge {
    strict: Option<Verifier>,
    configured: Verifier,
}

impl Judge {
    /// `ca`: PEM, one or several files.
    ///
    /// # Errors
    /// When a file does not hold what it should.
    pub fn new(tls: &ServerTls, ca: &[Vec<u8>]) -> Result<Self, Error> {
        let verify = if tls.verify == Verify::Fingerprint { Verify::Fingerprint } else { Verify::Full };
        let strict = ServerTls { verify, accept: Exceptions::default(), ..tls.clone() };
        // Without an authority nothing is verified wholly.
        Ok(Self { strict: Verifier::new(&strict, ca, &[]).ok(), configured: Verifier::new(tls, ca, &[])? })
    }

    /// Judges a chain, the server's certificate first. `name` is the server's, where the configuration does not say another;
    /// `now` in seconds since 1970.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, chain: &[Vec<u8>], name: &str, now: u64) -> Result<Verified, Error> {
        let name = expected(self.configured.tls.expected.as_deref(), name)?;
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let (first, others) = chain.split_first().ok_or_else(|| Error::new("there is no certificate"))?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verify = |verifier: &Verifier| verifier.verify(first, others, &name, now);
        if self.strict.as_ref().is_some_and(|strict| verify(strict).is_ok()) {
            return Ok(Verified::Wholly);
        }
        verify(&self.configured)
            .map(|()| Verified::ByException)
            .map_err(|error| Error::new(error.to_string()))
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
    fn new(tls: &ServerTls, ca: &[Vec<u8>], required: &[CertificateMatch]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for pem in ca {
            roots.add_parsable_certificates(certificates(pem)?);
        }
        if roots.is_empty() && matches!(tls.verify, Verify::Full | Verify::Chain) && !tls.accept.self_signed {
            return Err(Error::new("there is no authority to trust: install ca-certificates, or write `ca`"));
        }
        Ok(Self { tls: tls.clone(), roots, required: required.to_vec(), provider: provider() })
    }

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
            seen.borrow_mut().certificates = chain.map(|der| describe(der)).collect();
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
