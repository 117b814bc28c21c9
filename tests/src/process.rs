//! Child processes that never outlive the test, and what `/proc` says of processes.
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A program as an ordinary user, without a process of another program in between.
pub fn as_nobody(program: impl AsRef<OsStr>) -> Command {
    let nobody = User::from_name("nobody").unwrap().expect("every Debian has nobody");
    let mut command = Command::new(program);
    command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    command
}

/// A child process, killed and reaped when dropped. What it started is killed too: workers of rspamd and spamd outlive the
/// process that a signal takes from them.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a program; panics with its name when it is not there.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its exit code, once it ends by itself.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The pipes of the child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let below = descendants(self.child.id());
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGCONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in below {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

/// Direct children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// Children of a process, and theirs.
fn descendants(pid: u32) -> Vec<u32> {
    children(pid).into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

/// Whether the process exists and is no zombie.
pub fn alive(pid: u32) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with('Z'))
}

/// Whether the process is dead but not reaped.
pub fn zombie(pid: u32) -> bool {
    status(pid, "State").is_some_and(|state| state.starts_with('Z'))
}

/// One line of `/proc/PID/status`.
pub fn status(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(field))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Number of open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// What the descriptors are, sorted.
pub fn descriptor_kinds(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut kinds: Vec<String> =
        entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect();
    kinds.sort();
    kinds
}

/// The namespace of a process, for example `net:[4026531840]`.
pub fn namespace(pid: u32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string()
}

/// The argument vector, joined by blanks.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

/// Whether these octets are in memory that the process can write, in either order.
pub fn holds(pid: u32, wanted: &[u8]) -> bool {
    let reversed: Vec<u8> = wanted.iter().rev().copied().collect();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next().unwrap().split_once('-').unwrap();
        if !words.next().unwrap().starts_with("rw") {
            return false;
        }
        let [start, end] = [start, end].map(|digits| u64::from_str_radix(digits, 16).unwrap());
        let mut octets = vec![0; usize::try_from(end - start).unwrap()];
        let Ok(count) = memory.read_at(&mut octets, start) else { return false };
        [wanted, &reversed].iter().any(|wanted| memchr::memmem::find(&octets[..count], wanted).is_some())
    })
}
