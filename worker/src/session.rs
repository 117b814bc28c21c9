//! The story of one session, in the order in which it happens: admitted, dialled, secured, relayed, ended.
//!
//! Called by `serve` with what the supervisor decided. Trusts the supervisor; what client and server say is the
//! machine's to judge. The way of one mail within it is `mail.rs`.
use crate::copy::Copies;
use crate::driver::{Driver, Failure, Turn};
use crate::fault::{self, Consequence};
use crate::generation::Generation;
use crate::handshake::{self, Met, NoPeer};
use crate::inbox::{Inbox, Letter};
use crate::intercept;
use crate::limits::{CHANGED, CLOSE, USER};
use crate::mail::InHand;
use crate::peer::{Peer, stream};
use crate::scan::{Judgement, Lost};
use crate::serve::Worker;
use ipc::ids::{MailId, SessionId};
use ipc::log::{self, Level};
use ipc::supervisor_worker::{ChangedMail, Counters, End, FromWorker, NoServer, Plan, ToWorker};
use policy::names::{Language, Protocol};
use policy::tls::ClientMode;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use texts::Answer;
use tokio::time::{Instant, timeout};
use worker_proto::machine::{Changed, Event, Greeted, Input, Machine, Settings};
use worker_proto::pop3::{self, Pop3};

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
    let waits = admission.plan == Plan::Certificate;

    let known =
        generation.and_then(|generation| Some((Under::at_first(&generation, &admission)?, generation)));
    let Some((under, admitted)) = known else {
        worker.log.note(Level::Error, Some(admission.id), "session names an unknown policy or rule", "");
        if admission.client_side.mode != ClientMode::Implicit {
            say_farewell(Peer::new(client, None), Answer::InternalError, admission.language).await;
        }
        return (End::Internal, none);
    };

    let mut joining = Joining { worker, admission, inbox, admitted, under, started, handover_us };
    if joining.admission.intercept {
        return Box::pin(intercept::run(joining, client)).await;
    }
    let Joining { worker, admission, inbox, admitted, under, .. } = &mut joining;

    // The supervisor is dialling meanwhile, or waits for the client's certificate. The login deadline includes it, whatever
    // `connect-timeout` says.
    let server = timeout(admitted.login_deadline, async {
        let server = dialled(worker, inbox, under).await?;
        let under = under.as_ref().ok_or(NoPeer::Internal)?;
        handshake::with_server(worker, under, admission, server.expecting(None)).await
    });
    // A client whose handshake fails ends the session at once; one without a server hears so behind its handshake.
    let client = Box::pin(async {
        let (client, certificate) = handshake::with_client(worker, admitted, admission, client).await?;
        if waits {
            handshake::tell_learnt(worker, admission.id, certificate)?;
        }
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
        Err(why) => {
            let language = under.as_ref().map_or(admission.language, |under| under.language);
            let (answer, end) = without_server(worker, admission, why);
            say_farewell(client, answer, language).await;
            return (end, joining.counters());
        }
    };
    serve(joining.join(client, server, greeted)).await
}

/// A session that is on its way to having both peers.
pub(crate) struct Joining {
    pub(crate) worker: Rc<Worker>,
    pub(crate) admission: Box<ipc::supervisor_worker::Session>,
    pub(crate) inbox: Rc<Inbox>,
    /// Of the admission, whose certificates the client is shown.
    pub(crate) admitted: Rc<Generation>,
    /// `None`: its rule is not decided.
    pub(crate) under: Option<Under>,
    started: Instant,
    handover_us: u32,
}

impl Joining {
    /// What it has done so far: nothing.
    pub(crate) fn counters(&self) -> Counters {
        Counters { handover_us: self.handover_us, ..Counters::default() }
    }

    /// Both peers are there.
    ///
    /// # Errors
    /// How the session ended already.
    pub(crate) fn join(
        self,
        client: Peer,
        server: Peer,
        greeted: Greeted,
    ) -> Result<Box<Session<Pop3>>, (End, Counters)> {
        let counters = self.counters();
        let Self { worker, mut admission, inbox, admitted, under, started, .. } = self;
        let Some(Under { generation, settings, rule, language }) = under else {
            return Err((End::Internal, counters));
        };
        admission.language = language;
        let machine = match admission.protocol {
            Protocol::Pop3 => {
                let security = handshake::security(admission.client_side.mode);
                Pop3::new(Rc::clone(&settings), admission.language, greeted, security, Duration::ZERO)
            }
            // The supervisor serves no policy that has them.
            Protocol::Imap | Protocol::Sieve => return Err((End::Internal, counters)),
        };
        let buffers = Rc::clone(&worker.buffers);
        let driver = Driver::new(buffers, Rc::clone(&worker.memory), started, machine, client, server);
        let mut session = Box::new(Session {
            id: admission.id,
            worker,
            admission,
            inbox,
            admitted,
            generation,
            settings,
            rule,
            driver,
            user: String::new(),
            changed: Vec::new(),
            copies: Copies::default(),
            mails: 0,
            hand: None,
            storing: None,
            counters,
        });
        session.driver.tell(Input::Begin);
        Ok(session)
    }
}

