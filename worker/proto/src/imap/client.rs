//! What a client sends: each command is parsed, held against the rules and the state (`permission`), and sent on anew
//! (`relay`), or refused here.
//!
//! Reads bytes chosen by a client.
use super::command::{Command, Head, Refusal, Why};
use super::common::Broken;
use super::core::{Core, Decision, Phase};
use super::frame::{Announced, Elided, Frame};
use super::guard::Guarded;
use super::outstanding::{Idle, Purpose};
use super::verb::Verb;
use crate::machine::{Close, Event, Output};
use crate::pop3::sasl;
use texts::Answer;
use zeroize::Zeroize;

/// Why the rest of a command is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A literal over its bound.
    TooLong,
    /// A mail over `max-mail`.
    TooLarge,
    /// More mails than one command may bring.
    TooMany,
    /// Ours: not permitted.
    Not(Answer),
    /// The server answered it before it was complete.
    Answered,
}

/// A command, or the announcement of a mail, that waits for the answers to those before it.
pub(super) struct Held {
    text: Vec<u8>,
    elided: Vec<Elided>,
    /// Octets, whether the client waits, and whether it is binary; `None`: the command is complete.
    announced: Option<(u64, bool, bool)>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never its content: it may be a password.
        write!(f, "Held({} octets)", self.text.len())
    }
}

impl Core {
    /// The announcement of a literal.
    pub(super) fn client_literal(
        &mut self,
        announced: &Announced<'_>,
        out: &mut Output,
    ) -> Result<Decision, Broken> {
        let Announced { frame, size, synchronising, binary } = *announced;
        let head = match Head::parse(frame) {
            Ok(head) => head,
            Err(refusal) if synchronising => {
                self.refuse(&refusal, out);
                return Ok(Decision::Abandon);
            }
            // It is refused when it is complete.
            Err(_) => return Ok(Decision::Skip),
        };
        if self.refused.is_some() {
            return Ok(if synchronising { self.give_up_command(&head, out) } else { Decision::Skip });
        }
        if !head.announces_message(self.common.utf8) {
            // Nobody is asked for a password, or more of anything, that would be refused.
            if synchronising
                && !self.must_wait(head.verb)
                && let Some(why) = self.objection_to(head.verb)
            {
                self.refuse_command(Some(head.tag), head.name, why, out);
                return Ok(Decision::Abandon);
            }
            return Ok(Decision::Keep { synchronising });
        }
        if !self.is_receiving_upload() {
            // Behind a login that is not answered yet nobody knows what is permitted.
            if self.must_wait(head.verb) {
                let Frame { text, elided } = frame;
                let announced = Some((size, synchronising, binary));
                self.held = Some(Box::new(Held { text: text.to_vec(), elided: elided.to_vec(), announced }));
                return Ok(Decision::Wait);
            }
            if let Some(why) = self.upload_objection(frame) {
                if synchronising {
                    self.refuse_command(Some(head.tag), head.name, why, out);
                    return Ok(Decision::Abandon);
                }
                // It comes whatever is said; the command is refused when it is complete.
                self.refused = Some(Refused::Not(why));
                return Ok(Decision::Skip);
            }
        }
        self.upload_announced(frame, &head, size, synchronising, out)
    }

    /// Why a command that brings mails is not permitted, as far as it came.
    fn upload_objection(&self, frame: Frame<'_>) -> Option<Answer> {
        let Ok(command) = Command::parse_announced(frame, self.common.utf8) else {
            return Some(Answer::MalformedArgument);
        };
        self.objection(&command).or(match self.guard(&command) {
            Guarded::Refused => Some(Answer::DeleteReplaced),
            Guarded::Free | Guarded::Ask(_) => None,
        })
    }

    /// Whether what the client sends is more of a command that brings mails.
    pub(super) fn is_receiving_upload(&self) -> bool {
        self.passing.is_some() || self.upload.as_ref().is_some_and(|upload| upload.whole.is_none())
    }

