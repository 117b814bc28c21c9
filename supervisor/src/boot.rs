//! The order of a start, as one function: whatever can fail for the operator's reasons fails before the first child.
use crate::admission::Admission;
use crate::allowed::Allowed;
use crate::answers::Answers;
use crate::changed::Index;
use crate::children::{Children, GroupPlan};
use crate::client_names::ClientNames;
use crate::clock::settle_zone;
use crate::confinement;
use crate::control;
use crate::dial::{Balance, OwnAddresses};
use crate::engines::Engines;
use crate::event_loop::{EVENTS, Event, Supervisor};
use crate::handover::Sessions;
use crate::identity::Identities;
use crate::journal::Journal;
use crate::keys::Scopes;
use crate::lease::Leases;
use crate::listener;
use crate::lock::InstanceLock;
use crate::names::{HostNames, Pending};
use crate::poison::PoisonList;
use crate::records::Writer;
use crate::redirect::{Redirect, Wanted};
use crate::renewal::Watch;
use crate::report::Report;
use crate::slices::Slices;
use crate::spam_filters::SpamFilters;
use crate::spool_file::SpoolDir;
use crate::{Error, Options};
use ipc::boot::Role;
use ipc::log::Level;
use ipc::worker_scanner::max_file;
use policy::model::{PlugTo, Policy};
use sandbox::Limits;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc};

/// Address space of a scanner beyond eight times the largest mail: compiled signatures and decoded parts.
const SCANNER_MEMORY: u64 = 2 << 30;
/// A scanner has one mail, its engines, and its signature files while it starts.
const SCANNER_DESCRIPTORS: u64 = 2048;
/// Lookup has a socket for each question.
const LOOKUP_DESCRIPTORS: u64 = 1024;

/// Opens everything, gives up what is not needed any more, and returns what the event loop runs on.
pub(crate) fn boot(options: Options) -> Result<(Supervisor, mpsc::Receiver<Event>), Error> {
    let started = Instant::now();
    let mut policy = options.policy;
    settle_zone(&mut policy);
    let clock = policy.service.zone.clone().unwrap_or_default().clock();
    let policy = Rc::new(policy);
    let mut journal = Journal::new(Writer::new(&policy.log));
    let root = nix::unistd::geteuid().is_root();
    let configuration = options.configuration.display().to_string();
    journal.note(Level::Info, "starting", &[("configuration", configuration), ("root", root.to_string())]);

    let descriptors = confinement::raise_descriptor_limit()
        .map_err(|error| Error::new(format!("limit of descriptors: {error}")))?;
    let tenants = u16::try_from(policy.tenants.len()).map_err(|_| Error::new("too many tenants"))?;
    let identities =
        if root { Some(Identities::allocate(&policy.service, tenants).map_err(Error::new)?) } else { None };
    let slices = Slices::new(&policy).map_err(Error::new)?;
    let service = &policy.service;
    let in_directory =
        |path: &std::path::Path, error: std::io::Error| Error::new(format!("{}: {error}", path.display()));
    let lock = InstanceLock::take(&service.state_dir).map_err(Error::new)?;
    let index = Index::open(&service.state_dir).map_err(|error| in_directory(&service.state_dir, error))?;
    let allowed = Allowed::new(&service.state_dir);
    let spool =
        SpoolDir::open(&service.spool_dir).map_err(|error| in_directory(&service.spool_dir, error))?;
    let (hearing, control) = match control::open(&policy.control) {
        Ok((hearing, control)) => (Some(hearing), Some(control)),
        Err(error) if root => return Err(error),
        Err(error) => {
            let fields = [("why", error.to_string())];
            journal.note(Level::Warn, "no control socket: send SIGHUP to reload", &fields);
            (None, None)
        }
    };
    let poison = PoisonList::open(&service.state_dir, &policy.tenants);
    let answers = Answers::new(service.answer_cache)
        .map_err(|error| Error::new(format!("no random octets: {error}")))?;
    let listeners = bind(&policy)?;
    let listening: Vec<SocketAddr> = listeners.iter().map(|bound| bound.address).collect();

    let (events, inbox) = mpsc::channel(EVENTS);
    let require_all = service.require_full_sandbox.unwrap_or(root);
    let mut children =
        Children::new(events.clone(), policy.tenants.clone(), service.state_dir.clone(), require_all);
    for plan in plan(&policy, identities.as_ref(), descriptors) {
        let role = plan.role;
        children
            .add_group(plan)
            .map_err(|error| Error::new(format!("the walls of {role} cannot be built: {error}")))?;
    }
    if let Some(path) = &service.pid_file {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| in_directory(path, error))?;
    }
    let wanted = redirected(&policy, &listeners);
    note_missing_interfaces(&wanted, &mut journal);
    confinement::confine(root).map_err(Error::new)?;
    // After the binds, so that nothing is redirected to nobody; after the confinement, whose smaller rights nft inherits.
    let redirect = if wanted.is_empty() { None } else { Some(install(&wanted, &mut journal)?) };

    let most = match service.max_sessions {
        0 => Semaphore::MAX_PERMITS,
        limit => limit.min(Semaphore::MAX_PERMITS),
    };
    if let Some(hearing) = hearing {
        tokio::task::spawn_local(control::serve(hearing, events.clone()));
    }
    let places = Arc::new(Semaphore::new(most));
    let until = started + policy.resolver.startup_timeout;
    let pending = Some(Pending { listeners, places, until });
    let mut supervisor = Supervisor {
        load: options.load,
        identities,
        descriptors,
        generation: 1,
        events,
        journal,
        report: Report::new(options.report),
        children,
        slices,
        scopes: Scopes::default(),
        watch: Watch::default(),
        admission: Admission::default(),
        sessions: Sessions::default(),
        own: OwnAddresses::new(listening.clone()),
        balance: Balance::default(),
        leases: Leases::new(answers, poison),
        engines: Engines::new(&policy),
        spam_filters: SpamFilters::new(&policy),
        index,
        allowed,
        spool,
        listening,
        wanted,
        redirect,
        _lock: lock,
        control,
        accepting: Vec::new(),
        pending,
        names: HostNames::new(&policy),
        client_names: ClientNames::new(policy.asks_client_names()),
        started,
        announced: false,
        killed: 0,
        missing_walls: Vec::new(),
        fatal: None,
        policy,
        clock,
    };
    supervisor.read_allowed();
    Ok((supervisor, inbox))
}

