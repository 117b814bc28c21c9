//! `mailward init`: the first configuration.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use nix::pty::openpty;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn init(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailward"));
    command.arg("init").args(arguments).current_dir(folder.path()).stdin(Stdio::null()).output().unwrap()
}

fn check(folder: &TempDir, file: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailward"));
    command.args(["check", "-c", file]).current_dir(folder.path()).output().unwrap()
}

#[test]
fn flags_alone_write_a_file_that_is_right_and_readable_by_its_owner_and_group() {
    let folder = tempfile::tempdir().unwrap();
    let answers =
        ["--server", "mail.example.net", "--clients", "10.0.0.0/8,::1", "--listen", "127.0.0.1:2110"];
    let output = init(&folder, &[&["-c", "etc/mailward.toml"][..], &answers].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let path = folder.path().join("etc/mailward.toml");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let text = fs::read_to_string(&path).unwrap();
    let items: Vec<&str> = text.lines().map(|line| line.split('#').next().unwrap().trim()).collect();
    let items: Vec<&str> = items.into_iter().filter(|line| !line.is_empty()).collect();
    assert!(items.len() <= 12, "{items:?}");
    for item in [
        "from = [\"10.0.0.0/8\", \"::1\"]",
        "plug-to = [\"mail.example.net\"]",
        "address = [\"127.0.0.1:2110\"]",
    ] {
        assert!(items.contains(&item), "{item}: {items:?}");
    }
    let checked = check(&folder, "etc/mailward.toml");
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(checked.stderr.is_empty(), "without a warning: {checked:?}");
}

#[test]
fn with_a_certificate_clients_get_implicit_tls() {
    let folder = tempfile::tempdir().unwrap();
    let cert = ["--certificate", "/etc/mail.pem", "--key", "/etc/mail.key"];
    let output = init(&folder, &[&["-c", "m.toml", "--server", "192.0.2.1", "--print"][..], &cert].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text.contains("certificates = [{ cert = \"/etc/mail.pem\", key = \"/etc/mail.key\" }]"),
        "{text}"
    );
    for port in [993, 995] {
        assert!(text.contains(&format!("port {port} of every address")), "{text}");
    }
    assert!(!text.contains("\ntls = \"off\""), "{text}");
    assert!(text.contains("server-tls = \"off\""), "nothing answers there by TLS: {text}");
    let alone = init(&folder, &["-c", "m.toml", "--server", "192.0.2.1", "--certificate", "/etc/mail.pem"]);
    assert_eq!(alone.status.code(), Some(2), "a certificate needs its key");
}

#[test]
fn clients_get_both_protocols_and_a_server_with_a_port_the_one_that_it_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let written = |arguments: &[&str]| {
        let output = init(&folder, &[&["-c", "m.toml", "--print"][..], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = written(&["--server", "192.0.2.1"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("protocol = \"imap\"") && text.contains("protocol = \"pop3\""), "{text}");
    let (code, text) = written(&["--server", "192.0.2.1:1143"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("protocol = \"imap\"") && !text.contains("protocol = \"pop3\""), "{text}");
    let (code, text) = written(&["--server", "192.0.2.1:1143", "--listen", "*:993,*:995"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("leave the port out"), "{text}");
    let (code, text) = written(&["--server", "192.0.2.1", "--listen", "*:1993,127.0.0.1:2110"]);
    assert_eq!(code, Some(0), "{text}");
    for item in
        ["protocol = \"imap\"\naddress = [\"*:1993\"]", "protocol = \"pop3\"\naddress = [\"127.0.0.1:2110\"]"]
    {
        assert!(text.contains(item), "{text}");
    }
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("m.toml"), "mine").unwrap();
    let output = init(&folder, &["-c", "m.toml", "--server", "mail.example.net"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("exists"), "{output:?}");
    assert_eq!(fs::read_to_string(folder.path().join("m.toml")).unwrap(), "mine");
    let shown = init(&folder, &["-c", "m.toml", "--server", "mail.example.net", "--print"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&shown.stdout).starts_with("# Mailward"), "{shown:?}");
}

#[test]
fn an_answer_that_cannot_be_used_is_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [["--server", "not a host"], ["--clients", "10.0.0.0/99"], ["--listen", "nowhere"]] {
        let answers = ["-c", "m.toml", "--server", "mail.example.net"];
        let answers = if wrong[0] == "--server" { &answers[..2] } else { &answers[..] };
        let output = init(&folder, &[answers, &wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(wrong[1]), "{output:?}");
        assert!(!folder.path().join("m.toml").exists());
    }
}

#[test]
fn on_a_terminal_it_asks_again_until_the_answer_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let terminal = openpty(None, None).unwrap();
    let own = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailward"));
    command.args(["init", "-c", "m.toml", "--clamd", "127.0.0.1:3310"]).current_dir(folder.path());
    let mut child = command.stdin(own()).stdout(own()).stderr(own()).spawn().unwrap();
    drop(command);
    drop(terminal.slave);
    let mut terminal = File::from(terminal.master);
    terminal.write_all(b"not a host\nmail.example.net\n10.0.0.0/8\n*:2110\n").unwrap();
    let status = child.wait().unwrap();
    let mut shown = Vec::new();
    // The end of a terminal that nobody has any more is an error.
    let _ = terminal.read_to_end(&mut shown);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert_eq!(status.code(), Some(0), "{shown}");
    assert!(shown.contains("`not a host` is not the address of a server"), "{shown}");
    assert_eq!(shown.matches("Which mail server?").count(), 2, "{shown}");
    let text = fs::read_to_string(folder.path().join("m.toml")).unwrap();
    for item in ["mail.example.net", "10.0.0.0/8", "*:2110", "127.0.0.1:3310"] {
        assert!(text.contains(item), "{item}: {text}");
    }
}
