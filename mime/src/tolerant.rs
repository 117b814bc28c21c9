//! The parts of a mail that the recogniser refused, for the answers of IMAP where rules or `enforce = "monitor"` deliver
//! it all the same: as a tolerant reader would see them. Nothing is decided by what is found here. Any octets give a
//! list of parts; whether it is one that a map can be made of, [`PartMap`](crate::part_map::PartMap) checks.
use crate::header_fields::{self, Name};
use crate::parameters;
use crate::recogniser::Encoding;
use memchr::memmem::Finder;
use std::ops::Range;

/// Parts of a mail that are looked for. A mail with more is shown as one text.
const MAX_PARTS: usize = 1000;
/// Levels of nesting that are looked into.
const MAX_DEPTH: usize = 32;

/// A part of any kind.
pub(crate) struct Node {
    pub(crate) header: Range<usize>,
    pub(crate) body: Range<usize>,
    pub(crate) content_type: String,
    /// None that is known: nothing.
    pub(crate) encoding: Option<Encoding>,
}

/// Every part, outer before inner; nothing where there are too many.
pub(crate) fn walk(mail: &[u8]) -> Option<Vec<Node>> {
    let mut walk = Walk { mail, nodes: Vec::new() };
    walk.entity(0..mail.len(), "text/plain", 1)?;
    Some(walk.nodes)
}

/// The whole mail as one text, whatever it is.
pub(crate) fn whole(mail: &[u8]) -> Node {
    let header = header_fields::length(mail);
    let encoding = encoding(mail.get(..header).unwrap_or_default());
    Node { header: 0..header, body: header..mail.len(), content_type: "text/plain".into(), encoding }
}

struct Walk<'a> {
    mail: &'a [u8],
    nodes: Vec<Node>,
}

impl Walk<'_> {
    fn entity(&mut self, range: Range<usize>, default_type: &str, depth: usize) -> Option<()> {
        if self.nodes.len() >= MAX_PARTS || depth > MAX_DEPTH {
            return None;
        }
        let entity = self.mail.get(range.clone()).unwrap_or_default();
        let start = range.start + header_fields::length(entity);
        let header = self.mail.get(range.start..start).unwrap_or_default();
        let (content_type, boundary) = content_type(header, default_type);
        let body = start..range.end;
        let parts = match &boundary {
            Some(boundary) => split(self.mail, body.clone(), boundary, MAX_PARTS)?,
            None => Vec::new(),
        };
        let message = content_type == "message/rfc822" && !body.is_empty();
        let container = message || !parts.is_empty();
        // What claims to contain and does not is a text, as RFC 2045 section 5.2 says of every type that is none.
        let claims = content_type == "message/rfc822" || content_type.starts_with("multipart/");
        let within = if content_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        self.nodes.push(Node {
            header: range.start..start,
            body: body.clone(),
            content_type: if claims && !container { "text/plain".into() } else { content_type },
            encoding: encoding(header),
        });
        if message {
            return self.entity(body, "text/plain", depth + 1);
        }
        for part in parts {
            self.entity(part, within, depth + 1)?;
        }
        Some(())
    }
}

/// The type in lower case, and of a multipart its boundary.
fn content_type(header: &[u8], default_type: &str) -> (String, Option<Vec<u8>>) {
    let Some(field) = field(header, Name::ContentType) else { return (default_type.to_owned(), None) };
    let (kind, parameters) = parameters::content_type(field);
    let Some(kind) = kind else { return ("text/plain".into(), None) };
    let boundary = parameters.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"));
    let boundary = boundary.filter(|(_, value)| !value.is_empty() && kind.starts_with("multipart/"));
    (kind, boundary.map(|(_, value)| value))
}

fn encoding(header: &[u8]) -> Option<Encoding> {
    let Some(field) = field(header, Name::ContentTransferEncoding) else { return Some(Encoding::Identity) };
    let word = parameters::word(field);
    [
        ("7bit", Encoding::Identity),
        ("8bit", Encoding::Identity),
        ("binary", Encoding::Identity),
        ("base64", Encoding::Base64),
        ("quoted-printable", Encoding::QuotedPrintable),
    ]
    .into_iter()
    .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
    .map(|(_, encoding)| encoding)
}

fn field(header: &[u8], wanted: Name) -> Option<&[u8]> {
    let known = header_fields::known(header, false);
    let range = known.into_iter().find(|(name, _)| *name == wanted).map(|(_, range)| range);
    range.and_then(|range| header.get(range))
}

/// The parts of a multipart's body: a delimiter may have blanks behind it, and the last may be missing.
fn split(mail: &[u8], body: Range<usize>, boundary: &[u8], max: usize) -> Option<Vec<Range<usize>>> {
    let content = mail.get(..body.end).unwrap_or_default();
    let delimiter = [b"--", boundary].concat();
    let finder = Finder::new(&delimiter);
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    let mut from = body.start;
    while let Some(found) = content.get(from..).and_then(|rest| finder.find(rest)) {
        let at = from + found;
        from = at + delimiter.len();
        let before = content.get(body.start..at).unwrap_or_default();
        let rest = content.get(from..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..end).unwrap_or_default();
        let behind = line.strip_prefix(b"--").unwrap_or(line);
        if !(before.is_empty() || before.ends_with(b"\n")) || !behind.trim_ascii().is_empty() {
            continue;
        }
        from += end;
        if let Some(start) = open.take() {
            push(&mut parts, start..end_of_part(content, start..at), max)?;
        }
        if line.starts_with(b"--") {
            return Some(parts);
        }
        open = Some(from);
    }
    if let Some(start) = open {
        push(&mut parts, start..body.end, max)?;
    }
    Some(parts)
}

/// The line end before a delimiter is the delimiter's, but an empty body leaves it to the header, as in the recogniser.
fn end_of_part(content: &[u8], range: Range<usize>) -> usize {
    let part = content.get(range.clone()).unwrap_or_default();
    let ends_with_empty_line = part.ends_with(b"\n\r\n") || part.ends_with(b"\n\n");
    if ends_with_empty_line && header_fields::length(part) == part.len() {
        return range.end;
    }
    let line_end = if part.ends_with(b"\r\n") { 2 } else { 1 };
    range.end.saturating_sub(line_end).max(range.start)
}

/// A part without an octet is none.
fn push(parts: &mut Vec<Range<usize>>, part: Range<usize>, max: usize) -> Option<()> {
    if !part.is_empty() {
        parts.push(part);
    }
    (parts.len() <= max).then_some(())
}
