//! Connects to engines and spam filters, which are where the configuration says. Nothing is said to them here: the
//! connection goes to a scanner.
use crate::listener::tune;
use ipc::ids::Checker;
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use policy::engine::{Daemon, DaemonSocket, EngineKind};
use policy::model::Policy;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a connection to one address may take; daemons are near.
const DIAL: Duration = Duration::from_secs(1);
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// Where `auto` looks: Debian, its older releases, Fedora, and the daemon's usual port.
pub const USUAL_PATHS: [&str; 3] =
    ["/run/clamav/clamd.ctl", "/var/run/clamav/clamd.ctl", "/run/clamd.scan/clamd.sock"];
/// clamd's usual port.
pub const USUAL_PORT: (&str, u16) = ("127.0.0.1", 3310);

/// The daemon of an engine or a spam filter; those that run inside the scanner have none.
pub(crate) fn daemon_of(policy: &Policy, checker: Checker) -> Option<&Daemon> {
    match checker {
        Checker::Engine(index) => policy
            .engines
            .get(usize::from(index))
            .and_then(|engine| engine.kind.outside())
            .map(|it| &it.daemon),
        Checker::Filter(index) => {
            policy.spam_filters.get(usize::from(index)).and_then(|filter| filter.kind.daemon())
        }
    }
}

/// Where a daemon is looked for, for the log.
pub(crate) fn place_of(daemon: &Daemon) -> String {
    match &daemon.socket {
        DaemonSocket::Path(path) => path.display().to_string(),
        DaemonSocket::Tcp(address) => address.to_string(),
        DaemonSocket::Auto => {
            let (host, port) = USUAL_PORT;
            format!("{} {host}:{port}", USUAL_PATHS.join(" "))
        }
        DaemonSocket::Name { host, port, addresses } if addresses.is_empty() => {
            format!("{host}:{port}, which does not resolve")
        }
        DaemonSocket::Name { host, port, .. } => format!("{host}:{port}"),
    }
}

/// Whether it may take a mail by its descriptor, as clamd does on this machine: a copy of its own costs it a tenth more.
pub(crate) fn takes_descriptor(policy: &Policy, checker: Checker) -> bool {
    let Checker::Engine(index) = checker else { return false };
    match policy.engines.get(usize::from(index)).map(|engine| &engine.kind) {
        Some(EngineKind::Clamd(outside)) => {
            matches!(outside.daemon.socket, DaemonSocket::Path(_) | DaemonSocket::Auto)
        }
        Some(EngineKind::Builtin { .. } | EngineKind::Icap { .. }) | None => false,
    }
}

/// How long it may take over one mail.
pub(crate) fn timeout_of(policy: &Policy, checker: Checker) -> Duration {
    let timeout = match checker {
        Checker::Engine(index) => policy.engines.get(usize::from(index)).map(|engine| engine.timeout),
        Checker::Filter(index) => policy.spam_filters.get(usize::from(index)).map(|filter| filter.timeout),
    };
    timeout.unwrap_or_default()
}

/// Connects to a daemon at a path, which the kernel does or refuses at once. `None`: a daemon elsewhere has to be waited
/// for, by [`dial`].
pub(crate) fn dial_at_once(daemon: &Daemon) -> Option<Result<OwnedFd, i32>> {
    match &daemon.socket {
        DaemonSocket::Path(path) => Some(connect_unix(path).map_err(|errno| errno as i32)),
        DaemonSocket::Tcp(_) | DaemonSocket::Auto | DaemonSocket::Name { .. } => None,
    }
}

/// Connects to a daemon: at most a second for each of its addresses, an error number otherwise.
pub(crate) async fn dial(daemon: &Daemon) -> Result<OwnedFd, i32> {
    connect(&daemon.socket).await.map_err(|error| {
        let late = error.kind() == io::ErrorKind::TimedOut;
        error.raw_os_error().unwrap_or(if late { Errno::ETIMEDOUT as i32 } else { Errno::EIO as i32 })
    })
}

async fn connect(socket: &DaemonSocket) -> io::Result<OwnedFd> {
    match socket {
        DaemonSocket::Path(path) => Ok(connect_unix(path)?),
        DaemonSocket::Tcp(address) => connect_tcp(*address).await,
        DaemonSocket::Name { port, addresses, .. } => {
            // A name that was not resolved leads nowhere.
            let mut last = Errno::EHOSTUNREACH.into();
            for address in addresses.iter().take(MOST_ADDRESSES) {
                match connect_tcp(SocketAddr::new(*address, *port)).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        DaemonSocket::Auto => {
            let mut first_refusal = None;
            for path in USUAL_PATHS {
                match connect_unix(Path::new(path)) {
                    Ok(connection) => return Ok(connection),
                    Err(Errno::ENOENT) => {}
                    // A path that exists and refuses says more than the paths that do not exist.
                    Err(errno) => first_refusal = first_refusal.or(Some(errno)),
                }
            }
            let (host, port) = USUAL_PORT;
            let usual = host.parse().map(|ip| SocketAddr::new(ip, port)).map_err(io::Error::other)?;
            connect_tcp(usual).await.map_err(|error| first_refusal.map_or(error, io::Error::from))
        }
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let stream = tokio::time::timeout(DIAL, TcpStream::connect(address)).await??;
    let connection = OwnedFd::from(stream.into_std()?);
    tune(&connection)?;
    Ok(connection)
}

/// Never waits: a daemon that is not there or does not keep up refuses.
fn connect_unix(path: &Path) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connection = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(connection.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(connection)
}
