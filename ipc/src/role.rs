//! How every role but the supervisor begins: it takes what it inherited, makes sure that it is meant, does what the filter
//! will forbid, confines itself as it is told, and says that its walls stand.
use crate::boot::{Boot, Ready, Role, build};
use crate::descriptors;
use crate::link::{self, LinkError};
use crate::log::Log;
use sandbox::{Confined, Policy};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Why a role could not serve.
#[derive(Debug)]
pub enum Error {
    /// The inherited descriptors, the runtime, or something that is done once.
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
            Self::Io(error) => error.fmt(f),
            Self::Link(error) => write!(f, "link to the supervisor: {error}"),
            Self::NotOurs => f.write_str("the supervisor is of another build"),
            Self::Confine(error) => error.fmt(f),
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

/// A role behind its walls.
#[derive(Debug)]
pub struct Started {
    /// The end of the supervisor's link, for [`link::Link::new`].
    pub link: OwnedFd,
    /// Where events go.
    pub log: Log,
    /// The one directory that it may write in, if its role has one.
    pub directory: Option<OwnedFd>,
    /// Made before the filter forbade it.
    pub runtime: LocalRuntime,
    /// What cannot be made in any other way.
    pub confined: Confined,
}

/// Begins. `prepare` does what makes descriptors or asks the processor what it can, before the filter forbids it.
///
/// # Errors
/// [`Error`]; the process must end then.
pub fn start(
    role: Role,
    policy: &Policy,
    prepare: impl FnOnce(&Log) -> io::Result<()>,
) -> Result<Started, Error> {
    let (link, log) = descriptors::take_inherited()?;
    let (boot, mut namespaces) = link::recv_blocking::<Boot>(link.as_fd())?;
    if boot.build != build() || boot.role != role {
        return Err(Error::NotOurs);
    }
    let log = Log::new(log);
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())?;
    prepare(&log)?;
    let directory = if boot.spec.directory { namespaces.pop() } else { None };
    let confined = sandbox::confine(&boot.spec, namespaces, directory.as_ref().map(AsFd::as_fd), policy)
        .map_err(Error::Confine)?;
    let ready = Ready { build: build(), walls: confined.walls().clone() };
    link::send_blocking(link.as_fd(), &ready, &[])?;
    Ok(Started { link, log, directory, runtime, confined })
}
