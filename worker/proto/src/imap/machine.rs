//! The machine: bytes of both peers into frames, frames to `client.rs` and `server.rs`, and what the driver says.
use super::answer::farewell;
use super::capability::CapabilitySet;
use super::client::{Held, Refused};
use super::common::{Broken, Common};
use super::fetch::{Outcome, PIECE};
use super::frame::{Bounds, FrameError, Framer, Step};
use super::late::Late;
use super::outbox::Outbox;
use super::outstanding::{Outstanding, Pull, Purpose};
use super::receiving::{Receiving, Spool};
use super::selected::Selected;
use super::upload::{Passing, Scanned, Sending, Upload};
use super::upstream::Upstream;
use super::verb::VerbSet;
use super::write::Literals;
use crate::line::Inbox;
use crate::machine::{
    Changed, Close, CopyFault, Event, Fault, Greeted, Input, Machine, Output, ScannedCopy, Security,
    Settings, Side, Verdict,
};
use policy::names::Language;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;

/// Commands without an answer, above which the client waits.
const COMMANDS: usize = 128;
/// Mails that are being scanned, or wait to be sent, above which the server waits.
const MAILS: usize = 16;
/// Octets of them, likewise; one mail may be larger.
const MAIL_OCTETS: u64 = 16 << 20;
/// The client hears something at least this often while its answer waits for a judgement.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Octets of a command line and of a literal before the login.
const BEFORE_LOGIN: Bounds = Bounds { line: 8 * 1024, literal: 4 * 1024, literals: 8 * 1024 };
/// A line of a SASL exchange before TLS and behind it: room for tickets and tokens.
const SASL_LINE_CLEAR: usize = 12 * 1024;
const SASL_LINE: usize = 64 * 1024;

/// IMAP between a client and a server.
#[derive(Debug)]
pub struct Imap {
    client: Framer,
    server: Framer,
    client_inbox: Inbox,
    server_inbox: Inbox,
    pub(super) core: Core,
}

/// Where the session is (RFC 9051 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The server's greeting is awaited.
    Greeting,
    /// Not authenticated.
    Before,
    /// The server took the login.
    After,
    /// `Close` was said, or a fault found.
    Ended,
}

/// Everything but the framing.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) common: Common,
    pub(super) phase: Phase,
    pub(super) outstanding: Outstanding,
    pub(super) upstream: Upstream,
    pub(super) outbox: Outbox,
    /// A command, or the announcement of a literal, that waits for answers to those before it.
    pub(super) held: Option<Box<Held>>,
    /// The command that is being received was refused already; what is left of it is passed over.
    pub(super) refused: Option<Refused>,
    /// The mailbox that is open.
    pub(super) selected: Option<Box<Selected>>,
    /// The end of a SELECT waits for what the index knows of the mailbox: the tag and the words.
    pub(super) opening: Option<Box<(Vec<u8>, Selected)>>,
    /// Content that the server is sending.
    pub(super) receiving: Option<Box<Receiving>>,
    /// The last mail's number.
    pub(super) mails: u32,
    /// Octets of mails that are on their way.
    pub(super) mail_octets: u64,
    /// Mails that were put off, whose judgement may still come: number and UID.
    pub(super) put_off: Vec<(u32, u32)>,
    /// The server agreed to UTF8=ACCEPT.
    pub(super) utf8_enabled: bool,
    /// Mails that are to be asked for.
    pub(super) pulls: VecDeque<Pull>,
    /// UIDs whose \Seen is to be set.
    pub(super) marks: Vec<u32>,
    pub(super) upload: Option<Box<Upload>>,
    pub(super) sending: Option<Box<Sending>>,
    pub(super) passing: Option<Passing>,
    /// The mail of an upload that the client is sending.
    pub(super) uploading: Option<Spool>,
    /// What becomes of a literal that waited for the server.
    pub(super) decided: Option<Decision>,
    /// The late plan, until the login is done.
    pub(super) late: Option<Box<Late>>,
    /// No rule lets in who just tried to log in.
    pub(super) denied: bool,
    /// The answer to a failed login waits until then: its words.
    pub(super) delayed: Option<Box<(Duration, Vec<u8>)>>,
    /// STARTTLS was taken, under this tag: what follows is a handshake.
    pub(super) upgrading: Option<Box<[u8]>>,
}

