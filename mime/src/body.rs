//! Bodies: line ends, and octets as the declared encoding permits them.
use crate::field::Transfer;
use crate::recogniser::{Offence, Refused};
use crate::transfer_encoding::{
    check_base64, check_quoted_printable, decode_base64, decode_quoted_printable,
};
use memchr::{memchr, memchr_iter, memchr2_iter, memmem};
use std::borrow::Cow;
use std::ops::Range;

/// RFC 5322 section 2.1.1, without CRLF.
const MAX_LINE: usize = 998;

/// Every line ends in CRLF and has at most 998 octets; no CR or LF stands alone, no NUL anywhere.
pub(crate) fn check_lines(mail: &[u8]) -> Result<(), Refused> {
    if let Some(offset) = memchr(0, mail) {
        return Err(Refused::of(Offence::NulBytes, offset, "a NUL"));
    }
    let mut start = 0;
    for end in memchr_iter(b'\n', mail) {
        let line = mail.get(start..end).unwrap_or_default();
        match memchr(b'\r', line) {
            None => return Err(Refused::of(Offence::BareNewlines, end, "a LF without CR")),
            Some(at) if at + 1 != line.len() => {
                return Err(Refused::of(Offence::BareNewlines, start + at, "a CR without LF"));
            }
            Some(at) if at > MAX_LINE => {
                return Err(Refused::of(Offence::LongLines, start, "a line of more than 998 octets"));
            }
            Some(_) => {}
        }
        start = end + 1;
    }
    if start != mail.len() {
        return Err(Refused::of(Offence::BareNewlines, start, "a last line without CRLF"));
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
    let at = |offence| move |(offset, what)| Refused::of(offence, start + offset, what);
    match transfer {
        Transfer::Absent | Transfer::SevenBit => {
            if !body.is_ascii() {
                let offset = body.iter().position(|byte| !byte.is_ascii()).unwrap_or_default();
                return Err(at(Offence::EightBitBody)((offset, "8-bit characters in a 7-bit body")));
            }
        }
        Transfer::EightBit => {}
        Transfer::Base64 => check_base64(body).map_err(at(Offence::BadEncoding))?,
        Transfer::QuotedPrintable => check_quoted_printable(body).map_err(at(Offence::BadQuoting))?,
    }
    if reading == Reading::Report
        && let Some(offset) = mime_field(body)
    {
        return Err(at(Offence::Ambiguous)((offset, "a field of MIME inside a report")));
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
pub(crate) fn holds_second_encoding(text: &[u8]) -> bool {
    // All but one begin a line: one walk over the lines finds them.
    let mut loosely = false;
    for line in line_starts(text).filter_map(|at| text.get(at..)) {
        match line.first() {
            Some(b'b' | b'=') if begins_encoding(line) => return true,
            Some(b'b' | b'B') => loosely |= begins_loosely(line),
            _other => {}
        }
    }
    memmem::find(text, BINHEX).is_some() || (loosely && loose_uuencode(text).next().is_some())
}

/// Where one begins, but for loose uuencode.
fn second_encodings(text: &[u8]) -> impl Iterator<Item = usize> {
    let lines = line_starts(text).filter(|at| text.get(*at..).is_some_and(begins_encoding));
    // A blank behind its bracket takes its meaning away.
    lines.chain(memmem::find_iter(text, BINHEX).map(|at| at + 1))
}

/// A text in which no such reader finds one: a blank stands before the word that it looks for.
pub(crate) fn without_second_encodings(text: &[u8]) -> Cow<'_, [u8]> {
    let mut places: Vec<usize> = second_encodings(text).collect();
    places.extend(loose_uuencode(text));
    places.extend(second_headers(text));
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    places.sort_unstable();
    places.dedup();
    let mut inert = Vec::with_capacity(text.len() + places.len());
    let mut from = 0;
    for place in places {
        inert.extend_from_slice(text.get(from..place).unwrap_or_default());
        inert.push(b' ');
        from = place;
    }
    inert.extend_from_slice(text.get(from..).unwrap_or_default());
    Cow::Owned(inert)
}

const FIELD: &[u8] = b"content-transfer-encoding";

/// Lines that some readers take for a field of a part inside a text, and decode what follows by it.
fn second_headers(text: &[u8]) -> impl Iterator<Item = usize> {
    line_starts(text)
        .filter(|at| text.get(*at..at + FIELD.len()).is_some_and(|word| word.eq_ignore_ascii_case(FIELD)))
}

/// Whether that field stands anywhere: some readers find it in the middle of a name.
pub(crate) fn names_an_encoding(text: &[u8]) -> bool {
    const BEFORE: usize = b"content".len();
    memchr_iter(b'-', text).any(|hyphen| {
        let word = hyphen.checked_sub(BEFORE).and_then(|at| text.get(at..at + FIELD.len()));
        word.is_some_and(|word| word.eq_ignore_ascii_case(FIELD))
    })
}

fn line_starts(text: &[u8]) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(memchr2_iter(b'\n', b'\r', text).map(|at| at + 1))
}

/// uuencode as lenient readers begin it: in any letters, any blanks, any number for a mode, and no name. Such lines
/// stand in prose too: it counts where a line of data comes somewhere behind it.
fn loose_uuencode(text: &[u8]) -> impl Iterator<Item = usize> {
    let begins = |at: &usize| text.get(*at..).is_some_and(begins_loosely);
    let any = line_starts(text).any(|at| begins(&at));
    let data = |at: &usize| text.get(*at..).is_some_and(is_data);
    let last = if any { line_starts(text).filter(data).last() } else { None };
    line_starts(text).filter(begins).take_while(move |at| last.is_some_and(|last| *at < last))
}

/// `begin`, blanks, an octal digit with or without a sign.
pub(crate) fn begins_loosely(line: &[u8]) -> bool {
    let Some((word, rest)) = line.split_at_checked(5) else { return false };
    let blanks = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    let mode = rest.get(blanks..).unwrap_or_default();
    word.eq_ignore_ascii_case(b"begin")
        && blanks > 0
        && matches!(mode, [b'0'..=b'7', ..] | [b'+' | b'-', b'0'..=b'7', ..])
}

/// A line of uuencode: a count, and at most as many groups of four as it says, none in small letters.
fn is_data(line: &[u8]) -> bool {
    const LONGEST: usize = 1 + 84 + 2;
    let window = line.get(..line.len().min(LONGEST + 1)).unwrap_or_default();
    let end = window.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(window.len());
    let Some(([count], data)) = window.get(..end).and_then(|line| line.split_at_checked(1)) else {
        return false;
    };
    let groups = usize::from(count.saturating_sub(b' ')).div_ceil(3);
    (33..=95).contains(count)
        && !data.is_empty()
        && data.len() <= groups * 4 + 2
        && data.iter().all(|octet| (32..=96).contains(octet))
}

/// How a line begins behind which an encoding older than MIME stands.
struct Beginning {
    word: &'static [u8],
    /// What has to stand behind the word.
    follows: fn(&[u8]) -> bool,
}

const BEGINNINGS: [Beginning; 3] = [
    Beginning { word: b"begin ", follows: is_mode },
    Beginning { word: b"begin-base64 ", follows: |_| true },
    Beginning { word: b"=ybegin ", follows: |_| true },
];

/// BinHex, anywhere.
const BINHEX: &[u8] = b"(This file must be converted with BinHex";

fn is_mode(rest: &[u8]) -> bool {
    let digits = rest.iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    (3..=4).contains(&digits) && matches!(rest.get(digits), Some(b' ' | b'\t'))
}

fn begins_encoding(line: &[u8]) -> bool {
    BEGINNINGS.iter().any(|begins| line.strip_prefix(begins.word).is_some_and(begins.follows))
}
