//! POP3 (RFC 1939, 2449, 5034, 6856) between a client and a server that are both connected: the *early* plan, in
//! which the server's own greeting is passed on.
//!
//! The states are those of RFC 1939 and what a scanning proxy adds: [`greeting`], [`authorization`],
//! [`transaction`], [`retrieval`] (one mail on its way), [`update`]. What outlives them all is [`Common`]. This file
//! frames what both peers send and moves between the states; it trusts neither peer.
pub mod command;
pub mod multiline;
pub mod reply;

mod authorization;
mod greeting;
mod listing;
mod maildrop;
mod retrieval;
mod sasl;
mod transaction;
mod update;

use crate::capability::CapabilitySet;
use crate::line::{self, Inbox, LineError};
use crate::machine::{Close, Event, Fault, Input, Machine, Output, Side};
use authorization::Authorization;
use command::{Command, Refusal, Verb, VerbSet};
use greeting::Greeting;
use policy::model::{Login, SessionRules};
use retrieval::Retrieval;
use std::rc::Rc;
use std::time::Duration;
use transaction::Transaction;
use update::Update;

/// What one configuration says about a session; shared by the sessions of a worker.
#[derive(Debug)]
pub struct Settings {
    /// The command-acl rule that was decided at admission.
    pub rules: SessionRules,
    /// `[login]`.
    pub login: Login,
    /// `without-quarantine = "refuse-delete"`.
    pub refuse_delete: bool,
}

/// A POP3 session.
#[derive(Debug)]
pub struct Pop3 {
    common: Common,
    client: Inbox,
    server: Inbox,
    state: State,
    /// Before what is being dealt with: last words could be told from an answer.
    between_answers: bool,
    /// The server's inbox holds what came while the server is not read.
    server_held: bool,
}

/// What is true in every state.
#[derive(Debug)]
struct Common {
    settings: Rc<Settings>,
    /// Commands that may be sent on.
    verbs: VerbSet,
    /// Capabilities that may be announced.
    capabilities: CapabilitySet,
    /// What the server announced, once the client asked.
    offered: Option<CapabilitySet>,
    /// The client asked for UTF-8 (RFC 6856) and the server agreed.
    utf8: bool,
    /// Commands that were refused.
    strikes: u32,
    /// The rest of an overlong line is being skipped.
    skipping: bool,
    /// The client sends no more.
    client_ended: bool,
    /// Octets received from the client and from the server.
    received: [u64; 2],
    /// Octets of these that are dealt with.
    used: [u64; 2],
    started: Duration,
    now: Duration,
    /// The last command of the client, or the last octet of what it waits for.
    active: Duration,
}

#[derive(Debug)]
enum State {
    Greeting(Greeting),
    Authorization(Authorization),
    Transaction(Transaction),
    Retrieval(Retrieval),
    Update(Update),
    /// `Close` was said, or a fault found.
    Ended,
}

/// What is expected of the server next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// Whatever it sends is a fault.
    Nothing,
    /// A line.
    Line,
    /// Octets of a mail.
    Mail,
}

/// A peer broke the protocol; becomes a [`Fault`].
#[derive(Clone, Copy, Debug)]
struct Broken {
    side: Side,
    what: &'static str,
}

impl Broken {
    const fn server(what: &'static str) -> Self {
        Self { side: Side::Server, what }
    }
}

/// D9: a SASL line, before TLS.
const SASL_LINE: usize = 12 * 1024;

const SERVER_FAULT: &[u8] = b"-ERR [SYS/TEMP] the mail server does not speak POP3 as it should\r\n";

