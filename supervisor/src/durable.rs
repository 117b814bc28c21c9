//! Small files of `state-dir`: after a crash one is the old one or the new one.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a file is called until it is whole.
pub(crate) const NEW: &str = "new";

/// Writes a file as a whole: it is on disk under its name when this returns, or nothing has changed.
///
/// # Errors
/// Of the file system.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension(NEW);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
