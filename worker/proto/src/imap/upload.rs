//! APPEND and REPLACE: what the client sends is spooled and scanned, and only the scanned copy goes on. Where uploads are not
//! scanned, octets pass through as the server asks for them.
use super::command::{Command, Head};
use super::frame::{Elided, Frame};
use super::upstream::{Upstream, tag as our_tag};
use super::verb::Verb;
use super::write::{Literals, Writer};
use crate::machine::{CopyFault, Output, ScannedCopy};
use std::collections::VecDeque;
use std::rc::Rc;

/// A command that brings mails.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// The client's.
    pub(super) tag: Box<[u8]>,
    /// Its mails, by the machine's numbers, in order.
    pub(super) mails: Vec<(u32, Option<Scanned>)>,
    /// The whole command, once it came.
    pub(super) whole: Option<(Vec<u8>, Vec<Elided>)>,
}

/// What became of a mail.
#[derive(Debug)]
pub(super) enum Scanned {
    /// This may go on.
    Copy(Rc<dyn ScannedCopy>),
    /// Refused: the words behind the tag, with CRLF.
    Refused(Vec<u8>),
}

/// A scanned upload on its way to the server.
#[derive(Debug)]
pub(super) struct Sending {
    steps: VecDeque<Step>,
    /// Where in the copy that is being sent.
    at: u64,
    /// The server answered before all of it was sent.
    answered: bool,
}

#[derive(Debug)]
enum Step {
    Octets(Vec<u8>),
    /// The server must say `+`.
    Wait,
    Copy(Rc<dyn ScannedCopy>),
}

impl Upload {
    /// Whether every mail of it has its outcome, and the command came whole.
    pub(super) fn is_decided(&self) -> bool {
        self.whole.is_some() && self.mails.iter().all(|(_, scanned)| scanned.is_some())
    }

    /// Which command it is.
    pub(super) fn verb(&self) -> Verb {
        let head = self.whole.as_ref().and_then(|(text, elided)| Head::parse(Frame { text, elided }).ok());
        head.map_or(Verb::Append, |head| head.verb)
    }

    /// The first refusal among its mails.
    pub(super) fn refusal(&self) -> Option<&[u8]> {
        self.mails.iter().find_map(|(_, scanned)| match scanned {
            Some(Scanned::Refused(words)) => Some(words.as_slice()),
            Some(Scanned::Copy(_)) | None => None,
        })
    }
}

impl Sending {
    /// Lays out a decided upload for the server. `None`: it cannot be read again, which cannot be.
    pub(super) fn new(upload: &Upload, number: u32, literals: Literals, utf8: bool) -> Option<Self> {
        let (text, elided) = upload.whole.as_ref()?;
        let command = Command::parse(Frame { text, elided }, utf8).ok()?;
        let messages = command.body.messages();
        if messages.len() != upload.mails.len() {
            return None;
        }
        let mut steps = VecDeque::new();
        let tag = our_tag(number);
        push(&mut steps, literals, utf8, |writer| command.write(&tag, writer));
        for (message, (_, scanned)) in messages.iter().zip(&upload.mails) {
            let Some(Scanned::Copy(copy)) = scanned else { return None };
            push(&mut steps, literals, utf8, |writer| message.write_head(copy.length(), writer));
            steps.push_back(Step::Copy(Rc::clone(copy)));
            push(&mut steps, literals, utf8, |writer| message.write_tail(writer));
        }
        push(&mut steps, literals, utf8, |writer| writer.end());
        Some(Self { steps, at: 0, answered: false })
    }

    /// Whether the server must say `+` first.
    pub(super) fn waits(&self) -> bool {
        matches!(self.steps.front(), Some(Step::Wait))
    }

    /// The server said `+`.
    pub(super) fn go_on(&mut self) {
        if self.waits() {
            self.steps.pop_front();
        }
    }