impl Pop3 {
    /// A session admitted at `now`.
    pub fn new(settings: Rc<Settings>, now: Duration) -> Self {
        let mut verbs = VerbSet::permitted(&settings.rules.commands);
        let mut capabilities = CapabilitySet::permitted(&settings.rules.capabilities);
        listing::agree(&mut capabilities, &mut verbs);
        Self {
            common: Common {
                settings,
                verbs,
                capabilities,
                offered: None,
                utf8: false,
                strikes: 0,
                skipping: false,
                client_ended: false,
                received: [0; 2],
                used: [0; 2],
                started: now,
                now,
                active: now,
            },
            client: Inbox::default(),
            server: Inbox::default(),
            state: State::Greeting(Greeting),
            between_answers: true,
            server_held: false,
        }
    }

    fn input(&mut self, input: Input<'_>, out: &mut Output) -> Result<(), Broken> {
        match input {
            Input::Bytes(side, bytes) => self.bytes(side, bytes, out)?,
            Input::Eof(Side::Client) => self.common.client_ended = true,
            Input::Eof(Side::Server) => self.server_ended(out),
            Input::Changed(changed) => self.step(|state, common| Ok(state.changed(changed, common, out)))?,
            Input::Pull => {
                self.common.active = self.common.now;
                self.step(|state, common| Ok(state.pull(common, out)))?;
            }
            Input::Judged(verdict) => {
                self.common.active = self.common.now;
                self.step(|state, common| Ok(state.judged(verdict, common, out)))?;
            }
            Input::Copy(piece) => {
                self.common.active = self.common.now;
                self.step(|state, _common| Ok(state.copy(piece, out)))?;
            }
            Input::Kick => self.close(
                Close::Kicked,
                b"-ERR [SYS/TEMP] this session was ended by the administrator\r\n",
                out,
            ),
            Input::Tick => self.tick(out),
        }
        self.resume(out)
    }

