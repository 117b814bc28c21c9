//! Binds and accepts. Pauses when descriptors run short or `max-sessions` is reached; the kernel's backlog then holds
//! the clients. Reads nothing from them.
use crate::event_loop::Event;
use crate::original_dst::{self, Ends, OriginalDst, canonical};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How long accepting rests when the system is short of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that was accepted, and nothing more.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Index of the listener.
    pub(crate) listener: u16,
    /// The client, canonical.
    pub(crate) client: SocketAddr,
    /// Where it wanted to go.
    pub(crate) destination: OriginalDst,
    /// Both ends of the connection, before any redirection.
    pub(crate) ends: Ends,
    /// Our end of it as the kernel has it.
    pub(crate) local: SocketAddr,
    /// The connection.
    pub(crate) socket: OwnedFd,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub(crate) at_ns: u64,
    /// Its place among `max-sessions`; dropped with the session.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Binds one address and listens on it. `[::]` takes IPv4 too unless `0.0.0.0` is bound on that port by itself.
///
/// # Errors
/// Of `bind`, mostly: the address is in use or is not ours, or the port needs root.
pub(crate) fn open(address: SocketAddr, only_v6: bool, backlog: i32) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&listener, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&listener, sockopt::Ipv6V6Only, &only_v6)?;
    }
    bind(listener.as_raw_fd(), &SockaddrStorage::from(address))?;
    // Every connection that it accepts inherits them.
    tune(&listener)?;
    listen(&listener, Backlog::new(backlog.max(1)).unwrap_or(Backlog::MAXCONN))?;
    Ok(listener.into())
}

/// Sends every connection as an event, until the event loop is gone.
pub(crate) async fn accept(
    listener: TcpListener,
    index: u16,
    transparent: bool,
    sessions: Arc<Semaphore>,
    events: mpsc::Sender<Event>,
) {
    let listener = match ipc::descriptors::watch_listener(listener) {
        Ok(listener) => listener,
        Err(error) => {
            let _ = events.send(Event::ListenerFailed { listener: index, error }).await;
            return;
        }
    };
    let mut short = false;
    loop {
        let Ok(permit) = Arc::clone(&sessions).acquire_owned().await else { return };
        // A connection is not registered with this runtime: a worker will have it at once.
        let accepted = listener.async_io(Interest::READABLE, TcpListener::accept).await;
        match accepted.and_then(|(stream, client)| describe(stream, client, transparent)) {
            Ok((socket, client, destination, ends, local)) => {
                short = false;
                let at_ns = monotonic_ns();
                let accepted =
                    Accepted { listener: index, client, destination, ends, local, socket, at_ns, permit };
                if events.send(Event::Accepted(Box::new(accepted))).await.is_err() {
                    return;
                }
            }
            Err(error) if is_shortage(&error) => {
                // The connection stays in the backlog: without the pause this would be a busy loop.
                if !short && events.send(Event::ListenerFailed { listener: index, error }).await.is_err() {
                    return;
                }
                short = true;
                tokio::time::sleep(PAUSE).await;
            }
            // The client was gone before it was accepted (accept(2): treat these as try again).
            Err(_) => {}
        }
    }
}

fn describe(
    stream: TcpStream,
    client: SocketAddr,
    transparent: bool,
) -> io::Result<(OwnedFd, SocketAddr, OriginalDst, Ends, SocketAddr)> {
    stream.set_nonblocking(true)?;
    let local = stream.local_addr()?;
    let socket = OwnedFd::from(stream);
    let destination = original_dst::of(&socket, client, local, transparent);
    let ends = original_dst::ends(&socket, client, local);
    Ok((socket, canonical(client), destination, ends, canonical(local)))
}

/// What both sides' sockets get before a worker has them: the worker may not set options.
pub(crate) fn tune(socket: &OwnedFd) -> io::Result<()> {
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    Ok(())
}

fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::getsockopt;

    #[test]
    fn an_accepted_connection_has_the_options_of_its_listener() {
        let listener = open("127.0.0.1:0".parse().unwrap(), false, 5).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (stream, address) = listener.accept().unwrap();
        let (socket, peer, ..) = describe(stream, address, false).unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(getsockopt(&socket, sockopt::TcpNoDelay), Ok(true));
        assert_eq!(getsockopt(&socket, sockopt::KeepAlive), Ok(true));
        let flags = nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_ne!(flags & libc::O_NONBLOCK, 0);
    }
}
