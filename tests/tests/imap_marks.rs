//! What a rule that accepts does to a mail in IMAP, in front of a real dovecot: keywords in the mailbox, and headers where the
//! client has not seen them before.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::dovecot::Dovecot;
use mailward_tests::filters::Filter;
use mailward_tests::imap_client::{Imap, Value};
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::{mails, root_or_skip};
use std::fmt::Write;

/// A mail that both rspamd and the builtin rules of these tests call spam.
fn spam(subject: &str) -> Vec<u8> {
    let mail = String::from_utf8(mails::plain(subject, "Buy.")).unwrap();
    mail.replace("MIME-Version:", "X-Lab-Spam: yes\r\nMIME-Version:").into_bytes()
}

/// Flags of this mail as a client sees them that speaks to dovecot itself.
fn flags(dovecot: &Dovecot, number: u32) -> String {
    let mut direct = Imap::login(dovecot.imap_address());
    direct.ok("EXAMINE INBOX");
    direct.ok(&format!("FETCH {number} FLAGS")).text()
}

#[test]
fn a_rule_gives_spam_its_keyword_in_the_mailbox_of_the_server() {
    if !root_or_skip("a_rule_gives_spam_its_keyword_in_the_mailbox_of_the_server") {
        return;
    }
    let dovecot =
        Dovecot::start(&[mails::plain("fine", "1"), spam("offer"), spam("another"), mails::infected()]);
    let rspamd = Filter::rspamd();
    let mut config = Config::scanning(dovecot.imap_address()).imap();
    write!(
        config.rest,
        "[antispam.rspamd]\nurl = \"http://{}\"\n[[mail-acl]]\nname = \"spam\"\nvirus = [\"clean\"]\n\
         spam-score = \">= 5.0\"\naction = \"accept\"\nkeyword = [\"$Junk\"]\n",
        rspamd.address()
    )
    .unwrap();
    let mailward = Mailward::start(&config);
    mailward.logged("the filter to give scores", |record| record["message"] == "spam filter gives scores");
    let mut client = Imap::login(mailward.address());
    client.ok("EXAMINE INBOX");
    assert_eq!(client.octets("FETCH 2 BODY.PEEK[]"), spam("offer"));
    assert!(!flags(&dovecot, 2).contains("$Junk"), "a mailbox that is open to be read stays as it is");
    client.ok("SELECT INBOX");
    let answer = client.ok("FETCH 1:4 (FLAGS BODY.PEEK[TEXT])");
    let told: Vec<bool> = (1..=4)
        .map(|number| {
            let start = format!("* {number} FETCH ");
            let of = |octets: &&Vec<u8>| octets.starts_with(start.as_bytes());
            let response = answer.untagged.iter().find(of).unwrap();
            String::from_utf8_lossy(response).contains("$Junk")
        })
        .collect();
    assert_eq!(told, [false, true, true, false], "{answer}");
    client.ok("NOOP");
    for (number, junk) in (1..).zip(told) {
        assert_eq!(flags(&dovecot, number).contains("$Junk"), junk, "mail {number}");
    }
    // What its reader says of it stands.
    client.ok("STORE 2 -FLAGS ($Junk)");
    client.ok("STORE 2 +FLAGS ($NotJunk)");
    let mut other = Imap::open(mailward.address());
    assert_eq!(other.octets("FETCH 2 BODY.PEEK[]"), spam("offer"));
    other.ok("NOOP");
    let flags = flags(&dovecot, 2);
    assert!(flags.contains("$NotJunk") && !flags.contains("$Junk"), "{flags}");
}

/// What a FETCH of one item gives.
fn one(client: &mut Imap, command: &str) -> Value {
    let mut fetched = client.ok(command).fetched();
    fetched.pop_first().unwrap().1.remove(0).1
}

