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

/// A leaf's body.
pub(crate) fn check(mail: &[u8], range: Range<usize>, transfer: Transfer, text: bool) -> Result<(), Refused> {
    let start = range.start;
    let body = mail.get(range).unwrap_or_default();
    let at = |(offset, what)| Refused::malformed(start + offset, what);
    match transfer {
        Transfer::Absent | Transfer::SevenBit => {
            if let Some(offset) = body.iter().position(|byte| !byte.is_ascii()) {
                return Err(at((offset, "8-bit characters in a 7-bit body")));
            }
        }
        Transfer::EightBit => {}
        Transfer::Base64 => check_base64(body).map_err(at)?,
        Transfer::QuotedPrintable => check_quoted_printable(body).map_err(at)?,
    }
    if text {
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
        (3..=4).contains(&digits) && rest.get(digits) == Some(&b' ')
    }) || begins(b"begin-base64 ", |_| true)
        || begins(b"=ybegin ", |_| true)
        || memmem::find(text, b"(This file must be converted with BinHex").is_some()
}
