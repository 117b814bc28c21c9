//! A client whose ClientHello is read before it is known how it will be answered: what it says is kept, so that its
//! connection can still be given to somebody else as if nothing had been read.
use crate::chain::Facts;
use crate::clients::Acceptor;
use crate::{Blame, Channel, Failure, failure};
use rustls::server::Acceptor as Listening;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::StartHandshake;

/// A client that said its first words.
pub struct Hello<IO>(StartHandshake<Kept<IO>>);

impl<IO> std::fmt::Debug for Hello<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hello(..)")
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Hello<IO> {
    /// Waits for them. The library bounds them at 64 KiB.
    ///
    /// # Errors
    /// What is no ClientHello, or does not come in time.
    pub async fn hear(stream: IO, within: Duration) -> Result<Self, Failure> {
        let hello = LazyConfigAcceptor::new(Listening::default(), Kept { stream, kept: Some(Vec::new()) });
        match tokio::time::timeout(within, hello).await {
            Ok(Ok(start)) => Ok(Self(start)),
            Ok(Err(error)) => Err(failure(&error, &[])),
            Err(_) => {
                let why = format!("the client said nothing within {} s", within.as_secs());
                Err(Failure { blame: Blame::Deadline, why })
            }
        }
    }

    /// The name of the server that it asks for (RFC 6066 section 3), in lower case.
    pub fn name(&self) -> Option<String> {
        self.0.client_hello().server_name().map(str::to_ascii_lowercase)
    }

    /// Answers it, and goes on to the end of the handshake.
    ///
    /// # Errors
    /// Whatever is no handshake that this acceptor asks for, within its deadline.
    pub async fn accept(self, acceptor: &Acceptor) -> Result<(IO, Channel, Option<Facts>), Failure> {
        let Self(mut start) = self;
        start.io.kept = None;
        let handshake = start.into_stream(acceptor.config().clone());
        let Ok(ended) = tokio::time::timeout(acceptor.deadline(), handshake).await else {
            let why = format!("the handshake did not end within {} s", acceptor.deadline().as_secs());
            return Err(Failure { blame: Blame::Deadline, why });
        };
        let (kept, connection) = ended.map_err(|error| failure(&error, &[]))?.into_inner();
        let (channel, shown) = acceptor.taken(connection)?;
        Ok((kept.stream, channel, shown))
    }

    /// The connection, and every octet that was read from it.
    pub fn give_back(self) -> (IO, Vec<u8>) {
        let Kept { stream, kept } = self.0.io;
        (stream, kept.unwrap_or_default())
    }
}

/// A connection that remembers what was read from it, until it need not.
#[derive(Debug)]
struct Kept<IO> {
    stream: IO,
    kept: Option<Vec<u8>>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Kept<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(buffer.filled().get(before..).unwrap_or_default());
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Kept<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use tokio::io::AsyncWriteExt;

    /// A ClientHello of TLS 1.2 for "mail.example.net".
    fn hello() -> Vec<u8> {
        let name = b"Mail.example.net";
        let entry = [&[0, 0, 16][..], name].concat();
        let sni = [&[0, 0, 0, 21, 0, 19][..], &entry].concat();
        let schemes = [0, 13, 0, 4, 0, 2, 4, 3];
        let groups = [0, 10, 0, 4, 0, 2, 0, 23];
        let extensions = [&sni[..], &schemes, &groups].concat();
        let length = u8::try_from(extensions.len()).unwrap();
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0, 0, length], &extensions].concat();
        let handshake = [&[1, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
        [&[22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()][..], &handshake].concat()
    }

    fn run<F: Future<Output = ()>>(test: F) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn the_name_is_known_and_every_octet_is_given_back_however_it_came() {
        run(async {
            for piece in [1, 7, 1000] {
                let (mut client, ours) = tokio::io::duplex(4096);
                let said = hello();
                for piece in said.chunks(piece) {
                    client.write_all(piece).await.unwrap();
                }
                let heard = Hello::hear(ours, Duration::from_secs(5)).await.unwrap();
                assert_eq!(heard.name().as_deref(), Some("mail.example.net"));
                assert_eq!(heard.give_back().1, said);
            }
        });
    }

    #[test]
    fn what_is_no_client_hello_and_what_does_not_come_fails() {
        run(async {
            let (mut client, ours) = tokio::io::duplex(4096);
            client.write_all(b"USER ann\r\nPASS secret\r\n").await.unwrap();
            let failure = Hello::hear(ours, Duration::from_secs(5)).await.unwrap_err();
            assert_eq!(failure.blame, Blame::Protocol);
            let (mut client, ours) = tokio::io::duplex(4096);
            client.write_all(&hello()[..20]).await.unwrap();
            let failure = Hello::hear(ours, Duration::from_millis(50)).await.unwrap_err();
            assert_eq!(failure.blame, Blame::Deadline);
        });
    }
}
