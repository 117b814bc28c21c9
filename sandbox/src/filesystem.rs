//! An empty, read-only root. Works in the mount namespace of the calling thread, which must be its own.
use crate::error::Error;
use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, pivot_root};

const WALL: &str = "empty root";
/// Where the new root is mounted before it becomes the root; what is below is hidden only in our namespace.
const STAGE: &str = "/tmp";

/// Replaces the root by an empty tmpfs of no size and detaches the old one.
pub(crate) fn empty_root() -> Result<(), Error> {
    let wall = |error| Error::new(WALL, error);
    let none: Option<&str> = None;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Nothing that happens here may show outside.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(wall)?;
    mount(Some("none"), STAGE, Some("tmpfs"), flags, Some("mode=0555,size=4k,nr_inodes=2")).map_err(wall)?;
    chdir(STAGE).map_err(wall)?;
    // pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one and is detached.
    pivot_root(".", ".").map_err(wall)?;
    umount2(".", MntFlags::MNT_DETACH).map_err(wall)?;
    chdir("/").map_err(wall)?;
    mount(none, "/", none, flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY, none)
        .map_err(wall)
}

/// Whether the root directory has no entry. Must be asked before the filter forbids to open.
pub(crate) fn root_is_empty() -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(mut root) = Dir::open("/", flags, Mode::empty()) else { return false };
    root.iter().all(|entry| entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")))
}
