//! AUTHORIZATION in the late plan: the client's name decides which server it gets, so that its login is taken here, kept,
//! and completed with the server once the driver has it (RFC 1939 section 7, RFC 5034). Whatever fails is answered in the
//! client's turn; each attempt has a server connection of its own.
mod server;

use super::command::{Command, Secret};
use super::common::Common;
use super::exchange::Exchange;
use super::sasl::decode;
use super::state::{Expects, State, end};
use crate::capability::{Capability, Mechanism};
use crate::credentials::{Credentials, MAX_USER, Password};
use crate::machine::{Close, Event, Output};
use std::time::Duration;
use texts::Answer;

/// What POP3 servers have; a client that meets one without asks in vain.
const ANNOUNCED: [Capability; 5] = [
    Capability::Top,
    Capability::Uidl,
    Capability::Pipelining,
    Capability::RespCodes,
    Capability::AuthRespCode,
];

/// Not logged in, and without a server.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// The name of the last USER.
    named: Option<Vec<u8>>,
    /// The name of this login attempt.
    user: Vec<u8>,
    failures: u32,
    step: Step,
}

#[derive(Debug, Default)]
enum Step {
    /// The client's turn.
    #[default]
    Ready,
    /// The client's turn in a SASL exchange.
    Taking(Taken),
    /// The driver's turn: the server of this login.
    Wanted(Credentials),
    /// The server's turn: its greeting.
    Greeting(Credentials),
    /// The server's turn: USER.
    Named(Password),
    /// The server's turn: the challenge behind AUTH, which is empty.
    Challenge { mechanism: Mechanism, message: Password },
    /// The server's turn in a SASL exchange that is relayed.
    Asked(Exchange),
    /// The client's turn in it.
    Challenged(Exchange),
    /// The server's turn: the password.
    Login,
    /// A failed login, not yet told.
    Failed { until: Duration, reply: Vec<u8>, close: Option<Close> },
    /// A login that the client learns of when the driver said which mails were served changed.
    LoggedIn { reply: Vec<u8> },
}

#[derive(Debug)]
enum Taken {
    /// The message of this mechanism comes.
    Message(Mechanism),
    /// LOGIN: the name comes.
    Name,
    /// LOGIN: the password of this user comes.
    PasswordOf(Vec<u8>),
}

impl Late {
    /// Nothing was said yet, and so many logins have failed before.
    pub(super) fn after(failures: u32) -> Self {
        Self { failures, ..Self::default() }
    }

