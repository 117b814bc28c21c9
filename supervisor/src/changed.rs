//! The index of mails that were served changed: what a client holds must stay true in later sessions, and an original
//! that it never saw must not be deleted. Kept in `state-dir` from the first changed octet on.
//!
//! One small file per maildrop, or mailbox of IMAP with one UIDVALIDITY, named by a keyed hash so that the directory tells no names, rewritten as a whole
//! (create, fsync, rename, fsync of the directory): after a crash it is the old one or the new one.
mod form;

pub(crate) use form::from_hex;

use crate::durable;
use form::{decode, encode, header};
use hmac::{Hmac, KeyInit, Mac};
use ipc::ids::Sha256;
use ipc::supervisor_worker::ChangedMail;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Changed mails in one maildrop or mailbox; above, further ones are deferred instead of served changed.
pub const MAX_ENTRIES: usize = 100_000;
/// Changed mails of one tenant, so that none can fill the disk or the memory of others.
pub const MAX_TENANT_ENTRIES: usize = 1_000_000;
/// Entries of one tenant among which a mail is looked for: some 5 MiB, and everybody waits meanwhile.
const LOOKED_THROUGH: usize = 30_000;
/// RFC 1939 section 7: a unique-id has at most 70 octets.
const MAX_UIDL: usize = 70;
const KEY_OCTETS: usize = 32;
/// The first line is shorter.
const MAX_FIRST: u64 = 64;
/// Hex digits of a maildrop's name that say which tenant, without naming it.
const TENANT_DIGITS: usize = 16;

/// Names a maildrop, or a mailbox of IMAP, without saying whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox(String);

/// The index, with the maildrops that were asked for in memory.
#[derive(Debug)]
pub struct Index {
    directory: PathBuf,
    key: [u8; KEY_OCTETS],
    known: HashMap<Mailbox, Vec<ChangedMail>>,
    /// Entries of each tenant, by the part of the names that says which.
    stored: HashMap<String, usize>,
    most: usize,
}

impl Mailbox {
    fn tenant(&self) -> String {
        self.0.chars().take(TENANT_DIGITS).collect()
    }
}

