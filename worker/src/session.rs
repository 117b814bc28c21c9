//! The story of one session whose client and server are there: relayed, ended. How it came to them is `joining.rs`; the way
//! of one mail within it is `mail.rs`.
//!
//! What client and server say is the machine's to judge.
use crate::copy::{Copies, Copy};
use crate::driver::{Driver, Failure, Turn};
use crate::fault::{self, Consequence};
use crate::generation::Generation;
use crate::handshake::{self, Met, NoPeer};
use crate::inbox::{Inbox, Letter};
use crate::joining::{Dialled, Joining, Under};
use crate::late::Late;
use crate::limits::{CHANGED, USER};
use crate::mail::InHand;
use crate::peer::Peer;
use crate::quarantine::Originals;
use crate::scan::{Judgement, Lost};
use crate::serve::Worker;
use ipc::ids::{MailId, Selection, SessionId};
use ipc::log::{self, Level};
use ipc::supervisor_worker::{ChangedMail, Counters, End, FromWorker, MAX_MAILBOX, ToWorker};
use policy::names::{Language, Protocol};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use worker_proto::machine::{Changed, Event, Input, Machine, Settings};

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
    /// The late plan, until the login succeeded.
    pub(crate) late: Option<Box<Late>>,
    /// Login name, once the server took it; lossy, bounded.
    pub(crate) user: Box<str>,
    /// IMAP: the mailbox that is open, for the log. One pointer: an idle session is small.
    pub(crate) mailbox: Option<Rc<String>>,
    /// Pieces of the answer to `LoggedIn`.
    changed: Vec<Changed>,
    /// Mailboxes that were opened; POP3 has one maildrop all the time.
    pub(crate) selection: Selection,
    pub(crate) copies: Copies,
    /// Changed copies that the machine keeps, until they are on record.
    pub(crate) unrecorded: Vec<(u32, Rc<Copy>)>,
    /// The originals of changed copies, until they are in the quarantine.
    pub(crate) originals: Originals,
    /// Mails numbered so far.
    pub(crate) mails: u32,
    /// The mails that are on their way to a judgement.
    pub(crate) hands: Vec<InHand>,
    /// The changed mails that must be on record before they are served, and their numbers.
    pub(crate) storing: Vec<(MailId, u32)>,
    pub(crate) counters: Counters,
}

