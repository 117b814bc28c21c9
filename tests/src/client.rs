//! A scripted POP3 client that keeps every octet it is given.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and takes the greeting.
    pub fn connect(address: SocketAddr) -> (Self, String) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        let greeting = client.line();
        (client, greeting)
    }

    /// Connects and logs in as the laboratory's user.
    pub fn login(address: SocketAddr) -> Self {
        let (mut client, greeting) = Self::connect(address);
        assert!(greeting.starts_with("+OK"), "{greeting}");
        assert!(client.command("USER user").starts_with("+OK"));
        let answer = client.command("PASS secret");
        assert!(answer.starts_with("+OK"), "{answer}");
        client
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
