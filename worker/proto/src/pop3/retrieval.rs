//! One mail on its way: asked of the driver, pulled from the server into the spool, judged, and delivered out of the
//! judged copy (or judged only, where its size is to be known). Nothing that the server sends here reaches the client except its `-ERR`.
use super::command::{Command, MessageNumber, push_number};
use super::common::{Broken, Common};
use super::listing::identifier;
use super::multiline::{Cut, Stuffer, Unstuffer};
use super::reply::{Reply, Status, printable};
use super::state::{Expects, State};
use super::transaction::Transaction;
use crate::capability::Capability;
use crate::machine::{Changed, Event, Output, Spooled, Verdict};
use crate::mail_limits::within_line_limit;
use policy::names::Direction;
use policy::status::{Status as Finding, StatusSet};

/// A RETR or TOP that was not yet answered in full, or a mail of the survey that STAT or LIST waits for. No other command is
/// unanswered.
#[derive(Debug)]
pub(super) struct Retrieval {
    transaction: Transaction,
    number: MessageNumber,
    wanted: Wanted,
    step: Step,
}

/// What of the mail.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// RETR.
    Whole,
    /// TOP: so many lines of the body.
    Top(u64),
    /// Nothing but that it is judged.
    Judgement,
}

#[derive(Debug)]
enum Step {
    /// The driver says whether it holds a copy.
    Wanted,
    /// The server was asked; whether with TOP, and whether RETR is tried if it refuses.
    Asked { retry: bool },
    /// The server sends the mail.
    Spooling(Spooling),
    /// The mail is being scanned.
    AwaitingVerdict,
    /// The mail will be served changed, in so many octets: the server is asked which UIDL it has.
    Identifying { length: u64 },
    /// The driver puts on record that it is served changed.
    Recording { uidl: Option<Box<[u8]>>, length: u64 },
    /// The driver gives us the judged copy.
    Delivering { stuffer: Stuffer, cut: Option<Cut> },
}

#[derive(Debug)]
struct Spooling {
    unstuffer: Unstuffer,
    /// Octets spooled.
    octets: u64,
    /// Octets since the last LF.
    column: usize,
    found: StatusSet,
}

/// What stands for every line of any mail.
const ALL_LINES: u64 = 999_999_999;

impl Retrieval {
    /// RETR.
    pub(super) fn begin_whole(transaction: Transaction, number: MessageNumber, out: &mut Output) -> State {
        Self::begin(transaction, number, Wanted::Whole, out)
    }

    /// TOP.
    pub(super) fn begin_top(
        transaction: Transaction,
        number: MessageNumber,
        lines: u64,
        out: &mut Output,
    ) -> State {
        Self::begin(transaction, number, Wanted::Top(lines), out)
    }

    /// A mail whose size is to be known.
    pub(super) fn begin_judging(transaction: Transaction, number: MessageNumber, out: &mut Output) -> State {
        Self::begin(transaction, number, Wanted::Judgement, out)
    }

    fn begin(transaction: Transaction, number: MessageNumber, wanted: Wanted, out: &mut Output) -> State {
        let uidl = transaction.maildrop.uidl(number.get());
        out.events.push(Event::WantMail { number: number.get(), uidl });
        State::Retrieval(Self { transaction, number, wanted, step: Step::Wanted })
    }

    pub(super) const fn expects(&self) -> Expects {
        match self.step {
            Step::Asked { .. } | Step::Identifying { .. } => Expects::Line,
            Step::Spooling(_) => Expects::Mail,
            Step::Wanted | Step::AwaitingVerdict | Step::Recording { .. } | Step::Delivering { .. } => {
                Expects::Nothing
            }
        }
    }

    pub(super) const fn wants_server(&self) -> bool {
        !matches!(self.expects(), Expects::Nothing)
    }

    pub(super) const fn wants_copy(&self) -> bool {
        matches!(self.step, Step::Delivering { .. })
    }

    pub(super) const fn waits_for_peers(&self) -> bool {
        match self.step {
            Step::Asked { .. } | Step::Identifying { .. } | Step::Spooling(_) | Step::Delivering { .. } => {
                true
            }
            Step::Wanted | Step::AwaitingVerdict | Step::Recording { .. } => false,
        }
    }

    /// The quarantine has the original of this mail.
    pub(super) fn keep(&mut self, number: u32) {
        self.transaction.maildrop.keep(number);
    }

