//! Where the parts of an accepted mail are, as IMAP numbers them (RFC 3501 section 6.4.5): a flat list in the order of
//! the mail. The scanner writes it beside the mail; the worker, which trusts the scanner with the verdict but not with
//! memory, decodes it with every bound checked, and of a small mail builds it anew and compares.
use crate::decoder::decoded_length;
use crate::header_fields;
use crate::recogniser::{Encoding, Limits, Refused, walk};
use crate::tolerant::{self, Node};
use memchr::memchr_iter;
use std::ops::Range;

pub use crate::header_fields::Name;

/// Octets of an encoded map; a mail with the default limits on parts stays far below.
pub const MAX_ENCODED: usize = 4 * 1024 * 1024;
/// First octet of an encoded map.
const VERSION: u8 = 2;
/// The octet of an encoding that nobody here knows.
const UNKNOWN: u8 = 3;

/// One part: a leaf, a multipart, or an embedded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `1`, `2.3` and so on. The multipart that is a whole message has no number in IMAP; here it is `TEXT` (of an
    /// embedded message `n.TEXT`), because that is what its body is called there.
    pub section: String,
    /// Its header block, with the empty line.
    pub header: Range<usize>,
    /// Its body as it stands in the mail; IMAP's octets are its length.
    pub body: Range<usize>,
    /// Lower-case type/subtype.
    pub content_type: String,
    /// How its body is encoded; `None`: in a way that nobody here knows (only in mails that were not recognised).
    pub encoding: Option<Encoding>,
    /// Line ends in the body, of text/* and message/rfc822 (0 elsewhere: IMAP does not ask).
    pub lines: usize,
    /// Octets that the body decodes to. Whoever decodes it checks.
    pub decoded: usize,
    /// Where in the mail the values of the fields are that ENVELOPE and BODYSTRUCTURE are made from, each name once; those
    /// of the envelope only in the header of a message.
    pub fields: Vec<(Name, Range<usize>)>,
}

impl Part {
    /// Whether it contains parts.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.content_type.starts_with("multipart/")
    }

    /// Whether it contains a message.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.content_type == "message/rfc822"
    }

    /// Where the value of this field is.
    #[must_use]
    pub fn field(&self, name: Name) -> Option<Range<usize>> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, range)| range.clone())
    }
}

/// The parts of one mail, outer before inner, in the order of the mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartMap {
    parts: Vec<Part>,
}

/// Why an encoded map is not believed, in constant words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMap(pub &'static str);

impl PartMap {
    /// The map of a mail that the recogniser accepts.
    ///
    /// # Errors
    /// The recogniser's refusal.
    pub fn of(mail: &[u8], limits: &Limits) -> Result<Self, Refused> {
        let nodes = walk(mail, limits)?;
        Self::made(mail, nodes).map_err(|BadMap(what)| Refused::malformed(0, what))
    }

    /// The map of any octets, as a tolerant reader sees them; for an accepted mail the same as [`PartMap::of`].
    #[must_use]
    pub fn tolerant(mail: &[u8]) -> Self {
        let walked = tolerant::walk(mail).and_then(|nodes| Self::made(mail, nodes).ok());
        walked.filter(|map| map.encode().is_ok()).unwrap_or_else(|| {
            let mut whole = part(mail, tolerant::whole(mail), true);
            whole.section = "1".into();
            Self { parts: vec![whole] }
        })
    }

    fn made(mail: &[u8], nodes: Vec<Node>) -> Result<Self, BadMap> {
        let mut parts: Vec<Part> = Vec::with_capacity(nodes.len());
        for node in nodes {
            // A message is the whole mail, or what a message/rfc822 contains.
            let message = parts.last().is_none_or(|before| before.is_message());
            parts.push(part(mail, node, message));
        }
        let mut map = Self { parts };
        map.number(mail.len())?;
        Ok(map)
    }

