//! FETCH responses: content goes into the spool, the rest is kept until the mail was judged. Whatever tells of content and was not
//! asked for, or is of a mail that is served changed, does not pass.
use super::common::Broken;
use super::core::Core;
use super::cursor::Content;
use super::fetch::{Job, Outcome, Pending};
use super::fetch_item::{FetchItem, SectionText};
use super::frame::Frame;
use super::response::fetch::{ContentName, Fetch, FetchData};
use super::write::Writer;
use crate::machine::{Output, Spooled};
use crate::mail_limits::within_line_limit;
use policy::names::Direction;
use policy::status::{Status, StatusSet};
use std::rc::Rc;

/// Literals up to this are passed on with their response, larger ones in pieces.
const INLINE: u64 = 4096;

/// Content that the server is sending. It lasts until its response is complete.
#[derive(Debug)]
pub(super) enum Receiving {
    /// A mail, into the spool.
    Mail(Spool),
    /// Something that passes; the items of the response from here on are still to be written.
    Passing { at: usize, first: bool },
}

/// A mail on its way into the spool.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) number: u32,
    pub(super) octets: u64,
    column: usize,
    found: StatusSet,
}

impl Spool {
    /// The beginning of a mail.
    pub(super) const fn new(number: u32) -> Self {
        Self { number, octets: 0, column: 0, found: StatusSet::EMPTY }
    }

    /// Its next octets. What is over a limit is dropped, and the limit noted.
    pub(super) fn write(&mut self, piece: &[u8], max_mail: u64, line: usize, spool: &mut Vec<u8>) {
        if !self.found.is_empty() {
            return;
        }
        let within = within_line_limit(piece, &mut self.column, line);
        let room = usize::try_from(max_mail.saturating_sub(self.octets)).unwrap_or(usize::MAX);
        let kept = piece.get(..within.min(room)).unwrap_or(piece);
        if kept.len() < piece.len() {
            self.found = StatusSet::of(Status::Limit);
        }
        self.octets += kept.len() as u64;
        spool.extend_from_slice(kept);
    }

    /// It is complete. `changed`: it was served changed before. `uid`: where it has one.
    pub(super) fn end(self, changed: bool, uid: Option<u32>, out: &mut Output) {
        out.mail_ends(self.number, Spooled { found: self.found, changed, uid });
    }
}

impl Receiving {
    /// Whether the client is in the middle of it.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self, Self::Passing { .. })
    }
}

impl Core {
    /// Octets of a message are announced. Whether they come in pieces.
    pub(super) fn content_announced(
        &mut self,
        frame: Frame<'_>,
        size: u64,
        out: &mut Output,
    ) -> Result<bool, Broken> {
        self.must_be_open()?;
        let fetch = Fetch::parse_announced(frame).map_err(|wrong| Broken::server(wrong.what))?;
        if !self.common.settings.rules.download.scan {
            return self.passing_announced(fetch, size, out);
        }
        let mut last = None;
        for item in fetch.items() {
            last = Some(item.map_err(|wrong| Broken::server(wrong.what))?);
        }
        let Some(FetchData::Content(name, _)) = last else {
            return Err(Broken::server("a literal out of place"));
        };
        if is_whole(&name) && self.outstanding.pulls() {
            if self.receiving.is_some() {
                return Err(Broken::server("content twice in one response"));
            }
            self.mails += 1;
            out.mail_begins(self.mails, Direction::Download);
            self.receiving = Some(Box::new(Receiving::Mail(Spool::new(self.mails))));
            return Ok(true);
        }
        if self.asks_for(&name) {
            Ok(false)
        } else {
            Err(Broken::server("content that no command asked for"))
        }
    }

    fn passing_announced(&mut self, fetch: Fetch<'_>, size: u64, out: &mut Output) -> Result<bool, Broken> {
        if self.outstanding.fetches().next().is_none() {
            return Err(Broken::server("content that no command asked for"));
        }
        let state = match self.receiving.take().map(|receiving| *receiving) {
            Some(Receiving::Passing { at, first }) => Some((at, first)),
            Some(Receiving::Mail(_)) | None => None,
        };
        if state.is_none() && size <= INLINE {
            return Ok(false);
        }
        self.pass_items(fetch, state, out)?;
        Ok(true)
    }