    /// The index of changed mails grew; looked at when this mail is done.
    pub(super) fn learn(&mut self, changed: &[Changed]) {
        self.transaction.maildrop.learn(changed);
    }

    /// Asks the server: TOP for all but RETR, so that its own marks (read, unread) are those that the client means.
    pub(super) fn pull(mut self, common: &Common, out: &mut Output) -> State {
        if matches!(self.step, Step::Wanted) {
            let no_top = common.offered.is_some_and(|offered| !offered.contains(Capability::Top));
            let as_top = !matches!(self.wanted, Wanted::Whole) && !no_top;
            let command =
                if as_top { Command::Top(self.number, ALL_LINES) } else { Command::Retr(self.number) };
            command.write(&mut out.server);
            self.step = Step::Asked { retry: as_top && common.offered.is_none() };
        }
        State::Retrieval(self)
    }

    pub(super) fn line(mut self, line: &[u8], common: &Common, out: &mut Output) -> Result<State, Broken> {
        let reply = Reply::parse(line).ok_or(Broken::server("an answer that is neither +OK nor -ERR"))?;
        match (&self.step, reply.status) {
            (Step::Asked { .. }, Status::Ok) => {
                out.mail_begins(self.number.get(), Direction::Download);
                self.step = Step::Spooling(Spooling {
                    unstuffer: Unstuffer::after_status_line(),
                    octets: 0,
                    column: 0,
                    found: StatusSet::EMPTY,
                });
            }
            (Step::Asked { retry: true }, Status::Err) => {
                // A server that never said whether it has TOP may lack it.
                Command::Retr(self.number).write(&mut out.server);
                self.step = Step::Asked { retry: false };
            }
            (Step::Asked { retry: false }, Status::Err) => {
                if !matches!(self.wanted, Wanted::Judgement) {
                    reply.write(common.utf8, &mut out.client);
                }
                return Ok(State::Transaction(self.transaction));
            }
            (Step::Identifying { length }, status) => {
                let length = *length;
                let uidl = match status {
                    Status::Ok => {
                        let (number, uidl) =
                            identifier(reply.text).ok_or(Broken::server("malformed answer to UIDL"))?;
                        (number == self.number.get()).then_some(uidl)
                    }
                    Status::Err => None,
                };
                return Ok(self.replace(uidl, length, out));
            }
            (
                Step::Wanted
                | Step::Spooling(_)
                | Step::AwaitingVerdict
                | Step::Recording { .. }
                | Step::Delivering { .. },
                _,
            ) => return Err(Broken::server("data that no command asked for")),
        }
        Ok(State::Retrieval(self))
    }

    /// Takes octets of the mail; how many.
    pub(super) fn mail(mut self, bytes: &[u8], common: &Common, out: &mut Output) -> (State, usize) {
        let Step::Spooling(spooling) = &mut self.step else { return (State::Retrieval(self), bytes.len()) };
        let limits = &common.settings.rules.download;
        let Spooling { unstuffer, octets, column, found } = spooling;
        let spool = &mut out.spool;
        let end = unstuffer.feed(bytes, |piece| {
            if !found.is_empty() {
                return; // Over a limit: the rest is only drained.
            }
            let within_lines = within_line_limit(piece, column, limits.mail_line_len);
            let room = usize::try_from(limits.max_mail.saturating_sub(*octets)).unwrap_or(usize::MAX);
            let Some(kept) = piece.get(..within_lines.min(room)) else {
                *octets += piece.len() as u64;
                spool.extend_from_slice(piece);
                return;
            };
            if kept.len() < piece.len() {
                *found = StatusSet::of(Finding::Limit);
            }
            *octets += kept.len() as u64;
            spool.extend_from_slice(kept);
        });
        let Some(used) = end else { return (State::Retrieval(self), bytes.len()) };
        let changed = self.transaction.maildrop.length(self.number.get()).is_some();
        let spooled = Spooled { found: *found, changed, uid: None };
        out.mail_ends(self.number.get(), spooled);
        self.step = Step::AwaitingVerdict;
        (State::Retrieval(self), used)
    }

