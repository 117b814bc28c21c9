//! One instance for each `state-dir`: two that write the index of changed mails would undo each other's entries.
use nix::fcntl::OFlag;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Held as long as this lives; the kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes the lock, making the directory (mode 0700) where it is missing. To be held before anything in it is read.
    ///
    /// # Errors
    /// A sentence: another instance has it, or the file cannot be made.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, String> {
        let path = state_dir.join("lock");
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        // Whose directory it is will be checked later: until then, nobody leads us elsewhere.
        let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("another Mailward is running with state-dir {}", state_dir.display()))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_until_the_first_is_gone() {
        let state = tempfile::tempdir().unwrap();
        let first = InstanceLock::take(state.path()).unwrap();
        assert!(InstanceLock::take(state.path()).unwrap_err().contains("another Mailward"));
        drop(first);
        InstanceLock::take(state.path()).unwrap();
    }
}
