//! What is known of each antivirus engine (D22): nothing counts until it found the test virus once, nothing above the
//! size at which it was last seen to find it, and what it said of a mail only until its signatures change. The table is
//! pure. Engines are trusted by configuration.
use ipc::supervisor_scanner::{EngineState, Purpose};
use policy::engine::signatures_made;
use policy::model::Policy;
use policy::status::{Status, StatusSet};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Until an engine was seen to find the marker in a larger mail.
const FIRST_LIMIT: u64 = 1 << 20;
/// The mails that it is shown, growing; the largest `max-mail` ends the series.
const SIZES: [u64; 5] = [1 << 20, 4 << 20, 16 << 20, 32 << 20, 64 << 20];
/// How often an engine is asked for its version: signatures that it loaded count this much later at most.
const VERSION_EVERY: Duration = Duration::from_secs(30);
/// Signatures that were not renewed for so long are old: freshclam asks for new ones many times a day.
const OLD_DAYS: i64 = 7;

/// What an engine was last seen to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Never asked.
    Unproven,
    /// Could not be dialled.
    Down {
        /// The error number.
        errno: i32,
    },
    /// Answers, and calls the test virus clean.
    Blind,
    /// Answers the test virus with a failure, or not at all.
    Failing,
    /// Found the test virus.
    Proven,
}

/// What is to be logged: each change once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another health.
    Health(Health),
    /// The series of growing mails is over: mails above this many octets are `limit`.
    Limit(u64),
    /// Whether it reports an encrypted archive.
    Encrypted(bool),
    /// It says another version, or one for the first time: what it said of mails before does not count any more.
    Version,
}

/// How an engine takes part in a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Dial it.
    Dial,
    /// Do not; this is its state.
    State(EngineState),
}

#[derive(Clone, Debug)]
struct Record {
    health: Health,
    /// The largest size at which the marker was found.
    proven_size: u64,
    /// `max-size`: the operator knows, so sizes are not probed.
    configured: Option<u64>,
    /// What remains of the series, the next one last.
    sizes: Vec<u64>,
    largest: u64,
    asked_encrypted: bool,
    /// A probe is under way.
    probing: bool,
    /// It failed on a mail: look again.
    suspect: bool,
    /// What it last said of its version and signatures, and when it was asked.
    version: Option<String>,
    version_asked: Option<Instant>,
    /// That its signatures are old was said.
    said_old: bool,
    /// A number that no other engine, settings or signatures have.
    generation: u64,
}

/// Every engine of every tenant that demands it, where it runs outside of the scanner.
#[derive(Debug)]
pub(crate) struct Engines {
    records: BTreeMap<(u16, u16), Record>,
    /// Generations that were given.
    generations: u64,
}

impl Engines {
    /// Of the engines that the tenants' rules demand.
    pub(crate) fn new(policy: &Policy) -> Self {
        Self::after(policy, 0)
    }

    fn after(policy: &Policy, generations: u64) -> Self {
        let mut records = BTreeMap::new();
        for tenant in 0..u16::try_from(policy.tenants.len()).unwrap_or(u16::MAX) {
            let scanned = || policy.scanning(tenant).filter(|scanning| scanning.scan);
            let largest = scanned().map(|scanning| scanning.max_mail).max().unwrap_or(0);
            for index in scanned().flat_map(|scanning| &scanning.engines) {
                let engine = policy.engines.get(usize::from(*index));
                if let Some(outside) = engine.and_then(|engine| engine.kind.outside()) {
                    records.insert((tenant, *index), Record::new(outside.max_size, largest));
                }
            }
        }
        let mut engines = Self { records, generations };
        for record in engines.records.values_mut() {
            engines.generations += 1;
            record.generation = engines.generations;
        }
        engines
    }

    /// Of another policy: what was learnt of an engine that it has too, with the same settings, is still true. Probes that
    /// are under way belong to the former policy.
    #[must_use]
    pub(crate) fn renewed(&self, former: &Policy, policy: &Policy) -> Self {
        let mut renewed = Self::after(policy, self.generations);
        for ((tenant, index), record) in &mut renewed.records {
            let engine = policy.engines.get(usize::from(*index));
            let known = former.engines.iter().zip(0..).find(|(known, _)| Some(*known) == engine);
            if let Some(known) = known.and_then(|(_, index)| self.records.get(&(*tenant, index))) {
                record.take_over(known);
            }
            if former.mail_filters != policy.mail_filters {
                // Mails are taken apart for it in another way.
                renewed.generations += 1;
                record.generation = renewed.generations;
            }
        }
        renewed
    }

