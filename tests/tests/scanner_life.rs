//! The life of a scanner: how many mails it sees, what one mail may take of it, and what becomes of a mail that ends it. Other
//! sessions go on meanwhile.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::process::{descriptors, status};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A rule that does not come to an end with the mail of [`costly`] and each of its parts, and costs others nothing.
const ENDLESS: &str =
    "rule endless { condition: filesize > 3000 and for all i in (0..1000000000000) : (i >= 0) }\n";
/// Its parts: each is looked at, and given up after seconds.
const PARTS: usize = 12;

fn costly() -> Vec<u8> {
    let text = String::from_utf8(mails::plain("Costly", "")).unwrap();
    let kind = "multipart/mixed; boundary=\"=_costly\"";
    let mut mail = text.trim_end().replace("text/plain; charset=us-ascii", kind) + "\r\n\r\n";
    for _ in 0..PARTS {
        mail += "--=_costly\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n";
        mail += &"Of this mail each part is long enough.\r\n".repeat(100);
    }
    (mail + "--=_costly--\r\n").into_bytes()
}

fn fine() -> Vec<u8> {
    mails::plain("Fine", "body")
}

/// Signatures that come with a reload.
fn add_rule(mailward: &Mailward, rule: &str) {
    fs::write(mailward.directory().join("signatures/test.yar"), rule).unwrap();
    assert_eq!(mailward.reload(&[]).status.code(), Some(0));
}