    /// Logins that failed.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) const fn expects(&self) -> Expects {
        if self.hears_server() { Expects::Line } else { Expects::Nothing }
    }

    /// Whether it is the server's turn. At any other time it is not read.
    pub(super) const fn hears_server(&self) -> bool {
        matches!(
            self.step,
            Step::Greeting(_) | Step::Named(_) | Step::Challenge { .. } | Step::Asked(_) | Step::Login
        )
    }

    pub(super) const fn accepts(&self) -> bool {
        matches!(self.step, Step::Ready | Step::Taking(_) | Step::Challenged(_))
    }

    pub(super) const fn is_sasl(&self) -> bool {
        matches!(self.step, Step::Taking(_) | Step::Challenged(_))
    }

    pub(super) const fn expects_challenge(&self) -> bool {
        matches!(self.step, Step::Challenge { .. } | Step::Asked(_))
    }

    /// Whether the driver or the clock is awaited, not a peer.
    pub(super) const fn is_holding(&self) -> bool {
        matches!(self.step, Step::Wanted(_) | Step::Failed { .. } | Step::LoggedIn { .. })
    }

    /// Whether PASS has its place.
    pub(super) const fn has_user(&self) -> bool {
        self.named.is_some()
    }

    pub(super) const fn due(&self) -> Option<Duration> {
        match &self.step {
            Step::Failed { until, .. } => Some(*until),
            Step::Ready
            | Step::Taking(_)
            | Step::Wanted(_)
            | Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge { .. }
            | Step::Asked(_)
            | Step::Challenged(_)
            | Step::Login
            | Step::LoggedIn { .. } => None,
        }
    }

    pub(super) fn command(mut self, command: &Command<'_>, common: &Common, out: &mut Output) -> State {
        match command {
            Command::User(name) if name.len() <= MAX_USER => {
                // Whether there is such a user is nobody's business before the password.
                self.named = Some(name.to_vec());
                out.client.extend_from_slice(b"+OK\r\n");
            }
            Command::User(_) => common.say(Answer::MalformedArgument, &mut out.client),
            Command::Pass(Secret(password)) => {
                if let Some(user) = self.named.take() {
                    let password = Password::new(*password);
                    return self.want(Credentials::Plain { user, password }, out);
                }
            }
            Command::Auth(mechanism, initial) if mechanisms(common).any(|taken| taken == *mechanism) => {
                let exchange =
                    if *mechanism == Mechanism::Login { Taken::Name } else { Taken::Message(*mechanism) };
                return self.exchange(exchange, *initial, common, out);
            }
            Command::Auth(..) => common.say(Answer::MechanismNotAvailable, &mut out.client),
            Command::AuthList => {
                out.client.extend_from_slice(b"+OK\r\n");
                for mechanism in mechanisms(common) {
                    out.client.extend_from_slice(mechanism.name().as_bytes());
                    out.client.extend_from_slice(b"\r\n");
                }
                out.client.extend_from_slice(b".\r\n");
            }
            Command::Capa => capabilities(common, &mut out.client),
            Command::Quit => {
                out.client.extend_from_slice(b"+OK\r\n");
                return end(Close::Quit, out);
            }
            // Refused, or dealt with, before it came here.
            Command::Apop(..)
            | Command::Lang(_)
            | Command::Utf8
            | Command::Stls
            | Command::Stat
            | Command::List(_)
            | Command::Uidl(_)
            | Command::Retr(_)
            | Command::Top(..)
            | Command::Dele(_)
            | Command::Rset
            | Command::Noop
            | Command::Last => {}
        }
        State::Late(Box::new(self))
    }

    /// Begins a SASL exchange, or goes on with the response that came with AUTH.
    fn exchange(
        mut self,
        exchange: Taken,
        initial: Option<Secret<'_>>,
        common: &Common,
        out: &mut Output,
    ) -> State {
        self.named = None;
        if let Some(Secret(initial)) = initial {
            self.step = Step::Taking(exchange);
            return self.sasl_response(initial, common, out);
        }
        self.challenge(exchange, out)
    }

    fn challenge(mut self, exchange: Taken, out: &mut Output) -> State {
        out.client.extend_from_slice(match exchange {
            Taken::Message(_) => b"+ \r\n",
            // Clients that know LOGIN know these two, "Username:" and "Password:".
            Taken::Name => b"+ VXNlcm5hbWU6\r\n",
            Taken::PasswordOf(_) => b"+ UGFzc3dvcmQ6\r\n",
        });
        self.step = Step::Taking(exchange);
        State::Late(Box::new(self))
    }

    /// A line of the client in a SASL exchange. `*`, and whatever is not base64, ends it.
    pub(super) fn sasl_response(mut self, line: &[u8], common: &Common, out: &mut Output) -> State {
        let exchange = match std::mem::take(&mut self.step) {
            Step::Taking(exchange) => exchange,
            Step::Challenged(relayed) => {
                self.step = Step::Asked(relayed.respond(line, out));
                return State::Late(Box::new(self));
            }
            other @ (Step::Ready
            | Step::Wanted(_)
            | Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge { .. }
            | Step::Asked(_)
            | Step::Login
            | Step::Failed { .. }
            | Step::LoggedIn { .. }) => {
                self.step = other;
                return State::Late(Box::new(self));
            }
        };
        let response = decode(line).filter(|response| !response.is_empty());
        let credentials = match (exchange, response) {
            (Taken::Message(mechanism), Some(message)) => Credentials::of_message(mechanism, &message),
            (Taken::Name, Some(user)) if user.len() <= MAX_USER => {
                return self.challenge(Taken::PasswordOf(user.to_vec()), out);
            }
            (Taken::PasswordOf(user), Some(password)) => Credentials::of_login(&user, &password),
            (Taken::Name, Some(_)) | (_, None) => None,
        };
        match credentials.filter(|credentials| credentials.user().len() <= MAX_USER) {
            Some(credentials) => self.want(credentials, out),
            None => {
                common.say(Answer::MalformedArgument, &mut out.client);
                State::Late(Box::new(self))
            }
        }
    }

    fn want(mut self, credentials: Credentials, out: &mut Output) -> State {
        self.named = None;
        self.user = credentials.user().to_vec();
        out.events.push(Event::WantServer { user: self.user.clone() });
        self.step = Step::Wanted(credentials);
        State::Late(Box::new(self))
    }
}

/// What can be taken here and said again there.
fn mechanisms(common: &Common) -> impl Iterator<Item = Mechanism> {
    Mechanism::before_server(common.welcome.as_deref().map(|welcome| &welcome.capabilities))
}

/// The answer to CAPA (RFC 2449 section 5): what is true of Mailward, as far as the rules permit it.
fn capabilities(common: &Common, out: &mut Vec<u8>) {
    let mut line = |words: &[&[u8]]| {
        out.extend_from_slice(&words.join(&b' '));
        out.extend_from_slice(b"\r\n");
    };
    line(&[b"+OK"]);
    for capability in ANNOUNCED.into_iter().filter(|capability| common.capabilities.contains(*capability)) {
        line(&[capability.name().as_bytes()]);
    }
    if !common.is_shut() {
        if common.capabilities.contains(Capability::User) {
            line(&[Capability::User.name().as_bytes()]);
        }
        if common.capabilities.contains(Capability::Sasl) {
            let mechanisms = mechanisms(common).map(|mechanism| mechanism.name().as_bytes());
            let words: Vec<&[u8]> =
                std::iter::once(Capability::Sasl.name().as_bytes()).chain(mechanisms).collect();
            line(&words);
        }
    }
    if common.security.is_offered() {
        line(&[b"STLS"]);
    }
    line(&[b"."]);
}
