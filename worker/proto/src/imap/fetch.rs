//! FETCH: what of it the server is asked for, what comes from scanned copies, and how the two become one answer.
//!
//! Content is asked for as a whole, always with PEEK; \Seen is set by us, once there is an outcome that is not "not now".
use super::answer::say_text;
use super::common::Common;
use super::content::{self, Answer, Refusal};
use super::fetch_item::{FetchItem, Section};
use super::marks::{SEEN, has_flag, with_flag};
use super::numbers::behind;
use super::response::fetch::Fetch as Response;
use super::sequence_set::SequenceSet;
use super::write::Writer;
use crate::machine::{CopyFault, ScannedCopy};
use policy::names::Language;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Octets written in one call.
pub(super) const PIECE: usize = 64 * 1024;

/// A copy that is there already: of the mail with this UID, and whether it was changed.
pub(super) type Known = (u32, Rc<dyn ScannedCopy>, bool);

/// One FETCH of the client.
#[derive(Debug)]
pub(super) struct Job {
    /// What it asks for.
    pub(super) items: Vec<FetchItem<'static>>,
    /// Which messages; `by_uid`: by UIDs.
    set: SequenceSet<'static>,
    pub(super) by_uid: bool,
    /// It asks for what changed since a MODSEQ, and so for MODSEQ.
    pub(super) since: bool,
    /// It is a UID FETCH, or asks for UID.
    pub(super) uid: bool,
    /// It asks for content, so that everything that tells about content comes from copies too.
    pub(super) content: bool,
    /// Nothing of it is scanned.
    pub(super) passes: bool,
    /// One of its items sets \Seen.
    pub(super) sets_seen: bool,
    /// Its mails may get keywords, for which their flags must be known.
    pub(super) marks: bool,
    /// The copy that answers it, and of which mail: the server is asked for the rest only.
    pub(super) cached: RefCell<Option<Known>>,
    /// Mails about whose content something was answered.
    pub(super) answered: Cell<u32>,
    /// Mails of which nothing could be answered now.
    pub(super) deferred: Cell<u32>,
    /// An item that could not be answered at all (RFC 3516 section 4.3).
    pub(super) failed: Cell<Option<&'static str>>,
    /// UIDs of the mails whose content came for it, as ranges in order.
    given: RefCell<Vec<(u32, u32)>>,
    /// Mails that were left out, since their copies are still to come: UIDs, and numbers while they are certain.
    pub(super) pulls: RefCell<BTreeMap<u32, Option<u32>>>,
}

impl Job {
    /// Takes a FETCH apart. `strict`: what tells about content waits for the judgement as content does.
    pub(super) fn new(items: &[FetchItem<'_>], set: &SequenceSet<'_>, uid: bool, strict: bool) -> Self {
        let content = items.iter().any(|item| is_content(item, strict));
        Self {
            items: items.iter().cloned().map(FetchItem::into_owned).collect(),
            set: set.clone().into_owned(),
            by_uid: uid,
            since: false,
            uid: uid || items.contains(&FetchItem::Uid),
            content,
            passes: false,
            sets_seen: content && items.iter().any(FetchItem::sets_seen),
            marks: false,
            cached: RefCell::default(),
            answered: Cell::new(0),
            deferred: Cell::new(0),
            failed: Cell::new(None),
            given: RefCell::default(),
            pulls: RefCell::default(),
        }
    }

    /// A FETCH whose answer passes as the server gives it.
    pub(super) fn passing(items: &[FetchItem<'_>], set: &SequenceSet<'_>, uid: bool) -> Self {
        let mut job = Self::new(items, set, uid, false);
        job.content = false;
        job.sets_seen = false;
        job.passes = true;
        job
    }

    /// What the server is asked for instead. `changed`: mails of this mailbox were served changed.
    pub(super) fn upstream(&self, changed: bool) -> Vec<FetchItem<'static>> {
        if self.passes {
            return self.items.clone();
        }
        let mut items: Vec<FetchItem<'static>> =
            self.items.iter().filter(|item| !(self.content && tells_of_content(item))).cloned().collect();
        let mut add = |item: FetchItem<'static>, wanted: bool| {
            if wanted && !items.contains(&item) {
                items.push(item);
            }
        };
        let tells = self.items.iter().any(tells_of_content);
        add(
            FetchItem::Uid,
            self.content || (changed && tells) || self.items.iter().any(FetchItem::is_top_header),
        );
        let pulls = self.content && self.cached.borrow().is_none();
        add(FetchItem::Flags, self.sets_seen || (pulls && self.marks));
        let whole = FetchItem::Section { section: Section::default(), partial: None, peek: true };
        add(whole, pulls);
        items
    }

