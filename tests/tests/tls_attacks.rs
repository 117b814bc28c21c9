//! Attacks on TLS and on the step into it, from either side, in the pieces in which a network could bring them; and one
//! policy on every path.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::client_tls::Tls;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::pki::{Flaws, Pair, Pki};
use mailward_tests::server::Server;
use mailward_tests::server_tls::Step::{Dribble, Hear, Pause, Say};
use mailward_tests::server_tls::{IMPLICIT, Met, STLS, Step, TlsServer};
use mailward_tests::{mails, until};
use rustls::version::{TLS12, TLS13};
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "mail.example.net";

/// Towards a server, by a server-tls with these lines; in clear text towards clients.
fn towards(server: &TlsServer, pki: &Pki, lines: &str) -> Mailward {
    let mut config = Config::scanning(server.address());
    config.command = "server-tls = \"lab\"".to_owned();
    config.rest.push_str(&format!("[server-tls.lab]\nca = \"{}\"\n{lines}\n", pki.ca().display()));
    Mailward::start(&config)
}

/// In front of a clear-text server.
fn in_front(server: &Server, listener: &str, pair: &Pair, lines: &str) -> Mailward {
    let mut config = Config::scanning(server.address());
    config.listener = listener.to_owned();
    config.rest.push_str(&format!("[client-tls.lab]\ncertificates = [{}]\n{lines}\n", pair.toml()));
    Mailward::start(&config)
}

fn server() -> Server {
    Server::start(vec![mails::plain("a", "b")], &[])
}

fn has_login(lines: &[String]) -> bool {
    let is_login = |line: &String| ["USER", "PASS", "AUTH", "APOP"].iter().any(|verb| line.contains(verb));
    lines.iter().any(is_login)
}

#[test]
fn what_a_server_plants_before_its_tls_ends_the_session_in_whatever_pieces_it_comes() {
    let pki = Pki::default();
    let theirs = pki.sign(&["127.0.0.1"]);
    let hostile: [&[Step]; 6] = [
        &[Say(b"+OK ready\r\n"), Hear, Say(b"+OK begin\r\n+OK planted\r\n")],
        &[Say(b"+OK ready\r\n"), Hear, Say(b"+OK begin\r\n"), Pause, Say(b"+OK planted\r\n")],
        &[Say(b"+OK ready\r\n"), Hear, Dribble(b"+OK begin\r\n+OK planted\r\n")],
        &[Say(b"+OK ready\r\n+OK begin\r\n"), Hear, Say(b"+OK planted\r\n")],
        &[Say(b"+OK ready\r\n"), Pause, Say(b"+OK planted\r\n"), Hear, Say(b"+OK begin\r\n")],
        &[Dribble(b"+OK ready\r\n+OK planted\r\n"), Hear, Say(b"+OK begin\r\n")],
    ];
    for before in hostile {
        let server = TlsServer::start(&theirs, &[&TLS12, &TLS13], before);
        let mailward = towards(&server, &pki, "mode = \"starttls\"");
        let (mut client, greeting) = Client::connect(mailward.address());
        assert!(greeting.starts_with("-ERR [SYS/TEMP]"), "{before:?}: {greeting}");
        let rest = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(!(greeting + &rest).contains("planted"), "{before:?}");
        assert!(!has_login(&server.heard()), "{before:?}: {:?}", server.heard());
    }
}

#[test]
fn nothing_that_a_server_said_before_its_tls_reaches_a_client() {
    const PLANTED: &[Step] =
        &[Dribble(b"+OK [ALERT] planted <1@planted>\r\n"), Hear, Say(b"+OK [REFERRAL] planted\r\n")];
    let pki = Pki::default();
    let server = TlsServer::start(&pki.sign(&["127.0.0.1"]), &[&TLS13], PLANTED);
    let mailward = towards(&server, &pki, "mode = \"starttls\"");
    let (mut client, greeting) = Client::connect(mailward.address());
    assert!(greeting.starts_with("+OK") && !greeting.contains('<'), "no timestamp for APOP: {greeting}");
    let said = [greeting, client.command("APOP user c4c9334bac560ecc979e58001b3e22fb")];
    assert!(!said.concat().contains("planted") && said[1].starts_with("-ERR"), "{said:?}");
    client.log_in();
    assert_eq!(server.heard(), ["STLS", "USER user", "PASS secret"]);
}

