//! Which octets of a copy a section is (RFC 9051 section 6.4.5.1).
use super::answer::Content;
use super::{MAX_HEADERS, Refusal, message, read, wide};
use crate::imap::fetch_item::{Fields, Section, SectionText};
use crate::machine::ScannedCopy;
use mime::header_fields;
use mime::part_map::Part;
use std::ops::Range;

/// The content of a section; nothing where the message has no such part.
pub(super) fn find(section: &Section<'_>, copy: &dyn ScannedCopy) -> Result<Option<Content>, Refusal> {
    let map = copy.parts();
    let Some(number) = std::str::from_utf8(section.part.text()).ok().filter(|number| !number.is_empty())
    else {
        // Without a number it is about the message itself.
        let Some(whole) = message(map) else { return Ok(None) };
        return match &section.text {
            SectionText::All => Ok(Some(Content::range(0..copy.length()))),
            SectionText::Mime => Ok(None),
            SectionText::Header | SectionText::Text | SectionText::Fields(_) | SectionText::FieldsNot(_) => {
                of_message(&section.text, whole, copy)
            }
        };
    };
    let Some(at) = map.parts().iter().position(|part| part.section == number) else { return Ok(None) };
    let Some(part) = map.parts().get(at) else { return Ok(None) };
    match &section.text {
        SectionText::All => Ok(Some(Content::range(wide(&part.body)))),
        SectionText::Mime => Ok(Some(Content::range(wide(&part.header)))),
        // Header and text are a message's: the one that the part contains, which follows it in the map.
        SectionText::Header | SectionText::Text | SectionText::Fields(_) | SectionText::FieldsNot(_) => {
            match map.parts().get(at.saturating_add(1)).filter(|_| part.is_message()) {
                Some(contained) => of_message(&section.text, contained, copy),
                None => Ok(None),
            }
        }
    }
}

fn of_message(
    text: &SectionText<'_>,
    part: &Part,
    copy: &dyn ScannedCopy,
) -> Result<Option<Content>, Refusal> {
    let content = match text {
        SectionText::Header => Content::range(wide(&part.header)),
        SectionText::Text => Content::range(wide(&part.body)),
        SectionText::Fields(names) => fields(names, true, &part.header, copy)?,
        SectionText::FieldsNot(names) => fields(names, false, &part.header, copy)?,
        SectionText::All | SectionText::Mime => return Ok(None),
    };
    Ok(Some(content))
}

/// The fields with these names, or all others, as they stand in the header, and the empty line.
fn fields(
    names: &Fields<'_>,
    wanted: bool,
    header: &Range<usize>,
    copy: &dyn ScannedCopy,
) -> Result<Content, Refusal> {
    let mut names: Vec<_> = names.names().iter().map(|name| name.bytes().to_ascii_lowercase()).collect();
    names.sort();
    let octets = read(copy, header, &mut MAX_HEADERS.clone())?;
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for field in header_fields::Fields::of(&octets) {
        let name = octets.get(field.name).unwrap_or_default().to_ascii_lowercase();
        if names.binary_search(&name).is_ok() != wanted {
            continue;
        }
        let start = (header.start + field.whole.start) as u64;
        let end = (header.start + field.whole.end) as u64;
        match ranges.last_mut().filter(|last| last.end == start) {
            Some(last) => last.end = end,
            None => ranges.push(start..end),
        }
    }
    Ok(Content::ranges(ranges, b"\r\n".to_vec()))
}
