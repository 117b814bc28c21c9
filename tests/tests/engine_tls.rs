//! Engines and spam filters behind TLS: real ones are asked through it; whoever cannot show the right certificate is no
//! engine, and learns nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::client::Client;
use mailward_tests::filters::Filter;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::pki::{Flaws, Pair, Pki};
use mailward_tests::relay::{Listener, TlsFront};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip};
use std::fmt::Write as _;
use std::net::SocketAddr;

const HOST: &str = "127.0.0.1";

fn lab(pki: &Pki) -> String {
    format!("[server-tls.lab]\nca = \"{}\"\n", pki.ca().display())
}

fn clamd_at(front: SocketAddr, trust: &str) -> String {
    format!("[antivirus.clamd]\nsocket = \"tls:{front}\"\nmax-size = \"20MiB\"\n{trust}\n")
}

fn unix(clamd: &Clamd) -> String {
    format!("UNIX-CONNECT:{}", clamd.socket().display())
}

const TRUST: &str = "server-tls = \"lab\"";

#[test]
fn clamd_icap_and_rspamd_are_asked_through_tls() {
    if !root_or_skip("clamd_icap_and_rspamd_are_asked_through_tls") {
        return;
    }
    let pki = Pki::default();
    let pair = pki.sign(&[HOST]);
    let clamd = Clamd::start();
    let (icap, rspamd) = (Filter::c_icap(&clamd.socket()), Filter::rspamd());
    let fronts = [
        TlsFront::start(&pair, &unix(&clamd)),
        TlsFront::start(&pair, &format!("TCP:{}", icap.address())),
        TlsFront::start(&pair, &format!("TCP:{}", rspamd.address())),
    ]
    .map(|front| (front.address(), front));
    let [(clamd_address, _), (icap_address, _), (rspamd_address, _)] = &fronts;
    let server = Server::start(vec![mails::infected_for_clamd(), mails::plain("fine", "body")], &[]);
    let mut config = Config { server: Some(server.address()), ..Config::default() };
    write!(
        config.rest,
        "{}{}[antivirus.gateway]\ntype = \"icap\"\nurl = \"icaps://{icap_address}/avscan\"\nmax-size = \"20MiB\"\n{TRUST}\n\
         [antispam.rspamd]\nurl = \"https://{rspamd_address}\"\n{TRUST}\n",
        lab(&pki),
        clamd_at(*clamd_address, TRUST)
    )
    .unwrap();
    let mailward = Mailward::start(&config);
    for (who, says) in [
        ("clamd", "finds the test virus"),
        ("gateway", "finds the test virus"),
        ("rspamd", "spam filter gives scores"),
    ] {
        mailward.logged(who, |record| {
            let text = record.to_string();
            text.contains(&format!("\"{who}\"")) && text.contains(says)
        });
    }
    let mut client = Client::login(mailward.address());
    assert!(!String::from_utf8_lossy(&client.retrieve(1)).contains(&mails::marker()));
    let record = mailward.mail_record(1);
    for engine in record["engines"].as_array().unwrap() {
        assert_eq!(engine["statuses"], "infected", "{record}");
    }
    assert_eq!(record["engines"].as_array().unwrap().len(), 2, "{record}");
    assert_eq!(client.retrieve(2), mails::plain("fine", "body"));
    let record = mailward.mail_record(2);
    assert_eq!(record["spam"][0]["filter"], "rspamd", "{record}");
    assert_ne!(record["spam"][0]["score"], "unknown", "{record}");
}

/// Why nobody should talk to it, and its certificate.
fn untrusted(pki: &Pki, other: &Pki) -> Vec<(&'static str, Pair)> {
    vec![
        ("of another authority", other.sign(&[HOST])),
        ("of another name", pki.sign(&["127.0.0.2", "av.example.net"])),
        ("that has expired", pki.sign_flawed(&[HOST], Flaws { expired: true, ..Flaws::default() })),
        ("that signed itself", pki.sign_flawed(&[HOST], Flaws { self_signed: true, ..Flaws::default() })),
    ]
}

#[test]
fn a_wrong_certificate_is_an_error_of_the_engine_and_it_learns_nothing() {
    if !root_or_skip("a_wrong_certificate_is_an_error_of_the_engine_and_it_learns_nothing") {
        return;
    }
    let pki = Pki::default();
    let clamd = Clamd::start();
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    for (why, pair) in untrusted(&pki, &Pki::new("Another CA")) {
        let front = TlsFront::start(&pair, &unix(&clamd));
        let mut config = Config { server: Some(server.address()), ..Config::default() };
        config.rest = lab(&pki) + &clamd_at(front.address(), TRUST);
        let mailward = Mailward::start(&config);
        mailward.logged(why, |record| record.to_string().contains("engine fails on the test virus"));
        let (answer, _) = Client::login(mailward.address()).multiline("RETR 1");
        assert!(answer.starts_with("-ERR [SYS/TEMP]"), "a certificate {why}: {answer}");
        let record = mailward.mail_record(1);
        assert_eq!(
            (&record["outcome"], &record["statuses"]),
            (&"deferred".into(), &"error".into()),
            "{record}"
        );
        assert_eq!(clamd.scans(), 0, "a certificate {why}");
    }
    // The right certificate, and nobody said that it is: the authorities of the system did not sign it.
    let front = TlsFront::start(&pki.sign(&[HOST]), &unix(&clamd));
    let mut config = Config { server: Some(server.address()), ..Config::default() };
    config.rest = clamd_at(front.address(), "");
    let mailward = Mailward::start(&config);
    mailward.logged("the failure", |record| record.to_string().contains("engine fails on the test virus"));
    assert_eq!(clamd.scans(), 0);
}

#[test]
fn nothing_of_a_mail_goes_in_clear_text_to_what_should_speak_tls() {
    let (engine, icap, filter) = (Listener::start(), Listener::start(), Listener::start());
    let secret = "a secret that nobody may read";
    let server = Server::start(vec![mails::plain("secret", secret)], &[]);
    let mut config = Config { server: Some(server.address()), ..Config::default() };
    write!(
        config.rest,
        "[antivirus.clamd]\nsocket = \"tls:{}\"\ntimeout = \"2s\"\n[antivirus.gateway]\ntype = \"icap\"\n\
         url = \"icaps://{}/avscan\"\ntimeout = \"2s\"\n[antispam.rspamd]\nurl = \"https://{}\"\ntimeout = \"2s\"\n",
        engine.address(),
        icap.address(),
        filter.address()
    )
    .unwrap();
    let mailward = Mailward::start(&config);
    for who in ["clamd", "gateway"] {
        mailward.logged(who, |record| {
            record["engine"] == who
                && record["message"].as_str().is_some_and(|text| text.contains("engine fails"))
        });
    }
    let (answer, _) = Client::login(mailward.address()).multiline("RETR 1");
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    for (who, listener) in [("clamd", engine), ("icap", icap), ("rspamd", filter)] {
        let heard = listener.heard();
        // RFC 8446 section 5.1: a record that holds a handshake.
        assert_eq!(heard.first(), Some(&22), "{who}: {heard:02x?}");
        let text = String::from_utf8_lossy(&heard);
        for word in [secret, "INSTREAM", "RESPMOD", "checkv2", "EICAR"] {
            assert!(!text.contains(word), "{who} heard {word}");
        }
    }
}