impl<M: Machine> Session<M> {
    /// Both peers are there, or the client alone, whose name decides about the server: it begins.
    ///
    /// # Errors
    /// How the session ended already.
    pub(crate) fn begin(
        joining: Joining,
        client: Peer,
        server: Option<Peer>,
        machine: M,
    ) -> Result<Box<Self>, (End, Counters)> {
        let counters = joining.counters();
        let Joining { worker, mut admission, inbox, admitted, under, certificate, started, .. } = joining;
        let late = server.is_none().then(|| Late::new(certificate));
        let Some(Under { generation, settings, rule, language }) = under else {
            return Err((End::Internal, counters));
        };
        admission.language = language;
        let buffers = Rc::clone(&worker.buffers);
        let driver = Driver::new(buffers, Rc::clone(&worker.memory), started, machine, client, server);
        let mut session = Box::new(Self {
            id: admission.id,
            worker,
            admission,
            inbox,
            admitted,
            generation,
            settings,
            rule,
            driver,
            late,
            user: Box::default(),
            mailbox: None,
            changed: Vec::new(),
            selection: Selection(0),
            copies: Copies::default(),
            unrecorded: Vec::new(),
            originals: Originals::default(),
            mails: 0,
            hands: Vec::new(),
            storing: Vec::new(),
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

/// What a session waits for.
enum Next {
    Met(Result<Met, NoPeer>),
    Letter(Letter),
    Answer(MailId, Result<Judgement, Lost>),
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
                Next::Answer(mail, answer) => {
                    self.answered(mail, answer);
                    continue;
                }
                Next::Met(met) => {
                    self.met(met);
                    continue;
                }
                Next::Turn(turn) => turn,
            };
            match turn {
                Turn::NeedFile(number) => self.need_file(number),
                Turn::Patience => self.out_of_patience(),
                Turn::Failed(failure) => return self.fail(failure),
                Turn::Event(Event::CopyFailed(fault)) => return self.fail(Failure::Copy(fault)),
                Turn::Event(Event::Close(close)) => return (fault::end(close), Vec::new()),
                Turn::Event(Event::StartTls) => {
                    if let Err(end) = Box::pin(self.start_tls()).await {
                        return (end, Vec::new());
                    }
                }
                Turn::Event(Event::WantServer { user }) => {
                    if let Err(end) = self.want_server(&user) {
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
            for hand in &mut self.hands {
                if let Some(trip) = hand.trip()
                    && let Poll::Ready(answer) = trip.as_mut().poll(cx)
                {
                    return Poll::Ready(Next::Answer(hand.id, answer));
                }
            }
            if let Some(late) = &mut self.late
                && let Poll::Ready(met) = late.poll(cx)
            {
                return Poll::Ready(Next::Met(met));
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
            Event::MailBegin { number, direction } => self.mail_begins(number, direction),
            Event::MailEnd { number, spooled } => self.mail_ends(number, spooled),
            Event::Replaced { number, uidl, length } => self.replaced(number, uidl, length),
            Event::Delivered { number } => self.delivered(number),
            Event::Refused { command, why } => {
                let detail = format!("{command}: {}", texts::answer(Language::En, why, false));
                self.note(Level::Debug, "command refused", &detail);
            }
            Event::Forgotten { number } => self.forget(number),
            Event::NotMarked { keywords } => {
                self.note(Level::Warn, "the server does not take the keywords of a mail", &keywords);
            }
            Event::Selected { mailbox, uid_validity } => self.selected(mailbox, uid_validity),
            // Handled by `relay`, which it ends or halts.
            Event::Close(_) | Event::StartTls | Event::CopyFailed(_) | Event::WantServer { .. } => {}
        }
    }

    /// Reads what the supervisor sent.
    fn open(&mut self, (message, fds): Letter) {
        let mut fds = fds.into_iter();
        match message {
            // A mailbox that was left meanwhile is none of ours any more.
            ToWorker::Changed { selection, .. } if selection != self.selection => {}
            ToWorker::Changed { session: _, selection: _, entries, more } => {
                self.changed_elsewhere(entries, more)
            }
            ToWorker::Spool { session: _, mail } => {
                if let (Some(write), Some(read)) = (fds.next(), fds.next()) {
                    self.spool_file(mail, write, read);
                }
            }
            ToWorker::NoSpool { session: _, mail } => self.no_spool_file(mail),
            ToWorker::Lease { session: _, mail, lease, allowed, file } => {
                if let Some(pair) = fds.next() {
                    self.leased(mail, lease, allowed, file, pair);
                }
            }
            ToWorker::NoLease { session: _, mail, why } => self.not_leased(mail, why),
            ToWorker::Stored { session: _, mail, safe, kept } => self.stored(mail, safe, kept),
            ToWorker::Renew { session: _, generation, rule, language } => {
                self.renew(generation, rule, language)
            }
            ToWorker::Kick { session: _ } => self.driver.tell(Input::Kick),
            ToWorker::Server { session: _, address, name } if self.late.is_some() => {
                self.server(fds.next().map(|socket| Dialled::new(socket, address, name)));
            }
            ToWorker::NoServer { session: _, why } if self.late.is_some() => {
                self.met(Err(NoPeer::NoServer(why)));
            }
            // A server or its absence was already told, or is for the worker as a whole.
            ToWorker::Server { .. }
            | ToWorker::NoServer { .. }
            | ToWorker::Late { .. }
            | ToWorker::Session(_)
            | ToWorker::Policy { .. }
            | ToWorker::Tls { .. }
            | ToWorker::Keyholder
            | ToWorker::Writer
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
        self.user = lossy(user).into();
        self.log_login(self.user.to_string(), true);
        // IMAP is told again of each mailbox; the supervisor wants to know whose it is. In the late plan it dials no further server
        // then.
        self.late = None;
        self.worker.tell(FromWorker::LoggedIn { session: self.id, user: self.user.to_string() });
    }

    /// IMAP: a mailbox was opened. A name or a number by which it cannot be known again has no changed mails.
    fn selected(&mut self, mailbox: Vec<u8>, uid_validity: u32) {
        self.selection = Selection(self.selection.0.wrapping_add(1));
        self.changed.clear();
        self.mailbox = Some(Rc::new(lossy(&mailbox)));
        if mailbox.is_empty() || mailbox.len() > MAX_MAILBOX || uid_validity == 0 {
            return self.driver.tell(Input::Changed(&[]));
        }
        let (session, selection) = (self.id, self.selection);
        self.worker.tell(FromWorker::Selected { session, selection, mailbox, uid_validity });
    }

    fn changed_elsewhere(&mut self, entries: Vec<ChangedMail>, more: bool) {
        if self.admission.protocol == Protocol::Pop3 && !self.settings.rules.download.scan {
            // Its mail passes as it is, and sizes are the server's.
            return;
        }
        let room = CHANGED.saturating_sub(self.changed.len());
        if entries.len() > room {
            self.note(Level::Error, "too many changed mails", "");
        }
        let entries = entries.into_iter().take(room);
        self.changed.extend(entries.map(|entry| {
            let ChangedMail { uidl, length, kept, found: _, sha256: _ } = entry;
            Changed { uidl, length, kept }
        }));
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

pub(crate) fn lossy(user: &[u8]) -> String {
    let cut = user.get(..USER).unwrap_or(user);
    let mut text = String::from_utf8_lossy(cut).into_owned();
    while text.len() > USER {
        text.pop();
    }
    text
}