    /// Writes the items that came since.
    fn pass_items(
        &mut self,
        fetch: Fetch<'_>,
        state: Option<(usize, bool)>,
        out: &mut Output,
    ) -> Result<(), Broken> {
        let utf8 = self.common.utf8;
        let mut items = state.map_or_else(|| fetch.items(), |(at, _)| fetch.items_from(at));
        let mut first = state.is_none_or(|(_, first)| first);
        let mut wrong = None;
        self.outbox.tell(out, |octets| {
            let mut writer = Writer::to_client(octets, utf8);
            if state.is_none() {
                writer.word("* ");
                Fetch::write_head(fetch.number, &mut writer);
            }
            for item in items.by_ref() {
                match item {
                    Ok(item) => {
                        if !std::mem::take(&mut first) {
                            writer.space();
                        }
                        item.write(&mut writer);
                    }
                    Err(error) => wrong = Some(error.what),
                }
            }
        });
        match wrong {
            Some(what) => Err(Broken::server(what)),
            None => {
                self.receiving = Some(Box::new(Receiving::Passing { at: items.at(), first }));
                Ok(())
            }
        }
    }

    /// Octets of a message.
    pub(super) fn server_piece(&mut self, piece: &[u8], out: &mut Output) {
        let limits = &self.common.settings.rules.download;
        match self.receiving.as_deref_mut() {
            Some(Receiving::Mail(spool)) => {
                spool.write(piece, limits.max_mail, limits.mail_line_len, &mut out.spool);
            }
            Some(Receiving::Passing { .. }) => {
                self.outbox.tell(out, |octets| octets.extend_from_slice(piece));
            }
            None => {}
        }
    }

    /// A whole FETCH response.
    pub(super) fn fetched(&mut self, fetch: Fetch<'_>, out: &mut Output) -> Result<(), Broken> {
        match self.receiving.take().map(|receiving| *receiving) {
            Some(Receiving::Passing { at, first }) => {
                self.pass_items(fetch, Some((at, first)), out)?;
                self.receiving = None;
                self.outbox.tell(out, |octets| octets.extend_from_slice(b")\r\n"));
                Ok(())
            }
            Some(Receiving::Mail(spool)) => self.mail_fetched(fetch, Some(spool), out),
            None if self.common.settings.rules.download.scan => self.mail_fetched(fetch, None, out),
            None => {
                if fetch.has_content() && self.outstanding.fetches().next().is_none() {
                    return Err(Broken::server("content that no command asked for"));
                }
                self.pass_items(fetch, None, out)?;
                self.receiving = None;
                self.outbox.tell(out, |octets| octets.extend_from_slice(b")\r\n"));
                Ok(())
            }
        }
    }

    /// A FETCH response where mails are scanned, with the mail that came in it.
    fn mail_fetched(
        &mut self,
        fetch: Fetch<'_>,
        spool: Option<Spool>,
        out: &mut Output,
    ) -> Result<(), Broken> {
        let items: Vec<FetchData<'_>> = fetch.items().flatten().collect();
        let uid =
            items.iter().find_map(|item| if let FetchData::Uid(uid) = item { Some(*uid) } else { None });
        let spool = match spool {
            Some(spool) => Some(spool),
            None => self.inline_mail(&items, out)?,
        };
        let pulled = if spool.is_some() {
            let uid = uid.ok_or(Broken::server("no UID in an answer that has to have it"))?;
            let job = self.outstanding.pulled(fetch.number, uid).map(Rc::clone);
            Some(job.ok_or(Broken::server("content that no command asked for"))?)
        } else {
            None
        };
        // What came with content, or tells of it, is no answer to who has a copy.
        let of_another = pulled.is_some() || items.iter().any(tells_of_content);
        let cached = uid.filter(|_| !of_another).and_then(|uid| {
            let job = self
                .outstanding
                .fetches()
                .find(|job| job.cached.borrow().as_ref().is_some_and(|(cached, ..)| *cached == uid))?;
            Some((Rc::clone(job), job.cached.borrow_mut().take()?))
        });
        let job = pulled.clone().or_else(|| cached.as_ref().map(|(job, _)| Rc::clone(job)));
        let changed = uid.and_then(|uid| self.selected.as_ref().and_then(|selected| selected.length(uid)));

        let mut meta = Vec::new();
        let mut flags = None;
        let mut left_out = Vec::new();
        for item in &items {
            if let (FetchData::Flags(_), Some(job)) = (item, &job) {
                if job.sets_seen || job.marks || job.asks(|item| *item == FetchItem::Flags) {
                    flags = Some(written(item, self.common.utf8));
                }
                continue;
            }
            match self.admit(item, job.as_deref().is_some(), changed)? {
                Admitted::Pass => push(&mut meta, &written(item, self.common.utf8)),
                Admitted::Size(length) => push(&mut meta, &written(&FetchData::Size(length), false)),
                Admitted::Drop => {}
                Admitted::FromCopy => left_out.push(item),
            }
        }
        if let (Some(uid), None, false) = (uid, &job, left_out.is_empty())
            && let Some(asking) = self.asking(fetch.number, uid, &left_out)
        {
            // Its answer comes whole, once the copy is there: of two halves some clients (mutt) believe one.
            asking.pulls.borrow_mut().insert(uid, Some(fetch.number));
            return Ok(());
        }
        if let (Some(uid), None) = (uid, &job)
            && let Some(asking) = self.outstanding.fetches().find(|job| job.meant_another(fetch.number, uid))
        {
            // The message whose copy is there was the client's to name no more: this one is fetched.
            asking.cached.borrow_mut().take();
            asking.pulls.borrow_mut().insert(uid, Some(fetch.number));
            return Ok(());
        }
        let Some(job) = job else {
            if !meta.is_empty() {
                let number = fetch.number;
                self.outbox.tell(out, |octets| {
                    let mut writer = Writer::to_client(octets, true);
                    writer.word("* ");
                    Fetch::write_head(number, &mut writer);
                    writer.raw(&meta);
                    writer.raw(b")");
                    writer.end();
                });
            }
            return Ok(());
        };
        let Some(uid) = uid else { return Err(Broken::server("no UID in an answer that has to have it")) };
        let sets_seen = job.sets_seen && self.selected.as_ref().is_some_and(|selected| selected.read_write);
        let mut pending = Pending {
            number: fetch.number,
            now: Some(fetch.number),
            uid,
            mail: 0,
            octets: 0,
            job,
            meta,
            flags,
            marked: Vec::new(),
            sets_seen,
            outcome: Outcome::Waiting,
        };
        if let Some((_, (_, copy, _))) = cached {
            pending.outcome = Outcome::Ready(copy);
        }
        if let Some(spool) = spool {
            (pending.mail, pending.octets) = (spool.number, spool.octets);
            self.mail_octets = self.mail_octets.saturating_add(spool.octets);
            spool.end(changed.is_some(), Some(uid), out);
        }
        self.outbox.push(pending);
        Ok(())
    }