    /// The rest of a refused command does not come: the client waits for `+` and hears NO.
    fn give_up_command(&mut self, head: &Head<'_>, out: &mut Output) -> Decision {
        self.upload_forgotten(out);
        self.say_refused(head.tag, head.name, out);
        Decision::Abandon
    }

    /// Says why the command that came was refused.
    fn say_refused(&mut self, tag: &[u8], name: &[u8], out: &mut Output) {
        match self.refused.take() {
            Some(Refused::TooLong) => self.common_say(Some(tag), Answer::LineTooLong, out),
            Some(Refused::TooLarge) => self.say_too_large(tag, out),
            Some(Refused::TooMany) => self.common_say(Some(tag), Answer::TooManyMails, out),
            Some(Refused::Not(why)) => self.refuse_command(Some(tag), name, why, out),
            // The server said it.
            Some(Refused::Answered) | None => {}
        }
    }

    /// A synchronising literal is over its bound.
    pub(super) fn refuse_held_literal(&mut self, frame: Frame<'_>, out: &mut Output) {
        let tag = Head::parse(frame).ok().map(|head| head.tag);
        self.common_say(tag, Answer::LineTooLong, out);
    }

    pub(super) fn say_go_ahead(&mut self, out: &mut Output) {
        self.outbox.say(out, |octets| octets.extend_from_slice(b"+ go ahead\r\n"));
    }

    /// A whole command, or a line within one.
    pub(super) fn client_frame(&mut self, frame: Frame<'_>, out: &mut Output) -> Result<Decision, Broken> {
        if self.late.as_ref().is_some_and(|late| late.is_exchange()) {
            self.late_response(frame.text, out);
            return Ok(Decision::Nothing);
        }
        if let Some(sent) = self.outstanding.alone() {
            match &mut sent.purpose {
                Purpose::Idle(_) => return self.done(frame, out),
                Purpose::Login { user, sasl: Some(exchange) } => {
                    exchange.challenged = false;
                    let first = std::mem::take(&mut exchange.first);
                    if let Some(name) = sasl::user(exchange.mechanism, first, frame.text) {
                        *user = name;
                    }
                    exchange.cancelled = frame.text == b"*";
                    if !is_sasl_line(frame.text) {
                        return Err(Broken::client("no base64 in a SASL exchange"));
                    }
                    out.server.extend_from_slice(frame.text);
                    out.server.extend_from_slice(b"\r\n");
                    return Ok(Decision::Nothing);
                }
                Purpose::Relay
                | Purpose::Login { sasl: None, .. }
                | Purpose::Select { .. }
                | Purpose::Close
                | Purpose::Enable { .. }
                | Purpose::Fetch(_)
                | Purpose::Pull { .. }
                | Purpose::Mark(_)
                | Purpose::Ask { .. }
                | Purpose::Inspect
                | Purpose::Hops
                | Purpose::Upload => {}
            }
        }
        if self.phase == Phase::Before && is_http(frame.text) {
            return Err(Broken::client("a request of HTTP"));
        }
        if self.refused.is_some() {
            self.upload_forgotten(out);
            if let Ok(head) = Head::parse(frame) {
                self.say_refused(head.tag, head.name, out);
            }
            self.refused = None;
            return Ok(Decision::Nothing);
        }
        if self.is_receiving_upload() {
            return self.upload_complete(frame, out);
        }
        let command = match Command::parse(frame, self.common.utf8) {
            Ok(command) => command,
            Err(refusal) => {
                self.refuse(&refusal, out);
                return Ok(Decision::Nothing);
            }
        };
        if self.must_wait(command.verb) {
            let Frame { text, elided } = frame;
            self.held =
                Some(Box::new(Held { text: text.to_vec(), elided: elided.to_vec(), announced: None }));
            return Ok(Decision::Wait);
        }
        if let Some(why) = self.objection(&command) {
            self.refuse_command(Some(command.tag), command.verb.name().as_bytes(), why, out);
            return Ok(Decision::Nothing);
        }
        self.heed_hops(&command.body)?;
        if self.late.is_some() && command.verb != Verb::StartTls {
            self.run_late(&command, out);
        } else {
            self.run(&command, out);
        }
        Ok(Decision::Nothing)
    }

