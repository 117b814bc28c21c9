//! Lookup: resolves the names of `plug-to`, and nothing else yet. Its answers say where a session may go.
//!
//! ```text
//! serve.rs      questions of the supervisor, one task each
//! resolver.rs   names to addresses: the static host table, then DNS
//! hosts.rs      the static host table
//! ```
//!
//! # Security
//! Talks to the supervisor, whom it trusts, and to name servers, whom it does not. It holds no connection of a client or
//! server and no mail. It may make sockets; it may not open a file, start a program or a thread. A captured lookup can
//! send sessions to wrong addresses on the configured ports, which is what a lying name server can do as well.
#![forbid(unsafe_code)]

pub mod confinement;
mod hosts;
mod resolver;
mod serve;

use ipc::boot::{Boot, Ready, Role, build};
use ipc::log::Log;
use ipc::{Link, LinkError, descriptors, link};
use sandbox::Confined;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Why lookup could not serve.
#[derive(Debug)]
pub enum Error {
    /// The inherited descriptors or the runtime.
    Io(io::Error),
    /// The supervisor's link.
    Link(LinkError),
    /// The supervisor is of another build, or started this image as another role.
    NotOurs,
    /// A wall could not be built.
    Confine(sandbox::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "lookup: {error}"),
            Self::Link(error) => write!(f, "lookup: link to the supervisor: {error}"),
            Self::NotOurs => f.write_str("lookup: the supervisor is of another build"),
            Self::Confine(error) => write!(f, "lookup: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

/// Runs the role in this process: confines it and serves until its supervisor is gone.
///
/// # Errors
/// [`Error`]; the process must end then.
pub fn run() -> Result<(), Error> {
    let (link, log) = descriptors::take_inherited()?;
    let (boot, namespaces) = link::recv_blocking::<Boot>(link.as_fd())?;
    if boot.build != build() || boot.role != Role::Lookup {
        return Err(Error::NotOurs);
    }
    // The standard hook would write to a descriptor that leads nowhere.
    std::panic::set_hook(Box::new(|_| {}));
    // Whatever makes descriptors of its own, before the filter.
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())?;
    let confined = sandbox::confine(&boot.spec, namespaces, &confinement::POLICY).map_err(Error::Confine)?;
    let ready = Ready { build: build(), walls: confined.walls().clone() };
    link::send_blocking(link.as_fd(), &ready, &[])?;
    serve(&runtime, link, Log::new(log), &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Log, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async { Ok(serve::serve(Link::new(link)?, log).await?) })
}