    /// Moves to the next state. Left without one after a fault.
    fn step(&mut self, next: impl FnOnce(State, &mut Common) -> Result<State, Broken>) -> Result<(), Broken> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = next(state, &mut self.common)?;
        Ok(())
    }

    fn bytes(&mut self, side: Side, bytes: &[u8], out: &mut Output) -> Result<(), Broken> {
        let rules = &self.common.settings.rules;
        let (limit, received, inbox) = match side {
            Side::Client => (rules.max_bytes_out, &mut self.common.received[0], &mut self.client),
            Side::Server => (rules.max_bytes_in, &mut self.common.received[1], &mut self.server),
        };
        *received = received.saturating_add(bytes.len() as u64);
        if limit > 0 && *received > limit {
            self.close(Close::Limit, b"-ERR [SYS/PERM] this session is over its limit of octets\r\n", out);
            return Ok(());
        }
        // What waits is taken out for the time of the call, so that lines can be slices of it.
        let mut inbox = std::mem::take(inbox);
        if inbox.is_empty() {
            let mut rest = bytes;
            self.consume(side, &mut rest, out)?;
            inbox.push(rest);
        } else {
            inbox.push(bytes);
            self.consume_inbox(side, &mut inbox, out)?;
        }
        *self.inbox(side) = inbox;
        Ok(())
    }

    /// What waited for its turn: first of the server, lest it is taken for the answer to what the client asks next.
    fn resume(&mut self, out: &mut Output) -> Result<(), Broken> {
        if self.server_held && self.state.wants_server() {
            self.server_held = false;
            let mut inbox = std::mem::take(&mut self.server);
            self.consume_inbox(Side::Server, &mut inbox, out)?;
            self.server = inbox;
        }
        if let State::Transaction(transaction) = &mut self.state {
            transaction.identify(out);
        }
        if !self.client.is_empty() && self.state.accepts(&self.common) {
            let mut inbox = std::mem::take(&mut self.client);
            self.consume_inbox(Side::Client, &mut inbox, out)?;
            self.client = inbox;
        }
        if self.common.client_ended && self.state.is_idle() {
            self.close(Close::ClientClosed, b"", out);
        }
        Ok(())
    }

    fn consume_inbox(&mut self, side: Side, inbox: &mut Inbox, out: &mut Output) -> Result<(), Broken> {
        let mut rest = inbox.unread();
        self.consume(side, &mut rest, out)?;
        let left = rest.len();
        inbox.keep_last(left);
        Ok(())
    }

    fn consume(&mut self, side: Side, rest: &mut &[u8], out: &mut Output) -> Result<(), Broken> {
        match side {
            Side::Client => self.consume_client(rest, out)?,
            Side::Server => self.consume_server(rest, out)?,
        }
        if matches!(self.state, State::Ended) {
            *rest = &[];
        }
        Ok(())
    }

    fn consume_server(&mut self, rest: &mut &[u8], out: &mut Output) -> Result<(), Broken> {
        while !rest.is_empty() {
            let before = rest.len();
            self.between_answers = self.state.is_between_answers();
            match self.state.expects() {
                Expects::Nothing if !self.state.wants_server() => {
                    // More than was asked for came with the end of a mail. It is looked at in its time, so that the
                    // outcome does not depend on how the network cut it.
                    self.server_held = true;
                    return Ok(());
                }
                Expects::Nothing => return Err(Broken::server("data that no command asked for")),
                Expects::Mail => {
                    let mut used = rest.len();
                    self.step(|state, common| {
                        let (state, octets) = state.mail(rest, common, out);
                        used = octets;
                        Ok(state)
                    })?;
                    *rest = rest.get(used..).unwrap_or_default();
                }
                Expects::Line => {
                    let limit = self.state.server_line_limit(&self.common);
                    let line = line::server_line(rest, limit).map_err(|error| {
                        Broken::server(match error {
                            LineError::TooLong => "a line over resp-line-len",
                            LineError::Malformed => "NUL, a bare CR or a bare LF in a line",
                        })
                    })?;
                    let Some(line) = line else { break };
                    self.step(|state, common| state.line(line, common, out))?;
                }
            }
            self.common.active = self.common.now;
            self.common.used[1] += (before - rest.len()) as u64;
        }
        if !rest.is_empty() {
            self.common.active = self.common.now;
        }
        Ok(())
    }

    fn consume_client(&mut self, rest: &mut &[u8], out: &mut Output) -> Result<(), Broken> {
        while !rest.is_empty() && self.state.accepts(&self.common) {
            let before = *rest;
            if self.common.skipping {
                self.common.skipping = !line::skip_line(rest);
            } else {
                let limit = self.state.client_line_limit(&self.common);
                let done = match line::client_line(rest, limit) {
                    Ok(None) => return Ok(()),
                    Ok(Some(line)) => self.command(line, out),
                    Err(_too_long) => {
                        let done = self.refuse(&Refusal { name: b"", why: "line too long" }, out);
                        if done {
                            self.common.skipping = true;
                        }
                        done
                    }
                };
                if !done {
                    *rest = before;
                    return Ok(());
                }
                self.common.active = self.common.now;
            }
            self.common.used[0] += (before.len() - rest.len()) as u64;
        }
        Ok(())
    }

    /// Deals with a line of the client; `false`: not before the answers to earlier ones.
    fn command(&mut self, line: &[u8], out: &mut Output) -> bool {
        if self.state.is_sasl() {
            return self.infallible(|state, common| state.sasl_response(line, common, out));
        }
        let command = match Command::parse(line, self.common.utf8) {
            Ok(command) => command,
            Err(refusal) => return self.refuse(&refusal, out),
        };
        if line.len() + b"\r\n".len() > self.common.settings.rules.cmd_line_len
            && command.verb() != Verb::Auth
        {
            return self
                .refuse(&Refusal { name: command.verb().name().as_bytes(), why: "line too long" }, out);
        }
        let verb = command.verb();
        let refusal = |why| Refusal { name: verb.name().as_bytes(), why };
        if !self.common.verbs.contains(verb) {
            return self.refuse(&refusal("this command is not permitted"), out);
        }
        if let Some(why) = self.state.objection(&command) {
            return self.refuse(&refusal(why), out);
        }
        if self.state.must_wait(&command, &self.common) {
            return false;
        }
        self.infallible(|state, common| state.command(&command, common, out))
    }

    fn infallible(&mut self, next: impl FnOnce(State, &mut Common) -> State) -> bool {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = next(state, &mut self.common);
        true
    }

    /// Answers a command that is not sent on, when it is its turn.
    fn refuse(&mut self, refusal: &Refusal<'_>, out: &mut Output) -> bool {
        if !self.state.is_idle() {
            return false;
        }
        self.common.strikes += 1;
        out.events.push(Event::Refused { command: loggable(refusal.name), why: refusal.why });
        if self.common.strikes > self.common.settings.login.bad_command_limit {
            self.close(Close::BadCommands, b"", out);
            return true;
        }
        out.client.extend_from_slice(b"-ERR ");
        out.client.extend_from_slice(refusal.why.as_bytes());
        out.client.extend_from_slice(b"\r\n");
        true
    }

    fn server_ended(&mut self, out: &mut Output) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        match state {
            State::Update(update) => {
                self.state = update.without_answer(out);
            }
            State::Authorization(authorization) if authorization.is_holding() => {
                // The server hung up after a failed login: the client still learns of it, in its time.
                self.state = State::Authorization(authorization.without_server());
            }
            State::Greeting(_)
            | State::Authorization(_)
            | State::Transaction(_)
            | State::Retrieval(_)
            | State::Ended => {
                self.state = state;
                self.close(
                    Close::ServerClosed,
                    b"-ERR [SYS/TEMP] the mail server closed the connection\r\n",
                    out,
                );
            }
        }
    }

    /// Ends the session, with last words where they can be told from an answer that is under way.
    fn close(&mut self, why: Close, farewell: &[u8], out: &mut Output) {
        if matches!(self.state, State::Ended) {
            return;
        }
        if self.state.is_between_answers() {
            out.client.extend_from_slice(farewell);
        }
        self.state = end(why, out);
    }

    fn tick(&mut self, out: &mut Output) {
        let now = self.common.now;
        if self.common.max_time().is_some_and(|due| now >= due) {
            self.close(Close::Limit, b"-ERR [SYS/PERM] this session is over its time\r\n", out);
        } else if self.state.is_before_login() && now >= self.common.login_deadline() {
            self.close(Close::LoginDeadline, b"-ERR [SYS/TEMP] login took too long\r\n", out);
        } else if self.state.waits_for_peers() && now >= self.common.idle_deadline() {
            self.close(Close::Idle, b"-ERR [SYS/TEMP] idle for too long\r\n", out);
        } else {
            self.infallible(|state, common| state.tick(common, out));
        }
    }

    fn inbox(&mut self, side: Side) -> &mut Inbox {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl Machine for Pop3 {
    fn handle(mut self, now: Duration, input: Input<'_>, out: &mut Output) -> Result<Self, Fault> {
        self.common.now = now;
        if matches!(self.state, State::Ended) {
            return Ok(self);
        }
        match self.input(input, out) {
            Ok(()) => Ok(self),
            Err(Broken { side, what }) => Err(Fault {
                side,
                what,
                offset: match side {
                    Side::Client => self.common.used[0],
                    Side::Server => self.common.used[1],
                },
                farewell: if self.between_answers { SERVER_FAULT } else { b"" },
            }),
        }
    }

    fn wants(&self, side: Side) -> bool {
        match side {
            Side::Client => {
                let unread = self.client.unread().len();
                !self.common.client_ended
                    && self.state.accepts(&self.common)
                    && !(self.client.has_line() || unread >= self.state.client_line_limit(&self.common))
            }
            Side::Server => self.state.wants_server(),
        }
    }

    fn wants_copy(&self) -> bool {
        matches!(&self.state, State::Retrieval(retrieval) if retrieval.wants_copy())
    }

    fn deadline(&self) -> Option<Duration> {
        let login = self.state.is_before_login().then(|| self.common.login_deadline());
        let idle = self.state.waits_for_peers().then(|| self.common.idle_deadline());
        if matches!(self.state, State::Ended) {
            return None;
        }
        [self.common.max_time(), login, idle, self.state.due()].into_iter().flatten().min()
    }
}

impl Common {
    fn max_time(&self) -> Option<Duration> {
        self.settings.rules.max_time.map(|time| self.started + time)
    }

    fn login_deadline(&self) -> Duration {
        self.started + self.settings.login.deadline
    }

    fn idle_deadline(&self) -> Duration {
        self.active + self.settings.rules.idle_timeout
    }
}

impl State {
    fn expects(&self) -> Expects {
        match self {
            Self::Greeting(_) | Self::Update(_) => Expects::Line,
            Self::Authorization(state) => state.expects(),
            Self::Transaction(state) => state.expects(),
            Self::Retrieval(state) => state.expects(),
            Self::Ended => Expects::Nothing,
        }
    }

    /// While the driver decides, and while a mail is delivered, the server is not read.
    const fn wants_server(&self) -> bool {
        match self {
            Self::Greeting(_) | Self::Transaction(_) | Self::Update(_) => true,
            Self::Authorization(state) => !state.is_holding(),
            Self::Retrieval(state) => state.wants_server(),
            Self::Ended => false,
        }
    }

    /// Whether a command could be dealt with.
    fn accepts(&self, common: &Common) -> bool {
        match self {
            Self::Authorization(state) => state.accepts(),
            Self::Transaction(state) => state.accepts(common),
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => false,
        }
    }

    /// Whether every command was answered.
    fn is_idle(&self) -> bool {
        match self {
            Self::Authorization(state) => state.accepts(),
            Self::Transaction(state) => state.is_idle(),
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => false,
        }
    }

    const fn is_sasl(&self) -> bool {
        matches!(self, Self::Authorization(state) if state.is_sasl())
    }

    const fn is_between_answers(&self) -> bool {
        match self {
            Self::Greeting(_) | Self::Authorization(_) | Self::Update(_) => {
                !matches!(self, Self::Authorization(state) if state.is_in_answer())
            }
            Self::Transaction(state) => !state.is_in_answer(),
            Self::Retrieval(state) => !state.wants_copy(),
            Self::Ended => false,
        }
    }

    const fn is_before_login(&self) -> bool {
        matches!(self, Self::Greeting(_) | Self::Authorization(_))
    }

    /// Whether it is a peer's turn, not the driver's.
    const fn waits_for_peers(&self) -> bool {
        match self {
            Self::Greeting(_) | Self::Transaction(_) | Self::Update(_) => true,
            Self::Authorization(state) => !state.is_holding(),
            Self::Retrieval(state) => state.waits_for_peers(),
            Self::Ended => false,
        }
    }

    fn server_line_limit(&self, common: &Common) -> usize {
        let limit = common.settings.rules.resp_line_len;
        if self.expects_challenge() { limit.max(SASL_LINE) } else { limit }
    }

    fn client_line_limit(&self, common: &Common) -> usize {
        // AUTH carries an initial response (RFC 5034 section 4), so its line may be as long as a SASL line.
        let limit = common.settings.rules.cmd_line_len;
        if self.is_before_login() { limit.max(SASL_LINE) } else { limit }
    }

    const fn expects_challenge(&self) -> bool {
        matches!(self, Self::Authorization(state) if state.expects_challenge())
    }

    const fn due(&self) -> Option<Duration> {
        match self {
            Self::Authorization(state) => state.due(),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                None
            }
        }
    }

    /// Why a well-formed, permitted command has no place in this state.
    fn objection(&self, command: &Command<'_>) -> Option<&'static str> {
        let verb = command.verb();
        match self {
            Self::Authorization(state) => match verb {
                Verb::Pass if !state.has_user() => Some("USER comes first"),
                Verb::User
                | Verb::Pass
                | Verb::Apop
                | Verb::Auth
                | Verb::Capa
                | Verb::Utf8
                | Verb::Lang
                | Verb::Quit => None,
                Verb::Stat
                | Verb::List
                | Verb::Uidl
                | Verb::Retr
                | Verb::Top
                | Verb::Dele
                | Verb::Rset
                | Verb::Noop
                | Verb::Last => Some("log in first"),
            },
            Self::Transaction(_) => match verb {
                Verb::User | Verb::Pass | Verb::Apop | Verb::Auth => Some("already logged in"),
                Verb::Capa
                | Verb::Stat
                | Verb::List
                | Verb::Uidl
                | Verb::Retr
                | Verb::Top
                | Verb::Dele
                | Verb::Rset
                | Verb::Noop
                | Verb::Last
                | Verb::Utf8
                | Verb::Lang
                | Verb::Quit => None,
            },
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => Some("not now"),
        }
    }

    fn must_wait(&self, command: &Command<'_>, common: &Common) -> bool {
        matches!(self, Self::Transaction(state) if state.must_wait(command, common))
    }

    fn command(self, command: &Command<'_>, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.command(command, out),
            Self::Transaction(state) => state.command(command, common, out),
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => self,
        }
    }

    fn sasl_response(self, line: &[u8], common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.sasl_response(line, common, out),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                self
            }
        }
    }

    fn line(self, line: &[u8], common: &mut Common, out: &mut Output) -> Result<Self, Broken> {
        match self {
            Self::Greeting(state) => state.line(line, common, out),
            Self::Authorization(state) => state.line(line, common, out),
            Self::Transaction(state) => state.line(line, common, out),
            Self::Retrieval(state) => state.line(line, common, out),
            Self::Update(state) => state.line(line, common, out),
            Self::Ended => Ok(self),
        }
    }

    /// Takes octets of a mail; how many.
    fn mail(self, bytes: &[u8], common: &mut Common, out: &mut Output) -> (Self, usize) {
        match self {
            Self::Transaction(state) => state.mail(bytes, out),
            Self::Retrieval(state) => state.mail(bytes, common, out),
            Self::Greeting(_) | Self::Authorization(_) | Self::Update(_) | Self::Ended => (self, bytes.len()),
        }
    }

    fn changed(self, changed: &[crate::machine::Changed], common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.changed(changed, common, out),
            Self::Transaction(mut state) => {
                state.maildrop.learn(changed);
                Self::Transaction(state)
            }
            Self::Retrieval(mut state) => {
                state.learn(changed);
                Self::Retrieval(state)
            }
            Self::Greeting(_) | Self::Update(_) | Self::Ended => self,
        }
    }

    fn pull(self, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Retrieval(state) => state.pull(common, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Transaction(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    fn judged(self, verdict: crate::machine::Verdict, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Retrieval(state) => state.judged(verdict, common, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Transaction(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    fn copy(self, piece: &[u8], out: &mut Output) -> Self {
        match self {
            Self::Retrieval(state) => state.copy(piece, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Transaction(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    fn tick(self, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.tick(common, out),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                self
            }
        }
    }
}

/// Says that the session ends.
fn end(why: Close, out: &mut Output) -> State {
    out.events.push(Event::Close(why));
    State::Ended
}

/// A refused command's name for the log. A client that is out of step may send (a piece of) a password where a
/// command should be, so only what looks like a command is shown.
fn loggable(name: &[u8]) -> String {
    let plain = (1..=10).contains(&name.len()) && name.iter().all(|byte| byte.is_ascii_alphanumeric());
    if plain { String::from_utf8_lossy(name).to_ascii_uppercase() } else { "(other)".to_owned() }
}
