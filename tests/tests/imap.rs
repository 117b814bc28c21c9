//! IMAP through Mailward in front of a real dovecot: what a client sees is what it sees without, apart from what
//! docs/session.md lists.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client_tls::Tls;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::imap_client::{Answer, Imap, Value, items_of};
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::pki::Pki;
use mailward_tests::{mails, root_or_skip, until};
use mime::part_map::PartMap;
use mime::recogniser::Limits;
use std::net::SocketAddr;

const NAME: &str = "mail.example.net";

fn scanning(dovecot: &Dovecot) -> Mailward {
    Mailward::start(&Config::scanning(dovecot.imap_address()).imap())
}

fn maildrop() -> Vec<Vec<u8>> {
    (0..8).map(|n| mails::plain(&format!("mail {n}"), &format!("body {n}\r\n.dot\r\nend"))).collect()
}

#[test]
fn mail_is_read_filed_and_uploaded_byte_for_byte() {
    if !root_or_skip("mail_is_read_filed_and_uploaded_byte_for_byte") {
        return;
    }
    let maildrop = maildrop();
    let dovecot = Dovecot::start(&maildrop);
    let mailward = scanning(&dovecot);
    let mut client = Imap::open(mailward.address());
    for (index, mail) in maildrop.iter().enumerate() {
        assert_eq!(client.octets(&format!("FETCH {} BODY.PEEK[]", index + 1)), *mail);
        assert_eq!(client.octets(&format!("UID FETCH {} RFC822", index + 1)), *mail);
    }
    let new = mails::plain("new", "from the client");
    let answer = client.with_literal("APPEND Drafts (\\Draft \\Seen) \"02-Nov-2026 09:12:44 +0100\"", &new);
    assert!(answer.tagged.starts_with("OK [APPENDUID "), "{answer}");
    client.send(format!("x APPEND Drafts {{{}+}}\r\n", new.len()));
    client.send(&new);
    client.send("\r\n");
    assert!(client.end("x").tagged.starts_with("OK [APPENDUID "));
    client.ok("UID COPY 3 Drafts");
    client.ok("UID MOVE 4 Drafts");
    client.ok("SELECT Drafts");
    let expected = [&new, &new, &maildrop[2], &maildrop[3]];
    for (index, mail) in expected.into_iter().enumerate() {
        assert_eq!(client.octets(&format!("FETCH {} BODY[]", index + 1)), *mail);
    }
    let shown = client.ok("FETCH 1 (FLAGS INTERNALDATE)");
    assert!(
        shown.text().contains("\\Draft") && shown.text().contains("02-Nov-2026 08:12:44 +0000"),
        "{shown}"
    );
    let mut sent = dovecot.folder("Drafts");
    sent.retain(|mail| *mail == new);
    assert_eq!(sent.len(), 2, "the server holds what was uploaded");
    assert!(client.ok("LOGOUT").has("* BYE"));
}

#[test]
fn every_client_side_goes_with_every_server_side() {
    if !root_or_skip("every_client_side_goes_with_every_server_side") {
        return;
    }
    let pki = Pki::default();
    let (ours, theirs) = (pki.sign(&[NAME]), pki.sign(&["127.0.0.1"]));
    let mail = mails::plain("TLS", "on both sides");
    let dovecot = Dovecot::secured(std::slice::from_ref(&mail), &theirs);
    let tls = Tls::new(&pki.ca(), NAME);
    for (client_mode, server_mode) in ["off", "starttls-required", "implicit"]
        .iter()
        .flat_map(|c| ["off", "starttls", "implicit"].map(|s| (*c, s)))
    {
        let server = if server_mode == "implicit" { dovecot.imaps_address() } else { dovecot.imap_address() };
        let mut config = Config::scanning(server).imap();
        config.listener = format!("tls = \"{client_mode}\"");
        config.command = "server-tls = \"lab\"".to_owned();
        config.rest.push_str(&format!(
            "[client-tls.lab]\ncertificates = [{}]\n[server-tls.lab]\nca = \"{}\"\nmode = \"{server_mode}\"\n",
            ours.toml(),
            pki.ca().display()
        ));
        let mailward = Mailward::start(&config);
        let what = format!("{client_mode} {server_mode}");
        let mut client = match client_mode {
            "implicit" => Imap::connect_tls(mailward.address(), &tls).unwrap(),
            "starttls-required" => {
                let mut client = Imap::connect(mailward.address());
                let refused = client.command("LOGIN user secret").tagged;
                assert!(refused.starts_with("NO [PRIVACYREQUIRED]"), "{what}: {refused}");
                assert!(client.ok("CAPABILITY").text().contains("STARTTLS LOGINDISABLED"), "{what}");
                client.starttls(&tls).unwrap()
            }
            _ => Imap::connect(mailward.address()),
        };
        assert!(!client.ok("CAPABILITY").text().contains("STARTTLS"), "{what}");
        client = client.log_in();
        client.ok("SELECT INBOX");
        assert_eq!(client.octets("FETCH 1 BODY[]"), mail, "{what}");
        client.ok("LOGOUT");
        for (side, mode) in [("TLS with the client", client_mode), ("TLS with the server", server_mode)] {
            let said = |record: &serde_json::Value| record.to_string().contains(side);
            if mode == "off" {
                assert_eq!(mailward.log_count(said), 0, "{what}: {side}");
            } else {
                mailward.logged(side, said);
            }
        }
    }
}

