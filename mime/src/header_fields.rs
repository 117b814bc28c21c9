//! Where the fields are that IMAP speaks of (RFC 3501 section 7.4.2, ENVELOPE and BODYSTRUCTURE): the first of each, as a
//! range of the header. Read as every tolerant reader reads: whatever octets stand there, no offence and no panic.
use memchr::memchr;
use std::ops::Range;

/// The name of a field that IMAP's answers are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Name {
    /// Content-Type.
    ContentType = 0,
    /// Content-Transfer-Encoding.
    ContentTransferEncoding = 1,
    /// Content-ID.
    ContentId = 2,
    /// Content-Description.
    ContentDescription = 3,
    /// Content-MD5.
    ContentMd5 = 4,
    /// Content-Disposition.
    ContentDisposition = 5,
    /// Content-Language.
    ContentLanguage = 6,
    /// Content-Location.
    ContentLocation = 7,
    /// Date.
    Date = 8,
    /// Subject.
    Subject = 9,
    /// From.
    From = 10,
    /// Sender.
    Sender = 11,
    /// Reply-To.
    ReplyTo = 12,
    /// To.
    To = 13,
    /// Cc.
    Cc = 14,
    /// Bcc.
    Bcc = 15,
    /// In-Reply-To.
    InReplyTo = 16,
    /// Message-ID.
    MessageId = 17,
}

/// Names as they are compared, in the order of [`Name`].
const NAMES: [(Name, &str); 18] = [
    (Name::ContentType, "content-type"),
    (Name::ContentTransferEncoding, "content-transfer-encoding"),
    (Name::ContentId, "content-id"),
    (Name::ContentDescription, "content-description"),
    (Name::ContentMd5, "content-md5"),
    (Name::ContentDisposition, "content-disposition"),
    (Name::ContentLanguage, "content-language"),
    (Name::ContentLocation, "content-location"),
    (Name::Date, "date"),
    (Name::Subject, "subject"),
    (Name::From, "from"),
    (Name::Sender, "sender"),
    (Name::ReplyTo, "reply-to"),
    (Name::To, "to"),
    (Name::Cc, "cc"),
    (Name::Bcc, "bcc"),
    (Name::InReplyTo, "in-reply-to"),
    (Name::MessageId, "message-id"),
];
/// How many of [`NAMES`] are about a part; the rest is a message's envelope.
const OF_A_PART: usize = 8;
/// How many names there are.
pub(crate) const COUNT: usize = NAMES.len();

impl Name {
    pub(crate) fn from_octet(octet: u8) -> Option<Self> {
        NAMES.get(usize::from(octet)).map(|(name, _)| *name)
    }
}

/// One field of a header block: where its name is, and where its value is, from behind the colon to before the last
/// line end, with the folding in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The whole field, with its line end.
    pub whole: Range<usize>,
    /// The name, without blanks before the colon; empty where there is no colon.
    pub name: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// The fields of a header block, first to last. The empty line that ends the block is none.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Of these octets.
    #[must_use]
    pub const fn of(header: &'a [u8]) -> Self {
        Self { header, at: 0 }
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        let start = self.at;
        let rest = self.header.get(start..).unwrap_or_default();
        if is_empty_line(rest) || rest.is_empty() {
            return None;
        }
        let mut end = start + line(rest);
        while let Some(b' ' | b'\t') = self.header.get(end) {
            end += line(self.header.get(end..).unwrap_or_default());
        }
        self.at = end;
        let field = self.header.get(start..end).unwrap_or_default();
        let text = without_line_end(field);
        let colon = memchr(b':', text);
        let name = colon.and_then(|colon| text.get(..colon)).unwrap_or_default().trim_ascii_end();
        let value = start + colon.map_or(0, |colon| colon + 1);
        Some(Field { whole: start..end, name: start..start + name.len(), value: value..start + text.len() })
    }
}

/// Octets of the header at the start of `text`, with the empty line; all of it, where there is none.
pub(crate) fn length(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let line = line(rest);
        at += line;
        if line == 0 || is_empty_line(rest) {
            return at;
        }
    }
}

/// The known fields of a header block: the first of each name, in their order; of a part only those about parts.
pub(crate) fn known(header: &[u8], message: bool) -> Vec<(Name, Range<usize>)> {
    let names = if message { &NAMES[..] } else { &NAMES[..OF_A_PART] };
    let mut found: Vec<(Name, Range<usize>)> = Vec::new();
    for field in Fields::of(header) {
        let name = header.get(field.name).unwrap_or_default();
        let known = names.iter().find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()));
        if let Some((name, _)) = known
            && !found.iter().any(|(known, _)| known == name)
        {
            found.push((*name, field.value));
        }
    }
    found
}

/// Octets of the first line with its end.
fn line(text: &[u8]) -> usize {
    memchr(b'\n', text).map_or(text.len(), |end| end + 1)
}

fn is_empty_line(text: &[u8]) -> bool {
    text.starts_with(b"\r\n") || text.starts_with(b"\n")
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
