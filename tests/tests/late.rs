//! Rules that ask for the client's name: Mailward greets and takes the login itself, dials the server of the rule, and
//! completes the login there. Real dovecots, several users.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::client_tls::Tls;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::imap_client::Imap;
use mailward_tests::mails;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::pki::Pki;
use mailward_tests::server::Server;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

const NAME: &str = "mail.example.net";
const ANN: &str = "ann@staff.example.net";
const BOB: &str = "bob@guests.example.net";
/// "\0ann@staff.example.net\0secret"
const ANN_PLAIN: &str = "AGFubkBzdGFmZi5leGFtcGxlLm5ldABzZWNyZXQ=";

/// Staff goes to the first server, guests to the second, and nobody else anywhere.
fn config(staff: SocketAddr, guests: &str) -> Config {
    let mut config = Config::scanning(staff);
    config.command = "user = [\"*@staff.example.net\"]\n".into();
    config.rest.push_str(&format!(
        "[[command-acl]]\nname = \"guests\"\nuser = [\"*@guests.example.net\"]\nserver-tls = \"off\"\nplug-to = [\"{guests}\"]\n"
    ));
    config.keeping_nothing()
}

fn log_in(client: &mut Client, user: &str, password: &str) -> String {
    assert!(client.command(&format!("USER {user}")).starts_with("+OK"));
    client.command(&format!("PASS {password}"))
}

fn connected(mailward: &Mailward) -> Client {
    let (client, greeting) = Client::connect(mailward.address());
    assert_eq!(greeting, "+OK ready");
    client
}

fn subject(client: &mut Client) -> String {
    let mail = String::from_utf8_lossy(&client.retrieve(1)).into_owned();
    mail.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
}

fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn each_name_leads_to_the_server_of_its_rule() {
    let dovecots = ["for staff", "for guests"]
        .map(|subject| Dovecot::start(&[mails::plain(subject, "x"), mails::infected()]));
    // The second is found by name, so that lookup both decides and resolves.
    let guests = format!("localhost:{}", dovecots[1].address().port());
    let mailward = Mailward::start(&config(dovecots[0].address(), &guests));
    let mut ann = connected(&mailward);
    assert!(log_in(&mut ann, ANN, "secret").starts_with("+OK"));
    assert_eq!(subject(&mut ann), "for staff");
    let mut bob = connected(&mailward);
    assert!(log_in(&mut bob, BOB, "secret").starts_with("+OK"));
    assert_eq!(subject(&mut bob), "for guests");
    // Each under its rule, scanned, and remembered.
    let notice = bob.retrieve(2);
    assert!(!String::from_utf8_lossy(&notice).contains(&mails::eicar()));
    assert!(bob.command("DELE 2").starts_with("-ERR"));
    let record =
        mailward.logged("the guests' rule", |record| record["record"] == "ACL" && record["rule"] == "guests");
    assert_eq!((&record["phase"], &record["decision"]), (&"command-acl".into(), &"accept".into()));
    let mut sasl = connected(&mailward);
    assert!(sasl.command(&format!("AUTH PLAIN {ANN_PLAIN}")).starts_with("+OK"));
    assert_eq!(subject(&mut sasl), "for staff");
    assert_eq!(sasl.command("QUIT").get(..3), Some("+OK"));
}

#[test]
fn a_wrong_password_is_told_and_the_next_attempt_may_be_another_user() {
    let dovecots = ["for staff", "for guests"].map(|subject| Dovecot::start(&[mails::plain(subject, "x")]));
    let mailward = Mailward::start(&config(dovecots[0].address(), &dovecots[1].address().to_string()));
    let mut client = connected(&mailward);
    let answer = log_in(&mut client, ANN, "wrong");
    assert!(answer.starts_with("-ERR"), "{answer}");
    let answer = log_in(&mut client, BOB, "secret");
    assert!(answer.starts_with("+OK"), "{answer}");
    assert_eq!(subject(&mut client), "for guests");
    mailward.logged("the failed login", |record| record["record"] == "LOGIN" && record["user"] == ANN);
}

