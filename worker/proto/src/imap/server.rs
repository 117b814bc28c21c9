//! What a server says: each response is parsed, held against what was asked, and passed on anew, or ends the session.
//!
//! Reads bytes chosen by a server.
use super::capability::{changes_syntax, may_enable};
use super::common::Broken;
use super::core::{Core, Phase};
use super::frame::{Announced, Frame};
use super::outstanding::{Exchange, Idle, Pull, Purpose, Sent};
use super::response::code::Code;
use super::response::data::Kind;
use super::response::fetch::announces_content;
use super::response::{Data, Response, Status, StatusKind, Words};
use super::selected::{Permanent, Selected};
use super::upstream;
use super::write::{Literals, Writer};
use crate::machine::{Close, Event, Greeted, Output};
use texts::Answer;

impl Core {
    /// Our own greeting, in place of one that came in clear text.
    pub(super) fn greet(&self, out: &mut Output) {
        match self.common.greeted {
            Greeted::ByServer => {}
            Greeted::ByUs | Greeted::BeforeServer => {
                let own = self.common.welcome.greeting.as_str();
                out.client.extend_from_slice(b"* OK ");
                if self.common.greeted == Greeted::BeforeServer {
                    // A proxy in front learns of ID by it, and tells its count.
                    out.client.push(b'[');
                    out.client.extend_from_slice(&self.late_capabilities());
                    out.client.extend_from_slice(b"] ");
                }
                out.client.extend_from_slice(if own.is_empty() { "IMAP4 ready" } else { own }.as_bytes());
                out.client.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The announcement of a literal. Whether its octets come in pieces.
    pub(super) fn server_literal(
        &mut self,
        announced: &Announced<'_>,
        out: &mut Output,
    ) -> Result<bool, Broken> {
        let Announced { frame, size, .. } = *announced;
        if !announces_content(frame) {
            return Ok(false);
        }
        self.content_announced(frame, size, out)
    }

    /// A whole response.
    pub(super) fn server_frame(&mut self, frame: Frame<'_>, out: &mut Output) -> Result<(), Broken> {
        let response = Response::parse(frame).map_err(|wrong| Broken::server(wrong.what))?;
        if let Some(done) = self.late_said(&response, out) {
            return done;
        }
        match response {
            Response::Continue(text) => self.go_ahead(text, out),
            Response::Status(status) if self.phase == Phase::Greeting => self.greeted(&status, out),
            Response::Status(status) => match status.tag {
                Some(tag) => self.tagged(tag, &status, out),
                None => self.untagged(&status, out),
            },
            Response::Data(_) if self.phase == Phase::Greeting => {
                Err(Broken::server("data before the greeting"))
            }
            Response::Data(data) => self.data(data, out),
        }
    }

    fn greeted(&mut self, status: &Status<'_>, out: &mut Output) -> Result<(), Broken> {
        match (status.tag, status.kind) {
            (None, StatusKind::Ok) => {
                self.phase = Phase::Before;
                self.pass_status(None, status, out);
                Ok(())
            }
            (None, StatusKind::Bye) => {
                self.pass_status(None, status, out);
                self.close(Close::ServerClosed, None, out);
                Ok(())
            }
            // Nobody who asked logged in: whatever made it so, it was not this client.
            (None, StatusKind::Preauth) => Err(Broken::server("PREAUTH")),
            (Some(_), _) | (None, StatusKind::No | StatusKind::Bad) => {
                Err(Broken::server("a greeting that is none"))
            }
        }
    }

    /// `+`
    fn go_ahead(&mut self, text: &[u8], out: &mut Output) -> Result<(), Broken> {
        if self.upstream.is_waiting() {
            self.upstream.go_on(out);
            return Ok(());
        }
        if let Some(sending) = &mut self.sending
            && sending.waits()
        {
            sending.go_on();
            return Ok(());
        }
        if self.passing_may_go_on(out) {
            return Ok(());
        }
        match self.outstanding.alone().map(|sent| &mut sent.purpose) {
            Some(Purpose::Idle(idle @ (Idle::Asked | Idle::DoneEarly))) => {
                let done = *idle == Idle::DoneEarly;
                *idle = if done { Idle::Done } else { Idle::Begun };
                self.outbox.say(out, |octets| octets.extend_from_slice(b"+ idling\r\n"));
                if done {
                    out.server.extend_from_slice(b"DONE\r\n");
                }
                Ok(())
            }
            Some(Purpose::Login { sasl: Some(exchange), .. }) if !exchange.challenged => {
                exchange.challenged = true;
                let challenge = text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
                self.outbox.say(out, |octets| {
                    // Text for people is no challenge: some servers write it in front of an empty one.
                    octets.extend_from_slice(b"+ ");
                    octets.extend_from_slice(if challenge { text } else { b"" });
                    octets.extend_from_slice(b"\r\n");
                });
                Ok(())
            }
            Some(_) | None => Err(Broken::server("`+` that nothing waits for")),
        }
    }

    fn untagged(&mut self, status: &Status<'_>, out: &mut Output) -> Result<(), Broken> {
        match status.kind {
            StatusKind::Preauth => return Err(Broken::server("PREAUTH behind the greeting")),
            StatusKind::Bye => {
                self.pass_status(None, status, out);
                if !self.outstanding.is_logging_out() {
                    self.core_drained(out);
                    // What waits for a judgement is lost, and with it the server's words that are behind it.
                    let lost = !self.outbox.is_empty();
                    self.close(Close::ServerClosed, lost.then_some(Answer::ServerClosed), out);
                }
                return Ok(());
            }
            StatusKind::Ok | StatusKind::No | StatusKind::Bad => {}
        }
        if let Some(Purpose::Select { uid_validity, read_write, permanent, .. }) =
            self.outstanding.alone().map(|sent| &mut sent.purpose)
        {
            match &status.code {
                Some(Code::UidValidity(number)) => *uid_validity = *number,
                Some(Code::ReadOnly) => *read_write = false,
                Some(Code::PermanentFlags(flags)) => *permanent = Permanent::of(flags),
                Some(_) | None => {}
            }
        } else if let (Some(Code::PermanentFlags(flags)), Some(selected)) = (&status.code, &mut self.selected)
        {
            selected.permanent = Permanent::of(flags);
        } else if let (Some(Code::UidValidity(number)), Some(selected)) = (&status.code, &self.selected)
            && selected.name.1 != 0
            && selected.name.1 != *number
        {
            // UIDs would mean other mails than those that the client, the index and the copies know by them.
            return Err(Broken::server("another UIDVALIDITY of the mailbox that is open"));
        }
        // Before the login, text of the server is nobody's to see but the greeting's.
        if self.phase == Phase::Before && !matches!(status.code, Some(Code::Alert | Code::Capability(_))) {
            return Ok(());
        }
        self.pass_status(None, status, out);
        Ok(())
    }

    /// The answer to a command.
    fn tagged(&mut self, tag: &[u8], status: &Status<'_>, out: &mut Output) -> Result<(), Broken> {
        let sent = upstream::number(tag).and_then(|number| self.outstanding.take(number));
        let Some(Sent { number, tag, verb, purpose }) = sent else {
            return Err(Broken::server("an answer to a command that was not sent"));
        };
        let ok = status.kind == StatusKind::Ok;
        self.upstream.answered(number);
        match purpose {
            Purpose::Mark(flags) => {
                self.marked(&flags, ok, out);
                return Ok(());
            }
            Purpose::Login { sasl: Some(Exchange { cancelled: true, .. }), .. } if ok => {
                return Err(Broken::server("a login that the client had cancelled"));
            }
            Purpose::Login { user, .. } => return self.login_answered(&tag, user, status, out),
            Purpose::Select { mailbox, uid_validity, read_write, permanent, .. } if ok => {
                let read_only = matches!(status.code, Some(Code::ReadOnly));
                let name = (mailbox.clone(), uid_validity);
                let selected = Selected::new(name, read_write && !read_only, permanent);
                let words = self.status_octets(Some(&tag), status);
                if self.common.settings.rules.download.scan {
                    out.events.push(Event::Selected { mailbox, uid_validity });
                    self.opening = Some(Box::new((words, selected)));
                } else {
                    self.selected = Some(Box::new(selected));
                    self.outbox.say(out, |octets| octets.extend_from_slice(&words));
                }
                return Ok(());
            }
            // It did not come to closing the one that was open.
            Purpose::Select { before, .. } if status.kind == StatusKind::Bad => {
                self.selected = before;
                self.renumber(None);
            }
            Purpose::Close if ok => self.no_mailbox(),
            Purpose::Enable { utf8 } if ok => self.common.utf8 |= utf8 && self.utf8_enabled,
            Purpose::Fetch(job) if !job.pulls.borrow().is_empty() => {
                let words = self.status_octets(None, status);
                let words = words.get(2..).unwrap_or_default().to_vec();
                self.pulls.push_back(Pull { tag, job, words });
                self.pull(out);
                return Ok(());
            }
            Purpose::Fetch(job) if ok && job.content => {
                let words = self.status_octets(None, status);
                self.outbox.push_end(tag, words.get(2..).unwrap_or_default().to_vec(), job);
                return Ok(());
            }
            Purpose::Pull { job, words, .. } if !job.pulls.borrow().is_empty() => {
                self.pulls.push_front(Pull { tag, job, words });
                return Ok(());
            }
            Purpose::Pull { job, words, .. } => {
                self.outbox.push_end(tag, words, job);
                return Ok(());
            }
            Purpose::Hops => return Ok(()),
            Purpose::Inspect => {
                self.inspected(status.kind, out);
                return Ok(());
            }
            Purpose::Ask { command, found } => {
                if found || !ok {
                    self.common_say(Some(&tag), Answer::DeleteReplaced, out);
                    return Ok(());
                }
                let number = self.upstream.next_number();
                out.server.extend_from_slice(&upstream::tag(number));
                out.server.extend_from_slice(&command);
                let closes = matches!(verb, super::verb::Verb::Close);
                self.sent(number, &tag, verb, if closes { Purpose::Close } else { Purpose::Relay });
                return Ok(());
            }
            Purpose::Upload => self.upload_answered(),
            Purpose::Relay
            | Purpose::Select { .. }
            | Purpose::Close
            | Purpose::Enable { .. }
            | Purpose::Idle(_)
            | Purpose::Fetch(_) => {}
        }
        self.pass_status(Some(&tag), status, out);
        if verb == super::verb::Verb::Logout {
            self.core_drained(out);
            self.close(Close::Quit, None, out);
        }
        Ok(())
    }

    /// Says what is still queued, as far as it can be said at once.
    fn core_drained(&mut self, out: &mut Output) {
        let mut outbox = std::mem::take(&mut self.outbox);
        let _ = outbox.drain(&self.common, out, |_| false);
        self.outbox = outbox;
    }

    /// Untagged data.
    fn data(&mut self, data: Data<'_>, out: &mut Output) -> Result<(), Broken> {
        match &data {
            Data::Capability(words) => {
                self.note_capabilities(*words);
                // Servers may tell of what a login brings before they say that it succeeded.
                let logged_in = self.phase != Phase::Before || self.outstanding.is_logging_in();
                let line = self.common.announce(*words, logged_in);
                self.outbox.say(out, |octets| {
                    octets.extend_from_slice(b"* ");
                    octets.extend_from_slice(&line);
                    octets.extend_from_slice(b"\r\n");
                });
                return Ok(());
            }
            Data::Other(value) if value.kind() == Kind::Id && self.outstanding.tells_hops() => return Ok(()),
            Data::Other(value) if value.kind() == Kind::Id && self.outstanding.brings(Kind::Id) => {}
            _any if self.phase == Phase::Before => return Err(Broken::server("data before the login")),
            Data::Enabled(words) => return self.pass_enabled(*words, out),
            Data::Exists(_) | Data::Recent(_) => self.must_be_open()?,
            Data::Expunge(number) => {
                self.must_be_open()?;
                self.renumber(Some(*number));
            }
            Data::Vanished { earlier, .. } => {
                self.must_be_open()?;
                if !*earlier {
                    self.renumber(None);
                }
            }
            Data::Fetch(fetch) => {
                self.must_be_open()?;
                return self.fetched(*fetch, out);
            }
            Data::Esearch { .. } | Data::Other(_) if self.answers_question(&data) => return Ok(()),
            Data::Esearch { .. } if self.outstanding.brings(Kind::Esearch) => {
                return self.pass_esearch(&data, out);
            }
            Data::Other(value) if self.answers_inspection(value) => return Ok(()),
            Data::Other(value) if value.kind() == Kind::Flags => self.must_be_open()?,
            Data::Other(value) if self.outstanding.brings(value.kind()) => {}
            Data::Esearch { .. } | Data::Other(_) => {
                return Err(Broken::server("data that no command asked for"));
            }
        }
        let utf8 = self.common.utf8;
        self.outbox.tell(out, |octets| {
            Response::Data(data).write(&mut Writer::to_client(octets, utf8));
        });
        Ok(())
    }

    /// What was enabled: nothing that is hidden, and nothing that changes the syntax without that the client asked for it.
    fn pass_enabled(&mut self, words: Words<'_>, out: &mut Output) -> Result<(), Broken> {
        let Some(Purpose::Enable { utf8 }) = self.outstanding.alone().map(|sent| &sent.purpose) else {
            return Err(Broken::server("data that no command asked for"));
        };
        let (utf8, capabilities) = (*utf8, self.common.capabilities);
        let enabled: Vec<&[u8]> = words
            .iter()
            .filter(|word| may_enable(word, capabilities) && (utf8 || !changes_syntax(word)))
            .collect();
        self.utf8_enabled |= enabled.iter().any(|word| changes_syntax(word));
        self.outbox.tell(out, |octets| {
            let mut writer = Writer::to_client(octets, false);
            writer.words([&b"* ENABLED"[..]].into_iter().chain(enabled));
            writer.end();
        });
        Ok(())
    }

    /// A search result names the command by our tag; the client knows its own.
    fn pass_esearch(&mut self, data: &Data<'_>, out: &mut Output) -> Result<(), Broken> {
        let Data::Esearch { tag, result } = data else { return Ok(()) };
        let theirs = match tag {
            Some(tag) => {
                let number = upstream::number(tag.bytes());
                let theirs = number.and_then(|number| self.outstanding.tag(number));
                Some(
                    theirs.ok_or(Broken::server("a search result for a command that was not sent"))?.to_vec(),
                )
            }
            None => None,
        };
        let tag = theirs.as_deref().map(|tag| super::cursor::Str::Quoted(tag.into()));
        let data = Data::Esearch { tag, result: *result };
        let utf8 = self.common.utf8;
        self.outbox.say(out, |octets| {
            Response::Data(data).write(&mut Writer::to_client(octets, utf8));
        });
        Ok(())
    }

    /// Whether it answers a search of ours. What it found is noted.
    fn answers_question(&mut self, data: &Data<'_>) -> bool {
        let Some(found) = self.outstanding.asks() else { return false };
        let value = if let Data::Esearch { result, .. } = data {
            result
        } else if let Data::Other(value) = data
            && value.kind() == Kind::Search
        {
            value
        } else {
            return false;
        };
        let mut octets = Vec::new();
        value.write(&mut Writer::to_client(&mut octets, false));
        *found |= octets.iter().any(u8::is_ascii_digit);
        true
    }

    pub(super) fn must_be_open(&mut self) -> Result<(), Broken> {
        let opening =
            self.outstanding.alone().is_some_and(|sent| matches!(sent.purpose, Purpose::Select { .. }));
        if self.selected.is_some() || opening || self.outstanding.is_closing() {
            Ok(())
        } else {
            Err(Broken::server("data of a mailbox, and none is open"))
        }
    }

    /// What the server takes.
    pub(super) fn note_capabilities(&mut self, words: Words<'_>) {
        self.common.server_takes_id = words.contains("ID");
        self.common.literals = if words.contains("LITERAL+") {
            Literals::Plus
        } else if words.contains("LITERAL-") || words.contains("IMAP4rev2") {
            Literals::Minus
        } else {
            Literals::Synchronising
        };
    }

    /// Passes a status response on, its capabilities as the client may see them.
    pub(super) fn pass_status(&mut self, tag: Option<&[u8]>, status: &Status<'_>, out: &mut Output) {
        let words = self.status_octets(tag, status);
        match tag {
            Some(_) => self.outbox.say_end(out, |octets| octets.extend_from_slice(&words)),
            None => self.outbox.say(out, |octets| octets.extend_from_slice(&words)),
        }
    }

    pub(super) fn status_octets(&mut self, tag: Option<&[u8]>, status: &Status<'_>) -> Vec<u8> {
        let mut octets = Vec::new();
        let Some(Code::Capability(words)) = &status.code else {
            status.write(tag, &mut Writer::to_client(&mut octets, self.common.utf8));
            return octets;
        };
        self.note_capabilities(*words);
        let line = self.common.announce(*words, self.phase == Phase::After);
        let mut writer = Writer::to_client(&mut octets, self.common.utf8);
        writer.raw(tag.unwrap_or(b"*"));
        writer.space();
        writer.word(status.kind.name());
        writer.word(" [");
        writer.raw(&line);
        writer.word("] ");
        writer.text(if status.text.is_empty() { b"ready" } else { status.text });
        writer.end();
        octets
    }
}