    /// Whether this message may be one of those that it names: only the server knows what `*` and `$` are.
    pub(super) fn may_mean(&self, number: u32, uid: u32) -> bool {
        let wanted = if self.by_uid { uid } else { number };
        self.set.is_saved_result() || self.set.contains(wanted, wanted)
    }

    /// Whether the copy that should answer it is of another message than the one with this number.
    pub(super) fn meant_another(&self, number: u32, uid: u32) -> bool {
        !self.by_uid
            && self.set.single() == Some(number)
            && self.cached.borrow().as_ref().is_some_and(|(cached, ..)| *cached != uid)
    }

    /// Whether this mail's content came for it.
    pub(super) fn was_given(&self, uid: u32) -> bool {
        let given = self.given.borrow();
        let behind = given.partition_point(|(first, _)| *first <= uid);
        behind.checked_sub(1).and_then(|at| given.get(at)).is_some_and(|(_, last)| uid <= *last)
    }

    /// This mail's content came for it.
    pub(super) fn give(&self, uid: u32) {
        if self.was_given(uid) {
            return;
        }
        let mut given = self.given.borrow_mut();
        let behind = given.partition_point(|(first, _)| *first <= uid);
        match behind.checked_sub(1).and_then(|at| given.get_mut(at)) {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            Some(_) | None => given.insert(behind, (uid, uid)),
        }
    }

    /// Messages are gone ([`Core::renumber`](super::core::Core::renumber)).
    pub(super) fn renumber(&self, gone: Option<u32>) {
        self.pulls.borrow_mut().values_mut().for_each(|number| *number = behind(*number, gone));
    }

    /// Whether the client asked for what a response brings.
    pub(super) fn asks(&self, wanted: impl Fn(&FetchItem<'static>) -> bool) -> bool {
        self.items.iter().any(wanted)
    }

    /// The items that the server answers, besides UID.
    pub(super) fn server_items(&self) -> impl Iterator<Item = &FetchItem<'static>> {
        self.items.iter().filter(|item| !tells_of_content(item) && **item != FetchItem::Uid)
    }

    /// The items that a copy answers.
    pub(super) fn answered_by_copy(&self) -> impl Iterator<Item = &FetchItem<'static>> {
        self.items.iter().filter(|item| tells_of_content(item))
    }
}

/// Whether an item may only be answered from a scanned copy.
fn is_content(item: &FetchItem<'_>, strict: bool) -> bool {
    if item.is_top_header() {
        strict
    } else {
        item.is_content() || matches!(item, FetchItem::BinarySize(_)) || (strict && tells_of_content(item))
    }
}

/// Whether an item tells something of a mail's octets.
pub(super) fn tells_of_content(item: &FetchItem<'_>) -> bool {
    match item {
        FetchItem::Size
        | FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::BinarySize(_)
        | FetchItem::Section { .. }
        | FetchItem::Binary { .. }
        | FetchItem::Rfc822
        | FetchItem::Rfc822Header
        | FetchItem::Rfc822Text => true,
        FetchItem::Flags
        | FetchItem::Uid
        | FetchItem::InternalDate
        | FetchItem::ModSeq
        | FetchItem::EmailId
        | FetchItem::ThreadId
        | FetchItem::SaveDate => false,
    }
}

/// A FETCH response of which a part comes from a copy.
#[derive(Debug)]
pub(super) struct Pending {
    /// Message number, as the client counts when it hears of it.
    pub(super) number: u32,
    /// As the server counts by now, while that is certain.
    pub(super) now: Option<u32>,
    pub(super) uid: u32,
    /// The mail, by the machine's number; 0 where the copy was there already.
    pub(super) mail: u32,
    /// Octets that it holds back.
    pub(super) octets: u64,
    pub(super) job: Rc<Job>,
    /// Items that the server answered, ready to be sent, FLAGS apart.
    pub(super) meta: Vec<u8>,
    /// `FLAGS (…)`, where the server sent it.
    pub(super) flags: Option<Vec<u8>>,
    /// Keywords that it did not have and gets.
    pub(super) marked: Vec<String>,
    /// \Seen is set once there is an outcome.
    pub(super) sets_seen: bool,
    pub(super) outcome: Outcome,
}

/// What is known of a mail that is asked for.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is being scanned.
    Waiting,
    /// It will be served changed once that is on record.
    Recording(Rc<dyn ScannedCopy>),
    /// It may be served.
    Ready(Rc<dyn ScannedCopy>),
    /// Not now.
    Deferred { case: Option<String> },
    /// Not at all.
    Denied { reason: String, case: String },
}

impl Pending {
    /// Whether it is its turn.
    pub(super) const fn is_ready(&self) -> bool {
        !matches!(self.outcome, Outcome::Waiting | Outcome::Recording(_))
    }

