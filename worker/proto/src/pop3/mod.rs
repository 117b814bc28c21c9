//! POP3 (RFC 1939, 2449, 5034, 6856) between a client and a server that are both connected: the *early* plan, in
//! which the server's own greeting is passed on. In the *late* plan there is no server until the client's name is known.
//!
//! The states are those of RFC 1939 and what a scanning proxy adds: `greeting`, `authorization`, `late` (in its place),
//! `transaction`, `retrieval` (one mail on its way), `update`. What outlives them all is `common`. This file
//! frames what both peers send and moves between the states; it trusts neither peer.
pub mod command;
pub mod multiline;
pub mod reply;

mod answer;
mod authorization;
mod common;
mod exchange;
mod greeting;
mod late;
mod listing;
mod maildrop;
mod retrieval;
pub(crate) mod sasl;
mod state;
mod survey;
mod transaction;
mod update;

use crate::line::{self, Inbox, LineError};
use crate::machine::{Close, Event, Fault, Greeted, Input, Machine, Output, Security, Settings, Side};
pub use answer::farewell;
use authorization::Authorization;
use command::{Command, Refusal, Verb};
use common::{Broken, Common};
use greeting::Greeting;
use late::Late;
use policy::model::Welcome;
use policy::names::Language;
use state::{Expects, State, end};
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;

/// A POP3 session.
///
/// ```
/// use policy::names::Language;
/// use std::{rc::Rc, time::Duration};
/// use worker_proto::machine::{Greeted, Input, Machine, Output, Security, Settings, Side};
/// use worker_proto::pop3::Pop3;
///
/// fn greeted(settings: Rc<Settings>) -> Vec<u8> {
///     let mut out = Output::default();
///     let machine = Pop3::new(settings, Language::En, Greeted::ByServer, Security::Clear, Duration::ZERO);
///     assert!(machine.wants(Side::Server) && !machine.wants(Side::Client));
///     let greeting = Input::Bytes(Side::Server, b"+OK ready <1896.697170952@example.net>\r\n");
///     let machine = machine.handle(Duration::from_millis(20), greeting, &mut out).expect("a greeting");
///     assert!(machine.wants(Side::Client));
///     out.client // what the driver sends to the client
/// }
/// ```
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
    /// The client may begin its handshake: not an octet more is read in clear text.
    upgrading: bool,
}

impl Pop3 {
    /// A session admitted at `now`, whose client is answered in `language`.
    pub fn new(
        settings: Rc<Settings>,
        language: Language,
        greeted: Greeted,
        security: Security,
        now: Duration,
    ) -> Self {
        let (verbs, capabilities) = common::permitted(&settings, greeted, None);
        Self {
            common: Common {
                settings,
                language,
                greeted,
                security,
                welcome: None,
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
            state: match greeted {
                Greeted::ByServer => State::Greeting(Greeting),
                Greeted::ByUs => State::Authorization(Authorization::default()),
                Greeted::BeforeServer => State::Late(Box::default()),
            },
            between_answers: true,
            server_held: false,
            upgrading: false,
        }
    }

    /// The same at a listener that has words of its own for clients who did not log in.
    #[must_use]
    pub fn welcoming(mut self, welcome: Rc<Welcome>) -> Self {
        self.common.welcome(Some(welcome));
        self
    }

    fn input(&mut self, input: Input<'_>, out: &mut Output) -> Result<(), Broken> {
        match input {
            Input::Begin => self.greet(out),
            Input::Bytes(side, bytes) => self.bytes(side, bytes, out)?,
            Input::Eof(Side::Client) => self.common.client_ended = true,
            Input::Eof(Side::Server) => self.server_ended(out),
            Input::Changed(changed) => self.step(|state, _common| Ok(state.changed(changed, out)))?,
            Input::Kept(number) => self.step(|state, _common| Ok(state.kept(number)))?,
            Input::Pull => {
                self.common.active = self.common.now;
                self.step(|state, common| Ok(state.pull(common, out)))?;
            }
            Input::Judged(_number, verdict) => {
                self.common.active = self.common.now;
                self.step(|state, common| Ok(state.judged(verdict, common, out)))?;
            }
            Input::Copy(piece) => {
                self.common.active = self.common.now;
                self.step(|state, _common| Ok(state.copy(piece, out)))?;
            }
            Input::ServerReady(greeted) => {
                self.step(|state, _common| Ok(state.server_ready(greeted, out)))?
            }
            Input::NoServer(why) => self.step(|state, common| Ok(state.no_server(why, common, out)))?,
            Input::Settings(settings, language) => self.common.take_settings(settings, language),
            Input::Kick => self.close(Close::Kicked, Some(Answer::EndedByAdministrator), out),
            // For machines that keep copies themselves.
            Input::Scanned { .. } | Input::Recorded { .. } | Input::Room(_) => {}
            Input::Tick => self.tick(out),
        }
        self.resume(out)
    }

    /// Our own greeting, in place of one that came in clear text or is still to come. It has no timestamp: APOP needs the server's.
    fn greet(&self, out: &mut Output) {
        if self.common.greeted != Greeted::ByServer {
            let own = self.common.welcome.as_ref().map(|welcome| welcome.greeting.as_str());
            out.client.extend_from_slice(b"+OK ");
            out.client.extend_from_slice(own.filter(|own| !own.is_empty()).unwrap_or("ready").as_bytes());
            out.client.extend_from_slice(b"\r\n");
        }
    }

    /// Moves to the next state. Left without one after a fault.
    fn step(&mut self, next: impl FnOnce(State, &mut Common) -> Result<State, Broken>) -> Result<(), Broken> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = next(state, &mut self.common)?;
        self.moved();
        Ok(())
    }

