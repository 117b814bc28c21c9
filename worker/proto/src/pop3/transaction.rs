//! TRANSACTION (RFC 1939 section 5): commands go on in order, several at a time where the server announced
//! PIPELINING (RFC 2449 section 6.6), and their answers come back in that order. A scanned mail, QUIT and whatever
//! is answered here wait until every answer before them was passed on.
use super::command::{Command, MessageNumber, Verb, push_number};
use super::common::{Broken, Common};
use super::listing::{Listing, identifier, size};
use super::maildrop::Maildrop;
use super::multiline::Terminator;
use super::reply::{Reply, Status};
use super::retrieval::Retrieval;
use super::state::{Expects, State};
use super::survey::Sizes;
use super::update::Update;
use crate::capability::{Capability, CapabilitySet};
use crate::machine::Output;
use std::collections::VecDeque;
use texts::Answer;

/// Logged in, and no scanned mail on its way.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// What is known about the mails.
    pub(super) maildrop: Maildrop,
    /// Answers that the server owes, in order.
    expected: VecDeque<Expected>,
    /// The rest of the answer that the server is giving.
    body: Option<Body>,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// One line that is passed on.
    Line,
    /// UTF8's line.
    Utf8,
    /// DELE's line.
    Delete(MessageNumber),
    /// RSET's line.
    Reset,
    /// `LIST n`.
    Size(MessageNumber),
    /// `UIDL n`.
    Identifier(MessageNumber),
    /// A list, or `-ERR`.
    Listing(Listing),
    /// A mail that is passed on as it comes, or `-ERR` (no-mail-scanning).
    Mail,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Listing(Listing),
    Mail(Terminator),
}

/// How many commands may be unanswered. Enough to hide the way to any server; bounds the memory of a session.
const WINDOW: usize = 32;
/// An idle session keeps no more than this many entries' memory.
const KEPT: usize = 4;

impl Transaction {
    pub(super) fn expects(&self) -> Expects {
        match &self.body {
            Some(Body::Mail(_)) => Expects::Mail,
            Some(Body::Listing(_)) => Expects::Line,
            None if self.expected.is_empty() => Expects::Nothing,
            None => Expects::Line,
        }
    }

    /// Whether every command was answered.
    pub(super) fn is_idle(&self) -> bool {
        self.answered() && !self.maildrop.must_identify() && !self.maildrop.is_surveyed_now()
    }

    /// Whether the server owes nothing.
    fn answered(&self) -> bool {
        self.expected.is_empty() && self.body.is_none()
    }

    pub(super) fn accepts(&self, common: &Common) -> bool {
        let pipelining = common.offered.is_some_and(|offered| offered.contains(Capability::Pipelining));
        let busy = self.maildrop.must_identify() || self.maildrop.is_surveyed_now();
        self.is_idle() || (pipelining && self.expected.len() < WINDOW && !busy)
    }

    /// Whether an answer that the client sees is under way.
    pub(super) const fn is_in_answer(&self) -> bool {
        match &self.body {
            Some(Body::Mail(_)) => true,
            Some(Body::Listing(listing)) => listing.is_shown(),
            None => false,
        }
    }

    /// What comes before the client's next command: the server is asked which numbers the changed mails have; the mails whose
    /// sizes the client waits for are judged.
    pub(super) fn go_on(mut self, common: &Common, out: &mut Output) -> State {
        if !self.answered() {
            return State::Transaction(self);
        }
        if self.maildrop.must_identify() {
            self.maildrop.ask();
            out.server.extend_from_slice(b"UIDL\r\n");
            self.expected.push_back(Expected::Listing(Listing::Identify));
            return State::Transaction(self);
        }
        if let Some(number) = self.maildrop.next_unjudged() {
            return Retrieval::begin_judging(self, number, out);
        }
        if self.maildrop.is_surveyed_now()
            && let Some(asked) = self.maildrop.end_survey()
        {
            return self.command(&asked.command(), common, out);
        }
        State::Transaction(self)
    }

