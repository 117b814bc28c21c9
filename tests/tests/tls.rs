//! TLS on both sides, with real dovecots, real handshakes and a certificate authority of the test's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::client_tls::Tls;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mails;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::pki::{Flaws, Pair, Pki};
use mailward_tests::server::{Answer, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const NAME: &str = "mail.example.net";

/// A client-tls with this certificate.
fn towards_clients(pair: &Pair) -> String {
    format!("[client-tls.lab]\ncertificates = [{}]\n", pair.toml())
}

/// A server-tls that trusts this authority.
fn towards_servers(pki: &Pki, lines: &str) -> String {
    format!("[server-tls.lab]\nca = \"{}\"\n{lines}\n", pki.ca().display())
}

fn config(server: SocketAddr, listener: &str, command: &str, rest: &str) -> Config {
    let mut config = Config::scanning(server);
    config.listener = listener.to_owned();
    config.command = command.to_owned();
    config.rest.push_str(rest);
    config
}

/// In front of a clear-text server, TLS towards clients.
fn in_front(server: SocketAddr, listener: &str, pair: &Pair) -> Config {
    config(server, listener, "", &towards_clients(pair))
}

#[test]
fn every_client_side_goes_with_every_server_side_and_the_mail_arrives_byte_for_byte() {
    let pki = Pki::default();
    let (ours, theirs) = (pki.sign(&[NAME]), pki.sign(&["127.0.0.1"]));
    let mail = mails::plain("TLS", "on both sides");
    let dovecot = Dovecot::secured(std::slice::from_ref(&mail), &theirs);
    let tls = Tls::new(&pki.ca(), NAME);
    for (client_mode, server_mode) in ["off", "starttls-required", "implicit"]
        .iter()
        .flat_map(|c| ["off", "starttls", "implicit"].map(|s| (*c, s)))
    {
        let listener = format!("tls = \"{client_mode}\"");
        let server = if server_mode == "implicit" { dovecot.tls_address() } else { dovecot.address() };
        let rest = towards_clients(&ours) + &towards_servers(&pki, &format!("mode = \"{server_mode}\""));
        let mailward = Mailward::start(&config(server, &listener, "server-tls = \"lab\"", &rest));
        let client = match client_mode {
            "implicit" => Client::connect_tls(mailward.address(), &tls).unwrap().0,
            "starttls-required" => Client::connect(mailward.address()).0.stls(&tls).unwrap(),
            _ => Client::connect(mailward.address()).0,
        };
        let mut client = client.log_in();
        assert_eq!(client.retrieve(1), mail, "{client_mode} {server_mode}");
        assert_eq!(client.command("QUIT"), "+OK Logging out.", "{client_mode} {server_mode}");
        for (side, mode) in [("TLS with the client", client_mode), ("TLS with the server", server_mode)] {
            let said = |record: &serde_json::Value| record.to_string().contains(side);
            if mode == "off" {
                assert_eq!(mailward.log_count(said), 0, "{client_mode} {server_mode}: {side}");
            } else {
                mailward.logged(side, said);
            }
        }
    }
}

#[test]
fn no_login_in_clear_text_where_tls_is_required_and_capa_says_so() {
    let pki = Pki::default();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let mailward =
        Mailward::start(&in_front(server.address(), "tls = \"starttls-required\"", &pki.sign(&[NAME])));
    let (mut client, _) = Client::connect(mailward.address());
    for login in ["USER user", "PASS secret", "AUTH PLAIN AHVzZXIAc2VjcmV0"] {
        assert_eq!(client.command(login), "-ERR begin TLS first", "{login}");
    }
    let capa = String::from_utf8(client.multiline("CAPA").1.unwrap()).unwrap();
    assert!(capa.contains("STLS\r\n") && !capa.contains("USER"), "{capa}");
    let mut client = client.stls(&Tls::new(&pki.ca(), NAME)).unwrap();
    let capa = String::from_utf8(client.multiline("CAPA").1.unwrap()).unwrap();
    assert!(!capa.contains("STLS"), "{capa}");
    client.log_in();
    let seen = server.seen();
    let logins = seen.iter().filter(|line| line.contains("USER") || line.contains("PASS")).count();
    assert_eq!(logins, 2, "only what came behind TLS: {seen:?}");
}

#[test]
fn what_is_planted_behind_stls_never_becomes_a_command() {
    let pki = Pki::default();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let mailward = Mailward::start(&in_front(server.address(), "tls = \"starttls\"", &pki.sign(&[NAME])));
    let pieces: [&[&[u8]]; 4] = [
        &[b"STLS\r\nUSER planted\r\n"],
        &[b"STLS\r\n", b"USER planted\r\n"],
        &[b"STLS\r", b"\nUSER planted\r\n"],
        &[b"S", b"T", b"L", b"S", b"\r", b"\n", b"U", b"SER planted\r\n"],
    ];
    for pieces in pieces {
        let mut stream = TcpStream::connect(mailward.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
        for piece in pieces {
            std::thread::sleep(std::time::Duration::from_millis(1));
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let answers = String::from_utf8_lossy(&rest).matches("+OK").count();
        assert!(answers <= 1, "at most STLS was answered: {rest:?}");
    }
    assert!(server.seen().iter().all(|line| !line.contains("planted")), "{:?}", server.seen());
    mailward.logged("the fault", |record| record.to_string().contains("octets behind STLS"));
}

#[test]
fn a_server_that_is_not_who_it_should_be_gets_no_octet_of_a_login() {
    let pki = Pki::default();
    let stranger = Pki::new("Stranger");
    let flawed = |flaws| pki.sign_flawed(&["127.0.0.1"], flaws);
    let cases = [
        ("another name", pki.sign(&["other.example.net"]), "mode = \"implicit\"", false),
        ("unknown authority", stranger.sign(&["127.0.0.1"]), "mode = \"implicit\"", false),
        ("expired", flawed(Flaws { expired: true, ..Flaws::default() }), "mode = \"starttls\"", false),
        ("early", flawed(Flaws { early: true, ..Flaws::default() }), "mode = \"implicit\"", false),
        (
            "self-signed",
            flawed(Flaws { self_signed: true, ..Flaws::default() }),
            "mode = \"implicit\"",
            false,
        ),
        ("chain only", pki.sign(&["other.example.net"]), "verify = \"chain\"", true),
        ("another name expected", pki.sign(&["other.example.net"]), "name = \"other.example.net\"", true),
        (
            "expired accepted",
            flawed(Flaws { expired: true, ..Flaws::default() }),
            "accept = [\"expired\"]",
            true,
        ),
        (
            "early accepted",
            flawed(Flaws { early: true, ..Flaws::default() }),
            "accept = [\"not-yet-valid\"]",
            true,
        ),
        (
            "self-signed accepted",
            flawed(Flaws { self_signed: true, ..Flaws::default() }),
            "accept = [\"self-signed\"]",
            true,
        ),
        (
            "expired is not self-signed",
            flawed(Flaws { self_signed: true, expired: true, ..Flaws::default() }),
            "accept = [\"self-signed\"]",
            false,
        ),
        ("nothing verified", stranger.sign(&["other.example.net"]), "verify = \"none\"", true),
    ];
    for (what, theirs, lines, taken) in cases {
        let dovecot = Dovecot::secured(&[mails::plain("a", "b")], &theirs);
        let server = if lines.contains("starttls") { dovecot.address() } else { dovecot.tls_address() };
        let rest = towards_servers(&pki, lines);
        let mailward = Mailward::start(&config(server, "tls = \"off\"", "server-tls = \"lab\"", &rest));
        let (client, greeting) = Client::connect(mailward.address());
        if taken {
            client.log_in();
            continue;
        }
        assert_eq!(greeting, "-ERR [SYS/TEMP] the mail server's certificate could not be verified", "{what}");
        let record =
            mailward.logged("the reason", |record| record.to_string().contains("TLS with the server failed"));
        assert!(record.to_string().contains("subject OU=Staff,CN="), "{what}: {record}");
    }
}

#[test]
fn rules_can_require_of_a_servers_certificate_what_they_like() {
    let pki = Pki::default();
    let theirs = pki.sign(&["127.0.0.1", "pop.example.net"]);
    let dovecot = Dovecot::secured(&[mails::plain("a", "b")], &theirs);
    let rest = towards_servers(&pki, "");
    for (require, taken) in [
        ("{ san = \"*.example.net\" }", true),
        ("{ subject = \"ou=staff,*\", issuer = \"CN=Lab CA\" }", true),
        ("{ san = \"*.example.org\" }", false),
        ("{ subject = \"OU=Guests,*\" }, { issuer = \"CN=Other CA\" }", false),
    ] {
        let command = format!("server-tls = \"lab\"\nrequire-server-certificate = [{require}]\n");
        let mailward = Mailward::start(&config(dovecot.tls_address(), "tls = \"off\"", &command, &rest));
        let (_, greeting) = Client::connect(mailward.address());
        assert_eq!(greeting.starts_with("+OK"), taken, "{require}: {greeting}");
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_one_whose_key_is_the_keyholders() {
    let (pki, gateways) = (Pki::default(), Pki::new("Gateways CA"));
    let mail = mails::plain("asked", "and shown");
    let dovecot =
        Dovecot::asking(std::slice::from_ref(&mail), &pki.sign(&["127.0.0.1"]), Some(&gateways.ca()));
    let ours = gateways.sign(&["gw.example.net"]);
    let start = |lines: &str| {
        let rest = towards_servers(&pki, lines);
        Mailward::start(&config(dovecot.tls_address(), "tls = \"off\"", "server-tls = \"lab\"", &rest))
    };
    for versions in ["\"1.3\"", "\"1.2\""] {
        let shown = start(&format!("certificate = {}\nversions = [{versions}]", ours.toml()));
        let mut client = Client::login(shown.address());
        assert_eq!(client.retrieve(1), mail, "{versions}");
        assert_eq!(shown.role("keyholder").len(), 1);
    }
    let without = start("");
    let (mut client, greeting) = Client::connect(without.address());
    let refused = !greeting.starts_with("+OK")
        || !client.command("USER user").starts_with("+OK")
        || !client.command("PASS secret").starts_with("+OK");
    assert!(refused, "the server asks in vain");
}

#[test]
fn a_server_that_refuses_tls_gets_no_session_unless_opportunistic_says_so() {
    let refusal = ("STLS", Answer::Bytes(b"-ERR what is that?\r\n".to_vec()));
    let server = Server::start(vec![mails::plain("a", "b")], &[refusal]);
    let pki = Pki::default();
    let start = |mode: &str| {
        let rest = towards_servers(&pki, &format!("mode = \"{mode}\""));
        Mailward::start(&config(server.address(), "tls = \"off\"", "server-tls = \"lab\"", &rest))
    };
    let strict = start("starttls");
    let (_, greeting) = Client::connect(strict.address());
    assert_eq!(greeting, "-ERR [SYS/TEMP] the mail server offers no TLS");
    assert!(server.seen().iter().all(|line| !line.contains("USER")), "{:?}", server.seen());
    let lax = start("opportunistic");
    Client::login(lax.address());
    lax.logged("the warning", |record| record.to_string().contains("travel in clear text"));
}

#[test]
fn hostile_servers_plant_nothing_and_get_no_login_before_tls() {
    let pki = Pki::default();
    let rest = towards_servers(&pki, "mode = \"starttls\"");
    let bytes = |text: &str| Answer::Bytes(text.as_bytes().to_vec());
    let cases = [
        [("STLS", bytes("+OK begin\r\n+OK planted\r\n"))].to_vec(),
        [("STLS", bytes("+OK planted\r\n"))].to_vec(),
        [("", bytes("+OK ready\r\n+OK planted\r\n"))].to_vec(),
        [("", bytes("* PREAUTH planted\r\n"))].to_vec(),
        [("", bytes("+OK [ALERT] planted\r\n")), ("STLS", bytes("* OK planted\r\n"))].to_vec(),
        [("", bytes("-ERR planted\r\n"))].to_vec(),
        [("STLS", Answer::Close(b"+OK\r\n".to_vec()))].to_vec(),
    ];
    for overrides in cases {
        let server = Server::start(vec![mails::plain("a", "b")], &overrides);
        let mailward =
            Mailward::start(&config(server.address(), "tls = \"off\"", "server-tls = \"lab\"", &rest));
        let (mut client, greeting) = Client::connect(mailward.address());
        assert!(greeting.starts_with("-ERR [SYS/TEMP]"), "{overrides:?}: {greeting}");
        let rest = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(!(greeting + &rest).contains("planted"), "{overrides:?}");
        let seen = server.seen();
        let login = |line: &String| ["USER", "PASS", "AUTH", "APOP"].iter().any(|verb| line.contains(verb));
        assert!(!seen.iter().any(login), "{overrides:?}: {seen:?}");
    }
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_the_client_asks_for() {
    let pki = Pki::default();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let (first, second) = (pki.sign(&[NAME]), pki.sign(&["*.example.org"]));
    let rest = format!("[client-tls.lab]\ncertificates = [{}, {}]\n", first.toml(), second.toml());
    let mailward = Mailward::start(&config(server.address(), "tls = \"implicit\"", "", &rest));
    for (name, known) in
        [(NAME, true), ("pop.example.org", true), ("a.b.example.org", false), ("other.net", false)]
    {
        let connected = Client::connect_tls(mailward.address(), &Tls::new(&pki.ca(), name));
        assert_eq!(connected.is_ok(), known, "{name}");
    }
}

#[test]
fn a_client_certificate_is_required_and_matched() {
    let pki = Pki::default();
    let users = Pki::new("Users CA");
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let ours = pki.sign(&[NAME]);
    let rest = towards_clients(&ours) + &format!("client-ca = \"{}\"\n", users.ca().display());
    let mut config = config(server.address(), "tls = \"implicit\"", "", &rest);
    config.session =
        "require-client-certificate = [{ issuer = \"CN=Users CA\", san = \"*@example.net\" }]".to_owned();
    let mailward = Mailward::start(&config);
    let greeting = |tls: &Tls| {
        Client::connect_tls(mailward.address(), tls).map_or_else(|_| String::new(), |(_, greeting)| greeting)
    };
    let shown = |pair: &Pair| greeting(&Tls::with_certificate(&pki.ca(), NAME, pair));
    assert!(shown(&users.sign(&["ann@example.net"])).starts_with("+OK"));
    assert_eq!(shown(&users.sign(&["ann@example.org"])), "", "another domain");
    assert_eq!(shown(&pki.sign(&["ann@example.net"])), "", "another authority");
    assert_eq!(greeting(&Tls::new(&pki.ca(), NAME)), "", "none");
    let failed = || mailward.log_count(|record| record["end"] == "client-tls");
    mailward_tests::until("the ends", 20, || (failed() == 3).then_some(()));
    assert_eq!(server.seen().iter().filter(|line| line.contains("USER")).count(), 0);
}

#[test]
fn other_application_protocols_are_refused() {
    let pki = Pki::default();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let mailward = Mailward::start(&in_front(server.address(), "tls = \"implicit\"", &pki.sign(&[NAME])));
    for (alpn, taken) in [
        (&["pop3"][..], true),
        (&[], true),
        (&["h2", "pop3"], true),
        (&["http/1.1"], false),
        (&["imap"], false),
    ] {
        let connected = Client::connect_tls(mailward.address(), &Tls::with_alpn(&pki.ca(), NAME, alpn));
        assert_eq!(connected.is_ok(), taken, "{alpn:?}");
    }
}

#[test]
fn a_session_is_resumed_by_another_worker_and_not_by_another_listener() {
    let pki = Pki::default();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let mut config = in_front(server.address(), "tls = \"implicit\"", &pki.sign(&[NAME]));
    config.service = "isolation = \"session\"\nspare-workers = 2".to_owned();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.rest.push_str(&format!(
        "[[tenant]]\nname = \"other\"\n[[listener]]\nname = \"other\"\nprotocol = \"pop3\"\ntenant = \"other\"\naddress = [\"{other}\"]\n"
    ));
    let mailward = Mailward::start(&config);
    let tls = Tls::new(&pki.ca(), NAME);
    let resumed = |address| {
        let (client, _) = Client::connect_tls(address, &tls).unwrap();
        let mut client = client.log_in();
        client.command("QUIT");
        client.resumed()
    };
    assert!(!resumed(mailward.address()), "the first");
    assert!(resumed(mailward.address()), "by another process");
    assert!(!resumed(other), "the ticket of another tenant's listener");
}

#[test]
fn a_renewed_certificate_is_shown_without_being_asked_to() {
    let pki = Pki::default();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let (first, second) = (pki.sign(&[NAME]), pki.sign(&["new.example.net"]));
    let mailward = Mailward::start(&in_front(server.address(), "tls = \"implicit\"", &first));
    let mut before = Client::connect_tls(mailward.address(), &Tls::new(&pki.ca(), NAME)).unwrap().0.log_in();
    // Somebody is editing the configuration meanwhile: that is nobody's business before it is reloaded.
    mailward.edit(|text| text.replace("version = 1", "version = 1\nhalf written"));
    for (new, old) in [(&second.cert, &first.cert), (&second.key, &first.key)] {
        std::fs::rename(new, old).unwrap();
    }
    let tls = Tls::new(&pki.ca(), "new.example.net");
    mailward_tests::until("the new certificate", 30, || Client::connect_tls(mailward.address(), &tls).ok());
    assert_eq!(before.command("NOOP"), "+OK", "sessions go on");
}

#[test]
fn the_private_key_is_in_the_memory_of_the_keyholder_alone() {
    if !mailward_tests::root_or_skip("the_private_key_is_in_the_memory_of_the_keyholder_alone") {
        return;
    }
    mailward_tests::raise_descriptor_limit();
    let pki = Pki::default();
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let pair = pki.sign(&[NAME]);
    let mailward = Mailward::start(&in_front(server.address(), "tls = \"implicit\"", &pair));
    let tls = Tls::new(&pki.ca(), NAME);
    let sessions: Vec<Client> =
        (0..1000).map(|_| Client::connect_tls(mailward.address(), &tls).unwrap().0.log_in()).collect();
    assert_eq!(mailward.who_holds(&pair.private_number()), ["keyholder"]);
    drop(sessions);
}
