//! Namespaces that children of one role and tenant join: no network, no files, no IPC of others. Made once, kept by
//! their descriptors.
use crate::error::Error;
use crate::filesystem::empty_root;
use crate::spec::Namespace;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::fstat;
use nix::unistd::sethostname;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

const WALL: &str = "namespaces";

impl Namespace {
    pub(crate) const fn flag(self) -> CloneFlags {
        match self {
            Self::User => CloneFlags::CLONE_NEWUSER,
            Self::Mount => CloneFlags::CLONE_NEWNS,
            Self::Network => CloneFlags::CLONE_NEWNET,
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
        }
    }

    /// Its name below `/proc/PID/ns`.
    pub const fn proc_name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Network => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
        }
    }
}

/// Namespaces with an empty root and an empty network.
#[derive(Debug)]
pub struct Jail {
    namespaces: Vec<(Namespace, OwnedFd)>,
}

impl Jail {
    /// Makes these namespaces; needs root. `Mount` gets an empty root. A thread of its own walks into them and ends:
    /// the rest of the process stays where it is.
    ///
    /// # Errors
    /// [`Error`] when the kernel refuses one.
    pub fn make(kinds: &[Namespace]) -> Result<Self, Error> {
        thread::scope(|scope| {
            let maker = thread::Builder::new().name("jail".into()).spawn_scoped(scope, || make(kinds));
            let maker = maker.map_err(|error| Error::new(WALL, error))?;
            maker.join().map_err(|_| Error::new(WALL, "the thread that makes them failed"))?
        })
    }

    /// The kinds, in the order of [`Jail::descriptors`].
    pub fn kinds(&self) -> Vec<Namespace> {
        self.namespaces.iter().map(|(kind, _)| *kind).collect()
    }

    /// The descriptors to pass to a child.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.namespaces.iter().map(|(_, descriptor)| descriptor.as_fd()).collect()
    }

    /// Inode numbers, as `/proc/PID/ns` shows them.
    pub fn inodes(&self) -> Vec<(Namespace, u64)> {
        self.namespaces.iter().filter_map(|(kind, fd)| Some((*kind, fstat(fd).ok()?.st_ino))).collect()
    }
}

fn make(kinds: &[Namespace]) -> Result<Jail, Error> {
    let wall = |error| Error::new(WALL, error);
    let flags = kinds.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag());
    unshare(flags).map_err(wall)?;
    let mut namespaces = Vec::with_capacity(kinds.len());
    for kind in kinds {
        // Opened before the old root with its /proc goes away.
        let path = format!("/proc/thread-self/ns/{}", kind.proc_name());
        let file = File::open(&path).map_err(|error| Error::new(WALL, format!("{path}: {error}")))?;
        namespaces.push((*kind, OwnedFd::from(file)));
    }
    if kinds.contains(&Namespace::Uts) {
        sethostname("mailward").map_err(wall)?;
    }
    if kinds.contains(&Namespace::Mount) {
        empty_root()?;
    }
    Ok(Jail { namespaces })
}
