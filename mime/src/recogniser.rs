//! The narrow, unambiguous grammar: a mail that it accepts is read alike by every honest reader. Linear in the size of
//! the mail; called by the scanner with bytes that anybody on the Internet chose.
use crate::body::{self, Reading, check_lines};
use crate::field::{self, ContentType};
use crate::header::{self, Header};
use crate::multipart;
use crate::tolerant::Node;
use crate::transfer_encoding;
use std::ops::Range;

/// Bounds on a mail; over one of them the refusal is a limit, not malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Parts in all, containers too.
    pub max_parts: usize,
    /// Depth of nesting.
    pub max_depth: usize,
    /// Octets of one header block.
    pub max_header: usize,
}

impl Default for Limits {
    /// Those of `[mail-filter.default]`.
    fn default() -> Self {
        Self { max_parts: 1000, max_depth: 32, max_header: 256 * 1024 }
    }
}

/// How a leaf's body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 7bit, 8bit or none: the octets are the content.
    Identity,
    /// RFC 2045 section 6.8.
    Base64,
    /// RFC 2045 section 6.7.
    QuotedPrintable,
}

/// One leaf of an accepted mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its header block, with the empty line.
    pub header: Range<usize>,
    /// Its body as it stands in the mail.
    pub body: Range<usize>,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// Lower-case type/subtype.
    pub content_type: String,
    /// Every file name that it bears: as written, and with RFC 2231 undone. Then the names of the messages that it is in, where they
    /// say that these are something else: whoever saves such a message has a file of that name.
    pub names: Vec<String>,
}

/// An accepted mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its leaves in order; nested messages are descended into.
    pub leaves: Vec<Leaf>,
}

/// Kinds of offences, as `[mail-filter.NAME]` names them. This crate knows nothing of the configuration, so the words are
/// `policy`'s; `scanner`, which knows both, says which is which, and does not compile while one is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named by what it is; docs/configuration.md says more")]
pub enum Offence {
    BareNewlines,
    NulBytes,
    EightBitHeader,
    EightBitBody,
    LongLines,
    BadQuoting,
    BadEncoding,
    BadBoundary,
    DuplicateHeaders,
    InvalidHeader,
    InvalidType,
    Ambiguous,
    PartialMessage,
}

/// Why a mail was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Octet offset of the offence.
    pub offset: usize,
    /// Its kind; of a limit it says nothing.
    pub offence: Offence,
    /// What, in constant words.
    pub what: &'static str,
    /// Over a limit, rather than ambiguous.
    pub limit: bool,
}

impl Refused {
    /// Readers could disagree, for no reason that has a name of its own.
    pub(crate) const fn malformed(offset: usize, what: &'static str) -> Self {
        Self::of(Offence::Ambiguous, offset, what)
    }

    pub(crate) const fn of(offence: Offence, offset: usize, what: &'static str) -> Self {
        Self { offset, offence, what, limit: false }
    }

    pub(crate) const fn limit(offset: usize, what: &'static str) -> Self {
        Self { offset, offence: Offence::Ambiguous, what, limit: true }
    }
}

/// Accepts or refuses a whole mail (CRLF line ends, as it is delivered).
///
/// # Errors
/// The first offence.
pub fn recognise(mail: &[u8], limits: &Limits) -> Result<Accepted, Refused> {
    let mut walk = Walk::new(mail, limits);
    walk.whole()?;
    Ok(Accepted { leaves: walk.leaves })
}

/// Every part of a mail that is accepted, outer before inner.
pub(crate) fn walk(mail: &[u8], limits: &Limits) -> Result<Vec<Node>, Refused> {
    let mut walk = Walk { nodes: Some(Vec::new()), ..Walk::new(mail, limits) };
    walk.whole()?;
    Ok(walk.nodes.unwrap_or_default())
}

/// Whether some readers would take a piece of this content, whatever type it has, for a part of the mail, or for a file in
/// an older encoding: it passes, for to most it is what it looks like, but what stands in it has to be looked at.
pub fn holds_a_part(content: &[u8]) -> bool {
    body::names_an_encoding(content) || body::holds_second_encoding(content)
}

/// Whether a line begins a file in uuencode to the most lenient reader.
pub fn begins_uuencode(line: &[u8]) -> bool {
    body::begins_loosely(line)
}

/// Decodes an accepted leaf's body.
pub fn decode(mail: &[u8], leaf: &Leaf) -> Vec<u8> {
    let body = mail.get(leaf.body.clone()).unwrap_or_default();
    match leaf.encoding {
        Encoding::Identity => body.to_vec(),
        Encoding::Base64 => transfer_encoding::decode_base64(body),
        Encoding::QuotedPrintable => transfer_encoding::decode_quoted_printable(body),
    }
}

/// A name that a message may have.
fn is_of_a_message(name: &str) -> bool {
    let end = name.len().saturating_sub(4);
    name.get(end..).is_some_and(|end| end.eq_ignore_ascii_case(".eml"))
}

/// The walk through one mail, outermost part first.
struct Walk<'a> {
    mail: &'a [u8],
    limits: &'a Limits,
    parts: usize,
    /// Boundaries of the multiparts that are open, outermost first.
    boundaries: Vec<&'a [u8]>,
    /// Names of the messages that are open.
    outer_names: Vec<String>,
    leaves: Vec<Leaf>,
    /// Every part, if that is asked for.
    nodes: Option<Vec<Node>>,
}