#[test]
fn with_strict_metadata_a_changed_header_is_the_same_in_every_view() {
    if !root_or_skip("with_strict_metadata_a_changed_header_is_the_same_in_every_view") {
        return;
    }
    let dovecot = Dovecot::start(&[mails::plain("fine", "1"), spam("offer")]);
    let mut config = Config::scanning(dovecot.imap_address()).imap();
    config.command.push_str("metadata = \"strict\"\n");
    config.rest.push_str(
        "[antispam.builtin]\nrules = [{ name = \"X-Lab-Spam\", score = 7.0 }]\n[[mail-acl]]\nname = \"spam\"\n\
         virus = [\"clean\"]\nspam-score = \">= 5.0\"\naction = \"accept\"\nsubject-prefix = \"[SPAM]\"\n\
         add-header = [{ name = \"X-Score\", value = \"{score}\" }]\nremove-header = [\"X-Lab-*\"]\n",
    );
    let mailward = Mailward::start(&config);
    let mut client = Imap::open(mailward.address());
    // Sizes and envelopes are the first that it asks for.
    let listing = client.ok("FETCH 1:2 (RFC822.SIZE ENVELOPE)").fetched();
    let Value::Word(size) = &listing[&2][0].1 else { panic!("{listing:?}") };
    let envelope = format!("{:?}", listing[&2][1].1);
    let whole = client.octets("FETCH 2 BODY.PEEK[]");
    assert_eq!(*size, whole.len().to_string());
    let text = String::from_utf8(whole.clone()).unwrap();
    assert!(text.contains("Subject: [SPAM] offer\r\n") && text.contains("X-Score: 7\r\n"), "{text}");
    assert!(!text.contains("X-Lab-Spam"), "{text}");
    let subject = client.octets("FETCH 2 BODY.PEEK[HEADER.FIELDS (Subject)]");
    assert_eq!(subject, b"Subject: [SPAM] offer\r\n\r\n");
    assert!(envelope.contains(&format!("{:?}", Value::Text(b"[SPAM] offer".to_vec()))), "{envelope}");
    assert_eq!(client.octets("FETCH 1 BODY.PEEK[]"), mails::plain("fine", "1"));
    // Another session is told the same, and the quarantine has the original: the mail may go.
    let mut other = Imap::open(mailward.address());
    assert_eq!(one(&mut other, "FETCH 2 RFC822.SIZE"), Value::Word(size.clone()));
    other.ok("STORE 2 +FLAGS (\\Deleted)");
    other.ok("EXPUNGE");
    drop(mailward);
}

#[test]
fn a_header_is_changed_on_the_way_up_and_a_bad_mail_is_not_repaired() {
    if !root_or_skip("a_header_is_changed_on_the_way_up_and_a_bad_mail_is_not_repaired") {
        return;
    }
    let dovecot = Dovecot::start(&[]);
    let mut config = Config::scanning(dovecot.imap_address()).imap();
    config.rest.push_str(
        "[[doc-acl]]\nname = \"html\"\ndirection = [\"upload\"]\nmime-type = [\"text/html\"]\naction = \"html-filter\"\n\
         html-filter = \"safe\"\n[html-filter.safe]\n\
         [[mail-acl]]\nname = \"sent\"\ndirection = [\"upload\"]\nvirus = [\"clean\"]\naction = \"accept\"\n\
         add-header = [{ name = \"X-Sent-Through\", value = \"lab\" }]\n",
    );
    let mailward = Mailward::start(&config);
    let mut client = Imap::login(mailward.address());
    let answer = client.with_literal("APPEND INBOX", &mails::plain("mine", "1"));
    assert!(answer.tagged.starts_with("OK"), "{answer}");
    let html = String::from_utf8(mails::plain("page", "<p>Hello<script>run()</script></p>")).unwrap();
    let html = html.replace("text/plain", "text/html");
    assert!(client.with_literal("APPEND INBOX", html.as_bytes()).tagged.starts_with("OK"));
    let answer = client.with_literal("APPEND INBOX", &mails::infected());
    assert!(answer.tagged.starts_with("NO [CANNOT]"), "{answer}");
    let mut direct = Imap::open(dovecot.imap_address());
    let wanted = String::from_utf8(mails::plain("mine", "1")).unwrap();
    let wanted = wanted.replace("\r\n\r\n", "\r\nX-Sent-Through: lab\r\n\r\n");
    assert_eq!(String::from_utf8(direct.octets("FETCH 1 BODY.PEEK[]")).unwrap(), wanted);
    let page = String::from_utf8(direct.octets("FETCH 2 BODY.PEEK[]")).unwrap();
    assert!(page.contains("Hello") && !page.contains("script") && page.contains("X-Sent-Through"), "{page}");
    let two = direct.ok("STATUS INBOX (MESSAGES)");
    assert!(two.text().contains("MESSAGES 2"), "{two}");
}
