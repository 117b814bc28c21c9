//! Real mail clients through Mailward: what they end up with is what the server holds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clients::listed;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::programs::getmail;
use mailward_tests::{mails, root_or_skip};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn maildrop() -> Vec<Vec<u8>> {
    let mut maildrop: Vec<Vec<u8>> =
        (0..20).map(|n| mails::plain(&format!("mail {n}"), &format!("body {n}\r\n.dot\r\nend"))).collect();
    maildrop[7] = mails::infected();
    maildrop[11] = mails::large(700_000);
    maildrop
}

/// In front of this server, which is dialled at once; or after the client's name, which decides about it.
fn plans(dovecot: &Dovecot) -> [Config; 2] {
    let early = Config::scanning(dovecot.address());
    [early.clone(), Config { command: "user = [\"user\"]\n".into(), ..early }]
}

/// The mails of a folder, with CRLF line ends, without what the client put on top.
fn delivered(folder: &Path) -> Vec<String> {
    let mut mails: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).replace("\r\n", "\n"))
        .map(|mail| mail[mail.find("Return-Path:").unwrap_or(0)..].to_owned())
        .collect();
    mails.sort();
    mails
}

/// Every clean mail is there as the server holds it; the infected one is a notice.
fn check(client: &str, delivered: &[String]) {
    let maildrop = maildrop();
    assert_eq!(delivered.len(), maildrop.len(), "{client}");
    for mail in &maildrop {
        let mail = String::from_utf8(mail.clone()).unwrap().replace("\r\n", "\n");
        let there = delivered.iter().any(|got| got.trim_end() == mail.trim_end());
        assert_eq!(there, !mail.contains(&mails::eicar()), "{client}: {}", &mail[..400.min(mail.len())]);
    }
    assert!(delivered.iter().all(|mail| !mail.contains(&mails::eicar())), "{client}");
    assert_eq!(delivered.iter().filter(|mail| mail.contains("standard-bad")).count(), 1, "{client}");
}

