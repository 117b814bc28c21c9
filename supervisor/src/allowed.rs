//! Mails in which the operator allowed a virus by name, because it is none. A scanner is told with the mail's lease and judges as
//! if that virus had not been found; whatever else was found counts.
//!
//! One file for each tenant in `state-dir/allowed`, lines that can be read, rewritten as a whole (create, fsync, rename). What
//! cannot be read allows nothing, and is an error that names the file; nobody writes over it.
use crate::changed::ours;
use crate::durable;
use crate::quarantine::folder_name;
use ipc::ids::Sha256;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Allowed viruses of one tenant, in all its mails.
pub const MOST: usize = 10_000;
/// Octets of a virus's name, as engines give it.
pub const MAX_VIRUS: usize = 128;
/// A larger file is none of ours.
const MAX_FILE: u64 = 4 << 20;
const MAGIC: &str = "mailward allowed mails 1";

/// By mail and virus: since when, until when, by whom.
type Entries = BTreeMap<(Sha256, String), Grant>;

/// What the operator said of one virus in one mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Seconds since 1970.
    pub since: u64,
    /// Likewise; `None`: for good.
    pub until: Option<u64>,
    /// The user who asked over the control socket.
    pub uid: u32,
}

impl Grant {
    fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The lists of all tenants.
#[derive(Debug)]
pub struct Allowed {
    directory: PathBuf,
    /// By tenant. One that cannot be read is not here.
    known: HashMap<String, Entries>,
}

impl Allowed {
    /// Nothing is read yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.join("allowed"), known: HashMap::new() }
    }

    /// The viruses that are allowed in this mail now. Of a tenant whose list was not read: none.
    pub fn viruses(&self, tenant: &str, mail: Sha256, now: u64) -> Vec<String> {
        let Some(entries) = self.known.get(tenant) else { return Vec::new() };
        let of_mail = entries.range((mail, String::new())..).take_while(|((of, _), _)| *of == mail);
        of_mail.filter(|(_, grant)| grant.holds(now)).map(|((_, virus), _)| virus.clone()).collect()
    }

    /// A tenant's list, by mail and virus, without what is over; read from its file if it could not be read before.
    ///
    /// # Errors
    /// A sentence with the remedy: the file is damaged, or not ours.
    pub fn list(&mut self, tenant: &str, now: u64) -> Result<Vec<(Sha256, String, Grant)>, String> {
        let entries = self.entries(tenant)?.iter().filter(|(_, grant)| grant.holds(now));
        Ok(entries.map(|((mail, virus), grant)| (*mail, virus.clone(), *grant)).collect())
    }

    /// Allows these viruses in a mail; on disk when this returns.
    ///
    /// # Errors
    /// A sentence; nothing has changed.
    pub fn add(
        &mut self,
        tenant: &str,
        mail: Sha256,
        viruses: &[String],
        grant: Grant,
    ) -> Result<(), String> {
        if let Some(virus) = viruses.iter().find(|virus| !is_name(virus)) {
            return Err(format!("`{virus}` is no name of a virus: write it as the log does"));
        }
        let mut entries = self.entries(tenant)?.clone();
        entries.retain(|_, known| known.holds(grant.since));
        entries.extend(viruses.iter().map(|virus| ((mail, virus.clone()), grant)));
        if entries.len() > MOST {
            return Err(format!("{MOST} are allowed already: remove some (mailward allow list)"));
        }
        self.replace(tenant, entries)
    }

    /// Allows these viruses no more; all of the mail's if none is named. How many it were.
    ///
    /// # Errors
    /// A sentence; nothing has changed.
    pub fn remove(&mut self, tenant: &str, mail: Sha256, viruses: &[String]) -> Result<usize, String> {
        let mut entries = self.entries(tenant)?.clone();
        let before = entries.len();
        entries.retain(|(of, virus), _| *of != mail || !(viruses.is_empty() || viruses.contains(virus)));
        let removed = before.saturating_sub(entries.len());
        if removed > 0 {
            self.replace(tenant, entries)?;
        }
        Ok(removed)
    }

    fn entries(&mut self, tenant: &str) -> Result<&Entries, String> {
        let path = self.path(tenant);
        match self.known.entry(tenant.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unread) => match read(&self.directory, &path) {
                Ok(entries) => Ok(unread.insert(entries)),
                Err(error) => Err(format!(
                    "the list of allowed mails {}: {error}: nothing is allowed by it; put it right, or move it away and allow \
                     anew what it shows",
                    path.display()
                )),
            },
        }
    }

    fn replace(&mut self, tenant: &str, entries: Entries) -> Result<(), String> {
        let path = self.path(tenant);
        let written = (|| {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            ours(&self.directory)?;
            durable::replace(&path, encode(&entries).as_bytes())
        })();
        written.map_err(|error| format!("{}: {error}: nothing was changed", path.display()))?;
        self.known.insert(tenant.to_owned(), entries);
        Ok(())
    }

    fn path(&self, tenant: &str) -> PathBuf {
        self.directory.join(folder_name(tenant))
    }
}