    /// Whether the outcome sets \Seen where the client's item does (a mail that is put off stays new).
    pub(super) fn marks_seen(&self) -> bool {
        self.sets_seen
            && matches!(self.outcome, Outcome::Ready(_))
            && !self.flags.as_ref().is_some_and(|flags| has_flag(flags, SEEN))
    }

    /// Begins the answer. `None`: it is written whole.
    pub(super) fn begin(self, common: &Common, out: &mut Vec<u8>) -> Option<Serving> {
        let seen = self.marks_seen().then_some(SEEN);
        let Self { number, uid, job, mut meta, flags, marked, outcome, .. } = self;
        let told = job.sets_seen || job.asks(|item| *item == FetchItem::Flags) || !marked.is_empty();
        if let Some(flags) = flags.filter(|_| told) {
            if !meta.is_empty() {
                meta.push(b' ');
            }
            let added = seen.into_iter().chain(marked.iter().map(String::as_str));
            meta.extend_from_slice(&added.fold(flags, with_flag));
        }
        let copy = match outcome {
            Outcome::Ready(copy) => copy,
            Outcome::Waiting | Outcome::Recording(_) => return None,
            Outcome::Deferred { case } => {
                job.deferred.set(job.deferred.get() + 1);
                deferred(uid, case.as_deref(), common.language, common.utf8, out);
                without_content(number, uid, &meta, out);
                return None;
            }
            Outcome::Denied { reason, case } => {
                denied(uid, &reason, &case, common.language, common.utf8, out);
                without_content(number, uid, &meta, out);
                return None;
            }
        };
        let mut writer = Writer::to_client(out, common.utf8);
        writer.word("* ");
        Response::write_head(number, &mut writer);
        writer.raw(&meta);
        Some(Serving { uid, first: meta.is_empty(), next: 0, answer: None, job, copy })
    }
}

/// The untagged NO in front of an answer without its content. Never NIL and never an empty string: a client would keep it.
fn deferred(uid: u32, case: Option<&str>, language: Language, utf8: bool, out: &mut Vec<u8>) {
    let text = texts::mail_deferred(language, case, utf8);
    say_text(None, "NO [UNAVAILABLE] ", &format!("message UID {uid}: {text}"), out);
}

fn denied(uid: u32, reason: &str, case: &str, language: Language, utf8: bool, out: &mut Vec<u8>) {
    let text = texts::mail_refused(language, reason, case, utf8);
    say_text(None, "NO [CANNOT] ", &format!("message UID {uid}: {text}"), out);
}

fn without_content(number: u32, uid: u32, meta: &[u8], out: &mut Vec<u8>) {
    let mut writer = Writer::to_client(out, true);
    writer.word("* ");
    Response::write_head(number, &mut writer);
    if meta.is_empty() {
        writer.word("UID ");
        writer.number(u64::from(uid));
    } else {
        writer.raw(meta);
    }
    writer.raw(b")");
    writer.end();
}

/// An answer that is being written out of a copy.
#[derive(Debug)]
pub(super) struct Serving {
    uid: u32,
    first: bool,
    /// Index of the next item that the copy answers.
    next: usize,
    answer: Option<Answer>,
    job: Rc<Job>,
    copy: Rc<dyn ScannedCopy>,
}

impl Serving {
    /// Writes on until `out` has about [`PIECE`] octets. Whether the answer is at its end.
    pub(super) fn write(&mut self, utf8: bool, out: &mut Vec<u8>) -> Result<bool, CopyFault> {
        loop {
            if let Some(answer) = &mut self.answer {
                let room = PIECE.saturating_sub(out.len());
                if room == 0 || !answer.write(&*self.copy, out, room)? {
                    return Ok(false);
                }
                self.answer = None;
            }
            let job = Rc::clone(&self.job);
            let Some(item) = job.answered_by_copy().nth(self.next) else {
                if self.first {
                    // Nothing could be answered, and an empty list is none.
                    out.extend_from_slice(format!("UID {}", self.uid).as_bytes());
                }
                out.extend_from_slice(b")\r\n");
                job.answered.set(job.answered.get() + 1);
                return Ok(true);
            };
            self.next += 1;
            match content::plan(item, &*self.copy, utf8) {
                Ok(Some(answer)) => {
                    if !std::mem::take(&mut self.first) {
                        out.push(b' ');
                    }
                    self.answer = Some(answer);
                }
                Ok(None) => {}
                Err(Refusal::UnknownEncoding) => job.failed.set(Some("[UNKNOWN-CTE] ")),
                Err(Refusal::Headers) => job.failed.set(Some("[LIMIT] ")),
                Err(Refusal::Copy(fault)) => return Err(fault),
            }
        }
    }
}