#[test]
fn the_failure_limit_holds_across_servers() {
    let dovecot = Dovecot::start(&[mails::plain("x", "x")]);
    let mut config = config(dovecot.address(), &dovecot.address().to_string());
    config.rest.push_str("[login]\nfailure-limit = 2\nfailure-delay = \"0s\"\n");
    let mailward = Mailward::start(&config);
    let mut client = connected(&mailward);
    assert!(log_in(&mut client, ANN, "wrong").starts_with("-ERR"));
    assert!(log_in(&mut client, BOB, "wrong").starts_with("-ERR"));
    assert_eq!(client.line(), "", "closed");
}

#[test]
fn a_name_that_no_rule_knows_hears_of_a_wrong_password_and_no_server_is_dialled() {
    let server = Server::start(vec![mails::plain("x", "x")], &[]);
    let mailward = Mailward::start(&config(server.address(), &server.address().to_string()));
    let mut client = connected(&mailward);
    let answer = log_in(&mut client, "mallory", "secret");
    assert_eq!(answer, "-ERR [AUTH] wrong name or password");
    assert_eq!(client.line(), "", "closed");
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    let end = mailward.logged("the end", |record| record["record"] == "SESSION-END");
    assert_eq!(end["end"], "denied", "{end}");
}

#[test]
fn a_server_that_is_down_is_told_and_tried_again_at_the_next_login() {
    let guests = closed_port();
    let dovecot = Dovecot::start(&[mails::plain("for staff", "x")]);
    let mailward = Mailward::start(&config(dovecot.address(), &guests.to_string()));
    let mut client = connected(&mailward);
    for _ in 0..2 {
        let answer = log_in(&mut client, BOB, "secret");
        assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    }
    assert!(log_in(&mut client, ANN, "secret").starts_with("+OK"));
    assert_eq!(subject(&mut client), "for staff");
}

#[test]
fn what_is_pipelined_behind_the_password_is_answered_in_its_turn() {
    let dovecot = Dovecot::start(&[mails::plain("for staff", "x")]);
    let mailward = Mailward::start(&config(dovecot.address(), &dovecot.address().to_string()));
    let mut client = connected(&mailward);
    client.send(format!("USER {ANN}\r\nPASS secret\r\nSTAT\r\nNOOP\r\nRETR 1\r\nQUIT\r\n"));
    for expected in ["+OK", "+OK", "+OK 1 ", "+OK", "+OK"] {
        let line = client.line();
        assert!(line.starts_with(expected), "{expected}: {line}");
    }
    assert_eq!(client.content().unwrap(), mails::plain("for staff", "x"));
    assert!(client.line().starts_with("+OK"));
}

#[test]
fn a_rule_in_front_that_is_certain_dials_at_once() {
    let server = Server::start(vec![mails::plain("x", "x")], &[]);
    let mut config = config(server.address(), &server.address().to_string());
    config.command = String::new();
    let mailward = Mailward::start(&config);
    let (_, greeting) = Client::connect(mailward.address());
    assert_ne!(greeting, "+OK ready", "the server's own greeting is passed on");
}

#[test]
fn capabilities_before_the_login_are_what_is_true_of_us() {
    let server = Server::start(vec![mails::plain("x", "x")], &[]);
    let mailward = Mailward::start(&config(server.address(), &server.address().to_string()));
    let mut client = connected(&mailward);
    let (first, list) = client.multiline("CAPA");
    assert!(first.starts_with("+OK"));
    let list = String::from_utf8(list.unwrap()).unwrap();
    for capability in ["TOP", "UIDL", "USER", "SASL PLAIN LOGIN", "AUTH-RESP-CODE"] {
        assert!(list.lines().any(|line| line == capability), "{capability}: {list}");
    }
    assert!(client.command("APOP ann 0123456789abcdef0123456789abcdef").starts_with("-ERR"));
    assert!(client.command("STAT").starts_with("-ERR"));
    assert!(client.command("QUIT").starts_with("+OK"));
    assert!(server.seen().is_empty());
}

