//! What a mail rule does to the header of a mail: a prefix of its subject, fields that go, come, or are replaced. Values are made
//! harmless here: one line, in encoded words (RFC 2047) where they are not ASCII.
use policy::model::HeaderChanges;
use policy::notice::fill;
use std::fmt::Write;

/// A longer first line is folded before what was there.
const LONG: usize = 900;
/// Octets of text in one encoded word, which has at most 75 in all.
const WORD: usize = 15;

/// The mail with its header changed; `value` says what stands for `{field}`.
pub fn change(mail: &[u8], changes: &HeaderChanges, value: impl Fn(&str) -> String) -> Vec<u8> {
    let end = memchr::memmem::find(mail, b"\r\n\r\n").map_or(mail.len(), |at| at + 2);
    let (header, body) = mail.split_at_checked(end).unwrap_or((mail, &[]));
    let mut copy = Vec::with_capacity(mail.len() + 1024);
    let mut has_subject = false;
    let mut replaced = vec![false; changes.replace.len()];
    for field in fields(header) {
        let name = String::from_utf8_lossy(field.split(|octet| *octet == b':').next().unwrap_or_default());
        let name = name.trim_end();
        // What the mail is no rule takes away.
        let structure = name.len() >= 8
            && name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"))
            || name.eq_ignore_ascii_case("mime-version");
        if !structure && changes.remove.as_ref().is_some_and(|remove| remove.matches(name)) {
            continue;
        }
        let instead = changes
            .replace
            .iter()
            .zip(&mut replaced)
            .find(|((other, _), _)| other.eq_ignore_ascii_case(name));
        if let Some(((name, text), done)) = instead {
            if !std::mem::replace(done, true) {
                copy.extend_from_slice(line(name, text, &value).as_bytes());
            }
            continue;
        }
        if name.eq_ignore_ascii_case("subject") && !changes.subject_prefix.is_empty() {
            has_subject = true;
            let old = field
                .get(field.iter().position(|octet| *octet == b':').map_or(0, |at| at + 1)..)
                .unwrap_or_default();
            let prefix = encoded(&fill(&changes.subject_prefix, &value));
            copy.extend_from_slice(b"Subject: ");
            copy.extend_from_slice(prefix.as_bytes());
            let first = old.split(|octet| *octet == b'\n').next().unwrap_or_default().len();
            let folded = old.trim_ascii_start().len() < old.len() && old.starts_with(b"\r\n");
            match folded || first + prefix.len() > LONG {
                true if folded => copy.extend_from_slice(old),
                true => {
                    copy.extend_from_slice(b"\r\n ");
                    copy.extend_from_slice(trim_blanks(old));
                }
                false => {
                    copy.push(b' ');
                    copy.extend_from_slice(trim_blanks(old));
                }
            }
            continue;
        }
        copy.extend_from_slice(field);
    }
    if !has_subject && !changes.subject_prefix.is_empty() {
        copy.extend_from_slice(line("Subject", &changes.subject_prefix, &value).as_bytes());
    }
    let missing = changes.replace.iter().zip(&replaced).filter(|(_, done)| !**done).map(|(field, _)| field);
    for (name, text) in missing.chain(&changes.add) {
        copy.extend_from_slice(line(name, text, &value).as_bytes());
    }
    copy.extend_from_slice(body);
    copy
}

/// Fields with their continuation lines and line ends.
fn fields(header: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut start = 0;
    for at in memchr::memchr_iter(b'\n', header) {
        if !matches!(header.get(at + 1), Some(b' ' | b'\t')) {
            fields.push(header.get(start..=at).unwrap_or_default());
            start = at + 1;
        }
    }
    if let Some(rest) = header.get(start..).filter(|rest| !rest.is_empty()) {
        fields.push(rest);
    }
    fields
}

fn trim_blanks(value: &[u8]) -> &[u8] {
    let blanks = value.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    value.get(blanks..).unwrap_or_default()
}

fn line(name: &str, text: &str, value: impl Fn(&str) -> String) -> String {
    format!("{name}: {}\r\n", encoded(&fill(text, value)))
}

