//! This image again, as a role: a fresh address space, two descriptors, no environment. An unsafe file: what runs
//! between fork and exec cannot be said in safe Rust.
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Where the child finds its link and its log.
const LINK: i32 = 3;
const LOG: i32 = 4;

/// A child process. Dropping it neither ends nor reaps it.
#[derive(Debug)]
pub struct Child {
    /// Its number.
    pub pid: u32,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

impl Child {
    /// Ends it at once.
    pub fn kill(&self) {
        // SAFETY: the pidfd is ours and open; a signal to a process that has ended is an error that changes nothing.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), libc::SIGKILL, 0, 0);
        }
    }

    /// Collects it if it has ended: how, in words.
    ///
    /// # Errors
    /// When it is no child of ours any more.
    pub fn try_reap(&self) -> io::Result<Option<String>> {
        match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)? {
            WaitStatus::Exited(_, code) => Ok(Some(format!("exit status {code}"))),
            WaitStatus::Signaled(_, signal, _) => Ok(Some(format!("killed by {signal}"))),
            WaitStatus::StillAlive
            | WaitStatus::Stopped(..)
            | WaitStatus::Continued(_)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_) => Ok(None),
        }
    }
}

/// Starts this image again as `role`, with `title` in `ps`, its link at descriptor 3 and its log at 4.
///
/// # Errors
/// Of fork and exec.
pub fn spawn(role: &str, title: &str, link: OwnedFd, log: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(title).args(["role", role]).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (link, log) = (link, log);
    // SAFETY: only system calls between fork and exec, on numbers that are open in the child; no allocation, no lock.
    unsafe {
        command.pre_exec(move || arrange(link.as_raw_fd(), log.as_raw_fd()));
    }
    let child = command.spawn()?;
    let pid = child.id();
    // SAFETY: the child is not reaped yet, so the number is its own; the result is a new descriptor or an error.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let raw = i32::try_from(raw).map_err(io::Error::other)?;
    if raw < 0 {
        return Err(Errno::last().into());
    }
    // SAFETY: pidfd_open has just made this descriptor, close-on-exec, for nobody else.
    let pidfd = unsafe { OwnedFd::from_raw_fd(raw) };
    Ok(Child { pid, pidfd })
}

/// In the child: the two descriptors to their places, everything above closed at exec.
fn arrange(link: i32, log: i32) -> io::Result<()> {
    // SAFETY: plain system calls on numbers. Both are moved out of the way first, so that neither place is taken.
    let done = unsafe {
        let link = libc::fcntl(link, libc::F_DUPFD, LOG + 1);
        let log = libc::fcntl(log, libc::F_DUPFD, LOG + 1);
        link >= 0
            && log >= 0
            && libc::dup2(link, LINK) == LINK
            && libc::dup2(log, LOG) == LOG
            // Marked, not closed: the standard library reports a failing exec by a pipe above.
            && libc::syscall(libc::SYS_close_range, LOG + 1, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0
    };
    if !done {
        return Err(Errno::last().into());
    }
    // The supervisor may block signals to take them as events; the child starts with none blocked.
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}
