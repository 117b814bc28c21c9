//! The supervisor: binds, accepts, decides who may connect, hands descriptors to confined roles, dials for them, lends
//! scanners, and replaces what dies.
//!
//! ```text
//! boot.rs         the order of a start, as one function
//! event_loop.rs   the one place where state changes
//! listener.rs -> original_dst.rs, admission.rs -> handover.rs -> route.rs, dial.rs   the way of a connection
//! lease.rs        queue.rs, answers.rs, poison.rs                            the way of a mail
//! engines.rs      probes.rs       daemons.rs      spam_filters.rs            who can be asked about mails
//! names.rs         client_names.rs                         what lists of hosts stand for
//! children.rs     post.rs, backoff.rs, identity.rs, slices.rs                         the roles
//! changed.rs      mailboxes.rs     what clients hold of changed mails      durable.rs         small files of state-dir
//! spool_file.rs   mails too large for memory
//! quarantine.rs   folders of writers, and what is in them by name
//! allow.rs        allowed.rs      what the operator takes for no virus
//! keys.rs         who may have a key used     tls_files.rs    files of TLS, opened and unread
//! requests.rs     what workers say of their sessions     late.rs      rules that a client's certificate or name decides
//! redirect.rs     NAT rules that die with us              lock.rs          one instance for each state-dir
//! control.rs      the operator's socket -> reload.rs      another policy     renewal.rs   files that are renewed on disk
//! operator.rs     who is there, and who shall go -> kick.rs -> destroy.rs    the end of a session, by force if need be
//! records.rs      the log    report.rs  notify.rs         confinement.rs     what root keeps
//! ```
//!
//! # Security
//! Runs as root where it can, and therefore parses no byte that a client, a server or a mail chose, has no TLS, protocol
//! or MIME crate below it, and never takes a descriptor from a child. Messages of children are hostile input: decoded
//! within bounds, checked against what the child was given, and answered by its death when they break the contract.
#![forbid(unsafe_code)]

mod admission;
mod allow;
pub mod allowed;
mod answers;
mod backoff;
mod boot;
pub mod changed;
mod child_life;
mod children;
mod client_names;
pub mod clock;
mod confinement;
pub mod control;
mod daemons;
mod destroy;
mod dial;
mod durable;
mod engines;
mod event_loop;
mod examine;
#[cfg(test)]
mod fixtures;
mod handover;
mod identity;
mod journal;
mod keys;
mod kick;
mod late;
mod lease;
mod listener;
mod lock;
mod mailboxes;
mod names;
mod notify;
mod operator;
mod original_dst;
mod poison;
mod post;
mod probes;
pub mod quarantine;
mod queue;
pub mod records;
mod redirect;
mod reload;
mod renewal;
mod report;
mod requests;
mod route;
mod sink;
mod slices;
mod spam_filters;
mod spool_file;
mod tls_files;

pub use daemons::{USUAL_PATHS as CLAMD_PATHS, USUAL_PORT as CLAMD_PORT};
pub use examine::examine;
use policy::model::Policy;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Reads the configuration again: the policy and the loader's warnings, or what is wrong; both drawn for people.
pub type Load = Box<dyn Fn() -> Result<(Policy, String), String>>;

/// What a start needs.
pub struct Options {
    /// The policy, loaded and checked.
    pub policy: Policy,
    /// For a reload.
    pub load: Load,
    /// Where it came from, for the log.
    pub configuration: PathBuf,
    /// Where to report children and addresses as JSON lines.
    pub report: Option<OwnedFd>,
}

/// Why the service could not start or go on; a sentence for the operator.
#[derive(Debug)]
pub struct Error {
    what: String,
}

impl Error {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}

/// Runs the service until SIGTERM or SIGINT, and cleans up after it.
///
/// # Errors
/// When the service cannot start: an address is taken, a wall cannot be built, a directory cannot be used.
pub fn run(options: Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())
        .map_err(|error| Error::new(format!("cannot start: {error}")))?;
    // A task like the others: what wakes the outermost future costs the runtime a look at its descriptors first.
    let service = runtime.spawn_local(async {
        let (mut supervisor, events) = boot::boot(options)?;
        let ran = event_loop::run(&mut supervisor, events).await;
        boot::clean_up(&mut supervisor);
        ran.map_err(|error| Error::new(format!("cannot go on: {error}")))?;
        supervisor.fatal.take().map_or(Ok(()), |what| Err(Error::new(what)))
    });
    runtime.block_on(service).map_err(|error| Error::new(format!("ended: {error}")))?
}
