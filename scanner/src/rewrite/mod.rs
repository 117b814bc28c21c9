//! Rewriting: what is taken out of a mail, and what stands in its place. The only module that makes a copy of a mail
//! which differs from it; called by the job once the rules have decided.
//!
//! In a mail that the recogniser accepted nothing moves: a tombstone (`tombstone.rs`) has the octets and lines of what
//! it stands for, and says what `words.rs` gives it; filtered HTML has them where it fits (`fit.rs`). A mail of which nothing has a place beyond doubt gets another body
//! (`notice.rs` of the crate).
mod fit;
pub mod header;
mod retype;
pub mod tombstone;
pub mod words;

use crate::html;
use crate::inspection::Inspection;
use crate::rules::{Change, Instead};
use mime::header_fields::Fields;
use mime::parameters;
use policy::names::Language;
use policy::notice::{Notice, Shipped};
use std::ops::Range;
use tombstone::Form;
use words::Told;

/// Octets of a mail that other octets take the place of.
#[derive(Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where.
    pub range: Range<usize>,
    /// What.
    pub octets: Vec<u8>,
}

/// What tombstones tell of the mail around them.
pub(crate) struct About<'a> {
    pub(crate) language: Language,
    pub(crate) case: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) subject: &'a str,
}

/// The mail with its parts changed. `None`: one of them has no place, or not the room for what has to be said.
pub(crate) fn change(
    mail: &[u8],
    inspection: &Inspection<'_>,
    changes: &[Change],
    about: &About<'_>,
) -> Option<Vec<u8>> {
    let edits = changes.iter().map(|change| edit(mail, inspection, change, about));
    apply(mail, edits.collect::<Option<Vec<_>>>()?)
}

fn edit(mail: &[u8], inspection: &Inspection<'_>, change: &Change, about: &About<'_>) -> Option<Edit> {
    let leaf = inspection.leaves.get(change.leaf)?;
    let place = leaf.place.as_ref()?;
    match &change.what {
        Instead::Filtered { filter, rule } => {
            let body = mail.get(place.body.clone())?;
            let charset = charset(mail.get(place.header.clone())?);
            let filtered = html::filter(&leaf.octets, charset.as_deref(), filter);
            let said = match filtered.changed {
                false => Some(body.to_vec()),
                true => fit::fit(body, place.encoding, &filtered.bytes),
            };
            match said {
                Some(octets) => Some(Edit { range: place.body.clone(), octets }),
                None => {
                    let notice = Notice::Shipped(Shipped::Removed);
                    let what = Instead::Tombstone { notice, rule: rule.clone() };
                    edit(mail, inspection, &Change { leaf: change.leaf, what }, about)
                }
            }
        }
        Instead::Stripped { octets, .. } => {
            let body = mail.get(place.body.clone())?;
            Some(Edit { range: place.body.clone(), octets: fit::fit(body, place.encoding, octets)? })
        }
        Instead::Tombstone { notice, rule } => {
            let document = inspection.documents.get(change.leaf)?;
            let found = inspection.found.get(change.leaf)?;
            let told = Told {
                language: about.language,
                statuses: found.statuses,
                viruses: &found.viruses.names,
                file: document.names.first().map_or("", String::as_str),
                kind: document.types.first().map_or("", |(_, name)| name),
                rule,
                case: about.case,
                sender: about.sender,
                subject: about.subject,
            };
            let body = mail.get(place.body.clone())?;
            let (octets, form) = tombstone::refill(body, place.encoding, &words::of(notice, &told));
            // Where it is all that there is in the mail, its reader has to be told everything.
            if form != Form::Long && inspection.leaves.len() == 1 {
                return None;
            }
            Some(Edit { range: place.body.clone(), octets })
        }
        Instead::Retyped(name) => retype::edit(mail, place.header.clone(), name),
    }
}

/// The charset that the Content-Type of a header block declares, if it declares one.
fn charset(header: &[u8]) -> Option<String> {
    let mut fields = Fields::of(header);
    let is_type = |name: &[u8]| name.eq_ignore_ascii_case(b"content-type");
    let field = fields.find(|field| header.get(field.name.clone()).is_some_and(is_type))?;
    let (_, parameters) = parameters::content_type(header.get(field.value)?);
    let (_, value) = parameters.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(b"charset"))?;
    Some(String::from_utf8_lossy(&value).trim().to_ascii_lowercase()).filter(|value| !value.is_empty())
}

/// The mail with the edits made. `None`: they overlap or lie outside it.
pub fn apply(mail: &[u8], mut edits: Vec<Edit>) -> Option<Vec<u8>> {
    edits.sort_by_key(|edit| edit.range.start);
    let more: usize = edits.iter().map(|edit| edit.octets.len()).sum();
    let mut copy = Vec::with_capacity(mail.len() + more);
    let mut at = 0;
    for Edit { range, octets } in edits {
        copy.extend_from_slice(mail.get(at..range.start)?);
        copy.extend_from_slice(&octets);
        at = range.end;
    }
    copy.extend_from_slice(mail.get(at..)?);
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_is_that_of_the_type_and_of_no_other_field() {
        for (header, expected) in [
            ("Content-Type: text/html; charset=utf-8\r\n\r\n", Some("utf-8")),
            ("X-A: charset=utf-16\r\nContent-Type: text/html;\r\n charset=\"UTF-8\"\r\n\r\n", Some("utf-8")),
            ("Content-Type: text/html; name=\"charset=utf-7\"; charset=koi8-r\r\n\r\n", Some("koi8-r")),
            ("Content-Type: text/html\r\nSubject: charset=utf-7\r\n\r\n", None),
        ] {
            assert_eq!(charset(header.as_bytes()).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn edits_are_made_in_the_order_of_the_mail_and_never_overlap() {
        let edit = |range: Range<usize>, octets: &[u8]| Edit { range, octets: octets.to_vec() };
        let copy = apply(b"0123456789", vec![edit(6..8, b"xyz"), edit(0..1, b"")]).unwrap();
        assert_eq!(copy, b"12345xyz89");
        assert_eq!(apply(b"0123", vec![edit(0..2, b"a"), edit(1..3, b"b")]), None);
        assert_eq!(apply(b"0123", vec![edit(3..5, b"a")]), None);
    }
}
