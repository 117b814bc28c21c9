//! What engines said of a mail is remembered: it is shown to them once, and every delivery is judged all the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::relay::Versioned;
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::thread;
use std::time::Duration;

fn contains(bytes: &[u8], part: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(part)
}

/// In front of this server; the engine is proven and nothing is probed any more.
fn settled(server: &Server, clamd: &Clamd, service: &str) -> Mailward {
    let mut config = Config::clamd(server.address(), &clamd.socket());
    config.rest.push_str("max-size = \"20MiB\"\n");
    config.service = service.into();
    let mailward = Mailward::start(&config);
    versions(&mailward, 1);
    mailward
}

/// Waits until the engine told its version this often; that is the last of the probes.
fn versions(mailward: &Mailward, times: usize) {
    until("the engine to tell its version", 45, || {
        let log = mailward.log();
        let told = log.iter().filter(|record| record.to_string().contains("engine names its version"));
        (told.count() >= times).then_some(())
    });
}

#[test]
fn a_mail_that_another_session_fetched_is_judged_again_and_not_shown_to_clamd_again() {
    if !root_or_skip("a_mail_that_another_session_fetched_is_judged_again_and_not_shown_to_clamd_again") {
        return;
    }
    let clamd = Clamd::start();
    let plain = mails::plain("fine", "body");
    let server = Server::start(vec![mails::infected_for_clamd(), plain.clone()], &[]);
    let mailward = settled(&server, &clamd, "");
    let before = clamd.scans();
    let mut first = Client::login(mailward.address());
    let notice = first.retrieve(1);
    assert!(contains(&notice, "Lab.Marker"), "{}", String::from_utf8_lossy(&notice));
    assert_eq!(first.retrieve(2), plain);
    // The infected one was asked about once more: in which of its parts the virus is.
    assert_eq!(clamd.scans(), before + 3);
    let mut second = Client::login(mailward.address());
    assert_eq!(second.retrieve(1), notice);
    assert_eq!(second.retrieve(2), plain);
    assert_eq!(clamd.scans(), before + 3);
    let record = mailward.mail_record(3);
    assert_eq!(
        (&record["outcome"], &record["engines"][0]["virus"]),
        (&"replaced".into(), &"Lab.Marker.UNOFFICIAL".into())
    );
    assert_eq!(record["engines"][0]["micros"], 0, "it was not asked: {record}");
    // The rules are asked every time: they may be others by now.
    mailward.edit(|text| {
        format!("{text}\n[[mail-acl]]\nname = \"none\"\nvirus = [\"infected\"]\naction = \"deny\"\n")
    });
    assert!(mailward.reload(&[]).status.success());
    let (answer, _) = Client::login(mailward.address()).multiline("RETR 1");
    assert!(answer.starts_with("-ERR"), "{answer}");
    assert_eq!(clamd.scans(), before + 3, "the same engine with the same settings");
}

#[test]
fn a_clamd_that_came_back_with_other_signatures_is_asked_again() {
    if !root_or_skip("a_clamd_that_came_back_with_other_signatures_is_asked_again") {
        return;
    }
    let eicar = mails::eicar();
    let mut clamd = Clamd::with_signatures(&[("Lab.Eicar", &eicar)], "");
    let server = Server::start(vec![mails::infected_for_clamd(), mails::plain("other", "mail")], &[]);
    let mailward = settled(&server, &clamd, "");
    assert_eq!(Client::login(mailward.address()).retrieve(1), mails::infected_for_clamd());
    clamd.stop(Signal::SIGTERM);
    // It is missed when it is needed.
    let (answer, _) = Client::login(mailward.address()).multiline("RETR 2");
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    clamd.change_signatures(&[("Lab.Eicar", &eicar), ("Lab.Marker", &mails::marker())]);
    clamd.start_again();
    versions(&mailward, 2);
    assert!(contains(&Client::login(mailward.address()).retrieve(1), "Lab.Marker"));
}

#[test]
fn without_a_cache_every_session_asks_the_engine() {
    if !root_or_skip("without_a_cache_every_session_asks_the_engine") {
        return;
    }
    let clamd = Clamd::start();
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let mailward = settled(&server, &clamd, "answer-cache = 0\n");
    let before = clamd.scans();
    for _ in 0..3 {
        Client::login(mailward.address()).retrieve(1);
    }
    assert_eq!(clamd.scans(), before + 3);
}

