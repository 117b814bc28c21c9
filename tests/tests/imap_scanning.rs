//! What scanning lets through in IMAP and what it does not, in both directions, in front of a real dovecot.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::imap_client::{Imap, Value};
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

fn config(dovecot: &Dovecot) -> Config {
    Config::scanning(dovecot.imap_address()).imap()
}

fn contains(octets: &[u8], part: &str) -> bool {
    memchr::memmem::find(octets, part.as_bytes()).is_some()
}

/// Clean, infected, clean, infected with an attachment.
fn maildrop() -> Vec<Vec<u8>> {
    vec![mails::plain("one", "1"), mails::infected(), mails::plain("three", "3"), attachment()]
}

/// A mail whose second part is infected.
fn attachment() -> Vec<u8> {
    let parts = format!(
        "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n\
         --b\r\nContent-Type: application/octet-stream; name=\"a.com\"\r\n\r\n{}\r\n--b--\r\n",
        mails::eicar()
    );
    let mail = String::from_utf8(mails::plain("attached", "")).unwrap();
    mail.replace("Content-Type: text/plain; charset=us-ascii\r\n\r\n\r\n", &parts).into_bytes()
}

#[test]
fn no_item_shows_an_infected_mail_and_its_notice_is_one_mail_in_every_view() {
    if !root_or_skip("no_item_shows_an_infected_mail_and_its_notice_is_one_mail_in_every_view") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mailward = Mailward::start(&config(&dovecot));
    let mut client = Imap::open(mailward.address());
    for number in [2, 4] {
        let everything = client.ok(&format!(
            "FETCH {number} (BODY.PEEK[] BODY.PEEK[1] BODY.PEEK[2] BODY.PEEK[TEXT] BINARY.PEEK[1] BINARY.PEEK[2] RFC822.TEXT RFC822 \
             BODY.PEEK[]<0.3000> BODY.PEEK[TEXT]<1.70>)"
        ));
        for response in &everything.untagged {
            assert!(!contains(response, &mails::eicar()[1..30]), "{everything}");
        }
    }
    for number in [2, 4] {
        let whole = client.octets(&format!("FETCH {number} BODY.PEEK[]"));
        let views = client.ok(&format!(
            "FETCH {number} (RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[]<7.100>)"
        ));
        let views = views.fetched().remove(&number).unwrap();
        assert_eq!(views[0].1, Value::Word(whole.len().to_string()));
        let texts: Vec<Vec<u8>> = views[2..]
            .iter()
            .map(|(name, value)| match value {
                Value::Text(octets) => octets.clone(),
                other @ (Value::Nil | Value::Word(_) | Value::List(_)) => panic!("{name} {other:?}"),
            })
            .collect();
        assert_eq!([texts[0].clone(), texts[1].clone()].concat(), whole);
        assert_eq!(texts[2], whole[7..107]);
        // Another session, and one after a restart below, are told the same before they see a mail.
        let mut other = Imap::open(mailward.address());
        let told = other.ok(&format!("FETCH {number} (RFC822.SIZE BODYSTRUCTURE)"));
        for (name, value) in told.fetched().remove(&number).unwrap() {
            let same = views.iter().find(|(view, _)| *view == name).is_none_or(|(_, view)| *view == value);
            assert!(same, "{told}");
        }
    }
    let sizes = client.ok("FETCH 1:4 (UID RFC822.SIZE)").fetched();
    let mailward = mailward.restart(&config(&dovecot));
    let mut client = Imap::open(mailward.address());
    assert_eq!(client.ok("FETCH 1:4 (UID RFC822.SIZE)").fetched(), sizes);
}