impl Index {
    /// Opens the index below `state_dir`, making what is not there yet.
    ///
    /// # Errors
    /// When the directory is not ours, can be written by others, or its key cannot be read or made.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join("changed");
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        for path in [state_dir, &directory] {
            ours(path)?;
        }
        let key = key(&directory)?;
        let stored = count(&directory)?;
        Ok(Self { directory, key, known: HashMap::new(), stored, most: MAX_TENANT_ENTRIES })
    }

    /// The name of a maildrop.
    pub fn maildrop(&self, tenant: &str, server: &str, user: &str) -> Mailbox {
        self.named(tenant, &[tenant.as_bytes(), server.as_bytes(), user.as_bytes()])
    }

    /// The name of a mailbox whose UIDs are valid by this number: with another one it is another mailbox.
    pub fn mailbox(
        &self,
        tenant: &str,
        server: &str,
        user: &str,
        mailbox: &[u8],
        uid_validity: u32,
    ) -> Mailbox {
        let valid = uid_validity.to_be_bytes();
        self.named(tenant, &[tenant.as_bytes(), server.as_bytes(), user.as_bytes(), mailbox, &valid])
    }

    fn named(&self, tenant: &str, parts: &[&[u8]]) -> Mailbox {
        let mut name = self.tag(&[tenant.as_bytes()]);
        name.truncate(TENANT_DIGITS);
        name.push_str(&self.tag(parts));
        Mailbox(name)
    }

    fn tag(&self, parts: &[&[u8]]) -> String {
        let mut tag = String::with_capacity(64);
        if let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(&self.key) {
            for part in parts {
                // The length in front keeps ("ab", "c") and ("a", "bc") apart.
                mac.update(&part.len().to_be_bytes());
                mac.update(part);
            }
            for byte in mac.finalize().into_bytes() {
                let _ = write!(tag, "{byte:02x}");
            }
        }
        tag
    }

    /// The changed mails of a maildrop.
    ///
    /// # Errors
    /// When its file cannot be read or is damaged. Nothing of that maildrop may be deleted then: what was replaced
    /// is not known any more.
    pub fn entries(&mut self, maildrop: &Mailbox) -> io::Result<&[ChangedMail]> {
        if !self.known.contains_key(maildrop) {
            let entries = read(&self.path(maildrop))?;
            self.known.insert(maildrop.clone(), entries);
        }
        Ok(self.known.get(maildrop).map(Vec::as_slice).unwrap_or_default())
    }

    /// Keeps one more changed mail; on disk when this returns. The same UIDL again replaces its entry.
    ///
    /// # Errors
    /// When it cannot be made durable, or the maildrop or its tenant holds too many. The mail must be deferred then.
    pub fn store(&mut self, maildrop: &Mailbox, mut entry: ChangedMail) -> io::Result<()> {
        // The quarantine knows what it has.
        entry.kept = false;
        if entry.uidl.len() > MAX_UIDL {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "UIDL of more than 70 octets"));
        }
        let before = self.entries(maildrop)?.len();
        let mut entries = self.entries(maildrop)?.to_vec();
        // What had been found once stays found.
        let known = entries.iter().find(|known| known.uidl == entry.uidl && known.sha256 == entry.sha256);
        if let Some(known) = known.filter(|_| entry.found.is_empty()) {
            entry.found.clone_from(&known.found);
        }
        if entries.contains(&entry) {
            return Ok(());
        }
        entries.retain(|known| {
            known.uidl != entry.uidl || (known.uidl.is_empty() && known.sha256 != entry.sha256)
        });
        if entries.len() >= MAX_ENTRIES {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "too many changed mails in one maildrop",
            ));
        }
        entries.push(entry);
        let tenant = maildrop.tenant();
        let of_others = self.stored.get(&tenant).map_or(0, |stored| stored.saturating_sub(before));
        let stored = of_others.saturating_add(entries.len());
        if stored > self.most {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many changed mails of one tenant"));
        }
        durable::replace(&self.path(maildrop), encode(&entries).as_bytes())?;
        self.stored.insert(tenant, stored);
        self.known.insert(maildrop.clone(), entries);
        Ok(())
    }

    /// In how many maildrops and mailboxes of a tenant this mail was served changed; `None`: that is not known, for they are too
    /// many to look through at once.
    pub fn holders(&self, tenant: &str, mail: Sha256) -> Option<usize> {
        let mut tenant = self.tag(&[tenant.as_bytes()]);
        tenant.truncate(TENANT_DIGITS);
        if self.stored.get(&tenant).is_some_and(|stored| *stored > LOOKED_THROUGH) {
            return None;
        }
        let (mut holders, hash) = (0, format!(" {mail} "));
        for file in fs::read_dir(&self.directory).ok()? {
            let file = file.ok()?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with(&tenant) && name.len() == TENANT_DIGITS + 64 {
                holders += usize::from(fs::read_to_string(file.path()).ok()?.contains(&hash));
            }
        }
        Some(holders)
    }

    /// Lets a maildrop go that no session uses; it is read again when it is needed.
    pub fn forget(&mut self, maildrop: &Mailbox) {
        self.known.remove(maildrop);
    }

    fn path(&self, maildrop: &Mailbox) -> PathBuf {
        self.directory.join(&maildrop.0)
    }
}

