//! The directory. A mail is written under another name, is on disk, and only then gets its own: whatever breaks off leaves
//! nothing that counts. Nothing that is there is ever opened.
use crate::confinement::{LIST, NEW};
use ipc::ids::Sha256;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, UtimensatFlags, fstatat, utimensat};
use nix::sys::time::TimeSpec;
use nix::sys::uio::pread;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat, write};
use sha2::Digest;
use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Octets that are copied at once.
const PIECE: usize = 64 * 1024;
/// Copies in one directory: what is known of each takes some memory.
const MOST: usize = 1_000_000;
const ENDING: &str = ".mail";
const UNFINISHED: &str = ".new";

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `max-size`: octets in all.
    pub(crate) octets: u64,
    /// `keep`, in seconds.
    pub(crate) seconds: i64,
}

/// Why a mail is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// `max-size`, and nothing that is there is older than `keep`.
    Full,
    /// What was passed is not the mail that was announced.
    NotTheMail,
    /// The file system.
    Failed(Errno),
}

impl Refused {
    /// Whether the directory is no longer there.
    pub(crate) fn is_gone(self) -> bool {
        self == Self::Failed(Errno::ENOENT)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("max-size is reached, and no copy is older than keep"),
            Self::NotTheMail => f.write_str("what a worker passed is not the mail that it announced"),
            Self::Failed(Errno::ENOENT) => f.write_str("its directory is gone"),
            Self::Failed(errno) => f.write_str(errno.desc()),
        }
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// The directory and what is in it.
pub(crate) struct Store {
    directory: OwnedFd,
    kept: HashMap<Sha256, Kept>,
    octets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    octets: u64,
    /// When it came last, in seconds since 1970.
    time: i64,
}

impl Store {
    /// Looks what is there, and removes what was not completed.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn open(directory: OwnedFd) -> nix::Result<Self> {
        let mut store = Self { directory, kept: HashMap::new(), octets: 0 };
        store.look(true)?;
        Ok(store)
    }

    /// Copies, and their octets.
    pub(crate) fn there(&self) -> (usize, u64) {
        (self.kept.len(), self.octets)
    }

    /// Keeps a mail behind its record; it is on disk when this returns.
    ///
    /// # Errors
    /// [`Refused`]: nothing was kept.
    pub(crate) fn keep(
        &mut self,
        mail: BorrowedFd<'_>,
        size: u64,
        sha256: Sha256,
        record: &[u8],
        limits: Limits,
        now: i64,
    ) -> Result<(), Refused> {
        if self.kept.contains_key(&sha256) {
            match self.renew(sha256, now) {
                // Somebody removed it meanwhile: it is kept again.
                Err(Errno::ENOENT) => self.forget(sha256),
                renewed => return Ok(renewed?),
            }
        }
        let octets = size.saturating_add(record.len() as u64);
        let full =
            |store: &Self| store.octets.saturating_add(octets) > limits.octets || store.kept.len() >= MOST;
        if full(self) {
            self.expire(limits, now);
        }
        if full(self) {
            // An administrator may have made room.
            self.look(false)?;
        }
        if full(self) {
            return Err(Refused::Full);
        }
        let unfinished = format!("{sha256}{UNFINISHED}");
        let written = self.write(mail, size, sha256, record, &unfinished);
        match written {
            Ok(()) => {
                self.kept.insert(sha256, Kept { octets, time: now });
                self.octets = self.octets.saturating_add(octets);
            }
            Err(_) => {
                let _ = self.unlink(&unfinished);
            }
        }
        written
    }

    /// Removes what is older than `keep`. How many.
    pub(crate) fn expire(&mut self, limits: Limits, now: i64) -> usize {
        let old = |kept: &Kept| now.saturating_sub(kept.time) > limits.seconds;
        let expired: Vec<Sha256> =
            self.kept.iter().filter(|(_, kept)| old(kept)).map(|(sha256, _)| *sha256).collect();
        for sha256 in &expired {
            let _ = self.unlink(&format!("{sha256}{ENDING}"));
            self.forget(*sha256);
        }
        expired.len()
    }

