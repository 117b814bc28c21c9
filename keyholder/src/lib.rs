//! The keyholder: has the private keys, and uses one where a grant says so, once.
//!
//! ```text
//! serve.rs    messages of the supervisor, one task for each worker
//! keys.rs     the keys of each policy generation, read from descriptors
//! mint.rs     certificates in the place of servers'
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
mod mint;
mod serve;
#[cfg(test)]
mod tests;

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
    let Started { link, log, runtime, confined, .. } = start(Role::Keyholder, &confinement::POLICY, |_| {
        // The standard hook would write to a descriptor that leads nowhere.
        std::panic::set_hook(Box::new(|_| {}));
        tls::warm_up().map_err(io::Error::other)
    })?;
    serve(&runtime, link, log, &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Log, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async { Ok(serve::serve(Link::new(link)?, log).await?) })
}