impl Imap {
    /// A machine at its start.
    pub fn new(
        settings: Rc<Settings>,
        language: Language,
        greeted: Greeted,
        security: Security,
        now: Duration,
    ) -> Self {
        let common = Common {
            verbs: VerbSet::permitted(&settings.rules.commands),
            capabilities: CapabilitySet::permitted(&settings.rules.capabilities),
            settings,
            greeted,
            security,
            language,
            literals: Literals::default(),
            utf8: false,
            strikes: 0,
            failures: 0,
            client_ended: false,
            received: [0; 2],
            started: now,
            now,
            active: now,
            spoke: now,
        };
        let phase = match greeted {
            Greeted::ByServer => Phase::Greeting,
            Greeted::ByUs | Greeted::BeforeServer => Phase::Before,
        };
        let server_bounds = server_bounds(&common);
        Self {
            client: Framer::new(Side::Client, BEFORE_LOGIN),
            server: Framer::new(Side::Server, server_bounds),
            client_inbox: Inbox::default(),
            server_inbox: Inbox::default(),
            core: Core {
                common,
                phase,
                outstanding: Outstanding::default(),
                upstream: Upstream::default(),
                outbox: Outbox::default(),
                held: None,
                refused: None,
                selected: None,
                opening: None,
                receiving: None,
                mails: 0,
                mail_octets: 0,
                put_off: Vec::new(),
                utf8_enabled: false,
                pulls: VecDeque::new(),
                marks: Vec::new(),
                upload: None,
                sending: None,
                passing: None,
                uploading: None,
                decided: None,
                late: (greeted == Greeted::BeforeServer).then(Box::default),
                denied: false,
                delayed: None,
                upgrading: None,
            },
        }
    }

    fn input(&mut self, input: Input<'_>, out: &mut Output) -> Result<(), Broken> {
        match input {
            Input::Begin => self.core.greet(out),
            Input::Bytes(side, bytes) => self.bytes(side, bytes, out)?,
            Input::Eof(Side::Client) => self.core.common.client_ended = true,
            Input::Eof(Side::Server) => {
                if !self.core.late_server_gone(Answer::ServerClosed, out) {
                    self.core.close(Close::ServerClosed, Some(Answer::ServerClosed), out);
                }
            }
            Input::Changed(changed) => self.core.learn(changed, out),
            Input::Judged(mail, verdict) => self.core.judged(mail, verdict, out),
            Input::Scanned { number, copy, changed } => self.core.scanned(number, copy, changed, out),
            Input::Kept(number) => self.core.kept(number),
            Input::Recorded { number, safe } => self.core.recorded(number, safe),
            Input::Settings(settings, language) => {
                self.core.common.take_settings(settings, language);
                if let Some(selected) = &mut self.core.selected {
                    selected.forget_copies();
                }
            }
            Input::ServerReady(greeted) => {
                // Nothing of another connection counts for this one.
                self.server = Framer::new(Side::Server, server_bounds(&self.core.common));
                self.server_inbox = Inbox::default();
                self.core.server_ready(greeted, out);
            }
            Input::NoServer(why) => self.core.no_server(why, out),
            Input::Kick => self.core.close(Close::Kicked, Some(Answer::EndedByAdministrator), out),
            Input::Tick => self.core.tick(out),
            Input::Room(_) => {}
            // Of machines that keep no copies.
            Input::Pull | Input::Copy(_) => {}
        }
        self.go_on(out)
    }

