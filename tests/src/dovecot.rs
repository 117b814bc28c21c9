//! A real dovecot with one maildrop.
use crate::pki::Pair;
use crate::process::Daemon;
use crate::until;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
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
    address: SocketAddr,
    tls_address: SocketAddr,
    _daemon: Daemon,
}

impl Dovecot {
    /// Serves these mails on loopback.
    pub fn start(mails: &[Vec<u8>]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("dovecot");
        let dovecot = Self::start_by(&mut command, address, mails, None);
        until("dovecot to listen", 20, || TcpStream::connect(address).ok());
        dovecot
    }

    /// Serves these mails on loopback, with this certificate: by STLS at [`Dovecot::address`], by implicit TLS at
    /// [`Dovecot::tls_address`].
    pub fn secured(mails: &[Vec<u8>], pair: &Pair) -> Self {
        Self::asking(mails, pair, None)
    }

    /// The same; clients must show a certificate that this authority signed.
    pub fn asking(mails: &[Vec<u8>], pair: &Pair, authority: Option<&Path>) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (plain, tls) = (free(), free());
        let addresses = [&plain, &tls].map(|socket| socket.local_addr().unwrap());
        drop((plain, tls));
        let mut command = Command::new("dovecot");
        let mut dovecot =
            Self::start_by(&mut command, addresses[0], mails, Some((pair, addresses[1].port(), authority)));
        dovecot.tls_address = addresses[1];
        for address in addresses {
            until("dovecot to listen", 20, || TcpStream::connect(address).ok());
        }
        dovecot
    }

    /// Serves these mails in a network namespace, on every address of it.
    pub fn start_in(namespace: &str, port: u16, mails: &[Vec<u8>]) -> Self {
        Self::in_namespace(namespace, port, mails, None)
    }

    /// The same, by implicit TLS at port 995 with this certificate; clients are asked for one that this authority signed.
    pub fn secured_in(namespace: &str, mails: &[Vec<u8>], pair: &Pair, authority: Option<&Path>) -> Self {
        Self::in_namespace(namespace, 110, mails, Some((pair, 995, authority)))
    }

    fn in_namespace(
        namespace: &str,
        port: u16,
        mails: &[Vec<u8>],
        tls: Option<(&Pair, u16, Option<&Path>)>,
    ) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, "dovecot"]);
        let address = SocketAddr::from(([0, 0, 0, 0], port));
        let dovecot = Self::start_by(&mut command, address, mails, tls);
        let port = tls.map_or(port, |(_, port, _)| port);
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
        address: SocketAddr,
        mails: &[Vec<u8>],
        tls: Option<(&Pair, u16, Option<&Path>)>,
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
        let listen =
            if address.ip().is_unspecified() { "*, ::".to_owned() } else { address.ip().to_string() };
        let ssl = tls.map_or("ssl = no\n".to_owned(), |(pair, _, authority)| {
            let asks = authority.map_or(String::new(), |ca| {
                let ca = ca.display();
                format!("ssl_ca = <{ca}\nssl_require_crl = no\nssl_verify_client_cert = yes\nauth_ssl_require_client_cert = yes\n")
            });
            format!("ssl = yes\nssl_cert = <{}\nssl_key = <{}\n{asks}", pair.cert.display(), pair.key.display())
        });
        let tls_port = tls.map_or(0, |(_, port, _)| port);
        fs::write(
            base.join("dovecot.conf"),
            format!(
                "protocols = pop3\nbase_dir = {b}/run\nstate_dir = {b}/run\n{ssl}disable_plaintext_auth = no\n\
                 log_path = {b}/log\nmail_location = maildir:{b}/mail/{USER}/Maildir\nlisten = {listen}\n\
                 mail_uid = mail\nmail_gid = mail\nfirst_valid_uid = 1\nauth_failure_delay = 0\n\
                 auth_mechanisms = plain login apop\n\
                 default_login_user = nobody\ndefault_internal_user = nobody\ndefault_internal_group = nogroup\n\
                 service pop3-login {{\n inet_listener pop3 {{\n port = {p}\n }}\n inet_listener pop3s {{\n port = {tls_port}\n ssl = yes\n }}\n}}\n\
                 passdb {{\n driver = passwd-file\n args = {b}/users\n}}\n\
                 userdb {{\n driver = static\n args = uid=mail gid=mail home={b}/mail/{USER}\n}}\n\
                 pop3_uidl_format = %g\nmail_max_userip_connections = 1000\n",
                b = base.display(),
                p = address.port()
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
        Self { directory, address, tls_address: address, _daemon: daemon }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for implicit TLS.
    pub fn tls_address(&self) -> SocketAddr {
        self.tls_address
    }

    /// The mails that are in the maildrop now.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        let cur = self.maildir().join("cur");
        let mut names: Vec<_> = fs::read_dir(cur).unwrap().flatten().map(|entry| entry.path()).collect();
        names.sort();
        names.into_iter().map(|path| fs::read(path).unwrap()).collect()
    }

    fn maildir(&self) -> PathBuf {
        self.directory.path().join("mail").join(USER).join("Maildir")
    }
}
