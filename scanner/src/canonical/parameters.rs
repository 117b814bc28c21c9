//! Structured fields as they come: the word, and every parameter that can be made out behind it.
use crate::readings::{percent_decoded, word_decoded};

/// Parameters of one field; more say nothing.
const MAX_PARAMETERS: usize = 256;
/// Comments in comments.
const MAX_COMMENTS: usize = 64;

/// A field like Content-Type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Structured {
    /// In lower case: `text/plain`, `attachment`.
    pub(super) word: String,
    /// Names in lower case with their sections, values unquoted, in order.
    parameters: Vec<(String, Vec<u8>)>,
    /// Readers could read it otherwise.
    pub(super) doubtful: bool,
}

impl Structured {
    pub(super) fn of(word: &str) -> Self {
        Self { word: word.to_owned(), ..Self::default() }
    }

    pub(super) fn read(value: &[u8]) -> Self {
        let (value, comments) = without_comments(value);
        let mut cursor = Cursor { rest: &value };
        let mut read = Self { doubtful: comments, ..Self::default() };
        read.word = String::from_utf8_lossy(&word_decoded(cursor.until(b"; \t")))
            .trim_matches(['"', '\'', ' '])
            .to_ascii_lowercase();
        while read.parameters.len() < MAX_PARAMETERS {
            cursor.skip(b"; \t,");
            if cursor.rest.is_empty() {
                break;
            }
            let name =
                String::from_utf8_lossy(cursor.until(b"=; \t,")).trim_matches('"').to_ascii_lowercase();
            cursor.skip(b" \t");
            if cursor.take(b'=') {
                cursor.skip(b" \t");
                let value = cursor.value();
                read.doubtful |= read.parameters.iter().any(|(known, _)| *known == name);
                read.parameters.push((name, value));
            } else {
                read.doubtful = true;
            }
        }
        read
    }

    /// type/subtype, each a token.
    pub(super) fn is_type(&self) -> bool {
        let token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|octet| (33..=126).contains(&octet) && !b"()<>@,;:\\\"/[]?=".contains(&octet))
        };
        self.word.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
    }

    pub(super) fn kind(&self) -> &str {
        self.word.split('/').next().unwrap_or_default()
    }

    /// The first parameter of this name.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// These parameters as text, those that are there.
    pub(super) fn keep(&self, names: &[&str]) -> Vec<(String, String)> {
        let text =
            |name: &&str| Some(((*name).to_owned(), String::from_utf8_lossy(self.get(name)?).into_owned()));
        names.iter().filter_map(text).collect()
    }

    /// Every value that could be the boundary, the plainest first.
    pub(super) fn boundaries(&self) -> Vec<Vec<u8>> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        for value in self.forms("boundary") {
            let value = value.trim_ascii_end().to_vec();
            if !value.is_empty() && !found.contains(&value) {
                found.push(value);
            }
        }
        found
    }

    /// Every name that the parameter `key` gives the part, the one that RFC 2231 prefers first.
    pub(super) fn names(&self, key: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for value in self.forms(key).into_iter().rev() {
            let name = String::from_utf8(value)
                .unwrap_or_else(|error| error.as_bytes().iter().map(|octet| char::from(*octet)).collect());
            if !name.trim().is_empty() && !found.contains(&name) {
                found.push(name);
            }
        }
        found
    }

    /// Plain values, encoded words undone, then RFC 2231's, its sections put together.
    fn forms(&self, key: &str) -> Vec<Vec<u8>> {
        let mut forms = Vec::new();
        let mut sections: Vec<(u32, &[u8], bool)> = Vec::new();
        for (name, value) in &self.parameters {
            let Some(suffix) = name.strip_prefix(key) else { continue };
            match suffix.strip_prefix('*') {
                None if suffix.is_empty() => {
                    forms.push(value.clone());
                    let decoded = word_decoded(value);
                    if decoded != *value {
                        forms.push(decoded);
                    }
                }
                None => {}
                Some("") => forms.push(percent_decoded(value)),
                Some(section) => {
                    let encoded = section.ends_with('*');
                    if let Ok(number) = section.trim_end_matches('*').parse() {
                        sections.push((number, value, encoded));
                    }
                }
            }
        }
        if !sections.is_empty() {
            sections.sort_by_key(|(number, ..)| *number);
            let joined: Vec<u8> = sections
                .iter()
                .flat_map(
                    |(_, value, encoded)| if *encoded { percent_decoded(value) } else { value.to_vec() },
                )
                .collect();
            forms.push(joined);
        }
        forms
    }
}

