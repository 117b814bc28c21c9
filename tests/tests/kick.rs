//! Who is connected, and who shall go: in the session's protocol, and by force where its worker does not heed that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::Output;

const ENDED: &str = "-ERR [SYS/TEMP] this session was ended by the administrator";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// The sessions that there are, once they are so many and each has its user.
fn sessions(mailward: &Mailward, count: usize) -> Vec<Value> {
    until("the sessions to be listed", 20, || {
        let output = mailward.ask("sessions", &["--json"]);
        assert!(output.status.success(), "{}", said(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        let sessions: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let named = sessions.iter().all(|session| !session["user"].as_str().unwrap().is_empty());
        (sessions.len() == count && named).then_some(sessions)
    })
}

fn kicked(mailward: &Mailward, session: &Value) {
    mailward.logged("the session to end as kicked", |line| {
        line["record"] == "SESSION-END" && line["session"] == *session && line["end"] == "kicked"
    });
}

#[test]
fn sessions_are_listed_and_end_by_number_or_by_what_they_share() {
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    // Also where no mail is scanned is it known who logged in.
    for config in [Config::scanning(server.address()), Config::passing(server.address())] {
        let mailward = Mailward::start(&config);
        let mut first = Client::login(mailward.address());
        let mut second = Client::login(mailward.address());
        let listed = sessions(&mailward, 2);
        for session in &listed {
            assert_eq!(session["user"], "user", "{session}");
            assert_eq!(session["tenant"], "default", "{session}");
            assert_eq!(session["listener"], "lab", "{session}");
            assert_eq!(session["command_rule"], "all", "{session}");
            assert_eq!(session["server"], server.address().to_string(), "{session}");
            assert_eq!(session["ending"], false, "{session}");
        }
        let shown = said(&mailward.ask("sessions", &["--client", "127.0.0.0/8"]));
        assert!(shown.starts_with("SESSION ") && shown.contains("default/lab"), "{shown}");
        assert_eq!(said(&mailward.ask("sessions", &["--user", "other"])), "there are no sessions\n");

        let number = listed[0]["session"].as_str().unwrap().to_owned();
        let output = mailward.ask("kick", &[&number]);
        assert_eq!((output.status.code(), said(&output)), (Some(0), format!("session {number} ends\n")));
        assert_eq!(first.line(), ENDED);
        assert!(first.rest().is_empty());
        kicked(&mailward, &listed[0]["session"]);
        assert!(second.command("NOOP").starts_with("+OK"), "the other goes on");

        for (arguments, why) in [
            (&[number.as_str()][..], "there is no session"),
            (&["--user", "other"], "there is no such session"),
            (&["--client", "192.0.2.0/24"], "there is no such session"),
            (&["--tenant", "other"], "there is no tenant other"),
            (&["--client", "pc7.example.net"], "was expected"),
        ] {
            let output = mailward.ask("kick", arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            assert!(said(&output).contains(why), "{arguments:?}: {}", said(&output));
        }
        for arguments in [&[][..], &["x"], &["1", "--user", "user"]] {
            assert_eq!(mailward.ask("kick", arguments).status.code(), Some(2), "{arguments:?}");
        }
        assert!(second.command("NOOP").starts_with("+OK"));

        let arguments = ["--user", "user", "--tenant", "default", "--client", "127.0.0.1", "--json"];
        let output = mailward.ask("kick", &arguments);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["sessions"], serde_json::json!([listed[1]["session"]]), "{answer}");
        assert_eq!(second.line(), ENDED);
        kicked(&mailward, &listed[1]["session"]);
        let uid = nix::unistd::geteuid().to_string();
        mailward.logged("who asked for it", |line| {
            line["message"] == "an operator ends sessions" && line["uid"] == uid && line["user"] == "user"
        });
        sessions(&mailward, 0);
        assert!(Client::login(mailward.address()).command("NOOP").starts_with("+OK"), "it may come again");
    }
}

#[test]
fn a_session_whose_worker_does_not_heed_is_cut_and_then_the_worker_goes() {
    if !root_or_skip("a_session_whose_worker_does_not_heed_is_cut_and_then_the_worker_goes") {
        return;
    }
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    // Told by an operator, or over its time.
    for command in ["", "max-time = \"5s\"\n"] {
        let mut config = Config::scanning(server.address());
        config.service = "workers = 1\n".into();
        config.command.push_str(command);
        let mailward = Mailward::start(&config);
        let workers = mailward.role_count("worker", 1);
        let mut client = Client::login(mailward.address());
        // A worker that was taken over would do as little.
        kill(Pid::from_raw(i32::try_from(workers[0]).unwrap()), Signal::SIGSTOP).unwrap();
        let session = sessions(&mailward, 1).remove(0);
        if command.is_empty() {
            let number = session["session"].as_str().unwrap().trim_start_matches('0');
            assert!(mailward.ask("kick", &[number]).status.success());
        }
        assert_eq!(client.line(), "", "its connection ends without a word");
        let cut = mailward.logged("the connections to be cut", |line| {
            line["message"] == "session does not end: its connections are cut"
        });
        assert!(cut["error"].is_null(), "{cut}");
        mailward.logged("the worker to go", |line| {
            line["message"] == "child killed"
                && line["why"] == "does not end a session that it was told to end"
        });
        sessions(&mailward, 0);
        let mut other = Client::login(mailward.address());
        assert!(other.command("NOOP").starts_with("+OK"), "another worker is there");
    }
}