    /// Whether the maildrop is judged before this command is answered.
    fn must_survey(&self, command: &Command<'_>, common: &Common) -> Option<Sizes> {
        let rules = &common.settings.rules;
        let strict = rules.strict && rules.download.scan && !self.maildrop.is_surveyed();
        Sizes::asked_by(command).filter(|_| strict)
    }

    /// Whether a command cannot be sent behind those that are unanswered.
    pub(super) fn must_wait(&self, command: &Command<'_>, common: &Common) -> bool {
        let refused_here = match command {
            Command::Dele(number) => self.may_delete(*number, common).is_err(),
            Command::User(_)
            | Command::Pass(_)
            | Command::Apop(..)
            | Command::AuthList
            | Command::Auth(..)
            | Command::Stls
            | Command::Capa
            | Command::Stat
            | Command::List(_)
            | Command::Uidl(_)
            | Command::Retr(_)
            | Command::Top(..)
            | Command::Rset
            | Command::Noop
            | Command::Last
            | Command::Utf8
            | Command::Lang(_)
            | Command::Quit => false,
        };
        let scanned = common.settings.rules.download.scan && matches!(command.verb(), Verb::Retr | Verb::Top);
        let surveys = self.must_survey(command, common).is_some();
        (refused_here || scanned || surveys || command.verb() == Verb::Quit) && !self.is_idle()
    }

    /// Sends a command on, or answers it here.
    pub(super) fn command(mut self, command: &Command<'_>, common: &Common, out: &mut Output) -> State {
        let scan = common.settings.rules.download.scan;
        if let Some(asked) = self.must_survey(command, common) {
            self.maildrop.begin_survey(asked, common.settings.rules.strict_limit);
            out.server.extend_from_slice(b"LIST\r\n");
            self.expected.push_back(Expected::Listing(Listing::Survey));
            return State::Transaction(self);
        }
        let expected = match command {
            Command::Stat if self.maildrop.resized() => {
                // The octets that are served are known mail by mail only.
                out.server.extend_from_slice(b"LIST\r\n");
                self.expected.push_back(Expected::Listing(Listing::Total { messages: 0, octets: 0 }));
                return State::Transaction(self);
            }
            Command::Retr(number) | Command::Top(number, _)
                if scan && self.maildrop.is_deleted(number.get()) =>
            {
                common.say(Answer::MessageDeleted, &mut out.client);
                return State::Transaction(self);
            }
            Command::Retr(number) if scan => return Retrieval::begin_whole(self, *number, out),
            Command::Top(number, lines) if scan => return Retrieval::begin_top(self, *number, *lines, out),
            Command::Dele(number) => {
                if let Err(why) = self.may_delete(*number, common) {
                    common.say(why, &mut out.client);
                    return State::Transaction(self);
                }
                Expected::Delete(*number)
            }
            Command::Quit => return Update::begin(out),
            Command::Retr(_) | Command::Top(..) => Expected::Mail,
            Command::Capa => Expected::Listing(Listing::Capabilities { seen: CapabilitySet::default() }),
            Command::List(None) => Expected::Listing(Listing::Sizes),
            Command::List(Some(number)) => Expected::Size(*number),
            Command::Uidl(None) => Expected::Listing(Listing::Identifiers),
            Command::Uidl(Some(number)) => Expected::Identifier(*number),
            Command::Lang(None) => Expected::Listing(Listing::Languages),
            Command::Lang(Some(_)) | Command::Stat | Command::Noop | Command::Last => Expected::Line,
            Command::Rset => Expected::Reset,
            Command::Utf8 => Expected::Utf8,
            // Refused before it came here.
            Command::User(_)
            | Command::Pass(_)
            | Command::Apop(..)
            | Command::AuthList
            | Command::Auth(..)
            | Command::Stls => {
                return State::Transaction(self);
            }
        };
        command.write(&mut out.server);
        self.expected.push_back(expected);
        State::Transaction(self)
    }

