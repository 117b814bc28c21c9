//! How a session comes to its two peers: admitted, dialled, secured. Where TLS is intercepted it is another story, in
//! `intercept.rs`; what follows is `session.rs`.
//!
//! Called by `serve` with what the supervisor decided. Trusts the supervisor.
use crate::generation::Generation;
use crate::handshake::{self, Met, NoPeer};
use crate::inbox::Inbox;
use crate::limits::CLOSE;
use crate::peer::{Peer, stream};
use crate::serve::Worker;
use crate::session::{self, Session};
use crate::{fault, intercept};
use ipc::log::Level;
use ipc::supervisor_worker::{Counters, End, FromWorker, NoServer, Plan, ToWorker};
use policy::conditions::Certificate;
use policy::names::{Language, Protocol};
use policy::tls::ClientMode;
use std::future::{Future, poll_fn, ready};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;
use tokio::time::{Instant, timeout};
use worker_proto::imap::Imap;
use worker_proto::machine::{Greeted, Settings};
use worker_proto::pop3::Pop3;

/// An admitted client, as the supervisor handed it over.
pub(crate) struct Admitted {
    /// What was decided.
    pub(crate) admission: Box<ipc::supervisor_worker::Session>,
    /// The policy that was named, as it is known when the client comes.
    pub(crate) generation: Option<Rc<Generation>>,
    /// The connection.
    pub(crate) client: OwnedFd,
    /// What the supervisor sends later.
    pub(crate) inbox: Rc<Inbox>,
}

/// Serves one session to its end.
pub(crate) async fn run(worker: Rc<Worker>, admitted: Admitted) -> (End, Counters) {
    let started = Instant::now();
    let Admitted { admission, generation, client, inbox } = admitted;
    let handover_us = micros_since(admission.accepted_ns);
    let none = Counters { handover_us, ..Counters::default() };
    let Ok(client) = stream(client) else { return (End::Internal, none) };
    let plan = admission.plan.clone();

    let known =
        generation.and_then(|generation| Some((Under::at_first(&generation, &admission)?, generation)));
    let Some((under, admitted)) = known else {
        worker.log.note(Level::Error, Some(admission.id), "session names an unknown policy or rule", "");
        if admission.client_side.mode != ClientMode::Implicit {
            say_farewell(
                Peer::new(client, None),
                admission.protocol,
                Answer::InternalError,
                admission.language,
            )
            .await;
        }
        return (End::Internal, none);
    };

    let mut joining =
        Joining { worker, admission, inbox, admitted, under, certificate: None, started, handover_us };
    if joining.admission.intercept {
        return Box::pin(intercept::run(joining, client)).await;
    }
    let Joining { worker, admission, inbox, admitted, under, certificate, .. } = &mut joining;

    // The supervisor is dialling meanwhile, or waits for the client's certificate. The login deadline includes it, whatever
    // `connect-timeout` says.
    let server = timeout(admitted.login_deadline, async {
        if plan == Plan::Late {
            return Err(NoPeer::NameDecides);
        }
        let server = dialled(worker, inbox, under).await?;
        let under = under.as_ref().ok_or(NoPeer::Internal)?;
        let about = (admission.id, admission.protocol);
        handshake::with_server(worker, under, about, server.expecting(None)).await
    });
    // A client whose handshake fails ends the session at once; one without a server hears so behind its handshake.
    let client = Box::pin(async {
        let (client, shown) = handshake::with_client(worker, admitted, admission, client).await?;
        if plan == Plan::Certificate {
            let learnt = handshake::learnt(worker, admission.id, shown.clone(), None)?;
            worker.tell(FromWorker::Learnt { session: admission.id, learnt });
        }
        *certificate = shown.map(Box::new);
        Ok(client)
    });
    // In boxes, so that an idle session does not keep the room of its handshakes.
    let both = tokio::try_join!(
        client,
        Box::pin(async { Ok(server.await.unwrap_or(Err(NoPeer::NoServer(NoServer::TimedOut)))) })
    );
    let (client, server) = match both {
        Ok(both) => both,
        Err(end) => return (end, joining.counters()),
    };
    let Met { peer: server, greeted, .. } = match server {
        Ok(server) => server,
        Err(NoPeer::NameDecides) => {
            return relay(joining, client, None, Greeted::BeforeServer).await;
        }
        Err(why) => {
            let language = under.as_ref().map_or(admission.language, |under| under.language);
            let (answer, end) = without_server(worker, admission, why);
            say_farewell(client, admission.protocol, answer, language).await;
            return (end, joining.counters());
        }
    };
    relay(joining, client, Some(server), greeted).await
}

