//! Engines and spam filters as they are in the world: c-icap, rspamd, spamd; and what happens when they break.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::client::Client;
use mailward_tests::filters::Filter;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

fn contains(bytes: &[u8], part: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(part)
}

/// Which the laboratory's spam filters know, with the way that it came.
fn spam() -> Vec<u8> {
    let mail = String::from_utf8(mails::plain("offer", "buy")).unwrap();
    format!(
        "Received: from mail.example.org (unknown [203.0.113.9]) by mx.example.net; Fri, 27 Nov 2026 10:00:00 +0100\r\n\
         X-Lab-Spam: yes\r\n{mail}"
    )
    .into_bytes()
}

const DENY: &str =
    "[[mail-acl]]\nname = \"spam\"\nvirus = [\"clean\"]\nspam-score = \">= 5\"\naction = \"deny\"\n";

fn spam_answers(mailward: &Mailward, nth: usize) -> Vec<(String, String)> {
    let record = mailward.mail_record(nth);
    let answers = record["spam"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    answers.map(|answer| (text(&answer["filter"]), text(&answer["score"]))).collect()
}

#[test]
fn an_icap_service_finds_what_the_builtin_engine_does_not_know_and_in_which_part() {
    if !root_or_skip("an_icap_service_finds_what_the_builtin_engine_does_not_know_and_in_which_part") {
        return;
    }
    let clamd = Clamd::start();
    let icap = Filter::c_icap(&clamd.socket());
    let server = Server::start(vec![mails::infected_for_clamd(), mails::plain("fine", "body")], &[]);
    let mut config = Config::scanning(server.address());
    let url = format!("icap://{}/avscan", icap.address());
    writeln!(config.rest, "[antivirus.gateway]\ntype = \"icap\"\nurl = \"{url}\"\nmax-size = \"10MiB\"")
        .unwrap();
    let mailward = Mailward::start(&config);
    mailward.engine_proven();
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(1);
    assert!(!contains(&notice, &mails::marker()));
    let record = mailward.mail_record(1);
    let gateway = record["engines"].as_array().unwrap().iter().find(|it| it["engine"] == "gateway").unwrap();
    assert_eq!(gateway["statuses"], "infected", "{record}");
    assert!(gateway["virus"].as_str().unwrap().contains("Lab.Marker"), "{record}");
    assert_eq!(client.retrieve(2), mails::plain("fine", "body"));
}

#[test]
fn clamd_says_in_which_part_the_virus_is() {
    if !root_or_skip("clamd_says_in_which_part_the_virus_is") {
        return;
    }
    let clamd = Clamd::start();
    let server = Server::start(vec![mails::infected_for_clamd()], &[]);
    let mailward = Mailward::start(&Config::clamd(server.address(), &clamd.socket()));
    mailward.engine_proven();
    let mut client = Client::login(mailward.address());
    assert!(!contains(&client.retrieve(1), &mails::marker()));
    let record = mailward.mail_record(1);
    assert!(!record["engines"][0]["parts"].as_array().unwrap().is_empty(), "{record}");
}

#[test]
fn spam_filters_give_the_scores_that_rules_ask_for() {
    if !root_or_skip("spam_filters_give_the_scores_that_rules_ask_for") {
        return;
    }
    let (rspamd, spamd) = (Filter::rspamd(), Filter::spamd());
    let large = mails::large(64 * 1024);
    let server = Server::start(vec![spam(), mails::plain("fine", "body"), large.clone()], &[]);
    let mut config = Config::scanning(server.address());
    write!(
        config.rest,
        "[antispam.rspamd]\nmax-size = \"16KiB\"\nurl = \"http://{}\"\n[antispam.spamd]\nsocket = \"{}\"\n[antispam.builtin]\n\
         rules = [{{ name = \"X-Lab-Spam\", score = 1.5, symbol = \"LAB\" }}]\n{DENY}",
        rspamd.address(),
        spamd.address()
    )
    .unwrap();
    let mailward = Mailward::start(&config);
    for filter in ["rspamd", "spamd"] {
        mailward.logged("the filter to give scores", |record| {
            record["filter"] == filter && record["message"] == "spam filter gives scores"
        });
    }
    let mut client = Client::login(mailward.address());
    assert_eq!(
        client.retrieve(3),
        large,
        "too large a mail for rspamd, which is asked about the next all the same"
    );
    let (answer, _) = client.multiline("RETR 1");
    assert!(answer.starts_with("-ERR"), "{answer}");
    let record = mailward.mail_record(2);
    assert_eq!((&record["rule"], &record["outcome"]), (&"spam".into(), &"denied".into()), "{record}");
    let expected = [("rspamd", "7.75"), ("spamd", "6.5"), ("builtin", "1.5")];
    let mut said = spam_answers(&mailward, 2);
    said.sort();
    let mut expected = expected.map(|(name, score)| (name.to_owned(), score.to_owned()));
    expected.sort();
    assert_eq!(said, expected, "the address that it came in from counts, not the proxy's: {record}");
    assert_eq!(client.retrieve(2), mails::plain("fine", "body"));
}

/// A server of HTTP that answers everything with this, and then waits or leaves.
fn fake_rspamd(answer: Vec<u8>, waits: bool) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&answer);
                if waits {
                    thread::sleep(Duration::from_secs(60));
                }
            });
        }
    });
    address
}

#[test]
fn a_spam_filter_that_breaks_leaves_the_score_unknown_and_blocks_nothing() {
    let json =
        |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let flood = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 10 << 20]].concat();
    let broken = [
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec(), false),
        (json("<html>welcome</html>"), false),
        (json("{\"score\":NaN}"), false),
        (flood, false),
        (Vec::new(), true),
    ];
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let mut config = Config::scanning(server.address());
    config.rest.push_str("[[mail-acl]]\nname = \"unscored\"\nvirus = [\"clean\"]\nspam-score = \"unknown\"\naction = \"accept\"\n");
    config.rest.push_str(DENY);
    for (index, (answer, waits)) in broken.into_iter().enumerate() {
        let address = fake_rspamd(answer, waits);
        write!(
            config.rest,
            "[antispam.f{index}]\ntype = \"rspamd\"\nurl = \"http://{address}\"\ntimeout = \"1s\"\n"
        )
        .unwrap();
    }
    config.rest.push_str("[antispam.gone]\ntype = \"rspamd\"\nurl = \"http://127.0.0.1:9\"\n");
    let mailward = Mailward::start(&config);
    mailward.logged("a filter to fail", |record| {
        record["message"] == "spam filter gives no score: scores are unknown"
    });
    let mut client = Client::login(mailward.address());
    let begun = Instant::now();
    assert_eq!(client.retrieve(1), mails::plain("fine", "body"));
    assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits for a filter that is known to be broken");
    let record = mailward.mail_record(1);
    assert_eq!(record["rule"], "unscored", "{record}");
    let said = spam_answers(&mailward, 1);
    assert_eq!(said.len(), 6);
    assert!(said.iter().all(|(_, score)| score == "unknown"), "{said:?}");
}
