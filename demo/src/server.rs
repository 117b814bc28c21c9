//! A small POP3 server on loopback that serves the sample mailbox to user `demo`. A stand-in for a real one so that
//! the demonstration needs nothing installed; it speaks RFC 1939 and 2449 as far as mail clients use them. By IMAP:
//! `imap_server.rs`.
use crate::imap_server::{self, Mailboxes};
use crate::mailbox::Mail;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// The login name and password of the demonstration.
pub(crate) const USER: &str = "demo";
/// See [`USER`].
pub(crate) const PASSWORD: &str = "demo";

/// A running server; its threads end with the process.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    imap_address: SocketAddr,
    mailboxes: Arc<Mailboxes>,
}

impl Server {
    /// Where it listens for POP3.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for IMAP.
    pub(crate) const fn imap_address(&self) -> SocketAddr {
        self.imap_address
    }

    /// What clients uploaded to it.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        self.mailboxes.sent()
    }
}

/// Starts the server on free ports.
///
/// # Errors
/// When loopback cannot be bound.
pub(crate) fn start(mails: &[Mail]) -> io::Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let maildrop: Arc<Vec<Vec<u8>>> = Arc::new(mails.iter().map(|mail| mail.bytes.clone()).collect());
    let (imap_address, mailboxes) = imap_server::start(&maildrop)?;
    thread::Builder::new().name("mail server".into()).spawn(move || {
        for client in listener.incoming().flatten() {
            let maildrop = Arc::clone(&maildrop);
            // A client that breaks off ends its own thread; there is nobody to tell.
            let _ = thread::Builder::new().spawn(move || Session::new(client, &maildrop)?.serve());
        }
    })?;
    Ok(Server { address, imap_address, mailboxes })
}

struct Session<'a> {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
    maildrop: &'a [Vec<u8>],
    deleted: Vec<bool>,
    user: bool,
    authenticated: bool,
}

impl<'a> Session<'a> {
    fn new(client: TcpStream, maildrop: &'a [Vec<u8>]) -> io::Result<Self> {
        client.set_nodelay(true)?;
        let reader = BufReader::new(client.try_clone()?);
        let writer = BufWriter::with_capacity(64 * 1024, client);
        let deleted = vec![false; maildrop.len()];
        Ok(Self { reader, writer, maildrop, deleted, user: false, authenticated: false })
    }

    fn serve(mut self) -> io::Result<()> {
        self.say("+OK sample mail server ready")?;
        let mut line = String::new();
        loop {
            self.writer.flush()?;
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split_whitespace();
            let verb = words.next().unwrap_or_default().to_ascii_uppercase();
            let argument = words.next().unwrap_or_default().to_owned();
            let second = words.next().and_then(|word| word.parse().ok());
            match (verb.as_str(), self.authenticated) {
                ("QUIT", _) => {
                    self.say("+OK bye")?;
                    return self.writer.flush();
                }
                ("CAPA", _) => self.say("+OK\r\nTOP\r\nUSER\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\n.")?,
                ("USER", false) => {
                    self.user = argument == USER;
                    self.say("+OK")?;
                }
                ("PASS", false) => {
                    self.authenticated = self.user && argument == PASSWORD;
                    self.say(if self.authenticated {
                        "+OK logged in"
                    } else {
                        "-ERR [AUTH] wrong name or password"
                    })?;
                }
                ("NOOP", true) => self.say("+OK")?,
                ("RSET", true) => {
                    self.deleted.fill(false);
                    self.say("+OK")?;
                }
                ("STAT", true) => self.stat()?,
                ("LIST", true) => self.listing(&argument, |_, mail| mail.len().to_string())?,
                ("UIDL", true) => self.listing(&argument, |number, _| format!("demo-{number:04}"))?,
                ("RETR", true) => self.retrieve(&argument, None)?,
                ("TOP", true) => self.retrieve(&argument, Some(second.unwrap_or(0)))?,
                ("DELE", true) => self.delete(&argument)?,
                _ => self.say("-ERR unknown command")?,
            }
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        self.writer.write_all(b"\r\n")
    }

    fn find(&self, argument: &str) -> Option<(usize, &'a [u8])> {
        let index = argument.parse::<usize>().ok()?.checked_sub(1)?;
        let there = !*self.deleted.get(index)?;
        there.then_some((index, self.maildrop.get(index)?.as_slice()))
    }

    fn there(&self) -> Vec<(usize, &'a [u8])> {
        let numbered = self.maildrop.iter().zip(&self.deleted).enumerate();
        numbered
            .filter(|(_, (_, deleted))| !**deleted)
            .map(|(index, (mail, _))| (index + 1, mail.as_slice()))
            .collect()
    }

    fn stat(&mut self) -> io::Result<()> {
        let (count, octets) =
            self.there().iter().fold((0, 0), |(count, octets), (_, mail)| (count + 1, octets + mail.len()));
        self.say(&format!("+OK {count} {octets}"))
    }

    fn listing(&mut self, argument: &str, value: impl Fn(usize, &[u8]) -> String) -> io::Result<()> {
        if !argument.is_empty() {
            let answer = self.find(argument).map_or_else(
                || "-ERR no such message".to_owned(),
                |(index, mail)| format!("+OK {} {}", index + 1, value(index + 1, mail)),
            );
            return self.say(&answer);
        }
        self.say("+OK")?;
        for (number, mail) in self.there() {
            self.say(&format!("{number} {}", value(number, mail)))?;
        }
        self.say(".")
    }

    fn retrieve(&mut self, argument: &str, body_lines: Option<usize>) -> io::Result<()> {
        let Some((_, mail)) = self.find(argument) else { return self.say("-ERR no such message") };
        self.say(&format!("+OK {} octets", mail.len()))?;
        let mut left = body_lines;
        let mut in_body = false;
        for line in mail.split_inclusive(|byte| *byte == b'\n') {
            if in_body {
                match left.as_mut() {
                    Some(0) => break,
                    Some(lines) => *lines -= 1,
                    None => {}
                }
            }
            in_body |= line == b"\r\n";
            if line.starts_with(b".") {
                self.writer.write_all(b".")?;
            }
            self.writer.write_all(line)?;
        }
        self.say(".")
    }

    fn delete(&mut self, argument: &str) -> io::Result<()> {
        let Some((index, _)) = self.find(argument) else { return self.say("-ERR no such message") };
        if let Some(mark) = self.deleted.get_mut(index) {
            *mark = true;
        }
        self.say("+OK deleted")
    }
}
