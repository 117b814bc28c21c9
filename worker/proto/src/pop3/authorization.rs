//! AUTHORIZATION (RFC 1939 section 4): one command at a time, and never a word about a login that the driver has not
//! heard of yet. Passwords pass through borrowed from what was read; nothing of them is kept.
use super::command::{Command, Secret};
use super::common::{Broken, Common};
use super::exchange::Exchange;
use super::listing::Listing;
use super::reply::{Reply, Status};
use super::sasl;
use super::state::{Expects, State, end};
use super::transaction::Transaction;
use super::update::Update;
use crate::capability::{CapabilitySet, Mechanism};
use crate::machine::{Changed, Close, Event, Output};
use crate::quirks;
use std::time::Duration;

/// Not logged in.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    /// The name that this or the last login attempt gave.
    user: Vec<u8>,
    /// The server took that name, and waits for its PASS.
    named: bool,
    failures: u32,
    step: Step,
}

#[derive(Debug, Default)]
enum Step {
    /// The client's turn.
    #[default]
    Ready,
    /// The server's turn.
    Asked(Asked),
    /// The server's turn: the rest of a list.
    Listing(Listing),
    /// The client's turn in a SASL exchange.
    Challenged(Mechanism, Exchange),
    /// A failed login, not yet told.
    Failed { until: Duration, reply: Vec<u8>, server_ended: bool },
    /// A login that the client learns of when the driver said which mails were served changed.
    LoggedIn { reply: Vec<u8> },
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    User,
    Login,
    Sasl(Mechanism, Exchange),
    List(Listing),
    Utf8,
    Line,
}

impl Authorization {
    /// Nothing was said yet, and so many logins have failed before.
    pub(super) fn after(failures: u32) -> Self {
        Self { failures, ..Self::default() }
    }

