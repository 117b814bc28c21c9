//! The worker: speaks the protocol with clients and servers, and lets no mail through that was not scanned.
//!
//! Started by the supervisor with its link at descriptor 3 and its log at 4. It reads what clients and servers send,
//! which is why it holds nothing but the descriptors it was given: no key, no file, no way to make a connection.
//!
//! ```text
//! serve.rs     messages of the supervisor, one task per session
//! joining.rs   how a session comes to its peers        session.rs the story between them        mail.rs a mail's way in it
//! handshake.rs TLS with client and server        tls.rs    what it is made of        keyholder.rs   who signs
//! intercept.rs the server's TLS first, then the client's        bypass.rs connections that are relayed unseen
//! driver.rs    bytes and time <-> machine    peer.rs   one connection
//! spool.rs     a mail on its way in          scan.rs   job out, answer checked      copy.rs   the scanned copy
//! ```
//!
//! # Security
//! Talks to the supervisor, whom it trusts, and to clients, servers and scanners, whom it does not. A captured worker
//! can lie about its own sessions and show their plaintext to their own peers; it can do nothing else.
#![forbid(unsafe_code)]

pub mod confinement;

mod bypass;
mod copy;
mod driver;
mod fault;
mod generation;
mod handshake;
mod inbox;
mod intercept;
mod joining;
mod keyholder;
mod late;
mod limits;
mod mail;
mod memfd;
mod memory;
mod panics;
mod part_map;
mod peer;
mod quarantine;
mod scan;
mod serve;
mod session;
mod slices;
mod spool;
#[cfg(test)]
mod tests;
mod tls;

use ipc::Link;
use ipc::boot::Role;
use ipc::log::Log;
use ipc::role::{Error, Started, start};
use sandbox::Confined;
use serve::Worker;
use std::io;
use std::os::fd::OwnedFd;
use tokio::runtime::LocalRuntime;

/// Runs the role in this process: confines it and serves until it was drained or its supervisor is gone.
///
/// # Errors
/// [`Error`]; the process must end then.
pub fn run() -> Result<(), Error> {
    let Started { link, log, runtime, confined, .. } = start(Role::Worker, &confinement::POLICY, |_| {
        panics::remember_where();
        warm_up()
    })?;
    serve(&runtime, link, log, &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Log, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async {
        let worker = Worker::new(Link::new(link)?, log);
        Ok(serve::serve(&worker).await?)
    })
}

/// Does once what is probed once: the kernel's memory files, the processor's hash instructions.
fn warm_up() -> io::Result<()> {
    let mut spooling = spool::Spooling::new(memory::Memory::new(), false);
    spooling.write(b"warm");
    ::tls::warm_up().map_err(io::Error::other)?;
    spooling.seal().map(drop).map_err(io::Error::other)
}
