//! TLS of the scripted client: a connection that is wrapped at once or after STLS.
use crate::pki::Pair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// A connection behind TLS.
pub type Secured = StreamOwned<ClientConnection, TcpStream>;

/// What the client brings into a handshake.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: String,
}

impl Tls {
    /// Trusts this authority and expects this name.
    pub fn new(ca: &Path, name: &str) -> Self {
        Self::with(ca, name, None, &[])
    }

    /// With a certificate of its own.
    pub fn with_certificate(ca: &Path, name: &str, pair: &Pair) -> Self {
        Self::with(ca, name, Some(pair), &[])
    }

    /// Offering these application protocols.
    pub fn with_alpn(ca: &Path, name: &str, alpn: &[&str]) -> Self {
        Self::with(ca, name, None, alpn)
    }

    fn with(ca: &Path, name: &str, pair: Option<&Pair>, alpn: &[&str]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(chain(ca));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
                builder.with_client_auth_cert(chain(&pair.cert), key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config), name: name.to_owned() }
    }

    /// Shakes hands; TLS 1.3 clients learn of a refused certificate only when they read.
    ///
    /// # Errors
    /// Why there is no TLS.
    pub fn connect(&self, mut stream: TcpStream) -> io::Result<Secured> {
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let mut connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        stream.flush()?;
        Ok(StreamOwned::new(connection, stream))
    }
}

fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}
