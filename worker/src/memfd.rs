//! Memory files: made, sealed, checked. What is sealed can never change again, whoever else holds it.
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Whence, lseek};
use std::cell::Cell;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

/// Linux 6.3; nix has no name for it. The file can never be made executable.
const NOEXEC_SEAL: u32 = 0x0008;

thread_local! {
    /// Whether this kernel lacks `MFD_NOEXEC_SEAL` (before 6.3): asked once, during warm-up.
    static PLAIN_ONLY: Cell<bool> = const { Cell::new(false) };
}

/// Makes an empty memory file.
///
/// # Errors
/// Of `memfd_create`: out of descriptors or memory.
pub(crate) fn create(name: &CStr) -> nix::Result<OwnedFd> {
    let plain = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    if !PLAIN_ONLY.get() {
        match memfd_create(name, plain | MFdFlags::from_bits_retain(NOEXEC_SEAL)) {
            Err(Errno::EINVAL) => PLAIN_ONLY.set(true),
            made => return made,
        }
    }
    memfd_create(name, plain)
}

fn all_seals() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL
}

/// Forbids every later change.
///
/// # Errors
/// `EBUSY` while somebody has it mapped for writing.
pub(crate) fn seal(file: impl AsFd) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_ADD_SEALS(all_seals())).map(drop)
}

/// Whether nobody can ever change it.
pub(crate) fn is_sealed(file: impl AsFd) -> bool {
    fcntl(file, FcntlArg::F_GET_SEALS)
        .is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(all_seals()))
}

/// Its length in octets. Moves the file position, which nobody uses after writing.
///
/// # Errors
/// Of `lseek`: not a file.
pub(crate) fn length(file: impl AsFd) -> nix::Result<u64> {
    let end = lseek(file, 0, Whence::SeekEnd)?;
    u64::try_from(end).map_err(|_| Errno::EOVERFLOW)
}
