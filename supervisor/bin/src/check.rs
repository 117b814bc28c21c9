//! `mailward check`: everything that can be known without the network.
use crate::{args, config};
use policy::load::LoadOptions;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn check(arguments: &args::Config) -> ExitCode {
    let Some(configuration) = config::load(&arguments.config, LoadOptions::default()) else {
        return ExitCode::from(1);
    };
    config::say(&configuration.notes());
    if let Err(problems) = configuration.files_are_usable() {
        config::say(&problems);
        return ExitCode::from(1);
    }
    let but =
        if configuration.loaded.is_whole() { "" } else { "; this version cannot run what is marked `later`" };
    let _ = writeln!(io::stdout(), "{}: configuration ok{but}", arguments.config.display());
    ExitCode::SUCCESS
}
