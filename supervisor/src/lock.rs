//! One instance for each `state-dir`: two that write the index of changed mails would undo each other's entries.
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held as long as this lives; the kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes the lock in a directory that exists.
    ///
    /// # Errors
    /// A sentence: another instance has it, or the file cannot be made.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, String> {
        let path = state_dir.join("lock");
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = options.map_err(|error| format!("{}: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("another Mailward is running with state-dir {}", state_dir.display()))
            }
            Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
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
