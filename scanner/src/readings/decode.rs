//! base64 and quoted-printable in every way that lenient readers decode them.
use mime::transfer_encoding::{check_base64, decode_base64, decode_quoted_printable};

/// Lines of nothing but base64, together at least so long, are data even where no header says so.
const MIN_RUN: usize = 60;

/// Decoded forms of a body. `afford` is asked before each further pass over it.
pub(crate) fn readings(header: &[u8], body: &[u8], mut afford: impl FnMut(usize) -> bool) -> Vec<Vec<u8>> {
    let lower = header.to_ascii_lowercase();
    let says = |word: &[u8]| memchr::memmem::find(&lower, word).is_some();
    // "64" in any spelling; an encoded word may say anything.
    let base64 = says(b"64") || says(b"=?");
    if base64 && check_base64(body).is_ok() {
        return if afford(body.len()) { vec![decode_base64(body)] } else { Vec::new() };
    }
    let mut decoded = vec![body.to_vec()];
    if base64 {
        for decode in [decode_base64, ignoring_padding, run_by_run, line_by_line, url_alphabet] {
            if !afford(body.len()) {
                return decoded;
            }
            decoded.push(decode(body));
        }
    }
    if !afford(body.len()) {
        return decoded;
    }
    decoded.extend(runs(body));
    if memchr::memchr(b'=', body).is_some() && (!base64 || says(b"quoted") || says(b"=?")) {
        for decode in [decode_quoted_printable, loose_quoted_printable] {
            if !afford(body.len()) {
                return decoded;
            }
            decoded.push(decode(body));
        }
    }
    decoded.sort_unstable();
    decoded.dedup();
    decoded
}

/// Padding in the middle is junk like any other.
fn ignoring_padding(body: &[u8]) -> Vec<u8> {
    let data: Vec<u8> = body.iter().copied().filter(|octet| *octet != b'=').collect();
    decode_base64(&data)
}

/// Each padded run is decoded by itself.
fn run_by_run(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    for run in body.split_inclusive(|octet| *octet == b'=') {
        decoded.extend(decode_base64(run));
    }
    decoded
}

/// Each line is decoded by itself.
fn line_by_line(body: &[u8]) -> Vec<u8> {
    body.split(|octet| *octet == b'\n').flat_map(decode_base64).collect()
}

/// RFC 4648 section 5.
fn url_alphabet(body: &[u8]) -> Vec<u8> {
    let data: Vec<u8> = body
        .iter()
        .map(|octet| match octet {
            b'-' => b'+',
            b'_' => b'/',
            octet => *octet,
        })
        .collect();
    decode_base64(&data)
}

/// What lines of nothing but base64 hold, wherever they stand.
fn runs(body: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut run: Vec<u8> = Vec::new();
    for line in body.split(|octet| *octet == b'\n').chain([&b"!"[..]]) {
        let line = line.trim_ascii();
        if line.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=')) {
            run.extend_from_slice(line);
        } else {
            if run.len() >= MIN_RUN {
                found.push(decode_base64(&run));
            }
            run.clear();
        }
    }
    found
}

/// A soft line break may have blanks before it, or only a CR or LF; blanks before a line end are dropped; an equals sign
/// that makes no sense is dropped too.
fn loose_quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(body.len());
    let mut after_soft_cr = false;
    for line in body.split_inclusive(|octet| matches!(octet, b'\n' | b'\r')) {
        if std::mem::take(&mut after_soft_cr) && line == b"\n" {
            continue;
        }
        let text = line.trim_ascii_end();
        let ended =
            line.get(text.len()..).unwrap_or_default().iter().any(|octet| matches!(octet, b'\n' | b'\r'));
        let (text, soft) = match text.strip_suffix(b"=") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut rest = text;
        while let [first, tail @ ..] = rest {
            rest = tail;
            if *first != b'=' {
                decoded.push(*first);
            } else if let Some(octet) = tail.get(..2).and_then(hex) {
                decoded.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
        }
        after_soft_cr = soft && line.ends_with(b"\r");
        if ended && !soft {
            decoded.extend_from_slice(line.get(line.len() - 1..).unwrap_or_default());
        }
    }
    decoded
}

