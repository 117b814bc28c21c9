//! The system calls of the writer, each with its reason; what every role needs is in [`sandbox::COMMON`]. Any other
//! call ends the process.
//!
//! Absent on purpose: socket, connect, execve, clone, memfd_create, chmod, chown, link, and every way to open a file that is
//! there for reading.
use nix::libc::{self, c_long};
use sandbox::{Allow, Policy};

#[cfg(target_arch = "x86_64")]
const RENAME: c_long = libc::SYS_renameat;
#[cfg(not(target_arch = "x86_64"))]
const RENAME: c_long = libc::SYS_renameat2;

/// How a new mail is opened: it must not be there, and is only written.
pub(crate) const NEW: i32 =
    libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
/// How the directory itself is opened to be listed.
pub(crate) const LIST: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
/// How the C library asks for large files, on its own.
const LARGE: i32 = libc::O_LARGEFILE;

/// What the writer may call after [`sandbox::confine`].
pub const POLICY: Policy = Policy {
    role: "writer",
    allow: &[
        Allow::any(libc::SYS_recvmsg, "mails of workers, messages of the supervisor"),
        Allow::any(libc::SYS_sendmsg, "answers to workers and to the supervisor"),
        Allow::any(libc::SYS_sendto, "log events"),
        Allow::any(libc::SYS_close, "mails that were copied, links of workers that ended"),
        Allow::any(libc::SYS_pread64, "a mail that was passed"),
        Allow::any(libc::SYS_write, "the copy of a mail; the runtime waking itself"),
        Allow::any(libc::SYS_read, "the runtime's own wake-ups, when they overflow"),
        Allow::one_of(
            libc::SYS_openat,
            2,
            &[NEW as u64, (NEW | LARGE) as u64, LIST as u64, (LIST | LARGE) as u64],
            "a new file, for writing; the directory, to list it",
        ),
        Allow::any(libc::SYS_fsync, "a copy is on disk before it counts"),
        Allow::any(RENAME, "a copy gets its name when it is whole"),
        Allow::any(libc::SYS_unlinkat, "copies that are too old, and what could not be completed"),
        Allow::any(libc::SYS_utimensat, "a mail that came again is as young as its last coming"),
        Allow::any(libc::SYS_getdents64, "what is in the directory"),
        Allow::any(libc::SYS_newfstatat, "size and age of copies"),
        Allow::any(libc::SYS_fstat, "the C library looks whether it lists a directory"),
        Allow::any(libc::SYS_lseek, "the C library lists from the start"),
        Allow::one_of(libc::SYS_fcntl, 1, &[libc::F_SETFD as u64], "the C library lists the directory"),
    ],
};

#[cfg(test)]
mod tests {
    use super::POLICY;
    use nix::libc;

    #[test]
    fn every_call_has_a_reason_and_none_reads_a_file_connects_or_starts_anything() {
        let forbidden = [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_execve,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_memfd_create,
            libc::SYS_linkat,
            libc::SYS_fchmodat,
            libc::SYS_fchownat,
        ];
        for entry in POLICY.entries() {
            assert!(!entry.why.is_empty());
            assert!(!forbidden.contains(&entry.syscall));
        }
    }
}