#[test]
fn a_mailbox_with_a_replaced_mail_is_not_lost_with_its_name() {
    if !root_or_skip("a_mailbox_with_a_replaced_mail_is_not_lost_with_its_name") {
        return;
    }
    let dovecot = Dovecot::start(&[]);
    let direct = || Imap::login(dovecot.imap_address());
    let mailboxes =
        [("Old", mails::plain("fine", "1")), ("Old.bad", mails::infected()), ("Other", mails::infected())];
    for (name, mail) in mailboxes {
        let mut client = direct();
        client.ok(&format!("CREATE {name}"));
        assert!(client.with_literal(&format!("APPEND {name}"), &mail).tagged.starts_with("OK"));
    }
    let mailward = Mailward::start(&config(&dovecot).keeping_nothing());
    let mut client = Imap::login(mailward.address());
    client.ok("SELECT Old.bad");
    client.ok("FETCH 1:* BODY.PEEK[]");
    // It was read, and is not the one that is open.
    let mut client = Imap::open(mailward.address());
    for command in ["DELETE Old.bad", "RENAME Old.bad New", "RENAME Old New"] {
        let answer = client.command(command);
        assert!(answer.tagged.starts_with("NO [CANNOT]"), "{command}: {answer}");
    }
    // Nobody was served anything of these.
    for command in ["DELETE Other", "CREATE Fine", "RENAME Fine Finer", "DELETE Finer", "SELECT Drafts"] {
        client.ok(command);
    }
    assert!(client.command("DELETE Nowhere").tagged.starts_with("NO [NONEXISTENT]"));
    drop(mailward);
    // With the original in the quarantine it may go.
    let mailward = Mailward::start(&config(&dovecot));
    let mut client = Imap::login(mailward.address());
    client.ok("SELECT Old.bad");
    client.ok("FETCH 1:* BODY.PEEK[]");
    client.ok("UNSELECT");
    client.ok("RENAME Old New");
    assert!(direct().ok("LIST \"\" *").text().contains("New.bad"));
}

#[test]
fn a_replaced_mail_is_not_lost_by_any_command_and_others_go_their_way() {
    if !root_or_skip("a_replaced_mail_is_not_lost_by_any_command_and_others_go_their_way") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mailward = Mailward::start(&config(&dovecot).keeping_nothing());
    let mut client = Imap::open(mailward.address());
    client.ok("FETCH 1:4 BODY.PEEK[]");
    client.ok("STORE 1:2 +FLAGS (\\Deleted)");
    for command in [
        "EXPUNGE",
        "UID EXPUNGE 1:2",
        "UID EXPUNGE 2",
        "CLOSE",
        "MOVE 2 Drafts",
        "MOVE 1:* Drafts",
        "UID MOVE 2 Drafts",
    ] {
        let answer = client.command(command);
        assert!(answer.tagged.starts_with("NO [CANNOT]"), "{command}: {answer}");
    }
    client.ok("UID EXPUNGE 1");
    client.ok("UID MOVE 3 Drafts");
    client.ok("UID COPY 2 Drafts");
    client.ok("SELECT Drafts");
    let copy = client.octets("FETCH 2 BODY.PEEK[]");
    assert!(!contains(&copy, &mails::eicar()), "a copy is judged like any mail");
    let mut client = Imap::open(mailward.address());
    let answer = client.command("EXPUNGE");
    assert!(answer.tagged.starts_with("NO [CANNOT]"), "in another session too: {answer}");
    assert_eq!(dovecot.mails(), [mails::infected(), attachment()]);
}

#[test]
fn an_upload_is_scanned_and_refused_in_words_and_the_session_goes_on() {
    if !root_or_skip("an_upload_is_scanned_and_refused_in_words_and_the_session_goes_on") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mailward = Mailward::start(&config(&dovecot));
    let mut client = Imap::open(mailward.address());
    for mail in [mails::infected(), attachment()] {
        let answer = client.with_literal("APPEND Drafts (\\Seen)", &mail);
        assert!(answer.tagged.starts_with("NO [CANNOT]"), "{answer}");
        let size = mail.len();
        for (announced, name) in [("+}", "APPEND Drafts"), ("+}", "APPEND \"Drafts\" (\\Seen)")] {
            client.send(format!("x {name} {{{size}{announced}\r\n"));
            client.send(&mail);
            client.send("\r\n");
            let answer = client.end("x");
            assert!(answer.tagged.starts_with("NO [CANNOT]"), "{answer}");
        }
    }
    let uploaded = mailward.mail_record(1);
    assert_eq!(uploaded["direction"], "upload");
    assert!(uploaded["uid"].is_null() && uploaded["mailbox"].is_null(), "{uploaded}");
    assert!(dovecot.folder("Drafts").is_empty());
    let clean = mails::plain("clean", "goes up");
    assert!(client.with_literal("APPEND Drafts", &clean).tagged.starts_with("OK"));
    let answer = client.with_literal("APPEND Missing", &clean);
    assert!(answer.tagged.starts_with("NO [TRYCREATE]"), "{answer}");
    let large = mails::large(20_000_000);
    assert!(client.with_literal("APPEND Drafts", &large).tagged.starts_with("OK"));
    client.ok("SELECT Drafts");
    assert!(client.octets("FETCH 1 BODY.PEEK[]") == clean);
    assert!(client.octets("FETCH 2 BODY.PEEK[]") == large);
}

