//! A real clamd with a signature file of our own: EICAR and the laboratory's marker.
use crate::mails::{eicar, marker};
use crate::process::Daemon;
use crate::until;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A running clamd. The directory outlives a stopped daemon, so that it can come back at the same socket.
#[derive(Debug)]
pub struct Clamd {
    directory: TempDir,
    daemon: Option<Daemon>,
}

impl Clamd {
    /// Starts one that finds EICAR and the marker.
    pub fn start() -> Self {
        Self::with_signatures(&[("Lab.Eicar", &eicar()), ("Lab.Marker", &marker())], "")
    }

    /// Starts one with these signatures (name, literal text) and further configuration lines.
    pub fn with_signatures(signatures: &[(&str, &str)], configuration: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("mailward-clamd-").tempdir().unwrap();
        let base = directory.path();
        fs::create_dir(base.join("db")).unwrap();
        fs::write(base.join("db/lab.ndb"), lines(signatures)).unwrap();
        fs::write(
            base.join("clamd.conf"),
            format!(
                "Foreground yes\nLocalSocket {b}/clamd.sock\nDatabaseDirectory {b}/db\nMaxThreads 4\nDisableCache yes\n\
                 LogFile {b}/clamd.log\nLogClean yes\n\
                 StreamMaxLength 100M\nMaxScanSize 200M\nMaxFileSize 100M\n{configuration}\n",
                b = base.display()
            ),
        )
        .unwrap();
        let mut clamd = Self { directory, daemon: None };
        clamd.start_again();
        clamd
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("clamd.sock")
    }

    /// How often it looked at something and came to a result.
    pub fn scans(&self) -> usize {
        let log = fs::read_to_string(self.directory.path().join("clamd.log")).unwrap_or_default();
        log.lines().filter(|line| line.ends_with(": OK") || line.ends_with(" FOUND")).count()
    }

    /// Other signatures (name, literal text), from its next start on.
    pub fn change_signatures(&self, signatures: &[(&str, &str)]) {
        fs::write(self.directory.path().join("db/lab.ndb"), lines(signatures)).unwrap();
    }

    /// Makes it load its signatures while it runs, and waits until it has.
    pub fn reload(&self) {
        let loaded = || {
            let log = fs::read_to_string(self.directory.path().join("clamd.log")).unwrap_or_default();
            log.matches("Database correctly reloaded").count()
        };
        let before = loaded();
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(b"zRELOAD\0").unwrap();
        until("clamd to load its signatures", 30, || (loaded() > before).then_some(()));
    }

    /// Starts it after a stop, and waits until it answers.
    pub fn start_again(&mut self) {
        let configuration = self.directory.path().join("clamd.conf");
        let mut command = Command::new("clamd");
        command.arg("-c").arg(configuration).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemon = Some(Daemon::start(&mut command));
        let socket = self.socket();
        until("clamd to answer PING", 30, || ping(&socket).then_some(()));
    }

    /// Ends it; the socket file stays behind when it is killed.
    pub fn stop(&mut self, signal: Signal) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.signal(signal);
            daemon.wait();
        }
    }

    /// Stops or continues its execution (SIGSTOP, SIGCONT).
    pub fn signal(&self, signal: Signal) {
        self.daemon.as_ref().unwrap().signal(signal);
    }
}

fn lines(signatures: &[(&str, &str)]) -> String {
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    signatures.iter().map(|(name, text)| format!("{name}:0:*:{}\n", hex(text))).collect()
}

fn ping(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut answer = Vec::new();
    stream.write_all(b"zPING\0").is_ok() && stream.read_to_end(&mut answer).is_ok() && answer == b"PONG\0"
}
