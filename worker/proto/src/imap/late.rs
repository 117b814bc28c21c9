//! Not authenticated in the late plan: the client's name decides which server it gets, so that its login is taken here, kept, and
//! completed with the server once the driver has it (RFC 9051 section 6.2). Each attempt has a server connection of its own.
use super::answer::say;
use super::command::{Body, Command};
use super::common::Broken;
use super::core::{Core, Phase};
use super::outstanding::{Exchange, Purpose};
use super::response::code::Code;
use super::response::{Response, Status, StatusKind};
use super::verb::Verb;
use crate::capability::Mechanism;
use crate::credentials::{Credentials, MAX_USER, Password};
use crate::machine::{Close, Event, Greeted, Output};
use crate::pop3::sasl::{decode, encode};
use texts::Answer;

/// What is announced without knowing the server, besides the mechanisms.
const ANNOUNCED: [&str; 4] = ["IMAP4rev1", "SASL-IR", "LITERAL-", "ID"];

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) enum Late {
    /// The client's.
    #[default]
    Ready,
    /// The client's, in a SASL exchange; the tag of AUTHENTICATE, and the name once LOGIN told it.
    Exchange { tag: Box<[u8]>, mechanism: Mechanism, user: Option<Vec<u8>> },
    /// The driver's: the server of this login.
    Wanted { tag: Box<[u8]>, login: Credentials },
    /// The server's: its greeting.
    Greeting { tag: Box<[u8]>, login: Credentials },
    /// The server's: `+`, behind which the first message is due.
    Challenge { mechanism: Mechanism, message: Password },
    /// The server's: the answer to the login.
    Login,
    /// Both: the rest of a SASL exchange is relayed.
    Relayed,
}

impl Late {
    /// Whether the server is heard.
    pub(super) const fn hears_server(&self) -> bool {
        matches!(self, Self::Greeting { .. } | Self::Challenge { .. } | Self::Login | Self::Relayed)
    }

    /// Whether the client is heard.
    pub(super) const fn hears_client(&self) -> bool {
        matches!(self, Self::Ready | Self::Exchange { .. } | Self::Relayed)
    }

    /// Whether the client's next line is no command.
    pub(super) const fn is_exchange(&self) -> bool {
        matches!(self, Self::Exchange { .. })
    }
}

impl Core {
    /// A command before the login; there is no server that it could be sent to.
    pub(super) fn run_late(&mut self, command: &Command<'_>, out: &mut Output) {
        let tag = command.tag;
        match (&command.body, command.verb) {
            (Body::Login { user, .. }, _) if user.bytes().len() > MAX_USER => {
                self.common_say(Some(tag), Answer::MalformedArgument, out);
            }
            (Body::Login { user, password }, _) => {
                let user = user.bytes().to_vec();
                let password = Password::new(password.0.bytes());
                self.want(tag.into(), Credentials::Plain { user, password }, out);
            }
            (Body::Authenticate { mechanism, initial }, _) => {
                let Some(mechanism) = self.taken(mechanism) else {
                    return self.common_say(Some(tag), Answer::MechanismNotAvailable, out);
                };
                self.late = Some(Box::new(Late::Exchange { tag: tag.into(), mechanism, user: None }));
                match initial {
                    Some(initial) => self.late_response(initial.0, out),
                    None => self.challenge(out),
                }
            }
            (_, Verb::Capability) => {
                let line = self.late_capabilities();
                self.outbox.say(out, |octets| {
                    octets.extend_from_slice(b"* ");
                    octets.extend_from_slice(&line);
                    octets.extend_from_slice(b"\r\n");
                });
                self.say_done(tag, out);
            }
            (_, Verb::Id) => {
                self.outbox.say(out, |octets| octets.extend_from_slice(b"* ID NIL\r\n"));
                self.say_done(tag, out);
            }
            (_, Verb::Logout) => {
                self.outbox.say(out, |octets| octets.extend_from_slice(b"* BYE until next time\r\n"));
                self.say_done(tag, out);
                self.close(Close::Quit, None, out);
            }
            _noop => self.say_done(tag, out),
        }
    }

