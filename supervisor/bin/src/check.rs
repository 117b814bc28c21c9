//! `mailward check`: everything that can be known without the network.
use crate::{args, config};
use policy::load::LoadOptions;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn check(arguments: &args::Config) -> ExitCode {
    if config::load(&arguments.config, LoadOptions::default()).is_none() {
        return ExitCode::from(1);
    }
    let _ = writeln!(io::stdout(), "{}: configuration ok", arguments.config.display());
    ExitCode::SUCCESS
}
