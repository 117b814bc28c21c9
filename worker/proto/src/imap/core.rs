//! What a session is, besides its framing: where it is, what is on its way, what waits; whom it hears, and how long it lives.
use super::answer::farewell;
use super::client::{Held, Refused};
use super::common::Common;
use super::fetch::PIECE;
use super::frame::Bounds;
use super::judging::PutOff;
use super::late::Late;
use super::mailbox_guard::Inspection;
use super::marks::{Marks, SEEN};
use super::outbox::Outbox;
use super::outstanding::{Outstanding, Pull, Purpose};
use super::receiving::{Receiving, Spool};
use super::selected::Selected;
use super::upload::{Passing, Sending, Upload};
use super::upstream::Upstream;
use crate::machine::{Close, CopyFault, Event, Output, Security};
use std::collections::VecDeque;
use std::time::Duration;
use texts::Answer;

/// Commands without an answer, above which the client waits.
const COMMANDS: usize = 128;
/// Mails that are being scanned, or wait to be sent, above which the server waits.
pub(super) const MAILS: usize = 16;
/// Octets of them, likewise; one mail may be larger.
const MAIL_OCTETS: u64 = 16 << 20;
/// The client hears something at least this often while its answer waits for a judgement.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Octets of a command line and of a literal before the login.
pub(super) const BEFORE_LOGIN: Bounds = Bounds { line: 8 * 1024, literal: 4 * 1024, literals: 8 * 1024 };
/// A line of a SASL exchange before TLS and behind it: room for tickets and tokens.
const SASL_LINE_CLEAR: usize = 12 * 1024;
const SASL_LINE: usize = 64 * 1024;

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
    /// A command that waits until its mailboxes were looked at.
    pub(super) inspection: Option<Box<Inspection>>,
    /// Content that the server is sending.
    pub(super) receiving: Option<Box<Receiving>>,
    /// The last mail's number.
    pub(super) mails: u32,
    /// Octets of mails that are on their way.
    pub(super) mail_octets: u64,
    /// Mails that were put off, whose judgement may still come.
    pub(super) put_off: Vec<PutOff>,
    /// The server agreed to UTF8=ACCEPT.
    pub(super) utf8_enabled: bool,
    /// Mails that are to be asked for.
    pub(super) pulls: VecDeque<Pull>,
    /// Flags that are to be set.
    pub(super) marks: Marks,
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

pub(super) fn server_bounds(common: &Common) -> Bounds {
    let line = common.settings.rules.imap.resp_line_len;
    Bounds { line, literal: line as u64, literals: line as u64 }
}

impl Core {
    /// Whether the client's next command could be dealt with.
    pub(super) fn accepts_client(&self) -> bool {
        let waits = self.held.is_some()
            || self.upgrading.is_some()
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
    pub(super) fn accepts_server(&self) -> bool {
        let full = self.outbox.pendings() >= MAILS || self.mail_octets > MAIL_OCTETS;
        self.phase != Phase::Ended
            && self.late.as_ref().is_none_or(|late| late.hears_server())
            && self.opening.is_none()
            && (self.receiving.is_some() || (!full && !self.outbox.is_full()))
    }

    /// Whether the next line of the client is no command: DONE, or an answer in a SASL exchange.
    pub(super) fn expects_plain_line(&mut self) -> bool {
        if self.late.as_ref().is_some_and(|late| late.is_exchange()) {
            return true;
        }
        self.outstanding.alone().is_some_and(|sent| {
            matches!(sent.purpose, Purpose::Idle(_) | Purpose::Login { sasl: Some(_), .. })
        })
    }

    pub(super) fn client_bounds(&self, plain: bool) -> Bounds {
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
            && self.inspection.is_none()
            && self.upload.is_none()
            && self.sending.is_none()
            && self.passing.is_none()
            && self.pulls.is_empty()
    }

    /// Whether a client that sends no more gets nothing more either: it will never say DONE, nor send the rest of a mail.
    pub(super) fn needs_no_answer(&self) -> bool {
        let cut_off = self.uploading.is_some()
            || self.upload.as_ref().is_some_and(|upload| upload.whole.is_none())
            || self.passing.is_some();
        self.is_idle() || self.outstanding.waits_for_client() || cut_off
    }

    /// Says what can be said.
    pub(super) fn drain(&mut self, out: &mut Output) {
        if let Some(sending) = &mut self.sending {
            match sending.write(out, PIECE) {
                Ok(true) => self.sending = None,
                Ok(false) => {}
                Err(fault) => return self.fail(fault, out),
            }
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        outbox.set_marking(self.is_marking());
        let may_mark = self.may_mark();
        let (marks, octets) = (&mut self.marks, &mut self.mail_octets);
        let drained = outbox.drain(&self.common, out, |pending| {
            let marks_seen = pending.marks_seen();
            if marks_seen {
                marks.add(SEEN, pending.uid, pending.now.filter(|_| !pending.job.by_uid));
            }
            *octets = octets.saturating_sub(pending.octets);
            marks_seen && may_mark
        });
        self.outbox = outbox;
        if let Err(fault) = drained {
            return self.fail(fault, out);
        }
        self.pull(out);
        self.set_marks(out);
        if !out.client.is_empty() {
            self.common.spoke = self.common.now;
        }
    }

    pub(super) fn fail(&mut self, fault: CopyFault, out: &mut Output) {
        self.phase = Phase::Ended;
        out.events.push(Event::CopyFailed(fault));
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

    pub(super) fn tick(&mut self, out: &mut Output) {
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

    pub(super) const fn is_before_login(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Before)
    }

    /// When the client has to hear something: in IDLE, and while its answer waits for a judgement. Then nothing is idle.
    pub(super) fn sign_of_life(&self) -> Option<Duration> {
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