    /// A mechanism whose login can be taken here.
    fn taken(&self, name: &[u8]) -> Option<Mechanism> {
        let wanted = Mechanism::named(name)?;
        Mechanism::before_server(Some(&self.common.welcome.capabilities)).find(|taken| *taken == wanted)
    }

    /// `CAPABILITY …` without knowing the server.
    pub(super) fn late_capabilities(&self) -> Vec<u8> {
        let mechanisms = Mechanism::before_server(Some(&self.common.welcome.capabilities));
        let mechanisms = mechanisms.map(|mechanism| format!("AUTH={}", mechanism.name()));
        let words: Vec<String> = ANNOUNCED.into_iter().map(str::to_owned).chain(mechanisms).collect();
        self.common.announce_words(words.iter().map(String::as_bytes))
    }

    fn say_done(&mut self, tag: &[u8], out: &mut Output) {
        self.outbox.say(out, |octets| {
            octets.extend_from_slice(tag);
            octets.extend_from_slice(b" OK done\r\n");
        });
    }

    fn challenge(&mut self, out: &mut Output) {
        let Some(Late::Exchange { mechanism, user, .. }) = self.late.as_deref() else { return };
        let challenge: &[u8] = match (mechanism, user) {
            // Clients that know LOGIN know these two, "Username:" and "Password:".
            (Mechanism::Login, None) => b"+ VXNlcm5hbWU6\r\n",
            (Mechanism::Login, Some(_)) => b"+ UGFzc3dvcmQ6\r\n",
            _message => b"+ \r\n",
        };
        self.outbox.say(out, |octets| octets.extend_from_slice(challenge));
    }

    /// A line of the client in a SASL exchange. `*`, and whatever is not base64, ends it.
    pub(super) fn late_response(&mut self, line: &[u8], out: &mut Output) {
        let Some(Late::Exchange { tag, mechanism, user }) = self.late.take().map(|late| *late) else {
            return;
        };
        let response = decode(line).filter(|response| !response.is_empty());
        let credentials = match (mechanism, user, response) {
            (Mechanism::Login, None, Some(name)) if name.len() <= MAX_USER => {
                let user = Some(name.to_vec());
                self.late = Some(Box::new(Late::Exchange { tag, mechanism, user }));
                return self.challenge(out);
            }
            (Mechanism::Login, Some(user), Some(password)) => Credentials::of_login(&user, &password),
            (mechanism, _, Some(message)) => Credentials::of_message(mechanism, &message),
            _none => None,
        };
        match credentials.filter(|login| login.user().len() <= MAX_USER) {
            Some(login) => self.want(tag, login, out),
            None => {
                self.late = Some(Box::default());
                self.common_say(Some(&tag), Answer::MalformedArgument, out);
            }
        }
    }

    fn want(&mut self, tag: Box<[u8]>, login: Credentials, out: &mut Output) {
        out.events.push(Event::WantServer { user: login.user().to_vec() });
        self.late = Some(Box::new(Late::Wanted { tag, login }));
    }

    /// The server is there. What the one before said counts no more.
    pub(super) fn server_ready(&mut self, greeted: Greeted, out: &mut Output) {
        self.upstream.give_up();
        self.outstanding.forget_hops();
        self.common.literals = super::write::Literals::default();
        self.common.server_takes_id = false;
        match self.late.take().map(|late| *late) {
            Some(Late::Wanted { tag, login }) if greeted == Greeted::ByUs => self.log_in(&tag, login, out),
            Some(Late::Wanted { tag, login }) => {
                self.late = Some(Box::new(Late::Greeting { tag, login }));
            }
            other => self.late = other.map(Box::new),
        }
    }

    /// There is none. Who may not log in hears what somebody with a wrong password hears.
    pub(super) fn no_server(&mut self, why: Answer, out: &mut Output) {
        let Some(Late::Wanted { tag, login }) =
            self.late.take_if(|late| matches!(**late, Late::Wanted { .. })).map(|late| *late)
        else {
            return;
        };
        self.late = Some(Box::default());
        if why == Answer::SessionDenied {
            let mut words = Vec::new();
            say(Some(&tag), Answer::LoginFailed, self.common.language, self.common.utf8, &mut words);
            self.denied = true;
            return self.login_failed(login.user().to_vec(), words, out);
        }
        self.common_say(Some(&tag), why, out);
    }

