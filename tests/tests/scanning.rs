//! What scanning lets through and what it does not, with the builtin engine and with a real clamd.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::client::Client;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip};
use std::fmt::Write;

fn contains(bytes: &[u8], part: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(part)
}

#[test]
fn an_infected_mail_becomes_a_notice_that_names_virus_sender_subject_rule_and_case() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(1);
    assert!(!contains(&notice, &mails::eicar()));
    let record = mailward.mail_record(1);
    assert_eq!(
        (&record["outcome"], &record["statuses"]),
        (&"replaced".into(), &"infected".into()),
        "{record}"
    );
    for part in ["alice@example.org", "Your invoice", "standard-bad", record["case"].as_str().unwrap()] {
        assert!(contains(&notice, part), "{part}: {}", String::from_utf8_lossy(&notice));
    }
}

#[test]
fn answers_and_notices_are_in_the_language_of_the_rule_that_let_the_client_in() {
    let server = Server::start(vec![mails::infected(), mails::plain("a", "b")], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    mailward.edit(|text| text.replace("[[session-acl]]", "[[session-acl]]\nlanguage = \"cs\""));
    assert!(mailward.reload(&[]).status.success());
    let (mut client, _) = Client::connect(mailward.address());
    assert_eq!(client.command("STAT"), "-ERR nejprve se prihlaste");
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(1);
    assert!(contains(&notice, "Tuto zprávu nahradila"), "{}", String::from_utf8_lossy(&notice));
    assert!(contains(&notice, "Your invoice"), "what was kept of the mail is still there");
    // The command-acl overrides it, from the next command on.
    mailward.edit(|text| text.replace("[[command-acl]]", "[[command-acl]]\nlanguage = \"de\""));
    assert!(mailward.reload(&[]).status.success());
    assert_eq!(client.command("XYZZY"), "-ERR unbekannter Befehl");
    assert!(contains(&client.retrieve(1), "Diese Nachricht wurde"));
}

#[test]
fn with_strict_metadata_every_size_is_true_before_a_mail_was_read() {
    if !root_or_skip("with_strict_metadata_every_size_is_true_before_a_mail_was_read") {
        return;
    }
    let maildrop =
        [mails::plain("one", "1"), mails::infected(), mails::ambiguous(), mails::plain("four", "4")];
    let dovecot = Dovecot::start(&maildrop);
    let mut config = Config::scanning(dovecot.address());
    config.command.push_str("metadata = \"strict\"\n");
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    let stat = client.command("STAT");
    let list = String::from_utf8(client.multiline("LIST").1.unwrap()).unwrap();
    let sizes: Vec<usize> =
        list.lines().map(|line| line.split(' ').nth(1).unwrap().trim().parse().unwrap()).collect();
    assert_eq!(stat, format!("+OK 4 {}", sizes.iter().sum::<usize>()));
    for (number, size) in (1..).zip(&sizes) {
        assert_eq!(client.retrieve(number).len(), *size, "mail {number}");
    }
    assert_ne!(sizes[1], maildrop[1].len());
    // Above the limit a size is the server's until the mail is read.
    drop(mailward);
    config.command.push_str("strict-limit = 2\n");
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    client.command("STAT");
    client.command("QUIT");
    // Behind the records of its mails.
    mailward.logged("the end of the session", |record| record["record"] == "SESSION-END");
    let judged = mailward.log_count(|record| record["record"] == "MAIL");
    assert_eq!(judged, 2);
}

#[test]
fn top_of_an_infected_mail_never_shows_its_content() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    for lines in 0..12 {
        let top = client.multiline(&format!("TOP 1 {lines}")).1.unwrap();
        assert!(!contains(&top, &mails::eicar()), "TOP 1 {lines}");
    }
    assert!(server.seen().iter().all(|line| !line.ends_with("TOP 1 3")), "TOP is cut here, not there");
}

