//! A scripted POP3 client that keeps every octet it is given.
use crate::client_tls::{Secured, Tls};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The octets of a connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Clear(TcpStream),
    Secured(Box<Secured>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Secured(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(buffer),
            Self::Secured(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Secured(stream) => stream.flush(),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<Stream>,
}

impl Client {
    /// Connects and takes the greeting.
    pub fn connect(address: SocketAddr) -> (Self, String) {
        let mut client = Self { stream: BufReader::new(Stream::Clear(tcp(address))) };
        let greeting = client.line();
        (client, greeting)
    }

    /// Connects by implicit TLS and takes the greeting.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub fn connect_tls(address: SocketAddr, tls: &Tls) -> io::Result<(Self, String)> {
        let secured = tls.connect(tcp(address))?;
        let mut client = Self { stream: BufReader::new(Stream::Secured(Box::new(secured))) };
        let greeting = client.line();
        Ok((client, greeting))
    }

    /// Asks for TLS and begins it.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub fn stls(mut self, tls: &Tls) -> io::Result<Self> {
        let answer = self.command("STLS");
        assert_eq!(answer, "+OK begin TLS");
        assert!(self.stream.buffer().is_empty(), "something came behind the answer");
        match self.stream.into_inner() {
            Stream::Clear(stream) => {
                let secured = tls.connect(stream)?;
                Ok(Self { stream: BufReader::new(Stream::Secured(Box::new(secured))) })
            }
            Stream::Secured(_) => panic!("TLS twice"),
        }
    }

    /// Whether the handshake resumed a former session.
    pub fn resumed(&self) -> bool {
        match self.stream.get_ref() {
            Stream::Clear(_) => false,
            Stream::Secured(stream) => stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        }
    }

    /// Logs in as the laboratory's user.
    pub fn log_in(self) -> Self {
        self.log_in_as("user")
    }

    /// Logs in as one of its users.
    pub fn log_in_as(mut self, user: &str) -> Self {
        assert!(self.command(&format!("USER {user}")).starts_with("+OK"));
        let answer = self.command("PASS secret");
        assert!(answer.starts_with("+OK"), "{answer}");
        self
    }

    /// Connects and logs in as the laboratory's user.
    pub fn login(address: SocketAddr) -> Self {
        let (client, greeting) = Self::connect(address);
        assert!(greeting.starts_with("+OK"), "{greeting}");
        client.log_in()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Reads one line, without its end. Empty at the end of the connection.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap_or(0);
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// One command and the first line of its answer.
    pub fn command(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n"));
        self.line()
    }

    /// One command with a multi-line answer: its first line, and the un-dot-stuffed octets if it was `+OK`.
    /// `None` when the connection ended before the terminator.
    pub fn multiline(&mut self, command: &str) -> (String, Option<Vec<u8>>) {
        let first = self.command(command);
        if !first.starts_with("+OK") {
            return (first, None);
        }
        let content = self.content();
        (first, content)
    }

    /// The un-dot-stuffed octets up to the terminator; `None` when the connection ended before it.
    pub fn content(&mut self) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.stream.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                return None;
            }
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return Some(content),
                Some(rest) => content.extend_from_slice(rest),
                None => content.extend_from_slice(&line),
            }
        }
    }

    /// Fetches a mail; panics when it is refused.
    pub fn retrieve(&mut self, number: usize) -> Vec<u8> {
        let (first, content) = self.multiline(&format!("RETR {number}"));
        content.unwrap_or_else(|| panic!("RETR {number}: {first}"))
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
