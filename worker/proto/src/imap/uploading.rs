//! APPEND and REPLACE, step by step: announced, spooled, judged, sent on; or passed through where uploads are not scanned.
use super::answer::say_text;
use super::client::Refused;
use super::command::Head;
use super::common::Broken;
use super::core::{Core, Decision};
use super::frame::Frame;
use super::outstanding::Purpose;
use super::receiving::Spool;
use super::upload::{Passing, Scanned, Sending};
use crate::machine::{Event, Output, Verdict};
use policy::names::Direction;
use texts::Answer;

/// Mails of one APPEND (RFC 3502 leaves the bound to servers): each costs a descriptor or two until the command is complete.
const AT_ONCE: usize = 32;

impl Core {
    /// A mail of an upload is announced; the command is permitted and it is its turn.
    pub(super) fn upload_announced(
        &mut self,
        frame: Frame<'_>,
        head: &Head<'_>,
        size: u64,
        synchronising: bool,
        out: &mut Output,
    ) -> Result<Decision, Broken> {
        let rules = &self.common.settings.rules.upload;
        if size > rules.max_mail {
            if self.passing.is_some() {
                return Err(Broken::client("a mail over max-mail behind others that went on already"));
            }
            // Said before its octets come, where they do not come anyway.
            self.upload_forgotten(out);
            if synchronising {
                self.say_too_large(head.tag, out);
                return Ok(Decision::Abandon);
            }
            self.refused = Some(Refused::TooLarge);
            return Ok(Decision::Skip);
        }
        if !rules.scan {
            return self.pass_announced(frame, head, size, synchronising, out);
        }
        if self.upload.as_ref().is_some_and(|upload| upload.mails.len() >= AT_ONCE) {
            self.upload_forgotten(out);
            if synchronising {
                self.common_say(Some(head.tag), Answer::TooManyMails, out);
                return Ok(Decision::Abandon);
            }
            self.refused = Some(Refused::TooMany);
            return Ok(Decision::Skip);
        }
        self.mails += 1;
        let number = self.mails;
        let upload = self.upload.get_or_insert_default();
        upload.tag = head.tag.into();
        upload.mails.push((number, None));
        out.mail_begins(number, Direction::Upload);
        self.uploading = Some(Spool::new(number));
        if synchronising {
            self.say_go_ahead(out);
        }
        Ok(Decision::Stream)
    }

    pub(super) fn say_too_large(&mut self, tag: &[u8], out: &mut Output) {
        let text = texts::answer(self.common.language, Answer::MailTooLarge, self.common.utf8);
        self.outbox.say(out, |octets| say_text(Some(tag), "NO [LIMIT] ", text, octets));
    }

    fn pass_announced(
        &mut self,
        frame: Frame<'_>,
        head: &Head<'_>,
        size: u64,
        synchronising: bool,
        out: &mut Output,
    ) -> Result<Decision, Broken> {
        let (literals, utf8) = (self.common.literals, self.common.utf8);
        let passing = self.passing.take();
        let begun = passing.is_some();
        if passing.as_ref().is_some_and(|passing| passing.answered) {
            return Err(Broken::server("an answer to half an APPEND"));
        }
        let passing = Passing::announce(
            passing,
            frame,
            (size, synchronising),
            &mut self.upstream,
            (literals, utf8),
            out,
        );
        let Some(passing) = passing else {
            if begun {
                return Err(Broken::client("a malformed APPEND"));
            }
            let why = Answer::MalformedArgument;
            if synchronising {
                self.refuse_command(Some(head.tag), head.name, why, out);
                return Ok(Decision::Abandon);
            }
            self.refused = Some(Refused::Not(why));
            return Ok(Decision::Skip);
        };
        if !begun {
            self.sent(passing.number, head.tag, head.verb, Purpose::Upload);
        }
        let waits = passing.waits.is_some();
        self.passing = Some(passing);
        if !waits && synchronising {
            self.say_go_ahead(out);
        }
        // Where the server must be asked first, nothing more of the client is read until it answered.
        Ok(if waits { Decision::Wait } else { Decision::Stream })
    }

    /// The server takes the mail that was announced.
    pub(super) fn passing_may_go_on(&mut self, out: &mut Output) -> bool {
        let Some(waits) = self.passing.as_mut().and_then(|passing| passing.waits.take()) else {
            return false;
        };
        if waits {
            self.say_go_ahead(out);
        }
        self.decided = Some(Decision::Stream);
        true
    }

