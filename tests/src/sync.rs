//! A mailbox to synchronise, what a client must end with, and a home for the client: clean mails of several kinds and sizes, and
//! among them some that only a notice may come of.
//!
//! `MAILWARD_MAILS` is the number of mails; otherwise as many as a client fetches in a few seconds.
use crate::dovecot::Dovecot;
use crate::mails;
use crate::mailward::{Config, Mailward};
use crate::pki::Pki;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What the server holds.
pub fn mailbox() -> Vec<Vec<u8>> {
    let count = std::env::var("MAILWARD_MAILS").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    (0..count).map(|n| if is_evil(n) { evil(n) } else { clean(n) }).collect()
}

const fn is_evil(n: usize) -> bool {
    matches!(n % 25, 7 | 13 | 19)
}

/// Infected as a whole, in its attachment, or of a form that readers read differently.
fn evil(n: usize) -> Vec<u8> {
    let subject = format!("invoice {n}");
    match n % 25 {
        7 => return mails::plain(&subject, &mails::eicar()),
        19 => {
            return mails::in_parts(
                &subject,
                "application/octet-stream; name=\"invoice.com\"",
                &mails::eicar(),
            );
        }
        _ => {}
    }
    let mail = String::from_utf8(mails::plain(&format!("doubtful {n}"), "Text for some.")).unwrap();
    let second = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n";
    mail.replace("MIME-Version: 1.0\r\n", second).into_bytes()
}

fn clean(n: usize) -> Vec<u8> {
    let subject = format!("mail {n}");
    match n % 25 {
        3 => {
            return mails::in_parts(
                &subject,
                "text/html; charset=utf-8",
                "<p>Gr\u{fc}\u{df}e</p>\r\n\r\n<!-- .\r\n. -->",
            );
        }
        11 => return mails::in_parts(&subject, "text/csv; name=\"table.csv\"", &"1;2;3\r\n".repeat(n % 900)),
        _ => {}
    }
    let lines = if n % 60 == 20 { 4000 } else { n % 40 };
    let body: String = (0..lines).map(|line| format!("line {line} of mail {n}\r\n")).collect();
    mails::plain(&subject, &format!("body {n}\r\n.dot\r\nFrom here\r\n{body}end"))
}

/// With line ends of Unix and without what clients put in.
fn normal(mail: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(mail).replace("\r\n", "\n").replace("\n>From ", "\nFrom ");
    let text = &text[text.find("Return-Path: <alice").or_else(|| text.find("X-Mailward")).unwrap_or(0)..];
    let ours = |line: &&str| {
        !["X-TUID: ", "X-OfflineIMAP: ", "X-getmail-retrieved-from-mailbox: ", "Content-Length: ", "Lines: "]
            .iter()
            .any(|name| line.starts_with(name))
    };
    let lines: Vec<&str> = text.trim_end().split('\n').filter(ours).collect();
    lines.join("\n").into_bytes()
}

/// Every file of a folder as a mail.
pub fn delivered(folder: &Path) -> Vec<Vec<u8>> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| fs::read(entry.path()).unwrap()).collect()
}

/// Every clean mail is there as the server holds it; each other one is there too, as something else and without its virus.
pub fn check(client: &str, delivered: &[Vec<u8>]) {
    let mailbox = mailbox();
    assert_eq!(delivered.len(), mailbox.len(), "{client}");
    let there: HashSet<Vec<u8>> = delivered.iter().map(|mail| normal(mail)).collect();
    for (n, mail) in mailbox.iter().enumerate() {
        assert_eq!(there.contains(&normal(mail)), !is_evil(n), "{client}: mail {n}");
        let subject = String::from_utf8_lossy(mail)
            .lines()
            .find(|line| line.starts_with("Subject: "))
            .unwrap()
            .to_owned();
        let named =
            there.iter().filter(|mail| String::from_utf8_lossy(mail).lines().any(|line| line == subject));
        assert_eq!(named.count(), 1, "{client}: {subject}");
    }
    assert!(there.iter().all(|mail| !String::from_utf8_lossy(mail).contains(&mails::eicar())), "{client}");
}

/// A server with the mailbox, Mailward in front of it, and a home for a client.
#[derive(Debug)]
pub struct Lab {
    /// In front of the server.
    pub mailward: Mailward,
    /// Whose authority clients trust.
    pub pki: Pki,
    /// Whether clients come by implicit TLS.
    pub tls: bool,
    home: TempDir,
    _dovecot: Dovecot,
}

impl Lab {
    /// With the engine that is written here.
    pub fn new(tls: bool, engine: impl FnOnce(&Dovecot) -> Config) -> Self {
        let pki = Pki::default();
        let dovecot = Dovecot::start(&mailbox());
        let mut config = engine(&dovecot).imap();
        if tls {
            config.listener = "tls = \"implicit\"".to_owned();
            let pair = pki.sign(&["127.0.0.1", "localhost"]);
            config.rest.push_str(&format!("[client-tls.lab]\ncertificates = [{}]\n", pair.toml()));
        }
        let mailward = Mailward::start(&config);
        Self { mailward, pki, tls, home: tempfile::tempdir().unwrap(), _dovecot: dovecot }
    }

    /// With the builtin engine.
    pub fn scanning(tls: bool) -> Self {
        Self::new(tls, |dovecot| Config::scanning(dovecot.imap_address()))
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.mailward.address().port()
    }

    /// A path in the client's home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file that nobody else reads.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A Maildir in the home: where its mails come to.
    pub fn maildir(&self, name: &str) -> PathBuf {
        for state in ["new", "cur", "tmp"] {
            fs::create_dir_all(self.path(name).join(state)).unwrap();
        }
        self.path(name)
    }

    /// Everything in a Maildir.
    pub fn mails(&self, name: &str) -> Vec<Vec<u8>> {
        let folder = self.path(name);
        ["new", "cur"]
            .iter()
            .map(|state| folder.join(state))
            .filter(|path| path.exists())
            .flat_map(|path| delivered(&path))
            .collect()
    }

    /// Where the client may write.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a client at home.
    pub fn run(&self, command: &mut Command) -> Output {
        command.env("HOME", self.home.path()).current_dir(self.home.path()).stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Runs a client that must succeed, and gives what it said.
    pub fn succeed(&self, command: &mut Command) -> String {
        let output = self.run(command);
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        assert!(output.status.success(), "{command:?}: {}{}", said[0], said[1]);
        said[0].clone()
    }
}
