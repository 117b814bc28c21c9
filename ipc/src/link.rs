//! A link: one end of a `SOCK_SEQPACKET` pair that sends `Tx` and receives `Rx`.
use crate::wire::{Message, WireError};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Where a child finds its link to the supervisor.
pub const LINK_FD: i32 = 3;
/// Where a child finds its log socket.
pub const LOG_FD: i32 = 4;

/// Why a link failed.
#[derive(Debug)]
pub enum LinkError {
    /// The other end is gone.
    Closed,
    /// The socket buffer is full (only from `try_send`).
    Full,
    /// What arrived broke the contract.
    Wire(WireError),
    /// Anything else.
    Io(io::Error),
}

/// One end.
#[derive(Debug)]
pub struct Link<Tx, Rx> {
    _types: PhantomData<(Tx, Rx)>,
}

/// A connected pair, close-on-exec and non-blocking.
///
/// # Errors
/// Of `socketpair`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    todo!()
}

impl<Tx: Message, Rx: Message> Link<Tx, Rx> {
    /// Wraps one end; needs a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor cannot be registered.
    pub fn new(_socket: OwnedFd) -> io::Result<Self> {
        todo!()
    }

    /// Sends one message with its descriptors, waiting for room.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn send(&self, _message: &Tx, _fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        todo!()
    }

    /// Sends one message with its descriptors, or says that there is no room.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn try_send(&self, _message: &Tx, _fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        todo!()
    }

    /// Receives one message with its descriptors.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn recv(&self) -> Result<(Rx, Vec<OwnedFd>), LinkError> {
        todo!()
    }
}

/// Sends on a raw end, blocking (the first message of a child, before it has a runtime).
///
/// # Errors
/// [`LinkError`].
pub fn send_blocking<M: Message>(
    _socket: BorrowedFd<'_>,
    _message: &M,
    _fds: &[BorrowedFd<'_>],
) -> Result<(), LinkError> {
    todo!()
}

/// Receives on a raw end, blocking.
///
/// # Errors
/// [`LinkError`].
pub fn recv_blocking<M: Message>(_socket: BorrowedFd<'_>) -> Result<(M, Vec<OwnedFd>), LinkError> {
    todo!()
}
