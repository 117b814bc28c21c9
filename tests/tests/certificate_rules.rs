//! Command rules that ask for a client's certificate, with real dovecots, certificates of an authority, and openssl as a
//! client.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::client_tls::Tls;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mails;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::pki::{Pair, Pki};
use mailward_tests::server::Server;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

const NAME: &str = "mail.example.net";
const ANN: &str = "ann@staff.example.net";
const BOB: &str = "bob@guests.example.net";

/// Two authorities: Mailward's certificate, and its clients'.
struct Lab {
    own: Pki,
    users: Pki,
}

impl Lab {
    fn new() -> Self {
        Self { own: Pki::default(), users: Pki::new("Users CA") }
    }

    /// The rule "all" is for staff alone; then comes what else there is.
    fn config(&self, server: SocketAddr, rest: &str) -> Config {
        let mut config = Config::passing(server);
        config.listener = "tls = \"implicit\"".to_owned();
        config.command = "client-certificate = [{ san = \"*@staff.example.net\" }]".to_owned();
        let pair = self.own.sign(&[NAME]);
        config.rest = format!(
            "{rest}[client-tls.lab]\ncertificates = [{}]\nclient-certificates = \"optional\"\nclient-ca = \"{}\"\n",
            pair.toml(),
            self.users.ca().display()
        );
        config
    }

    fn connect(&self, mailward: &Mailward, pair: Option<&Pair>) -> (Client, String) {
        let ca = self.own.ca();
        let tls = pair.map_or_else(|| Tls::new(&ca, NAME), |pair| Tls::with_certificate(&ca, NAME, pair));
        Client::connect_tls(mailward.address(), &tls).unwrap()
    }
}

fn rule(name: &str, condition: &str, server: &str) -> String {
    format!(
        "[[command-acl]]\nname = \"{name}\"\n{condition}\nplug-to = [\"{server}\"]\nserver-tls = \"off\"\n\
         [command-acl.download]\nno-mail-scanning = true\n"
    )
}

fn guests(server: SocketAddr) -> String {
    rule("guests", "client-certificate = [{ san = \"*@guests.example.net\" }]", &server.to_string())
}

fn acl(mailward: &Mailward, decision: &str, rule: &str) -> Value {
    mailward.logged("the decision", |record| {
        record["record"] == "ACL" && record["decision"] == decision && record["rule"] == rule
    })
}

#[test]
fn each_certificate_leads_to_the_server_of_its_rule_and_none_to_the_last() {
    let lab = Lab::new();
    let subjects = ["for staff", "for guests", "for everybody"];
    let dovecots = subjects.map(|subject| Dovecot::start(&[mails::plain(subject, "hello")]));
    // The last is found by name, so that lookup both decides and resolves.
    let by_name = format!("localhost:{}", dovecots[2].address().port());
    let rest = guests(dovecots[1].address()) + &rule("others", "", &by_name);
    let mailward = Mailward::start(&lab.config(dovecots[0].address(), &rest));
    let (ann, bob) = (lab.users.sign(&[ANN]), lab.users.sign(&[BOB]));
    for (pair, subject, rule) in
        [(Some(&ann), subjects[0], "all"), (Some(&bob), subjects[1], "guests"), (None, subjects[2], "others")]
    {
        let (client, greeting) = lab.connect(&mailward, pair);
        assert!(greeting.starts_with("+OK"), "{greeting}");
        let mail = client.log_in().retrieve(1);
        assert!(String::from_utf8_lossy(&mail).contains(subject), "{rule}");
        let record = acl(&mailward, "accept", rule);
        assert_eq!((&record["phase"], &record["parent"]), (&"command-acl".into(), &"everyone".into()));
        assert!(record["session"].is_string());
    }
}

#[test]
fn openssl_gets_the_commands_that_its_certificate_permits() {
    let lab = Lab::new();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let rest = rule("others", "commands = [\"*\", \"!STAT\"]", &server.address().to_string());
    let mailward = Mailward::start(&lab.config(server.address(), &rest));
    let says = |pair: Option<Pair>| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-connect"]).arg(mailward.address().to_string());
        if let Some(pair) = pair {
            command.arg("-cert").arg(pair.cert).arg("-key").arg(pair.key);
        }
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"USER user\r\nPASS secret\r\nSTAT\r\nQUIT\r\n").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let staff = says(Some(lab.users.sign(&[ANN])));
    assert!(staff.contains("+OK 1 "), "{staff}");
    let others = says(Some(lab.users.sign(&[BOB])));
    assert!(others.contains("-ERR this command is not permitted") && !others.contains("+OK 1 "), "{others}");
    assert!(says(None).contains("-ERR this command is not permitted"));
}