impl<'a> Walk<'a> {
    const fn new(mail: &'a [u8], limits: &'a Limits) -> Self {
        Self {
            mail,
            limits,
            parts: 0,
            boundaries: Vec::new(),
            outer_names: Vec::new(),
            leaves: Vec::new(),
            nodes: None,
        }
    }

    fn whole(&mut self) -> Result<(), Refused> {
        check_lines(self.mail)?;
        self.message(0..self.mail.len(), 1)
    }

    /// A message: its header has the fields of RFC 5322, and MIME is in force only if it says so.
    fn message(&mut self, range: Range<usize>, depth: usize) -> Result<(), Refused> {
        let header = self.header(range.clone())?;
        // An empty line at the very start: no header at all to some, skipped by others.
        if header.fields.is_empty() {
            return Err(Refused::of(Offence::InvalidHeader, range.start, "a message without a header"));
        }
        header.check_singular(true)?;
        let mime = header.mime_version()?;
        let start = range.start;
        self.entity(range, header, depth, mime.then_some(()).ok_or(start))
    }

    fn header(&self, range: Range<usize>) -> Result<Header<'a>, Refused> {
        header::parse(self.mail, range, self.limits.max_header)
    }

    /// A part behind its header. `mime` is an error (with the offset to blame) where MIME-Version is missing: then
    /// nothing that changes the structure or the octets may be declared, because readers differ in honouring it.
    fn entity(
        &mut self,
        range: Range<usize>,
        header: Header<'a>,
        depth: usize,
        mime: Result<(), usize>,
    ) -> Result<(), Refused> {
        self.parts += 1;
        if self.parts > self.limits.max_parts {
            return Err(Refused::limit(range.start, "more parts than max-parts"));
        }
        if depth > self.limits.max_depth {
            return Err(Refused::limit(range.start, "nested deeper than max-depth"));
        }
        let content_type = header.content_type()?;
        let encoding = header.transfer_encoding()?;
        let disposition_names = header.disposition_names()?;
        let body = header.end..range.end;
        if let Some(nodes) = &mut self.nodes {
            nodes.push(Node {
                header: range.start..body.start,
                body: body.clone(),
                content_type: format!("{}/{}", content_type.kind, content_type.subtype),
                encoding: Some(encoding.encoding()),
            });
        }
        let structural =
            content_type.is("multipart") || content_type.is("message") || encoding.changes_octets();
        if let Err(offset) = mime
            && structural
        {
            return Err(Refused::malformed(offset, "MIME structure without MIME-Version"));
        }
        if content_type.is("multipart") {
            if encoding.changes_octets() {
                return Err(Refused::of(Offence::BadEncoding, range.start, "an encoded multipart"));
            }
            return self.multipart(&content_type, body, depth);
        }
        if content_type.boundary.is_some() {
            return Err(Refused::malformed(content_type.offset, "a boundary on a part that is no multipart"));
        }
        if content_type.is("message") && content_type.subtype == "rfc822" {
            if encoding.changes_octets() {
                return Err(Refused::of(Offence::BadEncoding, range.start, "an encoded message"));
            }
            let open = self.outer_names.len();
            let names = content_type.names.into_iter().chain(disposition_names);
            self.outer_names.extend(names.filter(|name| !is_of_a_message(name)));
            self.message(body, depth + 1)?;
            self.outer_names.truncate(open);
            return Ok(());
        }
        field::check_leaf_type(&content_type)?;
        let reading = if content_type.is("text") {
            Reading::Text
        } else if content_type.is("message") {
            if encoding.changes_octets() {
                return Err(Refused::of(Offence::BadEncoding, range.start, "an encoded message"));
            }
            Reading::Report
        } else {
            Reading::Opaque
        };
        body::check(self.mail, body.clone(), encoding, reading)?;
        let mut names = content_type.names;
        for name in disposition_names.into_iter().chain(self.outer_names.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.leaves.push(Leaf {
            header: range.start..body.start,
            body,
            encoding: encoding.encoding(),
            content_type: format!("{}/{}", content_type.kind, content_type.subtype),
            names,
        });
        Ok(())
    }

    fn multipart(
        &mut self,
        content_type: &ContentType<'a>,
        body: Range<usize>,
        depth: usize,
    ) -> Result<(), Refused> {
        let Some(boundary) = content_type.boundary else {
            return Err(Refused::of(
                Offence::BadBoundary,
                content_type.offset,
                "a multipart without a boundary",
            ));
        };
        field::check_boundary(boundary, content_type.offset)?;
        if self.boundaries.iter().any(|open| open.starts_with(boundary) || boundary.starts_with(open)) {
            return Err(Refused::of(
                Offence::BadBoundary,
                content_type.offset,
                "a boundary that begins like an outer one",
            ));
        }
        let room = self.limits.max_parts.saturating_sub(self.parts);
        let parts = multipart::split(self.mail, body, boundary, room)?;
        self.boundaries.push(boundary);
        for part in parts {
            // The line end before a delimiter is the delimiter's, but an empty body leaves it to the header.
            let header = self.header(part.start..part.end)?;
            // RFC 2046 permits it, but some readers skip the empty line and take what follows for the header.
            if header.fields.is_empty() {
                return Err(Refused::malformed(part.start, "a part without a header"));
            }
            header.check_singular(false)?;
            if content_type.subtype == "digest" && !header.has_content_type() {
                return Err(Refused::malformed(part.start, "a digest's part without Content-Type"));
            }
            let end = part.end.saturating_sub(2).max(header.end);
            self.entity(part.start..end, header, depth + 1, Ok(()))?;
        }
        self.boundaries.pop();
        Ok(())
    }
}
