//! The system calls of the keyholder, each with its reason; what every role needs is in [`sandbox::COMMON`]. Any other
//! call ends the process.
//!
//! Absent on purpose: socket, connect, open, stat, execve, clone, memfd_create, and every mapping that can be executed.
use nix::libc::{self, c_long};
use sandbox::{Allow, Arg, Policy};

#[cfg(target_arch = "x86_64")]
const EPOLL_WAIT: c_long = libc::SYS_epoll_wait;
/// Newer architectures have only this one.
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_WAIT: c_long = libc::SYS_epoll_pwait;

/// What the keyholder may call after [`sandbox::confine`].
pub const POLICY: Policy = Policy {
    role: "keyholder",
    allow: &[
        any(EPOLL_WAIT, "wait for workers, the supervisor and timers"),
        any(libc::SYS_epoll_ctl, "watch the links that were passed"),
        any(libc::SYS_recvmsg, "questions of workers, messages and descriptors of the supervisor"),
        any(libc::SYS_sendmsg, "answers to workers and to the supervisor"),
        any(libc::SYS_sendto, "log events"),
        any(libc::SYS_close, "key files that were read, links of workers that ended"),
        any(libc::SYS_pread64, "key files, the slice, authorities"),
        any(libc::SYS_write, "the runtime waking itself"),
        any(libc::SYS_read, "the runtime's own wake-ups, when they overflow"),
        Allow {
            syscall: libc::SYS_fcntl,
            arg: Arg::OneOf(1, &[libc::F_GETFL as u64, libc::F_GETFD as u64, libc::F_GET_SEALS as u64]),
            why: "the slice must be sealed; debug builds look at descriptors before they close them",
        },
        Allow {
            syscall: libc::SYS_getsockopt,
            arg: Arg::OneOf(2, &[libc::SO_TYPE as u64]),
            why: "a worker's link must be a sequenced-packet socket",
        },
    ],
};

const fn any(syscall: c_long, why: &'static str) -> Allow {
    Allow { syscall, arg: Arg::Any, why }
}

#[cfg(test)]
mod tests {
    use super::POLICY;
    use nix::libc;

    #[test]
    fn every_call_has_a_reason_and_none_opens_connects_or_starts_anything() {
        let forbidden = [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_openat,
            libc::SYS_execve,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_memfd_create,
            libc::SYS_process_vm_readv,
        ];
        for entry in POLICY.entries() {
            assert!(!entry.why.is_empty());
            assert!(!forbidden.contains(&entry.syscall));
        }
    }
}
