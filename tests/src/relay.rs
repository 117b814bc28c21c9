//! What stands between Mailward and a real daemon: TLS, or a relay that changes one word of a real clamd, or one that is
//! nobody and only listens.
use crate::pki::Pair;
use crate::process::Daemon;
use crate::until;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// TLS in front of a daemon that speaks none: socat, with OpenSSL.
#[derive(Debug)]
pub struct TlsFront {
    _daemon: Daemon,
    address: SocketAddr,
}

impl TlsFront {
    /// With this certificate, in front of an address in socat's words: `TCP:127.0.0.1:11333`, `UNIX-CONNECT:/path`.
    pub fn start(pair: &Pair, to: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = format!(
            "OPENSSL-LISTEN:{},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={},key={}",
            address.port(),
            pair.cert.display(),
            pair.key.display()
        );
        let mut command = Command::new("socat");
        command.args(["-t", "10", &listen, to]).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Daemon::start(&mut command);
        until("socat to listen", 10, || TcpStream::connect(address).ok());
        Self { _daemon: daemon, address }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens, says nothing, and keeps what it hears.
#[derive(Clone, Debug)]
pub struct Listener {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    /// Starts one; its threads end with the test.
    pub fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Self { address: socket.local_addr().unwrap(), heard: Arc::default() };
        let heard = Arc::clone(&listener.heard);
        thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                let heard = Arc::clone(&heard);
                thread::spawn(move || {
                    let mut piece = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut piece) {
                        heard.lock().unwrap().extend_from_slice(&piece[..count]);
                        // What no server of TLS says.
                        let _ = stream.write_all(b"1: stream: OK\0");
                    }
                });
            }
        });
        listener
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that anybody said to it.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

/// A real clamd, behind a relay that lets it name a database: one whose database no authority signed names none.
#[derive(Clone, Debug)]
pub struct Versioned {
    address: SocketAddr,
    version: Arc<Mutex<String>>,
}

impl Versioned {
    /// In front of the clamd at this socket; it names itself and, behind that, `version`: `/27830/Thu Nov 26 09:31:02 2026`.
    pub fn start(clamd: &Path, version: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            version: Arc::new(Mutex::new(version.to_owned())),
        };
        let (version, clamd) = (Arc::clone(&relay.version), PathBuf::from(clamd));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (clamd, version) = (clamd.clone(), Arc::clone(&version));
                thread::spawn(move || carry(&client, &clamd, &version));
            }
        });
        relay
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// It names this from now on.
    pub fn say(&self, version: &str) {
        version.clone_into(&mut self.version.lock().unwrap());
    }
}

fn carry(mut client: &TcpStream, clamd: &Path, version: &Mutex<String>) {
    let Ok(mut server) = UnixStream::connect(clamd) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut answer = Vec::new();
    let mut octet = [0];
    while let Ok(1) = server.read(&mut octet) {
        answer.push(octet[0]);
        if octet == [0] {
            if String::from_utf8_lossy(&answer).contains(": ClamAV ") {
                answer.pop();
                answer.extend_from_slice(version.lock().unwrap().as_bytes());
                answer.push(0);
            }
            if client.write_all(&std::mem::take(&mut answer)).is_err() {
                return;
            }
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}
