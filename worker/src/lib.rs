//! The worker: speaks the protocol with clients and servers, and lets no mail through that was not scanned.
//!
//! Started by the supervisor with its link at descriptor 3 and its log at 4. It reads what clients and servers send,
//! which is why it holds nothing but the descriptors it was given: no key, no file, no way to make a connection.
//!
//! ```text
//! serve.rs     messages of the supervisor, one task per session
//! session.rs   the story of a session        mail.rs   the way of one mail through it
//! handshake.rs TLS with client and server        tls.rs    what it is made of        keyholder.rs   who signs
//! driver.rs    bytes and time <-> machine    peer.rs   one connection
//! spool.rs     a mail on its way in          scan.rs   job out, answer checked      copy.rs   the scanned copy
//! ```
//!
//! # Security
//! Talks to the supervisor, whom it trusts, and to clients, servers and scanners, whom it does not. A captured worker
//! can lie about its own sessions and show their plaintext to their own peers; it can do nothing else.
#![forbid(unsafe_code)]

pub mod confinement;

mod copy;
mod driver;
mod fault;
mod generation;
mod handshake;
mod inbox;
mod keyholder;
mod limits;
mod mail;
mod memfd;
mod memory;
mod panics;
mod peer;
mod scan;
mod serve;
mod session;
mod spool;
#[cfg(test)]
mod tests;
mod tls;

use ipc::boot::{Boot, Ready, Role, build};
use ipc::log::Log;
use ipc::{Link, LinkError, descriptors, link};
use sandbox::Confined;
use serve::Worker;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Why a worker could not serve.
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
            Self::Io(error) => write!(f, "worker: {error}"),
            Self::Link(error) => write!(f, "worker: link to the supervisor: {error}"),
            Self::NotOurs => f.write_str("worker: the supervisor is of another build"),
            Self::Confine(error) => write!(f, "worker: {error}"),
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

/// Runs the role in this process: confines it and serves until it was drained or its supervisor is gone.
///
/// # Errors
/// [`Error`]; the process must end then.
pub fn run() -> Result<(), Error> {
    let (link, log) = descriptors::take_inherited()?;
    let (boot, namespaces) = link::recv_blocking::<Boot>(link.as_fd())?;
    if boot.build != build() || boot.role != Role::Worker {
        return Err(Error::NotOurs);
    }
    panics::remember_where();
    // Whatever makes descriptors or asks the processor what it can, before the filter forbids it.
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())?;
    warm_up()?;
    let confined = sandbox::confine(&boot.spec, namespaces, &confinement::POLICY).map_err(Error::Confine)?;
    let ready = Ready { build: build(), walls: confined.walls().clone() };
    link::send_blocking(link.as_fd(), &ready, &[])?;
    serve(&runtime, link, Log::new(log), &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Log, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async {
        let worker = Worker::new(Link::new(link)?, log);
        Ok(serve::serve(&worker).await?)
    })
}

/// Does once what is probed once: the kernel's memory files, the processor's hash instructions.
fn warm_up() -> Result<(), Error> {
    let mut spooling = spool::Spooling::new(memory::Memory::new());
    spooling.write(b"warm");
    ::tls::warm_up().map_err(io::Error::other)?;
    spooling.seal().map(drop).map_err(|why| Error::Io(io::Error::other(why)))
}