    /// Looks again what is there.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn look(&mut self, at_first: bool) -> nix::Result<()> {
        let (mut kept, mut octets) = (HashMap::new(), 0_u64);
        let list = openat(&self.directory, ".", OFlag::from_bits_retain(LIST), Mode::empty())?;
        for entry in Dir::from_fd(list)?.iter() {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if at_first && name.ends_with(UNFINISHED) {
                let _ = self.unlink(name);
            }
            let Some(sha256) = name.strip_suffix(ENDING).and_then(Sha256::parse) else { continue };
            let Ok(stat) = fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            octets = octets.saturating_add(size);
            kept.insert(sha256, Kept { octets: size, time: stat.st_mtime });
        }
        (self.kept, self.octets) = (kept, octets);
        Ok(())
    }

    fn write(
        &self,
        mail: BorrowedFd<'_>,
        size: u64,
        sha256: Sha256,
        record: &[u8],
        unfinished: &str,
    ) -> Result<(), Refused> {
        let file = match self.create(unfinished) {
            // Left by a predecessor that was killed.
            Err(Errno::EEXIST) => {
                self.unlink(unfinished)?;
                self.create(unfinished)
            }
            created => created,
        }?;
        write_all(file.as_fd(), record)?;
        if copy(mail, file.as_fd(), size)? != sha256 {
            return Err(Refused::NotTheMail);
        }
        fsync(&file)?;
        renameat(&self.directory, unfinished, &self.directory, format!("{sha256}{ENDING}").as_str())?;
        Ok(fsync(&self.directory)?)
    }

    fn create(&self, name: &str) -> nix::Result<OwnedFd> {
        openat(&self.directory, name, OFlag::from_bits_retain(NEW), Mode::S_IRUSR | Mode::S_IWUSR)
    }

    fn unlink(&self, name: &str) -> nix::Result<()> {
        unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir)
    }

    fn renew(&mut self, sha256: Sha256, now: i64) -> nix::Result<()> {
        let name = format!("{sha256}{ENDING}");
        let time = TimeSpec::new(now, 0);
        utimensat(&self.directory, name.as_str(), &time, &time, UtimensatFlags::NoFollowSymlink)?;
        if let Some(kept) = self.kept.get_mut(&sha256) {
            kept.time = now;
        }
        Ok(())
    }

    fn forget(&mut self, sha256: Sha256) {
        if let Some(kept) = self.kept.remove(&sha256) {
            self.octets = self.octets.saturating_sub(kept.octets);
        }
    }
}

/// Copies so many octets; gives their hash.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> Result<Sha256, Refused> {
    let mut piece = vec![0; PIECE];
    let (mut hash, mut at) = (sha2::Sha256::new(), 0_u64);
    loop {
        let offset = i64::try_from(at).map_err(|_| Refused::NotTheMail)?;
        let count = pread(from, &mut piece, offset).map_err(|_| Refused::NotTheMail)?;
        let read = piece.get(..count).unwrap_or_default();
        at = at.saturating_add(count as u64);
        if at > size {
            return Err(Refused::NotTheMail);
        }
        if count == 0 {
            return if at == size { Ok(Sha256(hash.finalize().into())) } else { Err(Refused::NotTheMail) };
        }
        hash.update(read);
        write_all(to, read)?;
    }
}

