//! Bodies: line ends, and octets as the declared encoding permits them.
use crate::field::Transfer;
use crate::recogniser::Refused;
use crate::transfer_encoding::{
    check_base64, check_quoted_printable, decode_base64, decode_quoted_printable,
};
use memchr::{memchr, memchr_iter, memmem};
use std::ops::Range;

/// RFC 5322 section 2.1.1, without CRLF.
const MAX_LINE: usize = 998;

/// Every line ends in CRLF and has at most 998 octets; no CR or LF stands alone, no NUL anywhere.
pub(crate) fn check_lines(mail: &[u8]) -> Result<(), Refused> {
    if let Some(offset) = memchr(0, mail) {
        return Err(Refused::malformed(offset, "a NUL"));
    }
    let mut start = 0;
    for end in memchr_iter(b'\n', mail) {
        let line = mail.get(start..end).unwrap_or_default();
        match memchr(b'\r', line) {
            None => return Err(Refused::malformed(end, "a LF without CR")),
            Some(at) if at + 1 != line.len() => {
                return Err(Refused::malformed(start + at, "a CR without LF"));
            }
            Some(at) if at > MAX_LINE => {
                return Err(Refused::malformed(start, "a line of more than 998 octets"));
            }
            Some(_) => {}
        }
        start = end + 1;
    }
    if start != mail.len() {
        return Err(Refused::malformed(start, "a last line without CRLF"));
    }
    Ok(())
}

/// What a reader may look for in a leaf besides its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// text/*: encodings older than MIME.
    Text,
    /// message/* that is no message: blocks of fields, which some readers parse like headers.
    Report,
    /// Nothing.
    Opaque,
}

/// A leaf's body.
pub(crate) fn check(
    mail: &[u8],
    range: Range<usize>,
    transfer: Transfer,
    reading: Reading,
) -> Result<(), Refused> {
    let start = range.start;
    let body = mail.get(range).unwrap_or_default();
    let at = |(offset, what)| Refused::malformed(start + offset, what);
    match transfer {
        Transfer::Absent | Transfer::SevenBit => {
            if !body.is_ascii() {
                let offset = body.iter().position(|byte| !byte.is_ascii()).unwrap_or_default();
                return Err(at((offset, "8-bit characters in a 7-bit body")));
            }
        }
        Transfer::EightBit => {}
        Transfer::Base64 => check_base64(body).map_err(at)?,
        Transfer::QuotedPrintable => check_quoted_printable(body).map_err(at)?,
    }
    if reading == Reading::Report
        && let Some(offset) = mime_field(body)
    {
        return Err(at((offset, "a field of MIME inside a report")));
    }
    if reading != Reading::Opaque {
        let plain = match transfer {
            Transfer::Absent | Transfer::SevenBit | Transfer::EightBit => holds_second_encoding(body),
            Transfer::Base64 => holds_second_encoding(&decode_base64(body)),
            Transfer::QuotedPrintable => holds_second_encoding(&decode_quoted_printable(body)),
        };
        if plain {
            return Err(Refused::malformed(start, "uuencode, yEnc or BinHex inside a text"));
        }
    }
    Ok(())
}

/// A line that a reader which parses reports as headers would take for structure.
fn mime_field(report: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in report.split_inclusive(|byte| *byte == b'\n') {
        if line.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"content-")) {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// Whether a reader that looks for encodings older than MIME would find one.
fn holds_second_encoding(text: &[u8]) -> bool {
    let begins = |needle: &[u8], follows: fn(&[u8]) -> bool| {
        memmem::find_iter(text, needle).any(|at| {
            let line_start = at == 0 || matches!(text.get(at - 1), Some(b'\n' | b'\r'));
            line_start && text.get(at + needle.len()..).is_some_and(follows)
        })
    };
    begins(b"begin ", |rest| {
        let digits = rest.iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        (3..=4).contains(&digits) && matches!(rest.get(digits), Some(b' ' | b'\t'))
    }) || begins(b"begin-base64 ", |_| true)
        || begins(b"=ybegin ", |_| true)
        || memmem::find(text, b"(This file must be converted with BinHex").is_some()
}