    /// A mail that stands in its response as a string. NIL is none: the message is gone.
    fn inline_mail(&mut self, items: &[FetchData<'_>], out: &mut Output) -> Result<Option<Spool>, Broken> {
        let content = items.iter().find_map(|item| {
            let FetchData::Content(name, Content::Inline(content)) = item else { return None };
            is_whole(name).then_some(content)
        });
        let Some(content) = content else { return Ok(None) };
        if !self.outstanding.pulls() {
            return Err(Broken::server("content that no command asked for"));
        }
        let Some(content) = content else { return Ok(None) };
        self.mails += 1;
        out.mail_begins(self.mails, Direction::Download);
        let limits = &self.common.settings.rules.download;
        let mut spool = Spool::new(self.mails);
        spool.write(content.bytes(), limits.max_mail, limits.mail_line_len, &mut out.spool);
        Ok(Some(spool))
    }

    /// What becomes of an item. `pending`: a copy answers all that tells of content. `changed`: octets of the mail as it is
    /// served, if it is served changed.
    fn admit(&self, item: &FetchData<'_>, pending: bool, changed: Option<u64>) -> Result<Admitted, Broken> {
        let asked =
            |wanted: &FetchItem<'static>| self.outstanding.fetches().any(|job| job.items.contains(wanted));
        let told = |wanted: FetchItem<'static>| {
            if pending || !asked(&wanted) {
                Admitted::Drop
            } else if changed.is_some() {
                Admitted::FromCopy
            } else {
                Admitted::Pass
            }
        };
        Ok(match item {
            FetchData::Uid(_) => {
                let mut fetches = self.outstanding.jobs().peekable();
                if fetches.peek().is_none() || fetches.any(|job| job.uid) {
                    Admitted::Pass
                } else {
                    Admitted::Drop
                }
            }
            FetchData::Flags(_)
            | FetchData::ModSeq(_)
            | FetchData::InternalDate(_)
            | FetchData::EmailId(_)
            | FetchData::ThreadId(_)
            | FetchData::SaveDate(_) => Admitted::Pass,
            FetchData::Size(_) => match (told(FetchItem::Size), changed) {
                (Admitted::FromCopy, Some(length)) => Admitted::Size(length),
                (admitted, _) => admitted,
            },
            FetchData::Envelope(_) => told(FetchItem::Envelope),
            FetchData::Body(_) => told(FetchItem::Body),
            FetchData::BodyStructure(_) => told(FetchItem::BodyStructure),
            FetchData::BinarySize(..) => Admitted::Drop,
            FetchData::Content(name, content) => {
                if is_whole(name) && (pending || self.outstanding.pulls()) {
                    return Ok(Admitted::Drop);
                }
                if !self.asks_for(name) {
                    return Err(Broken::server("content that no command asked for"));
                }
                if pending {
                    Admitted::Drop
                } else if changed.is_some() || !is_header(content) {
                    Admitted::FromCopy
                } else {
                    Admitted::Pass
                }
            }
        })
    }