    /// How an engine takes part in the lease of a mail.
    pub(crate) fn part(&self, tenant: u16, engine: u16) -> Part {
        match self.records.get(&(tenant, engine)).map(|record| record.health) {
            None => Part::State(EngineState::Inside),
            Some(Health::Proven) => Part::Dial,
            // Not dialled again for each mail: a dead host would cost every mail a second. Probes find its recovery.
            Some(Health::Down { errno }) => Part::State(EngineState::Down { errno }),
            Some(Health::Unproven | Health::Blind | Health::Failing) => Part::State(EngineState::Unproven),
        }
    }

    /// The octets above which this engine's word does not count.
    pub(crate) fn limit(&self, tenant: u16, engine: u16) -> Option<u64> {
        self.records
            .get(&(tenant, engine))
            .map(|record| record.configured.unwrap_or_else(|| record.proven_size.max(FIRST_LIMIT)))
    }

    /// What tells this engine, with these settings and signatures, from every other; none while its word does not count.
    pub(crate) fn generation(&self, tenant: u16, engine: u16) -> Option<u64> {
        let record = self.records.get(&(tenant, engine))?;
        (record.health == Health::Proven).then_some(record.generation)
    }

    /// What it last said of its version.
    pub(crate) fn version(&self, tenant: u16, engine: u16) -> &str {
        let record = self.records.get(&(tenant, engine));
        record.and_then(|record| record.version.as_deref()).unwrap_or_default()
    }

    /// The probes to start now; each counts as under way until [`Engines::dial_failed`], [`Engines::answered`] or
    /// [`Engines::abandoned`].
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(u16, u16, Purpose)> {
        let mut due = Vec::new();
        for ((tenant, engine), record) in &mut self.records {
            if record.probing {
                continue;
            }
            let purpose = if record.health != Health::Proven || record.suspect {
                Purpose::ProbeTestVirus
            } else if let Some(size) = record.sizes.last() {
                Purpose::ProbeSize { size: *size }
            } else if !record.asked_encrypted {
                Purpose::ProbeEncrypted
            } else if record.version_asked.is_none_or(|at| now.duration_since(at) >= VERSION_EVERY) {
                Purpose::ProbeVersion
            } else {
                continue;
            };
            record.probing = true;
            due.push((*tenant, *engine, purpose));
        }
        due
    }

    /// A dial failed, for a mail or for a probe.
    pub(crate) fn dial_failed(
        &mut self,
        tenant: u16,
        engine: u16,
        errno: i32,
        probe: bool,
    ) -> Option<Change> {
        let record = self.records.get_mut(&(tenant, engine))?;
        if probe {
            record.probing = false;
        }
        record.become_(Health::Down { errno })
    }

    /// A probe ended without an answer: its scanner died.
    pub(crate) fn abandoned(&mut self, tenant: u16, engine: u16) {
        if let Some(record) = self.records.get_mut(&(tenant, engine)) {
            record.probing = false;
        }
    }

    /// A probe was answered; `None` is an answer that lacks the engine.
    pub(crate) fn answered(
        &mut self,
        tenant: u16,
        engine: u16,
        purpose: Purpose,
        statuses: Option<StatusSet>,
    ) -> Option<Change> {
        let Self { records, generations } = self;
        let record = records.get_mut(&(tenant, engine))?;
        record.probing = false;
        let found = statuses.is_some_and(|statuses| statuses.contains(Status::Infected));
        match purpose {
            Purpose::ProbeTestVirus => {
                record.suspect = false;
                let health = if found {
                    Health::Proven
                } else if statuses.is_some_and(StatusSet::is_clean) {
                    Health::Blind
                } else {
                    Health::Failing
                };
                let change = record.become_(health);
                if change == Some(Change::Health(Health::Proven)) {
                    // It may have been replaced by another while it was away.
                    *generations += 1;
                    record.generation = *generations;
                    record.version = None;
                    record.version_asked = None;
                }
                change
            }
            Purpose::ProbeSize { size } => {
                record.sizes.pop();
                if found {
                    record.proven_size = size;
                } else {
                    // The last known limit holds, not an older and larger one.
                    record.sizes.clear();
                }
                record.sizes.is_empty().then_some(Change::Limit(record.proven_size.max(FIRST_LIMIT)))
            }
            Purpose::ProbeEncrypted => {
                record.asked_encrypted = true;
                Some(Change::Encrypted(statuses.is_some_and(|s| s.contains(Status::Encrypted) || found)))
            }
            Purpose::Mail
            | Purpose::Suspect
            | Purpose::Poison
            | Purpose::ProbeVersion
            | Purpose::ProbeFilter => None,
        }
    }