    /// The login, in the form in which the client gave it.
    fn log_in(&mut self, tag: &[u8], login: Credentials, out: &mut Output) {
        self.tell_hops(out);
        let user = login.user().to_vec();
        let mut sasl = None;
        let (literals, utf8) = (self.common.literals, self.common.utf8);
        let (number, verb) = match &login {
            Credentials::Plain { user, password } => {
                let number = self.upstream.send_with(literals, utf8, out, |tag, writer| {
                    writer.raw(tag);
                    writer.word(" LOGIN ");
                    writer.astring_bytes(user);
                    writer.space();
                    writer.astring_bytes(password.reveal());
                    writer.end();
                });
                self.late = Some(Box::new(Late::Login));
                (number, Verb::Login)
            }
            Credentials::Sasl { mechanism, message, .. } => {
                let mechanism = *mechanism;
                let number = self.upstream.send_with(literals, utf8, out, |tag, writer| {
                    writer.raw(tag);
                    writer.word(" AUTHENTICATE ");
                    writer.word(mechanism.name());
                    writer.end();
                });
                if mechanism != Mechanism::Plain {
                    sasl = Some(Exchange { mechanism, first: false, challenged: false, cancelled: false });
                }
                self.late = Some(Box::new(Late::Challenge { mechanism, message: message.clone() }));
                (number, Verb::Authenticate)
            }
        };
        self.sent(number, tag, verb, Purpose::Login { user, sasl });
    }

    /// What the server says before its answer to the login. `None`: it is said to whoever relays.
    pub(super) fn late_said(
        &mut self,
        response: &Response<'_>,
        out: &mut Output,
    ) -> Option<Result<(), Broken>> {
        match (self.late.as_deref()?, response) {
            (Late::Greeting { .. }, Response::Status(status)) => Some(self.late_greeting(status, out)),
            (Late::Greeting { .. }, _) => Some(Err(Broken::server("a greeting that is none"))),
            (Late::Challenge { mechanism, message }, Response::Continue(_)) => {
                out.server.extend_from_slice(&encode(message.reveal()));
                out.server.extend_from_slice(b"\r\n");
                let over = *mechanism == Mechanism::Plain;
                self.late = Some(Box::new(if over { Late::Login } else { Late::Relayed }));
                Some(Ok(()))
            }
            _other => None,
        }
    }

    fn late_greeting(&mut self, status: &Status<'_>, out: &mut Output) -> Result<(), Broken> {
        match (status.tag, status.kind) {
            (None, StatusKind::Ok) => {
                if let Some(Code::Capability(words)) = &status.code {
                    self.note_capabilities(*words);
                }
                if let Some(Late::Greeting { tag, login }) = self.late.take().map(|late| *late) {
                    self.log_in(&tag, login, out);
                }
                Ok(())
            }
            (None, StatusKind::Bye) => {
                self.late_server_gone(Answer::ServerUnreachable, out);
                Ok(())
            }
            (None, StatusKind::Preauth) => Err(Broken::server("PREAUTH")),
            (Some(_), _) | (None, StatusKind::No | StatusKind::Bad) => {
                Err(Broken::server("a greeting that is none"))
            }
        }
    }

    /// The server hung up before the login was done; the client may try again. Whether that is all there is to it.
    pub(super) fn late_server_gone(&mut self, why: Answer, out: &mut Output) -> bool {
        if self.phase == Phase::After {
            return false;
        }
        let Some(late) = self.late.take().map(|late| *late) else { return false };
        self.upstream.give_up();
        self.outstanding.forget_hops();
        let waiting = self.outstanding.alone().map(|sent| (sent.number, sent.tag.clone()));
        if let Some((number, tag)) = waiting {
            self.outstanding.take(number);
            self.late = Some(Box::default());
            self.common_say(Some(&tag), why, out);
        } else if let Late::Greeting { tag, .. } = late {
            self.late = Some(Box::default());
            self.common_say(Some(&tag), why, out);
        } else {
            // Its connection was of no use any more.
            self.late = Some(Box::new(late));
        }
        true
    }
}