/// Both peers are there: what is between them depends on what they speak. A box, so that an idle session does not keep the room
/// of how it came to them.
pub(crate) fn relay(mut joining: Joining, client: Peer, server: Option<Peer>, greeted: Greeted) -> Relay {
    if server.is_none() {
        joining.under = Some(Under::undecided(&joining.admitted, joining.admission.language));
    }
    let admission = &joining.admission;
    let security = handshake::security(admission.client_side.mode);
    let counters = joining.counters();
    let Some(under) = &joining.under else { return Box::pin(ready((End::Internal, counters))) };
    let (settings, language) = (Rc::clone(&under.settings), under.language);
    let welcome = joining.admitted.welcome(admission.listener);
    match admission.protocol {
        Protocol::Pop3 => {
            let machine = Pop3::new(settings, language, greeted, security, Duration::ZERO).welcoming(welcome);
            Box::pin(session::serve(Session::begin(joining, client, server, machine)))
        }
        Protocol::Imap => {
            let machine = Imap::new(settings, language, greeted, security, Duration::ZERO).welcoming(welcome);
            Box::pin(session::serve(Session::begin(joining, client, server, machine)))
        }
        // The supervisor serves no policy that has it.
        Protocol::Sieve => Box::pin(ready((End::Internal, counters))),
    }
}

/// A session between its peers, to its end.
pub(crate) type Relay = Pin<Box<dyn Future<Output = (End, Counters)>>>;

/// A session that is on its way to having both peers.
pub(crate) struct Joining {
    pub(crate) worker: Rc<Worker>,
    pub(crate) admission: Box<ipc::supervisor_worker::Session>,
    pub(crate) inbox: Rc<Inbox>,
    /// Of the admission, whose certificates the client is shown.
    pub(crate) admitted: Rc<Generation>,
    /// `None`: its rule is not decided.
    pub(crate) under: Option<Under>,
    /// What the client showed in its handshake.
    pub(crate) certificate: Option<Box<Certificate>>,
    pub(crate) started: Instant,
    handover_us: u32,
}

impl Joining {
    /// What it has done so far: nothing.
    pub(crate) fn counters(&self) -> Counters {
        Counters { handover_us: self.handover_us, ..Counters::default() }
    }
}

/// What the client hears where there is no server, and how the session ended.
pub(crate) fn without_server(
    worker: &Worker,
    admission: &ipc::supervisor_worker::Session,
    why: NoPeer,
) -> (Answer, End) {
    match why {
        NoPeer::NoServer(NoServer::Denied) => (Answer::SessionDenied, End::Denied),
        NoPeer::NoServer(why) => {
            worker.log.note(Level::Warn, Some(admission.id), "no server", fault::no_server(why));
            (Answer::ServerUnreachable, End::NoServer)
        }
        NoPeer::Kicked => (Answer::SessionEnding, End::Kicked),
        NoPeer::Tls(answer) => (answer, End::ServerTls),
        NoPeer::CertificateAsked => (Answer::ServerTlsFailed, End::ServerTls),
        // Whoever waits for a name knows that it does.
        NoPeer::NameDecides | NoPeer::Internal => (Answer::InternalError, End::Internal),
    }
}

/// Stands for a rule that the client's name will decide; no policy has so many.
pub(crate) const UNDECIDED: u16 = u16::MAX;

/// The rule that a session is under.
pub(crate) struct Under {
    pub(crate) generation: Rc<Generation>,
    pub(crate) settings: Rc<Settings>,
    /// Index of the command-acl, or [`UNDECIDED`].
    pub(crate) rule: u16,
    pub(crate) language: Language,
}

impl Under {
    /// Which rule it will be is not decided: what holds until the client gave its name.
    pub(crate) fn undecided(generation: &Rc<Generation>, language: Language) -> Self {
        let (generation, settings) = (Rc::clone(generation), Rc::clone(&generation.before_login));
        Self { generation, settings, rule: UNDECIDED, language }
    }

