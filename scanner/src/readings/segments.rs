//! Where the parts of a doubtful mail could begin and end.
use super::boundary::MAX_ALONE;
use memchr::memchr_iter;
use std::ops::Range;

/// How far into a leaf a header is looked for.
const HEADER_WINDOW: usize = 64 * 1024;
/// Header blocks behind one another, of which one may hide the next.
const MAX_BLOCKS: usize = 3;

/// What lies between two lines that could be delimiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) range: Range<usize>,
}

/// Ways to cut a mail: not at all, at every line that begins like a delimiter, at those that begin with a value which
/// could be a boundary, and with each of these values alone.
pub(crate) fn segmentations(mail: &[u8], boundaries: &[Vec<u8>]) -> Vec<Vec<Segment>> {
    let mut all = vec![vec![Segment { range: 0..mail.len() }]];
    let every: Vec<Range<usize>> = lines(mail)
        .filter(|line| {
            let text = mail.get(line.clone()).unwrap_or_default();
            text.starts_with(b"--")
                || boundaries.iter().any(|boundary| text.trim_ascii_end() == boundary.as_slice())
        })
        .collect();
    if every.is_empty() {
        return all;
    }
    all.push(cut(mail, every.iter()));
    let begins = |line: &Range<usize>, boundary: &[u8]| {
        let text = mail.get(line.clone()).unwrap_or_default();
        let named = text.strip_prefix(b"--").unwrap_or(text);
        named.get(..boundary.len()).is_some_and(|named| named.eq_ignore_ascii_case(boundary))
    };
    let known = every.iter().filter(|line| boundaries.iter().any(|boundary| begins(line, boundary)));
    all.push(cut(mail, known));
    if boundaries.len() > 1 {
        for boundary in boundaries.iter().take(MAX_ALONE) {
            all.push(cut(mail, every.iter().filter(|line| begins(line, boundary))));
        }
    }
    all
}

fn cut<'l>(mail: &[u8], delimiters: impl Iterator<Item = &'l Range<usize>>) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut start = 0;
    for line in delimiters {
        if start < line.start {
            segments.push(Segment { range: start..line.start });
        }
        start = line.end;
    }
    if start < mail.len() {
        segments.push(Segment { range: start..mail.len() });
    }
    segments
}

/// Lines with their LF.
fn lines(octets: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    memchr_iter(b'\n', octets).map(|end| end + 1).chain(std::iter::once(octets.len())).filter_map(
        move |end| {
            let line = start..end;
            start = end;
            (!line.is_empty()).then_some(line)
        },
    )
}

/// Offsets in a segment at which its body could begin, each once.
pub(crate) fn bodies(segment: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut blocks = 0;
    let mut in_header = false;
    let mut last = 0;
    for line in lines(segment) {
        let text = segment.get(line.clone()).unwrap_or_default();
        if is_empty(text) {
            if in_header {
                // Behind an empty line the body begins, or a header that the first one was to hide.
                starts.push(line.end);
                in_header = false;
                blocks += 1;
                if blocks == MAX_BLOCKS {
                    break;
                }
            }
        } else if is_field(text) {
            in_header = true;
        } else if !(in_header && matches!(text.first(), Some(b' ' | b'\t'))) {
            // No field: to some the header ends here, others skip the line.
            starts.push(line.start);
            if !in_header {
                break;
            }
            last += 1;
            if last > MAX_BLOCKS {
                in_header = skip_to_empty(segment, line.end, &mut starts);
                break;
            }
        }
    }
    let _ = in_header;
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// Many lines that are no fields: the header ends at the empty line, for whoever skips them all.
fn skip_to_empty(segment: &[u8], from: usize, starts: &mut Vec<usize>) -> bool {
    let rest = segment.get(from..).unwrap_or_default();
    let empty = lines(rest).find(|line| is_empty(rest.get(line.clone()).unwrap_or_default()));
    starts.extend(empty.map(|line| from + line.end));
    false
}

fn is_empty(line: &[u8]) -> bool {
    line.iter().all(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'))
}

/// A colon behind something that could be a name.
fn is_field(line: &[u8]) -> bool {
    let name = line.iter().take(80).position(|octet| *octet == b':');
    name.is_some_and(|end| {
        let name = line.get(..end).unwrap_or_default().trim_ascii();
        !name.is_empty() && !name.iter().any(|octet| matches!(octet, b' ' | b'\t' | b'/' | b'='))
    })
}

/// Whether a leaf begins with fields, and one of them is of MIME.
pub(crate) fn looks_like_a_mail(leaf: &[u8]) -> bool {
    let window = leaf.get(..leaf.len().min(HEADER_WINDOW)).unwrap_or_default();
    let Some(first) = lines(window).find(|line| !is_empty(window.get(line.clone()).unwrap_or_default()))
    else {
        return false;
    };
    is_field(window.get(first).unwrap_or_default()) && {
        let lower = window.to_ascii_lowercase();
        [&b"content-"[..], b"mime-version"].iter().any(|word| memchr::memmem::find(&lower, word).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_begins_wherever_some_reader_sees_the_header_end() {
        let texts =
            |segment: &'static [u8]| bodies(segment).into_iter().map(|at| &segment[at..]).collect::<Vec<_>>();
        assert_eq!(texts(b"A: b\r\n\r\nbody\r\n"), [&b"body\r\n"[..]]);
        assert_eq!(texts(b"A: b\nbody\n"), [&b"body\n"[..]]);
        assert_eq!(texts(b"\r\nA: b\r\n\r\nbody"), [&b"body"[..]]);
        assert_eq!(texts(b"A: b\r\n\r\nC: d\r\n\r\nbody"), [&b"C: d\r\n\r\nbody"[..], b"body"]);
        assert_eq!(texts(b"A: b\r\njunk\r\nC: d\r\n\r\nbody"), [&b"junk\r\nC: d\r\n\r\nbody"[..], b"body"]);
        assert_eq!(texts(b"A: b\r\n c\r\n \r\nbody"), [&b"body"[..]]);
        assert_eq!(texts(b"body\r\n"), [&b"body\r\n"[..]]);
    }
}
