//! The mail as bytes that cannot change while they are read: a sealed memfd is mapped, a file is copied. The unsafe
//! file of this crate.
use ipc::descriptors::{has_length, is_sealed};
use ipc::ids::Sha256;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::uio::pread;
use sha2::Digest;
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// Octets up to which a mail is copied: a mapping, its faults and its end cost more.
const COPIED: usize = 64 * 1024;

/// Why a mail cannot be read: the worker lied, or memory is short.
pub(crate) type Unreadable = &'static str;

/// A mail in memory.
#[derive(Debug)]
pub(crate) struct Content {
    bytes: Bytes,
    /// The sealed memfd, for engines that take a descriptor.
    sealed: Option<OwnedFd>,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mapping),
    Copied(Vec<u8>),
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

impl Content {
    /// Takes a mail of `size` octets. Its hash must be checked next: until then it may be another mail.
    ///
    /// # Errors
    /// When the descriptor is no file of that size, or cannot be read.
    pub(crate) fn take(mail: OwnedFd, size: u64) -> Result<Self, Unreadable> {
        if !has_length(&mail, size) {
            return Err("the mail has another size than was said");
        }
        let length = usize::try_from(size).map_err(|_| "the mail is larger than memory")?;
        let sealed = length > 0 && is_sealed(&mail);
        let bytes = match NonZeroUsize::new(length) {
            Some(length) if sealed && length.get() > COPIED => Bytes::Mapped(map(mail.as_fd(), length)?),
            // A file can be written by whoever holds it (the worker): it is read once, into memory of our own.
            Some(_) | None => Bytes::Copied(read_all(mail.as_fd(), length)?),
        };
        Ok(Self { bytes, sealed: sealed.then_some(mail) })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            // SAFETY: the mapping is of exactly this length, private and read-only, and lives as long as `self`; the
            // memfd is sealed against writing and shrinking, so the octets can neither change nor go away.
            Bytes::Mapped(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.start.as_ptr().cast::<u8>(), mapping.length.get())
            },
            Bytes::Copied(bytes) => bytes,
        }
    }

    pub(crate) fn sha256(&self) -> Sha256 {
        Sha256(sha2::Sha256::digest(self.bytes()).into())
    }

    /// The memfd, if the mail came in one.
    pub(crate) fn sealed(&self) -> Option<BorrowedFd<'_>> {
        self.sealed.as_ref().map(AsFd::as_fd)
    }
}

impl From<Vec<u8>> for Content {
    /// A mail that was made here (a probe).
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::Copied(bytes), sealed: None }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by us with this length, and nobody borrows from it any more.
        let _ = unsafe { munmap(self.start, self.length.get()) };
    }
}

fn map(mail: BorrowedFd<'_>, length: NonZeroUsize) -> Result<Mapping, Unreadable> {
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
    let start = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, mail, 0) };
    start.map(|start| Mapping { start, length }).map_err(|_| "the mail cannot be mapped")
}

/// Reads a descriptor from its start, up to `length` octets.
pub(crate) fn read_all(file: BorrowedFd<'_>, length: usize) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| "no memory for the mail")?;
    bytes.resize(length, 0);
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let offset = i64::try_from(done).map_err(|_| "the mail is larger than a file")?;
        match pread(file, rest, offset) {
            Ok(0) => return Err("the file ends early"),
            Ok(read) => done += read,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return Err("the file cannot be read"),
        }
    }
    Ok(bytes)
}

/// Asks the processor for its hash instructions before the filter stands.
pub(crate) fn warm_up() {
    let _ = sha2::Sha256::digest(b"warm");
}
