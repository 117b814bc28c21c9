//! The system calls of a worker, each with its reason; what every role needs is in [`sandbox::COMMON`]. Any other call
//! ends the process.
//!
//! Absent on purpose: socket, connect, bind, accept, open, stat, execve, clone, and every mapping that can be executed.
use nix::libc::{self, c_long};
use sandbox::{Allow, Arg, Policy};

#[cfg(target_arch = "x86_64")]
const EPOLL_WAIT: c_long = libc::SYS_epoll_wait;
/// Newer architectures have only this one.
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_WAIT: c_long = libc::SYS_epoll_pwait;

/// What a worker may call after [`sandbox::confine`].
pub const POLICY: Policy = Policy {
    role: "worker",
    allow: &[
        any(EPOLL_WAIT, "wait for peers, links and timers"),
        any(libc::SYS_epoll_ctl, "watch the descriptors that were passed"),
        any(libc::SYS_recvmsg, "messages and descriptors of the supervisor, answers of a scanner"),
        any(libc::SYS_sendmsg, "messages to the supervisor, a mail to a scanner"),
        any(libc::SYS_recvfrom, "what clients and servers send"),
        any(libc::SYS_sendto, "what is sent to them, and log events"),
        any(libc::SYS_writev, "records of TLS that are sent together"),
        Allow {
            syscall: libc::SYS_shutdown,
            arg: Arg::Equals(1, libc::SHUT_WR as u64),
            why: "one side of a connection that is relayed unseen says no more",
        },
        any(libc::SYS_close, "ended connections, leases and copies"),
        any(libc::SYS_memfd_create, "spool and changed copy of a mail"),
        any(libc::SYS_write, "the spool, and the runtime waking itself"),
        any(libc::SYS_read, "the runtime's own wake-ups, when they overflow"),
        any(libc::SYS_pread64, "policy slices and scanned copies"),
        any(libc::SYS_lseek, "the length of a slice and of a changed copy"),
        Allow {
            syscall: libc::SYS_fcntl,
            arg: Arg::OneOf(1, SEALS_AND_FLAGS),
            why: "seal a mail, check a seal; debug builds look at descriptors before they close them",
        },
        Allow {
            syscall: libc::SYS_getsockopt,
            arg: Arg::OneOf(2, &[libc::SO_TYPE as u64, libc::SO_ERROR as u64]),
            why: "a scanner's link must be a sequenced-packet socket; the runtime asks why a socket failed",
        },
    ],
};

const SEALS_AND_FLAGS: &[u64] =
    &[libc::F_ADD_SEALS as u64, libc::F_GET_SEALS as u64, libc::F_GETFL as u64, libc::F_GETFD as u64];

const fn any(syscall: c_long, why: &'static str) -> Allow {
    Allow { syscall, arg: Arg::Any, why }
}

#[cfg(test)]
mod tests {
    use super::POLICY;
    use nix::libc;

    #[test]
    fn every_call_has_a_reason_and_is_listed_once() {
        for (index, entry) in POLICY.allow.iter().enumerate() {
            assert!(!entry.why.is_empty());
            assert!(POLICY.allow.iter().skip(index + 1).all(|other| other.syscall != entry.syscall));
        }
    }

    #[test]
    fn a_worker_cannot_reach_the_network_the_files_or_other_programs() {
        let forbidden = [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_accept4,
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_ptrace,
            libc::SYS_io_uring_setup,
            libc::SYS_pidfd_getfd,
        ];
        assert!(POLICY.entries().all(|entry| !forbidden.contains(&entry.syscall)));
    }
}