#[test]
fn a_large_mail_that_is_read_in_pieces_is_scanned_once() {
    if !root_or_skip("a_large_mail_that_is_read_in_pieces_is_scanned_once") {
        return;
    }
    let mail = mails::large(20_000_000);
    let dovecot = Dovecot::start(&[mail.clone(), mails::plain("small", "body")]);
    let mut config = config(&dovecot);
    config.service = "spool-file-above = \"1MiB\"".to_owned();
    let mailward = Mailward::start(&config);
    let mut client = Imap::open(mailward.address());
    let mut whole = Vec::new();
    while whole.len() < mail.len() {
        let at = whole.len();
        let piece = client.octets(&format!("UID FETCH 1 BODY.PEEK[]<{at}.200000>"));
        assert!(!piece.is_empty() && piece.len() <= 200_000);
        whole.extend(piece);
    }
    assert!(whole == mail);
    assert!(client.octets("FETCH 1 BODY.PEEK[]") == mail);
    client.octets("FETCH 2 BODY.PEEK[]");
    let second = mailward.mail_record(2);
    assert_eq!((&second["mailbox"], &second["uid"]), (&"INBOX".into(), &2.into()), "{second}");
    let mails = mailward.log_count(|record| record["record"] == "MAIL");
    assert_eq!(mails, 2, "one for each mail");
}

#[test]
fn a_mail_that_cannot_be_scanned_now_has_no_content_and_comes_later() {
    if !root_or_skip("a_mail_that_cannot_be_scanned_now_has_no_content_and_comes_later") {
        return;
    }
    let mut clamd = Clamd::start();
    let mail = mails::plain("fine", "body");
    let dovecot = Dovecot::start(&[mail.clone(), mails::infected()]);
    let mailward = Mailward::start(&Config::clamd(dovecot.imap_address(), &clamd.socket()).imap());
    mailward.engine_proven();
    clamd.stop(Signal::SIGKILL);
    let mut client = Imap::open(mailward.address());
    let answer = client.command("UID FETCH 1:2 (FLAGS RFC822.SIZE BODY[])");
    assert!(answer.tagged.starts_with("BAD [UNAVAILABLE]"), "{answer}");
    assert!(answer.has("* NO [UNAVAILABLE] message UID 1"), "{answer}");
    let fetched = answer.fetched();
    assert_eq!(fetched.len(), 2, "{answer}");
    for items in fetched.values() {
        assert!(items.iter().any(|(name, _)| name == "UID"), "{answer}");
        assert!(items.iter().all(|(name, _)| !name.starts_with("BODY")), "never empty, never NIL: {answer}");
    }
    assert!(!client.ok("FETCH 1:2 FLAGS").text().contains("\\Seen"), "what is put off stays new");
    let answer = client.with_literal("APPEND Drafts", &mail);
    assert!(answer.tagged.starts_with("NO [UNAVAILABLE]"), "{answer}");
    clamd.start_again();
    until("the engine to be used again", 10, || {
        client.command("UID FETCH 1 BODY[]").tagged.starts_with("OK").then_some(())
    });
    assert_eq!(client.octets("UID FETCH 1 BODY[]"), mail);
    assert!(!contains(&client.octets("UID FETCH 2 BODY[]"), &mails::eicar()));
    assert!(client.with_literal("APPEND Drafts", &mail).tagged.starts_with("OK"));
}

