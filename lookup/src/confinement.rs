//! The system calls of lookup, each with its reason; what every role needs is in [`sandbox::COMMON`]. Any other call
//! ends the process.
//!
//! Absent on purpose: open, stat, execve, clone, listen, accept, and every mapping that can be executed.
use nix::libc::{self, c_long};
use sandbox::{Allow, Arg, Policy};

#[cfg(target_arch = "x86_64")]
const EPOLL_WAIT: c_long = libc::SYS_epoll_wait;
/// Newer architectures have only this one.
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_WAIT: c_long = libc::SYS_epoll_pwait;

/// What lookup may call after [`sandbox::confine`].
pub const POLICY: Policy = Policy {
    role: "lookup",
    allow: &[
        any(EPOLL_WAIT, "wait for name servers, the link and timers"),
        any(libc::SYS_epoll_ctl, "watch them"),
        any(libc::SYS_recvmsg, "messages and descriptors of the supervisor"),
        any(libc::SYS_sendmsg, "answers to the supervisor"),
        Allow {
            syscall: libc::SYS_socket,
            arg: Arg::OneOf(0, &[libc::AF_INET as u64, libc::AF_INET6 as u64]),
            why: "a socket for each question to a name server",
        },
        any(libc::SYS_bind, "a random source port for each question"),
        any(libc::SYS_connect, "questions over TCP when an answer is too long for UDP"),
        any(libc::SYS_sendto, "questions, and log events"),
        any(libc::SYS_recvfrom, "answers"),
        any(libc::SYS_writev, "questions over TCP"),
        any(libc::SYS_getsockname, "the runtime's view of a socket"),
        any(libc::SYS_getpeername, "the same"),
        any(libc::SYS_setsockopt, "no delay on TCP questions"),
        any(libc::SYS_getsockopt, "why a connection failed, and the kind of the link"),
        Allow {
            syscall: libc::SYS_ioctl,
            arg: Arg::Equals(1, libc::FIONBIO),
            why: "sockets are made non-blocking",
        },
        any(libc::SYS_shutdown, "the end of a TCP question"),
        any(libc::SYS_close, "answered questions"),
        any(libc::SYS_write, "the runtime waking itself"),
        any(libc::SYS_read, "the runtime's own wake-ups, when they overflow"),
        any(libc::SYS_pread64, "the slice, the resolver's configuration and the host table"),
        Allow {
            syscall: libc::SYS_fcntl,
            arg: Arg::OneOf(1, FLAGS),
            why: "check a seal; non-blocking sockets; debug builds look at descriptors before they close them",
        },
        any(libc::SYS_uname, "the host's own domain, for names without a dot"),
    ],
};

const FLAGS: &[u64] =
    &[libc::F_GET_SEALS as u64, libc::F_GETFL as u64, libc::F_SETFL as u64, libc::F_GETFD as u64];

const fn any(syscall: c_long, why: &'static str) -> Allow {
    Allow { syscall, arg: Arg::Any, why }
}

#[cfg(test)]
mod tests {
    use super::POLICY;
    use nix::libc;

    #[test]
    fn every_call_has_a_reason_and_none_opens_or_starts_anything() {
        for entry in POLICY.entries() {
            assert!(!entry.why.is_empty());
            for forbidden in [libc::SYS_openat, libc::SYS_execve, libc::SYS_clone, libc::SYS_clone3] {
                assert_ne!(entry.syscall, forbidden);
            }
        }
    }
}