#[test]
fn a_mail_that_readers_read_differently_is_not_delivered_as_it_came() {
    let server = Server::start(vec![mails::ambiguous()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    let rebuilt = client.retrieve(1);
    assert!(!contains(&rebuilt, "Text for some"), "no text in clear");
    assert_eq!(String::from_utf8(rebuilt).unwrap().matches("Content-Type:").count(), 1);
    let record = mailward.mail_record(1);
    assert_eq!((&record["outcome"], &record["statuses"]), (&"corrected".into(), &"clean".into()), "{record}");
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("duplicate-headers"), "{reason}");
}

#[test]
fn a_violation_is_passed_corrected_or_malformed_as_the_mail_filter_says() {
    for (treatment, outcome, statuses) in [
        ("pass", "passed", "clean"),
        ("correct", "corrected", "clean"),
        ("malformed", "replaced", "malformed"),
    ] {
        let server = Server::start(vec![mails::ambiguous()], &[]);
        let mut config = Config::scanning(server.address());
        config.rest = format!(
            "{}\n[mail-filter.default]\nduplicate-headers = \"{treatment}\"\nambiguous = \"{treatment}\"\n\
             bad-boundary = \"{treatment}\"\n",
            config.rest
        );
        let mailward = Mailward::start(&config);
        let got = Client::login(mailward.address()).retrieve(1);
        let record = mailward.mail_record(1);
        assert_eq!(
            (&record["outcome"], &record["statuses"]),
            (&outcome.into(), &statuses.into()),
            "{record}"
        );
        assert_eq!(got == mails::ambiguous(), treatment == "pass");
    }
}

#[test]
fn no_hostile_mail_of_the_corpus_arrives_as_it_came() {
    let corpus = mails::corpus("hostile");
    assert!(corpus.len() >= 20);
    let server = Server::start(corpus.iter().map(|(_, mail)| mail.clone()).collect(), &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    for (index, (name, mail)) in corpus.iter().enumerate() {
        let mut client = Client::login(mailward.address());
        let (first, content) = client.multiline(&format!("RETR {}", index + 1));
        assert_ne!(content.as_ref(), Some(mail), "{name} {first}");
    }
}

#[test]
fn sizes_stay_true_after_a_mail_was_replaced_and_dele_is_refused_after_a_restart_too() {
    let server = Server::start(vec![mails::plain("one", "1"), mails::infected()], &[]);
    let config = Config::scanning(server.address()).keeping_nothing();
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(2);
    assert_eq!(client.command("LIST 2"), format!("+OK 2 {}", notice.len()));
    let refusal = client.command("DELE 2");
    assert!(refusal.starts_with("-ERR") && refusal.contains("replaced"), "{refusal}");
    assert!(client.command("DELE 1").starts_with("+OK"));
    drop(client);

    let mailward = mailward.restart(&config);
    let mut client = Client::login(mailward.address());
    assert_eq!(client.command("LIST 2"), format!("+OK 2 {}", notice.len()));
    assert!(client.command("DELE 2").starts_with("-ERR"));
    assert_eq!(client.retrieve(2), notice);
    assert!(server.seen().iter().all(|line| line != "DELE 2"));
}

#[test]
fn a_rule_can_refuse_instead_of_replacing() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mut config = Config::scanning(server.address());
    config.rest.push_str("[[mail-acl]]\nname = \"no-viruses\"\nvirus = [\"infected\"]\naction = \"deny\"\n");
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    let (answer, _) = client.multiline("RETR 1");
    assert!(answer.starts_with("-ERR"), "{answer}");
    assert_eq!(mailward.mail_record(1)["rule"], "no-viruses");
}

#[test]
fn a_mail_over_max_mail_is_a_status_and_the_session_lives() {
    let server = Server::start(vec![mails::large(400_000), mails::plain("small", "body")], &[]);
    let config = Config { download: "max-mail = \"100KiB\"\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    let (_, content) = client.multiline("RETR 1");
    assert_ne!(content.unwrap(), mails::large(400_000));
    assert_eq!(mailward.mail_record(1)["statuses"], "limit");
    assert_eq!(client.retrieve(2), mails::plain("small", "body"));
}

#[test]
fn a_mail_larger_than_spool_file_above_is_spooled_in_a_file_and_arrives_whole() {
    let mail = mails::large(3_000_000);
    let server = Server::start(vec![mail.clone()], &[]);
    let config =
        Config { service: "spool-file-above = \"1MiB\"\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    assert_eq!(client.retrieve(1), mail);
    let left: Vec<_> = std::fs::read_dir(mailward.state_dir().join("spool")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn clamd_finds_what_the_builtin_engine_does_not_know() {
    if !root_or_skip("clamd_finds_what_the_builtin_engine_does_not_know") {
        return;
    }
    let clamd = Clamd::start();
    let server = Server::start(vec![mails::infected_for_clamd(), mails::plain("fine", "body")], &[]);
    let mut config = Config::scanning(server.address());
    writeln!(config.rest, "[antivirus.clamd]\nsocket = \"{}\"", clamd.socket().display()).unwrap();
    let mailward = Mailward::start(&config);
    mailward.engine_proven();
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(1);
    assert!(!contains(&notice, &mails::marker()));
    assert!(contains(&notice, "Lab.Marker"), "{}", String::from_utf8_lossy(&notice));
    let record = mailward.mail_record(1);
    assert_eq!(record["engines"].as_array().unwrap().len(), 2, "{record}");
    assert_eq!(client.retrieve(2), mails::plain("fine", "body"));
}

#[test]
fn a_clamd_without_signatures_defers_everything_and_is_named_in_the_log() {
    if !root_or_skip("a_clamd_without_signatures_defers_everything_and_is_named_in_the_log") {
        return;
    }
    let clamd = Clamd::with_signatures(&[("Lab.Other", "something-else-entirely")], "");
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let mailward = Mailward::start(&Config::clamd(server.address(), &clamd.socket()));
    mailward
        .logged("the log to say so", |record| record.to_string().contains("does not find the test virus"));
    let mut client = Client::login(mailward.address());
    let (answer, _) = client.multiline("RETR 1");
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    assert!(client.command("NOOP").starts_with("+OK"));
}

#[test]
fn a_clamd_that_looks_into_small_mails_only_is_found_out() {
    if !root_or_skip("a_clamd_that_looks_into_small_mails_only_is_found_out") {
        return;
    }
    let eicar = mails::eicar();
    let marker = mails::marker();
    let signatures = [("Lab.Eicar", eicar.as_str()), ("Lab.Marker", marker.as_str())];
    let clamd = Clamd::with_signatures(&signatures, "MaxFileSize 2M\nMaxScanSize 2M");
    let server = Server::start(vec![mails::large(6_000_000)], &[]);
    let mailward = Mailward::start(&Config::clamd(server.address(), &clamd.socket()));
    mailward.engine_proven();
    let mut client = Client::login(mailward.address());
    let (_, content) = client.multiline("RETR 1");
    assert_ne!(content, Some(mails::large(6_000_000)), "clamd says OK to what it does not look at");
    assert!(mailward.mail_record(1)["statuses"].as_str().unwrap().contains("limit"));
}
