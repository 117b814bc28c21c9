//! The scanner: judges one mail at a time. No network, no files: a mail, connected engines and rules in, one
//! judgement out.
//!
//! ```text
//! serve.rs       policy, signatures, one lease after another
//! job.rs         THE STORY of one mail: verify, take apart, ask the engines, judge, rewrite, answer
//! content.rs     the mail as bytes that cannot change        parts.rs    its leaves, decoded
//! antivirus/     builtin.rs, clamd.rs, probe.rs              notice.rs   what stands in its place
//! ```
//!
//! # Security
//! Reads bytes that anybody on the Internet chose, and answers of engines. A captured scanner can lie about the mail
//! that it was given and nothing else: the worker and the supervisor check what they can, and the process is replaced.

pub mod antivirus;
pub mod confinement;
mod content;
mod job;
pub mod notice;
pub mod parts;
mod rules;
mod serve;

use ipc::boot::{Boot, Ready, Role, build};
use ipc::log::{Level, Log};
use ipc::{Link, LinkError, descriptors, link};
use sandbox::Confined;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Why a scanner could not serve.
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
            Self::Io(error) => write!(f, "scanner: {error}"),
            Self::Link(error) => write!(f, "scanner: link to the supervisor: {error}"),
            Self::NotOurs => f.write_str("scanner: the supervisor is of another build"),
            Self::Confine(error) => write!(f, "scanner: {error}"),
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
    if boot.build != build() || boot.role != Role::Scanner {
        return Err(Error::NotOurs);
    }
    let log = Rc::new(Log::new(log));
    report_panics(&log.try_clone()?);
    // Whatever makes descriptors or asks the processor what it can, before the filter forbids it.
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())?;
    content::warm_up();
    let confined = sandbox::confine(&boot.spec, namespaces, &confinement::POLICY).map_err(Error::Confine)?;
    let ready = Ready { build: build(), walls: confined.walls().clone() };
    link::send_blocking(link.as_fd(), &ready, &[])?;
    serve(&runtime, link, log, &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Rc<Log>, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async { serve::serve(Link::new(link)?, log).await })
}

/// Serves without walls, for tests of the whole way of a mail.
///
/// # Errors
/// As [`run`].
#[doc(hidden)]
pub async fn serve_unconfined(link: OwnedFd, log: OwnedFd) -> Result<(), Error> {
    serve::serve(Link::new(link)?, Rc::new(Log::new(log))).await
}

/// A panic ends the process: the supervisor counts it against the mail and tries a fresh scanner. Its place is logged.
fn report_panics(log: &Log) {
    // The hook must be callable from any thread; there is one, and the log is a descriptor.
    let log = log.try_clone().map(std::sync::Mutex::new).ok();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        if let Some(Ok(log)) = log.as_ref().map(std::sync::Mutex::lock) {
            log.note(Level::Error, None, "the scanner panicked", &place.unwrap_or_default());
        }
    }));
}