    /// Logins that failed.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) const fn expects(&self) -> Expects {
        match self.step {
            Step::Asked(_) | Step::Listing(_) => Expects::Line,
            Step::Ready | Step::Challenged(..) | Step::Failed { .. } | Step::LoggedIn { .. } => {
                Expects::Nothing
            }
        }
    }

    pub(super) const fn accepts(&self) -> bool {
        matches!(self.step, Step::Ready | Step::Challenged(..))
    }

    pub(super) const fn is_sasl(&self) -> bool {
        matches!(self.step, Step::Challenged(..))
    }

    pub(super) const fn expects_challenge(&self) -> bool {
        matches!(self.step, Step::Asked(Asked::Sasl(..)))
    }

    /// Whether an answer is held back.
    pub(super) const fn is_holding(&self) -> bool {
        matches!(self.step, Step::Failed { .. } | Step::LoggedIn { .. })
    }

    pub(super) const fn is_in_answer(&self) -> bool {
        matches!(self.step, Step::Listing(_))
    }

    /// Whether PASS has its place.
    pub(super) const fn has_user(&self) -> bool {
        self.named
    }

    pub(super) const fn due(&self) -> Option<Duration> {
        match &self.step {
            Step::Failed { until, .. } => Some(*until),
            Step::Ready
            | Step::Asked(_)
            | Step::Listing(_)
            | Step::Challenged(..)
            | Step::LoggedIn { .. } => None,
        }
    }

    /// Sends a command on.
    pub(super) fn command(mut self, command: &Command<'_>, out: &mut Output) -> State {
        let asked = match command {
            Command::User(name) => {
                self.user = name.to_vec();
                self.named = false;
                Asked::User
            }
            Command::Pass(_) => Asked::Login,
            Command::Apop(name, _) => {
                self.user = name.to_vec();
                Asked::Login
            }
            Command::Auth(mechanism, initial) => {
                self.user = Vec::new();
                let mut exchange = Exchange::default();
                if let Some(Secret(initial)) = initial {
                    self.learn_user(*mechanism, exchange, initial);
                    exchange = Exchange::behind_the_first();
                }
                Asked::Sasl(*mechanism, exchange)
            }
            Command::AuthList => Asked::List(Listing::Mechanisms),
            Command::Capa => Asked::List(Listing::Capabilities { seen: CapabilitySet::default() }),
            Command::Lang(None) => Asked::List(Listing::Languages),
            Command::Lang(Some(_)) => Asked::Line,
            Command::Utf8 => Asked::Utf8,
            Command::Quit => return Update::begin(out),
            // Refused, or dealt with, before it came here.
            Command::Stls
            | Command::Stat
            | Command::List(_)
            | Command::Uidl(_)
            | Command::Retr(_)
            | Command::Top(..)
            | Command::Dele(_)
            | Command::Rset
            | Command::Noop
            | Command::Last => return State::Authorization(self),
        };
        command.write(&mut out.server);
        self.step = Step::Asked(asked);
        State::Authorization(self)
    }

    /// A line of the client in a SASL exchange.
    pub(super) fn sasl_response(mut self, line: &[u8], out: &mut Output) -> State {
        let Step::Challenged(mechanism, exchange) = self.step else { return State::Authorization(self) };
        self.learn_user(mechanism, exchange, line);
        self.step = Step::Asked(Asked::Sasl(mechanism, exchange.respond(line, out)));
        State::Authorization(self)
    }

    pub(super) fn line(
        mut self,
        line: &[u8],
        common: &mut Common,
        out: &mut Output,
    ) -> Result<State, Broken> {
        let asked = match &mut self.step {
            Step::Asked(asked) => *asked,
            Step::Listing(listing) => {
                if line == b"." {
                    listing.finish(common, None, &mut out.client);
                    self.step = Step::Ready;
                } else {
                    let line = line.strip_prefix(b".").unwrap_or(line);
                    listing.line(line, common, None, &mut out.client).map_err(Broken::server)?;
                }
                return Ok(State::Authorization(self));
            }
            Step::Ready | Step::Challenged(..) | Step::Failed { .. } | Step::LoggedIn { .. } => {
                return Err(Broken::server("data that no command asked for"));
            }
        };
        if let Asked::Sasl(mechanism, exchange) = asked
            && let Some(challenge) = quirks::challenge(line)
        {
            exchange.challenge(challenge, out)?;
            self.step = Step::Challenged(mechanism, exchange);
            return Ok(State::Authorization(self));
        }
        let reply = Reply::parse(line).ok_or(Broken::server("an answer that is neither +OK nor -ERR"))?;
        match (asked, reply.status) {
            (Asked::User, Status::Ok) => {
                self.named = true;
                self.step = Step::Ready;
                reply.write(common.utf8, &mut out.client);
            }
            (Asked::User | Asked::Login | Asked::Sasl(..), Status::Err) => {
                return Ok(self.failed(reply, common, out));
            }
            (Asked::Sasl(_, exchange), Status::Ok) => {
                exchange.accepted()?;
                return Ok(self.logged_in(reply, common, out));
            }
            (Asked::Login, Status::Ok) => return Ok(self.logged_in(reply, common, out)),
            (Asked::List(listing), Status::Ok) => {
                self.step = Step::Listing(listing);
                reply.write(common.utf8, &mut out.client);
            }
            (Asked::Utf8, Status::Ok) => {
                common.utf8 = true;
                self.step = Step::Ready;
                reply.write(common.utf8, &mut out.client);
            }
            (Asked::Line, Status::Ok) | (Asked::List(_) | Asked::Utf8 | Asked::Line, Status::Err) => {
                self.step = Step::Ready;
                reply.write(common.utf8, &mut out.client);
            }
        }
        Ok(State::Authorization(self))
    }

    fn failed(mut self, reply: Reply<'_>, common: &Common, out: &mut Output) -> State {
        self.failures += 1;
        self.named = false;
        out.events.push(Event::LoginFailed { user: std::mem::take(&mut self.user) });
        let mut held = Vec::new();
        reply.write(common.utf8, &mut held);
        let until = common.now.saturating_add(common.settings.login.failure_delay);
        self.step = Step::Failed { until, reply: held, server_ended: false };
        self.tick(common, out)
    }

    /// The server hung up while the answer is held back.
    pub(super) fn without_server(mut self) -> Self {
        if let Step::Failed { server_ended, .. } = &mut self.step {
            *server_ended = true;
        }
        self
    }

    /// Answers a failed login when it is time.
    pub(super) fn tick(mut self, common: &Common, out: &mut Output) -> State {
        match &self.step {
            Step::Failed { until, reply, server_ended } if common.now >= *until => {
                out.client.extend_from_slice(reply);
                if self.failures >= common.settings.login.failure_limit {
                    return end(Close::LoginFailures, out);
                }
                if *server_ended {
                    return end(Close::ServerClosed, out);
                }
                self.step = Step::Ready;
            }
            Step::Failed { .. }
            | Step::Ready
            | Step::Asked(_)
            | Step::Listing(_)
            | Step::Challenged(..)
            | Step::LoggedIn { .. } => {}
        }
        State::Authorization(self)
    }

    fn logged_in(mut self, reply: Reply<'_>, common: &Common, out: &mut Output) -> State {
        out.events.push(Event::LoggedIn { user: std::mem::take(&mut self.user) });
        let reply = common.welcoming(reply);
        if common.settings.rules.download.scan {
            let mut held = Vec::new();
            reply.write(common.utf8, &mut held);
            self.step = Step::LoggedIn { reply: held };
            return State::Authorization(self);
        }
        reply.write(common.utf8, &mut out.client);
        State::Transaction(Transaction::default())
    }

    /// The driver knows this maildrop: now the client may learn of its login.
    pub(super) fn changed(self, changed: &[Changed], out: &mut Output) -> State {
        match &self.step {
            Step::LoggedIn { reply } => {
                out.client.extend_from_slice(reply);
                let mut transaction = Transaction::default();
                transaction.maildrop.learn(changed);
                State::Transaction(transaction)
            }
            Step::Ready | Step::Asked(_) | Step::Listing(_) | Step::Challenged(..) | Step::Failed { .. } => {
                State::Authorization(self)
            }
        }
    }

    fn learn_user(&mut self, mechanism: Mechanism, exchange: Exchange, response: &[u8]) {
        if let Some(user) = sasl::user(mechanism, exchange.is_first(), response) {
            self.user = user;
        }
    }
}
