//! Mailward itself: the real binary with a configuration file of the test's, and everything it says.
use crate::process::{Daemon, alive, children, holds};
use crate::until;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The binary under test: the one of this build, or the one that `MAILWARD` names.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MAILWARD") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("mailward");
    assert!(path.exists(), "{} is missing: cargo build --package mailward first", path.display());
    path
}

/// What differs from one test to the next; the rest is an ordinary file.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The listener speaks IMAP, otherwise POP3.
    pub imap: bool,
    /// Lines of `[service]`.
    pub service: String,
    /// Lines of the listener besides name, protocol and address; `tls = "off"` is written if they do not say `tls`.
    pub listener: String,
    /// Lines of the session-acl.
    pub session: String,
    /// Lines of the command-acl; `server-tls = "off"` is written if they do not say `server-tls`, and `plug-to` is written if a server is given.
    pub command: String,
    /// Lines of `[command-acl.download]`.
    pub download: String,
    /// Everything else: engines, further tables.
    pub rest: String,
    /// The server.
    pub server: Option<SocketAddr>,
    /// The address to listen on; a free loopback port if none.
    pub listen: Option<SocketAddr>,
    /// The network namespace to run in.
    pub namespace: Option<String>,
    /// A variable of its environment.
    pub variable: Option<(&'static str, PathBuf)>,
    /// Where its control socket is; in its own directory if nowhere.
    pub control: Option<PathBuf>,
}

impl Config {
    /// In front of this server, scanning with the builtin engine and one local signature.
    pub fn scanning(server: SocketAddr) -> Self {
        let rest = "[antivirus.builtin]\nsignatures = [\"builtin:test\", \"SIGNATURES\"]\n".into();
        Self { server: Some(server), rest, ..Self::default() }
    }

    /// Without a quarantine.
    pub fn keeping_nothing(mut self) -> Self {
        self.rest.push_str("[quarantine]\nenabled = false\n");
        self
    }

    /// In front of this server, scanning with this clamd alone.
    pub fn clamd(server: SocketAddr, socket: &Path) -> Self {
        let rest = format!("[antivirus.clamd]\nsocket = \"{}\"\n", socket.display());
        Self { server: Some(server), rest, ..Self::default() }
    }

    /// The same for IMAP.
    #[must_use]
    pub fn imap(self) -> Self {
        Self { imap: true, ..self }
    }

    /// In front of this server, not scanning.
    pub fn passing(server: SocketAddr) -> Self {
        Self { server: Some(server), download: "no-mail-scanning = true\n".into(), ..Self::default() }
    }
}

/// A running Mailward.
#[derive(Debug)]
pub struct Mailward {
    daemon: Daemon,
    address: SocketAddr,
    directory: Arc<TempDir>,
    log: Arc<Mutex<Vec<Value>>>,
    report: Arc<Mutex<Vec<Value>>>,
    namespace: Option<String>,
}

impl Mailward {
    /// Starts it and waits until it listens.
    pub fn start(config: &Config) -> Self {
        let directory = tempfile::Builder::new().prefix("mailward-test-").tempdir().unwrap();
        Self::start_in(Arc::new(directory), config)
    }

    /// Starts another one with the state of this one, which must have ended.
    pub fn restart(self, config: &Config) -> Self {
        let directory = Arc::clone(&self.directory);
        drop(self);
        Self::start_in(directory, config)
    }

    fn start_in(directory: Arc<TempDir>, config: &Config) -> Self {
        let (path, address) = write(directory.path(), config);
        let mut mailward = Self::spawn(directory, config, &path, address);
        until("Mailward to listen", 30, || {
            assert!(!mailward.daemon.ended(), "Mailward ended at start: {:#?}", mailward.log());
            mailward.reported(|line| line["event"] == "listening").map(drop)
        });
        mailward
    }

    /// Starts it without waiting.
    fn spawn(directory: Arc<TempDir>, config: &Config, path: &Path, address: SocketAddr) -> Self {
        let mut command = config.namespace.as_ref().map_or_else(
            || Command::new(binary()),
            |namespace| {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(binary());
                command
            },
        );
        command.args(["run", "--report-fd", "1", "-c"]).arg(path).envs(config.variable.clone());
        let mut daemon = Daemon::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let log = collect(daemon.child().stderr.take().unwrap());
        let report = collect(daemon.child().stdout.take().unwrap());
        Self { daemon, address, directory, log, report, namespace: config.namespace.clone() }
    }

    /// Changes its configuration file.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let path = self.directory.path().join("mailward.toml");
        let text = change(fs::read_to_string(&path).unwrap());
        // As an operator's editor does it: nobody reads half a file.
        let draft = path.with_extension("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(&draft, &path).unwrap();
    }

    /// `mailward reload`.
    pub fn reload(&self, options: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("reload").arg("-c").arg(self.directory.path().join("mailward.toml")).args(options);
        command.output().unwrap()
    }

    /// `mailward` with a command that asks the running service.
    pub fn ask(&self, command: &str, arguments: &[&str]) -> Output {
        let config = self.directory.path().join("mailward.toml");
        Command::new(binary()).arg(command).args(arguments).arg("-c").arg(config).output().unwrap()
    }

