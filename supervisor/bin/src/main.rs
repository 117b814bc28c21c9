//! The program `mailward`: arguments, exit codes, and the table of roles. Everything else is a library.
//!
//! # Security
//! Started by the administrator as root, and by the supervisor as a role with two descriptors and no environment.
#![forbid(unsafe_code)]

mod allow;
mod args;
mod certificates;
mod check;
mod config;
mod control;
mod generate;
mod init;
mod manual;
mod names;
mod probe;
mod quarantine;
mod reload;
mod role;
mod run;
mod sessions;
mod show;
mod test;

use args::{Arguments, Command, TlsCommand};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A role is started for every few mails, and reading arguments in general costs a tenth of a millisecond.
    if let Some(name) = role::name(std::env::args_os()) {
        return role::run(&name);
    }
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Reload(arguments) => reload::reload(&arguments),
        Command::Quarantine { command } => quarantine::quarantine(&command),
        Command::Allow { command } => allow::allow(&command),
        Command::Sessions(arguments) => sessions::sessions(&arguments),
        Command::Kick(arguments) => sessions::kick(&arguments),
        Command::Show(arguments) => show::show(&arguments),
        Command::Test(arguments) => test::test(*arguments),
        Command::Demo { once } => demo::run(demo::Options { once }),
        Command::Tls { command: TlsCommand::Probe(arguments) } => probe::probe(&arguments),
        Command::Schema => generate::schema(),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { directory } => generate::man(&directory),
    }
}