    /// Octets of a mail from the client.
    pub(super) fn client_piece(&mut self, piece: &[u8], out: &mut Output) {
        let limits = &self.common.settings.rules.upload;
        if let Some(spool) = &mut self.uploading {
            spool.write(piece, limits.max_mail, limits.mail_line_len, &mut out.spool);
        } else if self.passing.is_some() {
            out.server.extend_from_slice(piece);
        }
    }

    /// The mail is complete.
    pub(super) fn client_literal_end(&mut self, out: &mut Output) {
        if let Some(spool) = self.uploading.take() {
            spool.end(false, None, out);
        }
    }

    /// The command is complete.
    pub(super) fn upload_complete(&mut self, frame: Frame<'_>, out: &mut Output) -> Result<Decision, Broken> {
        let command = super::command::Command::parse(frame, self.common.utf8);
        let well_formed = command.is_ok();
        let objection = command.ok().and_then(|command| self.objection(&command));
        if self.passing.take().is_some() {
            if !well_formed {
                // The server has the mail already, and what follows it is nothing that could be sent on.
                return Err(Broken::client("a malformed APPEND"));
            }
            if frame.text.ends_with(b")") {
                out.server.extend_from_slice(b")");
            }
            out.server.extend_from_slice(b"\r\n");
            return Ok(Decision::Nothing);
        }
        if !well_formed || objection.is_some() {
            let tag = self.upload.as_ref().map(|upload| upload.tag.clone());
            self.upload_forgotten(out);
            let why = objection.unwrap_or(Answer::MalformedArgument);
            self.refuse_command(tag.as_deref(), b"APPEND", why, out);
            return Ok(Decision::Nothing);
        }
        if let Some(upload) = &mut self.upload {
            upload.whole = Some((frame.text.to_vec(), frame.elided.to_vec()));
        }
        self.go_on_with_upload(out);
        Ok(Decision::Nothing)
    }

    /// Its mails are of no use any more.
    pub(super) fn upload_forgotten(&mut self, out: &mut Output) {
        self.uploading = None;
        if let Some(upload) = self.upload.take() {
            for (number, _) in upload.mails {
                out.events.push(Event::Forgotten { number });
            }
        }
    }

    /// A mail of an upload may not go on. Whether it was one.
    pub(super) fn upload_judged(&mut self, mail: u32, verdict: &Verdict) -> bool {
        let (language, utf8) = (self.common.language, self.common.utf8);
        let Some(upload) = &mut self.upload else { return false };
        let tag = upload.tag.clone();
        let Some((_, scanned)) = upload.mails.iter_mut().find(|(number, _)| *number == mail) else {
            return false;
        };
        let mut words = Vec::new();
        match verdict {
            Verdict::Deny { reason, case } => {
                let text = texts::mail_refused(language, reason, case, utf8);
                say_text(Some(&tag), "NO [CANNOT] ", &text, &mut words);
            }
            Verdict::Defer { case } => {
                let text = texts::mail_deferred(language, case.as_deref(), utf8);
                say_text(Some(&tag), "NO [UNAVAILABLE] ", &text, &mut words);
            }
            // It comes as `Scanned`.
            Verdict::Deliver { .. } => return true,
        }
        *scanned = Some(Scanned::Refused(words));
        true
    }

    /// Sends a decided upload on, or says why not.
    pub(super) fn go_on_with_upload(&mut self, out: &mut Output) {
        let Some(upload) = self.upload.take_if(|upload| upload.is_decided()) else { return };
        for (number, _) in &upload.mails {
            out.events.push(Event::Forgotten { number: *number });
        }
        if let Some(words) = upload.refusal() {
            return self.outbox.say(out, |octets| octets.extend_from_slice(words));
        }
        let number = self.upstream.next_number();
        let verb = upload.verb();
        match Sending::new(&upload, number, self.common.literals, self.common.utf8) {
            Some(sending) => {
                self.sent(number, &upload.tag, verb, Purpose::Upload);
                self.sending = Some(Box::new(sending));
            }
            None => self.common_say(Some(&upload.tag), Answer::InternalError, out),
        }
    }

    /// The server answered: what was not sent yet is not sent.
    pub(super) fn upload_answered(&mut self) {
        self.sending.take_if(|sending| sending.answered());
        let Some(passing) = &mut self.passing else { return };
        // Refused before the mail came: a client that waits sends another command, of any other the mail is dropped.
        match passing.waits {
            Some(true) => self.decided = Some(Decision::Abandon),
            Some(false) => {
                self.refused = Some(Refused::Answered);
                self.decided = Some(Decision::Skip);
            }
            None => {
                passing.answered = true;
                return;
            }
        }
        self.passing = None;
    }
}
