//! The writer: keeps the originals of mails that were served changed, in the one directory that it was given.
//!
//! ```text
//! serve.rs    messages of the supervisor, one task for each worker
//! store.rs    the directory: a mail is there whole, or not at all
//! record.rs   what is known of a mail, as the first line of its file
//! ```
//!
//! # Security
//! Talks to the supervisor, whom it trusts, and to workers, whom it does not: a captured worker can have mails kept, within
//! the limits of the quarantine, and can neither read, change nor remove one. It has no network and no program to start, and
//! can open nothing but new files in its directory, for writing. It copies mails and never looks into them.
#![forbid(unsafe_code)]

pub mod confinement;
pub mod record;
mod serve;
mod store;

use ipc::Link;
use ipc::boot::Role;
use ipc::log::Log;
use ipc::role::{Error, Started, start};
use sandbox::Confined;
use std::io;
use std::os::fd::OwnedFd;
use tokio::runtime::LocalRuntime;

/// Runs the role in this process: confines it and serves until its supervisor is gone.
///
/// # Errors
/// [`Error`]; the process must end then.
pub fn run() -> Result<(), Error> {
    let Started { link, log, runtime, directory, confined } =
        start(Role::Writer, &confinement::POLICY, |_| {
            // The standard hook would write to a descriptor that leads nowhere.
            std::panic::set_hook(Box::new(|_| {}));
            Ok(())
        })?;
    let directory = directory.ok_or_else(|| io::Error::other("no directory was given"))?;
    serve(&runtime, link, log, directory, &confined)
}

/// Cannot be called outside the walls.
fn serve(
    runtime: &LocalRuntime,
    link: OwnedFd,
    log: Log,
    directory: OwnedFd,
    _: &Confined,
) -> Result<(), Error> {
    runtime.block_on(async { serve::serve(Link::new(link)?, log, directory).await })
}
