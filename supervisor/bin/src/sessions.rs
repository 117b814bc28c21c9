//! `mailward sessions` and `mailward kick`: who is connected, and who shall go. The running service is asked.
use crate::args::{self, Kick, Sessions};
use crate::test::print;
use crate::{config, control};
use std::process::ExitCode;
use supervisor::control::{Answer, LiveSession, Request, WhichSessions};

/// Numbers in one request, which has at most 4096 octets.
const AT_ONCE: usize = 200;

pub(crate) fn sessions(arguments: &Sessions) -> ExitCode {
    let request = Request::Sessions(which(&arguments.which, &[]));
    let sessions = match control::ask(&arguments.service, &request) {
        Ok(Answer::Sessions { sessions }) => sessions,
        Ok(answer) => return otherwise(answer),
        Err(status) => return status,
    };
    if arguments.json {
        sessions.iter().for_each(print::json);
    } else if sessions.is_empty() {
        print::out("there are no sessions\n");
    } else {
        print::out(&table(&sessions));
    }
    ExitCode::SUCCESS
}

pub(crate) fn kick(arguments: &Kick) -> ExitCode {
    let (mut ended, mut unknown) = (Vec::new(), Vec::new());
    // Without numbers there is one request all the same.
    let numbers = arguments.session.chunks(AT_ONCE).chain(arguments.session.is_empty().then_some(&[][..]));
    for numbers in numbers {
        let request = Request::Kick(which(&arguments.which, numbers));
        match control::ask(&arguments.service, &request) {
            Ok(Answer::Kicked { sessions, missing }) => {
                ended.extend(sessions);
                unknown.extend(missing);
            }
            Ok(answer) => return otherwise(answer),
            Err(status) => return status,
        }
    }
    let status = if ended.is_empty() || !unknown.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS };
    if arguments.json {
        print::json(&Answer::Kicked { sessions: ended, missing: unknown });
        return status;
    }
    match ended.len() {
        0 => {}
        1 => print::out(&format!("session {} ends\n", ended.join(", "))),
        number => print::out(&format!("{number} sessions end: {}\n", ended.join(", "))),
    }
    if !unknown.is_empty() {
        config::say(&format!("mailward: there is no session {}\n", unknown.join(", ")));
    } else if ended.is_empty() {
        config::say("mailward: there is no such session (mailward sessions)\n");
    }
    status
}

fn which(which: &args::WhichSessions, sessions: &[String]) -> WhichSessions {
    let args::WhichSessions { user, tenant, client } = which;
    let (user, tenant, client) = (user.clone(), tenant.clone(), client.clone());
    WhichSessions { sessions: sessions.to_vec(), user, tenant, client }
}

fn otherwise(answer: Answer) -> ExitCode {
    match answer {
        Answer::Refused { why } => {
            config::say(&format!("mailward: {}\n", why.trim_end()));
            ExitCode::from(1)
        }
        Answer::Reloaded { .. }
        | Answer::Allowed { .. }
        | Answer::AllowedNoMore { .. }
        | Answer::AllowedList { .. }
        | Answer::Sessions { .. }
        | Answer::Kicked { .. } => control::answered_otherwise(),
    }
}

/// One line for each, in columns as wide as their widest.
fn table(sessions: &[LiveSession]) -> String {
    let heads = ["SESSION", "FOR", "CLIENT", "USER", "TENANT/LISTENER", "SERVER"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(sessions.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(session: &LiveSession) -> [String; 6] {
    let known = |text: &str| if text.is_empty() { "-".to_owned() } else { printable(text) };
    [
        session.session.clone(),
        time(session.seconds),
        session.client.to_string(),
        known(&session.user),
        format!("{}/{}", session.tenant, session.listener),
        session.server.map_or_else(|| "-".to_owned(), |server| server.to_string())
            + if session.ending { "  (ends)" } else { "" },
    ]
}

/// A name that a client chose may hold anything; a terminal gets nothing that it would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c.is_whitespace() { '?' } else { c }).collect()
}

fn time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_stand_in_columns_and_no_name_reaches_the_terminal_as_it_came() {
        let alice = LiveSession {
            session: "00000007".to_owned(),
            seconds: 3725,
            tenant: "default".to_owned(),
            listener: "lab".to_owned(),
            client: "192.0.2.7:40000".parse().unwrap(),
            client_name: None,
            user: "alice\u{1b}[2J".to_owned(),
            server: None,
            command_rule: "all".to_owned(),
            ending: false,
        };
        let server = Some("198.51.100.1:110".parse().unwrap());
        let other = LiveSession {
            session: "0000002a".to_owned(),
            seconds: 61,
            user: String::new(),
            server,
            ending: true,
            ..alice.clone()
        };
        assert_eq!(
            table(&[alice, other]),
            "SESSION   FOR    CLIENT           USER       TENANT/LISTENER  SERVER\n\
             00000007  1h02m  192.0.2.7:40000  alice?[2J  default/lab      -\n\
             0000002a  1m01s  192.0.2.7:40000  -          default/lab      198.51.100.1:110  (ends)\n"
        );
        assert_eq!(time(0), "0s");
    }
}
