//! The structured fields of MIME (RFC 2045, 2183, 2231), in the forms about which no reader is in doubt: tokens and
//! quoted strings without escapes (but for file names, see `file_name`), no comments, no parameter twice.
use crate::file_name;
use crate::header::Field;
use crate::recogniser::{Encoding, Offence, Refused};

/// RFC 2046 section 5.1.1.
const MAX_BOUNDARY: usize = 70;
/// Types whose content a second, older unpacking would take apart: readers differ in whether they do.
pub(crate) const DOUBTFUL_TYPES: [&str; 8] = [
    "application/ms-tnef",
    "application/vnd.ms-tnef",
    "application/mac-binhex40",
    "application/mac-binhex",
    "application/x-uuencode",
    "application/x-uue",
    "text/x-uuencode",
    "text/x-yencode",
];
/// What a message/* leaf may be: reports in text form. Others carry, fragment or point to messages.
const MESSAGE_LEAVES: [&str; 3] = ["delivery-status", "disposition-notification", "feedback-report"];

/// A Content-Type.
#[derive(Clone, Debug)]
pub(crate) struct ContentType<'a> {
    pub(crate) offset: usize,
    pub(crate) kind: String,
    pub(crate) subtype: String,
    pub(crate) boundary: Option<&'a [u8]>,
    pub(crate) names: Vec<String>,
}

impl Default for ContentType<'_> {
    fn default() -> Self {
        Self { offset: 0, kind: "text".into(), subtype: "plain".into(), boundary: None, names: Vec::new() }
    }
}

impl ContentType<'_> {
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }
}

/// A Content-Transfer-Encoding (RFC 2045 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// No such field, which means 7bit.
    Absent,
    /// 7bit.
    SevenBit,
    /// 8bit, or binary with line ends.
    EightBit,
    /// base64.
    Base64,
    /// quoted-printable.
    QuotedPrintable,
}

impl Transfer {
    pub(crate) const fn changes_octets(self) -> bool {
        matches!(self, Self::Base64 | Self::QuotedPrintable)
    }

    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::Absent | Self::SevenBit | Self::EightBit => Encoding::Identity,
            Self::Base64 => Encoding::Base64,
            Self::QuotedPrintable => Encoding::QuotedPrintable,
        }
    }
}

pub(crate) fn transfer_encoding(field: &Field<'_>) -> Result<Transfer, Refused> {
    // Behind the word no blank and before it no fold: to some readers they are part of it.
    let value = match field.value {
        [b' ' | b'\t', value @ ..] | value => value,
    };
    for (word, transfer) in [
        ("7bit", Transfer::SevenBit),
        ("8bit", Transfer::EightBit),
        // Read like 8bit by everybody as long as its lines are lines, and that is checked for the whole mail.
        ("binary", Transfer::EightBit),
        ("base64", Transfer::Base64),
        ("quoted-printable", Transfer::QuotedPrintable),
    ] {
        if value.eq_ignore_ascii_case(word.as_bytes()) {
            return Ok(transfer);
        }
    }
    Err(Refused::of(
        Offence::BadEncoding,
        field.offset,
        "a transfer encoding that is not one of RFC 2045's for mail",
    ))
}

pub(crate) fn content_type<'a>(field: &Field<'a>) -> Result<ContentType<'a>, Refused> {
    let refuse = |what| Refused::malformed(field.offset, what);
    let no_type = |what| Refused::of(Offence::InvalidType, field.offset, what);
    let mut cursor = Cursor { rest: field.value };
    cursor.blanks();
    let kind = cursor.token().ok_or(no_type("a Content-Type that is none"))?;
    if !cursor.take(b'/') {
        return Err(no_type("a Content-Type without a subtype"));
    }
    let subtype = cursor.token().ok_or(no_type("a Content-Type without a subtype"))?;
    let mut content_type = ContentType {
        offset: field.offset,
        kind: lower(kind),
        subtype: lower(subtype),
        boundary: None,
        names: Vec::new(),
    };
    let parameters = cursor.parameters(field.offset, "name")?;
    for (name, value) in &parameters {
        let encoded_word = value.windows(2).any(|pair| pair == b"=?");
        match name.as_str() {
            "boundary" => content_type.boundary = Some(value),
            _ if name.starts_with("boundary*") || name.starts_with("charset*") => {
                return Err(refuse("a boundary or charset in the form of RFC 2231"));
            }
            "charset" if encoded_word => return Err(refuse("an encoded word as a charset")),
            _ => {}
        }
    }
    content_type.names = file_name::forms(&parameters, "name", field.offset)?;
    Ok(content_type)
}