#[test]
fn a_client_that_no_rule_wants_is_told_so_and_no_server_is_dialled() {
    let lab = Lab::new();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let denied = "[[command-acl]]\nname = \"never\"\nclient-certificate = [{ subject = \"OU=Staff,CN=bob*\" }]\naction = \"deny\"\n";
    let mailward = Mailward::start(&lab.config(server.address(), denied));
    for (names, decision, rule) in [(&[BOB][..], "deny", "never"), (&["carl@example.org"], "no-match", "")] {
        let (mut client, answer) = lab.connect(&mailward, Some(&lab.users.sign(names)));
        assert_eq!(answer, "-ERR [SYS/PERM] you are not permitted to use this service", "{names:?}");
        assert_eq!(client.rest(), b"");
        acl(&mailward, decision, rule);
    }
    assert!(lab.connect(&mailward, None).1.starts_with("-ERR [SYS/PERM]"));
    let ended = || mailward.log_count(|record| record["end"] == "denied");
    mailward_tests::until("the ends", 20, || (ended() == 3).then_some(()));
    assert_eq!(server.seen(), Vec::<String>::new());
}

#[test]
fn without_a_handshake_first_no_certificate_decides() {
    let lab = Lab::new();
    let (staff, others) = ([mails::plain("for staff", "b")], [mails::plain("for others", "b")]);
    let (staff, others) = (Server::start(staff.to_vec(), &[]), Server::start(others.to_vec(), &[]));
    let mut config = lab.config(staff.address(), &rule("others", "", &others.address().to_string()));
    config.listener = "tls = \"starttls-required\"".to_owned();
    let mailward = Mailward::start(&config);
    let tls = Tls::with_certificate(&lab.own.ca(), NAME, &lab.users.sign(&[ANN]));
    let mut client = Client::connect(mailward.address()).0.stls(&tls).unwrap().log_in();
    assert!(String::from_utf8_lossy(&client.retrieve(1)).contains("for others"));
    assert_eq!(staff.seen(), Vec::<String>::new());
}

#[test]
fn a_decision_outlives_the_lookup_that_was_asked_for_it() {
    let lab = Lab::new();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let mailward = Mailward::start(&lab.config(server.address(), ""));
    let pair = lab.users.sign(&[ANN]);
    let lookup = mailward.role_count("lookup", 1)[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(lookup).unwrap()), Signal::SIGSTOP)
        .unwrap();
    std::thread::scope(|scope| {
        let greeting = scope.spawn(|| lab.connect(&mailward, Some(&pair)).1);
        mailward.logged("the handshake", |record| record["message"] == "TLS with the client");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(lookup).unwrap()), Signal::SIGKILL)
            .unwrap();
        assert!(greeting.join().unwrap().starts_with("+OK"));
    });
}

#[test]
fn a_reload_asks_again_what_the_certificate_of_each_session_permits() {
    let lab = Lab::new();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let mailward = Mailward::start(&lab.config(server.address(), &guests(server.address())));
    let (ann, bob) = (lab.users.sign(&[ANN]), lab.users.sign(&[BOB]));
    let mut ann = lab.connect(&mailward, Some(&ann)).0.log_in();
    let mut bob = lab.connect(&mailward, Some(&bob)).0.log_in();
    // Guests are not wanted any more, and staff may not do everything.
    mailward.edit(|text| {
        text.replace("name = \"guests\"", "name = \"guests\"\naction = \"deny\"")
            .replace("name = \"all\"", "name = \"all\"\ncommands = [\"*\", \"!STAT\"]")
    });
    let output = mailward.reload(&[]);
    assert!(output.status.success(), "{output:?}");
    acl(&mailward, "deny", "guests");
    assert_eq!(bob.line(), "-ERR [SYS/TEMP] this session was ended by the administrator");
    let refused = "-ERR this command is not permitted";
    mailward_tests::until("the new rule", 20, || (ann.command("STAT") == refused).then_some(()));
    assert_eq!(ann.command("NOOP"), "+OK");
}
