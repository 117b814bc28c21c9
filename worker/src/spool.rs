//! A mail on its way in: `Spooling` takes its octets, `SealedMail` is what nobody can change any more.
//!
//! Only a sealed mail can be scanned, and only a scanned one can be served. A small one stays in memory of this process,
//! a larger one is in a memory file until it outgrows that too. The octets are the server's: nothing here looks into them.
use crate::limits::PIECE;
use crate::memfd;
use crate::memory::{Hold, Memory};
use crate::slices::{Hashes, Slices};
use ipc::ids::Sha256;
use ipc::worker_scanner::travels_along;
use nix::errno::Errno;
use nix::sys::uio::pread;
use nix::unistd::write;
use sha2::Digest;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// A mail that is being received.
pub(crate) struct Spooling {
    hash: sha2::Sha256,
    length: u64,
    hold: Hold,
    place: Place,
    /// Parts of it will be read: a file's slices are hashed as they are written.
    sliced: bool,
}

/// Where its octets are.
enum Place {
    /// In this process, while it may travel with its job; none came yet if it is empty.
    Here(Vec<u8>),
    /// In a memory file, while it is at most `spool-file-above` and there is room.
    Memory(OwnedFd),
    /// Too large for memory: the supervisor was asked for a file. The server is not read meanwhile, so that what
    /// came with the last piece is all that waits here.
    Between { held: Held, rest: Vec<u8> },
    /// In an unlinked file: for writing, and read-only for everybody after us.
    File { write: OwnedFd, read: OwnedFd, slices: Option<Slices> },
    /// It cannot be kept: the rest is dropped and the mail is deferred.
    Lost(&'static str),
}

/// What was in memory before it was too large for it.
enum Held {
    Here(Vec<u8>),
    Memory(OwnedFd),
}

/// What writing led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// Nothing to do.
    Fine,
    /// Ask the supervisor for a file and read no more until it came.
    NeedFile,
}

/// A mail that is complete and, but for a file, immutable: whoever reads a file checks the hash.
pub(crate) struct SealedMail {
    kept: Kept,
    length: u64,
    sha256: Sha256,
    /// Its place in memory; nothing for a file.
    _hold: Hold,
}

/// Where a complete mail is.
pub(crate) enum Kept {
    /// In this process, where nobody else can change it.
    Here(Box<[u8]>),
    /// In a sealed memory file.
    Memory(OwnedFd),
    /// In a file, which cannot be sealed; with the hashes of its slices, where parts of it may be read.
    File(OwnedFd, Hashes),
}

impl Spooling {
    /// Begins a mail. `sliced`: parts of it will be read in any order, not only the whole from its start.
    pub(crate) fn new(memory: Rc<Memory>, sliced: bool) -> Self {
        let hash = sha2::Sha256::new();
        Self { hash, length: 0, hold: Hold::new(memory), place: Place::Here(Vec::new()), sliced }
    }

    /// Takes the next octets.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Wrote {
        if bytes.is_empty() || matches!(self.place, Place::Lost(_)) {
            return Wrote::Fine;
        }
        self.hash.update(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
        let in_memory = matches!(self.place, Place::Here(_) | Place::Memory(_));
        if in_memory && !self.hold.grow(bytes.len() as u64) {
            let held = match std::mem::replace(&mut self.place, Place::Lost("no spool file")) {
                Place::Here(octets) => Held::Here(octets),
                Place::Memory(memory) => Held::Memory(memory),
                Place::Between { .. } | Place::File { .. } | Place::Lost(_) => Held::Here(Vec::new()),
            };
            self.place = Place::Between { held, rest: bytes.to_vec() };
            return Wrote::NeedFile;
        }
        let written = match &mut self.place {
            Place::Here(octets) if travels_along(self.length) => {
                octets.extend_from_slice(bytes);
                Ok(())
            }
            Place::Here(octets) => match in_memory_file(&[octets, bytes]) {
                Ok(memory) => {
                    self.place = Place::Memory(memory);
                    Ok(())
                }
                Err(why) => Err(why),
            },
            Place::Memory(memory) => write_all(memory.as_fd(), bytes).map_err(|_| "cannot write the spool"),
            Place::Between { rest, .. } => {
                rest.extend_from_slice(bytes);
                Ok(())
            }
            Place::File { write, slices, .. } => {
                if let Some(slices) = slices {
                    slices.push(bytes);
                }
                write_all(write.as_fd(), bytes).map_err(not_written)
            }
            Place::Lost(_) => Ok(()),
        };
        if let Err(why) = written {
            self.place = Place::Lost(why);
        }
        Wrote::Fine
    }

