//! Rebuilds a mail that the recogniser refused: reads it once, leniently, and writes what was read in the one form that
//! every reader reads alike. What stands in the result was parsed here and is scanned; nothing else of the mail is in it.
//!
//! Called for mails of anybody on the Internet. Linear in the mail; over a bound it is a limit.
//!
//! ```text
//! header.rs   fields, wherever a header ends      parameters.rs   types, parameters, names
//! body.rs     leaves, decoded and unpacked        text.rs         charsets
//! ```
mod body;
mod header;
mod parameters;
mod text;

use body::Place;
use header::Header;
use memchr::{memchr, memmem};
use mime::emitter::{self, Entity, Message};
use mime::recogniser::{Limits, Offence, Refused, recognise};
use parameters::Structured;
use std::collections::BTreeSet;

/// A rebuilt mail.
#[derive(Debug)]
pub struct Rebuilt {
    /// Its canonical form, which the recogniser accepts.
    pub mail: Vec<u8>,
    /// What was wrong with it, as far as this reading met it.
    pub offences: BTreeSet<Offence>,
    /// For each leaf of the form, in order: every name that it bore.
    pub names: Vec<Vec<String>>,
}

/// Rebuilds a mail.
///
/// # Errors
/// A limit; or, should the emitter ever write what the recogniser refuses, that refusal.
pub fn rebuild(mail: &[u8], limits: &Limits, max_decoded: u64) -> Result<Rebuilt, Refused> {
    let mut reader =
        Reader { limits, parts: 0, decoded: max_decoded, offences: BTreeSet::new(), names: Vec::new() };
    reader.lines(mail);
    // Where nothing but CR ends lines, CR ends lines.
    let with_lf;
    let mail = if memchr(b'\n', mail).is_none() && memchr(b'\r', mail).is_some() {
        with_lf = mail.iter().map(|octet| if *octet == b'\r' { b'\n' } else { *octet }).collect::<Vec<_>>();
        &with_lf
    } else {
        mail
    };
    let message = reader.message(mail, 1)?;
    let mail = emitter::emit(&message);
    recognise(&mail, limits)?;
    Ok(Rebuilt { mail, offences: reader.offences, names: reader.names })
}

/// A text in a charset in which ASCII is not in its place, as UTF-8: engines look for ASCII. `header` is the leaf's.
pub fn as_utf8(header: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let header = header::read(header, header.len())?;
    let declared = Structured::read(header.first("content-type")?);
    let charset = declared.get("charset").filter(|_| declared.kind() == "text")?;
    text::hides_ascii(charset).then(|| text::to_utf8(content, Some(charset)))
}

/// The one reading that is delivered.
struct Reader<'l> {
    limits: &'l Limits,
    parts: usize,
    /// Octets of leaves that may still come.
    decoded: u64,
    offences: BTreeSet<Offence>,
    names: Vec<Vec<String>>,
}

const fn limit(what: &'static str) -> Refused {
    Refused { offset: 0, offence: Offence::Ambiguous, what, limit: true }
}