#[test]
fn what_comes_during_idle_is_told_at_once_and_scanned_when_it_is_read() {
    if !root_or_skip("what_comes_during_idle_is_told_at_once_and_scanned_when_it_is_read") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mailward = Mailward::start(&config(&dovecot));
    let mut client = Imap::open(mailward.address());
    for (number, mail) in [(5, mails::plain("new", "clean")), (6, mails::infected()), (7, attachment())] {
        let tag = client.begin("IDLE");
        assert!(client.response().starts_with(b"+ "));
        let mut sender = Imap::login(dovecot.imap_address());
        let begun = Instant::now();
        assert!(sender.with_literal("APPEND INBOX", &mail).tagged.starts_with("OK"));
        let exists = format!("* {number} EXISTS");
        let told = std::iter::from_fn(|| Some(client.response()).filter(|response| !response.is_empty()));
        assert!(told.into_iter().any(|response| response == exists.as_bytes()), "{number}");
        // Dovecot itself looks every half second where the kernel does not tell it; the heartbeat comes after two minutes.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        client.send("DONE\r\n");
        assert!(client.end(&tag).tagged.starts_with("OK"));
        let got = client.octets(&format!("FETCH {number} BODY[]"));
        assert_eq!(got == mail, number == 5);
        assert!(!contains(&got, &mails::eicar()));
    }
}

#[test]
fn no_hostile_mail_of_the_corpus_arrives_as_it_came() {
    if !root_or_skip("no_hostile_mail_of_the_corpus_arrives_as_it_came") {
        return;
    }
    let corpus = mails::corpus("hostile");
    let dovecot = Dovecot::start(&corpus.iter().map(|(_, mail)| mail.clone()).collect::<Vec<_>>());
    let mailward = Mailward::start(&config(&dovecot));
    let mut direct = Imap::open(dovecot.imap_address());
    let mut client = Imap::open(mailward.address());
    let mut compared = 0;
    for (number, (name, mail)) in (1..).zip(&corpus) {
        // Dovecot writes line ends anew, which makes some of them unambiguous before they come here.
        if direct.octets(&format!("FETCH {number} BODY.PEEK[]")) != *mail {
            continue;
        }
        compared += 1;
        for (_, items) in client.command(&format!("FETCH {number} BODY.PEEK[]")).fetched() {
            assert!(items.iter().all(|(_, value)| *value != Value::Text(mail.clone())), "{name}");
        }
    }
    assert!(compared >= 15, "{compared}");
}

#[test]
fn uploads_are_shown_to_the_engines_that_their_own_rule_names() {
    if !root_or_skip("uploads_are_shown_to_the_engines_that_their_own_rule_names") {
        return;
    }
    let clamd = Clamd::start();
    let dovecot = Dovecot::start(&[mails::infected_for_clamd()]);
    let mut config = config(&dovecot);
    config.download = "antivirus = [\"builtin\"]\n[command-acl.upload]\nantivirus = [\"clamd\"]\n".into();
    config.rest.push_str(&format!("[antivirus.clamd]\nsocket = \"{}\"\n", clamd.socket().display()));
    let mailward = Mailward::start(&config);
    mailward.engine_proven();
    let mut client = Imap::open(mailward.address());
    assert_eq!(client.octets("FETCH 1 BODY.PEEK[]"), mails::infected_for_clamd(), "builtin does not know it");
    let refused = client.with_literal("APPEND INBOX", &mails::infected_for_clamd());
    assert!(refused.tagged.starts_with("NO [CANNOT]"), "{refused}");
    let fine = client.with_literal("APPEND INBOX", &mails::plain("fine", "body"));
    assert!(fine.tagged.starts_with("OK"), "{fine}");
    let of = |nth| mailward.mail_record(nth)["engines"][0]["engine"].clone();
    assert_eq!([of(1), of(2), of(3)], ["builtin", "clamd", "clamd"]);
}