    fn bytes(&mut self, side: Side, bytes: &[u8], out: &mut Output) -> Result<(), Broken> {
        let rules = &self.core.common.settings.rules;
        let (limit, received) = match side {
            Side::Client => (rules.max_bytes_out, &mut self.core.common.received[0]),
            Side::Server => (rules.max_bytes_in, &mut self.core.common.received[1]),
        };
        *received = received.saturating_add(bytes.len() as u64);
        if limit > 0 && *received > limit {
            self.core.close(Close::Limit, Some(Answer::OverOctets), out);
            return Ok(());
        }
        let inbox = match side {
            Side::Client => &mut self.client_inbox,
            Side::Server => &mut self.server_inbox,
        };
        // What waits is taken out for the time of the call, so that frames can be slices of it.
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

    fn inbox(&mut self, side: Side) -> &mut Inbox {
        match side {
            Side::Client => &mut self.client_inbox,
            Side::Server => &mut self.server_inbox,
        }
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
        if self.core.phase == Phase::Ended {
            *rest = &[];
        }
        Ok(())
    }

    /// What waited for its turn: first of the server, lest it is taken for the answer to what the client asks next.
    fn go_on(&mut self, out: &mut Output) -> Result<(), Broken> {
        loop {
            self.core.drain(out);
            if self.core.phase == Phase::Ended {
                return Ok(());
            }
            if !self.server_inbox.is_empty() && self.core.accepts_server() {
                let mut inbox = std::mem::take(&mut self.server_inbox);
                let before = inbox.unread().len();
                self.consume_inbox(Side::Server, &mut inbox, out)?;
                let moved = inbox.unread().len() != before;
                self.server_inbox = inbox;
                if moved {
                    continue;
                }
            }
            if self.resume_client(out)? {
                continue;
            }
            break;
        }
        if self.core.common.client_ended && self.core.needs_no_answer() {
            self.core.close(Close::ClientClosed, None, out);
        }
        Ok(())
    }

    /// The command that waited, and what came behind it. Whether anything moved.
    fn resume_client(&mut self, out: &mut Output) -> Result<bool, Broken> {
        if let Some(decision) = self.core.decided.take() {
            self.decide(decision, out)?;
        }
        if self.core.held.is_some() {
            if !self.core.may_resume() {
                return Ok(false);
            }
            let decision = self.core.resume(out)?;
            self.decide(decision, out)?;
            if self.core.upgrading.is_some() && !self.client_inbox.is_empty() {
                return Err(Broken::client("octets behind STARTTLS"));
            }
            return Ok(true);
        }
        if self.client_inbox.is_empty() || !self.core.accepts_client() {
            return Ok(false);
        }
        let mut inbox = std::mem::take(&mut self.client_inbox);
        let before = inbox.unread().len();
        self.consume_inbox(Side::Client, &mut inbox, out)?;
        let moved = inbox.unread().len() != before;
        self.client_inbox = inbox;
        Ok(moved)
    }

    fn consume_client(&mut self, rest: &mut &[u8], out: &mut Output) -> Result<(), Broken> {
        while self.core.accepts_client() {
            let plain = self.core.expects_plain_line();
            self.client.set_plain(plain);
            self.client.set_bounds(self.core.client_bounds(plain));
            let step = match self.client.next(rest) {
                Ok(step) => step,
                Err(FrameError::TooLong) => return Err(Broken::client("a line over cmd-line-len")),
                Err(FrameError::Malformed) => return Err(Broken::client("NUL or a bare CR in a line")),
                Err(FrameError::Undecided) => return Err(Broken::client("a literal out of place")),
            };
            let decision = match step {
                Step::More => break,
                Step::Announced(announced) => self.core.client_literal(&announced, out)?,
                Step::Piece(piece) => {
                    self.core.client_piece(piece, out);
                    continue;
                }
                Step::LiteralEnd => {
                    self.core.client_literal_end(out);
                    continue;
                }
                Step::Frame(frame) => {
                    self.core.common.active = self.core.common.now;
                    self.core.client_frame(frame, out)?
                }
            };
            self.decide(decision, out)?;
            if self.core.upgrading.is_some() {
                break;
            }
        }
        if self.core.upgrading.is_some() && !rest.is_empty() {
            // Whoever put these behind STARTTLS wants them read as if they had come through TLS (CVE-2011-0411).
            return Err(Broken::client("octets behind STARTTLS"));
        }
        Ok(())
    }

    /// Does with an announced literal what was decided.
    fn decide(&mut self, decision: Decision, out: &mut Output) -> Result<(), Broken> {
        match decision {
            Decision::Nothing | Decision::Wait => {}
            Decision::Keep { synchronising } => {
                if self.client.keep() {
                    if synchronising {
                        self.core.say_go_ahead(out);
                    }
                } else if synchronising {
                    self.core.refuse_held_literal(self.client.undecided_frame(), out);
                    self.client.abandon();
                } else if self.core.phase == Phase::Before {
                    // It comes whatever we say, and nobody logged in for it.
                    return Err(Broken::client("a literal over the bound before the login"));
                } else {
                    self.core.refused = Some(Refused::TooLong);
                    self.client.skip();
                }
            }
            Decision::Stream => self.client.stream(),
            Decision::Skip => self.client.skip(),
            Decision::Abandon => self.client.abandon(),
        }
        Ok(())
    }

    fn consume_server(&mut self, rest: &mut &[u8], out: &mut Output) -> Result<(), Broken> {
        while self.core.accepts_server() {
            self.server.set_bounds(server_bounds(&self.core.common));
            let step = match self.server.next(rest) {
                Ok(step) => step,
                Err(FrameError::TooLong) => return Err(Broken::server("a line over resp-line-len")),
                Err(FrameError::Malformed) => {
                    return Err(Broken::server("NUL, a bare CR or a bare LF in a line"));
                }
                Err(FrameError::Undecided) => return Err(Broken::server("a literal out of place")),
            };
            match step {
                Step::More => break,
                Step::Announced(announced) => {
                    if self.core.server_literal(&announced, out)? {
                        self.server.stream();
                    } else if !self.server.keep() {
                        return Err(Broken::server("a literal over resp-line-len"));
                    }
                }
                Step::Piece(piece) => self.core.server_piece(piece, out),
                Step::LiteralEnd => {}
                Step::Frame(frame) => self.core.server_frame(frame, out)?,
            }
            self.core.common.active = self.core.common.now;
        }
        Ok(())
    }
}

/// What becomes of an announced literal of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// There is none.
    Nothing,
    /// Not yet: the command waits.
    Wait,
    /// It belongs to the command's text.
    Keep { synchronising: bool },
    /// It is a mail.
    Stream,
    /// It was refused and comes all the same.
    Skip,
    /// It was refused and does not come.
    Abandon,
}