pub(crate) fn disposition_names(field: &Field<'_>) -> Result<Vec<String>, Refused> {
    let mut cursor = Cursor { rest: field.value };
    cursor.blanks();
    cursor.token().ok_or(Refused::malformed(field.offset, "a Content-Disposition that is none"))?;
    let parameters = cursor.parameters(field.offset, "filename")?;
    file_name::forms(&parameters, "filename", field.offset)
}

/// RFC 2046 section 5.1.1: 1 to 70 of these characters, no blank at the end.
pub(crate) fn check_boundary(boundary: &[u8], offset: usize) -> Result<(), Refused> {
    let good = (1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary.last() != Some(&b' ')
        && boundary.iter().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte))
        // Some decode encoded words everywhere.
        && !boundary.windows(2).any(|pair| pair == b"=?")
        // "--x--" with the boundary "x--" would both open and close.
        && !boundary.ends_with(b"--");
    if good {
        Ok(())
    } else {
        Err(Refused::of(Offence::BadBoundary, offset, "a boundary outside RFC 2046's grammar"))
    }
}

/// A leaf of a type that every reader leaves as it is.
pub(crate) fn check_leaf_type(content_type: &ContentType<'_>) -> Result<(), Refused> {
    let full = format!("{}/{}", content_type.kind, content_type.subtype);
    if content_type.is("message") && !MESSAGE_LEAVES.contains(&content_type.subtype.as_str()) {
        return Err(Refused::of(
            Offence::PartialMessage,
            content_type.offset,
            "a fragment, a pointer or an unknown kind of message",
        ));
    }
    let winmail = content_type.names.iter().any(|name| name.eq_ignore_ascii_case("winmail.dat"));
    if winmail || DOUBTFUL_TYPES.contains(&full.as_str()) {
        return Err(Refused::malformed(content_type.offset, "a container that only some readers unpack"));
    }
    Ok(())
}

/// RFC 2045 section 5.1.
pub(crate) fn is_token(token: &[u8]) -> bool {
    !token.is_empty() && token.iter().all(is_token_octet)
}

fn is_token_octet(octet: &u8) -> bool {
    (33..=126).contains(octet) && !b"()<>@,;:\\\"/[]?=".contains(octet)
}

fn lower(token: &[u8]) -> String {
    String::from_utf8_lossy(token).to_ascii_lowercase()
}

/// On one line, and without escapes.
fn is_plain(value: &[u8]) -> bool {
    value.iter().all(|byte| (32..=126).contains(byte) && *byte != b'\\')
}

/// Reads a field's value from left to right.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        found
    }

    /// RFC 2045 section 5.1.
    fn token(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|octet| !is_token_octet(octet)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or what stands between quotes: escapes and folding are still in it.
    fn value(&mut self) -> Option<&'a [u8]> {
        if !self.take(b'"') {
            return self.token();
        }
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        })?;
        let (quoted, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Some(quoted)
    }

    /// `*(";" name "=" value)` up to the end; one empty item at the end is common and harmless.
    /// The values of `file_name` and its RFC 2231 sections may be folded or escaped.
    fn parameters(&mut self, offset: usize, file_name: &str) -> Result<Vec<(String, &'a [u8])>, Refused> {
        let refuse = |what| Refused::malformed(offset, what);
        let mut parameters: Vec<(String, &'a [u8])> = Vec::new();
        loop {
            self.blanks();
            if self.rest.is_empty() {
                return Ok(parameters);
            }
            if !self.take(b';') {
                return Err(refuse("something behind a type or parameter"));
            }
            self.blanks();
            if self.rest.is_empty() {
                return Ok(parameters);
            }
            let name = lower(self.token().ok_or(refuse("a parameter without a name"))?);
            if !self.take(b'=') {
                return Err(refuse("a parameter without a value"));
            }
            let value = self
                .value()
                .filter(|value| name.starts_with(file_name) || is_plain(value))
                .ok_or(refuse("a parameter's value that is neither token nor plain quoted string"))?;
            if parameters.len() >= 64 || parameters.iter().any(|(known, _)| *known == name) {
                return Err(refuse("a parameter twice"));
            }
            parameters.push((name, value));
        }
    }
}
