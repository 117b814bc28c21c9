//! This image again, as a role: a fresh address space, two descriptors, no environment. An unsafe file: the standard
//! library forks as soon as a child's descriptors are to be arranged, and a child of ours is started for every few mails.
use libc::{c_char, c_int, c_short};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::SigSet;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// Where the child finds its link and its log.
const LINK: c_int = 3;
const LOG: c_int = 4;

/// A child process. Dropping it neither ends nor reaps it.
#[derive(Debug)]
pub struct Child {
    /// Its number.
    pub pid: u32,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

impl Child {
    /// Ends it at once.
    pub fn kill(&self) {
        // SAFETY: the pidfd is ours and open; a signal to a process that has ended is an error that changes nothing.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), libc::SIGKILL, 0, 0);
        }
    }

    /// Collects it if it has ended: how, in words.
    ///
    /// # Errors
    /// When it is no child of ours any more.
    pub fn try_reap(&self) -> io::Result<Option<String>> {
        match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)? {
            WaitStatus::Exited(_, code) => Ok(Some(format!("exit status {code}"))),
            WaitStatus::Signaled(_, signal, _) => Ok(Some(format!("killed by {signal}"))),
            WaitStatus::StillAlive
            | WaitStatus::Stopped(..)
            | WaitStatus::Continued(_)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_) => Ok(None),
        }
    }
}

/// Starts this image again as `role`, with `title` in `ps`, its link at descriptor 3 and its log at 4.
///
/// By posix_spawn: the child runs in our memory until it executes. A fork would copy our page tables and have us copy
/// each page that we touch next.
///
/// # Errors
/// Of clone and exec.
pub fn spawn(role: &str, title: &str, link: OwnedFd, log: OwnedFd) -> io::Result<Child> {
    let (title, role) = (CString::new(title)?, CString::new(role)?);
    let arguments =
        [title.as_ptr(), c"role".as_ptr(), role.as_ptr(), ptr::null()].map(<*const c_char>::cast_mut);
    let environment = [ptr::null_mut::<c_char>()];
    // Out of the way first, so that neither place is taken.
    let (link, log) = (above(link, LOG)?, above(log, LOG)?);
    let mut actions = Actions::new()?;
    for standard in 0..LINK {
        actions.open_null(standard)?;
    }
    actions.place(&link, LINK)?;
    actions.place(&log, LOG)?;
    actions.close_from(LOG + 1)?;
    let attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: every pointer is to a value that outlives the call; both lists end with a null pointer; the child does
    // nothing but the listed actions before it executes.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            c"/proc/self/exe".as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    })?;
    // SAFETY: the child is not reaped yet, so the number is its own; the result is a new descriptor or an error.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let raw = i32::try_from(raw).map_err(io::Error::other)?;
    if raw < 0 {
        return Err(Errno::last().into());
    }
    // SAFETY: pidfd_open has just made this descriptor, close-on-exec, for nobody else.
    let pidfd = unsafe { OwnedFd::from_raw_fd(raw) };
    Ok(Child { pid: pid.unsigned_abs(), pidfd })
}

/// The same socket at a number above `number`.
fn above(socket: OwnedFd, number: c_int) -> io::Result<OwnedFd> {
    if socket.as_raw_fd() > number {
        return Ok(socket);
    }
    let raw = fcntl(&socket, FcntlArg::F_DUPFD_CLOEXEC(number + 1))?;
    // SAFETY: fcntl has just made this descriptor for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// What the child does before it executes.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: a place for the value, which is there if the call succeeds. It may be moved: it is a list on the heap.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: the call above succeeded.
        let mut actions = Self(unsafe { actions.assume_init() });
        // SAFETY: initialised above; the path is copied.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut actions.0, c"/".as_ptr()) })?;
        Ok(actions)
    }

    fn open_null(&mut self, at: c_int) -> io::Result<()> {
        let path = c"/dev/null".as_ptr();
        // SAFETY: initialised by `new`; the path is copied.
        check(unsafe { libc::posix_spawn_file_actions_addopen(&raw mut self.0, at, path, libc::O_RDWR, 0) })
    }

    /// The child's copy stays open when it executes.
    fn place(&mut self, socket: &OwnedFd, at: c_int) -> io::Result<()> {
        // SAFETY: initialised by `new`; only numbers are kept.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, socket.as_raw_fd(), at) })
    }

    fn close_from(&mut self, first: c_int) -> io::Result<()> {
        // SAFETY: initialised by `new`; only a number is kept.
        check(unsafe { libc::posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, first) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new` and not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// The supervisor may block signals to take them as events; the child starts with none blocked. It leads a process group of
/// its own: Ctrl-C on a terminal is the supervisor's to act on, and would end every session in the middle of a word.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: a place for the value, which is there if the call succeeds. It may be moved: it is plain data.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: the call above succeeded.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let none = SigSet::empty();
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETPGROUP;
        let flags = c_short::try_from(flags).map_err(io::Error::other)?;
        // SAFETY: initialised above; the set is copied.
        check(unsafe { libc::posix_spawnattr_setsigmask(&raw mut attributes.0, none.as_ref()) })?;
        // SAFETY: initialised above; 0 is the child's own number.
        check(unsafe { libc::posix_spawnattr_setpgroup(&raw mut attributes.0, 0) })?;
        // SAFETY: initialised above.
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut attributes.0, flags) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new` and not used again.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// These functions return the error number.
fn check(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
