//! IMAP sessions that are ended from outside in the middle of something: by rules that deny them now, by `max-time`, by the end of
//! the service. The client hears `* BYE` where a response may stand; nothing unscanned comes, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::imap_client::Imap;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::{mails, root_or_skip};
use nix::sys::signal::Signal;
use std::thread;
use std::time::Duration;

/// What ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Reload,
    Shutdown,
    MaxTime,
}

/// More than sockets hold.
const LARGE: usize = 9_000_000;

fn maildrop() -> Vec<Vec<u8>> {
    vec![mails::large(LARGE), mails::plain("small", "one"), mails::infected()]
}

/// Real peers, and an engine that can be stopped in its work.
struct Lab {
    by: By,
    dovecot: Dovecot,
    clamd: Clamd,
    mailward: Mailward,
}

impl Lab {
    fn new(by: By) -> Self {
        let (dovecot, clamd) = (Dovecot::start(&maildrop()), Clamd::start());
        let mut config = Config::clamd(dovecot.imap_address(), &clamd.socket()).imap();
        // It need not be found out how much clamd looks into.
        config.rest.push_str("max-size = \"64MiB\"\n");
        if by == By::MaxTime {
            config.command = "max-time = \"6s\"\n".into();
        }
        let mailward = Mailward::start(&config);
        mailward.engine_proven();
        Self { by, dovecot, clamd, mailward }
    }

    fn end_them(&mut self) {
        match self.by {
            By::Reload => {
                self.mailward.edit(|text| text.replace("from = [\"*\"]", "from = [\"192.0.2.0/24\"]"));
                let output = self.mailward.reload(&[]);
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(said.contains("0 sessions go on"), "{said}");
            }
            By::Shutdown => self.mailward.signal(Signal::SIGTERM),
            By::MaxTime => {}
        }
    }
}

/// Every response until the connection ends.
fn rest(client: &mut Imap) -> Vec<Vec<u8>> {
    let mut responses = Vec::new();
    loop {
        let response = client.response();
        if response.is_empty() {
            return responses;
        }
        responses.push(response);
    }
}

fn says_goodbye(what: &str, by: By, responses: &[Vec<u8>]) {
    let texts: Vec<_> = responses.iter().map(|response| String::from_utf8_lossy(response)).collect();
    let (last, before) = texts.split_last().unwrap_or_else(|| panic!("{what} {by:?}: not a word"));
    assert!(last.starts_with("* BYE "), "{what} {by:?}: {texts:?}");
    for text in before {
        assert!(text.starts_with("* OK "), "{what} {by:?}: {text}");
    }
}

#[test]
fn a_session_that_is_ended_in_the_middle_hears_bye_and_nothing_is_lost() {
    if !root_or_skip("a_session_that_is_ended_in_the_middle_hears_bye_and_nothing_is_lost") {
        return;
    }
    for by in [By::Reload, By::MaxTime, By::Shutdown] {
        let mut lab = Lab::new(by);
        let address = lab.mailward.address();
        let mut literal = Imap::open(address);
        let mut idle = Imap::open(address);
        let mut fetch = Imap::open(address);
        let mut append = Imap::open(address);
        let mut scanned = Imap::open(address);

        // The first octets of a literal have come; the client takes no more for now.
        literal.begin("FETCH 1 BODY.PEEK[]");
        let begun = literal.octets_of_literal(1000);
        let tag = idle.begin("IDLE");
        assert!(idle.response().starts_with(b"+ "), "{tag}");
        append.send(format!("x APPEND Drafts {{{LARGE}}}\r\n"));
        assert!(append.response().starts_with(b"+ "));
        append.send(&mails::large(LARGE)[..LARGE / 2]);
        // From here on nothing is judged.
        lab.clamd.signal(Signal::SIGSTOP);
        fetch.begin("FETCH 2:3 BODY[]");
        let small = mails::plain("up", "to be scanned");
        scanned.send(format!("x APPEND Drafts {{{}+}}\r\n", small.len()));
        scanned.send(&small);
        scanned.send("\r\n");
        thread::sleep(Duration::from_millis(300));

        lab.end_them();
        for (what, client) in
            [("IDLE", &mut idle), ("FETCH", &mut fetch), ("APPEND", &mut append), ("scan", &mut scanned)]
        {
            says_goodbye(what, by, &rest(client));
        }
        // Where a response cannot stand, there is none: what came is the mail as far as it came.
        let cut = [begun, literal.rest_of_connection()].concat();
        let mail = &maildrop()[0];
        assert!(cut.len() >= 1000 && cut.len() < mail.len(), "{by:?}: {}", cut.len());
        let same = mail.iter().zip(&cut).take_while(|(theirs, ours)| theirs == ours).count();
        let other = String::from_utf8_lossy(&cut[same..]).chars().take(200).collect::<String>();
        assert!(same == cut.len(), "{by:?}: at octet {same} of {} stands {other}", cut.len());

        lab.clamd.signal(Signal::SIGCONT);
        let mut direct = Imap::open(lab.dovecot.imap_address());
        let flags = direct.ok("FETCH 1:3 FLAGS").text();
        assert!(!flags.contains("\\Seen"), "{by:?}: what was not served is not seen: {flags}");
        assert_eq!(lab.dovecot.mails().len(), 3, "{by:?}");
        assert!(lab.dovecot.folder("Drafts").is_empty(), "{by:?}: what was not judged did not go up");
    }
}
