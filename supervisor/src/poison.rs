//! Mails that kill scanners: the second death makes a mail `malformed` for good (D11). Pure and bounded.
use ipc::ids::Sha256;
use std::collections::{HashMap, VecDeque};

/// Deaths that make a mail poison.
const FATAL: u8 = 2;
/// Mails that are remembered; the oldest is forgotten first. One entry is some 80 octets.
const REMEMBERED: usize = 10_000;

/// Deaths by tenant and mail. One tenant's workers cannot name another's mail.
#[derive(Debug, Default)]
pub(crate) struct PoisonList {
    deaths: HashMap<(u16, Sha256), u8>,
    order: VecDeque<(u16, Sha256)>,
}

impl PoisonList {
    /// A scanner died of this mail; says whether it is poison now.
    pub(crate) fn died(&mut self, tenant: u16, mail: Sha256) -> bool {
        let key = (tenant, mail);
        if !self.deaths.contains_key(&key) {
            self.order.push_back(key);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.deaths.remove(&oldest);
            }
        }
        let deaths = self.deaths.entry(key).or_default();
        *deaths = deaths.saturating_add(1);
        *deaths >= FATAL
    }

    /// Whether this mail may not be parsed again.
    pub(crate) fn contains(&self, tenant: u16, mail: Sha256) -> bool {
        self.deaths.get(&(tenant, mail)).is_some_and(|deaths| *deaths >= FATAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_death_makes_a_mail_poison_for_its_tenant_only() {
        let mut list = PoisonList::default();
        let mail = Sha256([7; 32]);
        assert!(!list.died(0, mail));
        assert!(!list.contains(0, mail));
        assert!(list.died(0, mail));
        assert!(list.contains(0, mail));
        assert!(!list.contains(1, mail));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut list = PoisonList::default();
        for number in 0..REMEMBERED + 10 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            list.died(0, Sha256(hash));
        }
        assert_eq!(list.deaths.len(), REMEMBERED);
        assert_eq!(list.order.len(), REMEMBERED);
    }
}
