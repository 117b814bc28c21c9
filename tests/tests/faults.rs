//! Killed workers, killed scanners, killed supervisors, engines that stop: nothing unscanned passes, nothing is lost,
//! others go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::process::{children, descriptors, zombie};
use mailward_tests::server::{Answer, Server, retr};
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

fn end(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

#[test]
fn a_worker_killed_in_the_middle_of_a_mail_ends_its_session_without_a_terminator() {
    let mail = mails::large(30_000_000);
    let server = Server::start(vec![mail.clone()], &[]);
    let config = Config { service: "workers = 2\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    let workers = mailward.role_count("worker", 2);
    let mut client = Client::login(mailward.address());
    client.send("RETR 1\r\n");
    assert!(client.line().starts_with("+OK"));
    for pid in workers {
        end(pid, Signal::SIGKILL);
    }
    assert_eq!(client.content(), None, "the mail was cut and yet terminated");
    until("new workers", 10, || {
        let (mut client, greeting) = try_connect(&mailward)?;
        (greeting.starts_with("+OK") && client.command("USER user").starts_with("+OK")).then_some(())
    });
    assert_eq!(Client::login(mailward.address()).retrieve(1), mail);
    until("no zombie", 5, || children(mailward.pid()).iter().all(|pid| !zombie(*pid)).then_some(()));
}

fn try_connect(mailward: &Mailward) -> Option<(Client, String)> {
    let (client, greeting) = Client::connect(mailward.address());
    (!greeting.is_empty()).then_some((client, greeting))
}

#[test]
fn a_scanner_killed_in_the_middle_of_a_mail_costs_a_retry_and_nothing_else() {
    if !root_or_skip("a_scanner_killed_in_the_middle_of_a_mail_costs_a_retry_and_nothing_else") {
        return;
    }
    let clamd = Clamd::start();
    let mail = mails::plain("fine", "body");
    let server = Server::start(vec![mail.clone()], &[]);
    let mut config = Config::clamd(server.address(), &clamd.socket());
    config.service = "scanners = 1\n".into();
    let mailward = Mailward::start(&config);
    mailward.engine_proven();
    let mut client = Client::login(mailward.address());
    // A stopped clamd holds the scan in its middle.
    clamd.signal(Signal::SIGSTOP);
    client.send("RETR 1\r\n");
    std::thread::sleep(Duration::from_millis(300));
    for pid in mailward.role("scanner") {
        end(pid, Signal::SIGKILL);
    }
    clamd.signal(Signal::SIGCONT);
    assert!(client.line().starts_with("+OK"));
    assert_eq!(client.content().unwrap(), mail);
}

#[test]
fn while_clamd_is_away_mails_are_deferred_and_stay_and_it_is_back_within_two_seconds() {
    if !root_or_skip("while_clamd_is_away_mails_are_deferred_and_stay_and_it_is_back_within_two_seconds") {
        return;
    }
    let mut clamd = Clamd::start();
    // New ones each time: what the engine said of a mail before is remembered while it is away.
    let mails = ["one", "two"].map(|name| {
        [
            mails::plain(&format!("fine {name}"), "body"),
            mails::plain(&format!("invoice {name}"), &mails::eicar()),
        ]
    });
    let server = Server::start(mails.as_flattened().to_vec(), &[]);
    let mailward = Mailward::start(&Config::clamd(server.address(), &clamd.socket()));
    mailward.engine_proven();
    // TERM removes the socket, KILL leaves a stale one.
    for (signal, first) in [(Signal::SIGTERM, 1), (Signal::SIGKILL, 3)] {
        let mail = &mails.as_flattened()[first - 1];
        clamd.stop(signal);
        let mut client = Client::login(mailward.address());
        for number in first..=first + 1 {
            let (answer, _) = client.multiline(&format!("RETR {number}"));
            assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{signal}: {answer}");
            let refusal = client.command(&format!("DELE {number}"));
            assert!(refusal.starts_with("-ERR"), "a deferred mail must not be lost: {refusal}");
        }
        assert!(client.command("NOOP").starts_with("+OK"));
        clamd.start_again();
        let back = Instant::now();
        until("the engine to be used again", 10, || {
            let (answer, content) = client.multiline(&format!("RETR {first}"));
            assert!(content.is_none_or(|content| content == *mail));
            answer.starts_with("+OK").then_some(())
        });
        assert!(back.elapsed() < Duration::from_millis(2500), "{:?}", back.elapsed());
    }
    assert!(server.seen().iter().all(|line| !line.starts_with("DELE")));
}

#[test]
fn a_clamd_that_hangs_defers_at_its_timeout_and_the_session_lives() {
    if !root_or_skip("a_clamd_that_hangs_defers_at_its_timeout_and_the_session_lives") {
        return;
    }
    let clamd = Clamd::start();
    let mail = mails::plain("fine", "body");
    let server = Server::start(vec![mail.clone()], &[]);
    let mut config = Config::clamd(server.address(), &clamd.socket());
    config.rest.push_str("timeout = \"1s\"\n");
    let mailward = Mailward::start(&config);
    mailward.engine_proven();
    clamd.signal(Signal::SIGSTOP);
    let mut client = Client::login(mailward.address());
    let begun = Instant::now();
    let (answer, _) = client.multiline("RETR 1");
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    clamd.signal(Signal::SIGCONT);
    until("the engine to be used again", 10, || {
        client.multiline("RETR 1").1.map(|content| assert_eq!(content, mail))
    });
}

#[test]
fn a_killed_supervisor_takes_every_child_with_it() {
    // More than the sockets on the way can hold.
    let server = Server::start(vec![mails::large(30_000_000)], &[]);
    let mut mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    client.send("RETR 1\r\n");
    assert!(client.line().starts_with("+OK"));
    mailward.kill();
    assert_eq!(client.content(), None);
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_mail_never_becomes_a_complete_mail() {
    let mail = mails::large(500_000);
    let cut = retr(&mail)[..200_000].to_vec();
    let server = Server::start(vec![mail], &[("RETR", Answer::Close(cut))]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    client.send("RETR 1\r\n");
    let rest = client.rest();
    assert!(!rest.starts_with(b"+OK"), "{:?}", String::from_utf8_lossy(&rest));
}

#[test]
fn an_orderly_stop_ends_with_status_0_and_leaves_nothing() {
    let server = Server::start(vec![], &[]);
    let mut mailward = Mailward::start(&Config::scanning(server.address()));
    let _client = Client::login(mailward.address());
    let pids = children(mailward.pid());
    assert!(!pids.is_empty());
    assert_eq!(mailward.stop(), Some(0));
    assert!(pids.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap()));
}

#[test]
fn five_hundred_sessions_leave_no_descriptor_behind() {
    let server = Server::start(vec![mails::plain("fine", "body"), mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let session = || {
        let mut client = Client::login(mailward.address());
        client.retrieve(1);
        client.retrieve(2);
        client.command("QUIT");
    };
    let count = || -> usize {
        let pids = [vec![mailward.pid()], mailward.role("worker"), mailward.role("lookup")].concat();
        pids.into_iter().map(descriptors).sum()
    };
    // A pool that is still filling would be counted too low: the count stands when it was the same for a second.
    let settled = || loop {
        let first = count();
        if (0..10).all(|_| {
            std::thread::sleep(Duration::from_millis(100));
            count() == first
        }) {
            return first;
        }
    };
    (0..50).for_each(|_| session());
    let before = settled();
    (0..500).for_each(|_| session());
    until("the descriptors to be as before", 20, || (count() <= before).then_some(()));
}

#[test]
fn sessions_of_others_go_on_while_one_server_is_silent() {
    let silent = Server::start(vec![], &[("PASS", Answer::Silence)]);
    let mailward = Mailward::start(&Config::scanning(silent.address()));
    let (mut stuck, _) = Client::connect(mailward.address());
    stuck.command("USER user");
    stuck.send("PASS secret\r\n");
    let begun = Instant::now();
    let (_other, greeting) = Client::connect(mailward.address());
    assert!(greeting.starts_with("+OK"));
    assert!(begun.elapsed() < Duration::from_secs(1));
}
