//! Questions of the supervisor, a task each, so that a slow name server delays only those who need it.
use crate::hosts::Hosts;
use crate::resolver::Resolver;
use ipc::descriptors::is_sealed;
use ipc::ids::SessionId;
use ipc::log::{Level, Log, printable};
use ipc::supervisor_lookup::{Candidate, FromLookup, Known, ToLookup};
use ipc::wire::{MAX_SLICE, decode, decode_slice};
use ipc::worker_lookup::Learnt;
use ipc::{Link, LinkError};
use nix::sys::uio::pread;
use policy::acl::Decision;
use policy::model::PlugTo;
use policy::slice::LookupSlice;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

/// The contract: at most so many candidates in an answer.
const MAX_CANDIDATES: usize = 16;
/// resolv.conf and the host table are small; what is larger is cut.
const MAX_FILE: usize = 1 << 20;

type Supervisor = Link<FromLookup, ToLookup>;

/// What is needed to answer.
struct Lookup {
    link: Supervisor,
    log: Log,
}

/// How long the name of a client may take to be confirmed.
const CONFIRMED: Duration = Duration::from_secs(1);
/// Addresses of one name that count.
const MAX_ADDRESSES: usize = 256;

/// One policy with the resolver it asks for.
struct Policy {
    generation: u64,
    slice: LookupSlice,
    resolver: Resolver,
}

/// Serves until the supervisor is gone.
///
/// # Errors
/// [`LinkError`] other than the end.
pub(crate) async fn serve(link: Supervisor, log: Log) -> Result<(), LinkError> {
    let lookup = Rc::new(Lookup { link, log });
    let (mut resolv_conf, mut hosts) = (Vec::new(), Vec::new());
    let mut slice: Option<(u64, LookupSlice)> = None;
    let mut policy: Option<Rc<Policy>> = None;
    loop {
        let (message, fds) = match lookup.link.recv().await {
            Err(LinkError::Closed) => return Ok(()),
            received => received?,
        };
        let file = fds.into_iter().next();
        match message {
            ToLookup::Policy { generation, len } => {
                slice = file.and_then(|file| read_slice(&file, len)).map(|slice| (generation, slice));
                policy = None;
                if slice.is_none() {
                    lookup.log.note(Level::Error, None, "policy slice cannot be read", "");
                }
            }
            ToLookup::ResolvConf => {
                resolv_conf = file.map(|file| read(&file, MAX_FILE)).unwrap_or_default();
                policy = None;
            }
            ToLookup::Hosts => {
                hosts = file.map(|file| read(&file, MAX_FILE)).unwrap_or_default();
                policy = None;
            }
            ToLookup::Client { question, address } => {
                let policy = lookup.policy(&mut policy, slice.as_ref(), &resolv_conf, &hosts);
                let lookup = Rc::clone(&lookup);
                tokio::task::spawn_local(async move {
                    let name = match &policy {
                        Some(policy) => {
                            let confirmed = policy.resolver.confirmed(address.to_canonical());
                            tokio::time::timeout(CONFIRMED, confirmed).await.ok().flatten()
                        }
                        None => None,
                    };
                    let _ = lookup.link.send(&FromLookup::Client { question, name }, &[]).await;
                });
            }
            ToLookup::Host { generation, index } => {
                let policy = lookup.policy(&mut policy, slice.as_ref(), &resolv_conf, &hosts);
                let lookup = Rc::clone(&lookup);
                tokio::task::spawn_local(async move {
                    let policy = policy.filter(|policy| policy.generation == generation);
                    lookup.answer_host(policy.as_deref(), generation, index).await;
                });
            }
            ToLookup::Decide { session, generation, known, learnt } => {
                let slice = slice.as_ref().filter(|(number, _)| *number == generation);
                let decision = slice.map_or(Decision::NoMatch, |(_, slice)| decide(slice, &known, &learnt));
                let answer = match decision {
                    Decision::Accept(rule) | Decision::Deny(rule) => {
                        FromLookup::Decided { session, generation, rule: Some(rule) }
                    }
                    Decision::Waits(_, "user") => FromLookup::NameDecides { session, generation },
                    // The loader takes no rule that waits for more.
                    Decision::NoMatch | Decision::Waits(..) => {
                        FromLookup::Decided { session, generation, rule: None }
                    }
                };
                // A lost link ends the receiving side too.
                let _ = lookup.link.send(&answer, &[]).await;
            }
            ToLookup::Resolve { session, generation, rule } => {
                let policy = lookup.policy(&mut policy, slice.as_ref(), &resolv_conf, &hosts);
                let lookup = Rc::clone(&lookup);
                tokio::task::spawn_local(async move {
                    let policy = policy.filter(|policy| policy.generation == generation);
                    lookup.answer(policy.as_deref(), session, generation, rule).await;
                });
            }
        }
    }
}

/// What the rules say of a session, now that its client showed what it has. A worker that writes what cannot be decoded
/// says of its client what it could say anyway: that it showed nothing.
fn decide(slice: &LookupSlice, known: &Known, learnt: &[u8]) -> Decision {
    let nothing = Learnt { certificate: None, user: None };
    let Learnt { certificate, user } = decode(learnt, 0).unwrap_or(nothing);
    slice.command(&known.facts(certificate.as_ref(), user.as_deref()), known.session_rule)
}

