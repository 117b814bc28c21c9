//! The states, and who of them does what. Each is a struct that owns what is true in it and moves to the next by
//! being consumed; a state that something is not meant for passes it by.
use super::authorization::Authorization;
use super::command::{Command, Verb};
use super::common::{Broken, Common};
use super::greeting::Greeting;
use super::late::Late;
use super::retrieval::Retrieval;
use super::transaction::Transaction;
use super::update::Update;
use crate::machine::{Changed, Close, Event, Greeted, Output, Verdict};
use std::time::Duration;
use texts::Answer;

/// Where the session is.
#[derive(Debug)]
pub(super) enum State {
    Greeting(Greeting),
    Authorization(Authorization),
    /// In a box, for it is short and large.
    Late(Box<Late>),
    Transaction(Transaction),
    Retrieval(Retrieval),
    Update(Update),
    /// `Close` was said, or a fault found.
    Ended,
}

/// What is expected of the server next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// Whatever it sends is a fault.
    Nothing,
    /// A line.
    Line,
    /// Octets of a mail.
    Mail,
}

/// A line of a SASL exchange, in octets with CRLF: room for the tokens of OAUTHBEARER, which RFC 7628 does not bound.
const SASL_LINE: usize = 12 * 1024;

impl State {
    pub(super) fn expects(&self) -> Expects {
        match self {
            Self::Greeting(_) | Self::Update(_) => Expects::Line,
            Self::Authorization(state) => state.expects(),
            Self::Late(state) => state.expects(),
            Self::Transaction(state) => state.expects(),
            Self::Retrieval(state) => state.expects(),
            Self::Ended => Expects::Nothing,
        }
    }

    /// While the driver decides, and while a mail is delivered, the server is not read.
    pub(super) const fn wants_server(&self) -> bool {
        match self {
            Self::Greeting(_) | Self::Transaction(_) | Self::Update(_) => true,
            Self::Authorization(state) => !state.is_holding(),
            Self::Late(state) => state.hears_server(),
            Self::Retrieval(state) => state.wants_server(),
            Self::Ended => false,
        }
    }

    /// Whether a command could be dealt with.
    pub(super) fn accepts(&self, common: &Common) -> bool {
        match self {
            Self::Authorization(state) => state.accepts(),
            Self::Late(state) => state.accepts(),
            Self::Transaction(state) => state.accepts(common),
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => false,
        }
    }

