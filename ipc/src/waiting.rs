//! The end of a link that belongs to a scanner. It does one thing at a time and waits for nothing else meanwhile: to have a
//! runtime watch its links would cost more calls than what is said over them.
use crate::descriptors;
use crate::link::{BUFFER, LinkError, Opened, encode, open, room};
use crate::wire::Message;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end of a [`crate::pair`] that sends `Tx` and receives `Rx`, and waits with its whole process. Who gave it sees to it
/// that this has an end.
pub struct Waiting<Tx, Rx> {
    socket: OwnedFd,
    types: PhantomData<(Tx, Rx)>,
}

impl<Tx, Rx> fmt::Debug for Waiting<Tx, Rx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl<Tx: Message, Rx: Message> Waiting<Tx, Rx> {
    /// Wraps an end.
    pub const fn new(socket: OwnedFd) -> Self {
        Self { socket, types: PhantomData }
    }

    /// Sends one message with its descriptors, waiting for room.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn send(&self, message: &Tx, fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        self.send_with(message, &[], fds)
    }

    /// As [`Waiting::send`], with the octets that belong to the message.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn send_with(&self, message: &Tx, octets: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        let bytes = encode(message, octets, fds.len())?;
        Ok(descriptors::send_waiting(self.socket.as_fd(), &bytes, octets, fds)?)
    }

    /// Waits for one message with its descriptors.
    ///
    /// # Errors
    /// [`LinkError`]. After `Wire` the link must be given up.
    pub fn recv(&self) -> Result<(Rx, Vec<OwnedFd>), LinkError> {
        let (message, _, fds) = self.recv_with()?;
        Ok((message, fds))
    }

    /// As [`Waiting::recv`], with the octets that belong to the message.
    ///
    /// # Errors
    /// [`LinkError`]. After `Wire` the link must be given up.
    pub fn recv_with(&self) -> Result<Opened<Rx>, LinkError> {
        BUFFER.with_borrow_mut(|buffer| {
            let buffer = room::<Rx>(buffer);
            let datagram = descriptors::receive_waiting(self.socket.as_fd(), buffer, Rx::MAX_FDS > 0)?;
            open(buffer, datagram)
        })
    }
}
