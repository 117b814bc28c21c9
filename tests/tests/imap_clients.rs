//! Real IMAP clients through Mailward, scanning on: what they end up with is what the server holds, in clear text and
//! through TLS.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::clients::listed;
use mailward_tests::imap_client::Imap;
use mailward_tests::mailward::Config;
use mailward_tests::sync::{Lab, check, delivered};
use mailward_tests::{root_or_skip, until};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a client in clear text and through TLS. It is listed, runs as often as it says, and ends with the expected bytes, which `found` reads.
fn ends_with_the_expected_bytes(
    (client, what, times): (&str, &str, usize),
    command: impl Fn(&Lab) -> Command,
    found: impl Fn(&Lab) -> Vec<Vec<u8>>,
) {
    listed(client, "imap", what);
    if !root_or_skip(client) {
        return;
    }
    for tls in [false, true] {
        let lab = Lab::scanning(tls);
        for _ in 0..times {
            lab.succeed(&mut command(&lab));
            check(client, &found(&lab));
        }
    }
}

#[test]
fn mbsync_ends_with_the_expected_bytes() {
    let run = ("mbsync", "the mailbox into a Maildir, twice", 2);
    ends_with_the_expected_bytes(run, Lab::mbsync, |lab| lab.mails("mbsync"));
}

#[test]
fn offlineimap_ends_with_the_expected_bytes() {
    let run = ("offlineimap3", "the mailbox into a Maildir, twice", 2);
    ends_with_the_expected_bytes(run, Lab::offlineimap, |lab| lab.mails("offlineimap/INBOX"));
}

#[test]
fn fetchmail_ends_with_the_expected_bytes() {
    let run = ("fetchmail", "every mail, kept on the server", 1);
    ends_with_the_expected_bytes(run, Lab::fetchmail, |lab| delivered(&lab.path("fetchmail")));
}

#[test]
fn getmail_ends_with_the_expected_bytes() {
    let run = ("getmail6", "every mail into a Maildir", 1);
    ends_with_the_expected_bytes(run, Lab::getmail, |lab| lab.mails("getmail"));
}

#[test]
fn curl_ends_with_the_expected_bytes() {
    let run = ("curl", "every mail by its UID", 1);
    ends_with_the_expected_bytes(run, Lab::curl, |lab| delivered(&lab.path("curl")));
}

#[test]
fn mutt_ends_with_the_expected_bytes() {
    let run = ("mutt", "every mail tagged and copied into a Maildir", 1);
    ends_with_the_expected_bytes(run, Lab::mutt, |lab| lab.mails("mutt"));
}

#[test]
fn thunderbird_ends_with_the_expected_bytes() {
    let run = ("Thunderbird", "the mailbox synchronised for use offline", 1);
    ends_with_the_expected_bytes(run, Lab::thunderbird, |lab| delivered(&lab.path("synchronised")));
}

#[test]
fn imaplib_ends_with_the_expected_bytes() {
    let run = ("Python's imaplib", "every mail by its UID", 1);
    ends_with_the_expected_bytes(run, Lab::imaplib, |lab| delivered(&lab.path("imaplib")));
}

#[test]
fn imapclient_ends_with_the_expected_bytes() {
    let run = ("Python's IMAPClient", "lists, then mails in sets of 50, with size and envelope", 1);
    ends_with_the_expected_bytes(run, Lab::imapclient, |lab| delivered(&lab.path("imapclient")));
}

#[test]
fn mail_imapclient_ends_with_the_expected_bytes() {
    let run = ("Perl's Mail::IMAPClient", "every mail by its UID", 1);
    ends_with_the_expected_bytes(run, Lab::mail_imapclient, |lab| delivered(&lab.path("mail_imapclient")));
}

#[test]
fn clients_at_once_do_not_disturb_each_other() {
    if !root_or_skip("clients_at_once_do_not_disturb_each_other") {
        return;
    }
    let lab = Lab::scanning(false);
    std::thread::scope(|scope| {
        for mut command in [lab.mbsync(), lab.offlineimap(), lab.imaplib()] {
            let lab = &lab;
            scope.spawn(move || lab.succeed(&mut command));
        }
    });
    check("mbsync", &lab.mails("mbsync"));
    check("offlineimap", &lab.mails("offlineimap/INBOX"));
    check("imaplib", &delivered(&lab.path("imaplib")));
}

#[test]
fn what_cannot_be_scanned_now_is_not_stored_as_an_empty_mail_and_comes_later() {
    listed("mbsync", "imap", "while the engine is down, and again when it is back");
    listed("offlineimap3", "imap", "while the engine is down, and again when it is back");
    listed("Python's imaplib", "imap", "while the engine is down, and again when it is back");
    if !root_or_skip("what_cannot_be_scanned_now_is_not_stored_as_an_empty_mail_and_comes_later") {
        return;
    }
    let mut clamd = Clamd::start();
    let lab = Lab::new(false, |dovecot| Config::clamd(dovecot.imap_address(), &clamd.socket()));
    lab.mailward.engine_proven();
    clamd.stop(Signal::SIGKILL);
    for mut command in [lab.mbsync(), lab.offlineimap(), lab.imaplib()] {
        lab.run(&mut command);
    }
    for folder in ["mbsync", "offlineimap/INBOX"] {
        let stored = lab.mails(folder);
        assert!(
            stored.is_empty(),
            "{folder} stored {} mails, the first: {:?}",
            stored.len(),
            String::from_utf8_lossy(&stored[0])
        );
    }
    assert!(delivered(&lab.path("imaplib")).is_empty());
    clamd.start_again();
    until("the engine to be used again", 20, || {
        let mut client = Imap::open(lab.mailward.address());
        client.command("UID FETCH 1 BODY.PEEK[]").tagged.starts_with("OK").then_some(())
    });
    lab.succeed(&mut lab.mbsync());
    check("mbsync", &lab.mails("mbsync"));
    lab.succeed(&mut lab.offlineimap());
    check("offlineimap", &lab.mails("offlineimap/INBOX"));
    lab.succeed(&mut lab.imaplib());
    check("imaplib", &delivered(&lab.path("imaplib")));
}

#[test]
fn the_table_of_clients_in_the_manual_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md");
    let current = mailward_tests::clients::manual();
    if std::env::var_os("MAILWARD_BLESS").is_some() {
        fs::write(&path, &current).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == current, "MAILWARD_BLESS=1 writes docs/clients.md anew");
}

#[test]
fn every_row_of_that_table_is_what_some_test_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let sources = fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    assert_eq!(mailward_tests::clients::never_run(&sources.collect::<Vec<_>>()), [""; 0]);
}