    pub(super) fn line(
        mut self,
        line: &[u8],
        common: &mut Common,
        out: &mut Output,
    ) -> Result<State, Broken> {
        if let Some(Body::Listing(listing)) = &mut self.body {
            if line == b"." {
                let listing = *listing;
                self.body = None;
                listing.finish(common, Some(&mut self.maildrop), &mut out.client);
            } else {
                // Only a line that starts with a dot was stuffed; none of ours does.
                let line = line.strip_prefix(b".").unwrap_or(line);
                listing
                    .line(line, common, Some(&mut self.maildrop), &mut out.client)
                    .map_err(Broken::server)?;
            }
            return Ok(State::Transaction(self));
        }
        let reply = Reply::parse(line).ok_or(Broken::server("an answer that is neither +OK nor -ERR"))?;
        let expected = self.expected.pop_front().ok_or(Broken::server("data that no command asked for"))?;
        if self.expected.is_empty() && self.expected.capacity() > KEPT {
            self.expected = VecDeque::new();
        }
        match (expected, reply.status) {
            (Expected::Listing(Listing::Identify), Status::Err) => self.maildrop.unidentifiable(),
            // Then there is no mail that it would tell of; the client hears so from it.
            (Expected::Listing(Listing::Survey), Status::Err) => {}
            (Expected::Listing(listing), Status::Ok) => {
                self.body = Some(Body::Listing(listing));
                match listing {
                    // The server's text may count octets that we do not serve.
                    Listing::Sizes if self.maildrop.resized() => out.client.extend_from_slice(b"+OK\r\n"),
                    Listing::Total { .. } | Listing::Identify | Listing::Survey => {}
                    Listing::Capabilities { .. }
                    | Listing::Mechanisms
                    | Listing::Languages
                    | Listing::Sizes
                    | Listing::Identifiers => reply.write(common.utf8, &mut out.client),
                }
            }
            (Expected::Mail, Status::Ok) => {
                self.body = Some(Body::Mail(Terminator::after_status_line()));
                reply.write(common.utf8, &mut out.client);
            }
            (Expected::Utf8, Status::Ok) => {
                common.utf8 = true;
                reply.write(common.utf8, &mut out.client);
            }
            (Expected::Delete(number), Status::Ok) => {
                if common.settings.rules.download.scan {
                    self.maildrop.delete(number.get());
                }
                reply.write(common.utf8, &mut out.client);
            }
            (Expected::Reset, Status::Ok) => {
                self.maildrop.reset();
                reply.write(common.utf8, &mut out.client);
            }
            (Expected::Size(asked), Status::Ok) => {
                let told = size(reply.text).filter(|(number, _)| *number == asked.get());
                let (number, octets) = told.ok_or(Broken::server("malformed answer to LIST"))?;
                let octets = self.maildrop.length(number).unwrap_or(octets);
                out.client.extend_from_slice(b"+OK ");
                push_number(&mut out.client, number.into());
                out.client.push(b' ');
                push_number(&mut out.client, octets);
                out.client.extend_from_slice(b"\r\n");
            }
            (Expected::Identifier(asked), Status::Ok) => {
                let told = identifier(reply.text).filter(|(number, _)| *number == asked.get());
                told.ok_or(Broken::server("malformed answer to UIDL"))?;
                reply.write(false, &mut out.client);
            }
            (Expected::Line, Status::Ok)
            | (
                Expected::Listing(_)
                | Expected::Mail
                | Expected::Utf8
                | Expected::Delete(_)
                | Expected::Reset
                | Expected::Size(_)
                | Expected::Identifier(_)
                | Expected::Line,
                Status::Err,
            ) => reply.write(common.utf8, &mut out.client),
        }
        Ok(State::Transaction(self))
    }

    /// Passes octets of a mail on as they come; how many were the mail's.
    pub(super) fn mail(mut self, bytes: &[u8], out: &mut Output) -> (State, usize) {
        let end = match &mut self.body {
            Some(Body::Mail(terminator)) => terminator.find(bytes),
            Some(Body::Listing(_)) | None => None,
        };
        if end.is_some() {
            self.body = None;
        }
        let used = end.unwrap_or(bytes.len());
        out.client.extend_from_slice(bytes.get(..used).unwrap_or(bytes));
        (State::Transaction(self), used)
    }

    fn may_delete(&self, number: MessageNumber, common: &Common) -> Result<(), Answer> {
        self.maildrop.may_delete(number.get(), common.settings.refuse_delete)
    }
}
