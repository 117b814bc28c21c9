//! Man pages and completions, from the same source as `--help`.
use crate::args::Arguments;
use crate::manual;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
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
    // `man` looks for a page in the folder of its section only.
    let section = |name: &str| -> io::Result<PathBuf> {
        let section = directory.join(name);
        match std::fs::create_dir(&section) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(section),
        }
    };
    let written = section("man1")
        .and_then(|commands| clap_mangen::generate_to(Arguments::command(), commands))
        .and_then(|()| section("man5"))
        .and_then(|files| std::fs::write(files.join("mailward.toml.5"), manual::page()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mailward: {}: {error}", directory.display());
            ExitCode::from(3)
        }
    }
}
