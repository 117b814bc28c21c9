//! The late plan with the server of a name: the login goes to it as the client gave it, and what it says to that is answered in the
//! client's turn.
use super::{Late, Step};
use crate::capability::Mechanism;
use crate::credentials::Credentials;
use crate::machine::{Changed, Close, Event, Greeted, Output};
use crate::pop3::command::{Command, Secret};
use crate::pop3::common::{Broken, Common};
use crate::pop3::exchange::Exchange;
use crate::pop3::reply::{Reply, Status};
use crate::pop3::sasl::encode;
use crate::pop3::state::{State, end};
use crate::pop3::transaction::Transaction;
use crate::quirks;
use texts::Answer;

impl Late {
    /// The server is there.
    pub(in crate::pop3) fn server_ready(mut self, greeted: Greeted, out: &mut Output) -> State {
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
            | Step::Taking(_)
            | Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge { .. }
            | Step::Asked(_)
            | Step::Challenged(_)
            | Step::Login
            | Step::Failed { .. }
            | Step::LoggedIn { .. }) => {
                self.step = step;
                State::Late(Box::new(self))
            }
        }
    }

    /// There is none. Who may not log in hears what somebody with a wrong password hears.
    pub(in crate::pop3) fn no_server(mut self, why: Answer, common: &Common, out: &mut Output) -> State {
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
            Credentials::Sasl { mechanism, message, .. } => {
                Command::Auth(mechanism, None).write(&mut out.server);
                Step::Challenge { mechanism, message }
            }
        };
        State::Late(Box::new(self))
    }

    pub(in crate::pop3) fn line(
        mut self,
        line: &[u8],
        common: &mut Common,
        out: &mut Output,
    ) -> Result<State, Broken> {
        let step = std::mem::take(&mut self.step);
        match (&step, quirks::challenge(line)) {
            (Step::Challenge { mechanism, message }, Some(_)) => {
                out.server.extend_from_slice(&encode(message.reveal()));
                out.server.extend_from_slice(b"\r\n");
                let over = *mechanism == Mechanism::Plain;
                self.step = if over { Step::Login } else { Step::Asked(Exchange::behind_the_first()) };
                return Ok(State::Late(Box::new(self)));
            }
            (Step::Asked(exchange), Some(challenge)) => {
                exchange.challenge(challenge, out)?;
                self.step = Step::Challenged(*exchange);
                return Ok(State::Late(Box::new(self)));
            }
            _other => {}
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
            (Step::Named(_) | Step::Challenge { .. } | Step::Asked(_) | Step::Login, Status::Err) => {
                Ok(self.refused(reply, common, out))
            }
            (Step::Challenge { .. }, Status::Ok) => {
                Err(Broken::server("neither a challenge nor -ERR to AUTH"))
            }
            (Step::Asked(exchange), Status::Ok) => {
                exchange.accepted()?;
                Ok(self.logged_in(reply, common, out))
            }
            (Step::Login, Status::Ok) => Ok(self.logged_in(reply, common, out)),
            (
                Step::Ready
                | Step::Taking(_)
                | Step::Wanted(_)
                | Step::Challenged(_)
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
    pub(in crate::pop3) fn without_server(mut self, common: &Common, out: &mut Output) -> State {
        match self.step {
            Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge { .. }
            | Step::Asked(_)
            | Step::Challenged(_)
            | Step::Login => {
                self.step = Step::Ready;
                common.say(Answer::ServerClosed, &mut out.client);
                State::Late(Box::new(self))
            }
            // The login is of a session that is gone.
            Step::LoggedIn { .. } => end(Close::ServerClosed, out),
            Step::Ready | Step::Taking(_) | Step::Wanted(_) | Step::Failed { .. } => {
                State::Late(Box::new(self))
            }
        }
    }

    /// Answers a failed login when it is time.
    pub(in crate::pop3) fn tick(mut self, common: &Common, out: &mut Output) -> State {
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
            | Step::Taking(_)
            | Step::Wanted(_)
            | Step::Greeting(_)
            | Step::Named(_)
            | Step::Challenge { .. }
            | Step::Asked(_)
            | Step::Challenged(_)
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
    pub(in crate::pop3) fn changed(self, changed: &[Changed], out: &mut Output) -> State {
        let Step::LoggedIn { reply } = &self.step else { return State::Late(Box::new(self)) };
        out.client.extend_from_slice(reply);
        let mut transaction = Transaction::default();
        transaction.maildrop.learn(changed);
        State::Transaction(transaction)
    }
}
