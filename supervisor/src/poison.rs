//! Mails that kill scanners: the second death makes a mail `malformed` for good (D11), over restarts too. Bounded.
use crate::changed::from_hex;
use crate::durable;
use ipc::ids::Sha256;
use ipc::supervisor_scanner::Purpose;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Deaths that make a mail poison.
const FATAL: u8 = 2;
/// Mails that are remembered; the oldest is forgotten first. One entry is some 80 octets.
const REMEMBERED: usize = 10_000;
/// The first line of the file. Another version may read such mails without harm, so it begins anew.
const MAGIC: &str = concat!("mailward mails that end scanners ", env!("CARGO_PKG_VERSION"));

/// Deaths by tenant and mail. One tenant's workers cannot name another's mail.
#[derive(Debug)]
pub(crate) struct PoisonList {
    path: PathBuf,
    deaths: HashMap<(u16, Sha256), u8>,
    order: VecDeque<(u16, Sha256)>,
}

impl PoisonList {
    /// Reads what is remembered below `state_dir`; `tenants` are all there are. What cannot be read is learnt again.
    pub(crate) fn open(state_dir: &Path, tenants: &[String]) -> Self {
        let path = state_dir.join("poison");
        let mut list = Self { path, deaths: HashMap::new(), order: VecDeque::new() };
        let text = fs::read_to_string(&list.path).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() == Some(MAGIC) {
            for key in lines.filter_map(|line| decode(line, tenants)) {
                list.remember(key, FATAL);
            }
        }
        list
    }

    /// A scanner died of this mail; says whether it is poison now.
    pub(crate) fn died(&mut self, tenant: u16, mail: Sha256) -> bool {
        let deaths = self.deaths.get(&(tenant, mail)).copied().unwrap_or(0).saturating_add(1);
        self.remember((tenant, mail), deaths);
        deaths >= FATAL
    }

    /// What a lease for this mail is for; `lost`: a scanner was lost with it just now, whosesoever fault that was.
    pub(crate) fn purpose(&self, tenant: u16, mail: Sha256, lost: bool) -> Purpose {
        match self.deaths.get(&(tenant, mail)) {
            Some(deaths) if *deaths >= FATAL => Purpose::Poison,
            Some(_) => Purpose::Suspect,
            None if lost => Purpose::Suspect,
            None => Purpose::Mail,
        }
    }

    /// Writes down which mails may not be parsed again.
    ///
    /// # Errors
    /// Of the file system; they are remembered until the end of this process then.
    pub(crate) fn save(&self, tenants: &[String]) -> io::Result<()> {
        let mut text = format!("{MAGIC}\n");
        for key in self.order.iter().filter(|key| self.deaths.get(key).is_some_and(|deaths| *deaths >= FATAL))
        {
            let (tenant, mail) = key;
            if let Some(tenant) = tenants.get(usize::from(*tenant)) {
                let _ = writeln!(text, "{mail} {tenant}");
            }
        }
        durable::replace(&self.path, text.as_bytes())
    }

    fn remember(&mut self, key: (u16, Sha256), deaths: u8) {
        if self.deaths.insert(key, deaths).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.deaths.remove(&oldest);
        }
    }
}

fn decode(line: &str, tenants: &[String]) -> Option<(u16, Sha256)> {
    let (mail, tenant) = line.split_once(' ')?;
    let tenant = tenants.iter().position(|name| name == tenant)?;
    Some((u16::try_from(tenant).ok()?, Sha256(from_hex(mail)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: Sha256 = Sha256([7; 32]);

    fn tenants() -> Vec<String> {
        vec!["default".into(), "other".into()]
    }

    #[test]
    fn the_second_death_makes_a_mail_poison_for_its_tenant_only() {
        let state = tempfile::tempdir().unwrap();
        let mut list = PoisonList::open(state.path(), &tenants());
        assert_eq!(list.purpose(0, MAIL, false), Purpose::Mail);
        assert!(!list.died(0, MAIL));
        assert_eq!(list.purpose(0, MAIL, false), Purpose::Suspect);
        assert!(list.died(0, MAIL));
        assert_eq!(list.purpose(0, MAIL, true), Purpose::Poison);
        assert_eq!(list.purpose(1, MAIL, false), Purpose::Mail);
    }

    #[test]
    fn a_mail_that_a_scanner_was_lost_with_is_suspect_even_if_that_says_nothing_about_it() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(PoisonList::open(state.path(), &tenants()).purpose(0, MAIL, true), Purpose::Suspect);
    }

    #[test]
    fn poison_is_remembered_over_restarts_and_a_single_death_is_not() {
        let state = tempfile::tempdir().unwrap();
        let mut list = PoisonList::open(state.path(), &tenants());
        let once = Sha256([1; 32]);
        list.died(1, once);
        list.died(1, MAIL);
        list.died(1, MAIL);
        list.save(&tenants()).unwrap();
        let moved = ["other".to_owned(), "default".to_owned()];
        let again = PoisonList::open(state.path(), &moved);
        assert_eq!(again.purpose(0, MAIL, false), Purpose::Poison, "by the tenant's name");
        assert_eq!(again.purpose(1, MAIL, false), Purpose::Mail);
        assert_eq!(again.purpose(0, once, false), Purpose::Mail);
    }

    #[test]
    fn another_version_begins_anew_and_damage_costs_nothing_but_memory() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("poison");
        let line = format!("{MAIL} default\n");
        for text in [format!("mailward mails that end scanners 0.0.0\n{line}"), line.clone(), String::new()] {
            fs::write(&path, text).unwrap();
            assert_eq!(PoisonList::open(state.path(), &tenants()).purpose(0, MAIL, false), Purpose::Mail);
        }
        fs::write(&path, format!("{MAGIC}\nnonsense\n12 default\n{MAIL} gone\n{line}")).unwrap();
        let list = PoisonList::open(state.path(), &tenants());
        assert_eq!((list.purpose(0, MAIL, false), list.order.len()), (Purpose::Poison, 1));
    }

    #[test]
    fn the_list_is_bounded() {
        let state = tempfile::tempdir().unwrap();
        let mut list = PoisonList::open(state.path(), &tenants());
        for number in 0..REMEMBERED + 10 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            list.died(0, Sha256(hash));
        }
        assert_eq!(list.deaths.len(), REMEMBERED);
        assert_eq!(list.order.len(), REMEMBERED);
    }
}
