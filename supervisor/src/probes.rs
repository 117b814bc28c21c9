//! Probes of engines (D22): leases without a worker, behind the mails; and what the log says of what they found.
use crate::daemons;
use crate::engines::{Change, Health};
use crate::event_loop::{Event, Supervisor};
use crate::lease::Job;
use ipc::ids::{Checker, EngineAnswer};
use ipc::log::Level;
use ipc::supervisor_scanner::Purpose;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A probe waits this long behind mails and then goes first: under endless load an engine must be able to come back.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct WaitingProbe {
    checker: Checker,
    purpose: Purpose,
    since: Instant,
}

/// The probes of each tenant that wait for a scanner.
#[derive(Debug, Default)]
pub(crate) struct Probes(HashMap<u16, VecDeque<WaitingProbe>>);

impl Probes {
    fn push(&mut self, tenant: u16, checker: Checker, purpose: Purpose) {
        let probe = WaitingProbe { checker, purpose, since: Instant::now() };
        self.0.entry(tenant).or_default().push_back(probe);
    }

    /// Whether the next one waited long enough to go before mails.
    pub(crate) fn impatient(&self, tenant: u16) -> bool {
        self.0.get(&tenant).and_then(VecDeque::front).is_some_and(|probe| {
            probe.purpose == Purpose::ProbeTestVirus && probe.since.elapsed() >= PROBE_PATIENCE
        })
    }

    /// The next one.
    pub(crate) fn next(&mut self, tenant: u16) -> Option<Job> {
        let probe = self.0.get_mut(&tenant)?.pop_front()?;
        Some(Job::Probe { checker: probe.checker, purpose: probe.purpose })
    }

    /// The service stops, or the policy was reloaded: what waits is of the former one's engines.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Supervisor {
    /// A probe was answered.
    pub(crate) fn probe_answered(
        &mut self,
        tenant: u16,
        engine: u16,
        purpose: Purpose,
        answer: Option<&EngineAnswer>,
    ) {
        let change = if purpose == Purpose::ProbeVersion {
            let version =
                answer.filter(|answer| answer.statuses.is_clean()).map(|answer| answer.detail.as_str());
            if version.is_none() {
                self.engines.suspect(tenant, engine);
            }
            self.engines.said_version(tenant, engine, version, Instant::now())
        } else {
            self.engines.answered(tenant, engine, purpose, answer.map(|answer| answer.statuses))
        };
        self.say(tenant, engine, change);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let Some(days) = self.engines.old(tenant, engine, i64::try_from(now).unwrap_or(i64::MAX)) {
            let name = self.policy.engines.get(usize::from(engine)).map_or("", |engine| &engine.name);
            let fields = [("engine", name.to_owned()), ("detail", format!("{days} days"))];
            self.journal.note(Level::Warn, "engine's signatures are old: is freshclam running?", &fields);
        }
        self.start_probes_of_proven(change);
    }

    /// Dials every engine and spam filter that is to be probed; those that answer are queued behind the mails.
    pub(crate) fn start_probes(&mut self) {
        if self.leases.stopping {
            return;
        }
        let generation = self.generation;
        let engines = self.engines.due(Instant::now()).into_iter();
        let engines = engines.map(|(tenant, engine, purpose)| (tenant, Checker::Engine(engine), purpose));
        let filters = self.spam_filters.due().into_iter();
        let filters = filters.map(|(tenant, filter)| (tenant, Checker::Filter(filter), Purpose::ProbeFilter));
        for (tenant, checker, purpose) in engines.chain(filters) {
            let (policy, events) = (Rc::clone(&self.policy), self.events.clone());
            tokio::task::spawn_local(async move {
                let outcome = match daemons::daemon_of(&policy, checker) {
                    Some(daemon) => daemons::dial(daemon).await.map(drop),
                    None => Err(nix::errno::Errno::ENOENT as i32),
                };
                let _ =
                    events.send(Event::ProbeDialled { generation, tenant, checker, purpose, outcome }).await;
            });
        }
    }

    /// After a proof the series of sizes begins at once; everything else waits for the next tick.
    fn start_probes_of_proven(&mut self, change: Option<Change>) {
        match change {
            Some(Change::Health(Health::Proven)) => self.start_probes(),
            Some(Change::Health(_) | Change::Limit(_) | Change::Encrypted(_) | Change::Version) | None => {}
        }
    }

