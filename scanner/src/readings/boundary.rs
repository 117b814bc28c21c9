//! Values that some reader could take for a boundary, whatever stands around them.
use super::decode::{percent_decoded, word_decoded};

/// Values of one mail.
const MAX_CANDIDATES: usize = 64;
/// Values that are tried alone, besides all together.
pub(crate) const MAX_ALONE: usize = 12;
/// Octets of a value; longer than RFC 2046 allows, because readers take longer ones.
const MAX_VALUE: usize = 1000;
/// How far behind its first section a boundary in the form of RFC 2231 may go on.
const MAX_SECTIONS: usize = 2000;

/// Every value behind the word "boundary", in every form that it may be meant in.
pub(crate) fn candidates(mail: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Candidates::default();
    let mut sections = Sections::default();
    for at in memchr::memchr2_iter(b'b', b'B', mail) {
        if found.0.len() >= MAX_CANDIDATES {
            break;
        }
        let Some(rest) = mail.get(at..).filter(|rest| rest.get(..8).is_some_and(is_the_word)) else {
            continue;
        };
        let Some((number, value)) = value(rest.get(8..).unwrap_or_default()) else { continue };
        found.add_forms(value);
        match number {
            Some(number) => sections.add(at, number, value, &mut found),
            None => sections.finish(&mut found),
        }
    }
    sections.finish(&mut found);
    found.0
}

fn is_the_word(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"boundary")
}

/// `*0*  =  "value"`: the number of the section, if any, and what stands behind the equals sign up to the line's end.
fn value(rest: &[u8]) -> Option<(Option<u32>, &[u8])> {
    let window = rest.get(..rest.len().min(MAX_VALUE)).unwrap_or_default();
    let name_end = window.iter().position(|octet| !(octet.is_ascii_digit() || *octet == b'*'))?;
    let (name, rest) = window.split_at(name_end);
    let digits: String =
        name.iter().filter(|octet| octet.is_ascii_digit()).map(|octet| char::from(*octet)).collect();
    let number = if name.is_empty() { None } else { Some(digits.parse().unwrap_or(0)) };
    let rest = rest.trim_ascii_start();
    // Comments may stand on either side of the sign.
    let sign = rest.iter().take(200).position(|octet| *octet == b'=')?;
    let before = rest.get(..sign)?;
    if !before.is_empty() && !before.starts_with(b"(") {
        return None;
    }
    Some((number, rest.get(sign + 1..)?))
}

/// Sections of one boundary, as they come and by their numbers.
#[derive(Default)]
struct Sections {
    last: usize,
    pieces: Vec<(u32, Vec<u8>)>,
}

impl Sections {
    fn add(&mut self, at: usize, number: u32, value: &[u8], found: &mut Candidates) {
        if at > self.last + MAX_SECTIONS || self.pieces.len() >= MAX_CANDIDATES {
            self.finish(found);
        }
        self.last = at;
        self.pieces.push((number, plain(value)));
    }

    fn finish(&mut self, found: &mut Candidates) {
        let mut pieces = std::mem::take(&mut self.pieces);
        if pieces.len() > 1 {
            found.add_forms(&pieces.iter().flat_map(|(_, piece)| piece.clone()).collect::<Vec<_>>());
            pieces.sort_by_key(|(number, _)| *number);
            found.add_forms(&pieces.iter().flat_map(|(_, piece)| piece.clone()).collect::<Vec<_>>());
        }
    }
}

/// Between quotes, or up to what ends a token.
fn plain(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii_start();
    match value.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.iter().position(|octet| matches!(octet, b'"' | b'\n')).unwrap_or(quoted.len());
            quoted.get(..end).unwrap_or_default().to_vec()
        }
        None => {
            let ends = |octet: &u8| matches!(octet, b';' | b' ' | b'\t' | b'\r' | b'\n' | b'(');
            let end = value.iter().position(ends).unwrap_or(value.len());
            value.get(..end).unwrap_or_default().to_vec()
        }
    }
}

#[derive(Default)]
struct Candidates(Vec<Vec<u8>>);

impl Candidates {
    fn add(&mut self, value: &[u8]) {
        let value = value.trim_ascii_end();
        if !value.is_empty() && self.0.len() < MAX_CANDIDATES && !self.0.iter().any(|known| known == value) {
            self.0.push(value.to_vec());
        }
    }

    fn add_forms(&mut self, value: &[u8]) {
        let line_end = value.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(value.len());
        let line = value.get(..line_end).unwrap_or_default().trim_ascii();
        let item = line.split(|octet| *octet == b';').next().unwrap_or_default();
        let quoted = plain(value);
        // To the last quote of the line, with escapes undone; in single quotes; without any.
        let inner = line.split(|octet| *octet == b'"').nth(1).unwrap_or_default();
        let widest = match (
            line.iter().position(|octet| *octet == b'"'),
            line.iter().rposition(|octet| *octet == b'"'),
        ) {
            (Some(first), Some(last)) if first < last => line.get(first + 1..last).unwrap_or_default(),
            (Some(first), _) => line.get(first + 1..).unwrap_or_default(),
            (None, _) => line,
        };
        let unescaped: Vec<u8> = widest.iter().copied().filter(|octet| *octet != b'\\').collect();
        let bare: Vec<u8> = item.iter().copied().filter(|octet| !matches!(octet, b'"' | b'\'')).collect();
        for form in [&quoted[..], inner, widest, &unescaped, &bare, item.trim_ascii()] {
            self.add(form);
            self.add(&percent_decoded(form));
            let decoded = word_decoded(form);
            self.add(&decoded);
            let visible: Vec<u8> = form.iter().copied().filter(|octet| (32..=126).contains(octet)).collect();
            self.add(&visible);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(header: &str, boundary: &str) -> bool {
        candidates(header.as_bytes()).iter().any(|found| found == boundary.as_bytes())
    }

    #[test]
    fn whatever_a_reader_may_take_for_the_boundary_is_a_candidate() {
        for header in [
            "Content-Type: multipart/mixed; boundary=abc\r\n",
            "Content-Type: multipart/mixed; BOUNDARY = \"abc\"\r\n",
            "Content-Type: multipart/mixed; boundary=\"x\"; boundary=abc\r\n",
            "Content-Type: multipart/mixed; boundary*=utf-8''%61bc\r\n",
            "Content-Type: multipart/mixed; boundary*0=a; boundary*1=bc\r\n",
            "Content-Type: multipart/mixed; boundary*1=bc;\r\n boundary*0=a\r\n",
            "Content-Type: multipart/mixed; boundary=\"=?us-ascii?Q?abc?=\"\r\n",
            "Content-Type: multipart/mixed; boundary=\"a\\bc\"\r\n",
            "Content-Type: multipart/mixed; boundary=\"abc\r\n",
            "Content-Type: multipart/mixed; boundary='abc'\r\n",
            "Content-Type: multipart/mixed; boundary=\"a\0bc\"\r\n",
            "Content-Type: multipart/mixed boundary (x) = abc\r\n",
        ] {
            assert!(has(header, "abc"), "{header:?}: {:?}", candidates(header.as_bytes()));
        }
    }
}
