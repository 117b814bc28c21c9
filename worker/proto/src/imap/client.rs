//! What a client sends: each command is parsed, held against the rules and the state, and sent on anew, or refused here.
//!
//! Reads bytes chosen by a client.
use super::capability::{may_authenticate, may_enable};
use super::command::{Body, Command, Fields, Head, Refusal, Why};
use super::common::Broken;
use super::core::{Core, Decision, Phase};
use super::cursor::Str;
use super::fetch::Job;
use super::frame::{Announced, Elided, Frame};
use super::guard::Guarded;
use super::outstanding::{Exchange, Idle, Pull, Purpose, Sent};
use super::sequence_set::SequenceSet;
use super::verb::Verb;
use super::write::Writer;
use crate::capability::Mechanism;
use crate::machine::{Close, Event, Output, Security};
use crate::pop3::sasl;
use policy::model::ClientId;
use std::rc::Rc;
use texts::Answer;
use zeroize::Zeroize;

/// Names by which proxies tell servers who the client is: nobody but a proxy may use them.
const PROXY_FIELDS: &[&str] = &[
    "x-originating-ip",
    "x-originating-port",
    "x-connected-ip",
    "x-connected-port",
    "x-connected-name",
    "x-proxy-ttl",
    "x-session-id",
    "x-session-ext-id",
];

/// Why the rest of a command is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A literal over its bound.
    TooLong,
    /// A mail over `max-mail`.
    TooLarge,
    /// Ours: not permitted.
    Not(Answer),
    /// The server answered it before it was complete.
    Answered,
}