    /// An engine that shall be probed was dialled.
    pub(crate) fn probe_dialled(
        &mut self,
        tenant: u16,
        checker: Checker,
        purpose: Purpose,
        outcome: Result<(), i32>,
    ) {
        match outcome {
            Ok(()) => {
                self.leases.probes.push(tenant, checker, purpose);
                self.lend(tenant);
            }
            Err(errno) => self.dial_failed(tenant, checker, errno, true),
        }
    }

    /// An engine or a spam filter could not be dialled, for a mail or for a probe.
    pub(crate) fn dial_failed(&mut self, tenant: u16, checker: Checker, errno: i32, probe: bool) {
        match checker {
            Checker::Engine(engine) => {
                let change = self.engines.dial_failed(tenant, engine, errno, probe);
                self.say(tenant, engine, change);
            }
            Checker::Filter(filter) => {
                let change = self.spam_filters.dial_failed(tenant, filter, errno, probe);
                self.say_filter(tenant, filter, change);
            }
        }
    }

    /// A spam filter was asked, about a mail or a probe.
    pub(crate) fn filter_answered(&mut self, tenant: u16, filter: u16, scored: bool, probe: bool) {
        let change = self.spam_filters.answered(tenant, filter, scored, probe);
        self.say_filter(tenant, filter, change);
    }

    /// Logs what became of a spam filter.
    fn say_filter(&mut self, tenant: u16, filter: u16, change: Option<Health>) {
        let Some(health) = change else { return };
        let name = self.policy.spam_filters.get(usize::from(filter)).map_or("", |filter| &filter.name);
        let tenant = self.policy.tenants.get(usize::from(tenant)).cloned().unwrap_or_default();
        let mut fields = vec![("filter", name.to_owned()), ("tenant", tenant)];
        let (level, text) = match health {
            Health::Proven => (Level::Info, "spam filter gives scores"),
            Health::Down { errno } => {
                fields.extend(self.place_of(Checker::Filter(filter)));
                fields.push(("detail", nix::errno::Errno::from_raw(errno).desc().to_owned()));
                (Level::Warn, "spam filter is down: scores are unknown")
            }
            Health::Failing | Health::Blind | Health::Unproven => {
                (Level::Warn, "spam filter gives no score: scores are unknown")
            }
        };
        self.journal.note(level, text, &fields);
    }

    /// Where an engine or a spam filter was looked for.
    fn place_of(&self, checker: Checker) -> Option<(&'static str, String)> {
        daemons::daemon_of(&self.policy, checker).map(|daemon| ("where", daemons::place_of(daemon)))
    }

    /// Logs what became of an engine.
    pub(crate) fn say(&mut self, tenant: u16, engine: u16, change: Option<Change>) {
        let Some(change) = change else { return };
        let name = self.policy.engines.get(usize::from(engine)).map_or("", |engine| &engine.name);
        let (level, text, value) = match change {
            Change::Health(Health::Proven) => {
                (Level::Info, "engine answers and finds the test virus", String::new())
            }
            Change::Health(Health::Down { errno }) => (
                Level::Warn,
                "engine is down: mails that need it are deferred",
                nix::errno::Errno::from_raw(errno).desc().to_owned(),
            ),
            Change::Health(Health::Blind) => (
                Level::Warn,
                "engine does not find the test virus: mails that need it are deferred",
                String::new(),
            ),
            Change::Health(Health::Failing) => (
                Level::Warn,
                "engine fails on the test virus: mails that need it are deferred",
                String::new(),
            ),
            Change::Health(Health::Unproven) => {
                (Level::Info, "engine has yet to find the test virus", String::new())
            }
            Change::Limit(octets) => (
                Level::Info,
                "engine finds the test virus in mails up to this many octets",
                octets.to_string(),
            ),
            Change::Version => (
                Level::Info,
                "engine names its version: what others said of mails counts no more",
                self.engines.version(tenant, engine).to_owned(),
            ),
            Change::Encrypted(true) => (Level::Info, "engine reports encrypted archives", String::new()),
            Change::Encrypted(false) => (
                Level::Info,
                "engine does not report encrypted archives: the scanner's own check decides",
                String::new(),
            ),
        };
        let tenant = self.policy.tenants.get(usize::from(tenant)).cloned().unwrap_or_default();
        let mut fields = vec![("engine", name.to_owned()), ("tenant", tenant)];
        if let Change::Health(Health::Down { .. }) = change {
            fields.extend(self.place_of(Checker::Engine(engine)));
        }
        if !value.is_empty() {
            fields.push(("detail", value));
        }
        self.journal.note(level, text, &fields);
    }
}
