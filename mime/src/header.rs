//! Header blocks: fields of RFC 5322 section 2.2, folded as section 2.2.3 says and in no other way.
use crate::field::{self, ContentType, Transfer};
use crate::recogniser::{Offence, Refused};
use memchr::memchr;
use std::ops::Range;

/// Fields that RFC 5322 section 3.6 and RFC 2045 permit once; a second one lets readers choose.
pub(crate) const SINGULAR: [&str; 18] = [
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "content-id",
    "content-description",
    "content-location",
    "mime-version",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "subject",
];
/// How many of [`SINGULAR`] a part inside a multipart is checked for.
const SINGULAR_IN_PARTS: usize = 7;
/// Marks of our own, which no mail from outside may bear.
pub(crate) const OWN: &str = "x-mailward";

/// A field: its name, and its value with the folding still in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) offset: usize,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// A header block.
#[derive(Clone, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) fields: Vec<Field<'a>>,
    /// Behind the empty line.
    pub(crate) end: usize,
}

/// Reads the block at the start of `range`, up to and with the empty line; `max` bounds its octets, and so what is kept
/// of it while it is read.
pub(crate) fn parse(mail: &[u8], range: Range<usize>, max: usize) -> Result<Header<'_>, Refused> {
    let mut fields = Vec::new();
    let mut at = range.start;
    loop {
        let line = line(mail, at..range.end)?;
        if at + line.len() + 2 - range.start > max {
            return Err(Refused::limit(range.start, "a header over max-header"));
        }
        if line.is_empty() {
            return Ok(Header { fields, end: at + 2 });
        }
        let start = at;
        let Some(colon) = memchr(b':', line) else {
            return Err(Refused::of(Offence::InvalidHeader, at, "a header line without a colon"));
        };
        let (name, _) = line.split_at(colon);
        // RFC 5322 section 3.6.8: printable ASCII, and so no blank before the colon.
        if name.is_empty() || !name.iter().all(|byte| (33..=126).contains(byte)) {
            return Err(Refused::of(Offence::InvalidHeader, at, "a header name with odd characters"));
        }
        if name.get(..OWN.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(OWN.as_bytes())) {
            return Err(Refused::malformed(at, "a mark of Mailward's own from outside"));
        }
        if is_nearly_mime(name) {
            return Err(Refused::malformed(at, "a name that some readers take for a field of MIME"));
        }
        let value_at = at + colon + 1;
        at += line.len() + 2;
        while let Some(b' ' | b'\t') = mail.get(at).filter(|_| at < range.end) {
            let more = self::line(mail, at..range.end)?;
            if more.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
                return Err(Refused::of(Offence::InvalidHeader, at, "a continuation line of blanks"));
            }
            at += more.len() + 2;
        }
        let value = mail.get(value_at..at - 2).unwrap_or_default();
        check_value(name, value, value_at)?;
        fields.push(Field { offset: start, name, value });
    }
}

/// A field that decides what a part is stands inside of this name: there are readers that find it there.
pub(crate) fn is_nearly_mime(name: &[u8]) -> bool {
    const DECIDE: [&[u8]; 3] = [b"content-type", b"content-transfer-encoding", b"content-disposition"];
    let holds = |field: &&[u8]| name.windows(field.len()).any(|part| part.eq_ignore_ascii_case(field));
    DECIDE.iter().any(|field| name.len() > field.len() && holds(field))
}

/// The line at the start of `range`, without its CRLF; line ends were checked for the whole mail before.
fn line(mail: &[u8], range: Range<usize>) -> Result<&[u8], Refused> {
    let start = range.start;
    let rest = mail.get(range).unwrap_or_default();
    let end = memchr(b'\r', rest).ok_or(Refused::of(
        Offence::InvalidHeader,
        start,
        "a header without an empty line behind it",
    ))?;
    Ok(rest.get(..end).unwrap_or_default())
}

/// Controls nowhere; 8-bit only as UTF-8 (RFC 6532), and not in the fields that make the structure.
fn check_value(name: &[u8], value: &[u8], offset: usize) -> Result<(), Refused> {
    if value.iter().any(|byte| matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127)) {
        return Err(Refused::of(Offence::InvalidHeader, offset, "a control character in a header"));
    }
    if value.is_ascii() {
        return Ok(());
    }
    let structural = name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"content-"))
        || name.eq_ignore_ascii_case(b"mime-version");
    if structural || std::str::from_utf8(value).is_err() {
        return Err(Refused::of(Offence::EightBitHeader, offset, "8-bit characters in a header"));
    }
    Ok(())
}

impl<'a> Header<'a> {
    fn find(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// No field twice that may be there once; in a message all of them, in a part those that concern parts.
    pub(crate) fn check_singular(&self, message: bool) -> Result<(), Refused> {
        let names = if message { &SINGULAR[..] } else { &SINGULAR[..SINGULAR_IN_PARTS] };
        let mut seen = [false; SINGULAR.len()];
        for field in &self.fields {
            for (name, seen) in names.iter().zip(&mut seen) {
                if field.is(name) && std::mem::replace(seen, true) {
                    return Err(Refused::of(
                        Offence::DuplicateHeaders,
                        field.offset,
                        "a header field twice that may be there once",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether MIME is in force. RFC 2045 section 4; a comment behind the number is common and harmless.
    pub(crate) fn mime_version(&self) -> Result<bool, Refused> {
        let Some(field) = self.find("mime-version") else { return Ok(false) };
        let behind = field.value.trim_ascii().strip_prefix(b"1.0").map(<[u8]>::trim_ascii_start);
        if behind.is_some_and(|rest| rest.is_empty() || (rest.starts_with(b"(") && rest.ends_with(b")"))) {
            return Ok(true);
        }
        Err(Refused::of(Offence::InvalidHeader, field.offset, "a MIME-Version other than 1.0"))
    }

    pub(crate) fn has_content_type(&self) -> bool {
        self.find("content-type").is_some()
    }

    /// RFC 2045 section 5.2: text/plain where it is missing.
    pub(crate) fn content_type(&self) -> Result<ContentType<'a>, Refused> {
        self.find("content-type").map_or_else(|| Ok(ContentType::default()), field::content_type)
    }

    pub(crate) fn transfer_encoding(&self) -> Result<Transfer, Refused> {
        self.find("content-transfer-encoding").map_or(Ok(Transfer::Absent), field::transfer_encoding)
    }

    pub(crate) fn disposition_names(&self) -> Result<Vec<String>, Refused> {
        self.find("content-disposition").map_or_else(|| Ok(Vec::new()), field::disposition_names)
    }
}
