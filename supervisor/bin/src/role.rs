//! The table of roles: this image, started again by the supervisor.
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The role's name, if these are the arguments that the supervisor gives: the title, `role`, the name.
pub(crate) fn name(arguments: impl Iterator<Item = OsString>) -> Option<String> {
    let mut arguments = arguments.skip(1);
    let (word, name, more) = (arguments.next()?, arguments.next()?, arguments.next());
    if word == "role" && more.is_none() { name.into_string().ok() } else { None }
}

pub(crate) fn run(name: &str) -> ExitCode {
    match name {
        "worker" => end(name, worker::run()),
        "scanner" => end(name, scanner::run()),
        "lookup" => end(name, lookup::run()),
        "keyholder" => end(name, keyholder::run()),
        "writer" => end(name, writer::run()),
        _ => {
            let _ = writeln!(
                io::stderr(),
                "mailward: there is no role {name:?}; the supervisor starts roles itself"
            );
            ExitCode::from(2)
        }
    }
}

/// Standard error leads nowhere in a role; the supervisor sees the status.
fn end(name: &str, outcome: Result<(), ipc::role::Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mailward: {name}: {error}");
            ExitCode::from(3)
        }
    }
}
