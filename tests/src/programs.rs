//! The mail programs that synchronise the mailbox of [`crate::sync`], each with the settings of its kind.
use crate::process::as_nobody;
use crate::sync::{Lab, mailbox};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

impl Lab {
    /// mbsync into the Maildir `mbsync`.
    pub fn mbsync(&self) -> Command {
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
            home = self.home().display()
        );
        let mut command = Command::new("mbsync");
        command.arg("-c").arg(self.write("mbsyncrc", &settings)).arg("-a");
        command
    }

    /// offlineimap into the Maildir `offlineimap/INBOX`.
    pub fn offlineimap(&self) -> Command {
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
            home = self.home().display()
        );
        let mut command = Command::new("offlineimap");
        command.arg("-o").arg("-c").arg(self.write("offlineimaprc", &settings));
        command
    }

    /// fetchmail into the folder `fetchmail`; nothing is deleted.
    pub fn fetchmail(&self) -> Command {
        let inbox = self.folder("fetchmail");
        let tls = if self.tls {
            format!("ssl sslcertck sslcertfile {} sslcommonname localhost", self.pki.ca().display())
        } else {
            "sslproto ''".to_owned()
        };
        let settings = format!(
            "set no bouncemail\npoll 127.0.0.1 service {port} protocol imap user \"user\" password \"secret\" \
             {tls} fetchall keep no rewrite mda \"sh -c 'cat > {inbox}/$$'\"\n",
            port = self.port(),
            inbox = inbox.display()
        );
        let mut command = Command::new("fetchmail");
        command.args(["--nodetach", "--nosyslog", "--invisible", "-f"]);
        command.arg(self.write("fetchmailrc", &settings)).env("FETCHMAILHOME", self.home());
        command
    }

    /// getmail into the Maildir `getmail`.
    pub fn getmail(&self) -> Command {
        let maildir = self.maildir("getmail");
        let (kind, ca) = if self.tls {
            let ca = self.path("ca.pem");
            fs::copy(self.pki.ca(), &ca).unwrap();
            ("SimpleIMAPSSLRetriever", format!("ca_certs = {}\n", ca.display()))
        } else {
            ("SimpleIMAPRetriever", String::new())
        };
        let settings = format!(
            "[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {port}\nusername = user\npassword = secret\n{ca}\
             [destination]\ntype = Maildir\npath = {m}/\n[options]\ndelivered_to = false\nreceived = false\n",
            port = self.port(),
            m = maildir.display()
        );
        self.write("getmailrc", &settings);
        // getmail refuses to deliver as root.
        self.succeed(Command::new("chown").arg("-R").arg("nobody").arg(self.home()));
        getmail(self.home())
    }

    /// curl into the folder `curl`, one command for each UID.
    pub fn curl(&self) -> Command {
        let folder = self.folder("curl");
        let scheme = if self.tls { "imaps" } else { "imap" };
        let url = format!("{scheme}://127.0.0.1:{}/INBOX;UID=[1-{}]", self.port(), mailbox().len());
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-early", "-u", "user:secret", "--cacert"]).arg(self.pki.ca());
        command.arg("-o").arg(folder.join("#1")).arg(url);
        command
    }

    /// mutt on a terminal, into the Maildir `mutt`: keys tag every mail and copy it there.
    pub fn mutt(&self) -> Command {
        let maildir = self.maildir("mutt");
        let (scheme, tls) = if self.tls {
            ("imaps", format!("set ssl_ca_certificates_file=\"{}\"\n", self.pki.ca().display()))
        } else {
            ("imap", "set ssl_starttls=no ssl_force_tls=no\n".to_owned())
        };
        let url = format!("{scheme}://user@127.0.0.1:{}/INBOX", self.port());
        let settings = format!(
            "set imap_pass=secret mbox_type=Maildir wait_key=no sleep_time=0 move=no quit=yes delete=no\n\
             set folder=\"{home}\" confirmcreate=no confirmappend=no mail_check=0 header_cache=\"\" message_cachedir=\"\"\n{tls}\
             push \"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{maildir}<enter><exit>\"\n",
            home = self.home().display(),
            maildir = maildir.display()
        );
        let mutt = format!("mutt -n -F {} -f {url}", self.write("muttrc", &settings).display());
        let mut command = Command::new("script");
        command.args(["-qec", &mutt, "/dev/null"]).env("TERM", "xterm");
        command
    }

    /// Thunderbird without a screen; what it keeps comes into the folder `synchronised`.
    pub fn thunderbird(&self) -> Command {
        let mut command = script("python3", "by_thunderbird.py", self.port());
        command.arg(self.home()).arg(mailbox().len().to_string()).arg(self.ca());
        command
    }

    /// imaplib into the folder `imaplib`, what is not there yet.
    pub fn imaplib(&self) -> Command {
        self.by_script("python3", "by_imaplib.py", "imaplib")
    }

    /// IMAPClient into the folder `imapclient`.
    pub fn imapclient(&self) -> Command {
        self.by_script("python3", "by_imapclient.py", "imapclient")
    }

    /// Perl's Mail::IMAPClient into the folder `mail_imapclient`.
    pub fn mail_imapclient(&self) -> Command {
        self.by_script("perl", "by_mail_imapclient.pl", "mail_imapclient")
    }

    fn by_script(&self, interpreter: &str, name: &str, folder: &str) -> Command {
        let mut command = script(interpreter, name, self.port());
        command.arg(self.folder(folder)).arg(self.ca());
        command
    }

    /// Nothing where there is no TLS.
    fn ca(&self) -> PathBuf {
        if self.tls { self.pki.ca() } else { PathBuf::new() }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

/// getmail with its settings in this folder, which must be nobody's.
pub fn getmail(home: &Path) -> Command {
    // Not by its path: it may lead through folders that nobody may enter.
    let mut command = as_nobody("python3");
    command.args(["-c", include_str!("../clients/getmail.py"), "--getmaildir"]).arg(home);
    command
}

fn script(interpreter: &str, name: &str, port: u16) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)).arg(port.to_string());
    command
}