/// Removes what would outlive the service.
pub(crate) fn clean_up(supervisor: &mut Supervisor) {
    supervisor.redirect = None;
    supervisor.control = None;
    if let Some(path) = &supervisor.policy.service.pid_file {
        let _ = std::fs::remove_file(path);
    }
}

/// A socket that was bound.
pub(crate) struct Bound {
    pub(crate) listener: u16,
    pub(crate) transparent: bool,
    /// A socket on `[::]` that leaves IPv4 to another.
    only_v6: bool,
    address: SocketAddr,
    pub(crate) socket: TcpListener,
}

fn bind(policy: &Policy) -> Result<Vec<Bound>, Error> {
    let every: Vec<SocketAddr> =
        policy.listeners.iter().flat_map(|listener| listener.addresses.iter().copied()).collect();
    let mut bound = Vec::new();
    for (settings, index) in policy.listeners.iter().zip(0_u16..) {
        for address in &settings.addresses {
            let own_v4 = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
            let only_v6 = address.port() != 0 && every.iter().any(own_v4);
            let socket = listener::open(*address, only_v6, policy.service.backlog);
            let socket = socket.map_err(|error| {
                Error::new(format!("listener \"{}\" cannot listen on {address}: {error}", settings.name))
            })?;
            bound.push(Bound {
                listener: index,
                transparent: settings.transparent.is_some(),
                only_v6,
                // Port 0 is a port by now.
                address: socket.local_addr().unwrap_or(*address),
                socket,
            });
        }
    }
    Ok(bound)
}

/// What transparent listeners want redirected, with the addresses that they got.
fn redirected(policy: &Policy, bound: &[Bound]) -> Vec<Wanted> {
    let direct: Vec<SocketAddr> =
        bound.iter().filter(|bound| !bound.transparent).map(|bound| bound.address).collect();
    let settings = policy.listeners.iter().zip(0_u16..);
    let wanting = settings.filter_map(|(listener, index)| {
        let transparent = listener.transparent.as_ref().filter(|transparent| transparent.redirect)?;
        let own = || bound.iter().filter(move |bound| bound.listener == index);
        Some(Wanted {
            listener: listener.name.clone(),
            ports: transparent.ports.clone(),
            interfaces: transparent.interfaces.clone(),
            bound: own().map(|bound| bound.address).collect(),
            dual_stack: own().any(|bound| bound.address.is_ipv6() && !bound.only_v6),
            direct: direct.clone(),
        })
    });
    wanting.collect()
}

