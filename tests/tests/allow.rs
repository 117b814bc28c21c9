//! A mail in which a virus was found that is none: the operator allows that virus in that mail, and nothing else passes by it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::client::Client;
use mailward_tests::dovecot::{Dovecot, OTHERS};
use mailward_tests::imap_client::Imap;
use mailward_tests::mailward::{Config, Mailward, binary};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip, until};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

/// What the laboratory's clamd knows, and calls `Lab.One` and `Lab.Two`.
const ONE: &str = "laboratory virus the first";
const TWO: &str = "laboratory virus the second";

/// Names of clamd's own signatures end so.
fn name(virus: &str) -> String {
    format!("{virus}.UNOFFICIAL")
}

/// In front of a server, with a clamd whose probes end soon.
fn behind(server: SocketAddr, clamd: &Clamd) -> Config {
    let mut config = Config::clamd(server, &clamd.socket());
    config.rest.push_str("max-size = \"20MiB\"\n");
    config
}

fn clamd() -> Clamd {
    Clamd::with_signatures(&[("Lab.Eicar", &mails::eicar()), ("Lab.One", ONE), ("Lab.Two", TWO)], "")
}

/// A mail with a virus in each of its two attachments.
fn both() -> Vec<u8> {
    let part = |name: &str, text: &str| {
        let fill = "x ".repeat(300);
        format!("--b\r\nContent-Type: application/octet-stream; name=\"{name}\"\r\n\r\n{text}\r\n{fill}\r\n")
    };
    let body = format!("{}{}--b--\r\n", part("one.bin", ONE), part("two.bin", TWO));
    let mail = String::from_utf8(mails::plain("both", "")).unwrap();
    let kind = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n";
    mail.replace("Content-Type: text/plain; charset=us-ascii\r\n\r\n\r\n", &format!("{kind}{body}"))
        .into_bytes()
}

