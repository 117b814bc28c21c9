//! The system calls of the keyholder, each with its reason; what every role needs is in [`sandbox::COMMON`]. Any other
//! call ends the process.
//!
//! Absent on purpose: socket, connect, open, stat, execve, clone, memfd_create, and every mapping that can be executed.
use nix::libc;
use sandbox::{Allow, Policy};

/// What the keyholder may call after [`sandbox::confine`].
pub const POLICY: Policy = Policy {
    role: "keyholder",
    allow: &[
        Allow::any(libc::SYS_recvmsg, "questions of workers, messages and descriptors of the supervisor"),
        Allow::any(libc::SYS_sendmsg, "answers to workers and to the supervisor"),
        Allow::any(libc::SYS_sendto, "log events"),
        Allow::any(libc::SYS_close, "key files that were read, links of workers that ended"),
        Allow::any(libc::SYS_pread64, "key files, the slice, authorities"),
        Allow::any(libc::SYS_write, "the runtime waking itself"),
        Allow::any(libc::SYS_read, "the runtime's own wake-ups, when they overflow"),
    ],
};

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
