//! Files for mails over `spool-file-above` (D14): never named, so nothing can be left behind or looked at by name.
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// `spool-dir`, held open.
#[derive(Debug)]
pub(crate) struct SpoolDir {
    directory: OwnedFd,
}

impl SpoolDir {
    /// Opens the directory, making it (mode 0700) where it is missing.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        Ok(Self { directory: open(path, flags, Mode::empty())? })
    }

    /// An unlinked file: one descriptor for writing, and another, opened anew, that cannot write.
    ///
    /// # Errors
    /// Of the file system: full, or unable to make unnamed files.
    pub(crate) fn create(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        // The demo and ordinary users may sit on a file system without O_TMPFILE; they get the error and the mail is deferred.
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let writable = openat(&self.directory, ".", flags, Mode::S_IRUSR)?;
        let again = format!("/proc/self/fd/{}", writable.as_raw_fd());
        let read_only = open(again.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok((writable, read_only))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn the_second_descriptor_reads_what_the_first_wrote_and_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let spool = SpoolDir::open(&folder.path().join("spool")).unwrap();
        let (writable, read_only) = spool.create().unwrap();
        let (mut writable, mut read_only) = (File::from(writable), File::from(read_only));
        writable.write_all(b"mail").unwrap();
        let mut text = String::new();
        read_only.read_to_string(&mut text).unwrap();
        assert_eq!(text, "mail");
        assert!(read_only.write_all(b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
    }
}
