//! One connection of a session, in clear text or behind TLS: reads into a buffer that is lent, queues what the kernel does
//! not take at once.
use crate::limits::{PIECE, QUEUE_KEPT};
use std::cell::RefCell;
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tls::Channel;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

thread_local! {
    /// Records between the socket and their decryption: one buffer for all connections, borrowed within one call.
    static RECORDS: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into());
}

/// A client or a server.
pub(crate) struct Peer {
    stream: TcpStream,
    channel: Option<Box<Channel>>,
    queue: Vec<u8>,
    /// How much of the queue is sent.
    sent: usize,
    eof: bool,
    broken: bool,
}

/// Takes a connected, non-blocking socket.
///
/// # Errors
/// When it cannot be registered.
pub(crate) fn stream(socket: OwnedFd) -> io::Result<TcpStream> {
    TcpStream::from_std(std::net::TcpStream::from(socket))
}

impl Peer {
    /// A connection in clear text, or behind the TLS that stands.
    pub(crate) fn new(stream: TcpStream, channel: Option<Channel>) -> Self {
        let channel = channel.map(Box::new);
        Self { stream, channel, queue: Vec::new(), sent: 0, eof: false, broken: false }
    }

    /// The connection, for a handshake; nothing may be queued.
    pub(crate) const fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The peer's certificates, DER; none in clear text.
    pub(crate) fn chain(&self) -> Vec<Vec<u8>> {
        self.channel.as_ref().map(|channel| channel.chain()).unwrap_or_default()
    }

    /// A handshake ended well: what follows is behind TLS.
    pub(crate) fn secure(&mut self, channel: Channel) {
        self.channel = Some(Box::new(channel));
    }

    /// Octets that the kernel has not taken yet.
    pub(crate) const fn queued(&self) -> usize {
        self.queue.len().saturating_sub(self.sent)
    }

    /// It sends no more.
    pub(crate) const fn is_eof(&self) -> bool {
        self.eof
    }

    /// It takes no more.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Sends now what the kernel takes, and queues the rest.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.broken {
            return;
        }
        if let Some(channel) = &mut self.channel {
            channel.say(bytes);
            self.send_records();
            return;
        }
        let taken = if self.queued() > 0 { 0 } else { self.try_write(bytes).unwrap_or(0) };
        let rest = bytes.get(taken..).unwrap_or_default();
        if rest.is_empty() || self.broken {
            return;
        }
        self.make_room();
        self.queue.extend_from_slice(rest);
    }

    /// Says that nothing follows, where the protocol below has a word for it.
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(channel) = &mut self.channel {
            channel.say_goodbye();
            self.send_records();
        }
    }

    /// Sends what records there are: as much as the kernel takes, the rest is queued.
    fn send_records(&mut self) {
        let Some(mut channel) = self.channel.take() else { return };
        if self.queued() == 0 {
            match channel.flush(&mut Socket(&self.stream)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.give_up(),
            }
        }
        if channel.has_records() && !self.broken {
            self.make_room();
            // Memory takes all of it.
            let _ = channel.flush(&mut self.queue);
        }
        self.channel = Some(channel);
    }

    fn make_room(&mut self) {
        if self.sent > self.queue.len() / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Ready when the queue is empty (or nobody takes it any more).
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.queued() > 0 {
            if ready!(self.stream.poll_write_ready(cx)).is_err() {
                self.give_up();
                break;
            }
            let queue = std::mem::take(&mut self.queue);
            let taken = self.try_write(queue.get(self.sent..).unwrap_or_default());
            self.queue = queue;
            self.sent = self.sent.saturating_add(taken.unwrap_or(0));
            if self.broken {
                self.give_up();
            }
        }
        self.sent = 0;
        if self.queue.capacity() > QUEUE_KEPT {
            self.queue = Vec::new();
        } else {
            self.queue.clear();
        }
        Poll::Ready(())
    }

    /// Reads once. 0: the end, orderly or not.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        let count = match self.channel.take() {
            None => ready!(read(&mut self.stream, cx, buffer)),
            Some(mut channel) => {
                let read = self.poll_read_records(&mut channel, cx, buffer);
                self.channel = Some(channel);
                // An alert, or the answer to a change of keys.
                self.send_records();
                ready!(read)
            }
        };
        self.eof = count == 0;
        Poll::Ready(count)
    }

    fn poll_read_records(
        &mut self,
        channel: &mut Channel,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<usize> {
        let mut filled = 0;
        channel.pending(buffer, &mut filled);
        RECORDS.with_borrow_mut(|records| {
            while filled == 0 && !channel.is_closed() {
                let count = ready!(read(&mut self.stream, cx, records));
                let came = records.get(..count).unwrap_or_default();
                // A record that was forged is the end, as if the peer had hung up: what came before it stands.
                if came.is_empty() || channel.hear(came, buffer, &mut filled).is_err() {
                    break;
                }
            }
            Poll::Ready(filled)
        })
    }

    /// Takes what lies unread: closing over it would make the kernel reset the connection and throw away what the
    /// peer has not read yet.
    pub(crate) fn discard(&self, buffer: &mut [u8]) {
        while let Ok(1..) = self.stream.try_read(buffer) {}
    }

    /// `None`: not now.
    fn try_write(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.stream.try_write(bytes) {
            Ok(count) => Some(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => {
                self.give_up();
                None
            }
        }
    }

    fn give_up(&mut self) {
        self.broken = true;
        self.queue = Vec::new();
        self.sent = 0;
    }
}

fn read(stream: &mut TcpStream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
    let mut buffer = ReadBuf::new(buffer);
    // Not try_read: after a short read this one knows without asking the kernel that there is no more.
    let read = ready!(Pin::new(stream).poll_read(cx, &mut buffer));
    Poll::Ready(if read.is_ok() { buffer.filled().len() } else { 0 })
}

/// The kernel's side of a connection, for records in several pieces.
struct Socket<'a>(&'a TcpStream);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
