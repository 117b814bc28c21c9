//! The table of roles: this image, started again by the supervisor.
use std::io::{self, Write};
use std::process::ExitCode;

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
