//! `mailward reload`: asks the running service, over its control socket.
use crate::test::print;
use crate::{args, config, control};
use std::process::ExitCode;
use supervisor::control::{Answer, Request};

pub(crate) fn reload(arguments: &args::Reload) -> ExitCode {
    let request = Request::Reload { keep_sessions: arguments.keep_sessions };
    let answer = match control::ask(&arguments.service, &request) {
        Ok(answer) => answer,
        Err(status) => return status,
    };
    if arguments.json {
        print::json(&answer);
    }
    match answer {
        Answer::Reloaded { .. } if arguments.json => ExitCode::SUCCESS,
        Answer::Reloaded { generation, kept, ended, notes } => {
            config::say(&notes);
            print::out(&format!("reloaded: policy {generation}; {kept} sessions go on, {ended} end\n"));
            ExitCode::SUCCESS
        }
        Answer::Refused { why } => {
            if !arguments.json {
                config::say(&format!("{}\nmailward: not reloaded: nothing was changed\n", why.trim_end()));
            }
            ExitCode::from(1)
        }
        Answer::Allowed { .. }
        | Answer::AllowedNoMore { .. }
        | Answer::AllowedList { .. }
        | Answer::Sessions { .. }
        | Answer::Kicked { .. } => control::answered_otherwise(),
    }
}
