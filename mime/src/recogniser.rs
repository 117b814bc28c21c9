//! The narrow, unambiguous grammar: a mail that it accepts is read alike by every honest reader.
use std::ops::Range;

/// Bounds on a mail; over one of them the refusal is a limit, not malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Parts in all.
    pub max_parts: usize,
    /// Depth of nesting.
    pub max_depth: usize,
    /// Octets of one header block.
    pub max_header: usize,
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
    /// Every file name that it bears, decoded.
    pub names: Vec<String>,
}

/// An accepted mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its leaves in order; nested messages are descended into.
    pub leaves: Vec<Leaf>,
}

/// Why a mail was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Octet offset of the offence.
    pub offset: usize,
    /// What, in constant words.
    pub what: &'static str,
    /// Over a limit, rather than ambiguous.
    pub limit: bool,
}

/// Accepts or refuses a whole mail (CRLF line ends, as it is delivered).
///
/// # Errors
/// The first offence.
pub fn recognise(_mail: &[u8], _limits: &Limits) -> Result<Accepted, Refused> {
    todo!()
}

/// Decodes an accepted leaf's body.
pub fn decode(_mail: &[u8], _leaf: &Leaf) -> Vec<u8> {
    todo!()
}
