//! A scripted server behind TLS: what it says before the handshake, in which pieces, and how it was met.
use crate::pki::Pair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does before its handshake.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// It sends these octets, in a segment of their own.
    Say(&'static [u8]),
    /// The same, each octet in a segment of its own.
    Dribble(&'static [u8]),
    /// It waits for a line.
    Hear,
    /// It waits for a millisecond.
    Pause,
}

/// Before implicit TLS nothing is said.
pub const IMPLICIT: &[Step] = &[];
/// RFC 2595 section 4.
pub const STLS: &[Step] = &[Step::Say(b"+OK ready\r\n"), Step::Hear, Step::Say(b"+OK begin TLS\r\n")];
/// RFC 9051 section 6.2.1.
pub const STARTTLS: &[Step] = &[Step::Say(b"* OK ready\r\n"), Step::Hear, Step::Say(b"s1 OK begin TLS\r\n")];

/// What a handshake asked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// The name (RFC 6066 section 3).
    pub name: Option<String>,
    /// Application protocols (RFC 7301).
    pub protocols: Vec<Vec<u8>>,
    /// Cipher suites, sorted.
    pub suites: Vec<u16>,
    /// The version; `None`: the handshake failed.
    pub version: Option<ProtocolVersion>,
}

/// A running server; its threads end with the test process.
#[derive(Clone, Debug)]
pub struct TlsServer {
    address: SocketAddr,
    met: Arc<Mutex<Vec<Met>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    /// With this certificate and these versions. Behind TLS it agrees to everything.
    pub fn start(
        pair: &Pair,
        versions: &[&'static SupportedProtocolVersion],
        before: &'static [Step],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, met: Arc::default(), heard: Arc::default() };
        let config = Arc::new(config(pair, versions));
        let shared = server.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, config) = (shared.clone(), Arc::clone(&config));
                thread::spawn(move || {
                    let _ = server.serve(client, config, before);
                });
            }
        });
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every handshake so far.
    pub fn met(&self) -> Vec<Met> {
        self.met.lock().unwrap().clone()
    }

    /// Every line so far, before TLS and behind it.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn serve(&self, mut client: TcpStream, config: Arc<ServerConfig>, before: &[Step]) -> io::Result<()> {
        client.set_nodelay(true)?;
        for step in before {
            match step {
                Step::Say(octets) => client.write_all(octets)?,
                Step::Dribble(octets) => {
                    for octet in *octets {
                        client.write_all(&[*octet])?;
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                Step::Hear => self.hear(&line(&mut client)?),
                Step::Pause => thread::sleep(Duration::from_millis(1)),
            }
        }
        let mut secured = BufReader::new(self.shake_hands(client, config)?);
        if before.is_empty() {
            secured.get_mut().write_all(b"+OK ready\r\n")?;
        }
        let mut heard = String::new();
        while secured.read_line(&mut heard)? > 0 {
            self.hear(&std::mem::take(&mut heard));
            secured.get_mut().write_all(b"+OK\r\n")?;
        }
        Ok(())
    }

    fn shake_hands(
        &self,
        mut client: TcpStream,
        config: Arc<ServerConfig>,
    ) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let mut acceptor = Acceptor::default();
        let accepted = loop {
            acceptor.read_tls(&mut client)?;
            if let Some(accepted) = acceptor.accept().map_err(|(error, _)| io::Error::other(error))? {
                break accepted;
            }
        };
        let hello = accepted.client_hello();
        let mut suites: Vec<u16> = hello.cipher_suites().iter().map(|suite| u16::from(*suite)).collect();
        suites.sort_unstable();
        let protocols = hello.alpn().map(|names| names.map(<[u8]>::to_vec).collect()).unwrap_or_default();
        let mut met = Met { name: hello.server_name().map(str::to_owned), protocols, suites, version: None };
        let shaken = accepted.into_connection(config).map_err(|(error, mut alert)| {
            let _ = alert.write_all(&mut client);
            io::Error::other(error)
        });
        let shaken = shaken.and_then(|mut connection| {
            while connection.is_handshaking() {
                connection.complete_io(&mut client)?;
            }
            Ok(connection)
        });
        met.version = shaken.as_ref().ok().and_then(|connection| connection.protocol_version());
        self.met.lock().unwrap().push(met);
        Ok(StreamOwned::new(shaken?, client))
    }

    fn hear(&self, line: &str) {
        self.heard.lock().unwrap().push(line.trim_end().to_owned());
    }
}

/// One octet at a time: what follows is not the line's.
fn line(client: &mut TcpStream) -> io::Result<String> {
    let (mut line, mut octet) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") {
        client.read_exact(&mut octet)?;
        line.extend_from_slice(&octet);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn config(pair: &Pair, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(&pair.cert).unwrap().map(Result::unwrap).collect();
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&pair.key).unwrap())
        .unwrap()
}
