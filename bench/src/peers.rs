//! The peers: each in a directory of its own, on loopback, ended when dropped.
use crate::mail::Mail;
use crate::tls::{Pki, Sides};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running program.
#[derive(Debug)]
pub(crate) struct Peer {
    /// For the tables.
    pub(crate) name: &'static str,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl Peer {
    /// The root of its process tree.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let Ok(group) = i32::try_from(self.child.id()) else { return };
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ =
            nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// How Mailward runs in a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `no-mail-scanning`, shared workers.
    Pass,
    /// `no-mail-scanning`, a worker process for each session.
    PassPerSession,
    /// Scanned by clamd, each mail each time.
    Clamd,
    /// Scanned by clamd, whose answers are kept.
    ClamdOnce,
    /// Scanned by the builtin engine, rspamd asked for a score.
    Rspamd,
    /// Scanned by clamd, rspamd asked for a score beside it.
    ClamdAndRspamd,
    /// Scanned by the builtin engine alone.
    Builtin,
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn spawn(
    name: &'static str,
    address: SocketAddr,
    directory: TempDir,
    command: &mut Command,
    ready: impl Fn() -> bool,
) -> io::Result<Peer> {
    let log = fs::File::create(directory.path().join("log"))?;
    let path = directory.path().join("log");
    let child =
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn().map_err(
            |error| io::Error::other(format!("{name} cannot be started ({error}); is it installed?")),
        )?;
    let mut peer = Peer { name, address, child, _directory: directory };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready() {
        if Instant::now() > deadline || !matches!(peer.child.try_wait(), Ok(None)) {
            let log = fs::read_to_string(&path).unwrap_or_default();
            return Err(io::Error::other(format!("{name} does not come up:\n{log}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(peer)
}

fn answers(address: SocketAddr) -> impl Fn() -> bool {
    move || TcpStream::connect(address).is_ok()
}

fn directory() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("mailward-bench-").tempdir()
}

/// nginx's mail module; `auth` answers its auth_http requests.
pub(crate) fn nginx(name: &'static str, auth: SocketAddr, buffer: &str) -> io::Result<Peer> {
    nginx_with(name, auth, buffer, "", "pop3")
}

/// nginx's mail module for IMAP.
pub(crate) fn nginx_imap(auth: SocketAddr, buffer: &str) -> io::Result<Peer> {
    nginx_with("nginx", auth, buffer, "", "imap")
}

fn nginx_with(
    name: &'static str,
    auth: SocketAddr,
    buffer: &str,
    tls: &str,
    protocol: &str,
) -> io::Result<Peer> {
    let (address, directory) = (free()?, directory()?);
    let base = directory.path();
    let configuration = base.join("nginx.conf");
    fs::write(
        &configuration,
        format!(
            "load_module /usr/lib/nginx/modules/ngx_mail_module.so;\n\
             daemon off; worker_processes 2; pid {base}/pid; error_log stderr crit;\n\
             events {{ worker_connections 8000; }}\n\
             mail {{ auth_http {auth}/auth; pop3_auth plain; proxy_buffer {buffer};\n\
             server {{ listen {address}{tls}; protocol {protocol}; proxy on; }} }}\n",
            base = base.display()
        ),
    )?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&configuration);
    spawn(name, address, directory, &mut command, answers(address))
}

/// nginx's mail module behind TLS.
pub(crate) fn nginx_tls(auth: SocketAddr, buffer: &str, pki: &Pki) -> io::Result<Peer> {
    let lines = format!(
        " ssl; ssl_certificate {}; ssl_certificate_key {}; ssl_session_cache shared:s:10m; ssl_protocols TLSv1.2 TLSv1.3",
        pki.cert().display(),
        pki.key().display()
    );
    nginx_with("nginx", auth, buffer, &lines, "pop3")
}

/// haproxy in TCP mode.
pub(crate) fn haproxy(server: SocketAddr) -> io::Result<Peer> {
    haproxy_with(server, "", "")
}

/// haproxy with TLS.
pub(crate) fn haproxy_tls(server: SocketAddr, pki: &Pki, sides: Sides) -> io::Result<Peer> {
    let front = if sides.front { format!(" ssl crt {}", pki.both().display()) } else { String::new() };
    let back = if sides.back {
        format!(" ssl verify required ca-file {} verifyhost localhost", pki.cert().display())
    } else {
        String::new()
    };
    haproxy_with(server, &front, &back)
}

fn haproxy_with(server: SocketAddr, front: &str, back: &str) -> io::Result<Peer> {
    let (address, directory) = (free()?, directory()?);
    let configuration = directory.path().join("haproxy.cfg");
    fs::write(
        &configuration,
        format!(
            "global\n maxconn 8000\n nbthread 2\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 10m\n timeout server 10m\n\
             listen pop3\n bind {address}{front}\n server one {server}{back}\n"
        ),
    )?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&configuration);
    spawn("haproxy", address, directory, &mut command, answers(address))
}

/// perdition, a process per session.
pub(crate) fn perdition(server: SocketAddr) -> io::Result<Peer> {
    let (address, directory) = (free()?, directory()?);
    let mut command = Command::new("perdition.pop3");
    command.args(["--no_daemon", "--config_file", "/dev/null", "--bind_address", "127.0.0.1"]);
    command.args(["--listen_port", &address.port().to_string(), "--outgoing_server", "127.0.0.1"]);
    command.args(["--outgoing_port", &server.port().to_string(), "--connection_limit", "0", "--no_lookup"]);
    command
        .args(["--connection_logging", "--quiet"].iter().skip(1))
        .arg("--pid_file")
        .arg(directory.path().join("pid"));
    spawn("perdition", address, directory, &mut command, answers(address))
}

/// clamd with two signatures and no cache; its socket, and its configuration for its client.
pub(crate) fn clamd() -> io::Result<(Peer, PathBuf, PathBuf)> {
    let directory = directory()?;
    let base = directory.path().to_owned();
    let socket = base.join("clamd.sock");
    let database = base.join("db");
    fs::create_dir(&database)?;
    // The test virus, which Mailward shows to every engine before it believes it, and one that nothing matches.
    let eicar = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let hex: String = eicar.bytes().map(|byte| format!("{byte:02x}")).collect();
    let signatures = format!("Bench.Eicar:0:*:{hex}\nBench.Two:0:*:6d61696c776172642d62656e6368\n");
    fs::write(database.join("bench.ndb"), signatures)?;
    let configuration = base.join("clamd.conf");
    fs::write(
        &configuration,
        format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nMaxThreads 4\nDisableCache yes\n\
             StreamMaxLength 100M\nMaxScanSize 200M\nMaxFileSize 100M\nAlertExceedsMax yes\n",
            socket.display(),
            database.display()
        ),
    )?;
    // clamd leaves root for nobody here: the directory is root's own and temporary.
    let mut command = Command::new("clamd");
    command.arg("-c").arg(&configuration);
    let ready = socket.clone();
    let peer = spawn("clamd", SocketAddr::from(([127, 0, 0, 1], 0)), directory, &mut command, move || {
        UnixStream::connect(&ready).is_ok()
    })?;
    Ok((peer, socket, configuration))
}

/// rspamd's worker with one rule and no network.
pub(crate) fn rspamd() -> io::Result<Peer> {
    let (address, directory) = (free()?, directory()?);
    let base = directory.path();
    let rules = base.join("rules.lua");
    fs::write(&rules, "rspamd_config.BENCH = { score = 1, callback = function(task) return true end }\n")?;
    let configuration = base.join("rspamd.conf");
    fs::write(
        &configuration,
        format!(
            "options {{ filters = \"\"; disable_hyperscan = true; dbdir = \"{b}\"; rundir = \"{b}\"; \
             dns {{ nameserver = [\"127.0.0.1:1\"]; timeout = 0.1s; retransmits = 0; }} }}\n\
             logging {{ type = \"console\"; level = \"error\"; }}\n\
             metric {{ name = \"default\"; actions {{ reject = 15; add_header = 6; }} }}\n\
             worker \"normal\" {{ bind_socket = \"{address}\"; count = 1; }}\nlua = \"{rules}\";\n",
            b = base.display(),
            rules = rules.display()
        ),
    )?;
    let open = Command::new("chown").arg("-R").arg("nobody:nogroup").arg(base).status()?;
    if !open.success() {
        return Err(io::Error::other("a folder cannot be given to user nobody: run the bench as root"));
    }
    let mut command = Command::new("rspamd");
    command.args(["-f", "-i", "-u", "nobody", "-g", "nogroup", "-c"]).arg(&configuration);
    spawn("rspamd", address, directory, &mut command, answers(address))
}

/// dovecot with one user whose maildrop holds `mails`.
pub(crate) fn dovecot(mails: &[Mail]) -> io::Result<Peer> {
    let (address, directory) = (free()?, directory()?);
    let base = directory.path();
    let maildir = base.join("mail/user/Maildir");
    for name in ["new", "cur", "tmp"] {
        fs::create_dir_all(maildir.join(name))?;
    }
    for (index, mail) in mails.iter().enumerate() {
        fs::write(maildir.join(format!("cur/{index:04}.bench:2,")), &mail.bytes)?;
    }
    let configuration = base.join("dovecot.conf");
    fs::write(base.join("users"), "user:{PLAIN}secret:::::\n")?;
    fs::write(
        &configuration,
        format!(
            "protocols = pop3\nbase_dir = {b}/run\nstate_dir = {b}/run\nssl = no\ndisable_plaintext_auth = no\n\
             log_path = /dev/stderr\nmail_location = maildir:{b}/mail/%u/Maildir\nlisten = 127.0.0.1\n\
             mail_uid = mail\nmail_gid = mail\nfirst_valid_uid = 1\nauth_failure_delay = 0\n\
             default_login_user = nobody\ndefault_internal_user = nobody\ndefault_internal_group = nogroup\n\
             service pop3-login {{\n inet_listener pop3 {{\n port = {p}\n }}\n inet_listener pop3s {{\n port = 0\n }}\n\
             service_count = 0\n process_min_avail = 2\n client_limit = 10000\n}}\n\
             service pop3 {{\n process_min_avail = 8\n service_count = 100\n process_limit = 2000\n}}\n\
             service anvil {{\n client_limit = 12000\n}}\nservice auth {{\n client_limit = 12000\n}}\n\
             passdb {{\n driver = passwd-file\n args = {b}/users\n}}\n\
             userdb {{\n driver = static\n args = uid=mail gid=mail home={b}/mail/%u\n}}\n\
             mail_max_userip_connections = 10000\n",
            b = base.display(),
            p = address.port()
        ),
    )?;
    let owned = Command::new("chown").arg("-R").arg("mail:mail").arg(base.join("mail")).status()?;
    if !owned.success() {
        return Err(io::Error::other("the maildrop cannot be given to user mail: run the bench as root"));
    }
    let open = Command::new("chmod").arg("755").arg(base).status()?;
    debug_assert!(open.success());
    let mut command = Command::new("dovecot");
    command.arg("-F").arg("-c").arg(&configuration);
    spawn("dovecot", address, directory, &mut command, answers(address))
}

/// Mailward itself, from the release build beside this program.
pub(crate) fn mailward(
    binary: &Path,
    server: SocketAddr,
    mode: Mode,
    clamd: Option<&Path>,
) -> io::Result<Peer> {
    mailward_asking(binary, server, mode, (clamd, None))
}

/// Mailward with whom it asks: clamd, rspamd.
pub(crate) fn mailward_asking(
    binary: &Path,
    server: SocketAddr,
    mode: Mode,
    asked: (Option<&Path>, Option<SocketAddr>),
) -> io::Result<Peer> {
    mailward_with(binary, server, mode, asked, ["tls = \"off\"", "server-tls = \"off\"", "", "pop3"])
}

/// Mailward for IMAP.
pub(crate) fn mailward_imap(
    binary: &Path,
    server: SocketAddr,
    mode: Mode,
    clamd: Option<&Path>,
) -> io::Result<Peer> {
    mailward_with(binary, server, mode, (clamd, None), ["tls = \"off\"", "server-tls = \"off\"", "", "imap"])
}

/// Mailward with TLS.
pub(crate) fn mailward_tls(
    binary: &Path,
    server: SocketAddr,
    mode: Mode,
    pki: &Pki,
    sides: Sides,
) -> io::Result<Peer> {
    let front = if sides.front { "tls = \"implicit\"" } else { "tls = \"off\"" };
    let back = if sides.back { "server-tls = \"bench\"" } else { "server-tls = \"off\"" };
    let rest = format!(
        "[client-tls.bench]\ncertificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n\
         [server-tls.bench]\nca = \"{cert}\"\n",
        cert = pki.cert().display(),
        key = pki.key().display()
    );
    mailward_with(binary, server, mode, (None, None), [front, back, &rest, "pop3"])
}

fn mailward_with(
    binary: &Path,
    server: SocketAddr,
    mode: Mode,
    (clamd, rspamd): (Option<&Path>, Option<SocketAddr>),
    [front, back, tls, protocol]: [&str; 4],
) -> io::Result<Peer> {
    let (address, directory) = (free()?, directory()?);
    let base = directory.path();
    let isolation = if mode == Mode::PassPerSession { "session" } else { "shared" };
    let cache = if mode == Mode::ClamdOnce { "" } else { "answer-cache = 0\n" };
    let mut engines = String::new();
    let scan = match mode {
        Mode::Pass | Mode::PassPerSession => "no-mail-scanning = true",
        Mode::Builtin | Mode::Rspamd => {
            let signatures = base.join("bench.hsb");
            fs::write(&signatures, format!("{}:1:Bench.None\n", "0".repeat(64)))?;
            engines = format!(
                "[antivirus.builtin]\nsignatures = [\"builtin:test\", \"{}\"]\n",
                signatures.display()
            );
            ""
        }
        Mode::Clamd | Mode::ClamdOnce | Mode::ClamdAndRspamd => {
            let socket = clamd.ok_or_else(|| io::Error::other("scanning by clamd needs a clamd"))?;
            engines =
                format!("[antivirus.clamd]\nsocket = \"{}\"\nmax-size = \"100MiB\"\n", socket.display());
            ""
        }
    };
    if let Some(address) = rspamd {
        engines.push_str(&format!("[antispam.rspamd]\nurl = \"http://{address}\"\n"));
    }
    fs::create_dir(base.join("state"))?;
    let configuration = base.join("mailward.toml");
    fs::write(
        &configuration,
        format!(
            "version = 1\n[service]\nstate-dir = \"{b}/state\"\nspool-dir = \"{b}/state/spool\"\nisolation = \"{isolation}\"\n{cache}\
             [control]\nsocket = \"{b}/control.sock\"\n[log]\nlevel = \"warn\"\n\
             [[listener]]\nprotocol = \"{protocol}\"\naddress = [\"{address}\"]\n{front}\n\
             [[session-acl]]\nfrom = [\"*\"]\n\
             [[command-acl]]\nplug-to = [\"{server}\"]\n{back}\n[command-acl.download]\n{scan}\n{engines}{tls}",
            b = base.display()
        ),
    )?;
    let mut command = Command::new(binary);
    command.arg("run").arg("-c").arg(&configuration);
    let name = match mode {
        Mode::Pass => "mailward",
        Mode::PassPerSession => "mailward/session",
        Mode::Clamd => "mailward+clamd",
        Mode::ClamdOnce => "mailward, known",
        Mode::Rspamd => "mailward+rspamd",
        Mode::ClamdAndRspamd => "mailward+both",
        Mode::Builtin => "mailward+builtin",
    };
    spawn(name, address, directory, &mut command, answers(address))
}

/// The canned backend, behind TLS if a certificate is given.
pub(crate) fn backend(mails: usize, octets: usize, pki: Option<&Pki>) -> io::Result<Peer> {
    let mut arguments = vec![mails.to_string(), octets.to_string()];
    arguments.extend(
        pki.into_iter().flat_map(|pki| [pki.cert(), pki.key()]).map(|path| path.display().to_string()),
    );
    own("backend", &arguments)
}

/// The canned backend for IMAP.
pub(crate) fn backend_imap(mails: usize, octets: usize) -> io::Result<Peer> {
    own("backend", &["--imap".to_owned(), mails.to_string(), octets.to_string()])
}

/// A part of this program as a process of its own.
pub(crate) fn own(name: &'static str, arguments: &[String]) -> io::Result<Peer> {
    let (address, directory) = (free()?, directory()?);
    let mut command = Command::new("/proc/self/exe");
    command.arg(name).arg(address.to_string()).args(arguments);
    spawn(name, address, directory, &mut command, answers(address))
}