/// Mails that are asked for in one command of ours: no server has a shorter line than their UIDs need.
const PULLED: usize = 500;

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
                | Purpose::Mark
                | Purpose::Ask { .. }
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

    /// Whether a command has to wait: for one that changes what it means, or since it does so itself.
    fn must_wait(&self, verb: Verb) -> bool {
        let busy = !self.pulls.is_empty()
            || self.delayed.is_some()
            || self.outstanding.has_alone()
            || self.upstream.is_waiting()
            || self.opening.is_some()
            || self.upload.is_some()
            || self.sending.is_some()
            || self.passing.is_some();
        let alone = match verb {
            Verb::Logout
            | Verb::StartTls
            | Verb::Enable
            | Verb::Login
            | Verb::Authenticate
            | Verb::Select
            | Verb::Examine
            | Verb::Append
            | Verb::Idle
            | Verb::Close
            | Verb::Unselect
            | Verb::Expunge
            | Verb::UidExpunge
            | Verb::Move
            | Verb::UidMove
            | Verb::Replace
            | Verb::UidReplace => true,
            Verb::Capability
            | Verb::Noop
            | Verb::Id
            | Verb::Create
            | Verb::Delete
            | Verb::Rename
            | Verb::Subscribe
            | Verb::Unsubscribe
            | Verb::List
            | Verb::Lsub
            | Verb::Namespace
            | Verb::Status
            | Verb::Check
            | Verb::Search
            | Verb::UidSearch
            | Verb::Sort
            | Verb::UidSort
            | Verb::Thread
            | Verb::UidThread
            | Verb::Fetch
            | Verb::UidFetch
            | Verb::Store
            | Verb::UidStore
            | Verb::Copy
            | Verb::UidCopy
            | Verb::GetQuota
            | Verb::GetQuotaRoot
            | Verb::SetQuota
            | Verb::GetAcl
            | Verb::SetAcl
            | Verb::DeleteAcl
            | Verb::ListRights
            | Verb::MyRights
            | Verb::GetMetadata
            | Verb::SetMetadata => false,
        };
        busy || (alone && !(self.outstanding.is_empty() && self.outbox.is_empty()))
    }

    /// Why a well-formed command is not sent on.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others need a login and no more")]
    pub(super) fn objection(&self, command: &Command<'_>) -> Option<Answer> {
        let verb = command.verb;
        // What is hidden is refused too.
        if !self.common.verbs.contains(verb) || command.uses().beyond(self.common.capabilities).is_some() {
            return Some(Answer::NotPermitted);
        }
        let before = self.phase == Phase::Before;
        match verb {
            Verb::Capability | Verb::Noop | Verb::Logout | Verb::Id => None,
            Verb::StartTls => match self.common.security {
                Security::Clear => Some(Answer::NoTlsHere),
                Security::Secured => Some(Answer::AlreadySecured),
                Security::Offered | Security::Required => (!before).then_some(Answer::AlreadyLoggedIn),
            },
            Verb::Login | Verb::Authenticate if !before => Some(Answer::AlreadyLoggedIn),
            Verb::Login | Verb::Authenticate if self.common.security == Security::Required => {
                Some(Answer::TlsFirst)
            }
            Verb::Login => None,
            Verb::Authenticate => {
                let list = &self.common.settings.rules.capabilities;
                let hidden = matches!(&command.body, Body::Authenticate { mechanism, .. } if !may_authenticate(mechanism, list));
                hidden.then_some(Answer::MechanismNotAvailable)
            }
            _of_mailboxes if before => Some(Answer::LogInFirst),
            _of_mailboxes => self.refuses_search(command).then_some(Answer::NotPermitted),
        }
    }

    /// Sends a command on, or answers it.
    fn run(&mut self, command: &Command<'_>, out: &mut Output) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "most commands are sent on and no more")]
        let purpose = match &command.body {
            Body::Login { user, .. } => Purpose::Login { user: user.bytes().to_vec(), sasl: None },
            Body::Authenticate { mechanism, initial } => {
                let Some(mechanism) = Mechanism::named(mechanism) else { return };
                let initial = initial.as_ref().map(|initial| initial.0);
                let user = initial.and_then(|line| sasl::user(mechanism, true, line)).unwrap_or_default();
                let exchange = Exchange { mechanism, first: initial.is_none(), challenged: false };
                Purpose::Login { user, sasl: Some(exchange) }
            }
            Body::Select(select) => {
                self.no_mailbox();
                let mailbox = if select.mailbox.is_inbox() { b"INBOX" } else { select.mailbox.bytes() };
                let read_write = command.verb == Verb::Select;
                Purpose::Select { mailbox: mailbox.to_vec(), uid_validity: 0, read_write }
            }
            Body::Id(fields) => return self.id(command, fields.as_ref(), out),
            Body::Enable(names) => return self.enable(command, names, out),
            Body::Fetch(_) => return self.fetch(command, out),
            _relayed => match command.verb {
                Verb::StartTls => {
                    self.upgrading = Some(command.tag.into());
                    return;
                }
                Verb::Idle => Purpose::Idle(Idle::Asked),
                Verb::Close | Verb::Unselect => Purpose::Close,
                _relayed => Purpose::Relay,
            },
        };
        match self.guard(command) {
            Guarded::Free => {}
            Guarded::Refused => {
                return self.common_say(Some(command.tag), Answer::DeleteReplaced, out);
            }
            Guarded::Ask(question) => return self.ask(command, &question, out),
        }
        self.send(command, purpose, out);
    }

    /// Sends a command on.
    fn send(&mut self, command: &Command<'_>, purpose: Purpose, out: &mut Output) {
        let number = self.upstream.send(command, self.common.literals, self.common.utf8, out);
        self.sent(number, command.tag, command.verb, purpose);
    }

    pub(super) fn sent(&mut self, number: u32, tag: &[u8], verb: Verb, purpose: Purpose) {
        self.outstanding.push(Sent { number, tag: tag.into(), verb, purpose });
    }

    /// ID: who the client is, as far as the rules let the server know; what only proxies may say is left out.
    fn id(&mut self, command: &Command<'_>, fields: Option<&Fields<'_>>, out: &mut Output) {
        let said = match self.common.settings.rules.imap.client_id {
            ClientId::Pass => fields.map(without_proxies),
            ClientId::Replace => {
                Some(vec![(Str::Quoted(b"name"[..].into()), Some(Str::Quoted(b"Mailward"[..].into())))])
            }
            ClientId::Strip => {
                let tag = command.tag;
                return self.outbox.say(out, |octets| {
                    octets.extend_from_slice(b"* ID NIL\r\n");
                    octets.extend_from_slice(tag);
                    octets.extend_from_slice(b" OK ID\r\n");
                });
            }
        };
        let command = Command { tag: command.tag, verb: command.verb, body: Body::Id(said) };
        self.send(&command, Purpose::Relay, out);
    }

    /// ENABLE: what is not known is not enabled.
    fn enable(&mut self, command: &Command<'_>, names: &[&[u8]], out: &mut Output) {
        let names: Vec<&[u8]> =
            names.iter().copied().filter(|name| may_enable(name, self.common.capabilities)).collect();
        if names.is_empty() {
            let tag = command.tag;
            return self.outbox.say(out, |octets| {
                octets.extend_from_slice(b"* ENABLED\r\n");
                octets.extend_from_slice(tag);
                octets.extend_from_slice(b" OK nothing to enable\r\n");
            });
        }
        // RFC 9051 section 5.1: rev2 has UTF-8 in itself.
        let utf8 = names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(b"UTF8=ACCEPT") || name.eq_ignore_ascii_case(b"IMAP4rev2"));
        let command = Command { tag: command.tag, verb: command.verb, body: Body::Enable(names) };
        self.send(&command, Purpose::Enable { utf8 }, out);
    }

    /// FETCH: content is answered from scanned copies, of which the server is asked for what they are made of.
    fn fetch(&mut self, command: &Command<'_>, out: &mut Output) {
        let Body::Fetch(fetch) = &command.body else { return };
        let rules = &self.common.settings.rules;
        let job = Rc::new(if rules.download.scan {
            Job::new(&fetch.items, &fetch.set, command.verb == Verb::UidFetch, rules.imap.strict)
        } else {
            Job::passing(&fetch.items, &fetch.set, command.verb == Verb::UidFetch)
        });
        let plain = fetch.changed_since.is_none() && !fetch.vanished && fetch.page.is_none();
        if job.content
            && plain
            && let (Some(selected), Some(single)) = (&self.selected, fetch.set.single())
        {
            let by_uid = command.verb == Verb::UidFetch;
            *job.cached.borrow_mut() =
                if by_uid { selected.copy_of(single) } else { selected.copy_at(single) };
        }
        let changed = self.selected.as_ref().is_some_and(|selected| selected.has_changed());
        let items = job.upstream(changed);
        let (literals, utf8) = (self.common.literals, self.common.utf8);
        let number = self.upstream.send_with(literals, utf8, out, |tag, writer| {
            writer.raw(tag);
            writer.space();
            command.verb.write(writer);
            fetch.write_with(&items, writer);
            writer.end();
        });
        self.sent(number, command.tag, command.verb, Purpose::Fetch(job));
    }

    /// Asks for mails whose metadata was left out of an answer, since they are served changed.
    pub(super) fn pull(&mut self, out: &mut Output) {
        if self.upstream.is_waiting() || self.sending.is_some() {
            return;
        }
        let Some(Pull { tag, verb, job, words }) = self.pulls.pop_front() else { return };
        let mut uids = std::mem::take(&mut *job.pulls.borrow_mut());
        uids.sort_unstable();
        *job.pulls.borrow_mut() = uids.split_off(uids.len().min(PULLED));
        let set = uid_set(&uids);
        let number = self.upstream.next_number();
        let mut stops = Vec::new();
        let mut writer = Writer::to_server(&mut out.server, &mut stops, self.common.literals, false);
        writer.raw(&super::upstream::tag(number));
        writer.word(" UID FETCH ");
        writer.raw(&set);
        writer.word(" (UID");
        for item in job.server_items() {
            writer.space();
            item.write(&mut writer);
        }
        writer.word(" BODY.PEEK[])");
        writer.end();
        self.sent(number, &tag, verb, Purpose::Pull { job, words });
    }

    /// Nothing is open any more, and what was learnt of its mails is about no other's.
    pub(super) fn no_mailbox(&mut self) {
        self.selected = None;
        self.put_off.clear();
    }

    /// Sets \Seen of the mails whose content was served.
    pub(super) fn mark_seen(&mut self, out: &mut Output) {
        if self.marks.is_empty() || self.upstream.is_waiting() || self.sending.is_some() || self.is_in_idle()
        {
            return;
        }
        let set = uid_set(&std::mem::take(&mut self.marks));
        let number = self.upstream.next_number();
        out.server.extend_from_slice(&super::upstream::tag(number));
        out.server.extend_from_slice(b" UID STORE ");
        out.server.extend_from_slice(&set);
        out.server.extend_from_slice(b" +FLAGS.SILENT (\\Seen)\r\n");
        self.sent(number, b"", Verb::UidStore, Purpose::Mark);
    }

    pub(super) fn is_in_idle(&self) -> bool {
        self.outstanding.is_in_idle()
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
        self.outbox.say(out, |octets| common.say(tag, answer, octets));
    }
}

