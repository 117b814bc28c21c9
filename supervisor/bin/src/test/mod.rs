//! `mailward test`: what would happen, asked before it does. One question on the command line, or a file of expectations.
mod answer;
mod expect;
pub(crate) mod print;
mod question;

pub(crate) use question::Question;

use crate::{args, config, names};
use policy::load::LoadOptions;
use std::process::ExitCode;

/// An expectation was not met.
const NOT_MET: u8 = 4;

pub(crate) fn test(arguments: args::Test) -> ExitCode {
    let options = LoadOptions { demo: arguments.demo, ..LoadOptions::default() };
    let Some(configuration) = config::load(&arguments.file.config, options) else { return ExitCode::from(1) };
    let mut policy = configuration.loaded.policy;
    let missing = names::settle(&mut policy);
    if !missing.is_empty() {
        config::say(&format!("mailward: not resolved, and so matching nothing: {}\n", missing.join(", ")));
    }
    if let Some(file) = &arguments.expectations {
        return match expect::run(&policy, file, arguments.json) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(NOT_MET),
            Err(why) => fail(&why),
        };
    }
    match answer::answer(&policy, &arguments.question) {
        Ok(answer) if arguments.json => print::json(&answer),
        Ok(answer) => print::text(&answer),
        Err(why) => return fail(&why),
    }
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    config::say(&format!("mailward: {why}\n"));
    ExitCode::from(2)
}
