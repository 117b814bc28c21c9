//! Lookup: says where a session may go. It resolves names, and decides the command-acl where what a client showed decides.
//!
//! ```text
//! serve.rs      questions of the supervisor, one task each
//! resolver.rs   names to addresses: the static host table, then DNS
//! hosts.rs      the static host table
//! ```
//!
//! # Security
//! Talks to the supervisor, whom it trusts, and to name servers, whom it does not. It holds no connection of a client or
//! server and no mail. It may make sockets; it may not open a file, start a program or a thread. What workers learnt of their
//! clients is hostile input. A captured lookup can send sessions to wrong addresses on the configured ports, which is what a
//! lying name server can do as well, and let clients in by a rule that asks for another certificate.
#![forbid(unsafe_code)]

pub mod confinement;
mod hosts;
mod resolver;
mod serve;

use ipc::Link;
use ipc::boot::Role;
use ipc::log::Log;
use ipc::role::{Error, Started, start};
use sandbox::Confined;
use std::os::fd::OwnedFd;
use tokio::runtime::LocalRuntime;

/// Runs the role in this process: confines it and serves until its supervisor is gone.
///
/// # Errors
/// [`Error`]; the process must end then.
pub fn run() -> Result<(), Error> {
    let Started { link, log, runtime, confined, .. } = start(Role::Lookup, &confinement::POLICY, |_| {
        // The standard hook would write to a descriptor that leads nowhere.
        std::panic::set_hook(Box::new(|_| {}));
        Ok(())
    })?;
    serve(&runtime, link, log, &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Log, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async { Ok(serve::serve(Link::new(link)?, log).await?) })
}