fn server_bounds(common: &Common) -> Bounds {
    let line = common.settings.rules.imap.resp_line_len;
    Bounds { line, literal: line as u64, literals: line as u64 }
}

impl Core {
    /// Whether the client's next command could be dealt with.
    fn accepts_client(&self) -> bool {
        let waits = self.held.is_some()
            || self.upgrading.is_some()
            || self.delayed.is_some()
            || self.outstanding.holds_client()
            || self.outstanding.is_logging_out()
            || self.upstream.is_waiting()
            || self.late.as_ref().is_some_and(|late| !late.hears_client())
            || self.delayed.is_some()
            || self.passing.as_ref().is_some_and(|passing| passing.waits.is_some());
        match self.phase {
            Phase::Greeting | Phase::Ended => false,
            Phase::Before | Phase::After => {
                !waits && self.outstanding.len() < COMMANDS && !self.outbox.is_full()
            }
        }
    }

    /// Whether what the server sends could be dealt with. In the middle of a mail it always can.
    fn accepts_server(&self) -> bool {
        let full = self.outbox.pendings() >= MAILS || self.mail_octets > MAIL_OCTETS;
        self.phase != Phase::Ended
            && self.late.as_ref().is_none_or(|late| late.hears_server())
            && self.opening.is_none()
            && (self.receiving.is_some() || (!full && !self.outbox.is_full()))
    }