/// Relays to the end.
pub(crate) async fn serve<M: Machine>(session: Result<Box<Session<M>>, (End, Counters)>) -> (End, Counters) {
    match session {
        Ok(mut session) => {
            let (end, farewell) = session.relay().await;
            session.close(end, &farewell).await;
            (end, session.counters)
        }
        Err(ended) => ended,
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
        NoPeer::Internal => (Answer::InternalError, End::Internal),
    }
}

/// A session whose client and server are both connected.
pub(crate) struct Session<M> {
    pub(crate) id: SessionId,
    pub(crate) worker: Rc<Worker>,
    pub(crate) admission: Box<ipc::supervisor_worker::Session>,
    inbox: Rc<Inbox>,
    /// Of the admission, whose certificates STLS shows.
    admitted: Rc<Generation>,
    pub(crate) generation: Rc<Generation>,
    pub(crate) settings: Rc<Settings>,
    /// Index of its command-acl in that generation.
    pub(crate) rule: u16,
    pub(crate) driver: Driver<M>,
    /// Login name, once the server took it; lossy, bounded.
    pub(crate) user: String,
    /// Pieces of the answer to `LoggedIn`.
    changed: Vec<Changed>,
    pub(crate) copies: Copies,
    /// Mails numbered so far.
    pub(crate) mails: u32,
    /// The mail that is on its way to a judgement.
    pub(crate) hand: Option<Box<InHand>>,
    /// The changed mail that must be on record before it is served, and its message number.
    pub(crate) storing: Option<(MailId, u32)>,
    pub(crate) counters: Counters,
}

/// What a session waits for.
enum Next {
    Letter(Letter),
    Answer(Result<Judgement, Lost>),
    Turn(Turn),
}

impl<M: Machine> Session<M> {
    /// Relays until somebody ends it: why, and with which last words.
    async fn relay(&mut self) -> (End, Vec<u8>) {
        loop {
            let turn = match self.next().await {
                Next::Letter(letter) => {
                    self.open(letter);
                    continue;
                }
                Next::Answer(answer) => {
                    self.answered(answer);
                    continue;
                }
                Next::Turn(turn) => turn,
            };
            match turn {
                Turn::NeedFile => self.need_file(),
                Turn::Patience => self.out_of_patience(),
                Turn::Failed(failure) => return self.fail(failure),
                Turn::Event(Event::Close(close)) => return (fault::end(close), Vec::new()),
                Turn::Event(Event::StartTls) => {
                    if let Err(end) = Box::pin(self.start_tls()).await {
                        return (end, Vec::new());
                    }
                }
                Turn::Event(event) => self.perform(event),
            }
        }
    }

    /// The handshake that the client asked for by STLS. Nothing else happens in the session meanwhile.
    async fn start_tls(&mut self) -> Result<(), End> {
        let Self { admission, admitted, .. } = &*self;
        let side = admission.client_side;
        let acceptor =
            admitted.tls.acceptor(side.client_tls, admission.session_rule_index, admission.protocol);
        let acceptor = acceptor.map_err(|why| {
            self.note(Level::Error, "no TLS with clients", &why);
            End::Internal
        })?;
        let channel = self.driver.secure_client(&acceptor).await;
        let channel =
            channel.map_err(|failure| handshake::client_failed(&self.worker, &self.admission, &failure))?;
        self.note(Level::Debug, "TLS with the client", &channel.describe());
        self.driver.secured(channel);
        Ok(())
    }

    /// What happens next. Loses nothing when it is asked again.
    async fn next(&mut self) -> Next {
        poll_fn(|cx| {
            if let Poll::Ready(letter) = self.inbox.poll(cx) {
                return Poll::Ready(Next::Letter(letter));
            }
            if let Some(trip) = self.hand.as_mut().and_then(|hand| hand.trip())
                && let Poll::Ready(answer) = trip.as_mut().poll(cx)
            {
                return Poll::Ready(Next::Answer(answer));
            }
            self.driver.poll_turn(cx).map(Next::Turn)
        })
        .await
    }

    /// Does what the machine asks.
    fn perform(&mut self, event: Event) {
        match event {
            Event::LoggedIn { user } => self.logged_in(&user),
            Event::LoginFailed { user } => self.log_login(lossy(&user), false),
            Event::WantMail { number, uidl: _ } => self.want_mail(number),
            Event::MailBegin { number } => self.mail_begins(number),
            Event::MailEnd { number: _, spooled } => self.mail_ends(spooled),
            Event::Replaced { number, uidl, length } => self.replaced(number, uidl, length),
            Event::Delivered { number } => self.delivered(number),
            Event::Refused { command, why } => {
                let detail = format!("{command}: {}", texts::answer(Language::En, why, false));
                self.note(Level::Debug, "command refused", &detail);
            }
            // Handled by `relay`, which it ends or halts.
            Event::Close(_) | Event::StartTls => {}
        }
    }