/// Both ways to the same server.
struct Pair {
    direct: Imap,
    proxied: Imap,
}

impl Pair {
    fn open(dovecot: SocketAddr, mailward: SocketAddr) -> Self {
        let mut direct = Imap::login(dovecot);
        let mut proxied = Imap::login(mailward);
        direct.ok("EXAMINE INBOX");
        proxied.ok("EXAMINE INBOX");
        Self { direct, proxied }
    }

    fn ask(&mut self, command: &str) -> [Answer; 2] {
        [self.direct.command(command), self.proxied.command(command)]
    }
}

/// As a client reads it: what came, in any spelling, without times and texts.
fn plain(answer: &Answer) -> Vec<String> {
    let words = |text: &str| {
        let text = text.split(" (0.0").next().unwrap_or(text);
        text.to_ascii_uppercase().replace('"', "")
    };
    let mut lines: Vec<String> =
        answer.untagged.iter().map(|response| words(&String::from_utf8_lossy(response))).collect();
    lines.push(words(&answer.tagged));
    lines
}

#[test]
fn what_tells_of_the_mailbox_is_the_servers() {
    if !root_or_skip("what_tells_of_the_mailbox_is_the_servers") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mailward = scanning(&dovecot);
    let mut writer = Imap::open(dovecot.imap_address());
    writer.ok("STORE 2,3 +FLAGS (\\Flagged $Junk)");
    writer.ok("STORE 5 +FLAGS (\\Deleted \\Seen)");
    let mut pair = Pair::open(dovecot.imap_address(), mailward.address());
    for command in [
        "NAMESPACE",
        "LIST \"\" *",
        "LIST \"\" \"\"",
        "LIST (SPECIAL-USE) \"\" \"*\" RETURN (SUBSCRIBED)",
        "LSUB \"\" *",
        "STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)",
        "EXAMINE INBOX (CONDSTORE)",
        "FETCH 1:* (UID FLAGS INTERNALDATE MODSEQ)",
        "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 2)",
        "FETCH 1:* ALL",
        "FETCH 1:* FAST",
        "FETCH 1:2 FULL",
        "UID SEARCH FLAGGED NOT DELETED",
        "SEARCH RETURN (MIN MAX COUNT ALL) OR SEEN FLAGGED",
        "SEARCH CHARSET UTF-8 SUBJECT mail SINCE 1-Jan-2000",
        "UID SORT (REVERSE SUBJECT) US-ASCII ALL",
        "UID THREAD REFERENCES UTF-8 ALL",
        "SEARCH RETURN (SAVE) FLAGGED",
        "FETCH $ (UID)",
        "CHECK",
        "CLOSE",
        "ENABLE QRESYNC",
        "SELECT INBOX (QRESYNC (1 1 1:8))",
        "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)",
        "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Flagged)",
        "UNSELECT",
        "SELECT Missing",
        "CREATE \"a b\"",
        "LIST \"\" \"a*\"",
        "SUBSCRIBE \"a b\"",
        "RENAME \"a b\" \"ä\"",
        "FROB",
    ] {
        let [direct, proxied] = pair.ask(command);
        let changes = ["CREATE", "RENAME", "SUBSCRIBE", "FROB"].iter().any(|verb| command.starts_with(verb));
        if !changes {
            assert_eq!(plain(&proxied), plain(&direct), "{command}");
        }
    }
}

