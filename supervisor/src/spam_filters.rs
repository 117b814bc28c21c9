//! What is known of each spam filter outside of the scanner: one that was down or gave no score is not waited for again
//! until a probe got a score out of it. The table is pure.
use crate::engines::{Health, Part};
use ipc::supervisor_scanner::EngineState;
use policy::model::Policy;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Record {
    health: Health,
    /// A probe is under way.
    probing: bool,
    /// It is not asked about larger mails.
    max_size: u64,
}

/// Every spam filter of every tenant that asks it.
#[derive(Debug, Default)]
pub(crate) struct SpamFilters {
    records: BTreeMap<(u16, u16), Record>,
}

impl SpamFilters {
    /// Of the filters that the tenants' rules ask.
    pub(crate) fn new(policy: &Policy) -> Self {
        let mut records = BTreeMap::new();
        for tenant in 0..u16::try_from(policy.tenants.len()).unwrap_or(u16::MAX) {
            let scanned = policy.scanning(tenant).filter(|scanning| scanning.scan);
            for index in scanned.flat_map(|scanning| &scanning.spam_filters) {
                let filter = policy.spam_filters.get(usize::from(*index));
                if let Some(filter) = filter.filter(|filter| filter.kind.daemon().is_some()) {
                    let max_size = filter.max_size;
                    let record = Record { health: Health::Unproven, probing: false, max_size };
                    records.insert((tenant, *index), record);
                }
            }
        }
        Self { records }
    }

    /// Of another policy: what is known of a filter that it has too, with the same settings, is still true.
    #[must_use]
    pub(crate) fn renewed(&self, former: &Policy, policy: &Policy) -> Self {
        let mut renewed = Self::new(policy);
        for ((tenant, index), record) in &mut renewed.records {
            let filter = policy.spam_filters.get(usize::from(*index));
            let known = former.spam_filters.iter().zip(0..).find(|(known, _)| Some(*known) == filter);
            if let Some(known) = known.and_then(|(_, index)| self.records.get(&(*tenant, index))) {
                record.health = known.health;
            }
        }
        renewed
    }

    /// How a filter takes part in the lease of a mail of so many octets. One that is too large for it is no question, and
    /// that there is no score then says nothing about the filter.
    pub(crate) fn part(&self, tenant: u16, filter: u16, size: u64) -> Part {
        let Some(record) = self.records.get(&(tenant, filter)) else {
            return Part::State(EngineState::Inside);
        };
        match record.health {
            Health::Proven if size > record.max_size => Part::State(EngineState::Unproven),
            Health::Proven => Part::Dial,
            Health::Down { errno } => Part::State(EngineState::Down { errno }),
            Health::Unproven | Health::Blind | Health::Failing => Part::State(EngineState::Unproven),
        }
    }

    /// The probes to start now; each counts as under way until [`SpamFilters::dial_failed`],
    /// [`SpamFilters::answered`] or [`SpamFilters::abandoned`].
    pub(crate) fn due(&mut self) -> Vec<(u16, u16)> {
        let due = self.records.iter_mut().filter(|(_, it)| !it.probing && it.health != Health::Proven);
        due.map(|(key, record)| {
            record.probing = true;
            *key
        })
        .collect()
    }

    /// A dial failed, for a mail or for a probe.
    pub(crate) fn dial_failed(
        &mut self,
        tenant: u16,
        filter: u16,
        errno: i32,
        probe: bool,
    ) -> Option<Health> {
        self.learn(tenant, filter, Health::Down { errno }, probe)
    }

    /// It was asked about a mail or a probe, and gave a score or none.
    pub(crate) fn answered(&mut self, tenant: u16, filter: u16, scored: bool, probe: bool) -> Option<Health> {
        self.learn(tenant, filter, if scored { Health::Proven } else { Health::Failing }, probe)
    }

    /// A probe ended without an answer: its scanner died.
    pub(crate) fn abandoned(&mut self, tenant: u16, filter: u16) {
        if let Some(record) = self.records.get_mut(&(tenant, filter)) {
            record.probing = false;
        }
    }

    fn learn(&mut self, tenant: u16, filter: u16, health: Health, probe: bool) -> Option<Health> {
        let record = self.records.get_mut(&(tenant, filter))?;
        record.probing &= !probe;
        let changed = record.health != health;
        record.health = health;
        changed.then_some(health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_gives_no_score_is_not_waited_for_until_it_does_again() {
        let record = Record { health: Health::Unproven, probing: false, max_size: 1000 };
        let mut filters = SpamFilters { records: BTreeMap::from([((0, 0), record)]) };
        assert_eq!(filters.part(0, 0, 1), Part::State(EngineState::Unproven));
        assert_eq!(filters.due(), [(0, 0)]);
        assert_eq!(filters.due(), [], "one probe at a time");
        assert_eq!(filters.answered(0, 0, true, true), Some(Health::Proven));
        assert_eq!(filters.part(0, 0, 1000), Part::Dial);
        assert_eq!(
            filters.part(0, 0, 1001),
            Part::State(EngineState::Unproven),
            "too large to be asked about"
        );
        assert_eq!(filters.due(), []);
        assert_eq!(filters.answered(0, 0, false, false), Some(Health::Failing));
        assert_eq!(filters.part(0, 0, 1), Part::State(EngineState::Unproven));
        assert_eq!(filters.due(), [(0, 0)]);
        assert_eq!(filters.dial_failed(0, 0, 111, true), Some(Health::Down { errno: 111 }));
        assert_eq!(filters.dial_failed(0, 0, 111, true), None, "said once");
        assert_eq!(filters.part(0, 9, 1), Part::State(EngineState::Inside));
    }
}
