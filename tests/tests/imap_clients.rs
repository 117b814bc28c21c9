//! Real IMAP clients through Mailward, scanning on: what they end up with is what the server holds, in clear text and
//! through TLS. `MAILWARD_MAILS` is the number of mails in the mailbox (300, among them evil ones).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clamd::Clamd;
use mailward_tests::clients::listed;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::pki::Pki;
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::Signal;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Clean mails of several sizes, and some that only a notice comes of.
fn mailbox() -> Vec<Vec<u8>> {
    let count = std::env::var("MAILWARD_MAILS").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    (0..count).map(|n| if is_evil(n) { evil(n) } else { clean(n) }).collect()
}

const fn is_evil(n: usize) -> bool {
    matches!(n % 25, 7 | 13)
}

fn evil(n: usize) -> Vec<u8> {
    if n % 25 == 7 {
        return mails::plain(&format!("invoice {n}"), &mails::eicar());
    }
    let mail = String::from_utf8(mails::plain(&format!("doubtful {n}"), "Text for some.")).unwrap();
    let second = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n";
    mail.replace("MIME-Version: 1.0\r\n", second).into_bytes()
}

fn clean(n: usize) -> Vec<u8> {
    let lines = if n % 60 == 20 { 4000 } else { n % 40 };
    let body: String = (0..lines).map(|line| format!("line {line} of mail {n}\r\n")).collect();
    mails::plain(&format!("mail {n}"), &format!("body {n}\r\n.dot\r\nFrom here\r\n{body}end"))
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
fn delivered(folder: &Path) -> Vec<Vec<u8>> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| fs::read(entry.path()).unwrap()).collect()
}