    /// Whether the next line of the client is no command: DONE, or an answer in a SASL exchange.
    fn expects_plain_line(&mut self) -> bool {
        if self.late.as_ref().is_some_and(|late| late.is_exchange()) {
            return true;
        }
        self.outstanding.alone().is_some_and(|sent| {
            matches!(sent.purpose, Purpose::Idle(_) | Purpose::Login { sasl: Some(_), .. })
        })
    }

    fn client_bounds(&self, plain: bool) -> Bounds {
        let rules = &self.common.settings.rules;
        let secured = self.common.security == Security::Secured;
        let sasl = if secured { SASL_LINE } else { SASL_LINE_CLEAR };
        match self.phase {
            // AUTHENTICATE may carry the first line of its exchange.
            Phase::Before => {
                Bounds { line: if plain { sasl } else { BEFORE_LOGIN.line.max(sasl) }, ..BEFORE_LOGIN }
            }
            Phase::Greeting | Phase::After | Phase::Ended => {
                let line = rules.imap.cmd_line_len;
                Bounds { line, literal: line as u64, literals: line as u64 }
            }
        }
    }

    /// Whether every command was answered and every answer sent.
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
            && self.outbox.is_empty()
            && self.held.is_none()
            && self.upload.is_none()
            && self.sending.is_none()
            && self.passing.is_none()
            && self.pulls.is_empty()
    }

    /// Whether a client that sends no more gets nothing more either: it will never say DONE, nor send the rest of a mail.
    fn needs_no_answer(&self) -> bool {
        let cut_off = self.uploading.is_some()
            || self.upload.as_ref().is_some_and(|upload| upload.whole.is_none())
            || self.passing.is_some();
        self.is_idle() || self.outstanding.waits_for_client() || cut_off
    }

    /// Says what can be said.
    fn drain(&mut self, out: &mut Output) {
        if let Some(sending) = &mut self.sending {
            match sending.write(out, PIECE) {
                Ok(true) => self.sending = None,
                Ok(false) => {}
                Err(fault) => return self.fail(fault, out),
            }
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        let (marks, octets) = (&mut self.marks, &mut self.mail_octets);
        let drained = outbox.drain(&self.common, out, |pending| {
            if pending.marks_seen() {
                marks.push(pending.uid);
            }
            *octets = octets.saturating_sub(pending.octets);
        });
        self.outbox = outbox;
        if let Err(fault) = drained {
            return self.fail(fault, out);
        }
        self.pull(out);
        self.mark_seen(out);
        if !out.client.is_empty() {
            self.common.spoke = self.common.now;
        }
    }

    fn fail(&mut self, fault: CopyFault, out: &mut Output) {
        self.phase = Phase::Ended;
        out.events.push(Event::CopyFailed(fault));
    }

    /// A mail was judged, and may not be served.
    fn judged(&mut self, mail: u32, verdict: Verdict, out: &mut Output) {
        self.common.active = self.common.now;
        if self.upload_judged(mail, &verdict) {
            return self.go_on_with_upload(out);
        }
        let outcome = match verdict {
            Verdict::Defer { case } => Outcome::Deferred { case },
            Verdict::Deny { reason, case } => Outcome::Denied { reason, case },
            // It comes as `Scanned`.
            Verdict::Deliver { .. } => return,
        };
        if let Some(pending) = self.outbox.pending(mail) {
            let uid = pending.uid;
            pending.outcome = outcome;
            self.put_off.push((mail, uid));
            if self.put_off.len() > MAILS {
                self.put_off.remove(0);
            }
        }
    }

    /// A mail was judged, and this may be served of it.
    fn scanned(&mut self, mail: u32, copy: Rc<dyn ScannedCopy>, changed: bool, out: &mut Output) {
        self.common.active = self.common.now;
        if let Some(upload) = &mut self.upload
            && let Some((_, scanned)) = upload.mails.iter_mut().find(|(number, _)| *number == mail)
        {
            *scanned = Some(Scanned::Copy(copy));
            return self.go_on_with_upload(out);
        }
        let late =
            self.put_off.iter().position(|(number, _)| *number == mail).map(|at| self.put_off.remove(at));
        let known = self.outbox.pending(mail).map(|pending| (pending.uid, Some(pending.number)));
        let Some((uid, number)) = known.or(late.map(|(_, uid)| (uid, None))) else {
            out.events.push(Event::Forgotten { number: mail });
            return;
        };
        let length = copy.length();
        let bound = self.common.settings.copy_cache;
        let on_record = self.selected.as_ref().and_then(|selected| selected.length(uid)) == Some(length);
        let has_original = self.selected.as_ref().is_some_and(|selected| selected.has_original(uid));
        if let Some(selected) = &mut self.selected
            && (!changed || on_record)
        {
            selected.keep(uid, number, Rc::clone(&copy), changed, bound);
        }
        let Some(pending) = self.outbox.pending(mail) else {
            if changed {
                out.events.push(Event::Forgotten { number: mail });
            }
            return;
        };
        // As long as the original is nowhere but on the server, it is tried again to have it kept.
        if changed && !(on_record && has_original) {
            pending.outcome = Outcome::Recording(copy);
            let uidl = Some(uid.to_string().into_bytes());
            out.events.push(Event::Replaced { number: mail, uidl, length });
        } else {
            pending.outcome = Outcome::Ready(copy);
            out.events.push(Event::Delivered { number: mail });
        }
    }

    /// The quarantine has its original.
    fn kept(&mut self, mail: u32) {
        if let Some(uid) = self.outbox.pending(mail).map(|pending| pending.uid)
            && let Some(selected) = &mut self.selected
        {
            selected.keep_original(uid);
        }
    }

    /// The index of changed mails holds it, or cannot.
    fn recorded(&mut self, mail: u32, safe: bool) {
        let Some(pending) = self.outbox.pending(mail) else { return };
        let (uid, number) = (pending.uid, pending.number);
        if let Outcome::Recording(copy) = &pending.outcome {
            let copy = Rc::clone(copy);
            if safe {
                pending.outcome = Outcome::Ready(Rc::clone(&copy));
                if let Some(selected) = &mut self.selected {
                    selected.replaced(uid, copy.length());
                    selected.keep(uid, Some(number), copy, true, self.common.settings.copy_cache);
                }
            } else {
                pending.outcome = Outcome::Deferred { case: None };
            }
        }
    }

    /// What the index knows of the mailbox that is being opened, or what it learnt since.
    fn learn(&mut self, changed: &[Changed], out: &mut Output) {
        if let Some(opening) = self.opening.take() {
            let (words, mut selected) = *opening;
            selected.learn(changed);
            self.selected = Some(Box::new(selected));
            self.outbox.say(out, |octets| octets.extend_from_slice(&words));
        } else if let Some(selected) = &mut self.selected {
            selected.learn(changed);
        }
    }

    /// Ends the session, with last words where they can be told from an answer that is under way.
    pub(super) fn close(&mut self, why: Close, words: Option<Answer>, out: &mut Output) {
        if self.phase == Phase::Ended {
            return;
        }
        if let Some(answer) = words.filter(|_| !self.is_in_answer()) {
            out.client.extend_from_slice(&farewell(answer, self.common.language));
        }
        self.phase = Phase::Ended;
        out.events.push(Event::Close(why));
    }

    /// Whether what the client hears next would stand in the middle of something.
    pub(super) fn is_in_answer(&self) -> bool {
        self.outbox.is_in_answer() || self.receiving.as_ref().is_some_and(|receiving| receiving.is_passing())
    }

    fn tick(&mut self, out: &mut Output) {
        let now = self.common.now;
        if self.common.max_time().is_some_and(|due| now >= due) {
            self.close(Close::Limit, Some(Answer::OverTime), out);
        } else if self.is_before_login() && now >= self.common.login_deadline() {
            self.close(Close::LoginDeadline, Some(Answer::LoginTooLong), out);
        } else if let Some(due) = self.sign_of_life() {
            if now >= due {
                if !self.is_in_answer() {
                    out.client.extend_from_slice(b"* OK Still here\r\n");
                }
                self.common.spoke = now;
            }
        } else if now >= self.common.idle_deadline() {
            self.close(Close::Idle, Some(Answer::IdleTooLong), out);
        }
        self.delayed_login(out);
    }

    const fn is_before_login(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Before)
    }

    /// When the client has to hear something: in IDLE, and while its answer waits for a judgement. Then nothing is idle.
    fn sign_of_life(&self) -> Option<Duration> {
        let interval = if self.is_in_idle() {
            self.common.settings.rules.imap.idle_heartbeat
        } else if self.outbox.is_held() || self.upload.as_ref().is_some_and(|upload| upload.whole.is_some()) {
            SIGN_OF_LIFE
        } else {
            return None;
        };
        Some(self.common.spoke.saturating_add(interval))
    }
}

