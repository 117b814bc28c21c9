//! A role's system calls as plain data: which, with what argument, and why.
use nix::libc::{self, c_long};

/// What a role may call. Everything else kills the process.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The role, for messages.
    pub role: &'static str,
    /// Its calls, besides [`COMMON`]. Two entries for one call widen it.
    pub allow: &'static [Allow],
}

impl Policy {
    /// Everything that is allowed: what every role needs, then the role's own.
    pub fn entries(&self) -> impl Iterator<Item = &'static Allow> {
        COMMON.iter().chain(self.allow)
    }
}

/// One permission.
#[derive(Clone, Copy, Debug)]
pub struct Allow {
    /// The call's number on this machine.
    pub syscall: c_long,
    /// What its argument must be.
    pub arg: Arg,
    /// Why the role needs it; never empty.
    pub why: &'static str,
}

/// A condition on an argument, counted from 0.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// None.
    Any,
    /// It has this value (32 bits).
    Equals(u8, u64),
    /// It has one of these values (32 bits).
    OneOf(u8, &'static [u64]),
    /// None of these bits is set.
    NoneOf(u8, u64),
}

const EXECUTABLE: u64 = libc::PROT_EXEC as u64;

/// What every role needs once its runtime stands: memory, time, random numbers, and a way to end.
pub const COMMON: &[Allow] = &[
    Allow {
        syscall: libc::SYS_mmap,
        arg: Arg::NoneOf(2, EXECUTABLE),
        why: "allocator; mails mapped read-only",
    },
    Allow { syscall: libc::SYS_mprotect, arg: Arg::NoneOf(2, EXECUTABLE), why: "allocator" },
    Allow { syscall: libc::SYS_munmap, arg: Arg::Any, why: "allocator" },
    Allow { syscall: libc::SYS_mremap, arg: Arg::Any, why: "allocator: growing buffers" },
    Allow { syscall: libc::SYS_brk, arg: Arg::Any, why: "allocator" },
    Allow {
        syscall: libc::SYS_madvise,
        arg: Arg::OneOf(2, &[libc::MADV_DONTNEED as u64, libc::MADV_FREE as u64]),
        why: "allocator: giving memory back",
    },
    Allow { syscall: libc::SYS_futex, arg: Arg::Any, why: "locks of the standard library" },
    Allow { syscall: libc::SYS_getrandom, arg: Arg::Any, why: "seeds of hash tables" },
    Allow { syscall: libc::SYS_clock_gettime, arg: Arg::Any, why: "time where the vDSO cannot give it" },
    Allow {
        syscall: libc::SYS_sigaltstack,
        arg: Arg::Any,
        why: "the standard library at the end of a thread",
    },
    Allow { syscall: libc::SYS_rt_sigreturn, arg: Arg::Any, why: "return from a signal" },
    Allow { syscall: libc::SYS_restart_syscall, arg: Arg::Any, why: "a wait that was stopped and continued" },
    Allow { syscall: libc::SYS_exit_group, arg: Arg::Any, why: "the end" },
    Allow { syscall: libc::SYS_exit, arg: Arg::Any, why: "the end" },
];
