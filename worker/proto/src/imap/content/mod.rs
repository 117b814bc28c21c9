//! FETCH items answered from a scanned copy and its part map (RFC 9051 section 6.4.5, RFC 3516): sections, partial
//! reads, decoded parts, ENVELOPE and BODYSTRUCTURE. An answer knows its length before its first octet and holds ranges
//! of the copy, not its octets, so that a large mail costs no memory.
//!
//! The copy's octets are what the Internet sent; the map was checked for its bounds, not for its truth.
mod address;
mod answer;
mod envelope;
mod section;
mod structure;

use crate::imap::fetch_item::{FetchItem, Part, Partial};
use crate::imap::write::Writer;
use crate::machine::{CopyFault, ScannedCopy};
pub use answer::Answer;
use answer::Content;
use mime::part_map;
use std::ops::Range;

/// Octets of headers that are read for one answer: the largest that a filter permits, several times. Above, the answer
/// is refused.
const MAX_HEADERS: usize = 4 * 1024 * 1024;

/// Why an item is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// BINARY of a part in an encoding that nobody here knows: `NO [UNKNOWN-CTE]` (RFC 3516 section 4.3).
    UnknownEncoding,
    /// Headers over any bound: `NO [LIMIT]`.
    Headers,
    /// Nothing more may be served of this copy.
    Copy(CopyFault),
}

impl From<CopyFault> for Refusal {
    fn from(fault: CopyFault) -> Self {
        Self::Copy(fault)
    }
}

/// The answer to one item: its name as it is echoed, a blank, its value. `None`: an item that only the server knows.
/// Costs what the headers cost that it tells of, whatever the size of the mail; plan an answer when it is its turn.
///
/// `utf8`: the client enabled UTF8=ACCEPT.
///
/// # Errors
/// A [`Refusal`].
pub fn plan(item: &FetchItem<'_>, copy: &dyn ScannedCopy, utf8: bool) -> Result<Option<Answer>, Refusal> {
    let mut head = Vec::new();
    let mut writer = Writer::to_client(&mut head, utf8);
    let content = match item {
        FetchItem::Section { section, partial, peek: _ } => {
            writer.word("BODY");
            section.write(&mut writer);
            origin(*partial, &mut writer);
            section::find(section, copy)?.map(|content| content.cut(*partial))
        }
        FetchItem::Binary { part, partial, peek: _ } => {
            writer.word("BINARY");
            part.write_bracketed(&mut writer);
            origin(*partial, &mut writer);
            let content = match binary(part, copy.parts()) {
                Some(part) => Some(Content::decoded(part).ok_or(Refusal::UnknownEncoding)?),
                None if part.is_whole() => Some(Content::range(0..copy.length())),
                None => None,
            };
            content.map(|content| content.cut(*partial))
        }
        FetchItem::BinarySize(part) => {
            writer.word("BINARY.SIZE");
            part.write_bracketed(&mut writer);
            writer.space();
            let size = match binary(part, copy.parts()) {
                Some(part) => Content::decoded(part).ok_or(Refusal::UnknownEncoding)?.length(),
                None if part.is_whole() => copy.length(),
                None => 0,
            };
            writer.number(size);
            return Ok(Some(Answer::of(head)));
        }
        FetchItem::Rfc822 => {
            writer.word("RFC822");
            Some(Content::range(0..copy.length()))
        }
        FetchItem::Rfc822Header => {
            writer.word("RFC822.HEADER");
            message(copy.parts()).map(|part| Content::range(wide(&part.header)))
        }
        FetchItem::Rfc822Text => {
            writer.word("RFC822.TEXT");
            message(copy.parts()).map(|part| Content::range(wide(&part.body)))
        }
        FetchItem::Size => {
            writer.word("RFC822.SIZE ");
            writer.number(copy.length());
            return Ok(Some(Answer::of(head)));
        }
        FetchItem::Envelope => {
            writer.word("ENVELOPE ");
            envelope::write(copy, &mut writer)?;
            return Ok(Some(Answer::of(head)));
        }
        FetchItem::Body => {
            writer.word("BODY ");
            structure::write(copy, false, &mut writer)?;
            return Ok(Some(Answer::of(head)));
        }
        FetchItem::BodyStructure => {
            writer.word("BODYSTRUCTURE ");
            structure::write(copy, true, &mut writer)?;
            return Ok(Some(Answer::of(head)));
        }
        FetchItem::Flags
        | FetchItem::Uid
        | FetchItem::InternalDate
        | FetchItem::ModSeq
        | FetchItem::EmailId
        | FetchItem::ThreadId
        | FetchItem::SaveDate => return Ok(None),
    };
    writer.space();
    // A part that is not there is empty, as dovecot has it: NIL would say the same, but some clients stumble over it.
    let content = content.unwrap_or_else(|| Content::range(0..0));
    // A decoded part may hold NUL, which only this form may (RFC 3516 section 4.4).
    let binary = matches!(item, FetchItem::Binary { .. });
    writer.announce(content.length(), binary);
    Ok(Some(Answer::with(head, content)))
}

/// The message as a part: the first of the map.
fn message(map: &part_map::PartMap) -> Option<&part_map::Part> {
    map.parts().first()
}

/// The part whose encoding BINARY undoes. Of a whole message and of containers nothing is undone: their encoding is
/// the identity.
fn binary<'m>(part: &Part<'_>, map: &'m part_map::PartMap) -> Option<&'m part_map::Part> {
    std::str::from_utf8(part.text())
        .ok()
        .filter(|number| !number.is_empty())
        .and_then(|number| map.section(number))
}

/// Only where the octets begin is echoed.
fn origin(partial: Option<Partial>, writer: &mut Writer<'_>) {
    if let Some(partial) = partial {
        writer.word("<");
        writer.number(partial.origin);
        writer.word(">");
    }
}

fn wide(range: &Range<usize>) -> Range<u64> {
    range.start as u64..range.end as u64
}

/// Reads a stretch of a copy that `left` still permits.
fn read(copy: &dyn ScannedCopy, range: &Range<usize>, left: &mut usize) -> Result<Vec<u8>, Refusal> {
    *left = left.checked_sub(range.len()).ok_or(Refusal::Headers)?;
    let mut octets = vec![0; range.len()];
    answer::read_all(copy, range.start as u64, &mut octets)?;
    Ok(octets)
}
