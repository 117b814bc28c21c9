//! TLS of the bench: one certificate for all, made anew by openssl, and the client's and the backend's ends.
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Which side of a proxy is behind TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) front: bool,
    pub(crate) back: bool,
}

/// The files.
#[derive(Debug)]
pub(crate) struct Pki {
    directory: TempDir,
}

impl Pki {
    /// A self-signed ECDSA certificate for 127.0.0.1 and localhost.
    pub(crate) fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("mailward-bench-pki-").tempdir()?;
        let pki = Self { directory };
        let (cert, key) = (pki.cert(), pki.key());
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "30",
            ])
            .args(["-subj", "/CN=bench", "-addext", "basicConstraints=CA:FALSE"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout"])
            .args([&key, Path::new("-out"), &cert])
            .output()?;
        if !made.status.success() {
            return Err(io::Error::other(format!("openssl: {}", String::from_utf8_lossy(&made.stderr))));
        }
        fs::write(pki.both(), [fs::read(&cert)?, fs::read(&key)?].concat())?;
        Ok(pki)
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Certificate and key in one file, as haproxy wants them.
    pub(crate) fn both(&self) -> PathBuf {
        self.directory.path().join("both.pem")
    }

    /// What the client shakes hands with; full handshakes unless sessions are to be resumed.
    pub(crate) fn connector(&self, resume: bool) -> io::Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(chain(&self.cert())?);
        let mut config = ClientConfig::builder_with_provider(Arc::new(classical()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resume {
            config.resumption = Resumption::disabled();
        }
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Without post-quantum key exchange, which Debian's OpenSSL does not have: the same work for every peer.
fn classical() -> CryptoProvider {
    CryptoProvider { kx_groups: vec![X25519, SECP256R1], ..default_provider() }
}

/// What the backend shakes hands with.
pub(crate) fn acceptor(cert: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(classical()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain(cert)?, key)
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(io::Error::other)?.collect();
    found.map_err(io::Error::other)
}

/// A connection, whatever is below.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Connects in clear text or by implicit TLS.
pub(crate) async fn secure(stream: TcpStream, tls: Option<&TlsConnector>) -> io::Result<Box<dyn Stream>> {
    let Some(connector) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    Ok(Box::new(connector.connect(name, stream).await?))
}