fn end(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

fn deaths(mailward: &Mailward) -> Vec<Value> {
    mailward.log().into_iter().filter(|line| line["message"] == "a scanner died with a mail").collect()
}

fn counted(deaths: &[Value]) -> usize {
    deaths.iter().filter(|death| death["counts"] == "true").count()
}

/// Processor time that a process has used, in hundredths of a second.
fn busy(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// The nth (from 1) outcome of a mail, and its statuses.
fn outcome(mailward: &Mailward, nth: usize) -> (String, String) {
    let record = mailward.mail_record(nth);
    (record["outcome"].as_str().unwrap().to_owned(), record["statuses"].as_str().unwrap().to_owned())
}

#[test]
fn with_scanner_lives_1_no_scanner_sees_two_mails() {
    if !root_or_skip("with_scanner_lives_1_no_scanner_sees_two_mails") {
        return;
    }
    let mails: Vec<_> = (0..6).map(|number| mails::plain(&format!("number {number}"), "body")).collect();
    let server = Server::start(mails.clone(), &[]);
    let service = "scanners = 1\nscanner-lives = 1\n".into();
    let mailward = Mailward::start(&Config { service, ..Config::scanning(server.address()) });
    let mut client = Client::login(mailward.address());
    let mut seen = BTreeSet::new();
    for (mail, number) in mails.iter().zip(1..) {
        assert_eq!(client.retrieve(number), *mail);
        let others = until("the scanner to be replaced", 10, || {
            let scanners = mailward.role("scanner");
            (!scanners.is_empty() && scanners.iter().all(|pid| !seen.contains(pid))).then_some(scanners)
        });
        seen.extend(others);
    }
    assert!(seen.len() >= 6, "{seen:?}");
    let ended = mailward.log().into_iter().filter(|line| line["message"] == "child ended");
    assert!(ended.into_iter().all(|line| line["how"] == "killed by SIGKILL"), "replaced, not crashed");
    assert!(deaths(&mailward).is_empty());
}

#[test]
fn a_scanner_is_replaced_after_as_many_mails_as_it_has_lives() {
    if !root_or_skip("a_scanner_is_replaced_after_as_many_mails_as_it_has_lives") {
        return;
    }
    let server = Server::start(vec![fine(); 9], &[]);
    let service = "scanners = 1\nscanner-lives = 3\n".into();
    let mailward = Mailward::start(&Config { service, ..Config::scanning(server.address()) });
    let mut client = Client::login(mailward.address());
    for number in 1..=9 {
        assert_eq!(client.retrieve(number), fine());
    }
    let scanners = || mailward.reports().into_iter().filter(|report| report["role"] == "scanner").count();
    until("the fourth scanner", 10, || (scanners() == 4).then_some(()));
}

#[test]
fn a_mail_that_kills_two_scanners_is_replaced_without_being_looked_into_again() {
    if !root_or_skip("a_mail_that_kills_two_scanners_is_replaced_without_being_looked_into_again") {
        return;
    }
    let server = Server::start(vec![costly(), fine()], &[]);
    let config = Config { service: "scanners = 1\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    add_rule(&mailward, ENDLESS);
    let mut client = Client::login(mailward.address());
    client.send("RETR 1\r\n");
    for attempt in 1..=2 {
        end(deep(&mailward), Signal::SIGSEGV);
        until("the death to be noticed", 10, || (deaths(&mailward).len() == attempt).then_some(()));
    }
    assert!(client.line().starts_with("+OK"));
    assert_ne!(client.content().unwrap(), costly());
    assert_eq!(outcome(&mailward, 1), ("replaced".into(), "malformed".into()));
    let deaths = deaths(&mailward);
    assert!(deaths.len() == 2 && deaths.iter().all(|death| death["begun"] == "true"), "{deaths:#?}");
    assert_eq!(client.retrieve(2), fine(), "the session goes on, and so do scanners");
}

#[test]
fn a_mail_that_takes_too_much_processor_time_is_ended_and_replaced_for_good_while_others_go_on() {
    if !root_or_skip(
        "a_mail_that_takes_too_much_processor_time_is_ended_and_replaced_for_good_while_others_go_on",
    ) {
        return;
    }
    let server = Server::start(vec![costly(), fine()], &[]);
    let config = Config { service: "scanners = 2\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    add_rule(&mailward, ENDLESS);
    let mut client = Client::login(mailward.address());
    let (address, done) = (mailward.address(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&done);
    let others = std::thread::spawn(move || {
        let mut client = Client::login(address);
        while !stop.load(Ordering::Relaxed) {
            assert_eq!(client.retrieve(2), fine(), "others go on");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    // The client's patience may end before the mail had the processor for so long: then it asks again.
    let content = until("the mail to be replaced", 300, || client.multiline("RETR 1").1);
    done.store(true, Ordering::Relaxed);
    others.join().unwrap();
    assert_ne!(content, costly());
    let deaths = deaths(&mailward);
    assert!(
        deaths.iter().all(|death| death["processor"] == "true" && death["counts"] == "true"),
        "{deaths:#?}"
    );
    drop(client);

    // It is not looked into again after a restart either.
    let mailward = mailward.restart(&config);
    let mut client = Client::login(mailward.address());
    assert_ne!(client.retrieve(1), costly());
    assert_eq!(outcome(&mailward, 1), ("replaced".into(), "malformed".into()));
    assert!(self::deaths(&mailward).is_empty());
    assert_eq!(client.retrieve(2), fine());
}

#[test]
fn a_mail_for_which_there_is_not_enough_memory_ends_its_scanner_and_is_replaced() {
    if !root_or_skip("a_mail_for_which_there_is_not_enough_memory_ends_its_scanner_and_is_replaced") {
        return;
    }
    let (large, other) = (mails::large(16_000_000), mails::large(15_900_000));
    let server = Server::start(vec![large.clone(), other.clone()], &[]);
    let config = Config { service: "scanners = 2\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    // The limit of a real scanner is gigabytes: these two get one that takes the mail, and not the mail decoded.
    until("two scanners to serve", 20, || {
        let serve = mailward.log_count(|line| line["message"] == "scanner serves");
        (serve == 2).then_some(())
    });
    for pid in mailward.role_count("scanner", 2) {
        let used = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
        let pages: u64 = used.split(' ').next().unwrap().parse().unwrap();
        let limit = format!("--as={}", pages * 4096 + (20 << 20));
        // Where root is not allowed to, the user may.
        let user = status(pid, "Uid").unwrap().split_whitespace().next().unwrap().to_owned();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "prlimit", &limit, "--pid"]);
        assert!(command.arg(pid.to_string()).status().unwrap().success());
    }
    let mut client = Client::login(mailward.address());
    assert!(client.retrieve(1) != large);
    assert_eq!(outcome(&mailward, 1), ("replaced".into(), "malformed".into()));
    assert_eq!(counted(&deaths(&mailward)), 2);
    assert!(client.retrieve(2) == other, "others have the memory that they need");
}

#[test]
fn a_death_while_an_engine_has_yet_to_answer_is_not_laid_to_the_mail() {
    if !root_or_skip("a_death_while_an_engine_has_yet_to_answer_is_not_laid_to_the_mail") {
        return;
    }
    let clamd = Clamd::start();
    let server = Server::start(vec![fine()], &[]);
    let mut config = Config::clamd(server.address(), &clamd.socket());
    config.service = "scanners = 1\n".into();
    config.rest.push_str("max-size = \"2MiB\"\n");
    let mailward = Mailward::start(&config);
    // Until it was probed for everything, a probe may have the scanner.
    until("the last probe", 60, || {
        let log = mailward.log();
        log.iter().any(|record| record.to_string().contains("engine names its version")).then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
    let idle = descriptors(mailward.role_count("scanner", 1)[0]);
    clamd.signal(Signal::SIGSTOP);
    let mut client = Client::login(mailward.address());
    // One scan, one retry.
    for attempt in 1..=4 {
        if attempt % 2 == 1 {
            client.send("RETR 1\r\n");
        }
        let scanner = until("a scanner to have the mail and its engine", 20, || {
            mailward.role("scanner").into_iter().find(|pid| descriptors(*pid) >= idle + 3)
        });
        std::thread::sleep(Duration::from_millis(500));
        end(scanner, Signal::SIGSEGV);
        until("the death to be noticed", 10, || (deaths(&mailward).len() == attempt).then_some(()));
        if attempt % 2 == 0 {
            assert!(client.line().starts_with("-ERR [SYS/TEMP]"));
        }
    }
    clamd.signal(Signal::SIGCONT);
    assert_eq!(client.retrieve(1), fine(), "four deaths, and none was the mail's");
    let deaths = deaths(&mailward);
    assert!(deaths.iter().all(|death| death["begun"] == "true"), "{deaths:#?}");
    assert_eq!(counted(&deaths), 0, "{deaths:#?}");
}

#[test]
fn a_mail_that_ends_scanners_before_engines_are_asked_is_found_out_beside_an_engine_too() {
    if !root_or_skip("a_mail_that_ends_scanners_before_engines_are_asked_is_found_out_beside_an_engine_too") {
        return;
    }
    let clamd = Clamd::start();
    let server = Server::start(vec![costly(), fine()], &[]);
    let mut config = Config::clamd(server.address(), &clamd.socket());
    config.rest.push_str("[antivirus.builtin]\nsignatures = [\"builtin:test\", \"SIGNATURES\"]\n");
    config.service = "scanners = 1\n".into();
    let mailward = Mailward::start(&config);
    add_rule(&mailward, ENDLESS);
    mailward.engine_proven();
    let mut client = Client::login(mailward.address());
    // The first death may be the engine's doing, so the third is the second that counts; the client asks twice.
    for attempt in 1..=3 {
        if attempt != 2 {
            client.send("RETR 1\r\n");
        }
        end(deep(&mailward), Signal::SIGSEGV);
        until("the death to be noticed", 10, || (deaths(&mailward).len() == attempt).then_some(()));
        if attempt == 2 {
            assert!(client.line().starts_with("-ERR [SYS/TEMP]"));
        }
    }
    assert!(client.line().starts_with("+OK"));
    assert_ne!(client.content().unwrap(), costly());
    assert_eq!(counted(&deaths(&mailward)), 2, "{:#?}", deaths(&mailward));
    assert_eq!(client.retrieve(2), fine());
}

/// Waits for a scanner that works on a mail for long.
fn deep(mailward: &Mailward) -> u32 {
    until("a scanner to be deep in a mail", 60, || {
        mailward.role("scanner").into_iter().find(|pid| busy(*pid) >= 100)
    })
}
