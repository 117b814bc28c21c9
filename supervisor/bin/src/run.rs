//! `mailward run`: the service.
use crate::{args, config};
use policy::load::LoadOptions;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

pub(crate) fn run(arguments: &args::Run) -> ExitCode {
    let options = LoadOptions { demo: arguments.demo, ..LoadOptions::default() };
    let Some(configuration) = config::load(&arguments.file.config, options) else { return ExitCode::from(1) };
    let policy = match configuration.whole() {
        Ok((policy, notes)) => {
            config::say(&notes);
            policy
        }
        Err(why) => {
            config::say(&why);
            config::say("mailward: not started\n");
            return ExitCode::from(1);
        }
    };
    let report = match arguments.report_fd.map(|_| io::stdout().as_fd().try_clone_to_owned()).transpose() {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let configuration = arguments.file.config.clone();
    let again = configuration.clone();
    let load = Box::new(move || config::policy(&again, options));
    match supervisor::run(supervisor::Options { policy, load, configuration, report }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "mailward: {error}");
    ExitCode::from(3)
}
