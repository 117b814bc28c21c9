//! A child that was taken over: behind the shipped walls and under the shipped filter of each role it tries what an
//! attacker would. Every call must end it. The same calls without walls are the control: none of them may end it, or
//! the test would prove nothing. An unsafe file: raw system calls and fork.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::root_or_skip;
use nix::libc;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getpid};
use sandbox::{Jail, Limits, Namespace, Policy, Spec};
use std::os::fd::OwnedFd;

/// A system call and its arguments, harmless where it is not forbidden: descriptors and pointers lead nowhere.
type Probe = (&'static str, libc::c_long, [libc::c_long; 6]);

const NONE: [libc::c_long; 6] = [0; 6];
const BAD: [libc::c_long; 6] = [-1, 0, 0, 0, 0, 0];

const fn args(first: i32, second: i32, third: i32) -> [libc::c_long; 6] {
    [first as libc::c_long, second as libc::c_long, third as libc::c_long, 0, 0, 0]
}

const CHILD: [libc::c_long; 6] = args(libc::SIGCHLD, 0, 0);
const ANON: libc::c_long = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as libc::c_long;
const RX: libc::c_long = (libc::PROT_READ | libc::PROT_EXEC) as libc::c_long;
const RWX: libc::c_long = RX | libc::PROT_WRITE as libc::c_long;

const PROBES: &[Probe] = &[
    ("socket inet", libc::SYS_socket, args(libc::AF_INET, libc::SOCK_STREAM, 0)),
    ("socket inet6", libc::SYS_socket, args(libc::AF_INET6, libc::SOCK_DGRAM, 0)),
    ("socket mptcp", libc::SYS_socket, args(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)),
    ("socket unix", libc::SYS_socket, args(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
    ("socket netlink", libc::SYS_socket, args(libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    ("socket vsock", libc::SYS_socket, args(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    ("socket alg", libc::SYS_socket, args(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
    ("socket packet", libc::SYS_socket, args(libc::AF_PACKET, libc::SOCK_RAW, 0)),
    ("connect", libc::SYS_connect, BAD),
    ("bind", libc::SYS_bind, BAD),
    ("listen", libc::SYS_listen, BAD),
    ("accept4", libc::SYS_accept4, BAD),
    ("open", libc::SYS_open, NONE),
    ("openat", libc::SYS_openat, BAD),
    ("openat2", libc::SYS_openat2, BAD),
    ("creat", libc::SYS_creat, NONE),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, BAD),
    ("execve", libc::SYS_execve, NONE),
    ("execveat", libc::SYS_execveat, BAD),
    ("fork", libc::SYS_fork, NONE),
    ("clone", libc::SYS_clone, CHILD),
    ("clone3", libc::SYS_clone3, NONE),
    ("ptrace", libc::SYS_ptrace, BAD),
    ("process_vm_readv", libc::SYS_process_vm_readv, args(1, 0, 0)),
    ("process_vm_writev", libc::SYS_process_vm_writev, args(1, 0, 0)),
    ("kill", libc::SYS_kill, args(1, 0, 0)),
    ("tkill", libc::SYS_tkill, args(1, 0, 0)),
    ("pidfd_open", libc::SYS_pidfd_open, args(1, 0, 0)),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, BAD),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, BAD),
    ("setns", libc::SYS_setns, BAD),
    ("unshare", libc::SYS_unshare, NONE),
    ("mount", libc::SYS_mount, NONE),
    ("umount2", libc::SYS_umount2, NONE),
    ("move_mount", libc::SYS_move_mount, BAD),
    ("fsopen", libc::SYS_fsopen, NONE),
    ("pivot_root", libc::SYS_pivot_root, NONE),
    ("chroot", libc::SYS_chroot, NONE),
    ("chdir", libc::SYS_chdir, NONE),
    ("fchdir", libc::SYS_fchdir, BAD),
    ("io_uring_setup", libc::SYS_io_uring_setup, NONE),
    ("bpf", libc::SYS_bpf, BAD),
    ("perf_event_open", libc::SYS_perf_event_open, NONE),
    ("userfaultfd", libc::SYS_userfaultfd, BAD),
    ("keyctl", libc::SYS_keyctl, BAD),
    ("add_key", libc::SYS_add_key, NONE),
    ("personality", libc::SYS_personality, args(-1, 0, 0)),
    ("setuid", libc::SYS_setuid, NONE),
    ("setresuid", libc::SYS_setresuid, NONE),
    ("setgid", libc::SYS_setgid, NONE),
    ("setgroups", libc::SYS_setgroups, NONE),
    ("capset", libc::SYS_capset, NONE),
    ("prctl", libc::SYS_prctl, args(libc::PR_GET_DUMPABLE, 0, 0)),
    ("prlimit64", libc::SYS_prlimit64, NONE),
    ("seccomp", libc::SYS_seccomp, BAD),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset, NONE),
    ("init_module", libc::SYS_init_module, NONE),
    ("kexec_load", libc::SYS_kexec_load, args(0, 0, -1)),
    ("reboot", libc::SYS_reboot, NONE),
    ("settimeofday", libc::SYS_settimeofday, [1, 1, 0, 0, 0, 0]),
    ("sethostname", libc::SYS_sethostname, args(0, -1, 0)),
    ("swapon", libc::SYS_swapon, NONE),
    ("iopl", libc::SYS_iopl, args(99, 0, 0)),
    ("unlink", libc::SYS_unlink, NONE),
    ("rename", libc::SYS_rename, NONE),
    ("link", libc::SYS_link, NONE),
    ("symlink", libc::SYS_symlink, NONE),
    ("mkdir", libc::SYS_mkdir, NONE),
    ("mknod", libc::SYS_mknod, NONE),
    ("chmod", libc::SYS_chmod, NONE),
    ("chown", libc::SYS_chown, NONE),
    ("stat", libc::SYS_stat, NONE),
    ("statx", libc::SYS_statx, BAD),
    ("readlink", libc::SYS_readlink, NONE),
    ("getdents64", libc::SYS_getdents64, BAD),
    ("inotify_init1", libc::SYS_inotify_init1, NONE),
    ("fanotify_init", libc::SYS_fanotify_init, BAD),
    ("name_to_handle_at", libc::SYS_name_to_handle_at, BAD),
    ("shmget", libc::SYS_shmget, NONE),
    ("msgget", libc::SYS_msgget, NONE),
    ("semget", libc::SYS_semget, NONE),
    ("mq_open", libc::SYS_mq_open, NONE),
    ("mmap executable", libc::SYS_mmap, [0, 4096, RX, ANON, -1, 0]),
    ("mmap writable and executable", libc::SYS_mmap, [0, 4096, RWX, ANON, -1, 0]),
    ("mprotect executable", libc::SYS_mprotect, [0, 0, RX, 0, 0, 0]),
    ("fcntl F_DUPFD", libc::SYS_fcntl, args(-1, libc::F_DUPFD, 0)),
    ("fcntl F_SETOWN", libc::SYS_fcntl, args(-1, libc::F_SETOWN, 0)),
    // The x32 entry of x86-64: the same numbers with a bit set must not lead round the list.
    ("x32 openat", 0x4000_0000 | libc::SYS_openat, BAD),
    ("x32 write", 0x4000_0000 | libc::SYS_write, BAD),
    ("a call that does not exist", 9999, NONE),
];

/// Runs a probe in a child of its own, behind walls if there are any. True: it was ended by SIGSYS.
fn ended(probe: &Probe, walls: Option<(&Spec, &Jail, &Policy)>) -> bool {
    let (name, number, [a, b, c, d, e, f]) = *probe;
    // SAFETY: the child only confines itself, makes one system call and exits; it never returns into the test.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => {
            let status = waitpid(child, None).unwrap();
            let killed = matches!(status, WaitStatus::Signaled(_, Signal::SIGSYS, _));
            assert!(killed || status == WaitStatus::Exited(child, 0), "{name}: {status:?}");
            killed
        }
        ForkResult::Child => {
            if let Some((spec, jail, policy)) = walls {
                let namespaces: Vec<OwnedFd> =
                    jail.descriptors().iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
                if sandbox::confine(spec, namespaces, None, policy).is_err() {
                    // SAFETY: ends this child without the test's own clean-up.
                    unsafe { libc::_exit(77) }
                }
            }
            // SAFETY: the arguments lead nowhere, so the call can harm neither this process nor the machine.
            unsafe {
                libc::syscall(number, a, b, c, d, e, f);
                libc::_exit(0)
            }
        }
    }
}

#[test]
fn without_walls_no_probe_ends_the_child() {
    for probe in PROBES {
        assert!(!ended(probe, None), "{}: the control fails", probe.0);
    }
}

#[test]
fn behind_the_shipped_walls_every_probe_ends_the_child() {
    if !root_or_skip("behind_the_shipped_walls_every_probe_ends_the_child") {
        return;
    }
    assert!(PROBES.len() >= 60);
    let kinds = [Namespace::Mount, Namespace::Network, Namespace::Ipc, Namespace::Uts];
    let jail = Jail::make(&kinds).unwrap();
    let spec = Spec {
        id: Some(2_147_000_900),
        join: jail.kinds(),
        limits: Limits { descriptors: Some(64), ..Limits::default() },
        require_all: true,
        supervisor_pid: getpid().as_raw().unsigned_abs(),
        ..Spec::default()
    };
    for policy in
        [&worker::confinement::POLICY, &scanner::confinement::POLICY, &keyholder::confinement::POLICY]
    {
        // What the role may do does not end it.
        let allowed = ("close", libc::SYS_close, BAD);
        assert!(!ended(&allowed, Some((&spec, &jail, policy))), "{}: nothing is allowed", policy.role);
        for probe in PROBES {
            assert!(
                ended(probe, Some((&spec, &jail, policy))),
                "{}: {} is not forbidden",
                policy.role,
                probe.0
            );
        }
        println!("{}: {} probes, all ended by the filter", policy.role, PROBES.len());
    }
}