/// What anybody may say of itself.
fn without_proxies<'f>(fields: &Fields<'f>) -> Fields<'f> {
    let of_proxies = |name: &Str<'_>| {
        PROXY_FIELDS.iter().any(|field| name.is(field))
            || name.bytes().get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forward"))
    };
    fields.iter().filter(|(name, _)| !of_proxies(name)).cloned().collect()
}

/// UIDs as a set: neighbours as ranges.
pub(super) fn uid_set(uids: &[u32]) -> Vec<u8> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    let mut set = String::new();
    let mut rest = uids.as_slice();
    while let Some((first, _)) = rest.split_first() {
        let run = rest.iter().zip(*first..).take_while(|(uid, expected)| *uid == expected).count();
        if !set.is_empty() {
            set.push(',');
        }
        set.push_str(&first.to_string());
        if run > 1 {
            set.push(':');
            set.push_str(&(first + u32::try_from(run - 1).unwrap_or(0)).to_string());
        }
        rest = rest.get(run..).unwrap_or_default();
    }
    set.into_bytes()
}

/// Whether one of the numbers is in a set.
pub(super) fn meets(set: &SequenceSet<'_>, uids: &[u32]) -> bool {
    uids.iter().any(|uid| set.contains(*uid, uids.last().copied().unwrap_or(0)))
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
