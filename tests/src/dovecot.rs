//! A real dovecot with one mailbox, by POP3 and by IMAP.
use crate::pki::Pair;
use crate::process::Daemon;
use crate::until;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The user of the maildrop.
pub const USER: &str = "user";
/// Others who may log in, and read the same mails; names by which rules tell them apart.
pub const OTHERS: [&str; 2] = ["ann@staff.example.net", "bob@guests.example.net"];
/// The password of each.
pub const PASSWORD: &str = "secret";

/// A running dovecot.
#[derive(Debug)]
pub struct Dovecot {
    directory: TempDir,
    ports: Ports,
    address: SocketAddr,
    _daemon: Daemon,
}

/// Where it listens; 0: nowhere.
#[derive(Clone, Copy, Debug)]
struct Ports {
    pop3: u16,
    pop3s: u16,
    imap: u16,
    imaps: u16,
}

impl Ports {
    /// Free ones of loopback.
    fn free(tls: bool) -> Self {
        let sockets: [TcpListener; 4] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [pop3, pop3s, imap, imaps] = sockets.map(|socket| socket.local_addr().unwrap().port());
        let if_tls = |port| if tls { port } else { 0 };
        Self { pop3, pop3s: if_tls(pop3s), imap, imaps: if_tls(imaps) }
    }
}

impl Dovecot {
    /// Serves these mails on loopback.
    pub fn start(mails: &[Vec<u8>]) -> Self {
        Self::on_loopback(mails, None)
    }

    /// Serves these mails on loopback, with this certificate: by STARTTLS at [`Dovecot::address`], by implicit TLS at
    /// [`Dovecot::tls_address`].
    pub fn secured(mails: &[Vec<u8>], pair: &Pair) -> Self {
        Self::asking(mails, pair, None)
    }

    /// The same; clients must show a certificate that this authority signed.
    pub fn asking(mails: &[Vec<u8>], pair: &Pair, authority: Option<&Path>) -> Self {
        Self::on_loopback(mails, Some((pair, authority)))
    }

    fn on_loopback(mails: &[Vec<u8>], tls: Option<(&Pair, Option<&Path>)>) -> Self {
        let ports = Ports::free(tls.is_some());
        let mut command = Command::new("dovecot");
        let dovecot = Self::start_by(&mut command, [127, 0, 0, 1].into(), ports, mails, tls);
        for port in [ports.pop3, ports.pop3s, ports.imap, ports.imaps].into_iter().filter(|port| *port > 0) {
            until("dovecot to listen", 20, || TcpStream::connect(("127.0.0.1", port)).ok());
        }
        dovecot
    }

    /// Serves these mails in a network namespace, on every address of it; by IMAP at its own port.
    pub fn start_in(namespace: &str, port: u16, mails: &[Vec<u8>]) -> Self {
        Self::in_namespace(namespace, Ports { pop3: port, pop3s: 0, imap: 143, imaps: 0 }, mails, None)
    }

    /// The same, by implicit TLS too, at ports 995 and 993, with this certificate; clients are asked for one that this
    /// authority signed.
    pub fn secured_in(namespace: &str, mails: &[Vec<u8>], pair: &Pair, authority: Option<&Path>) -> Self {
        let ports = Ports { pop3: 110, pop3s: 995, imap: 143, imaps: 993 };
        Self::in_namespace(namespace, ports, mails, Some((pair, authority)))
    }

