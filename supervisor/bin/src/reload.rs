//! `mailward reload`: asks the running service, over its control socket.
use crate::test::print;
use crate::{args, config};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use supervisor::control::{self, Answer, Request};

/// `socket` of `[control]` by default.
const DEFAULT_SOCKET: &str = "/run/mailward/control.sock";

pub(crate) fn reload(arguments: &args::Reload) -> ExitCode {
    let socket = arguments.socket.clone().unwrap_or_else(|| configured(&arguments.file.config));
    let request = Request::Reload { keep_sessions: arguments.keep_sessions };
    let answer = match control::ask(&socket, request) {
        Ok(answer) => answer,
        Err(error) => {
            config::say(&format!(
                "mailward: {}: {error}: is the service running, and may this user ask it? --socket names another\n",
                socket.display()
            ));
            return ExitCode::from(3);
        }
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
    }
}

/// Where the configuration says the socket is. It may be wrong in every other way: the service will say how.
fn configured(path: &Path) -> PathBuf {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let socket = table.get("control").and_then(|control| control.get("socket")).and_then(toml::Value::as_str);
    PathBuf::from(socket.unwrap_or(DEFAULT_SOCKET))
}
