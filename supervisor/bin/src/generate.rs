//! Man pages and completions, from the same source as `--help`.
use crate::args::Arguments;
use crate::manual;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn completions(shell: Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Arguments::command(), "mailward", &mut io::stdout());
    ExitCode::SUCCESS
}

pub(crate) fn schema() -> ExitCode {
    crate::test::print::out(&policy::schema::json_schema());
    ExitCode::SUCCESS
}

pub(crate) fn man(directory: &Path) -> ExitCode {
    let written = clap_mangen::generate_to(Arguments::command(), directory)
        .and_then(|()| std::fs::write(directory.join("mailward.toml.5"), manual::page()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mailward: {}: {error}", directory.display());
            ExitCode::from(3)
        }
    }
}
