//! A link: one end of a `SOCK_SEQPACKET` pair that sends `Tx` and receives `Rx`. One datagram is one message with
//! its descriptors, so framing and descriptors cannot drift apart.
use crate::descriptors::{self, Datagram};
use crate::wire::{self, MAX_MESSAGE, MAX_OCTETS, Message, WireError};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::sys::time::TimeVal;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Where a child finds its link to the supervisor.
pub const LINK_FD: i32 = 3;
/// Where a child finds its log socket.
pub const LOG_FD: i32 = 4;

/// How long to wait for room: until the reader has caught up with a full socket, or with the descriptors that are in
/// flight for this user.
const ROOM_PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    /// Where a datagram lies between its receipt and its decoding: one for all links of a thread, because a process may
    /// have a link for each mail.
    pub(crate) static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_MESSAGE + MAX_OCTETS].into());
}

/// Why a link failed.
#[derive(Debug)]
pub enum LinkError {
    /// The other end is gone.
    Closed,
    /// There is no room now (only from [`Link::try_send`]).
    Full,
    /// What was sent or arrived breaks the contract.
    Wire(WireError),
    /// Anything else.
    Io(io::Error),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other end is gone"),
            Self::Full => f.write_str("the other end does not keep up"),
            Self::Wire(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LinkError {}

impl From<WireError> for LinkError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Errno> for LinkError {
    fn from(errno: Errno) -> Self {
        if matches!(errno, Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) {
            Self::Closed
        } else if matches!(errno, Errno::EAGAIN | Errno::ETOOMANYREFS | Errno::ENOBUFS) {
            Self::Full
        } else {
            Self::Io(errno.into())
        }
    }
}

/// One end of a link, for a tokio runtime. Sending and receiving may run side by side in tasks of one thread.
pub struct Link<Tx, Rx> {
    socket: AsyncFd<OwnedFd>,
    types: PhantomData<(Tx, Rx)>,
}

impl<Tx, Rx> fmt::Debug for Link<Tx, Rx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("socket", self.socket.get_ref()).finish_non_exhaustive()
    }
}

/// A connected pair, close-on-exec. Whoever must not wait says so with each call, as a [`Link`] does.
///
/// # Errors
/// Of `socketpair`: out of descriptors.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