/// Whether it can be the name of a virus: printable, and not long.
fn is_name(virus: &str) -> bool {
    (1..=MAX_VIRUS).contains(&virus.len()) && virus.bytes().all(|octet| (0x20..0x7f).contains(&octet))
}

/// A list that is ours and whole, or none at all.
fn read(directory: &Path, path: &Path) -> io::Result<Entries> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    // Neither through a link nor from a pipe that nobody writes to.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entries::new()),
        opened => opened?,
    };
    ours(directory)?;
    let metadata = file.metadata()?;
    if !metadata.is_file()
        || metadata.mode() & 0o022 != 0
        || metadata.uid() != nix::unistd::geteuid().as_raw()
    {
        return Err(wrong(
            "it must be a file that belongs to the user that runs Mailward, writable by no other",
        ));
    }
    if metadata.len() > MAX_FILE {
        return Err(wrong("it is too large to be such a list"));
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    decode(&text).ok_or_else(|| wrong("it is damaged"))
}

fn encode(entries: &Entries) -> String {
    let mut text = format!("{MAGIC} {}\n", entries.len());
    for ((mail, virus), Grant { since, until, uid }) in entries {
        let until = until.map_or_else(|| "-".to_owned(), |until| until.to_string());
        let _ = writeln!(text, "{mail} {since} {until} {uid} {virus}");
    }
    text
}

fn decode(text: &str) -> Option<Entries> {
    let (first, rest) = text.split_once('\n')?;
    let count: usize = first.strip_prefix(MAGIC)?.strip_prefix(' ')?.parse().ok()?;
    let whole = rest.is_empty() || rest.ends_with('\n');
    let entries: Entries = rest.lines().map(decode_line).collect::<Option<_>>()?;
    (whole && count == entries.len() && count <= MOST).then_some(entries)
}