#[test]
fn fifty_sessions_that_fetch_one_mail_at_once_wait_for_one_scan() {
    if !root_or_skip("fifty_sessions_that_fetch_one_mail_at_once_wait_for_one_scan") {
        return;
    }
    let clamd = Clamd::start();
    let server = Server::start(vec![mails::infected_for_clamd()], &[]);
    let mailward = settled(&server, &clamd, "scanners = 4\n");
    let before = clamd.scans();
    // A stopped clamd holds the first scan until all are there.
    clamd.signal(Signal::SIGSTOP);
    let mut clients: Vec<Client> = (0..50).map(|_| Client::login(mailward.address())).collect();
    for client in &mut clients {
        client.send("RETR 1\r\n");
    }
    thread::sleep(Duration::from_secs(1));
    clamd.signal(Signal::SIGCONT);
    for client in &mut clients {
        assert!(client.line().starts_with("+OK"));
        assert!(contains(&client.content().unwrap(), "Lab.Marker"));
    }
    // Once as a mail, and once to find the part that it is in.
    assert_eq!(clamd.scans(), before + 2);
}

#[test]
fn fifty_sessions_that_fetch_one_infected_mail_while_scanners_die_never_see_it() {
    if !root_or_skip("fifty_sessions_that_fetch_one_infected_mail_while_scanners_die_never_see_it") {
        return;
    }
    let clamd = Clamd::start();
    let server = Server::start(vec![mails::infected_for_clamd()], &[]);
    let mailward = settled(&server, &clamd, "scanners = 4\n");
    thread::scope(|scope| {
        let clients: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::login(mailward.address());
                    let (answer, content) = client.multiline("RETR 1");
                    match content {
                        Some(content) => assert!(!contains(&content, &mails::marker()), "the virus passed"),
                        None => assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}"),
                    }
                    assert!(client.command("NOOP").starts_with("+OK"), "the session lives");
                })
            })
            .collect();
        for _ in 0..15 {
            for pid in mailward.role("scanner") {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(30));
        }
        for client in clients {
            client.join().unwrap();
        }
    });
    until("the mail to be answered once scanners live", 20, || {
        let (_, content) = Client::login(mailward.address()).multiline("RETR 1");
        content.map(|content| assert!(!contains(&content, &mails::marker())))
    });
}

#[test]
fn a_clamd_that_names_another_database_is_asked_again_while_it_runs() {
    if !root_or_skip("a_clamd_that_names_another_database_is_asked_again_while_it_runs") {
        return;
    }
    let eicar = mails::eicar();
    let clamd = Clamd::with_signatures(&[("Lab.Eicar", &eicar)], "");
    let relay = Versioned::start(&clamd.socket(), "/27830/Thu Nov 26 09:31:02 2020");
    let server = Server::start(vec![mails::infected_for_clamd()], &[]);
    let mut config = Config { server: Some(server.address()), ..Config::default() };
    config.rest = format!("[antivirus.clamd]\nsocket = \"{}\"\nmax-size = \"20MiB\"\n", relay.address());
    let mailward = Mailward::start(&config);
    versions(&mailward, 1);
    let old = mailward.logged("old signatures to be told of", |record| {
        record["message"] == "engine's signatures are old: is freshclam running?"
    });
    assert_eq!((&old["engine"], &old["level"]), (&"clamd".into(), &"warn".into()), "{old}");
    assert!(old["detail"].as_str().unwrap().ends_with(" days"), "{old}");
    let mail = mails::infected_for_clamd();
    assert_eq!(Client::login(mailward.address()).retrieve(1), mail, "it does not know the marker yet");
    let asked = clamd.scans();
    assert_eq!(Client::login(mailward.address()).retrieve(1), mail);
    assert_eq!(clamd.scans(), asked, "its word is remembered");
    // As freshclam does it: a database is there, clamd loads it while it runs, and names it.
    clamd.change_signatures(&[("Lab.Eicar", &eicar), ("Lab.Marker", &mails::marker())]);
    clamd.reload();
    relay.say("/27831/Fri Nov 27 09:31:02 2026");
    versions(&mailward, 2);
    assert!(contains(&Client::login(mailward.address()).retrieve(1), "Lab.Marker"));
    assert!(clamd.scans() > asked);
}