    /// It said its version; `None` is an answer that was not understood: then nothing that it said is known to count still.
    pub(crate) fn said_version(
        &mut self,
        tenant: u16,
        engine: u16,
        version: Option<&str>,
        now: Instant,
    ) -> Option<Change> {
        let record = self.records.get_mut(&(tenant, engine))?;
        record.probing = false;
        record.version_asked = Some(now);
        if version.is_some() && record.version.as_deref() == version {
            return None;
        }
        let silent = record.version.is_none() && version.is_none();
        record.version = version.map(str::to_owned);
        self.generations += 1;
        record.generation = self.generations;
        (!silent).then_some(Change::Version)
    }

    /// The age of its signatures in days, if they are old; said once.
    pub(crate) fn old(&mut self, tenant: u16, engine: u16, now: i64) -> Option<i64> {
        let record = self.records.get_mut(&(tenant, engine))?;
        let made = record.version.as_deref().and_then(signatures_made);
        let days = made.map(|made| (now - made) / (24 * 60 * 60)).filter(|days| *days >= OLD_DAYS);
        let said = std::mem::replace(&mut record.said_old, days.is_some());
        days.filter(|_| !said)
    }

    /// An engine that could be dialled failed on a mail: it is shown the test virus again.
    pub(crate) fn suspect(&mut self, tenant: u16, engine: u16) {
        if let Some(record) = self.records.get_mut(&(tenant, engine)) {
            record.suspect = true;
        }
    }
}

impl Record {
    fn new(configured: Option<u64>, largest: u64) -> Self {
        Self {
            health: Health::Unproven,
            proven_size: 0,
            configured,
            sizes: Vec::new(),
            largest,
            asked_encrypted: false,
            probing: false,
            suspect: false,
            version: None,
            version_asked: None,
            said_old: false,
            generation: 0,
        }
    }

    fn take_over(&mut self, known: &Self) {
        let largest = self.largest;
        *self = Self { probing: false, largest, ..known.clone() };
        if known.largest != largest && known.health == Health::Proven {
            // Larger mails are permitted now, or only smaller ones: the series begins again.
            self.health = Health::Unproven;
            self.become_(Health::Proven);
        }
    }