    /// The server answered. What it counts on to come has to come all the same, or it would read the next command as octets of a
    /// mail. Whether there is nothing of that kind.
    pub(super) fn answered(&mut self) -> bool {
        self.answered = true;
        self.waits() || self.steps.is_empty()
    }

    /// Writes on until `out.server` has about `bound` octets. Whether all is written.
    pub(super) fn write(&mut self, out: &mut Output, bound: usize) -> Result<bool, CopyFault> {
        while out.server.len() < bound {
            match self.steps.front() {
                None => return Ok(true),
                Some(Step::Wait) => return Ok(self.answered),
                Some(Step::Octets(octets)) => {
                    out.server.extend_from_slice(octets);
                    self.steps.pop_front();
                }
                Some(Step::Copy(copy)) => {
                    let left = copy.length().saturating_sub(self.at);
                    let room = bound.saturating_sub(out.server.len());
                    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                    let start = out.server.len();
                    out.server.resize(start + wanted, 0);
                    let mut done = 0;
                    while done < wanted {
                        let into = out.server.get_mut(start + done..).unwrap_or_default();
                        match copy.read_at(self.at, into)? {
                            0 => return Err(CopyFault::Unreadable),
                            count => {
                                done += count;
                                self.at += count as u64;
                            }
                        }
                    }
                    if self.at == copy.length() {
                        self.at = 0;
                        self.steps.pop_front();
                    }
                }
            }
        }
        Ok(self.steps.is_empty())
    }
}

/// Appends what is written, cut where the server must be waited for.
fn push(steps: &mut VecDeque<Step>, literals: Literals, utf8: bool, write: impl FnOnce(&mut Writer<'_>)) {
    let (mut octets, mut stops) = (Vec::new(), Vec::new());
    write(&mut Writer::to_server(&mut octets, &mut stops, literals, utf8));
    let mut from = 0;
    for stop in stops {
        steps.push_back(Step::Octets(octets.get(from..stop).unwrap_or_default().to_vec()));
        steps.push_back(Step::Wait);
        from = stop;
    }
    let rest = octets.get(from..).unwrap_or_default();
    if !rest.is_empty() {
        steps.push_back(Step::Octets(rest.to_vec()));
    }
}

/// An upload that is not scanned.
#[derive(Debug)]
pub(super) struct Passing {
    /// The server's `+` is awaited; the client waits for one too.
    pub(super) waits: Option<bool>,
    /// The command was sent under this number.
    pub(super) number: u32,
    /// The server answered it while its mail was on the way: the rest still has to come, since the server counts on it.
    pub(super) answered: bool,
}

impl Passing {
    /// Sends on what came of the command up to the announcement of a mail.
    pub(super) fn announce(
        passing: Option<Self>,
        frame: Frame<'_>,
        (size, synchronising): (u64, bool),
        upstream: &mut Upstream,
        (literals, utf8): (Literals, bool),
        out: &mut Output,
    ) -> Option<Self> {
        let command = Command::parse_announced(frame, utf8).ok()?;
        let messages = command.body.messages();
        let message = messages.last()?;
        // A name that needs a literal of its own would need a wait of its own: it is sent without, or not at all.
        let (start, mut stops) = (out.server.len(), Vec::new());
        let number = match &passing {
            Some(passing) => passing.number,
            None => upstream.next_number(),
        };
        {
            let mut writer = Writer::to_server(&mut out.server, &mut stops, literals, utf8);
            if passing.is_none() {
                command.write(&our_tag(number), &mut writer);
            } else if let Some(before) = messages.len().checked_sub(2).and_then(|at| messages.get(at)) {
                before.write_tail(&mut writer);
            }
        }
        if !stops.is_empty() {
            out.server.truncate(start);
            return None;
        }
        message.write_head(size, &mut Writer::to_server(&mut out.server, &mut stops, literals, utf8));
        let waits = (!stops.is_empty()).then_some(synchronising);
        Some(Self { waits, number, answered: false })
    }
}
