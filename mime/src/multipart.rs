//! Multiparts: where the parts are, if there is no doubt about it (RFC 2046 section 5.1.1).
use crate::recogniser::{Offence, Refused};
use memchr::memmem::Finder;
use std::ops::Range;

/// "This is a multi-part message in MIME format." and its like; longer ones may hide something.
const MAX_PREAMBLE: usize = 1024;

/// The parts of a multipart's body, each from behind its delimiter line to the start of the next, `max` at most.
pub(crate) fn split(
    mail: &[u8],
    body: Range<usize>,
    boundary: &[u8],
    max: usize,
) -> Result<Vec<Range<usize>>, Refused> {
    let finder = Finder::new(b"--");
    let content = mail.get(..body.end).unwrap_or_default();
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    let mut from = body.start;
    let mut closed = None;
    while let Some(found) = content.get(from..).and_then(|rest| finder.find(rest)) {
        let at = from + found;
        from = at + 2;
        if at != body.start && !content.get(..at).is_some_and(|before| before.ends_with(b"\r\n")) {
            continue;
        }
        let Some(named) = content.get(from..from + boundary.len()) else { break };
        if !named.eq_ignore_ascii_case(boundary) {
            continue;
        }
        // From here on the line begins like a delimiter, and so it must be one, exactly.
        if named != boundary {
            return Err(Refused::of(Offence::BadBoundary, at, "a delimiter in other letters"));
        }
        from += boundary.len();
        let rest = content.get(from..).unwrap_or_default();
        let (closes, behind) = match rest.strip_prefix(b"--") {
            Some(behind) => (true, behind),
            None => (false, rest),
        };
        if closed.is_some() {
            return Err(Refused::of(Offence::BadBoundary, at, "a delimiter behind the last one"));
        }
        if let Some(start) = open {
            if parts.len() >= max {
                return Err(Refused::limit(at, "more parts than max-parts"));
            }
            parts.push(start..at);
        } else {
            check_preamble(content, body.start..at)?;
        }
        if closes {
            if open.is_none() {
                return Err(Refused::of(Offence::BadBoundary, at, "a multipart without a part"));
            }
            if !(behind.starts_with(b"\r\n") || behind.is_empty()) {
                return Err(Refused::of(Offence::BadBoundary, at, "something behind the last delimiter"));
            }
            closed = Some(from + 2);
        } else {
            if !behind.starts_with(b"\r\n") {
                return Err(Refused::of(Offence::BadBoundary, at, "something behind a delimiter"));
            }
            open = Some(from + 2);
        }
    }
    let Some(end) = closed else {
        return Err(Refused::of(Offence::BadBoundary, body.start, "a multipart without its last delimiter"));
    };
    let epilogue = content.get(end..).unwrap_or_default();
    if epilogue.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
        return Err(Refused::malformed(end, "text behind the last part"));
    }
    Ok(parts)
}

/// A short text for readers without MIME: one paragraph, and nothing that could be a part, a delimiter or a header.
fn check_preamble(mail: &[u8], range: Range<usize>) -> Result<(), Refused> {
    let start = range.start;
    let preamble = mail.get(range).unwrap_or_default().trim_ascii();
    if preamble.is_empty() {
        return Ok(());
    }
    let doubtful = preamble.len() > MAX_PREAMBLE
        || !preamble.is_ascii()
        // Behind an empty line a reader that takes the first lines for a header would see a body.
        || preamble.split(|byte| *byte == b'\n').any(|line| {
            line.trim_ascii().is_empty()
                || line.starts_with(b"--")
                || line.starts_with(b"begin ")
                || line.starts_with(b"=ybegin")
                || is_like_a_field(line)
        });
    if doubtful { Err(Refused::malformed(start, "a preamble that could be more")) } else { Ok(()) }
}

/// A colon right behind the first word.
fn is_like_a_field(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| !(33..=126).contains(byte) || *byte == b':');
    end.is_some_and(|end| end > 0 && line.get(end) == Some(&b':'))
}