#[test]
fn tls_stands_on_both_sides_whoever_begins_it() {
    let pki = Pki::default();
    let pair = pki.sign(&[NAME]);
    let dovecot = Dovecot::secured(&[mails::plain("for staff", "x")], &pair);
    for (client_mode, server_mode, server) in [
        ("implicit", "implicit", dovecot.tls_address()),
        ("starttls-required", "starttls", dovecot.address()),
    ] {
        let mut config = config(server, &closed_port().to_string());
        config.listener = format!("tls = \"{client_mode}\"");
        config.command.push_str("server-tls = \"lab\"\n");
        config.rest.push_str(&format!(
            "[client-tls.lab]\ncertificates = [{}]\n[server-tls.lab]\nmode = \"{server_mode}\"\nca = \"{}\"\nname = \"{NAME}\"\n",
            pair.toml(),
            pki.ca().display()
        ));
        let mailward = Mailward::start(&config);
        let tls = Tls::new(&pki.ca(), NAME);
        let mut client = if client_mode == "implicit" {
            Client::connect_tls(mailward.address(), &tls).unwrap().0
        } else {
            let mut clear = connected(&mailward);
            assert!(clear.command(&format!("USER {ANN}")).starts_with("-ERR"), "not in clear text");
            clear.stls(&tls).unwrap()
        };
        let answer = log_in(&mut client, ANN, "secret");
        assert!(answer.starts_with("+OK"), "{client_mode}: {answer}");
        assert_eq!(subject(&mut client), "for staff");
    }
}

#[test]
fn a_server_with_a_certificate_of_somebody_else_gets_no_password() {
    let (pki, other) = (Pki::default(), Pki::new("Other CA"));
    let dovecot = Dovecot::secured(&[mails::plain("x", "x")], &other.sign(&[NAME]));
    let mut config = config(dovecot.tls_address(), &closed_port().to_string());
    config.command.push_str("server-tls = \"lab\"\n");
    let ca = pki.ca();
    config.rest.push_str(&format!("[server-tls.lab]\nca = \"{}\"\nname = \"{NAME}\"\n", ca.display()));
    let mailward = Mailward::start(&config);
    let mut client = connected(&mailward);
    let answer = log_in(&mut client, ANN, "secret");
    assert!(answer.starts_with("-ERR [SYS/TEMP]") && answer.contains("certificate"), "{answer}");
    assert!(client.command("QUIT").starts_with("+OK"));
}

#[test]
fn a_certificate_decides_what_it_can_and_the_name_what_is_left() {
    let (own, users) = (Pki::default(), Pki::new("Users CA"));
    let dovecots = ["for staff", "for guests"].map(|subject| Dovecot::start(&[mails::plain(subject, "x")]));
    let mut config = config(dovecots[0].address(), &dovecots[1].address().to_string());
    config.listener = "tls = \"implicit\"".to_owned();
    config.command = format!("client-certificate = [{{ san = \"{ANN}\" }}]\n");
    config.rest.push_str(&format!(
        "[client-tls.lab]\ncertificates = [{}]\nclient-certificates = \"optional\"\nclient-ca = \"{}\"\n",
        own.sign(&[NAME]).toml(),
        users.ca().display()
    ));
    let mailward = Mailward::start(&config);
    let with = Tls::with_certificate(&own.ca(), NAME, &users.sign(&[ANN]));
    let (mut ann, greeting) = Client::connect_tls(mailward.address(), &with).unwrap();
    assert_ne!(greeting, "+OK ready", "the certificate decided");
    assert!(log_in(&mut ann, ANN, "secret").starts_with("+OK"));
    assert_eq!(subject(&mut ann), "for staff");
    let without = Tls::new(&own.ca(), NAME);
    let (mut bob, greeting) = Client::connect_tls(mailward.address(), &without).unwrap();
    assert_eq!(greeting, "+OK ready");
    assert!(log_in(&mut bob, BOB, "secret").starts_with("+OK"));
    assert_eq!(subject(&mut bob), "for guests");
}

