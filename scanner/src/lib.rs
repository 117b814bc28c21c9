//! The scanner: judges one mail at a time. No network, no files: a mail, connected engines and rules in, one
//! judgement out.
//!
//! ```text
//! serve.rs       policy, signatures, one lease after another
//! job.rs         THE STORY of one mail: verify, take apart, ask the engines, judge, rewrite, answer
//! documents/     what each leaf is      archive/ what is in it   rules.rs    what becomes of it and of the mail
//! rewrite/       the copy that has other octets              inspection.rs  what was found out
//! content.rs     the mail as bytes that cannot change        parts.rs    its leaves, decoded
//! canonical/     the mail rebuilt without ambiguity
//! readings/      what other readers of a doubtful mail open  views.rs    what engines are shown
//! antivirus/     builtin.rs, clamd.rs, icap.rs, probe.rs     antispam/   builtin.rs, rspamd.rs, spamd.rs
//! outside/       connections to daemons, HTTP's grammar      engines.rs  all engines, side by side
//! notice.rs      what stands in its place                    answer.rs    the answer, and the copy that goes with it
//! turn.rs        daemons are served between
//! ```
//!
//! # Security
//! Reads bytes that anybody on the Internet chose, and answers of engines. A captured scanner can lie about the mail
//! that it was given and nothing else: the worker and the supervisor check what they can, and the process is replaced.

mod answer;
pub mod antispam;
pub mod antivirus;
pub mod archive;
pub mod canonical;
pub mod confinement;
mod content;
pub mod documents;
mod engines;
pub mod html;
mod inspection;
mod job;
pub mod notice;
pub mod outside;
mod part_map;
pub mod parts;
pub mod readings;
pub mod rewrite;
mod rules;
mod serve;
mod turn;
mod views;

use ipc::boot::Role;
use ipc::log::{Level, Log};
pub use ipc::role::Error;
use ipc::role::{Started, start};
use ipc::waiting::Waiting;
use sandbox::Confined;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tokio::runtime::LocalRuntime;

/// Runs the role in this process: confines it and serves until its supervisor is gone.
///
/// # Errors
/// [`Error`]; the process must end then.
pub fn run() -> Result<(), Error> {
    let Started { link, log, runtime, confined, .. } = start(Role::Scanner, &confinement::POLICY, |log| {
        report_panics(log);
        content::warm_up();
        // Engines may be behind TLS: its library opens a file of the system before its first random octet.
        tls::warm_up().map_err(std::io::Error::other)
    })?;
    serve(&runtime, link, Rc::new(log), &confined)
}

/// Cannot be called outside the walls.
fn serve(runtime: &LocalRuntime, link: OwnedFd, log: Rc<Log>, _: &Confined) -> Result<(), Error> {
    runtime.block_on(async { serve::serve(Waiting::new(link), log).await })
}

/// Serves without walls, for tests of the whole way of a mail.
///
/// # Errors
/// As [`run`].
#[doc(hidden)]
pub async fn serve_unconfined(link: OwnedFd, log: OwnedFd) -> Result<(), Error> {
    serve::serve(Waiting::new(link), Rc::new(Log::new(log))).await
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
