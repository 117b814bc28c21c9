//! Starting: how fast, and what is said when it cannot be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward, binary};
use mailward_tests::process::as_nobody;
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip};
use std::fs;
use std::process::Command;

#[test]
fn an_address_in_use_is_named_and_the_status_is_not_0() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(vec![], &[]);
    let config = Config { listen: Some(taken.local_addr().unwrap()), ..Config::scanning(server.address()) };
    let (code, log) = Mailward::refuses(&config);
    assert!(code.is_some_and(|code| code != 0));
    let text = format!("{log:?}");
    assert!(text.contains(&taken.local_addr().unwrap().to_string()), "{text}");
}

#[test]
fn a_wrong_file_names_every_error_with_line_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mailward.toml");
    fs::write(&path, "version = 1\n[[listener]]\nprotocol = \"pop3\"\n[servce]\nworkers = \"many\"\n")
        .unwrap();
    let output = Command::new(binary()).args(["check", "-c"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    for part in ["mailward.toml:4:", "servce", "service", "mailward.toml:2:", "tls"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_plug_to_name_is_resolved_by_lookup() {
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let config = Config {
        server: None,
        command: format!("plug-to = [\"localhost:{}\"]\n", server.address().port()),
        ..Config::scanning(server.address())
    };
    let config = Config { server: None, ..config };
    let mailward = Mailward::start(&config);
    assert_eq!(Client::login(mailward.address()).retrieve(1), mails::plain("fine", "body"));
    assert_eq!(mailward.role("lookup").len(), 1);
}

#[test]
fn an_ordinary_user_can_run_it_and_is_told_which_walls_are_missing() {
    if !root_or_skip("an_ordinary_user_can_run_it_and_is_told_which_walls_are_missing") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("mailward");
    fs::copy(binary(), &copy).unwrap();
    let opened = Command::new("chmod").arg("755").arg(directory.path()).status().unwrap();
    assert!(opened.success());
    let output = as_nobody(&copy).args(["demo", "--once"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("as reported") && text.contains("missing: "), "{text}");
}

#[test]
fn the_demonstration_keeps_its_promises_within_80_columns() {
    let output = Command::new(binary()).args(["demo", "--once"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Every mail met its promise."), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
