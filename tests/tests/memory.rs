//! What mail costs a worker in memory: its window and the spool, however large a mail is and however many are asked for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::imap_client::Imap;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::process::status;
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip};
use std::fs;
use std::time::Duration;

/// What a worker may hold of one mail: what is read at once, what is queued for either peer, and what the allocator keeps. kB.
const WINDOW: u64 = 6 * 1024;
const LARGE: usize = 45_000_000;

fn one_worker(config: Config) -> Config {
    Config { service: "workers = 1\nscanners = 1\n".into(), ..config }
}

fn worker(mailward: &Mailward) -> u32 {
    mailward.role_count("worker", 1)[0]
}

/// The most that a process ever had in memory, kB.
fn peak(pid: u32) -> u64 {
    status(pid, "VmHWM").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Its share of the memory that it has now, kB.
fn share(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_large_mail_by_pop3_costs_the_worker_its_window_and_not_its_size() {
    if !root_or_skip("a_large_mail_by_pop3_costs_the_worker_its_window_and_not_its_size") {
        return;
    }
    let (small, large) = (mails::plain("small", "body"), mails::large(LARGE));
    let server = Server::start(vec![small.clone(), large.clone()], &[]);
    let mailward = Mailward::start(&one_worker(Config::scanning(server.address())));
    let mut client = Client::login(mailward.address());
    assert_eq!(client.retrieve(1), small);
    let before = peak(worker(&mailward));
    client.send("RETR 2\r\n");
    assert!(client.line().starts_with("+OK"));
    // A client that does not read must not make the worker hold what it does not take.
    std::thread::sleep(Duration::from_secs(1));
    assert!(client.content().unwrap() == large);
    let grown = peak(worker(&mailward)) - before;
    assert!(grown < WINDOW, "{grown} kB");
}

#[test]
fn a_large_mail_by_imap_costs_the_worker_its_window_and_not_its_size() {
    if !root_or_skip("a_large_mail_by_imap_costs_the_worker_its_window_and_not_its_size") {
        return;
    }
    let large = mails::large(LARGE);
    let dovecot = Dovecot::start(&[mails::plain("small", "body"), large.clone()]);
    let mailward = Mailward::start(&one_worker(Config::scanning(dovecot.imap_address()).imap()));
    let mut client = Imap::open(mailward.address());
    client.octets("FETCH 1 BODY.PEEK[]");
    let before = peak(worker(&mailward));
    assert!(client.octets("FETCH 2 BODY.PEEK[]") == large);
    let part = client.octets("FETCH 2 BODY.PEEK[TEXT]<20000000.100000>");
    assert!(part.len() == 100_000 && memchr::memmem::find(&large, &part).is_some());
    let grown = peak(worker(&mailward)) - before;
    assert!(grown < WINDOW, "{grown} kB");
}

#[test]
fn many_mails_in_one_fetch_cost_the_worker_no_more_than_a_few() {
    if !root_or_skip("many_mails_in_one_fetch_cost_the_worker_no_more_than_a_few") {
        return;
    }
    const MAILS: usize = 400;
    let body = "A line of text that fills a mail.\r\n".repeat(600);
    let maildrop: Vec<_> = (0..MAILS).map(|number| mails::plain(&format!("mail {number}"), &body)).collect();
    let dovecot = Dovecot::start(&maildrop);
    let mailward = Mailward::start(&one_worker(Config::scanning(dovecot.imap_address()).imap()));
    let mut client = Imap::open(mailward.address());
    client.ok("FETCH 1:3 (FLAGS BODYSTRUCTURE BODY.PEEK[])");
    let before = peak(worker(&mailward));
    let answer = client.ok("FETCH 1:* (FLAGS BODYSTRUCTURE BODY.PEEK[])");
    assert_eq!(answer.fetched().len(), MAILS);
    let grown = peak(worker(&mailward)) - before;
    assert!(grown < WINDOW, "{grown} kB for {} kB of mails", MAILS * body.len() / 1024);
}

#[test]
fn an_idle_session_that_read_scanned_mail_costs_kilobytes() {
    if !root_or_skip("an_idle_session_that_read_scanned_mail_costs_kilobytes") {
        return;
    }
    const SESSIONS: u64 = 40;
    let mail = mails::plain("small", &"A line of text that fills a mail.\r\n".repeat(600));
    let dovecot = Dovecot::start(std::slice::from_ref(&mail));
    let mailward = Mailward::start(&one_worker(Config::scanning(dovecot.imap_address()).imap()));
    let read = |_| {
        let mut client = Imap::open(mailward.address());
        assert_eq!(client.octets("FETCH 1 BODY.PEEK[]"), mail);
        client
    };
    // The first ones pay for what all share.
    let first: Vec<_> = (0..10).map(read).collect();
    let before = share(worker(&mailward));
    let sessions: Vec<_> = (0..SESSIONS).map(read).collect();
    let each = (share(worker(&mailward)) - before) / SESSIONS;
    drop((first, sessions));
    assert!(each < 64, "{each} kB");
}
