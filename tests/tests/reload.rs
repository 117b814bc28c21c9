//! Reload: another policy for a running service. What is right applies at once, what is wrong changes nothing, nothing
//! is lost and nothing leaks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward, binary};
use mailward_tests::process::{descriptors, status};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::Signal;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const DENY: &str = "[[mail-acl]]\nname = \"for-good\"\nvirus = [\"infected\"]\naction = \"deny\"\n";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn reloaded(mailward: &Mailward, options: &[&str]) -> String {
    let output = mailward.reload(options);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    said(&output)
}

#[test]
fn mail_rules_apply_from_the_next_mail_of_a_running_session() {
    let server = Server::start(vec![mails::infected(), mails::infected(), mails::plain("a", "b")], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    assert!(client.command("RETR 1").starts_with("+OK"), "replaced by a notice");
    client.content();
    mailward.edit(|text| text + DENY);
    assert_eq!(reloaded(&mailward, &[]), "reloaded: policy 2; 1 sessions go on, 0 end\n");
    assert!(client.command("RETR 2").starts_with("-ERR"), "the new rule denies");
    assert_eq!(mailward.mail_record(2)["rule"], "for-good");
    assert!(client.command("RETR 1").starts_with("-ERR"), "what the former rules judged is judged again");
    assert_eq!(client.retrieve(3), mails::plain("a", "b"));
}

#[test]
fn what_a_session_may_do_changes_from_its_next_command_on() {
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    for isolation in ["shared", "session"] {
        let service = format!("isolation = \"{isolation}\"\n");
        let mailward = Mailward::start(&Config { service, ..Config::scanning(server.address()) });
        let mut client = Client::login(mailward.address());
        assert!(client.command("STAT").starts_with("+OK"));
        mailward.edit(|text| text.replace("name = \"all\"", "name = \"all\"\ncommands = [\"*\", \"!STAT\"]"));
        reloaded(&mailward, &[]);
        assert!(client.command("STAT").starts_with("-ERR"));
        assert_eq!(client.retrieve(1), mails::plain("a", "b"));
    }
}

#[test]
fn a_session_that_the_rules_deny_now_ends_in_its_protocol() {
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    mailward.edit(|text| text.replace("from = [\"*\"]", "from = [\"192.0.2.0/24\"]"));
    assert_eq!(
        reloaded(&mailward, &["--keep-sessions"]),
        "reloaded: policy 2; 1 sessions go on, 0 end\n",
        "it stays under the rule of that name"
    );
    assert_eq!(client.retrieve(1), mails::plain("a", "b"));
    assert_eq!(reloaded(&mailward, &[]), "reloaded: policy 3; 0 sessions go on, 1 end\n");
    assert_eq!(client.line(), "-ERR [SYS/TEMP] this session was ended by the administrator");
    assert!(client.rest().is_empty());
    let (_, greeting) = Client::connect(mailward.address());
    assert_eq!(greeting, "", "and nobody else gets in");
    let denied =
        mailward.logged("the decision", |line| line["record"] == "ACL" && !line["session"].is_null());
    assert_eq!(denied["decision"], "no-match");
}

#[test]
fn a_wrong_file_changes_nothing_and_every_error_is_shown_to_who_asked() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    mailward
        .edit(|text| text.replace("[[session-acl]]", "[[sesion-acl]]") + "[[mail-acl]]\nacton = \"deny\"\n");
    let output = mailward.reload(&[]);
    assert_eq!(output.status.code(), Some(1));
    let complaints = said(&output);
    for word in ["mailward.toml:", "sesion-acl", "acton", "not reloaded: nothing was changed"] {
        assert!(complaints.contains(word), "{word}: {complaints}");
    }
    mailward.logged("the refusal", |line| line["message"] == "not reloaded: nothing was changed");
    assert!(client.command("RETR 1").starts_with("+OK"));
    assert!(client.content().is_some(), "the notice of the rules as they were");
    fs::remove_file(mailward.directory().join("mailward.toml")).unwrap();
    let socket = mailward.directory().join("control.sock");
    let output = mailward.reload(&["--socket", socket.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

#[test]
fn what_needs_a_restart_is_named_and_not_half_applied() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    mailward.edit(|text| text.replace("[service]", "[service]\nbacklog = 7") + DENY);
    let output = mailward.reload(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("`backlog` in [service]: restart Mailward to apply it"),
        "{}",
        said(&output)
    );
    let mut client = Client::login(mailward.address());
    assert!(client.command("RETR 1").starts_with("+OK"));
}

#[test]
fn new_signatures_are_known_and_no_mail_passes_while_scanners_learn_them() {
    let mail = mails::plain("a", "b");
    let server = Server::start(vec![mail.clone()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let mut client = Client::login(mailward.address());
    assert_eq!(client.retrieve(1), mail);
    let hash: String = Sha256::digest(&mail).iter().map(|octet| format!("{octet:02x}")).collect();
    let list = format!("{hash}:{}:Lab.Plain\n", mail.len());
    fs::write(mailward.directory().join("signatures/more.hsb"), list).unwrap();
    mailward.signal(Signal::SIGHUP);
    mailward.logged("the reload", |line| line["message"] == "reloaded" && line["by"] == "SIGHUP");
    assert_ne!(client.retrieve(1), mail, "replaced by a notice");
    assert_eq!(mailward.mail_record(2)["outcome"], "replaced");
}

/// Lists this very mail as a virus.
fn list(mail: &[u8], name: &str) -> String {
    let hash: String = Sha256::digest(mail).iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{hash}:{}:{name}\n", mail.len())
}

#[test]
fn signatures_that_change_on_disk_are_taken_and_what_cannot_be_taken_changes_nothing() {
    let (mail, other) = (mails::plain("a", "b"), mails::plain("c", "d"));
    let server = Server::start(vec![mail.clone(), other.clone()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let file = mailward.directory().join("signatures/more.hsb");
    let mut client = Client::login(mailward.address());
    assert_eq!(client.retrieve(1), mail);
    // A file that others may write is refused, once, by the reload and by the watch alike; the former signatures stay.
    fs::write(&file, list(&mail, "Lab.Plain")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(mailward.reload(&[]).status.code(), Some(1));
    thread::sleep(Duration::from_secs(3));
    assert_eq!(client.retrieve(1), mail);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let said = mailward
        .logged("the list to be taken", |line| line["message"] == "files that were renewed are taken");
    assert_eq!(said["what"], "changed files of signatures", "{said}");
    assert_ne!(client.retrieve(1), mail, "replaced by a notice");
    // A line that no engine of this kind understands is said, after a change as at the start; the rest is in force.
    fs::write(&file, list(&mail, "Lab.Plain") + &list(&other, "Lab.Other") + "nonsense\n").unwrap();
    let said =
        mailward.logged("the line to be said", |line| line["message"] == "signatures that cannot be used");
    assert!(said["file"].as_str().unwrap().contains("more.hsb: 1 of 3 signatures are not used"), "{said}");
    assert_ne!(client.retrieve(1), mail);
    // The list is corrected. What was served changed stays what it was, in this session and in later ones; what nobody was served passes.
    let notice = client.retrieve(1);
    let taken = || mailward.log_count(|line| line["message"] == "files that were renewed are taken");
    let before = taken();
    fs::write(&file, list(b"another mail", "Lab.Other")).unwrap();
    until("the list to be gone", 20, || (taken() > before).then_some(()));
    assert!(client.retrieve(2) == other);
    assert!(client.retrieve(1) == notice);
    assert!(Client::login(mailward.address()).retrieve(1) == notice);
    let found =
        |line: &Value| line["reason"].as_str().is_some_and(|why| why.contains("Lab.Plain had been found"));
    mailward.logged("why it stays changed", |line| line["record"] == "MAIL" && found(line));
}

#[test]
fn signatures_that_change_all_the_time_end_neither_scanning_nor_rest() {
    let mail = mails::plain("a", "b");
    let server = Server::start(vec![mail.clone(), mails::infected()], &[]);
    let config = Config { service: "scanners = 2\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    let file = mailward.directory().join("signatures/more.hsb");
    let mut client = Client::login(mailward.address());
    assert_eq!(client.retrieve(1), mail);
    let rounds = 40;
    for round in 0..rounds {
        fs::write(&file, list(format!("{round}").as_bytes(), "Lab.Other")).unwrap();
        assert!(mailward.reload(&[]).status.success());
        if round % 8 == 0 {
            let (answer, content) = client.multiline("RETR 2");
            match content {
                Some(content) => assert!(!String::from_utf8_lossy(&content).contains(&mails::eicar())),
                None => assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}"),
            }
        }
    }
    fs::write(&file, list(&mail, "Lab.Plain")).unwrap();
    assert!(mailward.reload(&[]).status.success());
    until("the last list to be in force", 30, || {
        let (_, content) = client.multiline("RETR 1");
        content.map(|content| assert_ne!(content, mail))
    });
    let scanners = mailward.role("scanner").len();
    assert!(scanners <= 4, "{scanners} scanners");
    let before = cpu(mailward.pid());
    thread::sleep(Duration::from_secs(2));
    assert!(cpu(mailward.pid()) - before < 50, "hundredths of a second in two: it spins");
}

/// Processor time of a process, in hundredths of a second.
fn cpu(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn the_socket_answers_its_own_user_only_and_takes_no_other_request() {
    let server = Server::start(vec![], &[]);
    let mut mailward = Mailward::start(&Config::scanning(server.address()));
    let socket = mailward.directory().join("control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for request in ["", "reload\n", "{\"ask\":\"stop\"}\n", &format!("{}\n", "x".repeat(9000))] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("not a request"), "{request}: {answer}");
    }
    if root_or_skip("the_socket_answers_its_own_user_only_and_takes_no_other_request") {
        fs::set_permissions(mailward.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        // Where the tests were built other users may not look.
        let tool = mailward.directory().join("tool");
        fs::copy(binary(), &tool).unwrap();
        for asked in [&["reload"][..], &["sessions"], &["kick", "1"], &["allow", "list"]] {
            let mut stranger = Command::new(&tool);
            stranger.args(asked).arg("--socket").arg(&socket).uid(65534).gid(65534);
            let output = stranger.output().unwrap();
            assert_eq!(output.status.code(), Some(3), "{asked:?}: {}", said(&output));
            assert!(said(&output).contains("Permission denied"), "{asked:?}: {}", said(&output));
        }
    }
    assert_eq!(mailward.stop(), Some(0));
    assert!(!socket.exists(), "the socket goes with the service");
}

#[test]
fn two_services_never_share_a_control_socket() {
    let server = Server::start(vec![], &[]);
    let first = Mailward::start(&Config::scanning(server.address()));
    let socket = first.directory().join("control.sock");
    let mut config = Config::scanning(server.address());
    config.control = Some(socket.clone());
    let (code, log) = Mailward::refuses(&config);
    assert_eq!(code, Some(3), "{log:?}");
    assert!(format!("{log:?}").contains("another Mailward answers at"), "{log:?}");
    assert_eq!(first.reload(&[]).status.code(), Some(0), "the first still answers");
}

#[test]
fn a_thousand_reloads_under_load_lose_no_mail_and_leak_nothing() {
    let mail = mails::plain("a", "b");
    let server = Server::start(vec![mail.clone(), mails::infected()], &[]);
    let config =
        Config { service: "scanners = 2\nworkers = 2\n".into(), ..Config::scanning(server.address()) };
    let mailward = Mailward::start(&config);
    let socket = mailward.directory().join("control.sock");
    let reload = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(b"{\"ask\":\"reload\"}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.starts_with("{\"answer\":\"reloaded\""), "{answer}");
        assert!(answer.contains("\"ended\":0"), "{answer}");
    };
    let session = || {
        let mut client = Client::login(mailward.address());
        assert_eq!(client.retrieve(1), mail);
        assert_ne!(client.retrieve(2), mails::infected());
        assert!(client.command("QUIT").starts_with("+OK"));
    };
    let processes = || [vec![mailward.pid()], mailward.role("worker")].concat();
    let held = || processes().into_iter().map(descriptors).sum::<usize>();
    let memory = || -> Vec<u64> {
        let kib =
            |pid| status(pid, "VmRSS").unwrap().split_whitespace().next().unwrap().parse::<u64>().unwrap();
        processes().into_iter().map(kib).collect()
    };
    let (stop, sessions) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = |reloads: usize| {
        stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        session();
                        sessions.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            (0..reloads).for_each(|_| reload());
            stop.store(true, Ordering::Relaxed);
        });
    };
    load(100);
    let (descriptors_before, memory_before) = (held(), memory());
    load(900);
    assert!(sessions.load(Ordering::Relaxed) > 10, "there was load");
    until("the descriptors to be as before", 20, || (held() <= descriptors_before).then_some(()));
    for (before, after) in memory_before.iter().zip(memory()) {
        assert!(after < before + 4096, "{before} KiB became {after} KiB");
    }
}