impl<Tx: Message, Rx: Message> Link<Tx, Rx> {
    /// Wraps one end of [`pair`]; needs a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor is no sequenced-packet socket or cannot be registered.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        if !descriptors::is_seqpacket(&socket) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a sequenced-packet socket"));
        }
        Ok(Self { socket: descriptors::watch(socket)?, types: PhantomData })
    }

    /// Sends one message with its descriptors, waiting for room.
    ///
    /// # Errors
    /// [`LinkError`], never `Full`.
    pub async fn send(&self, message: &Tx, fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        self.send_with(message, &[], fds).await
    }

    /// As [`Link::send`], with the octets that belong to the message.
    ///
    /// # Errors
    /// [`LinkError`], never `Full`.
    pub async fn send_with(
        &self,
        message: &Tx,
        octets: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), LinkError> {
        let bytes = encode(message, octets, fds.len())?;
        loop {
            match descriptors::send(self.socket.get_ref().as_fd(), &bytes, octets, fds) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN | Errno::ETOOMANYREFS | Errno::ENOBUFS) => {
                    tokio::time::sleep(ROOM_PAUSE).await;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends one message with its descriptors, or says that there is no room.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn try_send(&self, message: &Tx, fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        let bytes = encode(message, &[], fds.len())?;
        Ok(descriptors::send(self.socket.get_ref().as_fd(), &bytes, &[], fds)?)
    }

    /// Receives one message with its descriptors. One task at a time.
    ///
    /// # Errors
    /// [`LinkError`], never `Full`. After `Wire` the link must be given up.
    pub async fn recv(&self) -> Result<(Rx, Vec<OwnedFd>), LinkError> {
        let (message, _, fds) = self.recv_with().await?;
        Ok((message, fds))
    }

    /// As [`Link::recv`], with the octets that belong to the message.
    ///
    /// # Errors
    /// [`LinkError`], never `Full`. After `Wire` the link must be given up.
    pub async fn recv_with(&self) -> Result<Opened<Rx>, LinkError> {
        let received = self
            .socket
            .async_io(Interest::READABLE, |socket| {
                BUFFER.with_borrow_mut(|buffer| {
                    let buffer = room::<Rx>(buffer);
                    let datagram = descriptors::receive(socket.as_fd(), buffer, Rx::MAX_FDS > 0)?;
                    Ok(open(buffer, datagram))
                })
            })
            .await;
        match received {
            Ok(message) => message,
            Err(error) => {
                Err(error.raw_os_error().map_or(LinkError::Io(error), |raw| Errno::from_raw(raw).into()))
            }
        }
    }
}

pub(crate) fn encode<M: Message>(message: &M, octets: &[u8], fds: usize) -> Result<Vec<u8>, WireError> {
    let expected = message.fd_count();
    if expected != fds {
        return Err(WireError::DescriptorCount { expected, got: fds });
    }
    match octets.len().cmp(&message.octets()) {
        Ordering::Greater => Err(WireError::TrailingBytes),
        Ordering::Less => Err(WireError::MissingOctets),
        Ordering::Equal if octets.len() > M::MAX_OCTETS => Err(WireError::TooLarge),
        Ordering::Equal => wire::encode(message),
    }
}

/// What a datagram of this type may fill.
pub(crate) fn room<M: Message>(buffer: &mut [u8]) -> &mut [u8] {
    buffer.get_mut(..MAX_MESSAGE + M::MAX_OCTETS.min(MAX_OCTETS)).unwrap_or_default()
}

/// A message, the octets behind it, its descriptors.
pub type Opened<M> = (M, Vec<u8>, Vec<OwnedFd>);

pub(crate) fn open<M: Message>(buffer: &[u8], datagram: Datagram) -> Result<Opened<M>, LinkError> {
    let Datagram { length, fds, truncated } = datagram;
    if length == 0 {
        return Err(LinkError::Closed);
    }
    if truncated {
        return Err(WireError::TooLarge.into());
    }
    let bytes = buffer.get(..length).ok_or(WireError::TooLarge)?;
    let (message, octets) = wire::decode_with_octets(bytes, fds.len())?;
    Ok((message, octets.to_vec(), fds))
}

/// Sends on a raw end and waits for room (the first messages of a child, before it serves).
///
/// # Errors
/// [`LinkError`], never `Full`.
pub fn send_blocking<M: Message>(
    socket: BorrowedFd<'_>,
    message: &M,
    fds: &[BorrowedFd<'_>],
) -> Result<(), LinkError> {
    let bytes = encode(message, &[], fds.len())?;
    loop {
        match descriptors::send(socket, &bytes, &[], fds) {
            Ok(()) => return Ok(()),
            Err(Errno::EAGAIN) => wait(socket, PollFlags::POLLOUT)?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Receives on a raw end and waits for it.
///
/// # Errors
/// [`LinkError`], never `Full`.
pub fn recv_blocking<M: Message>(socket: BorrowedFd<'_>) -> Result<(M, Vec<OwnedFd>), LinkError> {
    loop {
        let received = BUFFER.with_borrow_mut(|buffer| {
            let buffer = room::<M>(buffer);
            descriptors::receive(socket, buffer, M::MAX_FDS > 0).map(|datagram| open(buffer, datagram))
        });
        match received {
            Ok(received) => return received.map(|(message, _, fds)| (message, fds)),
            Err(Errno::EAGAIN) => wait(socket, PollFlags::POLLIN)?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Sends a question on a raw end whose reads wait and time out, see [`asking_pair`], and receives the answer that fits it;
/// others are late ones of questions that were given up.
///
/// # Errors
/// [`LinkError`]; `Full` where no answer came in time. After any other the link must be given up.
pub fn ask<Tx: Message, Rx: Message>(
    socket: BorrowedFd<'_>,
    question: &Tx,
    fits: impl Fn(&Rx) -> bool,
) -> Result<Rx, LinkError> {
    descriptors::send(socket, &encode(question, &[], 0)?, &[], &[])?;
    BUFFER.with_borrow_mut(|buffer| {
        let buffer = room::<Rx>(buffer);
        loop {
            let datagram = descriptors::receive_waiting(socket, buffer, false)?;
            let (answer, _, _) = open(buffer, datagram)?;
            if fits(&answer) {
                return Ok(answer);
            }
        }
    })
}

/// A connected pair, close-on-exec, of which the first end asks and waits at most `patience` for each answer.
///
/// # Errors
/// Of the kernel: out of descriptors.
pub fn asking_pair(patience: Duration) -> io::Result<(OwnedFd, OwnedFd)> {
    let (asks, answers) = pair()?;
    let patience = TimeVal::new(
        i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        i64::from(patience.subsec_micros()),
    );
    setsockopt(&asks, sockopt::ReceiveTimeout, &patience)?;
    setsockopt(&asks, sockopt::SendTimeout, &patience)?;
    Ok((asks, answers))
}

fn wait(socket: BorrowedFd<'_>, flags: PollFlags) -> Result<(), LinkError> {
    match poll(&mut [PollFd::new(socket, flags)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
