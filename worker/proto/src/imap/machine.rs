//! The machine: bytes of both peers into frames, frames to `client.rs` and `server.rs`, and what the driver says.
use super::answer::farewell;
use super::capability::CapabilitySet;
use super::client::Refused;
use super::common::{Broken, Common};
use super::core::{BEFORE_LOGIN, Core, Decision, Phase, server_bounds};
use super::frame::{FrameError, Framer, Step};
use super::identity::HOPS;
use super::marks::Marks;
use super::outbox::Outbox;
use super::outstanding::Outstanding;
use super::upstream::Upstream;
use super::verb::VerbSet;
use super::write::Literals;
use crate::line::Inbox;
use crate::machine::{Close, Event, Fault, Greeted, Input, Machine, Output, Security, Settings, Side};
use policy::model::Welcome;
use policy::names::Language;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;

/// IMAP between a client and a server.
#[derive(Debug)]
pub struct Imap {
    client: Framer,
    server: Framer,
    client_inbox: Inbox,
    server_inbox: Inbox,
    pub(super) core: Core,
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
            welcome: Rc::default(),
            greeted,
            security,
            language,
            literals: Literals::default(),
            server_takes_id: false,
            hops: HOPS,
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
                inspection: None,
                receiving: None,
                mails: 0,
                mail_octets: 0,
                put_off: Vec::new(),
                utf8_enabled: false,
                pulls: VecDeque::new(),
                marks: Marks::default(),
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

    /// The same at a listener that has words of its own for clients who did not log in.
    #[must_use]
    pub fn welcoming(mut self, welcome: Rc<Welcome>) -> Self {
        self.core.common.welcome = welcome;
        self
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
            Input::Scanned { number, copy, changed, keywords } => {
                self.core.scanned(number, copy, changed, &keywords, out);
            }
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
            // Somebody took what was said, a piece of a large mail perhaps.
            Input::Room(_) => self.core.common.active = self.core.common.now,
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
        self.feed(side, bytes, out)?;
        Ok(())
    }

    /// What waits and `more`, as far as it can be dealt with now. Whether anything moved.
    fn feed(&mut self, side: Side, more: &[u8], out: &mut Output) -> Result<bool, Broken> {
        // The inbox is taken out for the time of the call, so that frames can be slices of it.
        let mut inbox = std::mem::take(self.inbox(side));
        let moved = inbox.feed(more, |rest| self.consume(side, rest, out))?;
        *self.inbox(side) = inbox;
        Ok(moved)
    }

    fn inbox(&mut self, side: Side) -> &mut Inbox {
        match side {
            Side::Client => &mut self.client_inbox,
            Side::Server => &mut self.server_inbox,
        }
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
            let server = !self.server_inbox.is_empty() && self.core.accepts_server();
            if server && self.feed(Side::Server, &[], out)? {
                continue;
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
        self.feed(Side::Client, &[], out)
    }

    fn consume_client(&mut self, rest: &mut &[u8], out: &mut Output) -> Result<(), Broken> {
        while self.core.accepts_client() {
            let plain = self.core.expects_plain_line();
            self.client.set_plain(plain);
            self.client.set_bounds(self.core.client_bounds(plain));
            let step = match self.client.next(rest) {
                Ok(step) => step,
                Err(FrameError::TooLong) => return Err(Broken::too_long("a line over cmd-line-len")),
                Err(FrameError::Malformed) => return Err(Broken::client("NUL or a bare CR in a line")),
                Err(FrameError::Undecided) => return Err(Broken::client("a literal out of place")),
            };
            let decision = match step {
                Step::More => break,
                Step::Announced(announced) => self.core.client_literal(&announced, out)?,
                Step::Piece(piece) => {
                    self.core.common.active = self.core.common.now;
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
                    return Err(Broken::too_long("a literal over the bound before the login"));
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
            Err(Broken { side, what, answer }) => {
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
