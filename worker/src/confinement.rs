//! The system calls of a worker, each with its reason; what every role needs is in [`sandbox::COMMON`]. Any other call
//! ends the process.
//!
//! Absent on purpose: socket, connect, bind, accept, open, stat, execve, clone, and every mapping that can be executed.
use nix::libc;
use sandbox::{Allow, Policy};

/// What a worker may call after [`sandbox::confine`].
pub const POLICY: Policy = Policy {
    role: "worker",
    allow: &[
        Allow::any(libc::SYS_recvmsg, "messages and descriptors of the supervisor, answers of a scanner"),
        Allow::any(libc::SYS_sendmsg, "messages to the supervisor, a mail to a scanner"),
        Allow::any(libc::SYS_recvfrom, "what clients and servers send"),
        Allow::any(libc::SYS_sendto, "what is sent to them, and log events"),
        Allow::any(libc::SYS_writev, "records of TLS that are sent together"),
        Allow::one_of(
            libc::SYS_shutdown,
            1,
            &[libc::SHUT_WR as u64],
            "one side of a connection that is relayed unseen says no more",
        ),
        Allow::any(libc::SYS_close, "ended connections, leases and copies"),
        Allow::any(libc::SYS_memfd_create, "spool and changed copy of a mail"),
        Allow::any(libc::SYS_write, "the spool, and the runtime waking itself"),
        Allow::any(libc::SYS_read, "the runtime's own wake-ups, when they overflow"),
        Allow::any(libc::SYS_pread64, "policy slices and scanned copies"),
        Allow::any(libc::SYS_lseek, "the length of a slice and of a changed copy"),
        Allow::one_of(libc::SYS_fcntl, 1, &[libc::F_ADD_SEALS as u64], "seal a mail"),
        Allow::one_of(
            libc::SYS_getsockopt,
            2,
            &[libc::SO_ERROR as u64],
            "the runtime asks why a socket failed",
        ),
    ],
};

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
