//! A policy as the supervisor gave it: a sealed memory file, read once, kept for the sessions that name it.
use crate::keyholder::Remote;
use crate::limits::GENERATIONS;
use crate::memfd;
use crate::tls::Tls;
use ipc::supervisor_worker::TlsFile;
use ipc::wire::decode_slice;
use nix::sys::uio::pread;
use policy::model::{SessionRules, Welcome};
use policy::slice::WorkerSlice;
use policy::status::StatusSet;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use worker_proto::machine::Settings;

/// One generation, cut into what a session needs.
pub(crate) struct Generation {
    /// What each rule of this tenant lets a session do, ready for the machine.
    pub(crate) rules: Vec<Option<Rc<Settings>>>,
    /// What clients are told before they log in, by the listener's index.
    welcomes: Vec<Rc<Welcome>>,
    /// What holds until the client's name decides the rule.
    pub(crate) before_login: Rc<Settings>,
    /// Engine names by index.
    pub(crate) engines: Vec<String>,
    /// Statuses that a mail which passes can have by the rules.
    pub(crate) passes: StatusSet,
    /// `spool-file-above`, octets.
    pub(crate) spool_file_above: u64,
    /// Its share of `spool-memory`, octets.
    pub(crate) spool_memory: u64,
    /// `copy-cache`, octets.
    pub(crate) copy_cache: u64,
    /// `deadline` of `[login]`.
    pub(crate) login_deadline: Duration,
    pub(crate) tls: Tls,
}

impl Generation {
    fn new(mut slice: WorkerSlice, files: Vec<(TlsFile, OwnedFd)>, keyholder: &Arc<Remote>) -> Self {
        let tls = Tls::new(&mut slice, files, keyholder);
        let WorkerSlice {
            tenant: _,
            listeners: _,
            welcomes,
            client_tls: _,
            server_tls: _,
            required: _,
            rules,
            login,
            spool_file_above,
            spool_memory,
            copy_cache,
            refuse_delete,
            engines,
            keywords,
            passes,
        } = slice;
        let login_deadline = login.deadline;
        let keywords: Rc<[String]> = keywords.into();
        let settings = |rules| {
            let (login, keywords) = (login.clone(), Rc::clone(&keywords));
            Rc::new(Settings { rules, login, refuse_delete, copy_cache, keywords })
        };
        let before_login = settings(SessionRules::before_login());
        let rules = rules.into_iter().map(|rule| rule.map(settings)).collect();
        Self {
            welcomes: welcomes.into_iter().map(Rc::new).collect(),
            rules,
            before_login,
            engines,
            passes,
            spool_file_above,
            spool_memory,
            copy_cache,
            login_deadline,
            tls,
        }
    }

    /// What clients of a listener are told before they log in.
    pub(crate) fn welcome(&self, listener: u16) -> Rc<Welcome> {
        self.welcomes.get(usize::from(listener)).cloned().unwrap_or_default()
    }

    /// What a rule lets a session do.
    pub(crate) fn settings(&self, rule: u16) -> Option<Rc<Settings>> {
        self.rules.get(usize::from(rule))?.clone()
    }
}

/// The generations that sessions may still name.
#[derive(Default)]
pub(crate) struct Generations {
    known: RefCell<BTreeMap<u64, Rc<Generation>>>,
}

impl Generations {
    /// Adds one and forgets the oldest.
    pub(crate) fn add(&self, number: u64, generation: Generation) {
        let mut known = self.known.borrow_mut();
        known.insert(number, Rc::new(generation));
        while known.len() > GENERATIONS {
            known.pop_first();
        }
    }

    /// Whether it was forgotten for newer ones.
    pub(crate) fn is_past(&self, number: u64) -> bool {
        self.known.borrow().first_key_value().is_some_and(|(oldest, _)| number < *oldest)
    }

    /// The one that a session names.
    pub(crate) fn get(&self, number: u64) -> Option<Rc<Generation>> {
        self.known.borrow().get(&number).cloned()
    }

    /// The one that a session names, and its rule in it.
    pub(crate) fn rule(&self, number: u64, rule: u16) -> Option<(Rc<Generation>, Rc<Settings>)> {
        let generation = self.get(number)?;
        let settings = generation.settings(rule)?;
        Some((generation, settings))
    }
}

/// Reads a slice of `length` octets; `files` of TLS came before it.
///
/// # Errors
/// Why it is none, in constant words.
pub(crate) fn read(
    file: &OwnedFd,
    length: u32,
    files: Vec<(TlsFile, OwnedFd)>,
    keyholder: &Arc<Remote>,
) -> Result<Generation, &'static str> {
    if !memfd::is_sealed(file) {
        return Err("policy is not sealed");
    }
    if memfd::length(file) != Ok(u64::from(length)) {
        return Err("policy has another length");
    }
    let size = usize::try_from(length).map_err(|_| "policy has another length")?;
    let mut bytes = vec![0; size];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let offset = i64::try_from(done).map_err(|_| "policy has another length")?;
        match pread(file, rest, offset) {
            Ok(count @ 1..) => done = done.saturating_add(count),
            Ok(0) | Err(_) => return Err("policy cannot be read"),
        }
    }
    let slice = decode_slice::<WorkerSlice>(&bytes).map_err(|_| "policy cannot be decoded")?;
    Ok(Generation::new(slice, files, keyholder))
}
