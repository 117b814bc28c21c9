//! Mailward as a child process, started as an operator would start it: a configuration file and `mailward run`.
//! What it says of itself comes by two pipes: its log (JSON lines on stderr) and its report of processes and
//! walls (JSON lines on stdout).
use crate::certificates::{self, Certificates};
use crate::server::Server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sandbox::Walls;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ports that are easy to remember; others are taken where they are in use.
const PORT: u16 = 11110;
const TLS_PORT: u16 = 11995;
const IMAPS_PORT: u16 = 11993;
/// How long the start may take on a busy machine.
const START: Duration = Duration::from_secs(30);
/// How long a graceful end may take.
const STOP: Duration = Duration::from_secs(10);

/// A process of Mailward.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// The role's word.
    pub(crate) role: String,
    /// Whose mail it sees.
    pub(crate) tenant: String,
    /// What it reported; `None` is the supervisor.
    pub(crate) walls: Option<Walls>,
    /// Its number.
    pub(crate) pid: u32,
}

/// What was heard from it so far.
#[derive(Debug, Default)]
struct Heard {
    processes: Vec<Process>,
    listening: bool,
    mails: BTreeMap<u64, Value>,
    log: Vec<String>,
    ended: bool,
}

type Shared = Arc<(Mutex<Heard>, Condvar)>;

/// A running Mailward.
#[derive(Debug)]
pub(crate) struct Mailward {
    child: Child,
    address: SocketAddr,
    tls_address: SocketAddr,
    imaps_address: SocketAddr,
    certificates: Certificates,
    heard: Shared,
    start: Duration,
    directory: TempDir,
}