/// Every clean mail is there as the server holds it; each other one is there too, as something else and without its virus.
fn check(client: &str, delivered: &[Vec<u8>]) {
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
struct Lab {
    mailward: Mailward,
    pki: Pki,
    tls: bool,
    home: TempDir,
    _dovecot: Dovecot,
}

impl Lab {
    fn new(tls: bool, engine: impl FnOnce(&Dovecot) -> Config) -> Self {
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

    fn scanning(tls: bool) -> Self {
        Self::new(tls, |dovecot| Config::scanning(dovecot.imap_address()))
    }

    fn port(&self) -> u16 {
        self.mailward.address().port()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file that nobody else reads.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A Maildir in the home: where its mails come to.
    fn maildir(&self, name: &str) -> PathBuf {
        for state in ["new", "cur", "tmp"] {
            fs::create_dir_all(self.path(name).join(state)).unwrap();
        }
        self.path(name)
    }

    /// Everything in a Maildir.
    fn mails(&self, name: &str) -> Vec<Vec<u8>> {
        let folder = self.path(name);
        ["new", "cur"]
            .iter()
            .map(|state| folder.join(state))
            .filter(|path| path.exists())
            .flat_map(|path| delivered(&path))
            .collect()
    }

    fn run(&self, command: &mut Command) -> Output {
        command.env("HOME", self.home.path()).current_dir(self.home.path()).stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    fn succeed(&self, command: &mut Command) -> String {
        let output = self.run(command);
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        assert!(output.status.success(), "{command:?}: {}{}", said[0], said[1]);
        said[0].clone()
    }

    fn mbsync(&self) -> Command {
        self.maildir("mbsync");
        let tls = if self.tls {
            format!("SSLType IMAPS\nSystemCertificates no\nCertificateFile {}\n", self.pki.ca().display())
        } else {
            "SSLType None\nAuthMechs LOGIN\n".to_owned()
        };
        let settings = format!(
            "IMAPStore far\nHost 127.0.0.1\nPort {port}\nUser user\nPass secret\nTimeout 60\n{tls}\n\
             MaildirStore near\nPath {home}/\nInbox {home}/mbsync\n\n\
             Channel mail\nFar :far:\nNear :near:\nPatterns INBOX\nSync Pull\nCreate Near\nSyncState *\n",
            port = self.port(),
            home = self.home.path().display()
        );
        let mut command = Command::new("mbsync");
        command.arg("-c").arg(self.write("mbsyncrc", &settings)).arg("-a");
        command
    }

    fn offlineimap(&self) -> Command {
        let tls = if self.tls {
            format!("ssl = yes\nsslcacertfile = {}\n", self.pki.ca().display())
        } else {
            "ssl = no\nstarttls = no\n".to_owned()
        };
        let settings = format!(
            "[general]\naccounts = lab\nui = basic\nmetadata = {home}/meta\nmaxsyncaccounts = 1\n\
             [Account lab]\nlocalrepository = near\nremoterepository = far\n\
             [Repository near]\ntype = Maildir\nlocalfolders = {home}/offlineimap\n\
             [Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {port}\nremoteuser = user\nremotepass = secret\n\
             folderfilter = lambda name: name == 'INBOX'\nreadonly = true\nmaxconnections = 2\n{tls}",
            port = self.port(),
            home = self.home.path().display()
        );
        let mut command = Command::new("offlineimap");
        command.arg("-o").arg("-c").arg(self.write("offlineimaprc", &settings));
        command
    }

    /// imaplib fetches what it has not got yet into the folder `imaplib`, one file for each mail.
    fn imaplib(&self) -> Command {
        let _ = fs::create_dir(self.path("imaplib"));
        let script = "import imaplib, os, ssl, sys\n\
            port, folder, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]\n\
            m = imaplib.IMAP4_SSL('127.0.0.1', port, ssl_context=ssl.create_default_context(cafile=ca)) if ca else imaplib.IMAP4('127.0.0.1', port)\n\
            m.login('user', 'secret')\n\
            m.select('INBOX', readonly=True)\n\
            for uid in m.uid('SEARCH', None, 'ALL')[1][0].split():\n\
            \x20   name = folder + '/' + uid.decode()\n\
            \x20   if os.path.exists(name): continue\n\
            \x20   typ, data = m.uid('FETCH', uid, '(RFC822)')\n\
            \x20   if typ == 'OK': open(name, 'wb').write(data[0][1])\n\
            m.logout()\n";
        let mut command = Command::new("python3");
        command.args(["-c", script, &self.port().to_string()]).arg(self.path("imaplib"));
        command.arg(if self.tls { self.pki.ca() } else { PathBuf::new() });
        command
    }
}

/// Runs it in clear text and through TLS.
fn both_ways(test: &str, mut run: impl FnMut(&Lab)) {
    if root_or_skip(test) {
        for tls in [false, true] {
            run(&Lab::scanning(tls));
        }
    }
}

#[test]
fn mbsync_ends_with_the_expected_bytes() {
    listed("mbsync", "imap", "the mailbox into a Maildir, twice");
    both_ways("mbsync_ends_with_the_expected_bytes", |lab| {
        lab.succeed(&mut lab.mbsync());
        check("mbsync", &lab.mails("mbsync"));
        lab.succeed(&mut lab.mbsync());
        check("mbsync again", &lab.mails("mbsync"));
    });
}

#[test]
fn offlineimap_ends_with_the_expected_bytes() {
    listed("offlineimap3", "imap", "the mailbox into a Maildir, twice");
    both_ways("offlineimap_ends_with_the_expected_bytes", |lab| {
        lab.succeed(&mut lab.offlineimap());
        check("offlineimap", &lab.mails("offlineimap/INBOX"));
        lab.succeed(&mut lab.offlineimap());
        check("offlineimap again", &lab.mails("offlineimap/INBOX"));
    });
}

#[test]
fn fetchmail_ends_with_the_expected_bytes() {
    listed("fetchmail", "imap", "every mail, kept on the server");
    both_ways("fetchmail_ends_with_the_expected_bytes", |lab| {
        fs::create_dir(lab.path("inbox")).unwrap();
        let tls = if lab.tls {
            format!("ssl sslcertck sslcertfile {} sslcommonname localhost", lab.pki.ca().display())
        } else {
            "sslproto ''".to_owned()
        };
        let settings = format!(
            "set no bouncemail\npoll 127.0.0.1 service {port} protocol imap user \"user\" password \"secret\" \
             {tls} fetchall keep no rewrite mda \"sh -c 'cat > {inbox}/$$'\"\n",
            port = lab.port(),
            inbox = lab.path("inbox").display()
        );
        let mut command = Command::new("fetchmail");
        command
            .args(["--nodetach", "--nosyslog", "--invisible", "-f"])
            .arg(lab.write("fetchmailrc", &settings));
        command.env("FETCHMAILHOME", lab.home.path());
        lab.succeed(&mut command);
        check("fetchmail", &delivered(&lab.path("inbox")));
    });
}

#[test]
fn getmail_ends_with_the_expected_bytes() {
    listed("getmail6", "imap", "every mail into a Maildir");
    both_ways("getmail_ends_with_the_expected_bytes", |lab| {
        let maildir = lab.maildir("getmail");
        let (kind, ca) = if lab.tls {
            let ca = lab.home.path().join("ca.pem");
            fs::copy(lab.pki.ca(), &ca).unwrap();
            ("SimpleIMAPSSLRetriever", format!("ca_certs = {}\n", ca.display()))
        } else {
            ("SimpleIMAPRetriever", String::new())
        };
        let settings = format!(
            "[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {port}\nusername = user\npassword = secret\n{ca}\
             [destination]\ntype = Maildir\npath = {m}/\n[options]\ndelivered_to = false\nreceived = false\n",
            port = lab.port(),
            m = maildir.display()
        );
        lab.write("getmailrc", &settings);
        // getmail refuses to deliver as root.
        lab.succeed(Command::new("chown").arg("-R").arg("nobody").arg(lab.home.path()));
        let mut command = Command::new("runuser");
        command.args(["-u", "nobody", "--", "getmail", "--getmaildir"]).arg(lab.home.path());
        lab.succeed(&mut command);
        check("getmail", &lab.mails("getmail"));
    });
}

#[test]
fn curl_ends_with_the_expected_bytes() {
    listed("curl", "imap", "every mail by its UID");
    both_ways("curl_ends_with_the_expected_bytes", |lab| {
        fs::create_dir(lab.path("curl")).unwrap();
        let scheme = if lab.tls { "imaps" } else { "imap" };
        let url = format!("{scheme}://127.0.0.1:{}/INBOX;UID=[1-{}]", lab.port(), mailbox().len());
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-early", "-u", "user:secret", "--cacert"]).arg(lab.pki.ca());
        command.arg("-o").arg(lab.path("curl/#1")).arg(url);
        lab.succeed(&mut command);
        check("curl", &delivered(&lab.path("curl")));
    });
}

#[test]
fn imaplib_ends_with_the_expected_bytes() {
    listed("Python's imaplib", "imap", "every mail by its UID");
    both_ways("imaplib_ends_with_the_expected_bytes", |lab| {
        lab.succeed(&mut lab.imaplib());
        check("imaplib", &delivered(&lab.path("imaplib")));
    });
}

#[test]
fn clients_at_once_do_not_disturb_each_other() {
    if !root_or_skip("clients_at_once_do_not_disturb_each_other") {
        return;
    }
    let lab = Lab::scanning(false);
    std::thread::scope(|scope| {
        for mut command in [lab.mbsync(), lab.offlineimap(), lab.imaplib()] {
            let lab = &lab;
            scope.spawn(move || lab.succeed(&mut command));
        }
    });
    check("mbsync", &lab.mails("mbsync"));
    check("offlineimap", &lab.mails("offlineimap/INBOX"));
    check("imaplib", &delivered(&lab.path("imaplib")));
}

#[test]
fn what_cannot_be_scanned_now_is_not_stored_as_an_empty_mail_and_comes_later() {
    listed("mbsync", "imap", "while the engine is down, and again when it is back");
    listed("offlineimap3", "imap", "while the engine is down, and again when it is back");
    listed("Python's imaplib", "imap", "while the engine is down, and again when it is back");
    if !root_or_skip("what_cannot_be_scanned_now_is_not_stored_as_an_empty_mail_and_comes_later") {
        return;
    }
    let mut clamd = Clamd::start();
    let lab = Lab::new(false, |dovecot| Config::clamd(dovecot.imap_address(), &clamd.socket()));
    lab.mailward.engine_proven();
    clamd.stop(Signal::SIGKILL);
    for mut command in [lab.mbsync(), lab.offlineimap(), lab.imaplib()] {
        lab.run(&mut command);
    }
    for folder in ["mbsync", "offlineimap/INBOX"] {
        let stored = lab.mails(folder);
        assert!(
            stored.is_empty(),
            "{folder} stored {} mails, the first: {:?}",
            stored.len(),
            String::from_utf8_lossy(&stored[0])
        );
    }
    assert!(delivered(&lab.path("imaplib")).is_empty());
    clamd.start_again();
    until("the engine to be used again", 20, || {
        let mut client = mailward_tests::imap_client::Imap::open(lab.mailward.address());
        client.command("UID FETCH 1 BODY.PEEK[]").tagged.starts_with("OK").then_some(())
    });
    lab.succeed(&mut lab.mbsync());
    check("mbsync", &lab.mails("mbsync"));
    lab.succeed(&mut lab.offlineimap());
    check("offlineimap", &lab.mails("offlineimap/INBOX"));
    lab.succeed(&mut lab.imaplib());
    check("imaplib", &delivered(&lab.path("imaplib")));
}

#[test]
fn the_table_of_clients_in_the_manual_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md");
    let current = mailward_tests::clients::manual();
    if std::env::var_os("MAILWARD_BLESS").is_some() {
        fs::write(&path, &current).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == current, "MAILWARD_BLESS=1 writes docs/clients.md anew");
}
