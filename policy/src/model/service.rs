//! What holds for the whole service: `[service]`, `[log]`, `[login]`, `[resolver]`, `[control]`, `[quarantine]`.
use crate::names::Language;
use crate::time::Zone;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[service]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `isolation = "session"`: a worker process for each session.
    pub process_per_session: bool,
    /// `workers`, per tenant; "auto" is one per core.
    pub workers: usize,
    /// `spare-workers`, with `isolation = "session"`.
    pub spare_workers: usize,
    /// `scanners`, per tenant; "auto" is three for two cores.
    pub scanners: usize,
    /// `scanner-lives`: mails per scanner process.
    pub scanner_lives: u32,
    /// `require-sandbox`: `None` is "full as root, best effort otherwise".
    pub require_full_sandbox: Option<bool>,
    /// `uid-range`, both ends included; large enough for three ids per tenant and two more.
    pub uid_range: (u32, u32),
    /// `accounts`: (role name, uid) overrides; outside `uid_range`, each id once.
    pub accounts: Vec<(String, u32)>,
    /// `state-dir`.
    pub state_dir: PathBuf,
    /// `spool-dir`.
    pub spool_dir: PathBuf,
    /// `spool-memory`: octets of mail in memory, per tenant.
    pub spool_memory: u64,
    /// `spool-file-above`: mails of more octets wait in a file; at most `spool_memory`.
    pub spool_file_above: u64,
    /// `max-sessions`; 0 is none.
    pub max_sessions: usize,
    /// `max-sessions-per-client`; 0 is none.
    pub max_sessions_per_client: usize,
    /// `backlog`: connections that the kernel keeps until they are accepted.
    pub backlog: i32,
    /// `copy-cache`, octets per session.
    pub copy_cache: u64,
    /// `answer-cache`, answers of all tenants.
    pub answer_cache: usize,
    /// `pid-file`, absolute.
    pub pid_file: Option<PathBuf>,
    /// `tz`; `None`: the system's.
    pub zone: Option<Zone>,
    /// `language`.
    pub language: Language,
}

/// A worker has at least this much memory for mail, octets.
const LEAST_SHARE: u64 = 64 * 1024;
/// Sessions that are reckoned with where `max-sessions` is none.
const MANY_SESSIONS: u64 = 20_000;

impl Service {
    /// What each worker of a tenant has of `spool-memory`: with `isolation = "session"` there may be as many workers as
    /// sessions.
    pub fn spool_share(&self) -> u64 {
        let workers = match (self.process_per_session, self.max_sessions as u64) {
            (false, _) => self.workers as u64,
            (true, 0) => MANY_SESSIONS,
            (true, sessions) => sessions,
        };
        (self.spool_memory / workers.max(1)).max(LEAST_SHARE)
    }
}

/// `[control]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `socket`, absolute.
    pub socket: PathBuf,
    /// `group`: its members may use the socket, as root may.
    pub group: String,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `level`: error warn info debug trace.
    pub level: String,
    /// `format`: auto text json.
    pub format: String,
}

/// `[login]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// `failure-limit`: this many failed logins are answered, then the session ends.
    pub failure_limit: u32,
    /// `bad-command-limit`: this many are answered, the next closes.
    pub bad_command_limit: u32,
    /// `deadline`, from admission to a successful login.
    pub deadline: Duration,
    /// `failure-delay` before a failed login is answered.
    pub failure_delay: Duration,
    /// `login-disabled`.
    pub disabled: bool,
    /// `ok-text`; empty: the server's words.
    pub ok_text: String,
}

/// `[resolver]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// `servers`; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// `timeout`.
    pub timeout: Duration,
    /// `startup-timeout`.
    pub startup_timeout: Duration,
}

/// `[quarantine]`, for each tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// `keep`.
    pub keep: Duration,
    /// `max-size`, octets.
    pub max_size: u64,
}