    fn in_namespace(
        namespace: &str,
        ports: Ports,
        mails: &[Vec<u8>],
        tls: Option<(&Pair, Option<&Path>)>,
    ) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, "dovecot"]);
        let dovecot = Self::start_by(&mut command, [0, 0, 0, 0].into(), ports, mails, tls);
        let port = if tls.is_some() { ports.pop3s } else { ports.pop3 };
        until("dovecot to listen in its namespace", 20, || {
            let probe = format!("</dev/tcp/127.0.0.1/{port}");
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace, "bash", "-c", &probe]).stderr(Stdio::null());
            command.status().unwrap().success().then_some(())
        });
        dovecot
    }

    fn start_by(
        command: &mut Command,
        ip: IpAddr,
        ports: Ports,
        mails: &[Vec<u8>],
        tls: Option<(&Pair, Option<&Path>)>,
    ) -> Self {
        let directory = tempfile::Builder::new().prefix("mailward-dovecot-").tempdir().unwrap();
        let base = directory.path();
        fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
        let maildir = base.join("mail").join(USER).join("Maildir");
        for name in ["new", "cur", "tmp"] {
            fs::create_dir_all(maildir.join(name)).unwrap();
        }
        for (index, mail) in mails.iter().enumerate() {
            fs::write(maildir.join(format!("cur/{index:05}.lab:2,")), mail).unwrap();
        }
        let users = [USER].into_iter().chain(OTHERS);
        let users: String = users.map(|user| format!("{user}:{{PLAIN}}{PASSWORD}:::::\n")).collect();
        fs::write(base.join("users"), users).unwrap();
        let listen = if ip.is_unspecified() { "*, ::".to_owned() } else { ip.to_string() };
        let ssl = tls.map_or("ssl = no\n".to_owned(), |(pair, authority)| {
            let asks = authority.map_or(String::new(), |ca| {
                let ca = ca.display();
                format!("ssl_ca = <{ca}\nssl_require_crl = no\nssl_verify_client_cert = yes\nauth_ssl_require_client_cert = yes\n")
            });
            format!("ssl = yes\nssl_cert = <{}\nssl_key = <{}\n{asks}", pair.cert.display(), pair.key.display())
        });
        let Ports { pop3, pop3s, imap, imaps } = ports;
        fs::write(
            base.join("dovecot.conf"),
            format!(
                "protocols = imap pop3\nbase_dir = {b}/run\nstate_dir = {b}/run\n{ssl}disable_plaintext_auth = no\n\
                 log_path = {b}/log\nmail_location = maildir:{b}/mail/{USER}/Maildir\nlisten = {listen}\n\
                 mail_uid = mail\nmail_gid = mail\nfirst_valid_uid = 1\nauth_failure_delay = 0\n\
                 auth_mechanisms = plain login apop scram-sha-256\n\
                 default_login_user = nobody\ndefault_internal_user = nobody\ndefault_internal_group = nogroup\n\
                 service pop3-login {{\n inet_listener pop3 {{\n port = {pop3}\n }}\n inet_listener pop3s {{\n port = {pop3s}\n ssl = yes\n }}\n}}\n\
                 service imap-login {{\n inet_listener imap {{\n port = {imap}\n }}\n inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\n\
                 namespace inbox {{\n inbox = yes\n mailbox Drafts {{\n auto = create\n special_use = \\Drafts\n }}\n mailbox Sent {{\n auto = create\n special_use = \\Sent\n }}\n}}\n\
                 passdb {{\n driver = passwd-file\n args = {b}/users\n}}\n\
                 userdb {{\n driver = static\n args = uid=mail gid=mail home={b}/mail/{USER}\n}}\n\
                 mail_save_crlf = yes\npop3_uidl_format = %g\nmail_max_userip_connections = 1000\n",
                b = base.display(),
            ),
        )
        .unwrap();
        let owned = Command::new("chown").arg("-R").arg("mail:mail").arg(base.join("mail")).status().unwrap();
        assert!(owned.success());
        command
            .arg("-F")
            .arg("-c")
            .arg(base.join("dovecot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let daemon = Daemon::start(command);
        Self { directory, ports, address: SocketAddr::new(ip, ports.pop3), _daemon: daemon }
    }

    /// Where it listens for POP3.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for POP3 by implicit TLS.
    pub fn tls_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.ports.pop3s)
    }

    /// Where it listens for IMAP.
    pub fn imap_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.ports.imap)
    }

    /// Where it listens for IMAP by implicit TLS.
    pub fn imaps_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.ports.imaps)
    }

    /// The mails that are in the maildrop now.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        self.folder("")
    }

    /// The mails that are in a folder, `""` for INBOX, now.
    pub fn folder(&self, name: &str) -> Vec<Vec<u8>> {
        let maildir = self.maildir();
        let maildir = if name.is_empty() { maildir } else { maildir.join(format!(".{name}")) };
        let entries = ["cur", "new"].map(|state| fs::read_dir(maildir.join(state)));
        let mut names: Vec<_> = entries
            .into_iter()
            .flatten()
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .collect();
        names.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        names.into_iter().map(|path| fs::read(path).unwrap()).collect()
    }

    fn maildir(&self) -> PathBuf {
        self.directory.path().join("mail").join(USER).join("Maildir")
    }
}
