//! A program that is not ours, tied to our life: it dies with the thread that starts it and inherits nothing but its
//! standard streams. An unsafe file: what runs between fork and exec cannot be said in safe Rust.
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the program that `command` starts die with the calling thread, even when that is ended by SIGKILL.
///
/// The kernel forgets this when a program gains privileges by its start (set-user-id, file capabilities): not for
/// such programs.
pub fn tie(command: &mut Command) -> &mut Command {
    let parent = getpid();
    // SAFETY: only system calls between fork and exec; no allocation, no lock.
    unsafe { command.pre_exec(move || arrange(parent)) }
}

fn arrange(parent: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // It may have died before the line above: then nobody would ever send the signal.
    if getppid() != parent {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: a plain system call. Marked, not closed: the standard library reports a failing exec by a pipe above 2.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    #[test]
    fn it_dies_with_the_thread_that_started_it() {
        let start = || tie(Command::new("sleep").arg("60")).spawn().unwrap();
        let mut child = std::thread::spawn(start).join().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => {
                    child.kill().unwrap();
                    panic!("it outlived its owner");
                }
            }
        };
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
    }

    #[test]
    fn it_inherits_its_standard_streams_only() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
        nix::fcntl::fcntl(&file, flags).unwrap();
        let script = format!("test ! -e /proc/self/fd/{}", file.as_raw_fd());
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).stdin(Stdio::null());
        assert!(tie(&mut command).status().unwrap().success());
    }
}