    /// Whether what is held may go on.
    pub(super) fn may_resume(&self) -> bool {
        let Some(held) = &self.held else { return false };
        let frame = Frame { text: &held.text, elided: &held.elided };
        Head::parse(frame).is_ok_and(|head| !self.must_wait(head.verb))
    }

    /// Its turn.
    pub(super) fn resume(&mut self, out: &mut Output) -> Result<Decision, Broken> {
        let Some(held) = self.held.take() else { return Ok(Decision::Nothing) };
        let frame = Frame { text: &held.text, elided: &held.elided };
        match held.announced {
            Some((size, synchronising, binary)) => {
                let announced = Announced { frame, size, synchronising, binary };
                self.client_literal(&announced, out)
            }
            None => self.client_frame(frame, out),
        }
    }

    /// DONE.
    fn done(&mut self, frame: Frame<'_>, out: &mut Output) -> Result<Decision, Broken> {
        if !frame.text.eq_ignore_ascii_case(b"DONE") {
            return Err(Broken::client("something else than DONE ends IDLE"));
        }
        if let Some(Purpose::Idle(idle)) = self.outstanding.alone().map(|sent| &mut sent.purpose) {
            if *idle == Idle::Begun {
                *idle = Idle::Done;
                out.server.extend_from_slice(b"DONE\r\n");
            } else {
                // The server has not agreed: it hears both in their order.
                *idle = Idle::DoneEarly;
            }
        }
        Ok(Decision::Nothing)
    }

    fn refuse(&mut self, refusal: &Refusal<'_>, out: &mut Output) {
        let why = match refusal.why {
            Why::Unknown | Why::Tag => Answer::UnknownCommand,
            Why::Malformed(_) => Answer::MalformedArgument,
        };
        self.refuse_command(refusal.tag, refusal.name, why, out);
    }

    /// Answers a command that is not sent on; too many end the session.
    pub(super) fn refuse_command(&mut self, tag: Option<&[u8]>, name: &[u8], why: Answer, out: &mut Output) {
        self.common.strikes += 1;
        out.events.push(Event::Refused { command: loggable(name), why });
        if self.common.strikes > self.common.settings.login.bad_command_limit {
            return self.close(Close::BadCommands, Some(why), out);
        }
        self.common_say(tag, why, out);
    }

    /// Says an answer in its order.
    pub(super) fn common_say(&mut self, tag: Option<&[u8]>, answer: Answer, out: &mut Output) {
        let common = &self.common;
        match tag {
            Some(_) => self.outbox.say_end(out, |octets| common.say(tag, answer, octets)),
            None => self.outbox.say(out, |octets| common.say(tag, answer, octets)),
        }
    }
}

/// Base64, or what breaks the exchange off.
fn is_sasl_line(line: &[u8]) -> bool {
    line == b"*" || line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

/// A request of HTTP: a page in somebody's browser tries to speak to a mail server (alpaca-attack.com).
fn is_http(line: &[u8]) -> bool {
    [&b"GET "[..], b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"DELETE ", b"PATCH "]
        .iter()
        .any(|method| line.starts_with(method))
        && line.windows(5).any(|window| window == b"HTTP/")
}

/// A refused command's name for the log. A client that is out of step may send (a piece of) a password where a command
/// should be, so only what looks like a command is shown.
fn loggable(name: &[u8]) -> String {
    let plain = (1..=16).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-'));
    if plain { String::from_utf8_lossy(name).to_ascii_uppercase() } else { "(other)".to_owned() }
}