    /// Behind the login everything may be seen that the rules permit.
    fn moved(&mut self) {
        if self.common.welcome.is_some() && !self.state.is_before_login() {
            self.common.welcome(None);
        }
    }

    fn bytes(&mut self, side: Side, bytes: &[u8], out: &mut Output) -> Result<(), Broken> {
        let rules = &self.common.settings.rules;
        let (limit, received) = match side {
            Side::Client => (rules.max_bytes_out, &mut self.common.received[0]),
            Side::Server => (rules.max_bytes_in, &mut self.common.received[1]),
        };
        *received = received.saturating_add(bytes.len() as u64);
        if limit > 0 && *received > limit {
            self.close(Close::Limit, Some(Answer::OverOctets), out);
            return Ok(());
        }
        self.feed(side, bytes, out)
    }

    /// What waits and `more`, as far as it can be dealt with now.
    fn feed(&mut self, side: Side, more: &[u8], out: &mut Output) -> Result<(), Broken> {
        // The inbox is taken out for the time of the call, so that lines can be slices of it.
        let mut inbox = std::mem::take(self.inbox(side));
        inbox.feed(more, |rest| self.consume(side, rest, out))?;
        *self.inbox(side) = inbox;
        Ok(())
    }

    /// What waited for its turn: first of the server, lest it is taken for the answer to what the client asks next.
    fn resume(&mut self, out: &mut Output) -> Result<(), Broken> {
        if self.server_held && self.state.wants_server() {
            self.server_held = false;
            self.feed(Side::Server, &[], out)?;
        }
        self.infallible(|state, common| state.go_on(common, out));
        if !self.client.is_empty() && self.state.accepts(&self.common) {
            self.feed(Side::Client, &[], out)?;
        }
        if self.common.client_ended && self.state.is_idle() {
            self.close(Close::ClientClosed, None, out);
        }
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
        while !rest.is_empty() && !self.upgrading && self.state.accepts(&self.common) {
            let before = *rest;
            if self.common.skipping {
                self.common.skipping = !line::skip_line(rest);
            } else if self.state.is_before_login() && !self.state.is_sasl() && command::is_http(rest) {
                return Err(Broken { side: Side::Client, what: "a request of HTTP" });
            } else {
                let limit = self.state.client_line_limit(&self.common);
                let done = match line::client_line(rest, limit) {
                    Ok(None) => return Ok(()),
                    Ok(Some(line)) => self.command(line, out),
                    // In a SASL exchange the server waits for an answer too: it gets `*`, the client what follows.
                    Err(_too_long) if self.state.is_sasl() => {
                        self.common.skipping = true;
                        self.command(b"*", out)
                    }
                    Err(_too_long) => {
                        self.common.skipping = self.state.is_idle();
                        self.refuse(&Refusal { name: b"", why: Answer::LineTooLong }, out)
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
        if self.upgrading && !rest.is_empty() {
            // Whoever put these behind STLS wants them read as if they had come through TLS (CVE-2011-0411).
            return Err(Broken { side: Side::Client, what: "octets behind STLS" });
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
                .refuse(&Refusal { name: command.verb().name().as_bytes(), why: Answer::LineTooLong }, out);
        }
        let verb = command.verb();
        let refusal = |why| Refusal { name: verb.name().as_bytes(), why };
        if let Some(why) = self.common.security.objection(verb) {
            return self.refuse(&refusal(why), out);
        }
        let logs_in = matches!(verb, Verb::User | Verb::Pass | Verb::Apop | Verb::Auth);
        if logs_in && self.state.is_before_login() && self.common.settings.login.disabled {
            return self.refuse(&refusal(Answer::LoginsDisabled), out);
        }
        if !self.common.verbs.contains(verb) {
            return self.refuse(&refusal(Answer::NotPermitted), out);
        }
        if let Some(why) = self.state.objection(&command) {
            return self.refuse(&refusal(why), out);
        }
        if self.state.must_wait(&command, &self.common) {
            return false;
        }
        if verb == Verb::Stls {
            self.upgrading = true;
            return true;
        }
        self.infallible(|state, common| state.command(&command, common, out))
    }

    fn infallible(&mut self, next: impl FnOnce(State, &mut Common) -> State) -> bool {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = next(state, &mut self.common);
        self.moved();
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
            self.close(Close::BadCommands, None, out);
            return true;
        }
        self.common.say(refusal.why, &mut out.client);
        true
    }

    fn server_ended(&mut self, out: &mut Output) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        match state {
            State::Update(update) => {
                self.state = update.without_answer(&self.common, out);
            }
            State::Late(late) => self.state = late.without_server(&self.common, out),
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
                self.close(Close::ServerClosed, Some(Answer::ServerClosed), out);
            }
        }
    }

    /// Ends the session, with last words where they can be told from an answer that is under way.
    fn close(&mut self, why: Close, farewell: Option<Answer>, out: &mut Output) {
        if matches!(self.state, State::Ended) {
            return;
        }
        if let Some(answer) = farewell.filter(|_| self.state.is_between_answers()) {
            self.common.say(answer, &mut out.client);
        }
        self.state = end(why, out);
    }

    fn tick(&mut self, out: &mut Output) {
        let now = self.common.now;
        if self.common.max_time().is_some_and(|due| now >= due) {
            self.close(Close::Limit, Some(Answer::OverTime), out);
        } else if self.state.is_before_login() && now >= self.common.login_deadline() {
            self.close(Close::LoginDeadline, Some(Answer::LoginTooLong), out);
        } else if self.state.waits_for_peers() && now >= self.common.idle_deadline() {
            self.close(Close::Idle, Some(Answer::IdleTooLong), out);
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
    const KEEPS_COPIES: bool = false;

    fn handle(mut self, now: Duration, input: Input<'_>, out: &mut Output) -> Result<Self, Fault> {
        self.common.now = now;
        if matches!(self.state, State::Ended) {
            return Ok(self);
        }
        let was_upgrading = self.upgrading;
        match self.input(input, out) {
            Ok(()) => {
                if self.upgrading && !was_upgrading {
                    out.client.extend_from_slice(b"+OK begin TLS\r\n");
                    out.events.push(Event::StartTls);
                }
                Ok(self)
            }
            Err(Broken { side, what }) => Err(Fault {
                side,
                what,
                offset: match side {
                    Side::Client => self.common.used[0],
                    Side::Server => self.common.used[1],
                },
                farewell: match side {
                    Side::Server if self.between_answers => {
                        farewell(Answer::ServerFault, self.common.language)
                    }
                    // Its own fault is no news to the client.
                    Side::Server | Side::Client => Vec::new(),
                },
            }),
        }
    }

    fn secured(mut self) -> Self {
        let state = match self.state {
            State::Authorization(state) => State::Authorization(Authorization::after(state.failures())),
            State::Late(state) => State::Late(Box::new(Late::after(state.failures()))),
            State::Greeting(_)
            | State::Transaction(_)
            | State::Retrieval(_)
            | State::Update(_)
            | State::Ended => return self,
        };
        self.common.security = Security::Secured;
        self.common.offered = None;
        self.common.utf8 = false;
        self.common.skipping = false;
        Self {
            state,
            client: Inbox::default(),
            server: Inbox::default(),
            between_answers: true,
            server_held: false,
            upgrading: false,
            ..self
        }
    }

    fn wants(&self, side: Side) -> bool {
        match side {
            Side::Client => {
                let unread = self.client.unread().len();
                let full = self.client.has_line() || unread >= self.state.client_line_limit(&self.common);
                let over = self.common.client_ended || self.upgrading;
                self.state.accepts(&self.common) && !full && !over
            }
            Side::Server => self.state.wants_server(),
        }
    }

    fn wants_copy(&self) -> bool {
        matches!(&self.state, State::Retrieval(retrieval) if retrieval.wants_copy())
    }

    fn has_more(&self, _side: Side) -> bool {
        false
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

/// A refused command's name for the log. A client that is out of step may send (a piece of) a password where a
/// command should be, so only what looks like a command is shown.
fn loggable(name: &[u8]) -> String {
    let plain = (1..=10).contains(&name.len()) && name.iter().all(|byte| byte.is_ascii_alphanumeric());
    if plain { String::from_utf8_lossy(name).to_ascii_uppercase() } else { "(other)".to_owned() }
}