fn write_all(file: BorrowedFd<'_>, mut octets: &[u8]) -> nix::Result<()> {
    while !octets.is_empty() {
        match write(file, octets) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => octets = octets.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::path::Path;

    const LIMITS: Limits = Limits { octets: 1000, seconds: 100 };

    fn store(folder: &Path) -> Store {
        Store::open(File::open(folder).unwrap().into()).unwrap()
    }

    fn keep(
        store: &mut Store,
        folder: &Path,
        mail: &[u8],
        limits: Limits,
        now: i64,
    ) -> Result<Sha256, Refused> {
        let sha256 = Sha256(sha2::Sha256::digest(mail).into());
        let path = folder.with_extension("source");
        fs::write(&path, mail).unwrap();
        let file = File::open(&path).unwrap();
        store.keep(file.as_fd(), mail.len() as u64, sha256, b"{}\n", limits, now).map(|()| sha256)
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_mail_is_there_whole_behind_its_record_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = store(folder.path());
        let sha256 = keep(&mut first, folder.path(), b"mail", LIMITS, 10).unwrap();
        assert_eq!(fs::read(folder.path().join(format!("{sha256}.mail"))).unwrap(), b"{}\nmail");
        assert_eq!(keep(&mut first, folder.path(), b"mail", LIMITS, 20), Ok(sha256));
        assert_eq!(names(folder.path()).len(), 1);
        fs::write(folder.path().join(format!("{sha256}.new")), "half").unwrap();
        let again = store(folder.path());
        assert_eq!(again.there(), (1, 7));
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn another_mail_than_the_announced_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        let file = File::open("/proc/self/exe").unwrap();
        for size in [0, 3, u64::MAX] {
            let kept = store.keep(
                file.as_fd(),
                size,
                Sha256([7; 32]),
                b"{}\n",
                Limits { octets: u64::MAX, ..LIMITS },
                1,
            );
            assert_eq!(kept, Err(Refused::NotTheMail));
        }
        assert!(names(folder.path()).is_empty());
        assert_eq!(store.there(), (0, 0));
    }

    #[test]
    fn old_copies_make_room_and_young_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        // Files are as old as their last change says.
        let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let now = i64::try_from(since).unwrap();
        keep(&mut store, folder.path(), &[b'a'; 500], LIMITS, now).unwrap();
        assert_eq!(keep(&mut store, folder.path(), &[b'b'; 600], LIMITS, now + 50), Err(Refused::Full));
        let second = keep(&mut store, folder.path(), &[b'b'; 600], LIMITS, now + 110).unwrap();
        assert_eq!(names(folder.path()), [format!("{second}.mail")]);
    }

    #[test]
    fn what_an_administrator_removed_makes_room_and_is_kept_again_when_it_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        let first = keep(&mut store, folder.path(), &[b'a'; 900], LIMITS, 0).unwrap();
        fs::remove_file(folder.path().join(format!("{first}.mail"))).unwrap();
        keep(&mut store, folder.path(), &[b'b'; 90], LIMITS, 1).unwrap();
        keep(&mut store, folder.path(), &[b'c'; 800], LIMITS, 1).unwrap();
        assert_eq!(keep(&mut store, folder.path(), &[b'a'; 900], LIMITS, 1), Err(Refused::Full));
        let wide = Limits { octets: 10_000, ..LIMITS };
        assert_eq!(keep(&mut store, folder.path(), &[b'a'; 900], wide, 1), Ok(first));
    }

    #[test]
    fn a_directory_that_is_gone_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let mut store = store(&inner);
        fs::remove_dir(&inner).unwrap();
        assert!(keep(&mut store, &inner, b"mail", LIMITS, 1).unwrap_err().is_gone());
    }

    #[test]
    fn a_full_disk_keeps_nothing_of_a_mail_and_all_of_the_others() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let small = folder.path().join("small");
        fs::create_dir(&small).unwrap();
        nix::mount::mount(Some("t"), &small, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=64k"))
            .unwrap();
        let outcome = std::panic::catch_unwind(|| {
            let mut store = store(&small);
            let wide = Limits { octets: u64::MAX, ..LIMITS };
            let first = keep(&mut store, &small, &[b'a'; 20_000], wide, 1).unwrap();
            assert_eq!(
                keep(&mut store, &small, &[b'b'; 200_000], wide, 1),
                Err(Refused::Failed(Errno::ENOSPC))
            );
            assert_eq!(names(&small), [format!("{first}.mail")]);
            keep(&mut store, &small, &[b'c'; 20_000], wide, 1).unwrap();
        });
        nix::mount::umount(&small).unwrap();
        outcome.unwrap();
    }
}
