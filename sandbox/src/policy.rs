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

impl Allow {
    /// A call with any argument.
    pub const fn any(syscall: c_long, why: &'static str) -> Self {
        Self { syscall, arg: Arg::Any, why }
    }

    /// A call of which the argument at `index` is one of `values`.
    pub const fn one_of(syscall: c_long, index: u8, values: &'static [u64], why: &'static str) -> Self {
        Self { syscall, arg: Arg::OneOf(index, values), why }
    }
}

/// A condition on an argument, counted from 0.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// None.
    Any,
    /// It has one of these values (32 bits).
    OneOf(u8, &'static [u64]),
    /// None of these bits is set.
    NoneOf(u8, u64),
}

const EXECUTABLE: u64 = libc::PROT_EXEC as u64;

#[cfg(target_arch = "x86_64")]
const EPOLL_WAIT: c_long = libc::SYS_epoll_wait;
/// Newer architectures have only this one.
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_WAIT: c_long = libc::SYS_epoll_pwait;

/// What is looked at in descriptors that were passed.
const LOOKED_AT: &[u64] = &[libc::F_GET_SEALS as u64, libc::F_GETFL as u64, libc::F_GETFD as u64];

/// What every role needs once its runtime stands: memory, time, random numbers, descriptors that it was passed, and a way
/// to end.
pub const COMMON: &[Allow] = &[
    Allow {
        syscall: libc::SYS_mmap,
        arg: Arg::NoneOf(2, EXECUTABLE),
        why: "allocator; mails mapped read-only",
    },
    Allow { syscall: libc::SYS_mprotect, arg: Arg::NoneOf(2, EXECUTABLE), why: "allocator" },
    Allow::any(libc::SYS_munmap, "allocator"),
    Allow::any(libc::SYS_mremap, "allocator: growing buffers"),
    Allow::any(libc::SYS_brk, "allocator"),
    Allow::one_of(
        libc::SYS_madvise,
        2,
        &[libc::MADV_DONTNEED as u64, libc::MADV_FREE as u64],
        "allocator: giving memory back",
    ),
    Allow::any(libc::SYS_futex, "locks of the standard library"),
    Allow::any(libc::SYS_getrandom, "seeds of hash tables"),
    Allow::any(libc::SYS_clock_gettime, "time where the vDSO cannot give it"),
    Allow::any(EPOLL_WAIT, "wait for peers, links and timers"),
    Allow::any(libc::SYS_epoll_ctl, "watch the descriptors that were passed"),
    Allow::one_of(libc::SYS_fcntl, 1, LOOKED_AT, "is it sealed; debug builds look before they close"),
    Allow::one_of(
        libc::SYS_getsockopt,
        2,
        &[libc::SO_TYPE as u64],
        "a link that was passed must be a sequenced-packet socket",
    ),
    Allow::any(libc::SYS_sigaltstack, "the standard library at the end of a thread"),
    Allow::any(libc::SYS_rt_sigreturn, "return from a signal"),
    Allow::any(libc::SYS_restart_syscall, "a wait that was stopped and continued"),
    Allow::any(libc::SYS_exit_group, "the end"),
    Allow::any(libc::SYS_exit, "the end"),
];