impl Machine for Imap {
    const KEEPS_COPIES: bool = true;

    fn handle(mut self, now: Duration, input: Input<'_>, out: &mut Output) -> Result<Self, Fault> {
        self.core.common.now = now;
        if self.core.phase == Phase::Ended {
            return Ok(self);
        }
        let was_upgrading = self.core.upgrading.is_some();
        match self.input(input, out) {
            Ok(()) => {
                if let Some(tag) = self.core.upgrading.as_ref().filter(|_| !was_upgrading) {
                    out.client.extend_from_slice(tag);
                    out.client.extend_from_slice(b" OK begin TLS\r\n");
                    out.events.push(Event::StartTls);
                }
                Ok(self)
            }
            Err(Broken { side, what }) => {
                let answer = match side {
                    Side::Client => Answer::MalformedArgument,
                    Side::Server => Answer::ServerFault,
                };
                let farewell = if self.core.is_in_answer() {
                    Vec::new()
                } else {
                    farewell(answer, self.core.common.language)
                };
                let offset = match side {
                    Side::Client => self.client.offset(),
                    Side::Server => self.server.offset(),
                };
                Err(Fault { side, what, offset, farewell })
            }
        }
    }

    fn secured(mut self) -> Self {
        if !self.core.is_before_login() {
            return self;
        }
        self.core.common.security = Security::Secured;
        self.core.common.utf8 = false;
        self.core.upgrading = None;
        self.core.refused = None;
        self.core.held = None;
        // A SASL exchange that began in clear text is no login.
        self.core.late = self.core.late.map(|_| Box::default());
        Self { client: Framer::new(Side::Client, BEFORE_LOGIN), client_inbox: Inbox::default(), ..self }
    }

    fn wants(&self, side: Side) -> bool {
        match side {
            Side::Client => {
                self.core.accepts_client() && self.client_inbox.is_empty() && !self.core.common.client_ended
            }
            Side::Server => self.core.accepts_server() && self.server_inbox.is_empty(),
        }
    }

    fn wants_copy(&self) -> bool {
        false
    }

    fn has_more(&self, side: Side) -> bool {
        match side {
            _ if self.core.phase == Phase::Ended => false,
            Side::Client => self.core.outbox.has_more(),
            Side::Server => self.core.sending.as_ref().is_some_and(|sending| !sending.waits()),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        if self.core.phase == Phase::Ended {
            return None;
        }
        let core = &self.core;
        let login = core.is_before_login().then(|| core.common.login_deadline());
        let life = core.sign_of_life();
        let idle = life.is_none().then(|| core.common.idle_deadline());
        [core.common.max_time(), login, life, idle, core.login_due()].into_iter().flatten().min()
    }
}
