//! The story that the README's first command tells: a mail server with a realistic mailbox, Mailward in front of
//! it exactly as `mailward run` would start it, and a client that reads every mail through it.
//!
//! Needs no network, no engine and no file outside a temporary directory. Drives the real binary; nothing here
//! is shared with the product but the report of its walls.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod certificates;
mod client;
mod imap;
mod imap_server;
mod mailbox;
mod mailward;
mod secure;
mod server;
mod story;
mod tls_client;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What the command line asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// End after the story instead of waiting for Ctrl-C.
    pub once: bool,
}

/// Tells the story. The exit code is 0 only if every mail met the outcome that this version promises and, as
/// root, every wall that a process reported was found in `/proc`.
pub fn run(options: Options) -> ExitCode {
    // Ctrl-C must reach this thread as a value, not as a death that leaves children and files behind.
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGINT);
    stop.add(Signal::SIGTERM);
    let blocked = stop.thread_block();
    let result = blocked.map_err(io::Error::from).and_then(|()| tell(options, &stop));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(4),
        Err(error) => {
            let _ = writeln!(io::stderr(), "mailward demo: {error}");
            ExitCode::from(3)
        }
    }
}

fn tell(options: Options, stop: &SigSet) -> io::Result<bool> {
    let started = Instant::now();
    let mut out = io::stdout().lock();
    story::title(&mut out)?;

    story::progress(&mut out, "building a mailbox")?;
    let mails = mailbox::build()?;
    story::progress(&mut out, "starting a mail server")?;
    let server = server::start(&mails)?;
    story::progress(&mut out, "starting Mailward")?;
    let mut mailward = mailward::start(&server)?;
    story::world(&mut out, &mails, &server, &mailward, started.elapsed())?;

    let mailbox_kept = story::mails(&mut out, &mails, &mut mailward)?;
    let first = mails.first().map(|mail| mail.bytes.as_slice()).unwrap_or_default();
    let secured = secure::tell(&mut out, first, &mailward)?;
    let by_imap = imap::tell(&mut out, &mails, &server, &mailward)?;
    let key_kept = secure::show_key(&mut out, &mailward)?;
    let walls_stand = story::processes(&mut out, &mailward)?;
    let kept = mailbox_kept && secured && by_imap && key_kept;
    story::ending(&mut out, kept, walls_stand, &mailward, options.once)?;
    if !options.once {
        wait(stop, &mut mailward)?;
        writeln!(out)?;
    }
    if !mailward.stop() {
        return Err(io::Error::other("Mailward did not end when it was asked to"));
    }
    Ok(kept && walls_stand)
}

/// Until Ctrl-C. Mailward ending by itself is an error.
fn wait(stop: &SigSet, mailward: &mut mailward::Mailward) -> io::Result<()> {
    let pending = SignalFd::with_flags(stop, SfdFlags::SFD_NONBLOCK)?;
    while pending.read_signal()?.is_none() {
        if mailward.ended() {
            return Err(io::Error::other("Mailward ended by itself"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