    /// What the supervisor decided at admission: nothing yet, or a rule. `None`: the rule is unknown.
    fn at_first(
        generation: &Rc<Generation>,
        admission: &ipc::supervisor_worker::Session,
    ) -> Option<Option<Self>> {
        let Plan::Early { rule } = admission.plan else { return Some(None) };
        let (generation, settings) = (Rc::clone(generation), generation.settings(rule)?);
        Some(Some(Self { generation, settings, rule, language: admission.language }))
    }

    /// What it decided later. `None`: policies came faster than this session reads, and what follows tells of a newer one.
    pub(crate) fn renewed(
        worker: &Worker,
        number: u64,
        rule: u16,
        language: Language,
    ) -> Result<Option<Self>, ()> {
        match worker.generations.rule(number, rule) {
            Some((generation, settings)) => Ok(Some(Self { generation, settings, rule, language })),
            None if worker.generations.is_past(number) => Ok(None),
            None => Err(()),
        }
    }
}

/// A server that the supervisor dialled.
pub(crate) struct Dialled {
    pub(crate) socket: OwnedFd,
    pub(crate) address: SocketAddr,
    /// As it was configured.
    name: Option<String>,
}

impl Dialled {
    pub(crate) const fn new(socket: OwnedFd, address: SocketAddr, name: Option<String>) -> Self {
        Self { socket, address, name }
    }

    /// With what its certificate must be for: the name as it was configured, else the one that the client asked for, else the address.
    pub(crate) fn expecting(self, asked_for: Option<&str>) -> (OwnedFd, String) {
        let name = self.name.or_else(|| asked_for.map(str::to_owned));
        (self.socket, name.unwrap_or_else(|| self.address.ip().to_canonical().to_string()))
    }
}

/// Waits for the server that the supervisor dials. The rule that comes before it, or instead of the one that was known, is
/// left in `under`.
pub(crate) async fn dialled(
    worker: &Worker,
    inbox: &Inbox,
    under: &mut Option<Under>,
) -> Result<Dialled, NoPeer> {
    loop {
        let (message, fds) = poll_fn(|cx| inbox.poll(cx)).await;
        match message {
            ToWorker::Server { session: _, address, name } => {
                let socket = fds.into_iter().next();
                let dialled = socket.map(|socket| Dialled { socket, address, name });
                return dialled.ok_or(NoPeer::NoServer(NoServer::Unreachable));
            }
            ToWorker::NoServer { session: _, why } => return Err(NoPeer::NoServer(why)),
            ToWorker::Kick { .. } => return Err(NoPeer::Kicked),
            ToWorker::Late { .. } => return Err(NoPeer::NameDecides),
            ToWorker::Renew { session: _, generation, rule, language } => {
                match Under::renewed(worker, generation, rule, language) {
                    Ok(Some(now)) => *under = Some(now),
                    Ok(None) => {}
                    Err(()) => return Err(NoPeer::Internal),
                }
            }
            // Nothing of these was asked for yet.
            ToWorker::Policy { .. }
            | ToWorker::Tls { .. }
            | ToWorker::Keyholder
            | ToWorker::Writer
            | ToWorker::Session(_)
            | ToWorker::Spool { .. }
            | ToWorker::NoSpool { .. }
            | ToWorker::Lease { .. }
            | ToWorker::NoLease { .. }
            | ToWorker::Changed { .. }
            | ToWorker::Stored { .. }
            | ToWorker::Drain => {}
        }
    }
}

async fn say_farewell(mut client: Peer, protocol: Protocol, answer: Answer, language: Language) {
    client.send(&fault::farewell(protocol, answer, language));
    // A client that does not take one line in that time has its answer in the closed connection.
    let _ = timeout(CLOSE, poll_fn(|cx| client.poll_flush(cx))).await;
}

/// Microseconds since a moment of `CLOCK_MONOTONIC`.
fn micros_since(nanos: u64) -> u32 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    let now = now.map_or(0, |now| Duration::from(now).as_nanos());
    u32::try_from(now.saturating_sub(u128::from(nanos)) / 1000).unwrap_or(u32::MAX)
}