impl Reader<'_> {
    fn note(&mut self, offence: Offence, holds: bool) {
        if holds {
            self.offences.insert(offence);
        }
    }

    /// What is wrong with the lines of the whole mail.
    fn lines(&mut self, mail: &[u8]) {
        self.note(Offence::NulBytes, memchr(0, mail).is_some());
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', mail) {
            let line = mail.get(start..end).unwrap_or_default();
            let text = line.strip_suffix(b"\r");
            self.note(Offence::BareNewlines, text.is_none_or(|text| memchr(b'\r', text).is_some()));
            self.note(Offence::LongLines, text.unwrap_or(line).len() > 998);
            start = end + 1;
        }
        self.note(Offence::BareNewlines, start != mail.len());
    }

    fn message(&mut self, octets: &[u8], depth: usize) -> Result<Message, Refused> {
        let header = self.header(octets)?;
        self.note(Offence::InvalidHeader, header.fields.is_empty());
        let body = octets.get(header.body..).unwrap_or_default();
        let place = Place { depth, default: "text/plain" };
        let body = self.entity(&header, body, place)?;
        Ok(Message {
            fields: header.fields.into_iter().map(|field| (field.name, field.value)).collect(),
            body,
        })
    }

    fn header(&mut self, octets: &[u8]) -> Result<Header, Refused> {
        let header = header::read(octets, self.limits.max_header).ok_or(limit("a header over max-header"))?;
        self.offences.extend(&header.offences);
        Ok(header)
    }

    /// A part behind its header.
    fn entity(&mut self, header: &Header, body: &[u8], place: Place) -> Result<Entity, Refused> {
        self.parts += 1;
        if self.parts > self.limits.max_parts {
            return Err(limit("more parts than max-parts"));
        }
        if place.depth > self.limits.max_depth {
            return Err(limit("nested deeper than max-depth"));
        }
        let fields: Vec<&[u8]> = header.all("content-type").collect();
        let declared = fields.iter().map(|value| Structured::read(value)).find(Structured::is_type);
        self.note(Offence::InvalidType, declared.is_none() && !fields.is_empty());
        let declared = declared.unwrap_or_else(|| Structured::of(place.default));
        self.note(Offence::Ambiguous, declared.doubtful);
        match declared.kind() {
            "multipart" => self.multipart(header, &declared, body, place),
            "message" => self.embedded(header, &declared, body, place),
            _ => self.leaf(header, &declared, body),
        }
    }

    fn multipart(
        &mut self,
        header: &Header,
        declared: &Structured,
        body: &[u8],
        place: Place,
    ) -> Result<Entity, Refused> {
        let decoded = self.transparent(header, body)?;
        let body = decoded.as_deref().unwrap_or(body);
        let boundary =
            declared.boundaries().into_iter().find(|boundary| first_delimiter(body, boundary).is_some());
        self.note(Offence::BadBoundary, boundary.is_none() || declared.boundaries().len() > 1);
        let Some(boundary) = boundary.or_else(|| guessed_boundary(body)) else {
            // A multipart without a part is a text.
            return self.leaf(header, &Structured::of("text/plain"), body);
        };
        let (pieces, closed) = split(body, &boundary);
        self.note(Offence::BadBoundary, !closed);
        let digest = declared.word == "multipart/digest";
        let mut parts = Vec::new();
        for piece in pieces {
            let header = self.header(piece)?;
            let body = piece.get(header.body..).unwrap_or_default();
            let default = if digest { "message/rfc822" } else { "text/plain" };
            parts.push(self.entity(&header, body, Place { depth: place.depth + 1, default })?);
        }
        let subtype = declared.word.split_once('/').map_or("mixed", |(_, subtype)| subtype).to_owned();
        let keep = ["report-type", "protocol"];
        let keep = if matches!(subtype.as_str(), "report" | "encrypted") { &keep[..] } else { &[] };
        Ok(Entity::Multipart { subtype, parameters: declared.keep(keep), parts })
    }

    /// message/*: a message that is read like the outer one; fragments and pointers are taken out; reports are texts.
    fn embedded(
        &mut self,
        header: &Header,
        declared: &Structured,
        body: &[u8],
        place: Place,
    ) -> Result<Entity, Refused> {
        match declared.word.as_str() {
            "message/rfc822" | "message/global" | "message/news" => {
                let decoded = self.transparent(header, body)?;
                let body = decoded.as_deref().unwrap_or(body);
                Ok(Entity::Message(Box::new(self.message(body, place.depth + 1)?)))
            }
            "message/partial" | "message/external-body" => {
                self.offences.insert(Offence::PartialMessage);
                Ok(self.plain_leaf(
                    b"(A fragment of a message, or a pointer to one, was taken out here.)\r\n".to_vec(),
                ))
            }
            _ => {
                self.note(
                    Offence::PartialMessage,
                    !declared.word.contains("status") && !declared.word.contains("report"),
                );
                self.leaf(header, &Structured::of("text/plain"), body)
            }
        }
    }

    /// The octets of a container that should not be encoded and is.
    fn transparent(&mut self, header: &Header, body: &[u8]) -> Result<Option<Vec<u8>>, Refused> {
        let encoding = body::Encoding::of(header);
        let encoded = matches!(encoding, body::Encoding::Base64 | body::Encoding::QuotedPrintable);
        self.note(Offence::BadEncoding, encoded || encoding == body::Encoding::Unknown);
        if !encoded {
            return Ok(None);
        }
        let decoded = encoding.decode(body);
        self.spend(decoded.len())?;
        Ok(Some(decoded))
    }

    fn spend(&mut self, octets: usize) -> Result<(), Refused> {
        self.decoded =
            self.decoded.checked_sub(octets as u64).ok_or(limit("more decoded octets than max-decoded"))?;
        Ok(())
    }
}

/// Whether the line at `at` is a delimiter: `Some((closes, offset behind it))`. RFC 2046 section 5.1.1 allows blanks behind.
fn delimiter(body: &[u8], at: usize, boundary: &[u8]) -> Option<(bool, usize)> {
    let rest = body.get(at..)?.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    let line = rest.get(..length)?;
    let behind = at + 2 + boundary.len() + length;
    if line.trim_ascii().is_empty() {
        return Some((false, behind));
    }
    line.starts_with(b"--").then_some((true, behind))
}

/// Offsets of lines that begin with two hyphens and the boundary.
fn candidates<'b>(body: &'b [u8], boundary: &[u8]) -> impl Iterator<Item = usize> + 'b {
    let finder = memmem::Finder::new(&[b"--", boundary].concat()).into_owned();
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + finder.find(body.get(from..)?)?;
        from = at + 2;
        Some(at)
    })
    .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'))
}

fn first_delimiter(body: &[u8], boundary: &[u8]) -> Option<usize> {
    candidates(body, boundary).find(|at| delimiter(body, *at, boundary).is_some())
}

/// The parts, without the line end before each delimiter, and whether the last one is there. What stands before, and
/// behind the last delimiter, is in no part.
fn split<'b>(body: &'b [u8], boundary: &[u8]) -> (Vec<&'b [u8]>, bool) {
    let mut parts = Vec::new();
    let mut open = None;
    for at in candidates(body, boundary) {
        let Some((closes, behind)) = delimiter(body, at, boundary) else { continue };
        if let Some(start) = open {
            parts.push(without_line_end(body.get(start..at).unwrap_or_default()));
        }
        if closes && open.is_some() {
            return (parts, true);
        }
        open = Some(behind);
    }
    parts.extend(open.and_then(|start| body.get(start..)));
    (parts, false)
}

fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

/// Where none is declared that occurs: the first line that begins like a delimiter with a field of MIME behind it.
fn guessed_boundary(body: &[u8]) -> Option<Vec<u8>> {
    candidates(body, b"").find_map(|at| {
        let rest = body.get(at + 2..)?;
        let end = memchr(b'\n', rest)?;
        let boundary = rest.get(..end)?.trim_ascii_end();
        let next = rest.get(end + 1..end + 9)?;
        (!boundary.is_empty() && boundary.len() <= 200 && next.eq_ignore_ascii_case(b"content-"))
            .then(|| boundary.to_vec())
    })
}
