//! The command line as an operator meets it: the real binary, its words and its exit codes.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const GOOD: &str = include_str!("../../../policy/src/load/example.toml");

fn mailward(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailward"));
    command.args(arguments).current_dir(directory).env("COLUMNS", "80").output().unwrap()
}

fn directory() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

fn write(directory: &TempDir, name: &str, text: &str) {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_teaches_by_examples_and_names_the_exit_codes() {
    let folder = directory();
    let output = mailward(&["--help"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(out(&output));
}

#[test]
fn no_command_and_a_wrong_one_are_usage_errors() {
    let folder = directory();
    for arguments in [&[][..], &["serve"], &["run", "--configuration"], &["role", "janitor"], &["demo", "-x"]]
    {
        let output = mailward(arguments, folder.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!err(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_version_is_one_line() {
    let output = mailward(&["--version"], directory().path());
    assert_eq!(out(&output), format!("mailward {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_configuration_that_is_right_is_said_to_be_ok() {
    let folder = directory();
    write(&folder, "m.toml", GOOD);
    for arguments in [["check", "-c", "m.toml"], ["check", "--config", "m.toml"], ["-t", "-c", "m.toml"]] {
        let output = mailward(&arguments, folder.path());
        assert_eq!(out(&output), "m.toml: configuration ok\n", "{}", err(&output));
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    }
}

#[test]
fn what_this_version_cannot_honour_is_named_and_is_not_ok() {
    let folder = directory();
    write(&folder, "m.toml", &format!("{GOOD}\n[metrics]\nlisten = \"127.0.0.1:9187\"\n"));
    for command in ["check", "run"] {
        let output = mailward(&[command, "-c", "m.toml"], folder.path());
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""));
        assert!(err(&output).contains("later: [metrics] is not in this version"), "{}", err(&output));
    }
}

#[test]
fn every_error_is_told_at_once_with_its_line_a_caret_and_the_remedy() {
    let folder = directory();
    let wrong = GOOD
        .replace("plug-to", "plugto")
        .replace("server-tls = \"off\"\n", "")
        .replace("10.0.0.0/8", "10.0.0.1/8");
    write(&folder, "m.toml", &wrong);
    for command in ["check", "run"] {
        let output = mailward(&[command, "-c", "m.toml"], folder.path());
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(1), ""));
        insta::assert_snapshot!("every_error", err(&output));
    }
}

#[test]
fn an_error_in_an_included_file_names_that_file_and_its_line() {
    let folder = directory();
    write(&folder, "m.toml", &GOOD.replace("version = 1", "version = 1\ninclude = [\"more-*.toml\"]"));
    write(&folder, "more-b.toml", "[[session-acl]]\nfrm = [\"*\"]\n");
    write(&folder, "more-a.toml", "[login]\nfailure_limit = 3\n");
    write(&folder, "other.toml", "nonsense\n");
    let output = mailward(&["check", "-c", "m.toml"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    let text = err(&output);
    let (first, second) = (text.find("more-a.toml:2:1").unwrap(), text.find("more-b.toml:2:1").unwrap());
    assert!(first < second && !text.contains("other.toml"), "{text}");
}

#[test]
fn a_file_that_is_missing_or_no_file_is_a_wrong_configuration() {
    let folder = directory();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for name in ["none.toml", ".", "fifo"] {
        let output = mailward(&["check", "-c", name], folder.path());
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(err(&output).starts_with(&format!("mailward: {name}: ")), "{}", err(&output));
        assert_eq!(err(&output).contains("mailward init"), name == "none.toml", "{}", err(&output));
    }
}

#[test]
fn a_file_that_others_can_write_is_refused_with_the_remedy() {
    let folder = directory();
    write(&folder, "m.toml", GOOD);
    fs::set_permissions(folder.path().join("m.toml"), Permissions::from_mode(0o620)).unwrap();
    let output = mailward(&["check", "-c", "m.toml"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(err(&output), "mailward: m.toml: others can write to it: chmod go-w\n");
}

#[test]
fn an_address_that_is_taken_is_status_3_and_said() {
    let folder = directory();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = format!(
        "version = 1\n[service]\nstate-dir = {0:?}\nspool-dir = {0:?}\n[[listener]]\nname = \"here\"\nprotocol = \"pop3\"\n\
         address = [\"{address}\"]\ntls = \"off\"\n[[session-acl]]\nfrom = [\"*\"]\n[[command-acl]]\n\
         plug-to = [\"192.0.2.1\"]\nserver-tls = \"off\"\ndownload = {{ no-mail-scanning = true }}\n",
        folder.path()
    );
    write(&folder, "m.toml", &text);
    let output = mailward(&["run", "-c", "m.toml"], folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    let text = err(&output);
    assert!(text.contains("listener \"here\"") && text.contains(&address), "{text}");
}

#[test]
fn completions_are_made_for_every_shell() {
    let folder = directory();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = mailward(&["completions", shell], folder.path());
        assert_eq!(output.status.code(), Some(0));
        assert!(out(&output).contains("check"), "{shell}");
    }
}

#[test]
fn man_pages_are_made_for_every_command_and_hide_what_is_not_for_operators() {
    let folder = directory();
    let output = mailward(&["man", "."], folder.path());
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    let main = fs::read_to_string(folder.path().join("man1/mailward.1")).unwrap();
    assert!(main.contains("Exit status"), "{main}");
    for name in ["mailward-run.1", "mailward-check.1", "mailward-demo.1"] {
        let page = fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
        assert!(!page.contains("report\\-fd"), "{page}");
    }
    assert!(!folder.path().join("man1/mailward-role.1").exists());
    assert!(folder.path().join("man5/mailward.toml.5").exists());
    assert_eq!(
        mailward(&["man", "."], folder.path()).status.code(),
        Some(0),
        "of another version, over them"
    );
    assert_eq!(mailward(&["man", "nowhere"], folder.path()).status.code(), Some(3));
}
