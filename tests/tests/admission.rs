//! Who gets in, how many at once, and to which of several servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::server::Server;
use mailward_tests::{mails, until};
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};

fn sessions(mailward: &Mailward) -> usize {
    mailward.log_count(|record| record["record"] == "SESSION-START")
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_client_that_no_rule_lets_in_gets_no_octet() {
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let session = "to = [\"192.0.2.0/24\"]\n".to_owned();
    let mailward = Mailward::start(&Config { session, ..Config::scanning(server.address()) });
    let mut heard = Vec::new();
    // Closed at once: an end, or a reset.
    let _ = TcpStream::connect(mailward.address()).unwrap().read_to_end(&mut heard);
    assert_eq!(heard, b"");
    let refused = mailward.logged("the refusal", |record| record["record"] == "ACL");
    assert_eq!((&refused["phase"], &refused["decision"]), (&"session-acl".into(), &"no-match".into()));
    assert_eq!(sessions(&mailward), 0);
}

#[test]
fn the_next_server_is_dialled_where_one_is_not_there_and_the_log_names_it() {
    let mail = mails::plain("fine", "body");
    let (server, nobody) = (Server::start(vec![mail.clone()], &[]), nobody());
    let command = format!("plug-to = [\"{nobody}\", \"{}\"]\n", server.address());
    let mailward = Mailward::start(&Config { command, server: None, ..Config::scanning(nobody) });
    // Whichever of them the first session begins with, the second begins with the other.
    for _ in 0..2 {
        assert_eq!(Client::login(mailward.address()).retrieve(1), mail);
    }
    let missed = mailward.logged("the failure", |record| record["message"] == "server cannot be reached");
    assert_eq!(missed["server"], nobody.to_string().as_str(), "{missed}");
    assert!(missed["detail"].as_str().unwrap().contains("refused"), "{missed}");
}

#[test]
fn at_max_sessions_the_next_client_waits_until_one_has_left() {
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let service = "max-sessions = 1\n".to_owned();
    let mailward = Mailward::start(&Config { service, ..Config::scanning(server.address()) });
    let mut first = Client::login(mailward.address());
    // The kernel takes it, and keeps it.
    let mut second = TcpStream::connect(mailward.address()).unwrap();
    assert!(first.command("NOOP").starts_with("+OK"));
    assert_eq!(sessions(&mailward), 1);
    assert!(first.command("QUIT").starts_with("+OK"));
    let mut greeting = [0; 3];
    second.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"+OK");
    assert_eq!(sessions(&mailward), 2);
}

#[test]
fn the_pid_file_is_there_while_the_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailward.pid");
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let service = format!("pid-file = \"{}\"\n", path.display());
    let mut mailward = Mailward::start(&Config { service, ..Config::scanning(server.address()) });
    let written =
        until("the pid file", 5, || fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(written.trim(), mailward.pid().to_string());
    assert_eq!(mailward.stop(), Some(0));
    assert!(!path.exists());
}