fn digits(mail: &[u8]) -> String {
    Sha256::digest(mail).iter().map(|octet| format!("{octet:02x}")).collect()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn contains(mail: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(mail).contains(text)
}

/// Succeeds, and says this.
fn allowed(mailward: &Mailward, arguments: &[&str]) -> String {
    let output = mailward.allow(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// Changes nothing, and says why.
fn refused(mailward: &Mailward, arguments: &[&str]) -> String {
    let output = mailward.allow(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
    text(&output)
}

fn login_as(mailward: &Mailward, user: &str) -> Client {
    let (client, greeting) = Client::connect(mailward.address());
    assert!(greeting.starts_with("+OK"), "{greeting}");
    client.log_in_as(user)
}

/// The number of the mail of this length, which is its server's to choose.
fn number_of(client: &mut Client, mail: &[u8]) -> usize {
    let sizes = String::from_utf8(client.multiline("LIST").1.unwrap()).unwrap();
    let wanted = format!(" {}", mail.len());
    let line =
        sizes.lines().find(|line| line.ends_with(&wanted)).unwrap_or_else(|| panic!("{wanted}: {sizes}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

/// The first MAIL record of this mail.
fn record(mailward: &Mailward, mail: &[u8]) -> Value {
    let sha256 = digits(mail);
    mailward
        .logged("the mail to be judged", |record| record["record"] == "MAIL" && record["sha256"] == *sha256)
}

#[test]
fn a_virus_that_is_allowed_in_a_mail_passes_and_the_other_one_in_it_does_not() {
    if !root_or_skip("a_virus_that_is_allowed_in_a_mail_passes_and_the_other_one_in_it_does_not") {
        return;
    }
    let (clamd, single, both) = (clamd(), mails::plain("one", ONE), both());
    let dovecot = Dovecot::start(&[single.clone(), both.clone(), mails::plain("clean", "x")]);
    let config = behind(dovecot.address(), &clamd);
    let mailward = Mailward::start(&config);
    mailward
        .logged("the engine to be proven", |record| record.to_string().contains("engine names its version"));

    // One that nobody was served yet: it passes, byte for byte.
    let said = allowed(&mailward, &["add", &digits(&single), "--virus", &name("Lab.One")]);
    assert!(said.contains("for good") && !said.contains("notice"), "{said}");
    let note =
        mailward.logged("who allowed it", |record| record["message"] == "a virus is allowed in a mail");
    assert_eq!((&note["by"], &note["virus"]), (&"uid 0".into(), &name("Lab.One").into()), "{note}");
    let mut user = Client::login(mailward.address());
    let (of_single, of_both) = (number_of(&mut user, &single), number_of(&mut user, &both));
    assert!(user.retrieve(of_single) == single);
    let record = record(&mailward, &single);
    assert_eq!((&record["outcome"], &record["statuses"]), (&"passed".into(), &"clean".into()), "{record}");
    assert_eq!(
        (&record["allowed"], &record["engines"][0]["statuses"]),
        (&name("Lab.One").into(), &"infected".into())
    );

    // The same virus in another mail is one.
    let notice = user.retrieve(of_both);
    assert!(!contains(&notice, ONE) && !contains(&notice, TWO));
    let case = &digits(&both)[..12];
    let why = refused(&mailward, &["add", case]);
    assert!(
        why.contains(&name("Lab.One")) && why.contains(&name("Lab.Two")) && why.contains("--virus"),
        "{why}"
    );
    let said = allowed(&mailward, &["add", case, "--virus", &name("Lab.One")]);
    assert!(
        said.contains("served as a notice in one mailbox") && said.contains("quarantine export"),
        "{said}"
    );
    // What was served under its UIDL stays what it is, in this session and in others.
    assert_eq!(user.retrieve(of_both), notice);
    let mut again = Client::login(mailward.address());
    assert_eq!(again.command(&format!("LIST {of_both}")), format!("+OK {of_both} {}", notice.len()));
    assert_eq!(again.retrieve(of_both), notice);
    // Who has not seen it gets the part that is allowed, by what clamd said before.
    let scans = clamd.scans();
    let half = login_as(&mailward, OTHERS[0]).retrieve(of_both);
    assert!(contains(&half, ONE) && !contains(&half, TWO) && half.len() == both.len());
    assert_eq!(clamd.scans(), scans, "it was known");
    let mailward = mailward.restart(&config);
    mailward
        .logged("the engine to be proven", |record| record.to_string().contains("engine names its version"));
    let list = allowed(&mailward, &["list", "--json"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert_eq!(login_as(&mailward, OTHERS[1]).retrieve(of_both), half);
    assert_eq!(Client::login(mailward.address()).retrieve(of_both), notice);

    // Allowed no more.
    allowed(&mailward, &["remove", &digits(&single)]);
    assert!(!contains(&login_as(&mailward, OTHERS[1]).retrieve(of_single), ONE));
    assert!(refused(&mailward, &["remove", &digits(&single)]).contains("nothing is allowed"));
    assert_eq!(allowed(&mailward, &["list", "--json"]).lines().count(), 1);
}

#[test]
fn in_imap_the_original_is_given_as_a_new_message_and_the_old_uid_stays_the_notice() {
    if !root_or_skip("in_imap_the_original_is_given_as_a_new_message_and_the_old_uid_stays_the_notice") {
        return;
    }
    let (clamd, mail) = (clamd(), mails::plain("one", ONE));
    let dovecot = Dovecot::start(std::slice::from_ref(&mail));
    let config = behind(dovecot.imap_address(), &clamd).imap();
    let mailward = Mailward::start(&config);
    mailward
        .logged("the engine to be proven", |record| record.to_string().contains("engine names its version"));
    let mut client = Imap::open(mailward.address());
    assert!(client.with_literal("APPEND INBOX", &mail).tagged.starts_with("NO [CANNOT]"));
    let notice = client.octets("UID FETCH 1 BODY.PEEK[]");
    assert!(!contains(&notice, ONE));
    let case = &digits(&mail)[..12];
    // The quarantine knows the virus.
    let said = allowed(&mailward, &["add", case, "--for", "1h"]);
    assert!(said.contains(&name("Lab.One")) && said.contains("until ") && said.contains("notice"), "{said}");
    for _ in 0..2 {
        assert_eq!(client.octets("UID FETCH 1 BODY.PEEK[]"), notice);
        client = Imap::open(mailward.address());
    }
    let file = mailward.directory().join("case.eml");
    let mut export = Command::new(binary());
    export
        .args(["quarantine", "export", case])
        .arg(&file)
        .arg("-c")
        .arg(mailward.directory().join("mailward.toml"));
    assert!(export.status().unwrap().success());
    let original = fs::read(&file).unwrap();
    assert!(original == mail);
    let answer = client.with_literal("APPEND INBOX", &original);
    assert!(answer.tagged.starts_with("OK"), "{answer}");
    let mut client = Imap::open(mailward.address());
    assert!(client.octets("UID FETCH 2 BODY.PEEK[]") == mail);
    assert_eq!(client.octets("UID FETCH 1 BODY.PEEK[]"), notice);
    // The original is in the quarantine: the notice can go.
    client.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    assert!(client.octets("UID FETCH 2 BODY.PEEK[]") == mail);
}

#[test]
fn what_is_allowed_for_a_time_is_over_then() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let (mail, virus) = (digits(&mails::infected()), "Eicar-Test-Signature");
    let file = mailward.directory().join("mail.eml");
    fs::write(&file, mails::infected()).unwrap();
    let outcome = || {
        let mut test = Command::new(binary());
        test.args(["test", "--from", "127.0.0.1", "--mail"]).arg(&file);
        text(&test.arg("-c").arg(mailward.directory().join("mailward.toml")).output().unwrap())
    };
    assert!(outcome().contains("Outcome: a notice"), "{}", outcome());
    allowed(&mailward, &["add", &mail, "--virus", virus, "--for", "6s"]);
    assert!(outcome().contains("Outcome: accept"), "{}", outcome());
    assert!(Client::login(mailward.address()).retrieve(1) == mails::infected());
    until("it to be over", 20, || {
        let list = allowed(&mailward, &["list"]);
        list.contains("nothing is allowed").then_some(())
    });
    assert!(!contains(&Client::login(mailward.address()).retrieve(1), &mails::eicar()));
}

#[test]
fn what_cannot_be_is_refused_with_the_remedy_and_allows_nothing() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mail = digits(&mails::infected());
    let case = &mail[..12];
    assert!(refused(&mailward, &["add", case]).contains("64 digits"));
    assert!(refused(&mailward, &["add", &mail]).contains("--virus"));
    assert!(refused(&mailward, &["add", "invoice"]).contains("twelve digits"));
    let other = refused(&mailward, &["add", &mail, "--virus", "x", "--tenant", "acme"]);
    assert!(other.contains("no tenant `acme`") && other.contains("default"), "{other}");
    assert!(refused(&mailward, &["add", &mail, "--virus", "line\nbreak"]).contains("no name of a virus"));
    for wrong in [&["add", &mail, "--for", "soon"][..], &["add", &mail, "--for", "0s"], &["add"], &["forget"]]
    {
        assert_eq!(mailward.allow(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let nobody = mailward.allow(&["list", "--socket", "/nonexistent/socket"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(text(&nobody).contains("is the service running"), "{}", text(&nobody));
    assert!(allowed(&mailward, &["list"]).contains("nothing is allowed"));
    assert!(!contains(&Client::login(mailward.address()).retrieve(1), &mails::eicar()));
    // A name that was not found is taken at its word, with a note; it frees nothing that has another.
    let said = allowed(&mailward, &["add", case, "--virus", "Other.Virus"]);
    assert!(said.contains("Eicar-Test-Signature was found"), "{said}");
}

#[test]
fn a_damaged_list_is_said_loudly_allows_nothing_and_stops_nobody() {
    let server = Server::start(vec![mails::infected(), mails::plain("fine", "x")], &[]);
    let config = Config::scanning(server.address());
    let mailward = Mailward::start(&config);
    let (mail, virus) = (digits(&mails::infected()), "Eicar-Test-Signature");
    allowed(&mailward, &["add", &mail, "--virus", virus]);
    let list = mailward.state_dir().join("allowed/default");
    let whole = fs::read(&list).unwrap();
    let mut mailward = mailward;
    for damaged in [&whole[..whole.len() / 2], b"\xff\0garbage", &[b'a'; 5 << 20]] {
        fs::write(&list, damaged).unwrap();
        mailward = mailward.restart(&config);
        mailward.logged("the damaged list to be said", |record| {
            record["level"] == "error" && record.to_string().contains("nothing is allowed")
        });
        let mut client = Client::login(mailward.address());
        assert!(client.retrieve(2) == mails::plain("fine", "x"));
        for arguments in [&["list"][..], &["add", &mail, "--virus", virus], &["remove", &mail]] {
            let why = refused(&mailward, arguments);
            assert!(why.contains("allowed/default"), "{arguments:?}: {why}");
        }
        assert!(fs::read(&list).unwrap() == damaged, "nobody wrote over it");
    }
    let mut client = Client::login(mailward.address());
    assert!(!contains(&client.retrieve(1), &mails::eicar()));
    // Moved away, it is begun anew, without a restart.
    fs::rename(&list, list.with_extension("damaged")).unwrap();
    allowed(&mailward, &["add", &mail, "--virus", virus]);
    thread::sleep(Duration::from_millis(10));
    assert_eq!(allowed(&mailward, &["list", "--json"]).lines().count(), 1);
}