impl Lookup {
    /// The policy with its resolver, which is made when it is first needed.
    fn policy(
        &self,
        made: &mut Option<Rc<Policy>>,
        slice: Option<&(u64, LookupSlice)>,
        resolv_conf: &[u8],
        hosts: &[u8],
    ) -> Option<Rc<Policy>> {
        if made.is_none()
            && let Some((generation, slice)) = slice.cloned()
        {
            let resolver = self.resolver(&slice, resolv_conf, hosts);
            *made = Some(Rc::new(Policy { generation, slice, resolver }));
        }
        made.clone()
    }

    /// A name that lists of hosts have.
    async fn answer_host(&self, policy: Option<&Policy>, generation: u64, index: u16) {
        let name = policy.and_then(|policy| Some((policy, policy.slice.hosts.get(usize::from(index))?)));
        let addresses = match name {
            Some((policy, name)) => {
                let found =
                    tokio::time::timeout(policy.slice.resolver.timeout, policy.resolver.resolve(name));
                match found.await {
                    Ok(Ok(found)) => Some(found.into_iter().take(MAX_ADDRESSES).collect()),
                    Ok(Err(why)) => {
                        let why = printable(&format!("{name}: {why}"), 512);
                        self.log.note(Level::Warn, None, "a name in a list of hosts did not resolve", &why);
                        None
                    }
                    Err(_) => {
                        self.log.note(
                            Level::Warn,
                            None,
                            "a name in a list of hosts did not resolve in time",
                            name,
                        );
                        None
                    }
                }
            }
            None => None,
        };
        let message = FromLookup::Host { generation, index, addresses };
        let _ = self.link.send(&message, &[]).await;
    }

    fn resolver(&self, slice: &LookupSlice, resolv_conf: &[u8], hosts: &[u8]) -> Resolver {
        let table = || Hosts::parse(&String::from_utf8_lossy(hosts));
        match Resolver::new(&slice.resolver, resolv_conf, table()) {
            Ok(resolver) => resolver,
            Err(why) => {
                self.log.note(Level::Error, None, "no name server can be asked", &why);
                Resolver::without_dns(table())
            }
        }
    }

    async fn answer(&self, policy: Option<&Policy>, session: SessionId, generation: u64, rule: u16) {
        let candidates = match policy {
            Some(policy) => self.candidates(policy, session, rule).await,
            None => Vec::new(),
        };
        let message = FromLookup::Dial { session, generation, rule, candidates };
        // A lost link ends the receiving side too.
        let _ = self.link.send(&message, &[]).await;
    }

    /// Every item of the rule in its order: literal addresses as they are, names resolved side by side, all within the
    /// configured time. What did not resolve in time is left out.
    async fn candidates(&self, policy: &Policy, session: SessionId, rule: u16) -> Vec<Candidate> {
        let items = policy.slice.plug_to.get(usize::from(rule)).map_or(&[][..], Vec::as_slice);
        let deadline = tokio::time::Instant::now() + policy.slice.resolver.timeout;
        let questions = items.iter().zip(0_u16..).map(|(item, index)| {
            let question = addresses(&policy.resolver, item);
            (index, Box::pin(tokio::time::timeout_at(deadline, question)))
        });
        let mut answers = Vec::new();
        for (index, answer) in join(questions.collect()).await {
            match answer {
                Ok(Ok(found)) => answers.extend(found.into_iter().map(|address| (index, address))),
                Ok(Err(why)) => {
                    let why = printable(&why, 512);
                    self.log.note(Level::Warn, Some(session), "a name did not resolve", &why);
                }
                Err(_) => self.log.note(Level::Warn, Some(session), "a name did not resolve in time", ""),
            }
        }
        answers.truncate(MAX_CANDIDATES);
        answers.into_iter().map(|(item, address)| Candidate { address, item }).collect()
    }
}

async fn addresses(resolver: &Resolver, item: &PlugTo) -> Result<Vec<SocketAddr>, String> {
    match item {
        PlugTo::Address(address) => Ok(vec![*address]),
        PlugTo::Name { host, port } => {
            let found = resolver.resolve(host).await.map_err(|why| format!("{host}: {why}"))?;
            Ok(found.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect())
        }
    }
}

/// Waits for all of them, side by side.
async fn join<F: Future + Unpin>(running: Vec<(u16, F)>) -> Vec<(u16, F::Output)> {
    let mut running: Vec<(u16, F, Option<F::Output>)> =
        running.into_iter().map(|(index, future)| (index, future, None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (_, future, output) in &mut running {
            if output.is_none() {
                match std::pin::Pin::new(future).poll(cx) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(index, _, output)| Some((index, output?))).collect()
}

fn read_slice(file: &OwnedFd, len: u32) -> Option<LookupSlice> {
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_SLICE)?;
    let bytes = read(file, len);
    (is_sealed(file) && bytes.len() == len).then(|| decode_slice(&bytes).ok()).flatten()
}

/// The first `max` octets; what cannot be read is missing.
fn read(file: &OwnedFd, max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; max.min(64 * 1024)];
    while bytes.len() < max {
        let Ok(offset) = i64::try_from(bytes.len()) else { break };
        match pread(file, &mut piece, offset) {
            Ok(0) => break,
            Ok(count) => bytes.extend(piece.iter().take(count.min(max - bytes.len()))),
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    bytes
}
