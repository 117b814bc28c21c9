//! The keyholder: has the private keys, and uses one where a grant says so, once.
//!
//! ```text
//! serve.rs    messages of the supervisor, one task for each worker
//! keys.rs     the keys of each policy generation, read from descriptors
//! grants.rs   what each session may still have done
//! ```
//!
//! # Security
//! Talks to the supervisor, whom it trusts, and to workers, whom it does not: a captured worker can ask for what the
//! handshakes of its own sessions need, and nothing else. It signs only what TLS signs (`tls::is_server_signature`), so
//! it is no oracle. It has no network, no file and no program to start. Ticket keys are made here and never leave.
#![forbid(unsafe_code)]

pub mod confinement;
mod grants;
mod keys;
mod serve;
#[cfg(test)]
mod tests;

use ipc::boot::{Boot, Ready, Role, build};
use ipc::log::Log;
use ipc::{Link, LinkError, descriptors, link};
use sandbox::Confined;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Why the keyholder could not serve.
#[derive(Debug)]
pub enum Error {
    /// The inherited descriptors, the runtime or the kernel's entropy.
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
            Self::Io(error) => write!(f, "keyholder: {error}"),
            Self::Link(error) => write!(f, "keyholder: link to the supervisor: {error}"),
            Self::NotOurs => f.write_str("keyholder: the supervisor is of another build"),
            Self::Confine(error) => write!(f, "keyholder: {error}"),
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
    if boot.build != build() || boot.role != Role::Keyholder {
        return Err(Error::NotOurs);
    }
    // The standard hook would write to a descriptor that leads nowhere.
    std::panic::set_hook(Box::new(|_| {}));
    // Whatever makes descriptors of its own or asks the processor what it can, before the filter.
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())?;
    tls::warm_up().map_err(io::Error::other)?;
    let confined = sandbox::confine(&boot.spec, namespaces, &confinement::POLICY).map_err(Error::Confine)?;
    let ready = Ready { build: build(), walls: confined.walls().clone() };
    link::send_blocking(link.as_fd(), &ready, &[])?;
    serve(&runtime, link, Log::new(log), &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Log, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async { Ok(serve::serve(Link::new(link)?, log).await?) })
}
