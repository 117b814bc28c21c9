//! A small POP3 client that reads as a user's mail program would, and keeps the exact octets it was given.
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One logged-in session.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// What RETR gave.
#[derive(Debug)]
pub(crate) enum Retrieved {
    /// The mail, un-dot-stuffed.
    Mail(Vec<u8>),
    /// `-ERR`.
    Refused,
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When the login is refused or the peer does not speak POP3.
    pub(crate) fn login(address: SocketAddr, user: &str, password: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut client = Self { stream: BufReader::with_capacity(64 * 1024, stream) };
        client.line()?;
        for command in [format!("USER {user}"), format!("PASS {password}")] {
            let answer = client.command(&command)?;
            if !answer.starts_with("+OK") {
                return Err(io::Error::other(format!("the login was refused: {answer}")));
            }
        }
        Ok(client)
    }

    /// Sends one command and returns the first line of its answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub(crate) fn command(&mut self, command: &str) -> io::Result<String> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        self.line()
    }

    /// Fetches one message.
    ///
    /// # Errors
    /// When the connection ends before the terminator.
    pub(crate) fn retrieve(&mut self, number: usize) -> io::Result<Retrieved> {
        let answer = self.command(&format!("RETR {number}"))?;
        if !answer.starts_with("+OK") {
            return Ok(Retrieved::Refused);
        }
        let mut mail = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.stream.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return Ok(Retrieved::Mail(mail)),
                Some(rest) => mail.extend_from_slice(rest),
                None => mail.extend_from_slice(&line),
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
