//! Questions to the running service, over its control socket.
use crate::args::Service;
use crate::config;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use supervisor::control::{self, Answer, Request};

/// `socket` of `[control]` by default.
const DEFAULT_SOCKET: &str = "/run/mailward/control.sock";

/// Asks; if there is no answer, says why, and gives the status to end with.
pub(crate) fn ask(service: &Service, request: &Request) -> Result<Answer, ExitCode> {
    let socket = service.socket.clone().unwrap_or_else(|| configured(&service.file.config));
    control::ask(&socket, request).map_err(|error| {
        config::say(&format!(
            "mailward: {}: {error}: is the service running, and may this user ask it? --socket names another\n",
            socket.display()
        ));
        ExitCode::from(3)
    })
}

/// Where the configuration says the socket is. It may be wrong in every other way: the service will say how.
fn configured(path: &Path) -> PathBuf {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let socket = table.get("control").and_then(|control| control.get("socket")).and_then(toml::Value::as_str);
    PathBuf::from(socket.unwrap_or(DEFAULT_SOCKET))
}

/// An answer to another question: a service of another version.
pub(crate) fn answered_otherwise() -> ExitCode {
    config::say("mailward: the service answers another question: is it of this version?\n");
    ExitCode::from(3)
}