/// Starts Mailward in front of a server's POP3 and IMAP.
///
/// # Errors
/// When it does not come to listen; the error holds what it logged.
pub(crate) fn start(server: &Server) -> io::Result<Mailward> {
    let directory = tempfile::Builder::new().prefix("mailward-demo-").tempdir()?;
    for name in ["state", "spool"] {
        DirBuilder::new().mode(0o700).create(directory.path().join(name))?;
    }
    let address = free_address(PORT)?;
    let tls_address = free_address(TLS_PORT)?;
    let imaps_address = free_address(IMAPS_PORT)?;
    let certificates = certificates::make(directory.path())?;
    let path = directory.path().join("mailward.toml");
    let listeners = [address, tls_address, imaps_address];
    fs::write(&path, configuration(&directory, &certificates, listeners, server))?;

    let begun = Instant::now();
    let mut child = Command::new("/proc/self/exe")
        .arg0("mailward")
        .args(["run", "--report-fd", "1", "--demo", "--config"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let heard = Shared::default();
    let pid = child.id();
    lock(&heard).processes.push(Process {
        role: "supervisor".into(),
        tenant: String::new(),
        walls: None,
        pid,
    });
    if let Some(report) = child.stdout.take() {
        listen(report, Arc::clone(&heard), report_line)?;
    }
    if let Some(log) = child.stderr.take() {
        listen(log, Arc::clone(&heard), log_line)?;
    }
    let mut mailward = Mailward {
        child,
        address,
        tls_address,
        imaps_address,
        certificates,
        heard,
        start: Duration::ZERO,
        directory,
    };
    if !mailward.until(START, |heard| heard.listening || heard.ended) || mailward.ended() {
        let log = lock(&mailward.heard).log.join("\n  ");
        return Err(io::Error::other(format!("Mailward does not start. It said:\n  {log}")));
    }
    mailward.start = begun.elapsed();
    Ok(mailward)
}

fn configuration(
    directory: &TempDir,
    certificates: &Certificates,
    [listen, listen_tls, listen_imaps]: [SocketAddr; 3],
    server: &Server,
) -> String {
    let (pop3, imap) = (server.address(), server.imap_address());
    let (cert, key) = (certificates.cert.display(), certificates.key.display());
    let base = directory.path().display();
    format!(
        "version = 1\n\n\
         [service]\n\
         state-dir = \"{base}/state\"\n\
         spool-dir = \"{base}/spool\"\n\
         scanners = 2\n\
         workers = 2\n\n\
         [control]\n\
         socket = \"{base}/control.sock\"\n\n\
         [[listener]]\n\
         name = \"pop3\"\n\
         protocol = \"pop3\"\n\
         address = [\"{listen}\"]\n\
         tls = \"starttls\"\n\n\
         [[listener]]\n\
         name = \"pop3s\"\n\
         protocol = \"pop3\"\n\
         address = [\"{listen_tls}\"]\n\n\
         [[listener]]\n\
         name = \"imaps\"\n\
         protocol = \"imap\"\n\
         address = [\"{listen_imaps}\"]\n\n\
         [client-tls.demo]\n\
         certificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n\n\
         [[session-acl]]\n\
         name = \"this-machine\"\n\
         from = [\"127.0.0.0/8\"]\n\n\
         [[command-acl]]\n\
         name = \"demo\"\n\
         protocol = [\"pop3\"]\n\
         plug-to = [\"{pop3}\"]\n\
         server-tls = \"off\"\n\n\
         [[command-acl]]\n\
         name = \"demo-imap\"\n\
         protocol = [\"imap\"]\n\
         plug-to = [\"{imap}\"]\n\
         server-tls = \"off\"\n\
         metadata = \"strict\"\n\n\
         [antivirus.builtin]\n\
         signatures = [\"builtin:test\"]\n\n\
         [[doc-acl]]\n\
         name = \"macros\"\n\
         mime-type = [\"application/vnd.ms-office.vbaproject\"]\n\
         action = \"replace\"\n\n\
         [[doc-acl]]\n\
         name = \"programs\"\n\
         mime-type = [\"application/vnd.microsoft.portable-executable\"]\n\
         filename = [\"*.exe\", \"*.scr\", \"*.js\"]\n\
         action = \"replace\"\n\n\
         [html-filter.safe]\n\
         remote-images = \"remove\"\n\n\
         [[doc-acl]]\n\
         name = \"html\"\n\
         mime-type = [\"text/html\"]\n\
         size = \"> 200\"\n\
         action = \"html-filter\"\n\
         html-filter = \"safe\"\n\n\
         [antispam.builtin]\n\n\
         [[mail-acl]]\n\
         name = \"spam\"\n\
         virus = [\"clean\"]\n\
         spam-score = \">= 15\"\n\
         action = \"deny\"\n"
    )
}

fn free_address(port: u16) -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", port)).or_else(|_| TcpListener::bind("127.0.0.1:0"))?.local_addr()
}

impl Mailward {
    /// Mails whose originals are in the quarantine.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub(crate) fn quarantined(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.directory.path().join("state/quarantine/default"))?.count())
    }

    /// Where clients connect.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect by implicit TLS.
    pub(crate) const fn tls_address(&self) -> SocketAddr {
        self.tls_address
    }

    /// Where clients of IMAP connect, by implicit TLS.
    pub(crate) const fn imaps_address(&self) -> SocketAddr {
        self.imaps_address
    }

    /// What it shows to clients.
    pub(crate) const fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Spawn to listening.
    pub(crate) const fn start_time(&self) -> Duration {
        self.start
    }

    /// The configuration file that it runs with.
    pub(crate) fn configuration(&self) -> std::path::PathBuf {
        self.directory.path().join("mailward.toml")
    }

    /// The supervisor first, then the children that live, as reported.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mut processes = lock(&self.heard).processes.clone();
        processes.retain(|process| Path::new("/proc").join(process.pid.to_string()).exists());
        processes
    }

    /// The MAIL record of a message number, waiting a moment for it to come through the pipe.
    pub(crate) fn record(&mut self, number: u64) -> Option<Value> {
        self.until(Duration::from_secs(2), |heard| heard.mails.contains_key(&number));
        lock(&self.heard).mails.get(&number).cloned()
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as `systemctl stop` would. Whether it ended; where that takes too long it is killed.
    pub(crate) fn stop(&mut self) -> bool {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP;
        while !self.ended() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let ended = self.ended();
        let _ = self.child.kill();
        let _ = self.child.wait();
        ended
    }

    fn until(&self, patience: Duration, done: impl Fn(&Heard) -> bool) -> bool {
        let (heard, changed) = &*self.heard;
        let guard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, patience, |heard| !done(heard));
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }
}

impl Drop for Mailward {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether this run has the full sandbox.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

fn lock(heard: &Shared) -> std::sync::MutexGuard<'_, Heard> {
    heard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(
    pipe: impl Read + Send + 'static,
    heard: Shared,
    take: impl Fn(&mut Heard, &str) + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new().name("pipe".into()).spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            take(&mut lock(&heard), &line);
            heard.1.notify_all();
        }
        lock(&heard).ended = true;
        heard.1.notify_all();
    })?;
    Ok(())
}

fn report_line(heard: &mut Heard, line: &str) {
    let Ok(report) = serde_json::from_str::<Value>(line) else { return };
    if report.get("event").and_then(Value::as_str) == Some("listening") {
        heard.listening = true;
    }
    if let (Some(role), Some(pid)) = (report.get("role").and_then(Value::as_str), report.get("pid")) {
        let tenant = report.get("tenant").and_then(Value::as_str).unwrap_or_default().to_owned();
        let walls = report.get("walls").and_then(|walls| serde_json::from_value(walls.clone()).ok());
        let pid = pid.as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
        heard.processes.push(Process { role: role.to_owned(), tenant, walls, pid });
    }
}

fn log_line(heard: &mut Heard, line: &str) {
    if let Ok(record) = serde_json::from_str::<Value>(line)
        && record.get("record").and_then(Value::as_str) == Some("MAIL")
        && let Some(number) = record.get("number").and_then(Value::as_u64)
    {
        heard.mails.entry(number).or_insert(record);
    }
    heard.log.push(line.to_owned());
}
