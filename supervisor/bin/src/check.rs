//! `mailward check`: everything that can be known without the network, the certificates with it, and what names stand for if that is wanted.
use crate::{args, certificates, config, names};
use policy::load::LoadOptions;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn check(arguments: &args::Check) -> ExitCode {
    let path = &arguments.file.config;
    let Some(configuration) = config::load(path, LoadOptions::default()) else {
        return ExitCode::from(1);
    };
    config::say(&configuration.notes());
    if let Err(problems) = configuration.files_are_usable() {
        config::say(&problems);
        return ExitCode::from(1);
    }
    if !certificates::check(&configuration.loaded.policy) {
        return ExitCode::from(1);
    }
    if arguments.resolve && !resolve(&configuration.loaded.policy) {
        return ExitCode::from(1);
    }
    if !configuration.loaded.is_whole() {
        config::say(config::NOT_WHOLE);
        return ExitCode::from(1);
    }
    let _ = writeln!(io::stdout(), "{}: configuration ok", path.display());
    ExitCode::SUCCESS
}

/// Prints what every name stands for. Whether all stand for something.
fn resolve(policy: &policy::model::Policy) -> bool {
    let mut all = true;
    for name in policy.server_names().union(&policy.host_names()) {
        match names::resolve(name) {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let _ = writeln!(io::stdout(), "{name}: {}", addresses.join(", "));
            }
            Err(why) => {
                all = false;
                config::say(&format!("mailward: {name}: {why}\n"));
            }
        }
    }
    all
}
