//! What a child is told about its confinement, and what it reports back.
use serde::{Deserialize, Serialize};

/// A kind of Linux namespace that a child joins or makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Namespace {
    /// Only where there is no root: the others need it then.
    User,
    /// The empty root.
    Mount,
    /// No interface, no route, no abstract socket.
    Network,
    /// System V IPC and POSIX queues.
    Ipc,
    /// Host name.
    Uts,
}

/// Resource limits; `None` leaves the inherited one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_NOFILE`.
    pub descriptors: Option<u64>,
    /// `RLIMIT_FSIZE` in octets; binds memfds too.
    pub file_size: Option<u64>,
    /// `RLIMIT_AS` in octets.
    pub memory: Option<u64>,
    /// `RLIMIT_CPU` in seconds, for the life of the process.
    pub cpu_seconds: Option<u64>,
}

/// How a child must confine itself. Core dumps and new processes are always forbidden.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The user and group to become; `None` keeps the invoking user (no root).
    pub id: Option<u32>,
    /// Namespaces to join by the descriptors that come along, in this order.
    pub join: Vec<Namespace>,
    /// Namespaces to make for oneself (no root: where the kernel lets a user do so).
    pub make: Vec<Namespace>,
    /// Make an empty root (only with `make`; a joined mount namespace has one).
    pub empty_root: bool,
    /// The role has one directory, whose descriptor comes along: Landlock lets it write there.
    pub directory: bool,
    /// The role speaks to the network (lookup): Landlock leaves it alone.
    pub network: bool,
    /// Resource limits.
    pub limits: Limits,
    /// A wall that is missing ends the process instead of being reported.
    pub require_all: bool,
    /// The supervisor, whose death ends the child.
    pub supervisor_pid: u32,
}

/// The walls that stand around a process, as it proved them itself. Root can check them against `/proc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// The process.
    pub pid: u32,
    /// Real, effective and saved user id (proved equal).
    pub uid: u32,
    /// Real, effective and saved group id (proved equal).
    pub gid: u32,
    /// `PR_GET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// All five capability sets are empty.
    pub no_capabilities: bool,
    /// 2 is a filter.
    pub seccomp_mode: u8,
    /// Inode numbers of the namespaces, as `/proc/PID/ns` shows them.
    pub namespaces: Vec<(Namespace, u64)>,
    /// The root directory is empty and read-only.
    pub empty_root: bool,
    /// The Landlock ABI in force; 0 is none.
    pub landlock_abi: u32,
    /// Open descriptors after confinement.
    pub descriptors: u32,
    /// Walls that are missing, a sentence each.
    pub missing: Vec<String>,
}