    /// Serves the copy or says why not.
    pub(super) fn judged(mut self, verdict: Verdict, common: &Common, out: &mut Output) -> State {
        if !matches!(self.step, Step::Wanted | Step::AwaitingVerdict | Step::Recording { .. }) {
            return State::Retrieval(self);
        }
        let number = self.number.get();
        let judges = matches!(self.wanted, Wanted::Judgement);
        let maildrop = &mut self.transaction.maildrop;
        match &verdict {
            Verdict::Deliver { changed: true, .. } if matches!(self.step, Step::Recording { .. }) => {
                self.recorded(out)
            }
            Verdict::Deliver { length, changed: true } => {
                let length = *length;
                // As long as the original is nowhere but on the server, it is tried again to have it kept.
                if maildrop.length(number) == Some(length) && maildrop.is_kept(number) {
                    return self.deliver(length, out);
                }
                let known = maildrop.uidl(number);
                let no_uidl = common.offered.is_some_and(|offered| !offered.contains(Capability::Uidl));
                if known.is_some() || no_uidl {
                    return self.replace(known.as_deref(), length, out);
                }
                Command::Uidl(Some(self.number)).write(&mut out.server);
                self.step = Step::Identifying { length };
                State::Retrieval(self)
            }
            Verdict::Deliver { length, changed: false } => {
                maildrop.judged(number, &verdict);
                self.deliver(*length, out)
            }
            // What the client is told of its size stays the server's: it is not served.
            Verdict::Deny { .. } if judges => {
                maildrop.judged(number, &verdict);
                State::Transaction(self.transaction)
            }
            // The client did not ask for it, so it may delete it unseen as before.
            Verdict::Defer { .. } if judges => State::Transaction(self.transaction),
            Verdict::Deny { reason, case } => {
                maildrop.judged(number, &verdict);
                out.client.extend_from_slice(b"-ERR ");
                self.refuse(&texts::mail_refused(common.language, reason, case, common.utf8), common, out)
            }
            Verdict::Defer { case } => {
                maildrop.judged(number, &verdict);
                out.client.extend_from_slice(b"-ERR [SYS/TEMP] ");
                self.refuse(&texts::mail_deferred(common.language, case.as_deref(), common.utf8), common, out)
            }
        }
    }

    fn refuse(self, text: &str, common: &Common, out: &mut Output) -> State {
        out.client.extend_from_slice(&printable(text.as_bytes(), common.utf8));
        out.client.extend_from_slice(b"\r\n");
        State::Transaction(self.transaction)
    }

    fn replace(mut self, uidl: Option<&[u8]>, length: u64, out: &mut Output) -> State {
        let number = self.number.get();
        out.events.push(Event::Replaced { number, uidl: uidl.map(<[u8]>::to_vec), length });
        self.step = Step::Recording { uidl: uidl.map(Into::into), length };
        State::Retrieval(self)
    }

    /// The index of changed mails holds it: now the client may see what was changed.
    fn recorded(mut self, out: &mut Output) -> State {
        if let Step::Recording { uidl, length } = &self.step {
            let length = *length;
            self.transaction.maildrop.replaced(self.number.get(), uidl.as_deref(), length);
            return self.deliver(length, out);
        }
        State::Retrieval(self)
    }

    fn deliver(mut self, length: u64, out: &mut Output) -> State {
        let cut = match self.wanted {
            Wanted::Whole => {
                out.client.extend_from_slice(b"+OK ");
                push_number(&mut out.client, length);
                out.client.extend_from_slice(b" octets\r\n");
                None
            }
            Wanted::Top(lines) => {
                out.client.extend_from_slice(b"+OK\r\n");
                Some(Cut::after(lines))
            }
            Wanted::Judgement => {
                out.events.push(Event::Forgotten { number: self.number.get() });
                return State::Transaction(self.transaction);
            }
        };
        self.step = Step::Delivering { stuffer: Stuffer::after_status_line(), cut };
        State::Retrieval(self)
    }

    /// Takes the next piece of the copy; an empty one is its end.
    pub(super) fn copy(mut self, piece: &[u8], out: &mut Output) -> State {
        let Step::Delivering { stuffer, cut } = &mut self.step else { return State::Retrieval(self) };
        let wanted = cut.as_mut().and_then(|cut| cut.find(piece));
        stuffer.feed(piece.get(..wanted.unwrap_or(piece.len())).unwrap_or(piece), &mut out.client);
        if wanted.is_none() && !piece.is_empty() {
            return State::Retrieval(self);
        }
        stuffer.finish(&mut out.client);
        out.events.push(Event::Delivered { number: self.number.get() });
        State::Transaction(self.transaction)
    }
}