/// One line of ASCII, folded between encoded words.
fn encoded(text: &str) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let text = text.trim();
    if text.is_ascii() && !text.contains("=?") {
        return text.chars().take(LONG).collect();
    }
    let mut words = vec![String::new()];
    for letter in text.chars() {
        let full = words.last().is_some_and(|word| word.len() + letter.len_utf8() > WORD);
        if full {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    let word = |text: &String| {
        let mut word = String::from("=?utf-8?Q?");
        for octet in text.bytes() {
            match octet {
                b' ' => word.push('_'),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => word.push(char::from(octet)),
                _ => {
                    let _ = write!(word, "={octet:02X}");
                }
            }
        }
        word + "?="
    };
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;
    use policy::list::{Case, Patterns};
    use proptest::prelude::*;

    const MAIL: &str = "From: a@example.org\r\nSubject: =?utf-8?Q?p=C5=99=C3=ADklad?=\r\n and more\r\nX-Spam-Flag: NO\r\n\
        X-Score: 1\r\nX-Score: 2\r\nContent-Type: text/plain\r\n\r\nSubject: not this one\r\n";

    fn changed(mail: &str, changes: &HeaderChanges) -> String {
        String::from_utf8(change(mail.as_bytes(), changes, |field| format!("<{field}>\r\nBcc: x"))).unwrap()
    }

    fn pair(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.into(), value.into())]
    }

    #[test]
    fn fields_come_go_and_are_replaced_once() {
        let changes = HeaderChanges {
            subject_prefix: "[SPÁM]".into(),
            add: pair("X-Why", "{rule}, {score}"),
            replace: pair("X-Score", "9"),
            remove: Some(Patterns::new(["X-Spam-*", "Content-*"], Case::Ignored)),
        };
        let copy = changed(MAIL, &changes);
        let parsed = MessageParser::default().parse(copy.as_bytes()).unwrap();
        assert_eq!(parsed.subject(), Some("[SPÁM]příklad and more"));
        assert_eq!(copy.matches("X-Score: 9\r\n").count(), 1);
        assert!(!copy.contains("X-Score: 1") && !copy.contains("X-Spam"), "{copy}");
        assert!(copy.contains("X-Why: <rule>  Bcc: x, <score>  Bcc: x\r\n"), "{copy}");
        assert!(copy.contains("\r\nContent-Type: text/plain\r\n"), "what the mail is stays");
        assert!(copy.ends_with("\r\n\r\nSubject: not this one\r\n"));
        assert!(mime::recogniser::recognise(copy.as_bytes(), &mime::recogniser::Limits::default()).is_ok());
    }

    #[test]
    fn a_subject_that_is_missing_or_folded_at_once_gets_its_prefix() {
        let prefix = HeaderChanges { subject_prefix: "[SPAM]".into(), ..HeaderChanges::default() };
        assert_eq!(changed("From: a\r\n\r\nx", &prefix), "From: a\r\nSubject: [SPAM]\r\n\r\nx");
        assert_eq!(changed("Subject:\r\n hello\r\n\r\nx", &prefix), "Subject: [SPAM]\r\n hello\r\n\r\nx");
        assert_eq!(changed("SUBJECT:hello\r\n\r\nx", &prefix), "Subject: [SPAM] hello\r\n\r\nx");
    }

    proptest! {
        #[test]
        fn no_value_makes_another_field_or_touches_the_body(text in "\\PC{0,80}", body in "[ -~]{0,80}") {
            let mail = format!("From: a@example.org\r\nSubject: s\r\n\r\n{body}\r\n");
            let changes = HeaderChanges { subject_prefix: text.clone(), add: pair("X-A", &text), ..HeaderChanges::default() };
            let copy = change(mail.as_bytes(), &changes, |_| text.clone());
            let copy = String::from_utf8(copy).unwrap();
            let (header, behind) = copy.split_once("\r\n\r\n").unwrap();
            prop_assert_eq!(behind, format!("{body}\r\n"));
            prop_assert!(header.is_ascii());
            let own = header.split("\r\n").filter(|line| !line.starts_with(' ')).count();
            prop_assert!(own == 3, "{}", header);
        }
    }
}