/// An interface may come later. A name that is wrong never does, and its clients would reach servers unscanned unnoticed.
fn note_missing_interfaces(wanted: &[Wanted], journal: &mut Journal) {
    for listener in wanted {
        for name in &listener.interfaces {
            if nix::net::if_::if_nametoindex(name.as_str()).is_err() {
                let fields = [("listener", listener.listener.clone()), ("interface", name.clone())];
                let text = "there is no such interface: nothing is redirected from it until there is";
                journal.note(Level::Warn, text, &fields);
            }
        }
    }
}

/// Installs the redirection and shows its batch.
pub(crate) fn install(wanted: &[Wanted], journal: &mut Journal) -> Result<Redirect, Error> {
    let redirect = Redirect::install(wanted)
        .map_err(|why| Error::new(format!("the redirection cannot be installed: {why}")))?;
    journal.note(Level::Debug, "redirection installed", &[("batch", redirect.batch().to_owned())]);
    Ok(redirect)
}

/// The roles that this policy needs, with their users and limits.
pub(crate) fn plan(policy: &Policy, identities: Option<&Identities>, descriptors: u64) -> Vec<GroupPlan> {
    let service = &policy.service;
    let id = |role, tenant| identities.and_then(|identities| identities.of(role, tenant));
    let mut groups = Vec::new();
    for tenant in 0..u16::try_from(policy.tenants.len()).unwrap_or(u16::MAX) {
        if policy.listeners.iter().all(|listener| listener.tenant != tenant) {
            continue;
        }
        let largest = policy.scanning(tenant).map(|scanning| scanning.max_mail).max().unwrap_or(0);
        // RLIMIT_FSIZE binds memfds too, and whatever stands in the place of a mail must fit (D25).
        let file_size = Some(max_file(largest));
        let workers = if service.process_per_session { service.spare_workers } else { service.workers };
        groups.push(GroupPlan {
            role: Role::Worker,
            tenant,
            id: id(Role::Worker, tenant),
            wanted: workers.max(1),
            lives: 0,
            limits: Limits { descriptors: Some(descriptors), file_size, memory: None, cpu_seconds: None },
        });
        if policy.scanning(tenant).any(|scanning| scanning.scan) {
            groups.push(GroupPlan {
                role: Role::Scanner,
                tenant,
                id: id(Role::Scanner, tenant),
                wanted: service.scanners.max(1),
                lives: service.scanner_lives.max(1),
                limits: Limits {
                    descriptors: Some(descriptors.min(SCANNER_DESCRIPTORS)),
                    file_size,
                    memory: Some(SCANNER_MEMORY.saturating_add(largest.saturating_mul(8))),
                    cpu_seconds: None,
                },
            });
            if policy.quarantine.is_some() {
                groups.push(GroupPlan {
                    role: Role::Writer,
                    tenant,
                    id: id(Role::Writer, tenant),
                    wanted: 1,
                    lives: 0,
                    limits: Limits {
                        descriptors: Some(descriptors),
                        file_size,
                        memory: None,
                        cpu_seconds: None,
                    },
                });
            }
        }
    }
    let names = |item: &PlugTo| matches!(item, PlugTo::Name { .. });
    let named = policy.command_acls.iter().any(|rule| rule.plug_to.iter().any(names));
    if named
        || policy.has_certificate_rules()
        || policy.has_user_rules()
        || policy.asks_client_names()
        || !policy.host_names().is_empty()
    {
        groups.push(GroupPlan {
            role: Role::Lookup,
            tenant: 0,
            id: id(Role::Lookup, 0),
            wanted: 1,
            lives: 0,
            limits: Limits {
                descriptors: Some(descriptors.min(LOOKUP_DESCRIPTORS)),
                file_size: Some(0),
                memory: None,
                cpu_seconds: None,
            },
        });
    }
    if policy.has_keys() {
        groups.push(GroupPlan {
            role: Role::Keyholder,
            tenant: 0,
            id: id(Role::Keyholder, 0),
            wanted: 1,
            lives: 0,
            limits: Limits {
                descriptors: Some(descriptors),
                file_size: Some(0),
                memory: None,
                cpu_seconds: None,
            },
        });
    }
    groups
}