fn succeed(client: &str, command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{client} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{client}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn fetchmail_keeps_the_mails_and_loses_none() {
    listed("fetchmail", "pop3", "every mail, kept on the server");
    if !root_or_skip("fetchmail_keeps_the_mails_and_loses_none") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    for config in plans(&dovecot) {
        let mailward = Mailward::start(&config);
        let directory = tempfile::tempdir().unwrap();
        let inbox = directory.path().join("inbox");
        fs::create_dir(&inbox).unwrap();
        let run_control = directory.path().join("fetchmailrc");
        fs::write(
        &run_control,
        format!(
            "set no bouncemail\npoll 127.0.0.1 service {port} protocol pop3 user \"user\" password \"secret\" \
             sslproto '' fetchall keep no rewrite mda \"sh -c 'cat > {inbox}/$$'\"\n",
            port = mailward.address().port(),
            inbox = inbox.display()
        ),
    )
    .unwrap();
        fs::set_permissions(&run_control, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new("fetchmail");
        command.args(["--nodetach", "--nosyslog", "--invisible", "-f"]).arg(&run_control);
        command.env("HOME", directory.path()).env("FETCHMAILHOME", directory.path());
        succeed("fetchmail", &mut command);
        check("fetchmail", &delivered(&inbox));
    }
}

/// fetchmail without `keep`.
fn fetchmail_that_deletes(mailward: &Mailward, directory: &Path) -> (Command, PathBuf) {
    let inbox = directory.join("inbox");
    fs::create_dir(&inbox).unwrap();
    let run_control = directory.join("fetchmailrc");
    fs::write(
        &run_control,
        format!(
            "set no bouncemail\npoll 127.0.0.1 service {port} protocol pop3 user \"user\" password \"secret\" \
             sslproto '' fetchall nokeep no rewrite mda \"sh -c 'cat > {inbox}/$$'\"\n",
            port = mailward.address().port(),
            inbox = inbox.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&run_control, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new("fetchmail");
    command.args(["--nodetach", "--nosyslog", "--invisible", "-f"]).arg(&run_control);
    command.env("HOME", directory).env("FETCHMAILHOME", directory);
    (command, inbox)
}

#[test]
fn fetchmail_that_deletes_what_it_fetched_succeeds_because_the_originals_are_in_the_quarantine() {
    listed(
        "fetchmail",
        "pop3",
        "every mail, deleted on the server, replaced ones once the quarantine has them",
    );
    if !root_or_skip(
        "fetchmail_that_deletes_what_it_fetched_succeeds_because_the_originals_are_in_the_quarantine",
    ) {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    let mailward = Mailward::start(&Config::scanning(dovecot.address()));
    let directory = tempfile::tempdir().unwrap();
    let (mut command, inbox) = fetchmail_that_deletes(&mailward, directory.path());
    succeed("fetchmail", &mut command);
    check("fetchmail", &delivered(&inbox));
    assert!(dovecot.mails().is_empty());
    let kept = fs::read_dir(mailward.state_dir().join("quarantine/default")).unwrap();
    let kept: Vec<Vec<u8>> = kept.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(kept.iter().any(|file| file.ends_with(&mails::infected())));
}

#[test]
fn fetchmail_that_deletes_what_it_fetched_loses_no_mail() {
    listed("fetchmail", "pop3", "every mail, deleted on the server where it was not replaced");
    if !root_or_skip("fetchmail_that_deletes_what_it_fetched_loses_no_mail") {
        return;
    }
    let maildrop = maildrop();
    let dovecot = Dovecot::start(&maildrop);
    let mailward = Mailward::start(&Config::scanning(dovecot.address()).keeping_nothing());
    let directory = tempfile::tempdir().unwrap();
    let (mut command, inbox) = fetchmail_that_deletes(&mailward, directory.path());
    // fetchmail ends its session at the refused DELE; what it had not fetched by then must still be there.
    for _ in 0..3 {
        let _ = command.output().unwrap();
    }
    let left = dovecot.mails();
    assert!(left.contains(&mails::infected()), "the original of a replaced mail was deleted");
    let fetched = delivered(&inbox);
    assert!(fetched.iter().any(|mail| mail.contains("standard-bad")));
    for mail in maildrop.iter().filter(|mail| !left.contains(mail)) {
        let mail = String::from_utf8(mail.clone()).unwrap().replace("\r\n", "\n");
        assert!(fetched.iter().any(|got| got.trim_end() == mail.trim_end()), "lost: {mail}");
    }
}

#[test]
fn mpop_ends_with_the_expected_bytes() {
    listed("mpop", "pop3", "every mail into a Maildir");
    if !root_or_skip("mpop_ends_with_the_expected_bytes") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    for config in plans(&dovecot) {
        let mailward = Mailward::start(&config);
        let directory = tempfile::tempdir().unwrap();
        let maildir = directory.path().join("Maildir");
        for name in ["new", "cur", "tmp"] {
            fs::create_dir_all(maildir.join(name)).unwrap();
        }
        let run_control = directory.path().join("mpoprc");
        fs::write(
        &run_control,
        format!(
            "defaults\ntls off\nreceived_header off\nkeep on\nuidls_file {d}/uidls\n\
             account lab\nhost 127.0.0.1\nport {port}\nuser user\npassword secret\nauth user\ndelivery maildir {m}\n",
            d = directory.path().display(),
            port = mailward.address().port(),
            m = maildir.display()
        ),
    )
    .unwrap();
        fs::set_permissions(&run_control, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new("mpop");
        command.arg("-C").arg(&run_control).arg("-a").env("HOME", directory.path());
        succeed("mpop", &mut command);
        check("mpop", &delivered(&maildir.join("new")));
    }
}

#[test]
fn getmail_ends_with_the_expected_bytes() {
    listed("getmail6", "pop3", "every mail into a Maildir");
    if !root_or_skip("getmail_ends_with_the_expected_bytes") {
        return;
    }
    let dovecot = Dovecot::start(&maildrop());
    for config in plans(&dovecot) {
        let mailward = Mailward::start(&config);
        let directory = tempfile::tempdir().unwrap();
        let maildir = directory.path().join("Maildir");
        for name in ["new", "cur", "tmp"] {
            fs::create_dir_all(maildir.join(name)).unwrap();
        }
        let settings = format!(
            "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {port}\nusername = user\npassword = secret\n\
             [destination]\ntype = Maildir\npath = {m}/\n[options]\ndelivered_to = false\nreceived = false\n",
            port = mailward.address().port(),
            m = maildir.display()
        );
        fs::write(directory.path().join("getmailrc"), settings).unwrap();
        // getmail refuses to deliver as root.
        succeed("chown", Command::new("chown").arg("-R").arg("nobody").arg(directory.path()));
        succeed("getmail", &mut getmail(directory.path()));
        check("getmail", &delivered(&maildir.join("new")));
    }
}

#[test]
fn poplib_reads_every_mail_octet_for_octet() {
    listed("Python's poplib", "pop3", "every mail");
    let maildrop = maildrop();
    let server = mailward_tests::server::Server::start(maildrop.clone(), &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let directory = tempfile::tempdir().unwrap();
    let script = "import poplib, sys\n\
        p = poplib.POP3('127.0.0.1', int(sys.argv[1]))\n\
        p.user('user'); p.pass_('secret')\n\
        for n in range(1, p.stat()[0] + 1):\n\
        \x20   open(sys.argv[2] + '/%03d' % n, 'wb').write(b''.join(l + b'\\r\\n' for l in p.retr(n)[1]))\n\
        p.quit()\n";
    let mut command = Command::new("python3");
    command.args(["-c", script, &mailward.address().port().to_string()]).arg(directory.path());
    succeed("poplib", &mut command);
    check("poplib", &delivered(directory.path()));
}