    /// Whether the supervisor still owes a file.
    pub(crate) const fn awaits_file(&self) -> bool {
        matches!(self.place, Place::Between { .. })
    }

    /// The file came: what is in memory moves there.
    pub(crate) fn continue_in(&mut self, write: OwnedFd, read: OwnedFd, buffer: &mut [u8]) {
        let place = std::mem::replace(&mut self.place, Place::Lost("no spool file"));
        let Place::Between { held, rest } = place else {
            self.place = place;
            return;
        };
        let mut slices = self.sliced.then(Slices::default);
        let moved = match held {
            Held::Here(octets) => {
                if let Some(slices) = &mut slices {
                    slices.push(&octets);
                }
                write_all(write.as_fd(), &octets)
            }
            Held::Memory(memory) => move_all(memory.as_fd(), write.as_fd(), buffer, slices.as_mut()),
        };
        if let Some(slices) = &mut slices {
            slices.push(&rest);
        }
        self.place = match moved.and_then(|()| write_all(write.as_fd(), &rest)) {
            Ok(()) => Place::File { write, read, slices },
            Err(errno) => Place::Lost(not_written(errno)),
        };
    }

    /// No file is to be had.
    pub(crate) fn give_up(&mut self) {
        self.place = Place::Lost("no spool file could be made in spool-dir; the note before this says why");
    }

    /// The mail is complete.
    ///
    /// # Errors
    /// Why it could not be kept, in constant words.
    pub(crate) fn seal(self) -> Result<SealedMail, &'static str> {
        let kept = match self.place {
            Place::Here(octets) => Kept::Here(octets.into_boxed_slice()),
            Place::Memory(memory) => {
                memfd::seal(&memory).map_err(|_| "cannot seal the spool")?;
                Kept::Memory(memory)
            }
            // Dropping the writing end leaves nobody but root able to change it.
            Place::File { read, write: _, slices } => {
                Kept::File(read, slices.map(Slices::finish).unwrap_or_default())
            }
            Place::Between { .. } => return Err("no spool file yet"),
            Place::Lost(why) => return Err(why),
        };
        let sha256 = Sha256(self.hash.finalize().into());
        Ok(SealedMail { kept, length: self.length, sha256, _hold: self.hold })
    }
}

impl SealedMail {
    /// Octets.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Its hash.
    pub(crate) const fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Where it is.
    pub(crate) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether it lies in a file, which cannot be sealed.
    pub(crate) const fn is_file(&self) -> bool {
        matches!(self.kept, Kept::File(..))
    }

    /// A descriptor of it: its own, or of a sealed memory file that is made for whoever needs one.
    ///
    /// # Errors
    /// Why there is none, in constant words.
    pub(crate) fn descriptor(&self) -> Result<Descriptor<'_>, &'static str> {
        match &self.kept {
            Kept::Memory(fd) | Kept::File(fd, _) => Ok(Descriptor::Its(fd.as_fd())),
            Kept::Here(octets) => {
                let memory = in_memory_file(&[octets])?;
                memfd::seal(&memory).map_err(|_| "cannot seal the spool")?;
                Ok(Descriptor::Made(memory))
            }
        }
    }
}

/// See [`SealedMail::descriptor`].
pub(crate) enum Descriptor<'a> {
    Its(BorrowedFd<'a>),
    Made(OwnedFd),
}

impl AsFd for Descriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Its(fd) => *fd,
            Self::Made(fd) => fd.as_fd(),
        }
    }
}

fn in_memory_file(pieces: &[&[u8]]) -> Result<OwnedFd, &'static str> {
    let memory = memfd::create(c"mail").map_err(|_| "cannot make a memory file")?;
    let written = pieces.iter().try_for_each(|piece| write_all(memory.as_fd(), piece));
    written.map_err(|_| "cannot write the spool")?;
    Ok(memory)
}

/// In constant words, for the log.
fn not_written(errno: Errno) -> &'static str {
    if errno == Errno::ENOSPC || errno == Errno::EDQUOT {
        "spool-dir is full"
    } else {
        "the file in spool-dir cannot be written"
    }
}

fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match write(file, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn move_all(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    buffer: &mut [u8],
    mut slices: Option<&mut Slices>,
) -> nix::Result<()> {
    debug_assert!(buffer.len() <= PIECE, "the shared buffer");
    let mut offset = 0;
    loop {
        let count = pread(from, buffer, offset)?;
        if count == 0 {
            return Ok(());
        }
        let moved = buffer.get(..count).unwrap_or_default();
        write_all(to, moved)?;
        if let Some(slices) = &mut slices {
            slices.push(moved);
        }
        offset = offset.checked_add(i64::try_from(count).map_err(|_| Errno::EFBIG)?).ok_or(Errno::EFBIG)?;
    }
}
