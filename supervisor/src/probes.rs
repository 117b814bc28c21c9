//! Probes of engines (D22): leases without a worker, behind the mails; and what the log says of what they found.
use crate::engines::{Change, Health};
use crate::event_loop::{Event, Supervisor};
use crate::lease::Job;
use ipc::ids::EngineAnswer;
use ipc::log::Level;
use ipc::supervisor_scanner::Purpose;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A probe waits this long behind mails and then goes first: under endless load an engine must be able to come back.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct WaitingProbe {
    engine: u16,
    purpose: Purpose,
    since: Instant,
}

/// The probes of each tenant that wait for a scanner.
#[derive(Debug, Default)]
pub(crate) struct Probes(HashMap<u16, VecDeque<WaitingProbe>>);

impl Probes {
    fn push(&mut self, tenant: u16, engine: u16, purpose: Purpose) {
        let probe = WaitingProbe { engine, purpose, since: Instant::now() };
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
        Some(Job::Probe { engine: probe.engine, purpose: probe.purpose })
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
        self.start_probes_of_proven(change);
    }

    /// Dials every engine that is to be probed; those that answer are queued behind the mails.
    pub(crate) fn start_probes(&mut self) {
        if self.leases.stopping {
            return;
        }
        let generation = self.generation;
        for (tenant, engine, purpose) in self.engines.due(Instant::now()) {
            let (policy, events) = (Rc::clone(&self.policy), self.events.clone());
            tokio::task::spawn_local(async move {
                let outcome = match policy.engines.get(usize::from(engine)) {
                    Some(settings) => crate::engines::dial(settings).await.map(drop),
                    None => Err(nix::errno::Errno::ENOENT as i32),
                };
                let _ =
                    events.send(Event::ProbeDialled { generation, tenant, engine, purpose, outcome }).await;
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
        engine: u16,
        purpose: Purpose,
        outcome: Result<(), i32>,
    ) {
        match outcome {
            Ok(()) => {
                self.leases.probes.push(tenant, engine, purpose);
                self.lend(tenant);
            }
            Err(errno) => {
                let change = self.engines.dial_failed(tenant, engine, errno, true);
                self.say(tenant, engine, change);
            }
        }
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
        if !value.is_empty() {
            fields.push(("detail", value));
        }
        self.journal.note(level, text, &fields);
    }
}
