//! What texts hold in base64: `data:` addresses (RFC 2397) of HTML and style sheets, and the attachments of calendars and
//! address cards (RFC 5545 section 3.1.3, RFC 2426), which programs offer to open like those of a mail.
use super::{Fault, Members};
use memchr::memmem;
use mime::transfer_encoding::decode_base64;

/// Octets before `;base64,` in which the address begins.
const MAX_HEAD: usize = 200;

pub(super) fn open(text: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    // A page is made of its pictures; what it is not made of counts.
    members.of_document = true;
    for content in addresses(text) {
        members.content("", &content)?;
    }
    members.of_document = false;
    if is_card(text) {
        for (names, content) in properties(text) {
            for name in &names {
                members.name(name)?;
            }
            members.content(names.first().map_or("", String::as_str), &content)?;
        }
    }
    Ok(())
}

/// A calendar, or an address card.
pub(super) fn is_card(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    [b"begin:vcalendar".as_slice(), b"begin:vcard"]
        .iter()
        .any(|word| text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word)))
}

/// The contents of `data:` addresses in base64.
fn addresses(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    memmem::find_iter(text, b";base64,").filter_map(|at| {
        let head = text.get(at.saturating_sub(MAX_HEAD)..at)?.to_ascii_lowercase();
        let start = memmem::rfind(&head, b"data:")?;
        let media = head.get(start..)?;
        if media.iter().any(|octet| matches!(octet, b'"' | b'\'' | b'<' | b'>' | b'(')) {
            return None;
        }
        let data = text.get(at + b";base64,".len()..)?;
        let end =
            data.iter().position(|octet| matches!(octet, b'"' | b'\'' | b'<' | b'>' | b')' | b'`' | b';'));
        Some(decode_base64(&without_percent(data.get(..end.unwrap_or(data.len()))?)))
    })
}

/// Percent signs undone: the letters of base64 that have a meaning in addresses are written so.
fn without_percent(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(data.len());
    let mut rest = data;
    while let [first, tail @ ..] = rest {
        let octet = tail.get(..2).and_then(crate::readings::hex).filter(|_| *first == b'%');
        plain.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    plain
}

/// Names and contents of the properties in base64.
fn properties(text: &[u8]) -> Vec<(Vec<String>, Vec<u8>)> {
    let mut found = Vec::new();
    for line in unfolded(text) {
        let Some(colon) = memchr::memchr(b':', &line) else { continue };
        let (head, value) = line.split_at(colon);
        let head = String::from_utf8_lossy(head);
        let mut parameters = head.split(';').skip(1).map(str::trim);
        let is_base64 = |parameter: &str| {
            ["encoding=base64", "encoding=b", "base64"]
                .iter()
                .any(|form| parameter.eq_ignore_ascii_case(form))
        };
        if !parameters.clone().any(is_base64) {
            continue;
        }
        let name = |parameter: &str| {
            let (key, value) = parameter.split_once('=')?;
            key.to_ascii_lowercase().ends_with("filename").then(|| value.trim_matches('"').to_owned())
        };
        let names = parameters.by_ref().filter_map(name).collect();
        found.push((names, decode_base64(value.get(1..).unwrap_or_default())));
    }
    found
}

/// Lines with what is folded behind them.
fn unfolded(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in text.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line.first(), lines.last_mut()) {
            (Some(b' ' | b'\t'), Some(last)) => last.extend_from_slice(line.get(1..).unwrap_or_default()),
            _ => lines.push(line.to_vec()),
        }
    }
    lines
}