/// Ours, and nobody else can write there.
pub(crate) fn ours(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.uid() == nix::unistd::geteuid().as_raw() && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    let why =
        format!("{} must belong to the user that runs Mailward and be writable by no other", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// The key that hides the names; made once.
fn key(directory: &Path) -> io::Result<[u8; KEY_OCTETS]> {
    let path = directory.join("key");
    let mut key = [0; KEY_OCTETS];
    match File::open(&path) {
        Ok(mut file) => file.read_exact(&mut key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open("/dev/urandom")?.read_exact(&mut key)?;
            durable::replace(&path, &key)?;
        }
        Err(error) => return Err(error),
    }
    Ok(key)
}

/// Entries of each tenant, by the first lines of its files. What a crash left half written is removed.
fn count(directory: &Path) -> io::Result<HashMap<String, usize>> {
    let mut stored: HashMap<String, usize> = HashMap::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if file.path().extension().is_some_and(|end| end == durable::NEW) {
            fs::remove_file(file.path())?;
        } else if name.len() == TENANT_DIGITS + 64 {
            let mut first = String::new();
            let line = BufReader::new(File::open(file.path())?.take(MAX_FIRST)).read_line(&mut first);
            // One that is damaged says so when its maildrop is asked for.
            if let (Ok(_), Some(count)) = (line, header(&first)) {
                let tenant = stored.entry(name.chars().take(TENANT_DIGITS).collect()).or_default();
                *tenant = tenant.saturating_add(count);
            }
        }
    }
    Ok(stored)
}

fn read(path: &Path) -> io::Result<Vec<ChangedMail>> {
    match fs::read_to_string(path) {
        Ok(text) => decode(&text).ok_or_else(|| {
            let why = format!(
                "{} is damaged: move it away to accept that replaced mails can be deleted",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, why)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::ids::{Found, Viruses};
    use std::os::unix::fs::PermissionsExt;

    fn mail(uidl: &str, length: u64) -> ChangedMail {
        ChangedMail { uidl: uidl.into(), sha256: Sha256([7; 32]), length, found: Vec::new(), kept: false }
    }

    fn state() -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700)).unwrap();
        state
    }

    #[test]
    fn what_was_stored_is_there_after_a_restart_and_only_for_its_maildrop() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let maildrop = index.maildrop("default", "mail:110", "user");
        index.store(&maildrop, mail("a", 1)).unwrap();
        index.store(&maildrop, mail("b", 2)).unwrap();
        index.store(&maildrop, mail("a", 3)).unwrap();
        let mut again = Index::open(state.path()).unwrap();
        assert_eq!(again.maildrop("default", "mail:110", "user"), maildrop);
        assert_eq!(again.entries(&maildrop).unwrap(), [mail("b", 2), mail("a", 3)]);
        let other = again.maildrop("default", "mail:110use", "r");
        assert_ne!(other, maildrop);
        assert!(again.entries(&other).unwrap().is_empty());
    }

    #[test]
    fn what_had_been_found_in_a_mail_is_known_after_a_restart_and_stays_when_nothing_is_found_any_more() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let maildrop = index.maildrop("default", "mail:110", "user");
        let viruses = Viruses::named("Eicar Test,1;+").and(Viruses::named("\u{e9}:x"));
        let found = vec![
            Found {
                engine: "clamd one".into(),
                viruses: viruses.clone(),
                parts: vec![(3, viruses), (70, Viruses::unnamed())],
            },
            Found { engine: "icap".into(), viruses: Viruses::unnamed(), parts: Vec::new() },
        ];
        let entry = ChangedMail { found, ..mail("a", 1) };
        index.store(&maildrop, entry.clone()).unwrap();
        index.store(&maildrop, mail("b", 2)).unwrap();
        index.store(&maildrop, mail("a", 1)).unwrap();
        let mut again = Index::open(state.path()).unwrap();
        assert_eq!(again.entries(&maildrop).unwrap(), [entry, mail("b", 2)]);
        again.store(&maildrop, ChangedMail { sha256: Sha256([9; 32]), ..mail("a", 1) }).unwrap();
        assert!(
            again.entries(&maildrop).unwrap().iter().all(|entry| entry.found.is_empty()),
            "it is another mail"
        );
    }

    #[test]
    fn mailboxes_of_one_user_are_apart_from_each_other_from_the_maildrop_and_from_other_uid_validities() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let inbox = index.mailbox("t", "s", "u", b"INBOX", 1);
        index.store(&inbox, mail("17", 1)).unwrap();
        let others = [
            index.maildrop("t", "s", "u"),
            index.mailbox("t", "s", "u", b"INBOX", 2),
            index.mailbox("t", "s", "u", b"INBOX.x", 1),
            index.mailbox("t", "s", "uINBOX", b"", 1),
            index.mailbox("t", "su", "", b"INBOX", 1),
            index.mailbox("o", "s", "u", b"INBOX", 1),
        ];
        for other in others {
            assert_eq!(index.entries(&other).unwrap(), [], "{other:?}");
        }
        let mut again = Index::open(state.path()).unwrap();
        let inbox = again.mailbox("t", "s", "u", b"INBOX", 1);
        assert_eq!(again.entries(&inbox).unwrap(), [mail("17", 1)]);
    }

    #[test]
    fn it_is_known_in_how_many_mailboxes_of_a_tenant_a_mail_was_served_changed() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let mailboxes = [index.maildrop("t", "s", "u"), index.mailbox("t", "s", "v", b"INBOX", 1)];
        for mailbox in &mailboxes {
            index.store(mailbox, mail("1", 1)).unwrap();
            index.store(mailbox, mail("2", 1)).unwrap();
        }
        assert_eq!(index.holders("t", Sha256([7; 32])), Some(2));
        assert_eq!(index.holders("t", Sha256([8; 32])), Some(0));
        assert_eq!(index.holders("o", Sha256([7; 32])), Some(0));
        index.stored.values_mut().for_each(|stored| *stored = LOOKED_THROUGH + 1);
        assert_eq!(index.holders("t", Sha256([7; 32])), None);
    }

    #[test]
    fn an_index_of_the_version_before_is_read() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let maildrop = index.maildrop("t", "s", "u");
        let hash = "07".repeat(32);
        let written = format!("mailward changed mails 1 1\n61 {hash} 5\n");
        fs::write(index.path(&maildrop), written).unwrap();
        assert_eq!(index.entries(&maildrop).unwrap(), [mail("a", 5)]);
    }

    #[test]
    fn mails_without_a_uidl_are_told_apart_by_their_hash() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let maildrop = index.maildrop("t", "s", "u");
        let other = ChangedMail { sha256: Sha256([8; 32]), ..mail("", 2) };
        index.store(&maildrop, mail("", 1)).unwrap();
        index.store(&maildrop, other).unwrap();
        assert_eq!(index.entries(&maildrop).unwrap().len(), 2);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_maildrop() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let maildrop = index.maildrop("t", "s", "u");
        index.store(&maildrop, mail("a", 1)).unwrap();
        let path = index.path(&maildrop);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            index.forget(&maildrop);
            assert!(index.entries(&maildrop).is_err(), "cut at {cut}");
            assert!(index.store(&maildrop, mail("b", 1)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_file_that_a_crash_left_half_written_is_never_read() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        let maildrop = index.maildrop("t", "s", "u");
        index.store(&maildrop, mail("a", 1)).unwrap();
        fs::write(index.path(&maildrop).with_extension("new"), "half").unwrap();
        index.forget(&maildrop);
        index.store(&maildrop, mail("b", 1)).unwrap();
        assert_eq!(index.entries(&maildrop).unwrap().len(), 2);
    }

    #[test]
    fn a_tenant_that_has_too_many_is_refused_after_a_restart_too_and_others_go_on() {
        let state = state();
        let mut index = Index::open(state.path()).unwrap();
        for user in ["a", "b"] {
            let maildrop = index.maildrop("one", "s", user);
            index.store(&maildrop, mail("1", 1)).unwrap();
            index.store(&maildrop, mail("1", 2)).unwrap();
        }
        fs::write(state.path().join("changed/left.new"), "half").unwrap();
        let mut index = Index { most: 2, ..Index::open(state.path()).unwrap() };
        let full = index.maildrop("one", "s", "c");
        assert_eq!(index.store(&full, mail("1", 1)).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        assert!(index.entries(&full).unwrap().is_empty());
        let known = index.maildrop("one", "s", "a");
        index.store(&known, mail("1", 3)).unwrap();
        let other = index.maildrop("two", "s", "c");
        index.store(&other, mail("1", 1)).unwrap();
        assert!(!state.path().join("changed/left.new").exists());
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let state = state();
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Index::open(state.path()).is_err());
    }

    #[test]
    fn a_full_disk_refuses_the_entry_and_keeps_the_old_ones() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let state = state();
        let small = state.path().join("small");
        fs::create_dir(&small).unwrap();
        nix::mount::mount(
            Some("t"),
            &small,
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            Some("size=16k,mode=0700"),
        )
        .unwrap();
        let outcome = std::panic::catch_unwind(|| {
            let mut index = Index::open(&small).unwrap();
            let maildrop = index.maildrop("t", "s", "u");
            let mut stored = 0;
            let refused = (0..1000).find_map(|number| {
                let outcome = index.store(&maildrop, mail(&format!("uidl-{number}"), 1));
                stored += usize::from(outcome.is_ok());
                outcome.err()
            });
            assert!(refused.is_some());
            index.forget(&maildrop);
            assert_eq!(index.entries(&maildrop).unwrap().len(), stored);
        });
        nix::mount::umount(&small).unwrap();
        outcome.unwrap();
    }
}
