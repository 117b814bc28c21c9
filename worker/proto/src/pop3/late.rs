//! AUTHORIZATION in the late plan: the client's name decides which server it gets, so that its login is taken here, kept,
//! and completed with the server once the driver has it (RFC 1939 section 7, RFC 5034). Whatever fails is answered in the
//! client's turn; each attempt has a server connection of its own.
use super::command::{Command, Secret};
use super::common::{Broken, Common};
use super::reply::{Reply, Status};
use super::sasl::{decode, encode};
use super::state::{Expects, State, end};
use super::transaction::Transaction;
use crate::capability::{Capability, Mechanism};
use crate::credentials::{Credentials, Password};
use crate::machine::{Changed, Close, Event, Greeted, Output};
use crate::quirks;
use std::time::Duration;
use texts::Answer;

/// Octets of a name; longer ones are nobody's.
const MAX_USER: usize = 512;
/// The mechanisms whose messages can be taken here and said again there.
const MECHANISMS: &[u8] = b"PLAIN LOGIN";
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
    Exchange(Exchange),
    /// The driver's turn: the server of this login.
    Wanted(Credentials),
    /// The server's turn: its greeting.
    Greeting(Credentials),
    /// The server's turn: USER.
    Named(Password),
    /// The server's turn: the challenge of AUTH PLAIN, which is empty.
    Challenge(Password),
    /// The server's turn: the password.
    Login,
    /// A failed login, not yet told.
    Failed { until: Duration, reply: Vec<u8>, close: Option<Close> },
    /// A login that the client learns of when the driver said which mails were served changed.
    LoggedIn { reply: Vec<u8> },
}

