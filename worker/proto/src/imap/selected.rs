//! The mailbox that is open: which of its mails were served changed, and the scanned copies that the session keeps.
use super::fetch::Known;
use super::marks::has_flag;
use super::numbers::behind;
use super::response::data::Value;
use crate::machine::{Changed, ScannedCopy};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

/// Copies that one session keeps, whatever their size: each is a descriptor, and a worker has many sessions.
const COPIES: usize = 8;

/// The mailbox that is open.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// Its name, and its UIDVALIDITY.
    pub(super) name: (Vec<u8>, u32),
    /// Flags may be set.
    pub(super) read_write: bool,
    /// Which of them for good.
    pub(super) permanent: Permanent,
    /// By UID: octets as served.
    changed: HashMap<u32, u64>,
    /// UIDs of those whose originals are in the quarantine.
    kept: HashSet<u32>,
    /// The newest last.
    copies: VecDeque<Kept>,
}

/// PERMANENTFLAGS (RFC 9051 section 7.1), as the server wrote them; where it wrote none, every flag is.
#[derive(Debug, Default)]
pub(super) struct Permanent(Option<Vec<u8>>);

impl Permanent {
    /// What a server says.
    pub(super) fn of(flags: &Value<'_>) -> Self {
        Self(Some(flags.text().to_vec()))
    }

    fn takes(&self, keyword: &str) -> bool {
        let any = "\\*";
        self.0.as_ref().is_none_or(|flags| has_flag(flags, keyword) || has_flag(flags, any))
    }
}

#[derive(Debug)]
struct Kept {
    uid: u32,
    /// Message number, while it is certain.
    number: Option<u32>,
    copy: Rc<dyn ScannedCopy>,
    changed: bool,
}

impl Selected {
    /// It was opened; nothing is known of its mails.
    pub(super) fn new(name: (Vec<u8>, u32), read_write: bool, permanent: Permanent) -> Self {
        Self { name, read_write, permanent, ..Self::default() }
    }

    /// Whether a mail of it may get this keyword.
    pub(super) fn takes(&self, keyword: &str) -> bool {
        self.read_write && self.permanent.takes(keyword)
    }

    /// What the index knows of it.
    pub(super) fn learn(&mut self, changed: &[Changed]) {
        for Changed { uidl, length, kept } in changed {
            if let Some(uid) = std::str::from_utf8(uidl).ok().and_then(|uid| uid.parse().ok()) {
                self.replaced(uid, *length);
                if *kept {
                    self.keep_original(uid);
                }
            }
        }
    }

    /// This mail is served changed from now on.
    pub(super) fn replaced(&mut self, uid: u32, length: u64) {
        self.changed.insert(uid, length);
    }

    /// Whether any mail of it was served changed.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Octets of a mail that is served changed.
    pub(super) fn length(&self, uid: u32) -> Option<u64> {
        self.changed.get(&uid).copied()
    }

    /// The quarantine has the original of this mail.
    pub(super) fn keep_original(&mut self, uid: u32) {
        self.kept.insert(uid);
    }

    /// Whether it has.
    pub(super) fn has_original(&self, uid: u32) -> bool {
        self.kept.contains(&uid)
    }

    /// UIDs of mails that are served changed and whose originals are nowhere but on the server, ascending.
    pub(super) fn irreplaceable(&self) -> Vec<u32> {
        let mut uids: Vec<u32> =
            self.changed.keys().copied().filter(|uid| !self.has_original(*uid)).collect();
        uids.sort_unstable();
        uids
    }

    /// A copy, by UID.
    pub(super) fn copy_of(&self, uid: u32) -> Option<Known> {
        let kept = self.copies.iter().find(|kept| kept.uid == uid)?;
        Some((kept.uid, Rc::clone(&kept.copy), kept.changed))
    }

    /// A copy, by message number.
    pub(super) fn copy_at(&self, number: u32) -> Option<Known> {
        let kept = self.copies.iter().find(|kept| kept.number == Some(number))?;
        Some((kept.uid, Rc::clone(&kept.copy), kept.changed))
    }

    /// Keeps a copy, and forgets the oldest that no longer fit into `bound` octets beside it.
    pub(super) fn keep(
        &mut self,
        uid: u32,
        number: Option<u32>,
        copy: Rc<dyn ScannedCopy>,
        changed: bool,
        bound: u64,
    ) {
        self.copies.retain(|kept| kept.uid != uid);
        let mut others: u64 = self.copies.iter().map(|kept| kept.copy.length()).fold(0, u64::saturating_add);
        while others > bound || self.copies.len() >= COPIES {
            let Some(oldest) = self.copies.pop_front() else { break };
            others = others.saturating_sub(oldest.copy.length());
        }
        self.copies.push_back(Kept { uid, number, copy, changed });
    }

    /// The rules changed: what was judged by the old ones is judged again.
    pub(super) fn forget_copies(&mut self) {
        self.copies = VecDeque::new();
    }

    /// Messages are gone ([`Core::renumber`](super::core::Core::renumber)).
    pub(super) fn renumber(&mut self, gone: Option<u32>) {
        self.copies.retain(|kept| gone.is_none() || kept.number != gone);
        for kept in &mut self.copies {
            kept.number = behind(kept.number, gone);
        }
    }
}