fn decode_line(line: &str) -> Option<((Sha256, String), Grant)> {
    let mut words = line.splitn(5, ' ');
    let mail = Sha256::parse(words.next()?)?;
    let since = words.next()?.parse().ok()?;
    let until = match words.next()? {
        "-" => None,
        seconds => Some(seconds.parse().ok()?),
    };
    let uid = words.next()?.parse().ok()?;
    let virus = words.next().filter(|virus| is_name(virus))?;
    Some(((mail, virus.to_owned()), Grant { since, until, uid }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    const MAIL: Sha256 = Sha256([0xab; 32]);
    const OTHER: Sha256 = Sha256([0xac; 32]);

    fn grant(until: Option<u64>) -> Grant {
        Grant { since: 100, until, uid: 0 }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn state() -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        fs::set_permissions(state.path(), Permissions::from_mode(0o700)).unwrap();
        state
    }

    #[test]
    fn what_was_allowed_holds_for_its_mail_its_tenant_and_its_time_after_a_restart_too() {
        let state = state();
        let mut first = Allowed::new(state.path());
        first.add("default", MAIL, &names(&["Win.Test A", "B"]), grant(None)).unwrap();
        first.add("default", OTHER, &names(&["C"]), grant(Some(200))).unwrap();
        let mut again = Allowed::new(state.path());
        assert!(again.viruses("default", MAIL, 150).is_empty(), "nothing was read");
        again.list("default", 150).unwrap();
        for allowed in [&first, &again] {
            assert_eq!(allowed.viruses("default", MAIL, 150), names(&["B", "Win.Test A"]));
            assert_eq!(allowed.viruses("default", OTHER, 199), names(&["C"]));
            assert!(allowed.viruses("default", OTHER, 200).is_empty());
            assert!(allowed.viruses("other", MAIL, 150).is_empty());
        }
        assert_eq!(again.list("default", 250).unwrap().len(), 2);
        assert!(again.list("other", 150).unwrap().is_empty());
    }

    #[test]
    fn what_is_removed_does_not_hold_any_more() {
        let state = state();
        let mut allowed = Allowed::new(state.path());
        allowed.add("t", MAIL, &names(&["A", "B", "C"]), grant(None)).unwrap();
        assert_eq!(allowed.remove("t", MAIL, &names(&["A", "x"])), Ok(1));
        assert_eq!(allowed.remove("t", OTHER, &[]), Ok(0));
        assert_eq!(allowed.viruses("t", MAIL, 0), names(&["B", "C"]));
        assert_eq!(allowed.remove("t", MAIL, &[]), Ok(2));
        assert!(Allowed::new(state.path()).list("t", 0).unwrap().is_empty());
    }

    #[test]
    fn a_name_that_could_forge_a_line_is_refused() {
        let state = state();
        let mut allowed = Allowed::new(state.path());
        for virus in ["", "a\nb", "\u{1b}[2J", "\u{e9}", &"v".repeat(129)] {
            assert!(allowed.add("t", MAIL, &names(&[virus]), grant(None)).is_err(), "{virus:?}");
        }
        assert!(!state.path().join("allowed").exists());
    }

    #[test]
    fn a_list_is_bounded_and_what_is_over_makes_room() {
        let state = state();
        let mut allowed = Allowed::new(state.path());
        let many: Vec<String> = (0..MOST).map(|number| format!("virus-{number}")).collect();
        allowed.add("t", MAIL, &many, grant(Some(200))).unwrap();
        let late = |since| Grant { since, ..grant(None) };
        assert!(allowed.add("t", OTHER, &names(&["A"]), late(199)).unwrap_err().contains("remove some"));
        assert!(allowed.viruses("t", OTHER, 199).is_empty());
        allowed.add("t", OTHER, &names(&["A"]), late(200)).unwrap();
        assert_eq!(allowed.list("t", 200).unwrap().len(), 1);
        allowed.add("u", MAIL, &names(&["A"]), grant(None)).unwrap();
    }

    #[test]
    fn a_list_that_is_cut_garbage_huge_or_not_ours_allows_nothing_and_is_not_written_over() {
        let state = state();
        let mut allowed = Allowed::new(state.path());
        allowed.add("t", MAIL, &names(&["A", "B"]), grant(Some(9999))).unwrap();
        let path = state.path().join("allowed/t");
        let whole = fs::read(&path).unwrap();
        let refused = |what: &str| {
            let before = fs::symlink_metadata(&path).unwrap().len();
            let mut allowed = Allowed::new(state.path());
            let why = allowed.list("t", 0).unwrap_err();
            assert!(why.contains("allowed/t") && why.contains("move it away"), "{what}: {why}");
            assert!(allowed.add("t", MAIL, &names(&["A"]), grant(None)).is_err(), "{what}");
            assert!(allowed.remove("t", MAIL, &[]).is_err(), "{what}");
            assert!(allowed.viruses("t", MAIL, 0).is_empty(), "{what}");
            assert_eq!(fs::symlink_metadata(&path).unwrap().len(), before, "{what}");
            // Others are not touched by it.
            assert!(allowed.list("u", 0).unwrap().is_empty());
        };
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            refused(&format!("cut at {cut}"));
        }
        for garbage in [&b"\xff\xfe\0"[..], b"mailward allowed mails 1 1\n", b"mailward allowed mails 2 0\n"]
        {
            fs::write(&path, garbage).unwrap();
            refused("garbage");
        }
        fs::write(&path, [&whole[..], &whole[whole.len() - 70..]].concat()).unwrap();
        refused("longer than it says");
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        refused("huge");
        fs::write(&path, &whole).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        refused("writable by others");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        refused("a link");
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        refused("a pipe");
        // Put right, it is read without a restart.
        fs::remove_file(&path).unwrap();
        let mut allowed = Allowed::new(state.path());
        fs::write(&path, "damaged").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(allowed.list("t", 0).is_err());
        fs::write(&path, &whole).unwrap();
        assert_eq!(allowed.list("t", 0).unwrap().len(), 2);
    }

    #[test]
    fn a_changed_octet_is_noticed_or_is_a_list_again_and_never_more_than_one_entry_differs() {
        let entries = [(MAIL, "A", None), (MAIL, "B C", Some(7)), (OTHER, "%2f \"x\"", Some(u64::MAX))];
        let entries: Entries = entries
            .into_iter()
            .map(|(mail, virus, until)| ((mail, virus.to_owned()), grant(until)))
            .collect();
        let text = encode(&entries);
        assert_eq!(decode(&text).as_ref(), Some(&entries));
        for (at, octet) in
            text.bytes().enumerate().flat_map(|(at, _)| (0..128_u8).map(move |octet| (at, octet)))
        {
            let mut changed = text.clone().into_bytes();
            changed[at] = octet;
            let Some(read) = std::str::from_utf8(&changed).ok().and_then(decode) else { continue };
            assert_eq!(read.len(), entries.len());
            let kept = read.iter().filter(|(key, grant)| entries.get(*key) == Some(grant)).count();
            assert!(kept + 1 >= entries.len(), "{}", changed.escape_ascii());
        }
    }

    #[test]
    fn a_full_disk_changes_nothing() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let state = state();
        let (flags, size) = (nix::mount::MsFlags::empty(), Some("size=16k,mode=0700"));
        nix::mount::mount(Some("t"), state.path(), Some("tmpfs"), flags, size).unwrap();
        let outcome = std::panic::catch_unwind(|| {
            let mut allowed = Allowed::new(state.path());
            allowed.add("t", MAIL, &names(&["A"]), grant(None)).unwrap();
            let many: Vec<String> = (0..1000).map(|number| format!("virus-{number}")).collect();
            let why = allowed.add("t", OTHER, &many, grant(None)).unwrap_err();
            assert!(why.contains("nothing was changed"), "{why}");
            assert!(allowed.viruses("t", OTHER, 0).is_empty());
            assert_eq!(Allowed::new(state.path()).list("t", 0).unwrap().len(), 1);
            allowed.add("t", OTHER, &names(&["B"]), grant(None)).unwrap();
        });
        nix::mount::umount(state.path()).unwrap();
        outcome.unwrap();
    }
}