    /// `mailward allow`.
    pub fn allow(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("allow").args(arguments).arg("-c").arg(self.directory.path().join("mailward.toml"));
        command.output().unwrap()
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs it with a configuration with which it must not start: exit code and log.
    pub fn refuses(config: &Config) -> (Option<i32>, Vec<Value>) {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let (path, address) = write(directory.path(), config);
        let mut mailward = Self::spawn(directory, config, &path, address);
        let code =
            until("Mailward to refuse", 20, || mailward.daemon.ended().then(|| mailward.daemon.wait()));
        thread::sleep(Duration::from_millis(100));
        (code, mailward.log())
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The supervisor.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The network namespace it runs in.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Every log record so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// How many log records so far are such.
    pub fn log_count(&self, matches: impl Fn(&Value) -> bool) -> usize {
        self.log.lock().unwrap().iter().filter(|record| matches(record)).count()
    }

    /// Waits for a log record.
    pub fn logged(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        until(what, 20, || self.log.lock().unwrap().iter().find(|record| matches(record)).cloned())
    }

    /// Waits for the nth (from 1) MAIL record.
    pub fn mail_record(&self, nth: usize) -> Value {
        until("a MAIL record", 20, || {
            let log = self.log.lock().unwrap();
            log.iter().filter(|record| record["record"] == "MAIL").nth(nth - 1).cloned()
        })
    }

    fn reported(&self, matches: impl Fn(&Value) -> bool) -> Option<Value> {
        self.report.lock().unwrap().iter().find(|line| matches(line)).cloned()
    }

    /// Reports of all children that were ready so far.
    pub fn reports(&self) -> Vec<Value> {
        let report = self.report.lock().unwrap();
        report.iter().filter(|line| line.get("role").is_some()).cloned().collect()
    }

    /// Pids of the living children of one role.
    pub fn role(&self, role: &str) -> Vec<u32> {
        let children = children(self.pid());
        let pids = self.reports().into_iter().filter(|report| report["role"] == role);
        pids.filter_map(|report| u32::try_from(report["pid"].as_u64()?).ok())
            .filter(|pid| children.contains(pid) && alive(*pid))
            .collect()
    }

    /// Waits until this many children of a role live.
    pub fn role_count(&self, role: &str, count: usize) -> Vec<u32> {
        until(&format!("{count} living {role} processes"), 20, || {
            let pids = self.role(role);
            (pids.len() >= count).then_some(pids)
        })
    }

    /// The roles, once for each process, that have these octets in their memory. Only root may look.
    pub fn who_holds(&self, octets: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for role in ["keyholder", "worker", "scanner", "lookup"] {
            let pids = self.role(role);
            assert!(role == "lookup" || !pids.is_empty(), "{role}");
            found.extend(pids.into_iter().filter(|pid| holds(*pid, octets)).map(|_| role));
        }
        found.extend(holds(self.pid(), octets).then_some("supervisor"));
        found
    }

    /// Waits until the engine was found to work.
    pub fn engine_proven(&self) {
        self.logged("the engine to be proven", |record| record.to_string().contains("finds the test virus"));
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Ends it as an operator would and gives the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        until("Mailward to end", 20, || self.daemon.ended().then(|| self.daemon.wait()))
    }

    /// Kills the supervisor outright and waits until none of its children lives.
    pub fn kill(&mut self) {
        let children = children(self.pid());
        self.signal(Signal::SIGKILL);
        self.daemon.wait();
        until("every child to end with its supervisor", 10, || {
            children.iter().all(|pid| !alive(*pid)).then_some(())
        });
    }
}

impl Drop for Mailward {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let mut text = String::new();
            for record in log.iter().rev().take(40).rev() {
                let _ = writeln!(text, "{record}");
            }
            eprintln!("the last of Mailward's log:\n{text}");
        }
    }
}

fn write(directory: &Path, config: &Config) -> (PathBuf, SocketAddr) {
    let address =
        config.listen.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let base = directory.display();
    let _ = fs::create_dir(directory.join("state"));
    let _ = fs::create_dir(directory.join("signatures"));
    fs::write(directory.join("signatures/lab.hsb"), format!("{}:100:Lab.Hash\n", "0".repeat(64))).unwrap();
    let control = config.control.clone().unwrap_or_else(|| directory.join("control.sock"));
    let plug_to = config.server.map_or_else(String::new, |server| format!("plug-to = [\"{server}\"]\n"));
    let tls = if config.listener.contains("tls =") { "" } else { "tls = \"off\"\n" };
    let server_tls = if config.command.contains("server-tls =") { "" } else { "server-tls = \"off\"\n" };
    let text = format!(
        "version = 1\n[service]\nstate-dir = \"{base}/state\"\nspool-dir = \"{base}/state/spool\"\n{service}\n\
         [control]\nsocket = \"{control}\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n\
         [[listener]]\nname = \"lab\"\nprotocol = \"{protocol}\"\naddress = [\"{address}\"]\n{tls}{listener}\n\
         [[session-acl]]\nname = \"everyone\"\nfrom = [\"*\"]\n{session}\n\
         [[command-acl]]\nname = \"all\"\n{server_tls}{plug_to}{command}\n\
         [command-acl.download]\n{download}\n{rest}",
        control = control.display(),
        protocol = if config.imap { "imap" } else { "pop3" },
        service = config.service,
        session = config.session,
        listener = config.listener,
        command = config.command,
        download = config.download,
        rest = config.rest.replace("SIGNATURES", &format!("{base}/signatures"))
    );
    let path = directory.join("mailward.toml");
    fs::write(&path, text).unwrap();
    (path, address)
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<Value>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            shared.lock().unwrap().push(value);
        }
    });
    lines
}
