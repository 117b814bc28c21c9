//! One connection of a session: reads into a buffer that is lent, queues what the kernel does not take at once.
use crate::limits::QUEUE_KEPT;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// A client or a server.
pub(crate) struct Peer {
    stream: TcpStream,
    queue: Vec<u8>,
    /// How much of the queue is sent.
    sent: usize,
    eof: bool,
    broken: bool,
}

impl Peer {
    /// Takes a connected, non-blocking socket.
    ///
    /// # Errors
    /// When it cannot be registered.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        let stream = TcpStream::from_std(std::net::TcpStream::from(socket))?;
        Ok(Self { stream, queue: Vec::new(), sent: 0, eof: false, broken: false })
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
        let taken = if self.queued() > 0 { 0 } else { self.try_write(bytes).unwrap_or(0) };
        let rest = bytes.get(taken..).unwrap_or_default();
        if rest.is_empty() || self.broken {
            return;
        }
        if self.sent > self.queue.len() / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
        self.queue.extend_from_slice(rest);
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
        let mut buffer = ReadBuf::new(buffer);
        // Not try_read: after a short read this one knows without asking the kernel that there is no more.
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
        let count = if read.is_ok() { buffer.filled().len() } else { 0 };
        self.eof = count == 0;
        Poll::Ready(count)
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
