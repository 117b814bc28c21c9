//! Conversations with daemons, over connections that came with the lease. The scanner dials nobody: it is given a
//! descriptor, unix or TCP, and shakes hands on it where the configuration says TLS.
//!
//! Reads bytes that a daemon chose, which itself read the mail. All that is read is bounded by the caller.
pub mod http;
pub(crate) mod trust;

use ipc::descriptors;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockaddrLike, SockaddrStorage, getsockname, sendmsg,
};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use tls::ClientStream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Octets read at once.
const PIECE: usize = 16 * 1024;

/// A connection to a daemon.
#[derive(Debug)]
pub(crate) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<ClientStream>),
}

impl Connection {
    /// Takes what the supervisor dialled.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        if !descriptors::is_stream(&socket) {
            return Err(io::Error::other("the connection is no stream"));
        }
        let family = getsockname::<SockaddrStorage>(socket.as_raw_fd())?.family();
        if family == Some(AddressFamily::Unix) {
            let stream = std::os::unix::net::UnixStream::from(socket);
            stream.set_nonblocking(true)?;
            return Ok(Self::Unix(UnixStream::from_std(stream)?));
        }
        let stream = std::net::TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpStream::from_std(stream)?))
    }

    /// Sends a descriptor along with octets, if the daemon is on this machine; whether it is.
    pub(crate) async fn send_descriptor(&self, octets: &[u8], file: BorrowedFd<'_>) -> io::Result<bool> {
        let Self::Unix(stream) = self else { return Ok(false) };
        let numbers = [file.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&numbers)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                let octets = [IoSlice::new(octets)];
                Ok(sendmsg::<SockaddrStorage>(stream.as_raw_fd(), &octets, &rights, flags, None)?)
            })
            .await?;
        // A command of some dozen octets goes whole into a connection that is idle.
        if sent == octets.len() { Ok(true) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Sends everything, and gives what comes meanwhile to `heard`, whose error ends it: two peers that only write would
    /// wait for each other.
    pub(crate) async fn send(
        &mut self,
        mut octets: &[u8],
        heard: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        while !octets.is_empty() {
            let step = poll_fn(|context| {
                let mut room = ReadBuf::new(&mut piece);
                if let Poll::Ready(read) = Pin::new(&mut *self).poll_read(context, &mut room) {
                    return Poll::Ready(read.map(|()| Step::Heard(room.filled().len())));
                }
                Pin::new(&mut *self).poll_write(context, octets).map(|written| written.map(Step::Sent))
            });
            match step.await? {
                Step::Sent(0) => return Err(io::ErrorKind::WriteZero.into()),
                Step::Sent(count) => octets = octets.get(count..).unwrap_or_default(),
                Step::Heard(0) => return Err(hung_up()),
                Step::Heard(count) => heard(piece.get(..count).unwrap_or_default())?,
            }
        }
        self.flush().await
    }

    /// Waits for more of an answer; `false`: nothing follows any more.
    pub(crate) async fn hear(&mut self, heard: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
        let mut piece = vec![0; PIECE];
        let mut room = ReadBuf::new(&mut piece);
        poll_fn(|context| Pin::new(&mut *self).poll_read(context, &mut room)).await?;
        let heard_now = room.filled();
        if heard_now.is_empty() {
            return Ok(false);
        }
        heard(heard_now)?;
        Ok(true)
    }
}

enum Step {
    Sent(usize),
    Heard(usize),
}

/// What a daemon does that goes away in the middle.
pub(crate) fn hung_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up")
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(context, room),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, room),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, room),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(context, octets),
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
