//! The system calls of a scanner, each with its reason. Everything else ends the process.
//!
//! Absent on purpose: socket, connect, bind, open, execve, clone, memfd_create, ptrace, and every mapping that can be
//! executed.
use nix::libc::{self, c_long};
use sandbox::{Allow, Arg, Policy};

/// What the scanner may call besides `sandbox::COMMON`.
pub const POLICY: Policy = Policy {
    role: "scanner",
    allow: &[
        any(libc::SYS_epoll_wait, "wait for the links and the engines"),
        any(libc::SYS_epoll_ctl, "watch the descriptors that were passed"),
        any(libc::SYS_recvmsg, "leases, jobs and their descriptors"),
        any(libc::SYS_sendmsg, "answers; the mail's descriptor to an engine that takes it"),
        any(libc::SYS_recvfrom, "what an engine answers"),
        any(libc::SYS_sendto, "the mail to an engine; log events"),
        any(libc::SYS_read, "the runtime's own wake-ups"),
        any(libc::SYS_write, "the runtime's own wake-ups"),
        any(libc::SYS_writev, "the mail to an engine, length and data in one"),
        any(libc::SYS_close, "ended leases"),
        any(libc::SYS_pread64, "policy, signatures and mails that were spooled in a file"),
        any(libc::SYS_pwrite64, "the copy that replaces a mail"),
        any(libc::SYS_newfstatat, "the size of a descriptor that was passed (older C libraries)"),
        any(libc::SYS_fstat, "the size of a descriptor that was passed"),
        any(
            libc::SYS_getsockname,
            "whether an engine's connection is local: then the descriptor itself is passed",
        ),
        any(libc::SYS_shutdown, "the end of a conversation with an engine"),
        Allow {
            syscall: libc::SYS_getsockopt,
            arg: Arg::Equals(1, libc::SOL_SOCKET as u64),
            why: "the kind of a socket that was passed, and its error",
        },
        Allow {
            syscall: libc::SYS_ioctl,
            arg: Arg::Equals(1, libc::FIONBIO),
            why: "engine connections that do not block",
        },
        Allow {
            syscall: libc::SYS_fcntl,
            arg: Arg::OneOf(
                1,
                &[
                    libc::F_GET_SEALS as u64,
                    libc::F_GETFL as u64,
                    libc::F_SETFL as u64,
                    libc::F_GETFD as u64,
                    libc::F_DUPFD_CLOEXEC as u64,
                ],
            ),
            why: "check a seal; engine connections that do not block; debug builds check descriptors",
        },
    ],
};

const fn any(syscall: c_long, why: &'static str) -> Allow {
    Allow { syscall, arg: Arg::Any, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_reason_and_is_listed_once() {
        for (index, entry) in POLICY.allow.iter().enumerate() {
            assert!(!entry.why.is_empty());
            assert!(POLICY.allow.iter().skip(index + 1).all(|other| other.syscall != entry.syscall));
        }
    }
}