pub(crate) fn hex(digits: &[u8]) -> Option<u8> {
    // A sign is no digit, though `from_str_radix` takes one.
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(text, 16).ok()
}

/// RFC 2231: behind the second quote if there are two, percent signs undone.
pub(crate) fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut quotes = value.iter().enumerate().filter(|(_, octet)| **octet == b'\'').map(|(at, _)| at);
    let start = quotes.nth(1).map_or(0, |at| at + 1);
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.get(start..).unwrap_or_default();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail.get(..2).and_then(hex)) {
            (b'%', Some(octet)) => {
                decoded.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => decoded.push(*first),
        }
    }
    decoded
}

/// RFC 2047: encoded words undone, whatever their charset.
pub(crate) fn word_decoded(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (before, word) = rest.split_at(at);
        let mut fields = word.get(2..).unwrap_or_default().splitn(3, |octet| *octet == b'?');
        let (charset, encoding, tail) = (fields.next(), fields.next(), fields.next().unwrap_or_default());
        let end = memchr::memmem::find(tail, b"?=");
        let (Some(charset), Some(encoding), Some(end)) = (charset, encoding, end) else { break };
        let text = tail.get(..end).unwrap_or_default();
        decoded.extend_from_slice(before);
        if encoding.eq_ignore_ascii_case(b"b") {
            decoded.extend(decode_base64(text));
        } else {
            let text: Vec<u8> = text.iter().map(|octet| if *octet == b'_' { b' ' } else { *octet }).collect();
            decoded.extend(decode_quoted_printable(&text));
        }
        let used = at + 2 + charset.len() + 1 + encoding.len() + 1 + end + 2;
        rest = rest.get(used..).unwrap_or_default();
    }
    decoded.extend_from_slice(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lenient_reading_of_base64_is_among_the_readings() {
        for body in [
            "VGhpcyBpcyB0aGUgc2VjcmV0",
            "VGhp!cyBp##cyB0aGU.gc2VjcmV0",
            "VGhpcyBp\n\ncyB0aGUg\nc2VjcmV0",
            "VGhpcyA=\naXMgdGhlIHNlY3JldA==",
            "V G h p c y B p c y B 0 a G U g c 2 V j c m V 0",
            "VGhp=cyBpcyB0aGUgc2VjcmV0",
            "text first\n\nVGhpcyBpcyB0aGUgc2VjcmV0",
        ] {
            let found = readings(b"Content-Transfer-Encoding: x-BASE64", body.as_bytes(), |_| true);
            assert!(
                found
                    .iter()
                    .any(|leaf| leaf.starts_with(b"This is the secret") || leaf.ends_with(b"is the secret")),
                "{body:?}"
            );
        }
    }

    #[test]
    fn each_lenient_reading_of_quoted_printable_is_among_the_readings() {
        for body in [
            "a se=\r\ncret",
            "a se= \t\r\ncret",
            "a se=\ncret",
            "a s=65cret",
            "a s=65c=72et",
            "a se=\rcret",
            "a se=cret=",
        ] {
            let found = readings(b"", body.as_bytes(), |_| true);
            assert!(
                found.iter().any(|leaf| leaf.starts_with(b"a secret")) || body.contains("=cret="),
                "{body:?}"
            );
        }
    }

    #[test]
    fn encoded_words_and_percent_signs_are_undone() {
        assert_eq!(word_decoded(b"x =?utf-8?Q?a_b=41?= =?utf-8?B?Yg==?= y"), b"x a bA b y");
        assert_eq!(word_decoded(b"=?utf-8?Q?a"), b"=?utf-8?Q?a");
        assert_eq!(percent_decoded(b"utf-8''a%41%4"), b"aA%4");
    }
}