    fn become_(&mut self, health: Health) -> Option<Change> {
        if self.health == health {
            return None;
        }
        self.health = health;
        if health == Health::Proven && self.configured.is_none() {
            // It may have been replaced by another while it was away.
            let largest = self.largest;
            self.sizes = SIZES.into_iter().filter(|size| *size < largest).chain([largest]).rev().collect();
        }
        Some(Change::Health(health))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn engines(configured: Option<u64>, largest: u64) -> Engines {
        Engines { records: BTreeMap::from([((0, 0), Record::new(configured, largest))]), generations: 0 }
    }

    fn infected() -> Option<StatusSet> {
        Some(StatusSet::of(Status::Infected))
    }

    fn clean() -> Option<StatusSet> {
        Some(StatusSet::of(Status::Clean))
    }

    #[test]
    fn an_engine_counts_only_after_it_found_the_test_virus() {
        let mut engines = engines(None, 64 * MIB);
        assert_eq!(engines.part(0, 0), Part::State(EngineState::Unproven));
        assert_eq!(engines.due(Instant::now()), [(0, 0, Purpose::ProbeTestVirus)]);
        assert_eq!(engines.due(Instant::now()), [], "one probe at a time");
        let change = engines.answered(0, 0, Purpose::ProbeTestVirus, clean());
        assert_eq!(change, Some(Change::Health(Health::Blind)));
        assert_eq!(engines.part(0, 0), Part::State(EngineState::Unproven));
        engines.due(Instant::now());
        let change = engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        assert_eq!(change, Some(Change::Health(Health::Proven)));
        assert_eq!(engines.part(0, 0), Part::Dial);
    }

    #[test]
    fn an_engine_that_was_away_proves_itself_again() {
        let mut engines = engines(Some(MIB), 64 * MIB);
        engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        assert_eq!(engines.dial_failed(0, 0, 111, false), Some(Change::Health(Health::Down { errno: 111 })));
        assert_eq!(engines.dial_failed(0, 0, 111, true), None, "said once");
        assert_eq!(engines.part(0, 0), Part::State(EngineState::Down { errno: 111 }));
        assert_eq!(engines.due(Instant::now()), [(0, 0, Purpose::ProbeTestVirus)]);
        engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        assert_eq!(engines.part(0, 0), Part::Dial);
    }

    #[test]
    fn the_limit_grows_with_what_was_found_and_stops_at_the_first_miss() {
        let mut engines = engines(None, 40 * MIB);
        engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        assert_eq!(engines.limit(0, 0), Some(MIB));
        for (mib, seen) in [(1, infected()), (4, infected()), (16, infected()), (32, clean())] {
            let purpose = Purpose::ProbeSize { size: mib * MIB };
            assert_eq!(engines.due(Instant::now()), [(0, 0, purpose)]);
            let change = engines.answered(0, 0, purpose, seen);
            assert_eq!(change, (mib == 32).then_some(Change::Limit(16 * MIB)));
        }
        assert_eq!(engines.limit(0, 0), Some(16 * MIB));
        assert_eq!(engines.due(Instant::now()), [(0, 0, Purpose::ProbeEncrypted)]);
        let change = engines.answered(0, 0, Purpose::ProbeEncrypted, clean());
        assert_eq!(change, Some(Change::Encrypted(false)));
        assert_eq!(engines.due(Instant::now()), [(0, 0, Purpose::ProbeVersion)]);
        engines.said_version(0, 0, Some("ClamAV 1"), Instant::now());
        assert_eq!(engines.due(Instant::now()), []);
        engines.suspect(0, 0);
        assert_eq!(engines.due(Instant::now()), [(0, 0, Purpose::ProbeTestVirus)]);
    }

    #[test]
    fn a_configured_size_is_not_probed() {
        let mut engines = engines(Some(25 * MIB), 64 * MIB);
        engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        assert_eq!(engines.limit(0, 0), Some(25 * MIB));
        assert_eq!(engines.due(Instant::now()), [(0, 0, Purpose::ProbeEncrypted)]);
    }

    #[test]
    fn an_engine_with_other_signatures_is_of_another_generation_and_so_is_one_that_was_away() {
        let mut engines = engines(Some(MIB), 64 * MIB);
        assert_eq!(engines.generation(0, 0), None);
        engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        let first = engines.generation(0, 0).unwrap();
        let now = Instant::now();
        assert_eq!(engines.said_version(0, 0, Some("ClamAV 1/1"), now), Some(Change::Version));
        let known = engines.generation(0, 0).unwrap();
        assert_ne!(known, first, "what it said before it named its signatures may be of others");
        assert_eq!(engines.said_version(0, 0, Some("ClamAV 1/1"), now), None);
        assert_eq!(engines.generation(0, 0), Some(known));
        assert_eq!(engines.said_version(0, 0, Some("ClamAV 1/2"), now), Some(Change::Version));
        let second = engines.generation(0, 0).unwrap();
        assert!(second > known);
        assert_eq!(engines.version(0, 0), "ClamAV 1/2");
        assert_eq!(engines.said_version(0, 0, None, now), Some(Change::Version));
        assert!(
            engines.generation(0, 0).unwrap() > second,
            "one that does not say it is not believed to be the same"
        );
        let third = engines.generation(0, 0).unwrap();
        engines.dial_failed(0, 0, 111, false);
        assert_eq!(engines.generation(0, 0), None);
        engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        assert!(engines.generation(0, 0).unwrap() > third);
    }

    #[test]
    fn an_engine_is_asked_for_its_version_again_after_a_while() {
        let mut engines = engines(Some(MIB), 64 * MIB);
        engines.answered(0, 0, Purpose::ProbeTestVirus, infected());
        engines.answered(0, 0, Purpose::ProbeEncrypted, clean());
        let now = Instant::now();
        assert_eq!(engines.due(now), [(0, 0, Purpose::ProbeVersion)]);
        engines.said_version(0, 0, Some("ClamAV 1"), now);
        assert_eq!(engines.due(now + VERSION_EVERY / 2), []);
        assert_eq!(engines.due(now + VERSION_EVERY), [(0, 0, Purpose::ProbeVersion)]);
    }

    #[test]
    fn an_engine_inside_the_scanner_needs_no_dial() {
        assert_eq!(engines(None, 1).part(0, 9), Part::State(EngineState::Inside));
        assert_eq!(engines(None, 1).limit(0, 9), None);
    }

    #[test]
    fn old_signatures_are_said_once_and_again_after_they_were_renewed() {
        let mut engines = engines(None, MIB);
        let day = 24 * 60 * 60;
        let now = signatures_made("ClamAV 1/2/Thu Nov 26 09:31:02 2026").unwrap();
        let say = |engines: &mut Engines, text| engines.said_version(0, 0, Some(text), Instant::now());
        say(&mut engines, "ClamAV 1/2/Thu Nov 26 09:31:02 2026");
        assert_eq!(engines.old(0, 0, now), None);
        assert_eq!(engines.old(0, 0, now + 9 * day), Some(9));
        assert_eq!(engines.old(0, 0, now + 10 * day), None);
        say(&mut engines, "ClamAV 1/3/Mon Dec  7 09:31:02 2026");
        assert_eq!(engines.old(0, 0, now + 12 * day), None);
        say(&mut engines, "ClamAV 1");
        assert_eq!(engines.old(0, 0, now + 99 * day), None, "one that does not say is not accused");
    }
}