#[test]
fn servers_are_met_by_one_policy_whether_by_implicit_tls_or_by_stls() {
    let (pki, stranger) = (Pki::default(), Pki::new("Stranger"));
    let good = pki.sign(&[NAME]);
    let expired = pki.sign_flawed(&[NAME], Flaws { expired: true, ..Flaws::default() });
    let (other, foreign) = (pki.sign(&["other.example.net"]), stranger.sign(&[NAME]));
    let both = &[&TLS12, &TLS13][..];
    let cases = [
        (&good, both, "", true),
        (&good, &[&TLS12], "", true),
        (&good, &[&TLS12], "versions = [\"1.3\"]", false),
        (&good, both, "versions = [\"1.2\"]", true),
        (&expired, both, "", false),
        (&other, both, "", false),
        (&foreign, both, "", false),
        (&foreign, both, "verify = \"fingerprint\"\nfingerprints = [\"FOREIGN\"]", true),
        (&good, both, "verify = \"fingerprint\"\nfingerprints = [\"FOREIGN\"]", false),
    ];
    for (theirs, versions, lines, taken) in cases {
        let lines = lines.replace("FOREIGN", &fingerprint(&foreign));
        let meet = |mode: &str, before| -> Vec<Met> {
            let server = TlsServer::start(theirs, versions, before);
            let lines = format!("mode = \"{mode}\"\nname = \"{NAME}\"\n{lines}");
            let mailward = towards(&server, &pki, &lines);
            let (client, greeting) = Client::connect(mailward.address());
            assert_eq!(greeting.starts_with("+OK"), taken, "{lines}: {greeting}");
            if taken {
                client.log_in();
            }
            assert_eq!(has_login(&server.heard()), taken, "{lines}: {:?}", server.heard());
            until("the handshake", 20, || Some(server.met()).filter(|met| !met.is_empty()))
        };
        let implicit = meet("implicit", IMPLICIT);
        assert_eq!(implicit[0].name.as_deref(), Some(NAME));
        assert_eq!(implicit, meet("starttls", STLS), "{lines}");
    }
}

fn fingerprint(pair: &Pair) -> String {
    let mut command = Command::new("openssl");
    let output = command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&pair.cert).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.trim().rsplit_once('=').unwrap().1.to_owned()
}

#[test]
fn a_browser_that_was_led_here_is_closed_and_its_request_is_no_command() {
    let pki = Pki::default();
    let server = server();
    let mailward = in_front(&server, "tls = \"implicit\"", &pki.sign(&[NAME]), "");
    let (mut client, _) = Client::connect_tls(mailward.address(), &Tls::new(&pki.ca(), NAME)).unwrap();
    client.send("POST / HTTP/1.1\r\nHost: mail.example.net\r\n\r\nUSER user\r\nPASS secret\r\n");
    assert_eq!(client.rest(), b"", "nothing is reflected");
    assert!(!has_login(&server.seen()), "{:?}", server.seen());
    mailward.logged("the fault", |record| record.to_string().contains("a request of HTTP"));
}

#[test]
fn a_thousand_handshakes_of_an_octet_a_second_delay_no_login() {
    mailward_tests::raise_descriptor_limit();
    let pki = Pki::default();
    let server = server();
    let mailward = in_front(&server, "tls = \"implicit\"", &pki.sign(&[NAME]), "deadline = \"8s\"");
    let mut slow: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(mailward.address()).unwrap()).collect();
    let dribbling = thread::spawn(move || {
        for octet in [0x16, 3, 1, 0, 200] {
            for stream in &mut slow {
                stream.write_all(&[octet]).unwrap();
            }
            thread::sleep(Duration::from_secs(1));
        }
        slow
    });
    let mut took: Vec<Duration> = (0..100)
        .map(|_| {
            let begun = Instant::now();
            let tls = Tls::new(&pki.ca(), NAME);
            Client::connect_tls(mailward.address(), &tls).unwrap().0.log_in();
            begun.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[98] < Duration::from_secs(2), "{:?}", &took[90..]);
    let slow = dribbling.join().unwrap();
    until("the end of all", 30, || {
        let ended = mailward.log_count(|record| record["end"] == "client-tls");
        (ended >= slow.len()).then_some(())
    });
    assert_eq!(mailward.log_count(|record| record.to_string().contains("log records lost")), 0);
}

#[test]
fn nothing_is_renegotiated_and_no_octet_is_taken_before_a_handshake_is_over() {
    let pki = Pki::default();
    let server = server();
    let mailward = in_front(&server, "tls = \"implicit\"", &pki.sign(&[NAME]), "");
    let address = mailward.address().to_string();
    let files = tempfile::tempdir().unwrap();
    let (session, early) = (files.path().join("session"), files.path().join("early"));
    let talk = |arguments: &[&str], words: &[u8]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address]).args(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for word in words.split_inclusive(|octet| *octet == b'\n') {
            // openssl takes a line for a command of its own only if it comes alone.
            thread::sleep(Duration::from_millis(500));
            let _ = stdin.write_all(word);
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let renegotiated = talk(&["-tls1_2"], b"R\nUSER user\n");
    assert!(renegotiated.contains("RENEGOTIATING"), "{renegotiated}");
    assert!(renegotiated.contains("no renegotiation"), "it is refused: {renegotiated}");
    let session = session.to_str().unwrap();
    let first = talk(&["-tls1_3", "-sess_out", session], b"NOOP\nQUIT\n");
    assert!(first.contains("Max Early Data: 0"), "the ticket allows no early data: {first}");
    std::fs::write(&early, b"USER early\r\n").unwrap();
    let second = talk(&["-tls1_3", "-sess_in", session, "-early_data", early.to_str().unwrap()], b"QUIT\n");
    assert!(!second.contains("Early data was accepted"), "{second}");
    assert!(!has_login(&server.seen()), "{:?}", server.seen());
}