#[test]
fn a_reload_between_greeting_and_login_decides_by_the_new_rules() {
    let dovecots = ["for staff", "for guests"].map(|subject| Dovecot::start(&[mails::plain(subject, "x")]));
    let mailward = Mailward::start(&config(dovecots[0].address(), &dovecots[1].address().to_string()));
    let mut ann = connected(&mailward);
    let mut bob = connected(&mailward);
    assert!(log_in(&mut bob, BOB, "secret").starts_with("+OK"));
    let swapped = |text: String| {
        text.replace("*@staff", "*@other").replace("*@guests", "*@staff").replace("*@other", "*@guests")
    };
    mailward.edit(swapped);
    assert!(mailward.reload(&[]).status.success());
    assert!(log_in(&mut ann, ANN, "secret").starts_with("+OK"));
    assert_eq!(subject(&mut ann), "for guests");
    // Who is with a server stays there, under the rule that has its name now.
    assert!(bob.command("NOOP").starts_with("+OK"));
}

#[test]
fn a_mechanism_that_the_listener_names_is_relayed_to_the_server_of_the_name() {
    let dovecots = ["for staff", "for guests"].map(|subject| Dovecot::start(&[mails::plain(subject, "x")]));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/by_scram.py");
    for imap in [false, true] {
        let [staff, guests] =
            [0, 1].map(|at| if imap { dovecots[at].imap_address() } else { dovecots[at].address() });
        let mut config = config(staff, &guests.to_string());
        if imap {
            config = config.imap();
        }
        let scram = |mailward: &Mailward, user: &str, password: &str| {
            let (protocol, port) =
                (if imap { "imap" } else { "pop3" }, mailward.address().port().to_string());
            let words = [script, protocol, &port, user, password];
            let output = Command::new("python3").args(words).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        // Where nothing was said, nobody knows what the servers have.
        let mailward = Mailward::start(&config);
        assert!(scram(&mailward, ANN, "secret").contains("mechanism is not available"));
        config.listener.push_str("capabilities = [\"*\", \"AUTH=SCRAM-SHA-256\"]\n");
        let mailward = Mailward::start(&config);
        assert_eq!(scram(&mailward, ANN, "secret"), "for staff\n");
        assert_eq!(scram(&mailward, BOB, "secret"), "for guests\n");
        assert!(scram(&mailward, BOB, "wrong").to_lowercase().contains("authentication failed"));
        mailward.logged("the failed login", |record| record["user"] == BOB && record["accepted"] == false);
    }
}

#[test]
fn a_listener_greets_and_announces_in_its_own_words() {
    let dovecot = Dovecot::start(&[mails::plain("x", "x")]);
    let mut config = Config::scanning(dovecot.imap_address()).imap();
    config.command = "user = [\"*\"]\n".into();
    config.listener =
        "greeting = \"{hostname} at your service\"\ncapabilities = [\"IMAP4rev1\", \"AUTH=PLAIN\"]\n".into();
    let mailward = Mailward::start(&config);
    let mut client = Imap::connect(mailward.address());
    let hostname = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(client.greeting, format!("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] {hostname} at your service"));
    assert!(client.ok("CAPABILITY").has("* CAPABILITY IMAP4rev1 AUTH=PLAIN"));
    for hidden in ["ID NIL", "AUTHENTICATE LOGIN", "AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0"] {
        assert!(client.command(hidden).tagged.starts_with("NO"), "{hidden}");
    }
    client.ok("LOGIN user secret");
    client.ok("ID NIL");
    assert!(client.ok("CAPABILITY").text().contains(" IDLE"));
}
