//! The table of roles: this image, started again by the supervisor.
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run(name: &str) -> ExitCode {
    match name {
        "worker" => end(worker::run()),
        "scanner" => end(scanner::run()),
        "lookup" => end(lookup::run()),
        "keyholder" => end(keyholder::run()),
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
fn end<E: Display>(outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mailward: {error}");
            ExitCode::from(3)
        }
    }
}
