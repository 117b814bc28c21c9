//! A client behind TLS that trusts the authority of this run and nobody else.
use crate::certificates::NAME;
use crate::mailward::Mailward;
use policy::tls::{ServerTls, Trust};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::{Channel, Connector, Keyholder, NoKeys, Secured, ServerFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// For a handshake.
const PATIENCE: Duration = Duration::from_secs(20);
const PIECE: usize = 64 * 1024;

/// How the client comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Stls,
    Implicit,
}

/// A session behind TLS.
pub(crate) struct Session {
    stream: TcpStream,
    channel: Channel,
    unread: Vec<u8>,
}

impl Session {
    /// Connects. With implicit TLS the greeting is still to be read.
    ///
    /// # Errors
    /// When there is no TLS that can be trusted.
    pub(crate) async fn connect(by: By, address: SocketAddr, mailward: &Mailward) -> io::Result<Self> {
        let ca = &mailward.certificates().ca;
        let settings = ServerTls { trust: Trust::Path(ca.clone()), ..ServerTls::default() };
        let files = ServerFiles { ca: vec![std::fs::read(ca)?], chain: None };
        let nobody: Arc<dyn Keyholder> = Arc::new(NoKeys);
        let connector = Connector::new(&settings, &files, &[], &nobody).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        if by == By::Stls {
            let mut piece = [0; 512];
            let _ = stream.read(&mut piece).await?;
            stream.write_all(b"STLS\r\n").await?;
            let count = stream.read(&mut piece).await?;
            if !piece.get(..count).is_some_and(|answer| answer.starts_with(b"+OK")) {
                return Err(io::Error::other("STLS was refused"));
            }
        }
        let secured = connector.connect(stream, NAME, PATIENCE).await;
        let Secured { stream, channel, .. } = secured.map_err(|failure| io::Error::other(failure.why))?;
        Ok(Self { stream, channel, unread: Vec::new() })
    }

    /// What the handshake agreed on.
    pub(crate) fn describe(&self) -> String {
        self.channel.describe()
    }

    /// Sends a line.
    pub(crate) async fn say(&mut self, line: &str) -> io::Result<()> {
        self.send(format!("{line}\r\n").as_bytes()).await
    }

    /// Sends octets.
    pub(crate) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.channel.say(octets);
        let mut records = Vec::new();
        self.channel.flush(&mut records)?;
        self.stream.write_all(&records).await
    }

    /// A line with its end.
    pub(crate) async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.unread) {
                return Ok(self.take(at + 1));
            }
            self.hear().await?;
        }
    }

    /// So many octets.
    pub(crate) async fn octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.hear().await?;
        }
        Ok(self.take(count))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    async fn hear(&mut self) -> io::Result<()> {
        let (mut records, mut plain) = (vec![0; PIECE], vec![0; 2 * PIECE]);
        let mut filled = 0;
        self.channel.pending(&mut plain, &mut filled);
        if filled == 0 {
            let count = self.stream.read(&mut records).await?;
            let came = records.get(..count).filter(|came| !came.is_empty());
            let came = came.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.channel.hear(came, &mut plain, &mut filled).map_err(io::Error::other)?;
        }
        self.unread.extend_from_slice(plain.get(..filled).unwrap_or_default());
        Ok(())
    }
}
