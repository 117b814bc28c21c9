//! A mail on its way in: `Spooling` takes its octets, `SealedMail` is what nobody can change any more.
//!
//! Only a sealed mail can be scanned, and only a scanned one can be served. The octets are the server's: nothing
//! here looks into them.
use crate::limits::PIECE;
use crate::memfd;
use crate::memory::{Hold, Memory};
use crate::slices::{Hashes, Slices};
use ipc::ids::Sha256;
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
    /// None came yet.
    Nowhere,
    /// In a memory file, while it is at most `spool-file-above` and there is room.
    Memory(OwnedFd),
    /// Too large for memory: the supervisor was asked for a file. The server is not read meanwhile, so that what
    /// came with the last piece is all that waits here.
    Between { memory: Option<OwnedFd>, rest: Vec<u8> },
    /// In an unlinked file: for writing, and read-only for everybody after us.
    File { write: OwnedFd, read: OwnedFd, slices: Option<Slices> },
    /// It cannot be kept: the rest is dropped and the mail is deferred.
    Lost(&'static str),
}

/// What writing led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// Nothing to do.
    Fine,
    /// Ask the supervisor for a file and read no more until it came.
    NeedFile,
}

/// A mail that is complete and, in memory, immutable. A file cannot be sealed: whoever reads it checks the hash.
pub(crate) struct SealedMail {
    fd: OwnedFd,
    length: u64,
    sha256: Sha256,
    is_file: bool,
    /// Of a file of which parts may be read.
    slices: Hashes,
    /// Its place in memory; nothing for a file.
    _hold: Hold,
}

impl Spooling {
    /// Begins a mail. `sliced`: parts of it will be read in any order, not only the whole from its start.
    pub(crate) fn new(memory: Rc<Memory>, sliced: bool) -> Self {
        let hash = sha2::Sha256::new();
        Self { hash, length: 0, hold: Hold::new(memory), place: Place::Nowhere, sliced }
    }

    /// Takes the next octets.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Wrote {
        if bytes.is_empty() || matches!(self.place, Place::Lost(_)) {
            return Wrote::Fine;
        }
        self.hash.update(bytes);
        self.length = self.length.saturating_add(bytes.len() as u64);
        let in_memory = matches!(self.place, Place::Nowhere | Place::Memory(_));
        let outgrown = in_memory && !self.hold.grow(bytes.len() as u64);
        match &mut self.place {
            Place::Nowhere if outgrown => {
                self.place = Place::Between { memory: None, rest: bytes.to_vec() };
                return Wrote::NeedFile;
            }
            Place::Nowhere => match memfd::create(c"mail") {
                Ok(memory) => {
                    self.place = match write_all(memory.as_fd(), bytes) {
                        Ok(()) => Place::Memory(memory),
                        Err(_) => Place::Lost("cannot write the spool"),
                    }
                }
                Err(_) => self.place = Place::Lost("cannot make a memory file"),
            },
            Place::Memory(_) if outgrown => {
                let memory = match std::mem::replace(&mut self.place, Place::Nowhere) {
                    Place::Memory(memory) => Some(memory),
                    Place::Nowhere | Place::Between { .. } | Place::File { .. } | Place::Lost(_) => None,
                };
                self.place = Place::Between { memory, rest: bytes.to_vec() };
                return Wrote::NeedFile;
            }
            Place::Memory(memory) => {
                if write_all(memory.as_fd(), bytes).is_err() {
                    self.place = Place::Lost("cannot write the spool");
                }
            }
            Place::Between { rest, .. } => rest.extend_from_slice(bytes),
            Place::File { write, slices, .. } => {
                if let Some(slices) = slices {
                    slices.push(bytes);
                }
                if let Err(errno) = write_all(write.as_fd(), bytes) {
                    self.place = Place::Lost(not_written(errno));
                }
            }
            Place::Lost(_) => {}
        }
        Wrote::Fine
    }

    /// Whether the supervisor still owes a file.
    pub(crate) const fn awaits_file(&self) -> bool {
        matches!(self.place, Place::Between { .. })
    }

    /// The file came: what is in memory moves there.
    pub(crate) fn continue_in(&mut self, write: OwnedFd, read: OwnedFd, buffer: &mut [u8]) {
        if let Place::Between { memory, rest } = std::mem::replace(&mut self.place, Place::Nowhere) {
            let mut slices = self.sliced.then(Slices::default);
            let moved = memory
                .map_or(Ok(()), |memory| move_all(memory.as_fd(), write.as_fd(), buffer, slices.as_mut()));
            if let Some(slices) = &mut slices {
                slices.push(&rest);
            }
            self.place = match moved.and_then(|()| write_all(write.as_fd(), &rest)) {
                Ok(()) => Place::File { write, read, slices },
                Err(errno) => Place::Lost(not_written(errno)),
            };
        }
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
        let (fd, is_file, slices) = match self.place {
            Place::Memory(memory) => (memory, false, None),
            Place::Nowhere => (memfd::create(c"mail").map_err(|_| "cannot make a memory file")?, false, None),
            // Dropping the writing end leaves nobody but root able to change it.
            Place::File { read, write: _, slices } => (read, true, slices),
            Place::Between { .. } => return Err("no spool file yet"),
            Place::Lost(why) => return Err(why),
        };
        if !is_file {
            memfd::seal(&fd).map_err(|_| "cannot seal the spool")?;
        }
        let sha256 = Sha256(self.hash.finalize().into());
        let slices = slices.map(Slices::finish).unwrap_or_default();
        Ok(SealedMail { fd, length: self.length, sha256, is_file, slices, _hold: self.hold })
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

    /// Whether it lies in a file, which cannot be sealed.
    pub(crate) const fn is_file(&self) -> bool {
        self.is_file
    }

    /// Of a file: the hashes of its slices.
    pub(crate) const fn slices(&self) -> &Hashes {
        &self.slices
    }
}

impl AsFd for SealedMail {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
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
