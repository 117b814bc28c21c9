//! Descriptors in and out of a datagram, and checks of what kind they are. The unsafe file of this crate:
//! the kernel hands over bare numbers, and only here are they known to be new and ours.
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockType, SockaddrStorage, getsockopt, recvmsg, sendmsg,
    sockopt,
};
use nix::sys::stat::fstat;
use nix::{cmsg_space, libc};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The kernel's SCM_MAX_FD. A smaller control buffer makes nix fail after the kernel installed descriptors that
/// nobody then owns; with this one every descriptor that arrived is seen, owned and, if unwanted, closed.
const MOST_DESCRIPTORS: usize = 253;

/// One datagram as it came.
pub(crate) struct Datagram {
    /// Octets in the buffer; 0 is the end of the link.
    pub(crate) length: usize,
    /// What came with it.
    pub(crate) fds: Vec<OwnedFd>,
    /// Data or descriptors were cut off.
    pub(crate) truncated: bool,
}

/// Sends one datagram, a message and the octets behind it, without waiting.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &[u8],
    octets: &[u8],
    fds: &[BorrowedFd<'_>],
) -> nix::Result<()> {
    send_by(socket, message, octets, fds, MsgFlags::MSG_DONTWAIT)
}

/// As [`send`], waiting for room.
pub(crate) fn send_waiting(
    socket: BorrowedFd<'_>,
    message: &[u8],
    octets: &[u8],
    fds: &[BorrowedFd<'_>],
) -> nix::Result<()> {
    send_by(socket, message, octets, fds, MsgFlags::empty())
}

fn send_by(
    socket: BorrowedFd<'_>,
    message: &[u8],
    octets: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: MsgFlags,
) -> nix::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let parts = [IoSlice::new(message), IoSlice::new(octets)];
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<SockaddrStorage>(socket.as_raw_fd(), &parts, control, flags, None) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
    }
}

/// Receives one datagram, waiting as long as the socket's receive timeout says.
pub(crate) fn receive_waiting(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    with_fds: bool,
) -> nix::Result<Datagram> {
    loop {
        match receive_by(socket, buffer, with_fds, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            received => return received,
        }
    }
}

/// Receives one datagram without waiting: the call never sleeps, so a signal cannot interrupt it.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], with_fds: bool) -> nix::Result<Datagram> {
    receive_by(socket, buffer, with_fds, MsgFlags::MSG_DONTWAIT)
}

/// Where no descriptors may come, `with_fds` is false and the kernel installs none.
fn receive_by(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    with_fds: bool,
    flags: MsgFlags,
) -> nix::Result<Datagram> {
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let mut control = with_fds.then(|| cmsg_space!([RawFd; MOST_DESCRIPTORS]));
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, control.as_deref_mut(), flags)?;
    let mut fds = Vec::new();
    if with_fds {
        for item in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = item {
                fds.reserve(numbers.len());
                for number in numbers {
                    // SAFETY: the kernel has just installed this descriptor for this process and told nobody else;
                    // safe code has no way to take ownership of a number.
                    fds.push(unsafe { OwnedFd::from_raw_fd(number) });
                }
            }
        }
    }
    let truncated = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
    Ok(Datagram { length: message.bytes, fds, truncated })
}

/// Has the runtime watch a socket for reading alone. One that is watched for room too wakes its process
/// whenever the other end takes something, which is each time.
///
/// # Errors
/// When the kernel refuses, or the descriptor cannot be waited for.
pub fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor, the same one whenever it is asked, until it is dropped. The result
    // owns it and lends it.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}

/// As [`watch`], for a listening socket.
///
/// # Errors
/// When the kernel refuses.
pub fn watch_listener(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: a `TcpListener` owns one open descriptor, the same one whenever it is asked, until it is dropped. The
    // result owns it and lends it.
    Ok(unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?)
}

/// Whether this is a connected byte stream of the network (or a unix stream).
pub fn is_stream(fd: impl AsFd) -> bool {
    getsockopt(&fd.as_fd(), sockopt::SockType) == Ok(SockType::Stream)
}

/// Whether this is an end of a sequenced-packet pair.
pub fn is_seqpacket(fd: impl AsFd) -> bool {
    getsockopt(&fd.as_fd(), sockopt::SockType) == Ok(SockType::SeqPacket)
}

/// Whether this is a regular file or memfd of exactly `length` octets.
pub fn has_length(fd: impl AsFd, length: u64) -> bool {
    fstat(fd).is_ok_and(|stat| {
        stat.st_mode & libc::S_IFMT == libc::S_IFREG && u64::try_from(stat.st_size) == Ok(length)
    })
}

/// Whether nobody can ever change this memfd again.
pub fn is_sealed(fd: impl AsFd) -> bool {
    let all =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(fd, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(all))
}

/// Takes the link and the log that the supervisor placed at [`crate::link::LINK_FD`] and [`crate::link::LOG_FD`]
/// before it executed this process. A child calls it once, first of all.
///
/// # Errors
/// When they are not there, or were taken before.
pub fn take_inherited() -> io::Result<(OwnedFd, OwnedFd)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Err(io::Error::other("the inherited descriptors were taken before"));
    }
    let take = |number: RawFd| {
        // SAFETY: F_GETFD only asks whether the number is a descriptor.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open, was inherited for this purpose, and `TAKEN` makes this its only owner; inherited
        // descriptors are known by number alone, so no safe code can take them.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    Ok((take(crate::link::LINK_FD)?, take(crate::link::LOG_FD)?))
}