    /// Reads what the supervisor sent.
    fn open(&mut self, (message, fds): Letter) {
        let mut fds = fds.into_iter();
        match message {
            ToWorker::Changed { session: _, entries, more } => self.changed_elsewhere(entries, more),
            ToWorker::Spool { session: _, mail } => {
                if let (Some(write), Some(read)) = (fds.next(), fds.next()) {
                    self.spool_file(mail, write, read);
                }
            }
            ToWorker::NoSpool { session: _, mail } => self.no_spool_file(mail),
            ToWorker::Lease { session: _, mail, lease } => {
                if let Some(pair) = fds.next() {
                    self.leased(mail, lease, pair);
                }
            }
            ToWorker::NoLease { session: _, mail, why } => self.not_leased(mail, why),
            ToWorker::Stored { session: _, mail, safe } => self.stored(mail, safe),
            ToWorker::Renew { session: _, generation, rule, language } => {
                self.renew(generation, rule, language)
            }
            ToWorker::Kick { session: _ } => self.driver.tell(Input::Kick),
            // A server or its absence was already told, or is for the worker as a whole.
            ToWorker::Server { .. }
            | ToWorker::NoServer { .. }
            | ToWorker::Session(_)
            | ToWorker::Policy { .. }
            | ToWorker::Tls { .. }
            | ToWorker::Keyholder
            | ToWorker::Drain => self.note(Level::Error, "message out of place", ""),
        }
    }

    /// The policy was reloaded: another generation applies from the next command and the next mail on.
    fn renew(&mut self, number: u64, rule: u16, language: Language) {
        match Under::renewed(&self.worker, number, rule, language) {
            Ok(Some(Under { generation, settings, rule, language })) => {
                self.generation = generation;
                self.settings = Rc::clone(&settings);
                self.rule = rule;
                self.admission.language = language;
                self.copies.outdate();
                self.driver.tell(Input::Settings(settings, language));
            }
            Ok(None) => {}
            Err(()) => {
                self.note(Level::Error, "session is renewed by an unknown policy or rule", "");
                self.driver.tell(Input::Kick);
            }
        }
    }

    /// The server took the login. Where mails are scanned, the client learns of it once it is known which of this
    /// maildrop were served changed: its sizes follow them.
    fn logged_in(&mut self, user: &[u8]) {
        self.user = lossy(user);
        self.log_login(self.user.clone(), true);
        if self.settings.rules.download.scan {
            self.worker.tell(FromWorker::LoggedIn { session: self.id, user: self.user.clone() });
        }
    }

    fn changed_elsewhere(&mut self, entries: Vec<ChangedMail>, more: bool) {
        let room = CHANGED.saturating_sub(self.changed.len());
        if entries.len() > room {
            self.note(Level::Error, "too many changed mails", "");
        }
        let entries = entries.into_iter().take(room);
        self.changed.extend(entries.map(|entry| Changed { uidl: entry.uidl, length: entry.length }));
        if !more {
            let changed = std::mem::take(&mut self.changed);
            self.driver.tell(Input::Changed(&changed));
        }
    }

    fn fail(&self, failure: Failure) -> (End, Vec<u8>) {
        let Consequence { farewell, level, text, detail, end } = fault::consequence(failure);
        self.note(level, text, &detail);
        (end, farewell)
    }

    /// The last words, and the account.
    async fn close(&mut self, end: End, farewell: &[u8]) {
        let linger = end != End::Quit;
        let Counters { bytes_in, bytes_out, commands, .. } = self.driver.close(farewell, linger).await;
        self.counters = Counters { bytes_in, bytes_out, commands, ..self.counters };
    }

    pub(crate) fn note(&self, level: Level, text: &str, detail: &str) {
        self.worker.log.note(level, Some(self.id), text, detail);
    }

    fn log_login(&self, user: String, accepted: bool) {
        self.worker.log.event(&log::Event::Login { session: self.id, user, accepted });
    }
}

/// The rule that a session is under.
pub(crate) struct Under {
    pub(crate) generation: Rc<Generation>,
    pub(crate) settings: Rc<Settings>,
    /// Index of the command-acl.
    pub(crate) rule: u16,
    language: Language,
}

impl Under {
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
    fn renewed(worker: &Worker, number: u64, rule: u16, language: Language) -> Result<Option<Self>, ()> {
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

async fn say_farewell(mut client: Peer, answer: Answer, language: Language) {
    client.send(&pop3::farewell(answer, language));
    // A client that does not take one line in that time has its answer in the closed connection.
    let _ = timeout(CLOSE, poll_fn(|cx| client.poll_flush(cx))).await;
}

fn lossy(user: &[u8]) -> String {
    let cut = user.get(..USER).unwrap_or(user);
    let mut text = String::from_utf8_lossy(cut).into_owned();
    while text.len() > USER {
        text.pop();
    }
    text
}

/// Microseconds since a moment of `CLOCK_MONOTONIC`.
fn micros_since(nanos: u64) -> u32 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    let now = now.map_or(0, |now| Duration::from(now).as_nanos());
    u32::try_from(now.saturating_sub(u128::from(nanos)) / 1000).unwrap_or(u32::MAX)
}