#[derive(Debug)]
enum Exchange {
    Plain,
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
        matches!(self.step, Step::Greeting(_) | Step::Named(_) | Step::Challenge(_) | Step::Login)
    }

    pub(super) const fn accepts(&self) -> bool {
        matches!(self.step, Step::Ready | Step::Exchange(_))
    }

    pub(super) const fn is_sasl(&self) -> bool {
        matches!(self.step, Step::Exchange(_))
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
            | Step::Exchange(_)
            | Step::Wanted(_)
            | Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge(_)
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
            Command::Auth(Mechanism::Plain, initial) => {
                return self.exchange(Exchange::Plain, *initial, common, out);
            }
            Command::Auth(Mechanism::Login, initial) => {
                return self.exchange(Exchange::Name, *initial, common, out);
            }
            Command::Auth(..) => common.say(Answer::MechanismNotAvailable, &mut out.client),
            Command::AuthList => {
                out.client.extend_from_slice(b"+OK\r\n");
                for mechanism in MECHANISMS.split(|octet| *octet == b' ') {
                    out.client.extend_from_slice(mechanism);
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
        exchange: Exchange,
        initial: Option<Secret<'_>>,
        common: &Common,
        out: &mut Output,
    ) -> State {
        self.named = None;
        if let Some(Secret(initial)) = initial {
            self.step = Step::Exchange(exchange);
            return self.sasl_response(initial, common, out);
        }
        self.challenge(exchange, out)
    }

    fn challenge(mut self, exchange: Exchange, out: &mut Output) -> State {
        out.client.extend_from_slice(match exchange {
            Exchange::Plain => b"+ \r\n",
            // Clients that know LOGIN know these two, "Username:" and "Password:".
            Exchange::Name => b"+ VXNlcm5hbWU6\r\n",
            Exchange::PasswordOf(_) => b"+ UGFzc3dvcmQ6\r\n",
        });
        self.step = Step::Exchange(exchange);
        State::Late(Box::new(self))
    }

    /// A line of the client in a SASL exchange. `*`, and whatever is not base64, ends it.
    pub(super) fn sasl_response(mut self, line: &[u8], common: &Common, out: &mut Output) -> State {
        let Step::Exchange(exchange) = std::mem::take(&mut self.step) else {
            return State::Late(Box::new(self));
        };
        let response = decode(line).filter(|response| !response.is_empty());
        let credentials = match (exchange, response) {
            (Exchange::Plain, Some(message)) => Credentials::of_plain(&message),
            (Exchange::Name, Some(user)) if user.len() <= MAX_USER => {
                return self.challenge(Exchange::PasswordOf(user.to_vec()), out);
            }
            (Exchange::PasswordOf(user), Some(password)) => Credentials::of_login(&user, &password),
            (Exchange::Name, Some(_)) | (_, None) => None,
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

    /// The server is there.
    pub(super) fn server_ready(mut self, greeted: Greeted, out: &mut Output) -> State {
        match std::mem::take(&mut self.step) {
            Step::Wanted(credentials) => match greeted {
                Greeted::ByServer | Greeted::BeforeServer => {
                    self.step = Step::Greeting(credentials);
                    State::Late(Box::new(self))
                }
                Greeted::ByUs => self.begin(credentials, out),
            },
            // Nobody asked for one.
            step @ (Step::Ready
            | Step::Exchange(_)
            | Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge(_)
            | Step::Login
            | Step::Failed { .. }
            | Step::LoggedIn { .. }) => {
                self.step = step;
                State::Late(Box::new(self))
            }
        }
    }

    /// There is none. Who may not log in hears what somebody with a wrong password hears.
    pub(super) fn no_server(mut self, why: Answer, common: &Common, out: &mut Output) -> State {
        if !matches!(self.step, Step::Wanted(_)) {
            return State::Late(Box::new(self));
        }
        let mut reply = Vec::new();
        if why == Answer::SessionDenied {
            common.say(Answer::LoginFailed, &mut reply);
            return self.failed(reply, Some(Close::Denied), common, out);
        }
        self.step = Step::Ready;
        common.say(why, &mut out.client);
        State::Late(Box::new(self))
    }

    fn begin(mut self, credentials: Credentials, out: &mut Output) -> State {
        self.step = match credentials {
            Credentials::Plain { user, password } => {
                Command::User(&user).write(&mut out.server);
                Step::Named(password)
            }
            // Not in one line with AUTH: RFC 5034 section 4 bounds that one to 255 octets.
            Credentials::Sasl { message, .. } => {
                Command::Auth(Mechanism::Plain, None).write(&mut out.server);
                Step::Challenge(message)
            }
        };
        State::Late(Box::new(self))
    }

    pub(super) fn line(
        mut self,
        line: &[u8],
        common: &mut Common,
        out: &mut Output,
    ) -> Result<State, Broken> {
        let step = std::mem::take(&mut self.step);
        if let Step::Challenge(message) = step {
            if quirks::challenge(line).is_some() {
                let encoded = encode(message.reveal());
                out.server.extend_from_slice(&encoded);
                out.server.extend_from_slice(b"\r\n");
                self.step = Step::Login;
                return Ok(State::Late(Box::new(self)));
            }
            let reply = Reply::parse(line).filter(|reply| reply.status == Status::Err);
            let reply = reply.ok_or(Broken::server("neither a challenge nor -ERR to AUTH"))?;
            return Ok(self.refused(reply, common, out));
        }
        let reply = Reply::parse(line).ok_or(Broken::server("an answer that is neither +OK nor -ERR"))?;
        match (step, reply.status) {
            (Step::Greeting(credentials), Status::Ok) => Ok(self.begin(credentials, out)),
            (Step::Greeting(_), Status::Err) => {
                self.step = Step::Ready;
                common.say(Answer::ServerUnreachable, &mut out.client);
                Ok(State::Late(Box::new(self)))
            }
            (Step::Named(password), Status::Ok) => {
                Command::Pass(Secret(password.reveal())).write(&mut out.server);
                self.step = Step::Login;
                Ok(State::Late(Box::new(self)))
            }
            (Step::Named(_) | Step::Login, Status::Err) => Ok(self.refused(reply, common, out)),
            (Step::Login, Status::Ok) => Ok(self.logged_in(reply, common, out)),
            (
                Step::Ready
                | Step::Exchange(_)
                | Step::Wanted(_)
                | Step::Challenge(_)
                | Step::Failed { .. }
                | Step::LoggedIn { .. },
                Status::Ok | Status::Err,
            ) => Err(Broken::server("data that no command asked for")),
        }
    }

    fn refused(self, reply: Reply<'_>, common: &Common, out: &mut Output) -> State {
        let mut held = Vec::new();
        reply.write(common.utf8, &mut held);
        self.failed(held, None, common, out)
    }

    fn failed(mut self, reply: Vec<u8>, close: Option<Close>, common: &Common, out: &mut Output) -> State {
        self.failures += 1;
        out.events.push(Event::LoginFailed { user: std::mem::take(&mut self.user) });
        let until = common.now.saturating_add(common.settings.login.failure_delay);
        self.step = Step::Failed { until, reply, close };
        self.tick(common, out)
    }

    /// The server hung up. Where it was its turn the login is over; at any other time its connection was of no use any more.
    pub(super) fn without_server(mut self, common: &Common, out: &mut Output) -> State {
        match self.step {
            Step::Greeting(_) | Step::Named(_) | Step::Challenge(_) | Step::Login => {
                self.step = Step::Ready;
                common.say(Answer::ServerClosed, &mut out.client);
                State::Late(Box::new(self))
            }
            // The login is of a session that is gone.
            Step::LoggedIn { .. } => end(Close::ServerClosed, out),
            Step::Ready | Step::Exchange(_) | Step::Wanted(_) | Step::Failed { .. } => {
                State::Late(Box::new(self))
            }
        }
    }

    /// Answers a failed login when it is time.
    pub(super) fn tick(mut self, common: &Common, out: &mut Output) -> State {
        match &self.step {
            Step::Failed { until, reply, close } if common.now >= *until => {
                out.client.extend_from_slice(reply);
                if let Some(close) = close {
                    return end(*close, out);
                }
                if self.failures >= common.settings.login.failure_limit {
                    return end(Close::LoginFailures, out);
                }
                self.step = Step::Ready;
            }
            Step::Failed { .. }
            | Step::Ready
            | Step::Exchange(_)
            | Step::Wanted(_)
            | Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge(_)
            | Step::Login
            | Step::LoggedIn { .. } => {}
        }
        State::Late(Box::new(self))
    }

    fn logged_in(mut self, reply: Reply<'_>, common: &Common, out: &mut Output) -> State {
        out.events.push(Event::LoggedIn { user: std::mem::take(&mut self.user) });
        let reply = common.welcoming(reply);
        if common.settings.rules.download.scan {
            let mut held = Vec::new();
            reply.write(common.utf8, &mut held);
            self.step = Step::LoggedIn { reply: held };
            return State::Late(Box::new(self));
        }
        reply.write(common.utf8, &mut out.client);
        State::Transaction(Transaction::default())
    }

    /// The driver knows this maildrop: now the client may learn of its login.
    pub(super) fn changed(self, changed: &[Changed], out: &mut Output) -> State {
        let Step::LoggedIn { reply } = &self.step else { return State::Late(Box::new(self)) };
        out.client.extend_from_slice(reply);
        let mut transaction = Transaction::default();
        transaction.maildrop.learn(changed);
        State::Transaction(transaction)
    }
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
            line(&[Capability::Sasl.name().as_bytes(), MECHANISMS]);
        }
    }
    if common.security.is_offered() {
        line(&[b"STLS"]);
    }
    line(&[b"."]);
}