    /// The FETCH that these items answer: the oldest that asks for one of them and still waits to hear of this message.
    fn asking(&self, number: u32, uid: u32, items: &[&FetchData<'_>]) -> Option<&Rc<Job>> {
        let waits = |job: &Job| {
            job.may_mean(number, uid)
                && !job.pulls.borrow().contains_key(&uid)
                && items.iter().any(|item| tells(job, item))
        };
        self.outstanding.metadata().find(|job| waits(job)).or_else(|| self.outstanding.metadata().next())
    }

    /// Whether a FETCH under way lets the server answer this: a message's own header.
    fn asks_for(&self, name: &ContentName<'_>) -> bool {
        self.outstanding.metadata().any(|job| asks_for_header(job, name))
    }
}

/// Whether an item tells something of a mail's octets.
const fn tells_of_content(item: &FetchData<'_>) -> bool {
    match item {
        FetchData::Size(_)
        | FetchData::Envelope(_)
        | FetchData::Body(_)
        | FetchData::BodyStructure(_)
        | FetchData::BinarySize(..)
        | FetchData::Content(..) => true,
        FetchData::Flags(_)
        | FetchData::Uid(_)
        | FetchData::ModSeq(_)
        | FetchData::InternalDate(_)
        | FetchData::EmailId(_)
        | FetchData::ThreadId(_)
        | FetchData::SaveDate(_) => false,
    }
}

/// Whether an item that tells of content answers a FETCH.
fn tells(job: &Job, item: &FetchData<'_>) -> bool {
    match item {
        FetchData::Size(_) => job.items.contains(&FetchItem::Size),
        FetchData::Envelope(_) => job.items.contains(&FetchItem::Envelope),
        FetchData::Body(_) => job.items.contains(&FetchItem::Body),
        FetchData::BodyStructure(_) => job.items.contains(&FetchItem::BodyStructure),
        FetchData::Content(name, _) => asks_for_header(job, name),
        FetchData::Flags(_)
        | FetchData::Uid(_)
        | FetchData::ModSeq(_)
        | FetchData::InternalDate(_)
        | FetchData::EmailId(_)
        | FetchData::ThreadId(_)
        | FetchData::SaveDate(_)
        | FetchData::BinarySize(..) => false,
    }
}

fn asks_for_header(job: &Job, name: &ContentName<'_>) -> bool {
    job.items.iter().any(|item| match (name, item) {
        (ContentName::Rfc822Header, FetchItem::Rfc822Header) => true,
        (ContentName::Section(section, origin), FetchItem::Section { section: asked, partial, .. }) => {
            item.is_top_header() && section.answers(asked) && *origin == partial.map(|partial| partial.origin)
        }
        _other => false,
    })
}

/// What becomes of an item that a server sent.
enum Admitted {
    /// It is passed on.
    Pass,
    /// It is passed on with this number.
    Size(u64),
    /// It is left out.
    Drop,
    /// It is left out, and the mail's copy answers it later.
    FromCopy,
}

/// `BODY[]`
fn is_whole(name: &ContentName<'_>) -> bool {
    matches!(name, ContentName::Section(section, None)
        if section.part.is_whole() && section.text == SectionText::All)
}

/// Whether octets can be a header and nothing else: no empty line but the last, no NUL, no line end of another kind.
fn is_header(content: &Content<'_>) -> bool {
    let Content::Inline(content) = content else { return false };
    let Some(content) = content else { return true };
    let octets = content.bytes();
    let head = octets.strip_suffix(b"\r\n\r\n").unwrap_or(octets);
    let empty = octets == b"\r\n" || octets.is_empty();
    let lines = head.strip_suffix(b"\r\n").unwrap_or(head);
    empty
        || !(head.starts_with(b"\r\n")
            || memchr::memchr(0, octets).is_some()
            || lines.split(|byte| *byte == b'\n').enumerate().any(|(index, line)| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                (index > 0 && line.is_empty()) || memchr::memchr(b'\r', line).is_some()
            })
            || memchr::memchr_iter(b'\n', octets).any(|at| at == 0 || octets.get(at - 1) != Some(&b'\r')))
}

fn written(item: &FetchData<'_>, utf8: bool) -> Vec<u8> {
    let mut octets = Vec::new();
    item.write(&mut Writer::to_client(&mut octets, utf8));
    octets
}

fn push(meta: &mut Vec<u8>, item: &[u8]) {
    if !meta.is_empty() {
        meta.push(b' ');
    }
    meta.extend_from_slice(item);
}
