//! What answers say, as values.
use super::Flags;
use crate::imap_client::{Answer, Imap, Value};
use crate::mails;
use std::collections::BTreeMap;

/// One mail as a session sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Without \\Recent.
    pub flags: Flags,
    /// As it was told.
    pub modseq: String,
    /// Where they were asked for.
    pub octets: Vec<u8>,
}

/// The mailbox as a session sees it, by UID, and HIGHESTMODSEQ.
pub fn mailbox(client: &mut Imap, with_octets: bool) -> (BTreeMap<u32, Seen>, String) {
    client.ok("ENABLE CONDSTORE");
    let selected = client.ok("SELECT INBOX").text();
    let highest = selected.split("[HIGHESTMODSEQ ").nth(1).unwrap().split(']').next().unwrap().to_owned();
    let items = if with_octets { "(FLAGS MODSEQ BODY.PEEK[])" } else { "(FLAGS MODSEQ)" };
    let answer = client.ok(&format!("UID FETCH 1:* {items}"));
    let mails = answer.fetched().into_values().map(|items| {
        let modseq = items.iter().find(|(name, _)| name == "MODSEQ").map(|(_, value)| format!("{value:?}"));
        let octets = if with_octets { body(&items) } else { Vec::new() };
        let uid = u32::try_from(number_of(&items, "UID").unwrap()).unwrap();
        (uid, Seen { flags: flags_of(&items).unwrap(), modseq: modseq.unwrap(), octets })
    });
    (mails.collect(), highest)
}

pub(super) fn body(items: &[(String, Value)]) -> Vec<u8> {
    match items.iter().find(|(name, _)| name == "BODY[]") {
        Some((_, Value::Text(octets))) => octets.clone(),
        other => panic!("{other:?}"),
    }
}

/// Without \Recent, which is a session's own.
pub(super) fn flags_of(items: &[(String, Value)]) -> Option<Flags> {
    let (_, Value::List(flags)) = items.iter().rfind(|(name, _)| name == "FLAGS")? else { panic!("FLAGS") };
    let words = flags.iter().map(|flag| match flag {
        Value::Word(word) => word.clone(),
        other @ (Value::Nil | Value::Text(_) | Value::List(_)) => panic!("{other:?}"),
    });
    Some(words.filter(|word| word != "\\RECENT").collect())
}

pub(super) fn number_of(items: &[(String, Value)], wanted: &str) -> Option<u64> {
    items.iter().find(|(name, _)| name == wanted).map(|(_, value)| match value {
        Value::Word(digits) => digits.parse().unwrap(),
        other @ (Value::Nil | Value::Text(_) | Value::List(_)) => panic!("{other:?}"),
    })
}

/// `1,3:5`
pub(super) fn numbers(set: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse().unwrap()..=last.parse().unwrap()
    };
    set.split(',').flat_map(range).collect()
}

/// The UID that APPENDUID tells.
pub(super) fn appended(answer: &Answer) -> u32 {
    let uid = answer.tagged.strip_prefix("OK [APPENDUID ").and_then(|rest| rest.split_whitespace().nth(1));
    uid.and_then(|uid| uid.trim_end_matches(']').parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

pub(super) fn peek(item: &str) -> String {
    match item {
        "RFC822" => "BODY.PEEK[]".to_owned(),
        "RFC822.TEXT" => "BODY.PEEK[TEXT]".to_owned(),
        item => item.replace("BODY[", "BODY.PEEK["),
    }
}

/// With the names that the same items have when they are asked for with PEEK.
pub(super) fn peeked(answer: &Answer) -> Answer {
    let rename = |response: &Vec<u8>| {
        let text = response.as_slice();
        for (old, new) in [(&b"RFC822.TEXT "[..], &b"BODY[TEXT] "[..]), (b"RFC822 ", b"BODY[] ")] {
            if let Some(at) = memchr::memmem::find(&text[..text.len().min(200)], old) {
                return [&text[..at], new, &text[at + old.len()..]].concat();
            }
        }
        response.clone()
    };
    Answer { untagged: answer.untagged.iter().map(rename).collect(), tagged: answer.tagged.clone() }
}

/// Whether a mail has the test virus in it.
pub fn is_evil(octets: &[u8]) -> bool {
    contains(octets, &mails::eicar()[8..40])
}

pub(super) fn contains(octets: &[u8], part: &str) -> bool {
    memchr::memmem::find(octets, part.as_bytes()).is_some()
}
