//! The system calls of a scanner, each with its reason. Everything else ends the process.
//!
//! Absent on purpose: socket, connect, bind, open, execve, clone, memfd_create, ptrace, and every mapping that can be
//! executed.
use nix::libc;
use sandbox::{Allow, Policy};

/// What the scanner may call besides `sandbox::COMMON`.
pub const POLICY: Policy = Policy {
    role: "scanner",
    allow: &[
        Allow::any(libc::SYS_recvmsg, "leases, jobs and their descriptors"),
        Allow::any(libc::SYS_sendmsg, "answers; the mail's descriptor to an engine that takes it"),
        Allow::any(libc::SYS_recvfrom, "what an engine answers"),
        Allow::any(libc::SYS_sendto, "the mail to an engine; log events"),
        Allow::any(libc::SYS_read, "the runtime's own wake-ups"),
        Allow::any(libc::SYS_write, "the runtime's own wake-ups"),
        Allow::any(libc::SYS_writev, "the mail to an engine, length and data in one"),
        Allow::any(libc::SYS_close, "ended leases"),
        Allow::any(libc::SYS_pread64, "policy, signatures and mails that were spooled in a file"),
        Allow::any(libc::SYS_pwrite64, "the copy that replaces a mail"),
        Allow::any(libc::SYS_newfstatat, "the size of a descriptor that was passed (older C libraries)"),
        Allow::any(libc::SYS_fstat, "the size of a descriptor that was passed"),
        Allow::any(
            libc::SYS_getsockname,
            "whether an engine's connection is local: then the descriptor itself is passed",
        ),
        Allow::any(libc::SYS_shutdown, "the end of a conversation with an engine"),
        Allow::one_of(
            libc::SYS_getsockopt,
            1,
            &[libc::SOL_SOCKET as u64],
            "the kind of a socket that was passed, and its error",
        ),
        Allow::one_of(libc::SYS_ioctl, 1, &[libc::FIONBIO], "engine connections that do not block"),
        Allow::one_of(
            libc::SYS_fcntl,
            1,
            &[libc::F_SETFL as u64, libc::F_DUPFD_CLOEXEC as u64],
            "engine connections that do not block",
        ),
    ],
};

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
