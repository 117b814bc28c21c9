//! What an operator asks of a policy: `mailward test`, `show` and `schema`.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use tempfile::TempDir;

const POLICY: &str = r#"
version = 1

[[listener]]
name = "pop"
protocol = "pop3"
tls = "off"

[time-list.working-hours]
times = ["mon-fri 08:00-18:00"]

[[session-acl]]
name = "office"
from = ["10.1.0.0/16"]
time = ["@working-hours"]

[[session-acl]]
name = "guests"
from = ["10.9.0.0/16"]

[[command-acl]]
name = "the-lab"
session-acl = ["office"]
from = ["10.1.7.0/24"]
plug-to = ["192.0.2.9"]
server-tls = "off"

[[command-acl]]
name = "everybody"
plug-to = ["192.0.2.1"]
server-tls = "off"

[[mail-acl]]
name = "samples"
command-acl = ["the-lab"]
user = ["boss"]
virus = ["infected"]
action = "accept"

[antivirus.builtin]
signatures = ["builtin:test", "FOLDER/signatures"]
"#;

fn folder() -> TempDir {
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
    fs::create_dir(folder.path().join("signatures")).unwrap();
    fs::write(folder.path().join("signatures/own.yar"), "rule own { strings: $a = \"own\" condition: $a }\n")
        .unwrap();
    write(&folder, "m.toml", POLICY);
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    let text = text.replace("FOLDER", &folder.path().display().to_string());
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn mailward(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailward"));
    command.args(arguments).current_dir(folder.path()).output().unwrap()
}

/// Standard output of a command that must end with `status`.
fn said(folder: &TempDir, arguments: &[&str], status: i32) -> String {
    let output = mailward(folder, arguments);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

fn asked(folder: &TempDir, question: &[&str]) -> String {
    said(folder, &[&["test", "-c", "m.toml"], question].concat(), 0)
}

#[test]
fn every_phase_is_told_with_the_rules_that_were_tried_and_the_one_that_decided() {
    let folder = folder();
    let question =
        ["--from", "10.1.7.3", "--user", "ann", "--time", "2026-05-04 09:30", "--virus", "infected"];
    insta::assert_snapshot!(asked(&folder, &question));
}

#[test]
fn a_client_that_no_rule_lets_in_is_told_with_the_condition_that_failed() {
    let folder = folder();
    insta::assert_snapshot!(asked(&folder, &["--from", "10.1.2.3", "--time", "2026-05-03 09:30"]));
}

#[test]
fn the_answer_depends_on_the_user_the_time_and_the_parent() {
    let folder = folder();
    let outcome = |question: &[&str]| {
        let answer = asked(&folder, &[question, &["--json"]].concat());
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["outcome"].as_str().unwrap().to_owned()
    };
    let office = ["--from", "10.1.7.3", "--time", "mon 09:30", "--virus", "infected"];
    assert_eq!(outcome(&[&office[..], &["--user", "boss"]].concat()), "accept");
    assert_eq!(outcome(&[&office[..], &["--user", "ann"]].concat()), "replace");
    assert_eq!(outcome(&["--from", "10.9.0.1", "--user", "boss", "--virus", "infected"]), "replace");
    assert_eq!(outcome(&["--from", "10.1.2.3", "--time", "mon 20:00"]), "close");
    assert_eq!(outcome(&["--from", "192.0.2.200"]), "close");
}

#[test]
fn a_real_scanner_judges_the_mail_of_the_question() {
    let folder = folder();
    let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let mail = |body: &str| format!("From: a@example.com\r\nSubject: hello\r\n\r\n{body}\r\n");
    write(&folder, "bad.eml", &mail(&eicar));
    write(&folder, "good.eml", &mail("good day"));
    let question = ["--from", "10.9.1.1", "--user", "ann", "--mail"];
    let bad = asked(&folder, &[&question[..], &["bad.eml"]].concat());
    assert!(bad.contains("infected") && bad.contains("replace"), "{bad}");
    let good = asked(&folder, &[&question[..], &["good.eml"]].concat());
    assert!(good.contains("clean") && good.contains("accept"), "{good}");
}

#[test]
fn a_certificate_is_read_as_names_and_a_fingerprint() {
    let folder = folder();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
        ])
        .args(["-keyout", "key.pem", "-out", "client.pem", "-subj", "/O=Example, Ltd/CN=ann"])
        .args(["-addext", "subjectAltName=email:ann@example.com,IP:10.1.2.3"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let answer = asked(&folder, &["--from", "10.9.1.1", "--client-certificate", "client.pem", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["certificate"]["subject"], "CN=ann,O=Example\\, Ltd");
    assert_eq!(answer["certificate"]["names"], serde_json::json!(["ann@example.com", "10.1.2.3"]));
    assert_eq!(answer["certificate"]["fingerprint"].as_str().unwrap().len(), 64);
    // The same certificate, where a rule requires one.
    let required = "require-client-certificate = [{ san = \"*@example.com\" }]\nfrom = [\"10.9.0.0/16\"]";
    let text = POLICY
        .replace("tls = \"off\"\n\n[time", "client-tls = \"a\"\n\n[client-tls.a]\ncertificates = [{ cert = \"/a\", key = \"/b\" }]\nclient-ca = \"/c\"\n\n[time")
        .replace("from = [\"10.9.0.0/16\"]", required);
    write(&folder, "m.toml", &text);
    let outcome = |arguments: &[&str]| {
        let answer = asked(&folder, &[&["--from", "10.9.1.1", "--json"][..], arguments].concat());
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["outcome"].clone()
    };
    assert_eq!(outcome(&["--client-certificate", "client.pem"]), "accept");
    assert_eq!(outcome(&[]), "close", "the handshake fails");
    assert_eq!(outcome(&["--certificate-san", "ann@example.com"]), "accept", "the same, told");
    assert_eq!(outcome(&["--certificate-san", "ann@example.net"]), "close");
}

#[test]
fn a_certificate_decides_which_rule_a_session_is_under() {
    let folder = folder();
    let text = r#"
        version = 1
        [client-tls.a]
        certificates = [{ cert = "/a", key = "/b" }]
        client-ca = "/c"
        client-certificates = "optional"
        [[listener]]
        name = "pop3s"
        protocol = "pop3"
        tls = "implicit"
        [[listener]]
        name = "pop3"
        protocol = "pop3"
        tls = "starttls-required"
        [[session-acl]]
        [[command-acl]]
        name = "staff"
        client-certificate = [{ subject = "*,ou=staff,*" }]
        plug-to = ["192.0.2.1"]
        [[command-acl]]
        name = "machines"
        client-certificate = [{ san = "*.lan.example.net" }, { issuer = "CN=Machines" }]
        plug-to = ["192.0.2.2"]
        [[command-acl]]
        name = "others"
        plug-to = ["192.0.2.3"]
        [antivirus.clamd]
    "#;
    write(&folder, "m.toml", text);
    let asked = |listener: &str, facts: &[&str]| {
        let question = ["--from", "10.9.1.1", "--listener", listener, "--json"];
        let answer: serde_json::Value =
            serde_json::from_str(&asked(&folder, &[&question, facts].concat())).unwrap();
        let phases = answer["phases"].as_array().unwrap();
        let phase = phases.iter().find(|phase| phase["phase"] == "command-acl").unwrap();
        (phase["rule"].as_str().unwrap().to_owned(), phase["notes"].to_string())
    };
    let staff = ["--certificate-subject", "CN=Ann,OU=Staff,O=Example"];
    for (listener, facts, rule) in [
        ("pop3s", &staff[..], "staff"),
        ("pop3s", &["--certificate-san", "pc.lan.example.net", "--certificate-subject", "CN=pc"], "machines"),
        ("pop3s", &["--certificate-issuer", "CN=Machines"], "machines"),
        ("pop3s", &["--certificate-issuer", "CN=Others"], "others"),
        ("pop3s", &[], "others"),
        ("pop3", &staff, "others"),
    ] {
        assert_eq!(asked(listener, facts).0, rule, "{listener} {facts:?}");
    }
    assert!(asked("pop3", &staff).1.contains("decided before the handshake"));
}

#[test]
fn an_intercepted_session_is_told_from_a_bypassed_one_and_from_others() {
    let folder = folder();
    let text = r#"
        version = 1
        [client-tls.a]
        certificates = [{ cert = "/a", key = "/b" }]
        [client-tls.a.intercept]
        ca = { cert = "/operator.pem", key = "/operator.key" }
        bypass = ["192.0.2.0/28"]
        [[listener]]
        protocol = "pop3"
        tls = "implicit"
        transparent = { method = "none" }
        [[session-acl]]
        [[command-acl]]
        plug-to = ["192.0.2.1"]
        [antivirus.clamd]
    "#;
    write(&folder, "m.toml", text);
    for (question, note) in [
        (&["--transparent", "--to", "192.0.2.77:995"][..], Some("in its place by /operator.pem")),
        (&["--transparent", "--to", "192.0.2.7:995"], Some("relayed unseen")),
        (&["--to", "192.0.2.77:995"], None),
    ] {
        let answer = asked(&folder, &[&["--from", "10.9.1.1"], question].concat());
        match note {
            Some(note) => assert!(answer.contains(note), "{question:?}: {answer}"),
            None => {
                assert!(!answer.contains("place") && !answer.contains("unseen"), "{question:?}: {answer}")
            }
        }
    }
}

#[test]
fn expectations_are_run_like_a_test_suite() {
    let folder = folder();
    write(
        &folder,
        "tests.toml",
        r#"
        [[test]]
        name = "the office reads its mail"
        from = "10.1.2.3"
        time = "mon 09:30"
        expect = { outcome = "accept", session-acl = "office", command-acl = "everybody" }
        [[test]]
        name = "nobody works at night"
        from = "10.1.2.3"
        time = "mon 20:30"
        expect = { outcome = "close" }
        "#,
    );
    let suite = ["test", "-c", "m.toml", "--file", "tests.toml"];
    assert_eq!(
        said(&folder, &suite, 0),
        "ok      the office reads its mail\nok      nobody works at night\n2 passed, 0 failed\n"
    );
    let tests = fs::read_to_string(folder.path().join("tests.toml")).unwrap();
    write(&folder, "tests.toml", &tests.replace("\"close\"", "\"accept\""));
    assert_eq!(
        said(&folder, &suite, 4),
        "ok      the office reads its mail\nFAILED  nobody works at night\n        \
         outcome: expected accept, is close\n1 passed, 1 failed\n"
    );
}

#[test]
fn a_question_that_cannot_be_understood_is_refused_in_words() {
    let folder = folder();
    for (question, word) in [
        (&["--from", "10.1.2.3", "--time", "moonday 09:30"][..], "moonday"),
        (&["--from", "here"], "here"),
        (&["--from", "10.1.2.3", "--listener", "nothing"], "nothing"),
        // Whether a rule lets the client in or not.
        (&["--from", "10.1.2.3", "--time", "mon 09:30", "--mail", "none.eml"], "none.eml"),
        (&["--from", "10.1.2.3", "--time", "mon 20:30", "--mail", "none.eml"], "none.eml"),
        (&["--from", "10.9.0.1", "--client-certificate", "m.toml"], "certificate"),
    ] {
        let output = mailward(&folder, &[&["test", "-c", "m.toml"], question].concat());
        assert!(matches!(output.status.code(), Some(2 | 3)), "{question:?}: {output:?}");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(complaints.contains(word), "{question:?}: {complaints}");
    }
}

#[test]
fn the_shown_rules_are_ones_own_and_then_the_shipped_ones() {
    let folder = folder();
    let rules = said(&folder, &["show", "-c", "m.toml", "rules"], 0);
    let own = rules.find("name = \"samples\"").unwrap();
    assert!(own < rules.find("name = \"standard-bad\"").unwrap(), "{rules}");
    let json = said(&folder, &["show", "-c", "m.toml", "rules", "--json"], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["mail-acl"][0]["name"], "samples");
}

#[test]
fn what_is_shown_with_its_defaults_is_a_configuration_that_means_the_same() {
    let folder = folder();
    let hash = |name: &str| said(&folder, &["show", "-c", name, "hash"], 0);
    let whole = said(&folder, &["show", "-c", "m.toml", "config", "--defaults"], 0);
    assert!(whole.contains("isolation = "), "{whole}");
    write(&folder, "whole.toml", &whole);
    assert_eq!(hash("m.toml"), hash("whole.toml"));
    write(&folder, "other.toml", &format!("# a comment\n{POLICY}"));
    assert_eq!(hash("m.toml"), hash("other.toml"));
    write(&folder, "other.toml", &POLICY.replace("10.9.0.0", "10.8.0.0"));
    assert_ne!(hash("m.toml"), hash("other.toml"));
}

#[test]
fn the_schema_that_is_printed_is_the_one_that_is_checked_in() {
    let folder = folder();
    let printed = said(&folder, &["schema"], 0);
    assert!(
        printed == include_str!("../../../docs/mailward.schema.json"),
        "docs/mailward.schema.json is old"
    );
}