    /// The parts, outer before inner.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part with this number, such as `2.1`.
    pub fn section(&self, number: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.section == number)
    }

    /// As octets: integers little-endian, 64 bits for offsets and 32 for counts; sections are not written, they follow.
    ///
    /// # Errors
    /// A map over [`MAX_ENCODED`].
    pub fn encode(&self) -> Result<Vec<u8>, BadMap> {
        let mut octets = vec![VERSION];
        count(&mut octets, self.parts.len())?;
        for part in &self.parts {
            for offset in [part.header.start, part.header.end, part.body.end, part.lines] {
                octets.extend_from_slice(&(offset as u64).to_le_bytes());
            }
            octets.extend_from_slice(&(part.decoded as u64).to_le_bytes());
            octets.push(octet_of(part.encoding));
            string(&mut octets, part.content_type.as_bytes())?;
            count(&mut octets, part.fields.len())?;
            for (name, value) in &part.fields {
                octets.push(*name as u8);
                count(&mut octets, value.start.saturating_sub(part.header.start))?;
                count(&mut octets, value.len())?;
            }
            if octets.len() > MAX_ENCODED {
                return Err(BadMap("a part map over its bound"));
            }
        }
        Ok(octets)
    }

    /// Reads a map that a possibly hostile process wrote for a mail of `mail` octets: every part lies inside the one
    /// around it and behind the one before it, only containers contain, and nothing exceeds its bound. Whether the
    /// mail's octets say the same, [`PartMap::of`] knows.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn decode(octets: &[u8], mail: usize, limits: &Limits) -> Result<Self, BadMap> {
        if octets.len() > MAX_ENCODED {
            return Err(BadMap("a part map over its bound"));
        }
        let mut reader = Reader { rest: octets };
        if reader.take(1)? != [VERSION] {
            return Err(BadMap("a part map of another version"));
        }
        let parts = reader.count(limits.max_parts)?;
        let mut map = Self { parts: Vec::new() };
        for _ in 0..parts {
            map.parts.push(reader.part()?);
        }
        if !reader.rest.is_empty() {
            return Err(BadMap("octets behind a part map"));
        }
        if map.number(mail)? > limits.max_depth {
            return Err(BadMap("parts nested too deep"));
        }
        Ok(map)
    }

    /// Checks how the parts lie, numbers them, and returns the depth.
    fn number(&mut self, mail: usize) -> Result<usize, BadMap> {
        let mut open: Vec<Open> = Vec::new();
        let mut depth = 0;
        for (index, part) in self.parts.iter_mut().enumerate() {
            // Only a whole mail may be without a header, or without anything.
            let ordered = (part.header.start < part.header.end || index == 0)
                && part.header.end == part.body.start
                && part.body.start <= part.body.end
                && part.lines <= part.body.len()
                && part.decoded <= part.body.len();
            if !ordered {
                return Err(BadMap("a part whose ranges are none"));
            }
            while open.last().is_some_and(|outer| outer.body.end <= part.header.start) {
                open.pop()
                    .filter(|closed| closed.children > 0)
                    .ok_or(BadMap("a container with nothing in it"))?;
            }
            let (prefix, of_multipart) = match open.last_mut() {
                None if index == 0 && part.header.start == 0 && part.body.end == mail => {
                    (String::new(), None)
                }
                None => return Err(BadMap("a part outside the mail")),
                Some(outer) => {
                    let inside = outer.free <= part.header.start && part.body.end <= outer.body.end;
                    let whole = part.header.start == outer.body.start && part.body.end == outer.body.end;
                    if !inside || !(outer.multipart || (whole && outer.children == 0)) {
                        return Err(BadMap("a part that is not inside its container"));
                    }
                    outer.children += 1;
                    outer.free = part.body.end;
                    (outer.prefix.clone(), outer.multipart.then_some(outer.children))
                }
            };
            depth = depth.max(open.len() + 1);
            // Of a message, the multipart has no number and the single part is number one.
            part.section = match of_multipart {
                Some(number) => join(&prefix, &number.to_string()),
                None if part.is_multipart() => join(&prefix, "TEXT"),
                None => join(&prefix, "1"),
            };
            if part.is_multipart() || part.is_message() {
                let unnumbered = part.is_multipart() && of_multipart.is_none();
                open.push(Open {
                    prefix: if unnumbered { prefix } else { part.section.clone() },
                    body: part.body.clone(),
                    free: part.body.start,
                    children: 0,
                    multipart: part.is_multipart(),
                });
            }
        }
        let complete = !self.parts.is_empty() && open.iter().all(|outer| outer.children > 0);
        if complete { Ok(depth) } else { Err(BadMap("a container with nothing in it")) }
    }
}

/// A container whose end has not been reached.
struct Open {
    /// In front of its children's numbers.
    prefix: String,
    body: Range<usize>,
    /// From where on the next child may begin.
    free: usize,
    children: usize,
    multipart: bool,
}

