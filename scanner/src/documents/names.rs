//! Every form of every name that a leaf bears. Programs differ in which field they take, in undoing encodings, and in
//! what a file system makes of the rest: a rule about names meets a leaf by any of them.
use crate::readings::percent_decoded;
use mail_parser::{HeaderValue, MessageParser};
use mime::header_fields::Fields;
use mime::parameters;
use unicode_normalization::UnicodeNormalization;

/// Octets of a name that are looked at, and names of one leaf: more of either is no name of a file.
const MAX_NAME: usize = 1024;
const MAX_NAMES: usize = 64;

/// The names of a leaf: `given` by its parameters, and what else its header says.
pub(super) fn all(given: &[String], header: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for name in given.iter().cloned().chain(of_header(header)) {
        for form in forms(&name) {
            if names.len() < MAX_NAMES && !names.contains(&form) {
                names.push(form);
            }
        }
    }
    names
}

/// A name as it stands, with encoded words (RFC 2047) and percent signs undone, and as a file system would take each.
pub(super) fn forms(name: &str) -> Vec<String> {
    let name: String = name.chars().take(MAX_NAME).collect();
    let mut forms = Vec::new();
    let mut add = |form: String| {
        if !form.is_empty() && !forms.contains(&form) {
            forms.push(form);
        }
    };
    let decoded = encoded_words(&name);
    let unescaped = percent(&name);
    for form in [Some(name), decoded, unescaped].into_iter().flatten() {
        let filed = as_file(&form);
        add(form);
        add(filed);
    }
    forms
}

/// Names by what some program reads besides `name` of Content-Type and `filename` of Content-Disposition: either parameter in the
/// other field, fields older than these, what describes the part, and the last segment of Content-Location (RFC 2557).
fn of_header(header: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for field in Fields::of(header) {
        let value = header.get(field.value).unwrap_or_default();
        let text = || unfolded(value);
        match header.get(field.name).unwrap_or_default().to_ascii_lowercase().as_slice() {
            b"content-type" => names.extend(by_parameters(parameters::content_type(value).1)),
            b"content-disposition" => names.extend(by_parameters(parameters::disposition(value).1)),
            b"content-name" | b"x-sun-data-name" => names.push(text()),
            b"content-description" => names.extend(Some(text()).filter(|text| ends_like_a_name(text))),
            b"content-location" => {
                let address: String = text().split_whitespace().collect();
                let path = address.split(['?', '#']).next().unwrap_or_default();
                names.extend(path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
    }
    names
}

/// A description is a name where it ends in an extension.
fn ends_like_a_name(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(_, extension)| {
        (1..=12).contains(&extension.len())
            && extension.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    })
}

/// `name` and `filename`: as they stand, and with RFC 2231's percent signs undone; the sections of one behind one another.
fn by_parameters(parameters: parameters::Parameters) -> Vec<String> {
    let mut names = Vec::new();
    let mut joined: Vec<u8> = Vec::new();
    for (name, value) in parameters {
        let name = name.to_ascii_lowercase();
        let Some(form) = name.strip_prefix(b"file").unwrap_or(&name).strip_prefix(b"name") else { continue };
        match form {
            [] => names.push(value),
            [b'*', ..] if form.ends_with(b"*") => joined.extend(percent_decoded(&value)),
            [b'*', ..] => joined.extend(value),
            _ => {}
        }
    }
    names.push(joined);
    names
        .into_iter()
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// A value whose folds are gone.
fn unfolded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// What a reader makes of it that undoes encoded words where RFC 2047 forbids them.
fn encoded_words(name: &str) -> Option<String> {
    if !name.contains("=?") {
        return None;
    }
    let line: String = name.chars().filter(|letter| !letter.is_control()).collect();
    let message = format!("Subject: {line}\r\n\r\n");
    let parsed = MessageParser::default().parse_headers(message.as_bytes())?;
    let HeaderValue::Text(text) = parsed.header("Subject")? else { return None };
    Some(text.to_string())
}

/// `%2E` and the like.
fn percent(name: &str) -> Option<String> {
    if !name.contains('%') {
        return None;
    }
    let mut octets = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(octet) => {
                octets.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
    Some(String::from_utf8_lossy(&octets).into_owned())
}

/// The last segment without what is invisible, behind a NUL or a colon (a stream of NTFS), or dropped by Windows; compatible letters
/// (a full-width full stop) in their plain form.
fn as_file(name: &str) -> String {
    let visible = name.split('\0').next().unwrap_or_default();
    let plain: String = visible.chars().filter(|letter| !is_invisible(*letter)).nfkc().collect();
    let last = plain.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    let stream = match last.split_once(':') {
        Some((file, _)) if !file.is_empty() => file,
        Some((_, behind)) => behind,
        None => last,
    };
    stream
        .trim_matches(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\''))
        .trim_end_matches(['.', ' '])
        .to_owned()
}

/// Controls, and what changes the direction of reading or takes no room.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_met_in_every_form_that_some_program_gives_it() {
        for (name, form) in [
            ("invoice.exe", "invoice.exe"),
            ("=?utf-8?Q?invoice=2Eexe?=", "invoice.exe"),
            ("=?utf-8?B?aW52b2ljZS5leGU=?=", "invoice.exe"),
            ("invoice%2Eexe", "invoice.exe"),
            ("invoice.exe. . ", "invoice.exe"),
            ("C:\\temp\\invoice.exe", "invoice.exe"),
            ("../../invoice.exe", "invoice.exe"),
            ("invoice.exe\0.txt", "invoice.exe"),
            ("invoice.exe::$DATA", "invoice.exe"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("invoice\u{ff0e}exe", "invoice.exe"),
            ("in\r\n voice.exe", "in voice.exe"),
        ] {
            assert!(forms(name).iter().any(|known| known == form), "{name:?}: {:?}", forms(name));
        }
    }

    #[test]
    fn a_location_is_a_name_too() {
        let header =
            b"Content-Type: image/png\r\nContent-LOCATION: http://example.org/a/\r\n run.js?x=1\r\n\r\n";
        assert_eq!(all(&["logo.png".into()], header), ["logo.png", "run.js"]);
    }

    #[test]
    fn a_name_is_met_in_whatever_field_some_program_looks_for_it() {
        for field in [
            "Content-Type: image/png; filename=\"run.js\"",
            "Content-Disposition: attachment; name=run.js",
            "Content-Disposition: attachment;\r\n name*=utf-8''run%2Ejs",
            "Content-Type: image/png; filename*0=ru; filename*1*=n%2Ejs",
            "content-name: run.js",
            "X-Sun-Data-Name:\r\n run.js",
            "Content-Description: run.js",
        ] {
            let names = all(&["logo.png".into()], format!("{field}\r\n\r\n").as_bytes());
            assert!(names.iter().any(|name| name == "run.js"), "{field}: {names:?}");
        }
    }

    #[test]
    fn a_leaf_has_so_many_names_and_no_more() {
        let many: Vec<String> = (0..10_000).map(|number| format!("{number}.txt")).collect();
        assert_eq!(all(&many, b"").len(), MAX_NAMES);
        assert!(forms(&"x".repeat(1 << 20)).iter().all(|name| name.len() <= MAX_NAME));
    }
}
