//! Flags that we set ourselves: \Seen of what was served, and the keywords that a rule gives a mail. Both go in the pipeline of the
//! client's commands, and the mail's answer tells of them already.
use super::core::Core;
use super::numbers::behind;
use super::outstanding::Purpose;
use super::sequence_set::number_set;
use super::verb::Verb;
use crate::machine::{Event, Output};
use std::collections::BTreeMap;

/// The flag of what was read.
pub(super) const SEEN: &str = "\\Seen";
/// A keyword that is not set where one of the others is: somebody judged the mail himself (the registry of keywords calls $Junk and
/// $NotJunk mutually exclusive; Thunderbird writes Junk and NonJunk).
const OPPOSITES: [(&[&str], &[&str]); 2] = [(JUNK, NO_JUNK), (NO_JUNK, JUNK)];
const JUNK: &[&str] = &["$Junk", "Junk"];
const NO_JUNK: &[&str] = &["$NotJunk", "NonJunk", "NotJunk"];

/// What is to be set: mails by their flags. A mail is known by its UID, and by its number where that shall name it, while it is
/// certain.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<String, Vec<(u32, Option<u32>)>>);

impl Marks {
    /// This mail gets these flags, with blanks between.
    pub(super) fn add(&mut self, flags: &str, uid: u32, number: Option<u32>) {
        self.0.entry(flags.to_owned()).or_default().push((uid, number));
    }

    /// Messages are gone ([`Core::renumber`]).
    pub(super) fn renumber(&mut self, gone: Option<u32>) {
        let mails = self.0.values_mut().flatten();
        mails.for_each(|(_uid, number)| *number = behind(*number, gone));
    }
}

impl Core {
    /// Whether mails of the open mailbox may get keywords.
    pub(super) fn marks_keywords(&self) -> bool {
        let keywords = &self.common.settings.keywords;
        let selected = self.selected.as_ref();
        selected.is_some_and(|selected| keywords.iter().any(|keyword| selected.takes(keyword)))
    }

    /// Gives a mail the keywords of a rule, as far as it may have them and has them not: which.
    pub(super) fn mark(
        &mut self,
        uid: u32,
        number: Option<u32>,
        flags: Option<&[u8]>,
        keywords: &[String],
    ) -> Vec<String> {
        let (Some(selected), Some(flags)) = (&self.selected, flags) else { return Vec::new() };
        let lacks = |keyword: &&String| !has_flag(flags, keyword) && !is_contradicted(flags, keyword);
        let wanted = keywords.iter().filter(|keyword| selected.takes(keyword));
        let marked: Vec<String> = wanted.filter(lacks).cloned().collect();
        if !marked.is_empty() {
            self.marks.add(&marked.join(" "), uid, number);
        }
        marked
    }

    /// Whether a flag can be set now and not be taken for something else: not within IDLE, an upload, or the opening of another mailbox.
    pub(super) fn may_mark(&self) -> bool {
        !(self.upstream.is_waiting() || self.sending.is_some() || self.outstanding.has_alone())
    }

    /// Whether one is being set, or is about to be.
    pub(super) fn is_marking(&self) -> bool {
        self.outstanding.is_marking() || (!self.marks.0.is_empty() && self.may_mark())
    }

    /// Sets what is to be set. A mail that the client asked for by its number, or not at all any more, is named by its number: the
    /// server may renumber messages while it answers UID STORE, but not while it answers STORE, and the client is not to hear of it
    /// in the midst of its FETCH, or out of nowhere.
    pub(super) fn set_marks(&mut self, out: &mut Output) {
        if !self.may_mark() {
            return;
        }
        let certain = !self.outstanding.may_expunge();
        for (flags, mails) in std::mem::take(&mut self.marks).0 {
            let (numbered, by_uid): (Vec<_>, Vec<_>) =
                mails.into_iter().partition(|(_, number)| certain && number.is_some());
            let numbers: Vec<u32> = numbered.into_iter().filter_map(|(_, number)| number).collect();
            let uids: Vec<u32> = by_uid.into_iter().map(|(uid, _)| uid).collect();
            for (verb, mails) in [(Verb::Store, numbers), (Verb::UidStore, uids)] {
                if !mails.is_empty() {
                    self.set_mark(verb, &mails, &flags, out);
                }
            }
        }
    }

    fn set_mark(&mut self, verb: Verb, mails: &[u32], flags: &str, out: &mut Output) {
        let number = self.upstream.next_number();
        out.server.extend_from_slice(&super::upstream::tag(number));
        out.server.push(b' ');
        out.server.extend_from_slice(verb.name().replace('-', " ").as_bytes());
        out.server.push(b' ');
        out.server.extend_from_slice(&number_set(mails));
        out.server.extend_from_slice(b" +FLAGS.SILENT (");
        out.server.extend_from_slice(flags.as_bytes());
        out.server.extend_from_slice(b")\r\n");
        self.sent(number, b"", verb, Purpose::Mark(flags.into()));
    }

    /// The server answered. What it does not take is not set, and the mail is served all the same.
    pub(super) fn marked(&mut self, flags: &str, ok: bool, out: &mut Output) {
        if !ok && flags != SEEN {
            out.events.push(Event::NotMarked { keywords: flags.to_owned() });
        }
    }
}

/// Whether a flag is in a list of them, in parentheses; what stands in front does not matter.
pub(super) fn has_flag(flags: &[u8], flag: &str) -> bool {
    flags
        .split(|octet| matches!(octet, b' ' | b'(' | b')'))
        .any(|there| there.eq_ignore_ascii_case(flag.as_bytes()))
}

/// `FLAGS (…)` with one more.
pub(super) fn with_flag(mut flags: Vec<u8>, flag: &str) -> Vec<u8> {
    if flags.ends_with(b")") {
        flags.pop();
    }
    if !flags.ends_with(b"(") {
        flags.push(b' ');
    }
    flags.extend_from_slice(flag.as_bytes());
    flags.push(b')');
    flags
}

fn is_contradicted(flags: &[u8], keyword: &str) -> bool {
    OPPOSITES.iter().any(|(these, others)| {
        these.iter().any(|this| this.eq_ignore_ascii_case(keyword))
            && others.iter().any(|other| has_flag(flags, other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_found_whole_and_without_case() {
        let flags = b"FLAGS (\\Seen $JUNK other)";
        assert!(has_flag(flags, "\\seen") && has_flag(flags, "$Junk") && has_flag(flags, "other"));
        assert!(!has_flag(flags, "Junk") && !has_flag(flags, "$Junk2") && !has_flag(b"FLAGS ()", "$Junk"));
    }

    #[test]
    fn flags_are_added_within_the_parentheses() {
        let added = ["\\Seen", "$Junk"].into_iter().fold(b"FLAGS ()".to_vec(), with_flag);
        assert_eq!(added, b"FLAGS (\\Seen $Junk)");
    }

    #[test]
    fn what_somebody_judged_himself_is_not_judged_again() {
        assert!(is_contradicted(b"FLAGS (NonJunk)", "$junk"));
        assert!(is_contradicted(b"FLAGS ($NotJunk)", "$Junk"));
        assert!(is_contradicted(b"FLAGS (Junk)", "NonJunk"));
        assert!(!is_contradicted(b"FLAGS ($NotJunk)", "$Phishing"));
        assert!(!is_contradicted(b"FLAGS (\\Seen)", "$Junk"));
    }
}