fn join(prefix: &str, last: &str) -> String {
    if prefix.is_empty() { last.to_owned() } else { format!("{prefix}.{last}") }
}

fn count(octets: &mut Vec<u8>, count: usize) -> Result<(), BadMap> {
    let count = u32::try_from(count).map_err(|_| BadMap("a count over its bound"))?;
    octets.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

fn string(octets: &mut Vec<u8>, string: &[u8]) -> Result<(), BadMap> {
    count(octets, string.len())?;
    octets.extend_from_slice(string);
    Ok(())
}

/// Takes from the front; never more than there is.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Result<&'a [u8], BadMap> {
        let (taken, rest) = self.rest.split_at_checked(octets).ok_or(BadMap("a part map cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn count(&mut self, max: usize) -> Result<usize, BadMap> {
        let octets = self.take(4)?.try_into().map_err(|_| BadMap("a part map cut off"))?;
        let count = u32::from_le_bytes(octets) as usize;
        if count <= max { Ok(count) } else { Err(BadMap("a count over its bound")) }
    }

    fn offset(&mut self) -> Result<usize, BadMap> {
        let octets = self.take(8)?.try_into().map_err(|_| BadMap("a part map cut off"))?;
        usize::try_from(u64::from_le_bytes(octets)).map_err(|_| BadMap("an offset over its bound"))
    }

    fn string(&mut self) -> Result<&'a [u8], BadMap> {
        let length = self.count(self.rest.len())?;
        self.take(length)
    }

    /// Types and parameter names: tokens in lower case, as the recogniser gives them.
    fn word(&mut self) -> Result<String, BadMap> {
        let word = self.string()?;
        let good = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic());
        let text =
            std::str::from_utf8(word).ok().filter(|_| good && !word.iter().any(u8::is_ascii_uppercase));
        text.map(str::to_owned).ok_or(BadMap("a word that is none"))
    }

    fn part(&mut self) -> Result<Part, BadMap> {
        let [start, middle, end] = [self.offset()?, self.offset()?, self.offset()?];
        let [lines, decoded] = [self.offset()?, self.offset()?];
        let encoding = encoding_of(self.octet()?)?;
        let content_type = self.word()?;
        let mut fields: Vec<(Name, Range<usize>)> = Vec::new();
        for _ in 0..self.count(header_fields::COUNT)? {
            let name = Name::from_octet(self.octet()?).ok_or(BadMap("a field that is none"))?;
            let header = middle.saturating_sub(start);
            let from = self.count(header)?;
            let value = self.count(header.saturating_sub(from))?;
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(BadMap("a field twice"));
            }
            fields.push((name, start + from..start + from + value));
        }
        Ok(Part {
            section: String::new(),
            header: start..middle,
            body: middle..end,
            content_type,
            encoding,
            lines,
            decoded,
            fields,
        })
    }

    fn octet(&mut self) -> Result<u8, BadMap> {
        self.take(1)?.first().copied().ok_or(BadMap("a part map cut off"))
    }
}

fn part(mail: &[u8], node: Node, message: bool) -> Part {
    let Node { header, body, content_type, encoding } = node;
    let octets = mail.get(body.clone()).unwrap_or_default();
    let counted = content_type.starts_with("text/") || content_type == "message/rfc822";
    let fields = header_fields::known(mail.get(header.clone()).unwrap_or_default(), message);
    let fields =
        fields.into_iter().map(|(name, value)| (name, header.start + value.start..header.start + value.end));
    Part {
        section: String::new(),
        lines: if counted { memchr_iter(b'\n', octets).count() } else { 0 },
        decoded: decoded_length(octets, encoding.unwrap_or(Encoding::Identity)),
        fields: fields.collect(),
        header,
        body,
        content_type,
        encoding,
    }
}

const fn octet_of(encoding: Option<Encoding>) -> u8 {
    match encoding {
        Some(Encoding::Identity) => 0,
        Some(Encoding::Base64) => 1,
        Some(Encoding::QuotedPrintable) => 2,
        None => UNKNOWN,
    }
}

const fn encoding_of(octet: u8) -> Result<Option<Encoding>, BadMap> {
    match octet {
        0 => Ok(Some(Encoding::Identity)),
        1 => Ok(Some(Encoding::Base64)),
        2 => Ok(Some(Encoding::QuotedPrintable)),
        UNKNOWN => Ok(None),
        _ => Err(BadMap("an encoding that is none")),
    }
}
