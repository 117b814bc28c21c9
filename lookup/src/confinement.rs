//! The system calls of lookup, each with its reason; what every role needs is in [`sandbox::COMMON`]. Any other call
//! ends the process.
//!
//! Absent on purpose: open, stat, execve, clone, listen, accept, and every mapping that can be executed.
use nix::libc;
use sandbox::{Allow, Policy};

/// What lookup may call after [`sandbox::confine`].
pub const POLICY: Policy = Policy {
    role: "lookup",
    allow: &[
        Allow::any(libc::SYS_recvmsg, "messages and descriptors of the supervisor"),
        Allow::any(libc::SYS_sendmsg, "answers to the supervisor"),
        Allow::one_of(
            libc::SYS_socket,
            0,
            &[libc::AF_INET as u64, libc::AF_INET6 as u64],
            "a socket for each question to a name server",
        ),
        Allow::any(libc::SYS_bind, "a random source port for each question"),
        Allow::any(libc::SYS_connect, "questions over TCP when an answer is too long for UDP"),
        Allow::any(libc::SYS_sendto, "questions, and log events"),
        Allow::any(libc::SYS_recvfrom, "answers"),
        Allow::any(libc::SYS_writev, "questions over TCP"),
        Allow::any(libc::SYS_getsockname, "the runtime's view of a socket"),
        Allow::any(libc::SYS_getpeername, "the same"),
        Allow::any(libc::SYS_setsockopt, "no delay on TCP questions"),
        Allow::any(libc::SYS_getsockopt, "why a connection failed"),
        Allow::one_of(libc::SYS_ioctl, 1, &[libc::FIONBIO], "sockets are made non-blocking"),
        Allow::any(libc::SYS_shutdown, "the end of a TCP question"),
        Allow::any(libc::SYS_close, "answered questions"),
        Allow::any(libc::SYS_write, "the runtime waking itself"),
        Allow::any(libc::SYS_read, "the runtime's own wake-ups, when they overflow"),
        Allow::any(libc::SYS_pread64, "the slice, the resolver's configuration and the host table"),
        Allow::one_of(libc::SYS_fcntl, 1, &[libc::F_SETFL as u64], "non-blocking sockets"),
        Allow::any(libc::SYS_uname, "the host's own domain, for names without a dot"),
    ],
};

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
