//! The load generator: one for all, verifying every octet of every mail.
use crate::mail::Mail;
use crate::tls::{Stream, secure};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// What one load did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Result {
    /// Sessions or mails that were complete and right.
    pub(crate) units: u64,
    /// Octets of mail.
    pub(crate) octets: u64,
    /// How long it took.
    pub(crate) wall: Duration,
    /// Time per unit, sorted.
    pub(crate) times: Vec<Duration>,
}

impl Result {
    /// Units a second.
    pub(crate) fn rate(&self) -> f64 {
        count(self.units) / self.wall.as_secs_f64()
    }

    /// Megabytes (10^6) a second.
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        count(self.octets) / 1e6 / self.wall.as_secs_f64()
    }

    /// The time below which a share `part` (0 to 1) of the units took.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below the length"
        )]
        let index = (count(self.times.len() as u64) * part) as usize;
        self.times.get(index.min(self.times.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench stay far below 2^52")]
const fn count(units: u64) -> f64 {
    units as f64
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// USER, PASS, RETR.
    Pop3,
    /// LOGIN, SELECT, UID FETCH.
    Imap,
}

/// What to do.
#[derive(Clone)]
pub(crate) struct Plan {
    /// What is spoken.
    pub(crate) protocol: Protocol,
    /// Where the proxy or server listens.
    pub(crate) address: SocketAddr,
    /// Sessions at a time.
    pub(crate) at_once: usize,
    /// For how long.
    pub(crate) time: Duration,
    /// Mails fetched in one session (the first so many of the maildrop).
    pub(crate) mails: usize,
    /// How often each of them is fetched in a session, where mails are counted.
    pub(crate) times: usize,
    /// Count mails instead of sessions.
    pub(crate) by_mail: bool,
    /// Start at most this many units a second; 0 is as fast as it goes.
    pub(crate) pace: u32,
    /// Implicit TLS.
    pub(crate) tls: Option<TlsConnector>,
}

/// Runs a load to its end.
pub(crate) async fn run(plan: Plan, mails: Rc<Vec<Mail>>) -> io::Result<Result> {
    let begun = Instant::now();
    let end = begun + plan.time;
    let times = Rc::new(RefCell::new(Vec::new()));
    let octets = Rc::new(Cell::new(0_u64));
    let ticket = Rc::new(Cell::new(0_u32));
    let mut tasks = JoinSet::new();
    for _ in 0..plan.at_once {
        let (mails, times, octets, ticket) = (mails.clone(), times.clone(), octets.clone(), ticket.clone());
        let plan = plan.clone();
        tasks.spawn_local(async move {
            while Instant::now() < end {
                if plan.pace > 0 {
                    let number = ticket.replace(ticket.get() + 1);
                    let due = begun + Duration::from_secs_f64(f64::from(number) / f64::from(plan.pace));
                    tokio::time::sleep_until(due.into()).await;
                }
                if plan.by_mail {
                    let mut client = Client::login(plan.protocol, plan.address, plan.tls.as_ref()).await?;
                    // More than once only where that is meant: a proxy may keep copies of what a session has read.
                    for number in (0..plan.mails).flat_map(|number| std::iter::repeat_n(number, plan.times)) {
                        let unit = Instant::now();
                        let fetched = client.retrieve(number, &mails).await?;
                        octets.set(octets.get() + fetched);
                        times.borrow_mut().push(unit.elapsed());
                    }
                    client.quit().await?;
                } else {
                    let unit = Instant::now();
                    let mut client = Client::login(plan.protocol, plan.address, plan.tls.as_ref()).await?;
                    client.idle_command().await?;
                    for number in 0..plan.mails {
                        let fetched = client.retrieve(number, &mails).await?;
                        octets.set(octets.get() + fetched);
                    }
                    client.quit().await?;
                    times.borrow_mut().push(unit.elapsed());
                }
            }
            io::Result::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    let mut times = times.take();
    times.sort_unstable();
    Ok(Result { units: times.len() as u64, octets: octets.get(), wall: begun.elapsed(), times })
}

/// Logs in `count` sessions and keeps them.
pub(crate) async fn idle(
    protocol: Protocol,
    address: SocketAddr,
    count: usize,
    tls: Option<&TlsConnector>,
) -> io::Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::login(protocol, address, tls).await?);
    }
    Ok(clients)
}

/// One session of the load generator.
pub(crate) struct Client {
    protocol: Protocol,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Client {
    async fn login(protocol: Protocol, address: SocketAddr, tls: Option<&TlsConnector>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = secure(stream, tls).await?;
        let mut client = Self { protocol, stream, buffer: Vec::new() };
        let greeting = client.line().await?;
        client.buffer.drain(..greeting);
        match protocol {
            Protocol::Pop3 => {
                client.command(b"USER user\r\n").await?;
                client.command(b"PASS secret\r\n").await?;
            }
            Protocol::Imap => {
                client.command(b"a LOGIN user secret\r\n").await?;
                client.command(b"a SELECT INBOX\r\n").await?;
            }
        }
        Ok(client)
    }

    async fn idle_command(&mut self) -> io::Result<usize> {
        self.command(match self.protocol {
            Protocol::Pop3 => b"STAT\r\n",
            Protocol::Imap => b"a NOOP\r\n",
        })
        .await
    }

    async fn quit(mut self) -> io::Result<()> {
        self.command(match self.protocol {
            Protocol::Pop3 => b"QUIT\r\n",
            Protocol::Imap => b"a LOGOUT\r\n",
        })
        .await?;
        // Some peers hang up without TLS's word for it.
        while self.stream.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0) {}
        Ok(())
    }

    async fn command(&mut self, command: &[u8]) -> io::Result<usize> {
        self.stream.write_all(command).await?;
        self.stream.flush().await?;
        self.answered(command).await
    }

    /// Reads up to the answer to a command; IMAP's may have untagged lines in front of it.
    async fn answered(&mut self, command: &[u8]) -> io::Result<usize> {
        let good: &[u8] = match self.protocol {
            Protocol::Pop3 => b"+OK",
            Protocol::Imap => b"a OK",
        };
        let mut end = self.line().await?;
        while self.protocol == Protocol::Imap && self.buffer.starts_with(b"* ") {
            self.buffer.drain(..end);
            end = self.line().await?;
        }
        if self.buffer.starts_with(good) {
            self.buffer.drain(..end);
            return Ok(end);
        }
        let line = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default()).into_owned();
        Err(io::Error::other(format!("{:?}: {line:?}", String::from_utf8_lossy(command))))
    }

    /// Reads until a line is complete and says where it ends; it stays in the buffer.
    async fn line(&mut self) -> io::Result<usize> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                return Ok(end + 1);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// One mail; every octet is compared.
    async fn retrieve(&mut self, number: usize, mails: &[Mail]) -> io::Result<u64> {
        let mail = mails.get(number).ok_or(io::ErrorKind::NotFound)?;
        match self.protocol {
            Protocol::Pop3 => {
                self.command(format!("RETR {}\r\n", number + 1).as_bytes()).await?;
                self.compare(number, mail, &mail.wire).await
            }
            Protocol::Imap => {
                let command = format!("a UID FETCH {} BODY.PEEK[]\r\n", number + 1);
                self.stream.write_all(command.as_bytes()).await?;
                self.stream.flush().await?;
                let end = self.line().await?;
                let announced = format!("{{{}}}\r\n", mail.bytes.len());
                let line = self.buffer.drain(..end).collect::<Vec<u8>>();
                if !line.ends_with(announced.as_bytes()) {
                    return Err(io::Error::other(format!("{:?}", String::from_utf8_lossy(&line))));
                }
                let octets = self.compare(number, mail, &mail.bytes).await?;
                let end = self.line().await?;
                self.buffer.drain(..end);
                self.answered(b"FETCH").await?;
                Ok(octets)
            }
        }
    }

    async fn compare(&mut self, number: usize, mail: &Mail, expected: &[u8]) -> io::Result<u64> {
        let mut expected = expected;
        loop {
            let have = self.buffer.len().min(expected.len());
            let (now, later) = expected.split_at(have);
            if self.buffer.get(..have) != Some(now) {
                return Err(io::Error::other(format!(
                    "mail {} differs from what the server holds",
                    number + 1
                )));
            }
            expected = later;
            self.buffer.drain(..have);
            if expected.is_empty() {
                return Ok(mail.bytes.len() as u64);
            }
            self.buffer.reserve(64 * 1024);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
