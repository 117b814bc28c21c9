//! Header blocks as they come: fields with every name and value that can be made out, and where the body begins.
use memchr::{memchr, memmem};
use mime::recogniser::Offence;
use std::collections::BTreeSet;

/// Lines one after the other that are no fields and may still be of the header.
const MAX_JUNK: usize = 3;
/// Fields that RFC 5322 permits once and that a rebuilt mail has once.
const SINGULAR: [&[u8]; 16] = [
    b"content-type",
    b"content-transfer-encoding",
    b"content-disposition",
    b"content-id",
    b"mime-version",
    b"from",
    b"sender",
    b"reply-to",
    b"to",
    b"cc",
    b"bcc",
    b"date",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"subject",
];

/// A field: its name without blanks, its value unfolded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// A header block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fields: Vec<Field>,
    /// Where the body begins.
    pub(super) body: usize,
    pub(super) offences: BTreeSet<Offence>,
}

impl Header {
    /// Values of every field of this name.
    pub(super) fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value.as_slice())
    }

    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value.as_slice())
    }

    fn judge(&mut self) {
        let mut seen = [false; SINGULAR.len()];
        for field in &self.fields {
            let place = SINGULAR.iter().position(|name| field.name.eq_ignore_ascii_case(name));
            if place.and_then(|place| seen.get_mut(place)).is_some_and(|seen| std::mem::replace(seen, true)) {
                self.offences.insert(Offence::DuplicateHeaders);
            }
            if !field.value.is_ascii()
                && (std::str::from_utf8(&field.value).is_err() || is_structural(&field.name))
            {
                self.offences.insert(Offence::EightBitHeader);
            }
            if field.value.iter().any(|octet| matches!(octet, 1..=8 | 11..=31 | 127)) {
                self.offences.insert(Offence::InvalidHeader);
            }
        }
    }
}

fn is_structural(name: &[u8]) -> bool {
    name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"content-"))
}

/// Reads the block at the start; `None`: more than `max` octets.
pub(super) fn read(octets: &[u8], max: usize) -> Option<Header> {
    let mut header = Header::default();
    let mut at = skip_to_first_field(octets, &mut header);
    let mut junk = 0;
    let mut ends_somewhere = None;
    while let Some((line, behind)) = line(octets, at) {
        if behind > max {
            // A header that never ends is a body without a header, as long as nothing of it was one.
            return None;
        }
        if line.is_empty() {
            at = behind;
            break;
        }
        if let (Some(b' ' | b'\t'), Some(last)) = (line.first(), header.fields.last_mut()) {
            if line.iter().all(|octet| matches!(octet, b' ' | b'\t')) {
                header.offences.insert(Offence::InvalidHeader);
            }
            append(last, line);
        } else if let Some(field) = field(line) {
            if line.get(..field.name.len()) != Some(field.name.as_slice())
                || line.get(field.name.len()) != Some(&b':')
            {
                header.offences.insert(Offence::InvalidHeader);
            }
            header.fields.push(field);
            junk = 0;
        } else {
            header.offences.insert(Offence::InvalidHeader);
            junk += 1;
            // A line that lost its fold belongs to the field before; a header without an end has a body without a start.
            let ends =
                *ends_somewhere.get_or_insert_with(|| empty_line(octets.get(at..).unwrap_or_default()));
            match header.fields.last_mut() {
                Some(last) if ends && junk <= MAX_JUNK => append(last, line),
                Some(_) | None => break,
            }
        }
        at = behind;
    }
    header.body = at;
    header.judge();
    Some(header)
}

/// An mbox line, or empty lines, before the first field are nothing; anything else is a body without a header.
fn skip_to_first_field(octets: &[u8], header: &mut Header) -> usize {
    let mut at = 0;
    for _ in 0..8 {
        let Some((line, behind)) = line(octets, at) else { break };
        if line.starts_with(b"From ") || line.starts_with(b">From ") || line.trim_ascii().is_empty() {
            header.offences.insert(Offence::InvalidHeader);
            at = behind;
        } else if field(line).is_some() {
            return at;
        } else {
            break;
        }
    }
    0
}

/// The line at `at` without its end, and the offset behind it.
fn line(octets: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = octets.get(at..).filter(|rest| !rest.is_empty())?;
    let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    let mut line = rest.get(..length)?;
    while let Some(shorter) = line.strip_suffix(b"\n").or_else(|| line.strip_suffix(b"\r")) {
        line = shorter;
    }
    Some((line, at + length))
}

fn empty_line(octets: &[u8]) -> bool {
    memmem::find(octets, b"\n\r\n").is_some() || memmem::find(octets, b"\n\n").is_some()
}

/// A colon behind a word; blanks around the word, and what cannot be seen in it, are left out.
fn field(line: &[u8]) -> Option<Field> {
    let colon = memchr(b':', line)?;
    let (name, value) = line.split_at(colon);
    let name: Vec<u8> =
        name.trim_ascii().iter().copied().filter(|octet| (32..=126).contains(octet)).collect();
    let good = !name.is_empty() && name.len() <= 200 && !name.contains(&b' ');
    good.then(|| Field { name, value: unfolded(value.get(1..).unwrap_or_default()) })
}

fn append(field: &mut Field, line: &[u8]) {
    field.value.push(b' ');
    field.value.extend(unfolded(line));
}

fn unfolded(line: &[u8]) -> Vec<u8> {
    line.iter()
        .filter(|octet| **octet != 0)
        .map(|octet| if *octet == b'\r' { b' ' } else { *octet })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<String>, &str) {
        let header = read(text.as_bytes(), 10_000).unwrap();
        let fields = header.fields.iter().map(|field| {
            format!(
                "{}={}",
                String::from_utf8_lossy(&field.name),
                String::from_utf8_lossy(&field.value).trim()
            )
        });
        (fields.collect(), &text[header.body..])
    }

    #[test]
    fn fields_are_made_out_and_the_body_is_found() {
        for (text, fields, body) in [
            ("A: b\r\n\r\nbody", &["A=b"][..], "body"),
            ("A: b\n\nbody", &["A=b"], "body"),
            ("A: b\r\r\n\r\r\nbody", &["A=b"], "body"),
            ("From x Mon\r\nA : b\r\n\r\nbody", &["A=b"], "body"),
            ("\r\n\r\nA: b\r\n\r\nbody", &["A=b"], "body"),
            ("A: b\r\n  c\r\n \r\n\r\nbody", &["A=b   c"], "body"),
            ("A: b\r\nlost its fold\r\nC: d\r\n\r\nbody", &["A=b lost its fold", "C=d"], "body"),
            ("A: b\r\nbody without\r\nan empty line", &["A=b"], "body without\r\nan empty line"),
            ("no header at all\r\n", &[], "no header at all\r\n"),
            ("\r\nno header\r\n", &[], "\r\nno header\r\n"),
        ] {
            let (read, rest) = read_text(text);
            assert_eq!(
                (read.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), rest.trim_start()),
                (fields, body.trim_start()),
                "{text:?}"
            );
        }
        assert!(read("A: b\r\n".repeat(10_000).as_bytes(), 1000).is_none());
    }
}
