//! Documents within attributes: `srcdoc`, and `data:` addresses of HTML. They are filtered as what they are.
use super::charset::Charset;
use super::{Removed, filter_text};
use mime::transfer_encoding::{decode_base64, encode_base64};
use policy::html::HtmlFilter;

/// Documents within documents.
const MAX_EMBEDDED: usize = 3;

/// A document, filtered; `None`: it is too deep.
pub(super) fn document(text: &str, rules: &HtmlFilter, depth: usize) -> Option<(String, Removed)> {
    (depth < MAX_EMBEDDED).then(|| filter_text(text, rules, &Charset::utf8(), depth + 1))
}

/// The address of a document, filtered; `None`: it is none that this program can read.
pub(super) fn address(address: &str, rules: &HtmlFilter, depth: usize) -> Option<(String, Removed)> {
    let (_, rest) = address.split_once(':')?;
    let (head, body) = rest.split_once(',')?;
    let mut words = head.split(';').map(|word| word.trim().to_ascii_lowercase());
    let media = words.next().unwrap_or_default();
    if !matches!(media.as_str(), "text/html" | "application/xhtml+xml") {
        return None;
    }
    let words: Vec<String> = words.collect();
    let charset = words.iter().find_map(|word| word.strip_prefix("charset="));
    let octets = percent_decoded(body);
    let octets = if words.iter().any(|word| word == "base64") { decode_base64(&octets) } else { octets };
    let (text, removed) = document(&Charset::of(charset).decode(&octets), rules, depth)?;
    let base64: String = encode_base64(text.as_bytes())
        .into_iter()
        .filter(|o| !o.is_ascii_whitespace())
        .map(char::from)
        .collect();
    Some((format!("data:text/html;charset=utf-8;base64,{base64}"), removed))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        let hex = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (octet, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                octets.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            (other, ..) => octets.push(*other),
        }
    }
    octets
}