/// Without what stands in parentheses outside quotes; a parenthesis that is never closed is left out alone.
fn without_comments(value: &[u8]) -> (Vec<u8>, bool) {
    let mut plain = Vec::with_capacity(value.len());
    let mut held = Vec::new();
    let (mut depth, mut quoted, mut escaped, mut found) = (0, false, false, false);
    for octet in value {
        let literal = escaped;
        escaped = !literal && *octet == b'\\' && (quoted || depth > 0);
        match octet {
            b'"' if !literal && depth == 0 => quoted = !quoted,
            b'(' if !literal && !quoted && depth < MAX_COMMENTS => {
                found = true;
                depth += 1;
                continue;
            }
            b')' if !literal && !quoted && depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    held.clear();
                }
                continue;
            }
            _ => {}
        }
        if depth > 0 { held.push(*octet) } else { plain.push(*octet) }
    }
    plain.extend(held);
    (plain, found)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, octets: &[u8]) {
        let end = self.rest.iter().position(|octet| !octets.contains(octet)).unwrap_or(self.rest.len());
        self.rest = self.rest.get(end..).unwrap_or_default();
    }

    /// Up to one of these, blanks before it left out.
    fn until(&mut self, ends: &[u8]) -> &'a [u8] {
        self.skip(b" \t");
        let end = self.rest.iter().position(|octet| ends.contains(octet)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text
    }

    fn take(&mut self, octet: u8) -> bool {
        let found = self.rest.first() == Some(&octet);
        if found {
            self.skip_one();
        }
        found
    }

    fn skip_one(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// A token, or a quoted string with its escapes undone. A quote that is never closed ends at the next semicolon.
    fn value(&mut self) -> Vec<u8> {
        if !self.take(b'"') {
            return self.until(b"; \t").to_vec();
        }
        let mut value = Vec::new();
        let mut octets = self.rest.iter().enumerate();
        while let Some((at, octet)) = octets.next() {
            match octet {
                b'"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return value;
                }
                b'\\' => value.extend(octets.next().map(|(_, octet)| *octet)),
                octet => value.push(*octet),
            }
        }
        self.until(b";").to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_and_its_parameters_are_made_out() {
        for (value, word, boundary) in [
            ("multipart/mixed; boundary=abc", "multipart/mixed", "abc"),
            (" Multipart / mixed", "multipart", ""),
            ("multipart/mixed (a (nested) comment); boundary = \"a b\"", "multipart/mixed", "a b"),
            ("multipart/mixed; junk; boundary=abc", "multipart/mixed", "abc"),
            ("multipart/mixed boundary=abc", "multipart/mixed", "abc"),
            ("multipart/mixed; boundary=\"a\\bc\"", "multipart/mixed", "abc"),
            ("multipart/mixed; boundary=\"abc", "multipart/mixed", "abc"),
            ("multipart/mixed; boundary*0=a; boundary*1=bc", "multipart/mixed", "abc"),
            ("multipart/mixed; boundary*=utf-8''%61bc", "multipart/mixed", "abc"),
            ("multipart/mixed (never closed; boundary=abc", "multipart/mixed", "abc"),
            ("=?us-ascii?Q?multipart/mixed?=; boundary=abc", "multipart/mixed", "abc"),
        ] {
            let read = Structured::read(value.as_bytes());
            assert_eq!(read.word, word, "{value}");
            assert_eq!(
                read.boundaries().first().map_or(&b""[..], |found| found),
                boundary.as_bytes(),
                "{value}"
            );
        }
    }

    #[test]
    fn every_name_is_found_and_the_preferred_one_is_the_first() {
        let read =
            Structured::read("attachment; filename=\"a.txt\"; filename*=utf-8''b%20%C4%8D.txt".as_bytes());
        assert_eq!(read.names("filename"), ["b č.txt", "a.txt"]);
        let read = Structured::read(b"x/y; name=\"=?utf-8?Q?a=2Eexe?=\"");
        assert_eq!(read.names("name"), ["a.exe", "=?utf-8?Q?a=2Eexe?="]);
    }
}