    /// Whether every command was answered.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Authorization(state) => state.accepts(),
            Self::Late(state) => state.accepts(),
            Self::Transaction(state) => state.is_idle(),
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => false,
        }
    }

    pub(super) const fn is_sasl(&self) -> bool {
        match self {
            Self::Authorization(state) => state.is_sasl(),
            Self::Late(state) => state.is_sasl(),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                false
            }
        }
    }

    pub(super) const fn is_between_answers(&self) -> bool {
        match self {
            Self::Greeting(_) | Self::Authorization(_) | Self::Late(_) | Self::Update(_) => {
                !matches!(self, Self::Authorization(state) if state.is_in_answer())
            }
            Self::Transaction(state) => !state.is_in_answer(),
            Self::Retrieval(state) => !state.wants_copy(),
            Self::Ended => false,
        }
    }

    pub(super) const fn is_before_login(&self) -> bool {
        matches!(self, Self::Greeting(_) | Self::Authorization(_) | Self::Late(_))
    }

    /// Whether it is a peer's turn, not the driver's.
    pub(super) const fn waits_for_peers(&self) -> bool {
        match self {
            Self::Greeting(_) | Self::Transaction(_) | Self::Update(_) => true,
            Self::Authorization(state) => !state.is_holding(),
            Self::Late(state) => !state.is_holding(),
            Self::Retrieval(state) => state.waits_for_peers(),
            Self::Ended => false,
        }
    }

    pub(super) fn server_line_limit(&self, common: &Common) -> usize {
        let limit = common.settings.rules.resp_line_len;
        if self.expects_challenge() { limit.max(SASL_LINE) } else { limit }
    }

    pub(super) fn client_line_limit(&self, common: &Common) -> usize {
        // AUTH carries an initial response (RFC 5034 section 4), so its line may be as long as a SASL line.
        let limit = common.settings.rules.cmd_line_len;
        if self.is_before_login() { limit.max(SASL_LINE) } else { limit }
    }

    pub(super) const fn expects_challenge(&self) -> bool {
        match self {
            Self::Authorization(state) => state.expects_challenge(),
            Self::Late(state) => state.expects_challenge(),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                false
            }
        }
    }

    pub(super) const fn due(&self) -> Option<Duration> {
        match self {
            Self::Authorization(state) => state.due(),
            Self::Late(state) => state.due(),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                None
            }
        }
    }

    /// Why a well-formed, permitted command has no place in this state.
    pub(super) fn objection(&self, command: &Command<'_>) -> Option<Answer> {
        let verb = command.verb();
        match self {
            Self::Authorization(state) => match verb {
                Verb::Pass if !state.has_user() => Some(Answer::UserFirst),
                Verb::User
                | Verb::Pass
                | Verb::Apop
                | Verb::Auth
                | Verb::Capa
                | Verb::Utf8
                | Verb::Lang
                | Verb::Stls
                | Verb::Quit => None,
                Verb::Stat
                | Verb::List
                | Verb::Uidl
                | Verb::Retr
                | Verb::Top
                | Verb::Dele
                | Verb::Rset
                | Verb::Noop
                | Verb::Last => Some(Answer::LogInFirst),
            },
            Self::Late(state) => match verb {
                Verb::Pass if !state.has_user() => Some(Answer::UserFirst),
                Verb::User | Verb::Pass | Verb::Auth | Verb::Capa | Verb::Stls | Verb::Quit => None,
                // What they ask for is the server's.
                Verb::Apop | Verb::Utf8 | Verb::Lang => Some(Answer::NotPermitted),
                Verb::Stat
                | Verb::List
                | Verb::Uidl
                | Verb::Retr
                | Verb::Top
                | Verb::Dele
                | Verb::Rset
                | Verb::Noop
                | Verb::Last => Some(Answer::LogInFirst),
            },
            Self::Transaction(_) => match verb {
                Verb::User | Verb::Pass | Verb::Apop | Verb::Auth | Verb::Stls => {
                    Some(Answer::AlreadyLoggedIn)
                }
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
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => Some(Answer::NotNow),
        }
    }

    pub(super) fn must_wait(&self, command: &Command<'_>, common: &Common) -> bool {
        matches!(self, Self::Transaction(state) if state.must_wait(command, common))
    }

    pub(super) fn command(self, command: &Command<'_>, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.command(command, out),
            Self::Late(state) => state.command(command, common, out),
            Self::Transaction(state) => state.command(command, common, out),
            Self::Greeting(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => self,
        }
    }

    pub(super) fn sasl_response(self, line: &[u8], common: &Common, out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.sasl_response(line, out),
            Self::Late(state) => state.sasl_response(line, common, out),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                self
            }
        }
    }

    pub(super) fn line(self, line: &[u8], common: &mut Common, out: &mut Output) -> Result<Self, Broken> {
        match self {
            Self::Greeting(state) => state.line(line, common, out),
            Self::Authorization(state) => state.line(line, common, out),
            Self::Late(state) => state.line(line, common, out),
            Self::Transaction(state) => state.line(line, common, out),
            Self::Retrieval(state) => state.line(line, common, out),
            Self::Update(state) => state.line(line, common, out),
            Self::Ended => Ok(self),
        }
    }

    /// Takes octets of a mail; how many.
    pub(super) fn mail(self, bytes: &[u8], common: &mut Common, out: &mut Output) -> (Self, usize) {
        match self {
            Self::Transaction(state) => state.mail(bytes, out),
            Self::Retrieval(state) => state.mail(bytes, common, out),
            Self::Greeting(_) | Self::Authorization(_) | Self::Late(_) | Self::Update(_) | Self::Ended => {
                (self, bytes.len())
            }
        }
    }

    pub(super) fn changed(self, changed: &[Changed], out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.changed(changed, out),
            Self::Late(state) => state.changed(changed, out),
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

    /// The late plan's server is there.
    pub(super) fn server_ready(self, greeted: Greeted, out: &mut Output) -> Self {
        match self {
            Self::Late(state) => state.server_ready(greeted, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Transaction(_)
            | Self::Retrieval(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    /// There is none.
    pub(super) fn no_server(self, why: Answer, common: &Common, out: &mut Output) -> Self {
        match self {
            Self::Late(state) => state.no_server(why, common, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Transaction(_)
            | Self::Retrieval(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    /// What is to be done before the client's next command.
    pub(super) fn go_on(self, common: &Common, out: &mut Output) -> Self {
        match self {
            Self::Transaction(state) => state.go_on(common, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Late(_)
            | Self::Retrieval(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    pub(super) fn kept(self, number: u32) -> Self {
        match self {
            Self::Transaction(mut state) => {
                state.maildrop.keep(number);
                Self::Transaction(state)
            }
            Self::Retrieval(mut state) => {
                state.keep(number);
                Self::Retrieval(state)
            }
            Self::Greeting(_) | Self::Late(_) | Self::Authorization(_) | Self::Update(_) | Self::Ended => {
                self
            }
        }
    }

    pub(super) fn pull(self, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Retrieval(state) => state.pull(common, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Late(_)
            | Self::Transaction(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    pub(super) fn judged(self, verdict: Verdict, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Retrieval(state) => state.judged(verdict, common, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Late(_)
            | Self::Transaction(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    pub(super) fn copy(self, piece: &[u8], out: &mut Output) -> Self {
        match self {
            Self::Retrieval(state) => state.copy(piece, out),
            Self::Greeting(_)
            | Self::Authorization(_)
            | Self::Late(_)
            | Self::Transaction(_)
            | Self::Update(_)
            | Self::Ended => self,
        }
    }

    pub(super) fn tick(self, common: &mut Common, out: &mut Output) -> Self {
        match self {
            Self::Authorization(state) => state.tick(common, out),
            Self::Late(state) => state.tick(common, out),
            Self::Greeting(_) | Self::Transaction(_) | Self::Retrieval(_) | Self::Update(_) | Self::Ended => {
                self
            }
        }
    }
}

/// Says that the session ends.
pub(super) fn end(why: Close, out: &mut Output) -> State {
    out.events.push(Event::Close(why));
    State::Ended
}
