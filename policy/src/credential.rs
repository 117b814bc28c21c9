//! Credentials of systemd (systemd.exec(5), "Credentials"): secrets that the service manager puts into a folder that only
//! this service sees. A configuration names one instead of a file: `credential:NAME`.
use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

/// What stands before the name.
pub const PREFIX: &str = "credential:";
/// The variable in which systemd gives the folder.
pub const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// NAME_MAX.
const LONGEST: usize = 255;

/// Whether systemd could have a credential of this name: one that leaves its folder is none.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_graphic() && octet != b'/' && octet != b':';
    !matches!(name, "" | "." | "..") && name.len() <= LONGEST && name.bytes().all(allowed)
}

/// Where the file is; `directory` is what `DIRECTORY` says.
///
/// # Errors
/// A sentence: there are no credentials here.
pub fn locate<'a>(path: &'a Path, directory: Option<&OsStr>) -> Result<Cow<'a, Path>, String> {
    let Some(name) = path.to_str().and_then(|path| path.strip_prefix(PREFIX)) else {
        return Ok(Cow::Borrowed(path));
    };
    let directory = directory.filter(|directory| !directory.is_empty()).ok_or_else(|| {
        format!("{DIRECTORY} is not set: systemd sets it for a service with LoadCredential={name}:FILE")
    })?;
    Ok(Cow::Owned(Path::new(directory).join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_file_in_the_folder_of_credentials_and_nowhere_else() {
        let folder = Some(OsStr::new("/run/credentials/mailward.service"));
        let located = |path: &'static str, folder| locate(Path::new(path), folder).map(Cow::into_owned);
        assert_eq!(located("/etc/key", None).as_deref(), Ok(Path::new("/etc/key")));
        let inside = Path::new("/run/credentials/mailward.service/tls.key");
        assert_eq!(located("credential:tls.key", folder).as_deref(), Ok(inside));
        for nowhere in [None, Some(OsStr::new(""))] {
            assert!(located("credential:tls.key", nowhere).is_err_and(|why| why.contains("LoadCredential")));
        }
        for name in ["", ".", "..", "../key", "a/b", "a:b", "a b", "\u{e9}", &"x".repeat(256)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("mail.example.net-key_1"));
    }
}