#[test]
fn every_item_of_every_recognised_mail_is_what_dovecot_says_itself() {
    if !root_or_skip("every_item_of_every_recognised_mail_is_what_dovecot_says_itself") {
        return;
    }
    let corpus: Vec<_> = mails::corpus("ordinary")
        .into_iter()
        .filter_map(|(name, mail)| Some((name, PartMap::of(&mail, &Limits::default()).ok()?, mail)))
        .collect();
    let dovecot = Dovecot::start(&corpus.iter().map(|(_, _, mail)| mail.clone()).collect::<Vec<_>>());
    let mailward = scanning(&dovecot);
    let mut pair = Pair::open(dovecot.imap_address(), mailward.address());
    let (mut compared, mut changed, mut differences) = (0, 0, Vec::new());
    for (index, (name, map, mail)) in corpus.iter().enumerate() {
        let number = u32::try_from(index + 1).unwrap();
        let items = items_of(map, mail.len());
        let structures = "ENVELOPE BODY BODYSTRUCTURE".to_owned();
        for items in [items.join(" "), structures] {
            let answers = pair.ask(&format!("FETCH {number} ({items})"));
            let [theirs, ours] = answers.map(|answer| {
                assert!(answer.tagged.starts_with("OK"), "{name}: {answer}");
                answer.fetched().remove(&number).unwrap()
            });
            if ours
                .iter()
                .any(|(_, value)| matches!(value, Value::Text(text) if text.starts_with(b"X-Mailward")))
            {
                changed += 1;
                break;
            }
            for (item, their) in &theirs {
                compared += 1;
                let our = ours.iter().find(|(name, _)| name == item).map(|(_, value)| value);
                let same = match item.as_str() {
                    "ENVELOPE" => our.map(Value::blanks) == Some(their.blanks()),
                    "BODY" | "BODYSTRUCTURE" => {
                        our.is_some_and(Value::has_sections) || our.map(Value::plain) == Some(their.plain())
                    }
                    _ => our == Some(their),
                };
                if !same {
                    differences.push(format!("{name} {item}\n  {their:?}\n  {our:?}"));
                }
            }
        }
    }
    let shown: Vec<_> =
        differences.iter().take(6).map(|line| line.chars().take(1500).collect::<String>()).collect();
    assert!(differences.is_empty(), "{} of {compared}:\n{}", differences.len(), shown.join("\n"));
    assert!(compared > 3000 && changed < 10, "{compared} compared, {changed} changed");
}

#[test]
fn what_is_read_is_seen_and_what_is_looked_at_is_not() {
    if !root_or_skip("what_is_read_is_seen_and_what_is_looked_at_is_not") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mailward = scanning(&dovecot);
    let mut client = Imap::open(mailward.address());
    let seen = |client: &mut Imap, number: u32| {
        client.ok(&format!("FETCH {number} FLAGS")).text().contains("\\Seen")
    };
    client.ok("FETCH 1 (BODY.PEEK[] BODY.PEEK[TEXT] ENVELOPE RFC822.HEADER BINARY.PEEK[1])");
    assert!(!seen(&mut client, 1));
    for (number, item) in
        [(2, "BODY[]"), (3, "RFC822"), (4, "BODY[1]<0.3>"), (5, "BINARY[1]"), (6, "RFC822.TEXT")]
    {
        let answer = client.ok(&format!("FETCH {number} {item}"));
        assert!(answer.text().contains("\\Seen"), "{item}: the flag is told: {answer}");
        assert!(seen(&mut client, number), "{item}");
    }
    client.ok("EXAMINE INBOX");
    client.ok("FETCH 7 BODY[]");
    assert!(!seen(&mut client, 7), "a mailbox that is open for reading only");
}

#[test]
fn idle_tells_of_new_mail_and_gives_signs_of_life() {
    if !root_or_skip("idle_tells_of_new_mail_and_gives_signs_of_life") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mut config = Config::scanning(dovecot.imap_address()).imap();
    config.command = "idle-heartbeat = \"10s\"\nidle-timeout = \"12s\"".to_owned();
    let mailward = Mailward::start(&config);
    let mut client = Imap::open(mailward.address());
    let tag = client.begin("IDLE");
    assert!(client.response().starts_with(b"+"));
    let mut other = Imap::login(dovecot.imap_address());
    let new = mails::plain("new", "arrived meanwhile");
    other.with_literal("APPEND INBOX", &new);
    let begun = std::time::Instant::now();
    let mut said = Vec::new();
    // Beyond the idle-timeout, which does not count in IDLE.
    until("signs of life", 40, || {
        said.push(String::from_utf8_lossy(&client.response()).into_owned());
        (begun.elapsed().as_secs() >= 15 && said.iter().any(|line| line.starts_with("* OK"))).then_some(())
    });
    assert!(said.iter().any(|line| line == "* 9 EXISTS"), "{said:?}");
    client.send("DONE\r\n");
    assert!(client.end(&tag).tagged.starts_with("OK"));
    assert_eq!(client.octets("FETCH 9 BODY[]"), new);
}

#[test]
fn a_session_that_the_rules_deny_now_or_the_end_of_the_service_is_a_bye() {
    if !root_or_skip("a_session_that_the_rules_deny_now_or_the_end_of_the_service_is_a_bye") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mut mailward = scanning(&dovecot);
    let mut client = Imap::open(mailward.address());
    let tag = client.begin("IDLE");
    client.response();
    mailward.edit(|text| text.replace("from = [\"*\"]", "from = [\"192.0.2.0/24\"]"));
    assert!(mailward.reload(&[]).status.success());
    let end = client.end(&tag);
    assert!(end.has("* BYE [UNAVAILABLE] this session was ended by the administrator"), "{end}");
    mailward.edit(|text| text.replace("192.0.2.0/24", "*"));
    assert!(mailward.reload(&[]).status.success());
    let mut client = Imap::open(mailward.address());
    mailward.stop();
    assert!(client.command("NOOP").has("* BYE"));
}
