//! Resource limits, and the signals that must not kill.
use crate::error::Error;
use crate::spec::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

const WALL: &str = "resource limits";

/// Sets what the spec asks for; core dumps and new processes are always forbidden.
pub(crate) fn apply(limits: &Limits) -> Result<(), Error> {
    let set = |resource: Resource, value: u64| -> Result<(), Error> {
        let (_, hard) = getrlimit(resource).map_err(|error| Error::new(WALL, error))?;
        let value = value.min(hard);
        setrlimit(resource, value, value).map_err(|error| Error::new(WALL, format!("{resource:?}: {error}")))
    };
    set(Resource::RLIMIT_CORE, 0)?;
    set(Resource::RLIMIT_NPROC, 0)?;
    for (resource, value) in [
        (Resource::RLIMIT_NOFILE, limits.descriptors),
        (Resource::RLIMIT_FSIZE, limits.file_size),
        (Resource::RLIMIT_AS, limits.memory),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
    ] {
        if let Some(value) = value {
            set(resource, value)?;
        }
    }
    ignore(Signal::SIGXFSZ)?;
    ignore(Signal::SIGPIPE)
}

/// RLIMIT_FSIZE also binds memfds, and its signal kills a Rust process: a write over the limit must be an error.
fn ignore(which: Signal) -> Result<(), Error> {
    // SAFETY: SIG_IGN installs no handler, so no code of ours runs in signal context.
    unsafe { signal(which, SigHandler::SigIgn) }.map(drop).map_err(|error| Error::new(WALL, error))
}
