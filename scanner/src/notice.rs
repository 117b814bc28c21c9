//! The notice that stands in the place of a mail: who sent it, what was found, which rule decided, and the case id.
//! It is the same for the same mail in every session, because clients remember sizes; it carries nothing active.
use mail_parser::MessageParser;
use policy::names::Language;
use policy::notice::Notice;
use policy::status::StatusSet;
use std::borrow::Cow;
use std::fmt::{Display, Write};
use texts::Label;

/// Fields that keep threads, rules and sorting of the client working.
const KEPT: [&str; 9] =
    ["from", "to", "cc", "date", "message-id", "references", "in-reply-to", "reply-to", "subject"];
/// Octets of a kept field; what is longer is dropped.
const MAX_FIELD: usize = 2000;
/// How far into a mail headers are looked for.
const MAX_HEADER: usize = 64 * 1024;
/// Octets of a value in the text.
const MAX_VALUE: usize = 200;
/// RFC 5322 section 2.1.1, with CRLF: no filling line is longer.
const MAX_LINE: usize = 1000;

/// What the notice tells.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The words: shipped ones, or the operator's.
    pub notice: &'a Notice,
    /// The reader's.
    pub language: Language,
    /// What was found.
    pub statuses: StatusSet,
    /// (engine, virus) of every engine that named one.
    pub viruses: &'a [(String, String)],
    /// The rule that decided.
    pub rule: &'a str,
    /// The case id.
    pub case: &'a str,
    /// The strict recogniser took the mail: its sizes can be kept.
    pub recognised: bool,
    /// Nothing of the mail may be read (it killed two scanners).
    pub unread: bool,
}

/// Writes the notice. Where the mail was recognised and there is room, it has the mail's octets and lines.
pub fn write(mail: &[u8], facts: &Facts<'_>) -> Vec<u8> {
    let mut notice = String::with_capacity(2048);
    let header = mail.get(..mail.len().min(MAX_HEADER)).unwrap_or_default();
    if !facts.unread {
        kept_fields(&mut notice, header);
    }
    let label = |label| texts::label(facts.language, label);
    if !has_field(&notice, "subject") {
        let _ = write!(notice, "Subject: {}\r\n", encoded_word(label(Label::Subject)));
    }
    let ascii = match facts.notice {
        Notice::Shipped(_) => text_is_ascii(facts.language),
        Notice::Own(text) => text.of(facts.language).is_ascii(),
    };
    let (charset, transfer) = if ascii { ("us-ascii", "7bit") } else { ("utf-8", "8bit") };
    let _ = write!(
        notice,
        "X-Mailward-Notice: replaced, case {case}\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset={charset}\r\n\
         Content-Transfer-Encoding: {transfer}\r\n\
         \r\n",
        case = facts.case,
    );
    let (sender, subject) = if facts.unread { Default::default() } else { about(header) };
    if let Notice::Own(text) = facts.notice {
        own(&mut notice, text.of(facts.language), facts, &sender, &subject);
        let mut notice = notice.into_bytes();
        if facts.recognised {
            fill(&mut notice, mail);
        }
        return notice;
    }
    let _ = write!(notice, "{}\r\n\r\n", label(Label::Head));
    let width = COLUMN.iter().map(|name| label(*name).chars().count()).max().unwrap_or_default();
    let mut line = |name, value: &dyn Display| {
        let _ = write!(notice, "{:width$} {value}\r\n", label(name));
    };
    line(Label::Found, &facts.statuses);
    for (engine, virus) in facts.viruses {
        line(Label::Virus, &format_args!("{} ({})", inert(virus), inert(engine)));
    }
    if !facts.unread {
        line(Label::From, &sender);
        line(Label::About, &subject);
    }
    line(Label::Rule, &inert(facts.rule));
    line(Label::Case, &facts.case);
    let _ = write!(notice, "\r\n{}\r\n{}\r\n", label(Label::Original), label(Label::Ask));
    let mut notice = notice.into_bytes();
    if facts.recognised {
        fill(&mut notice, mail);
    }
    notice
}

/// The sender and the subject of a mail, in inert letters.
pub fn about(mail: &[u8]) -> (String, String) {
    let header = mail.get(..mail.len().min(MAX_HEADER)).unwrap_or_default();
    let message = MessageParser::default().parse_headers(header);
    let sender = message.as_ref().and_then(|message| {
        let address = message.from()?.first()?;
        let name = address.name().unwrap_or_default();
        Some(format!("{name} {}", address.address().unwrap_or_default()))
    });
    let subject = message.as_ref().and_then(|message| message.subject());
    (inert(&sender.unwrap_or_default()), inert(subject.unwrap_or_default()))
}

/// The operator's text, filled in.
fn own(notice: &mut String, text: &str, facts: &Facts<'_>, sender: &str, subject: &str) {
    let value = |field: &str| match field {
        "virus" => {
            inert(&facts.viruses.iter().map(|(_, virus)| virus.as_str()).collect::<Vec<_>>().join(", "))
        }
        "status" => facts.statuses.to_string(),
        "sender" => sender.to_owned(),
        "subject" => subject.to_owned(),
        "rule" => inert(facts.rule),
        "case" => facts.case.to_owned(),
        // A whole mail is no file.
        _ => String::new(),
    };
    for line in policy::notice::fill(text, value).lines() {
        // RFC 5322 section 2.1.1: what values made too long is cut, between two letters.
        let end = line
            .char_indices()
            .map(|(at, letter)| at + letter.len_utf8())
            .take_while(|end| *end <= MAX_LINE - 2)
            .last();
        notice.push_str(line.get(..end.unwrap_or_default()).unwrap_or_default());
        notice.push_str("\r\n");
    }
}

/// The fields of the mail that are kept, the first of each, as they were written if they are plain.
fn kept_fields(notice: &mut String, header: &[u8]) {
    let mut lines =
        header.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).peekable();
    let mut seen = [false; KEPT.len()];
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        let mut field = line.to_vec();
        while let Some(more) = lines.next_if(|line| matches!(line.first(), Some(b' ' | b'\t'))) {
            field.extend_from_slice(b"\r\n");
            field.extend_from_slice(more);
        }
        let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
        let Some(place) = KEPT.iter().position(|kept| name.eq_ignore_ascii_case(kept.as_bytes())) else {
            continue;
        };
        let plain = field.len() <= MAX_FIELD
            && field.iter().all(|byte| matches!(byte, 32..=126 | b'\t' | b'\r' | b'\n'))
            && field.split(|byte| *byte == b'\n').all(|line| !line.trim_ascii().is_empty());
        if let (true, Some(seen), Ok(text)) = (plain, seen.get_mut(place), std::str::from_utf8(&field))
            && !std::mem::replace(seen, true)
        {
            notice.push_str(text);
            notice.push_str("\r\n");
        }
    }
}

/// Labels before values.
const COLUMN: [Label; 6] = [Label::Found, Label::Virus, Label::From, Label::About, Label::Rule, Label::Case];

fn text_is_ascii(language: Language) -> bool {
    Label::ALL.iter().all(|label| texts::label(language, *label).is_ascii())
}

/// RFC 2047 section 4.2, for text that fits one encoded word.
fn encoded_word(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut word = String::from("=?utf-8?Q?");
    for byte in text.bytes() {
        match byte {
            b' ' => word.push('_'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => word.push(char::from(byte)),
            _ => {
                let _ = write!(word, "={byte:02X}");
            }
        }
    }
    word.push_str("?=");
    Cow::Owned(word)
}

fn has_field(notice: &str, name: &str) -> bool {
    notice.lines().any(|line| line.split(':').next().is_some_and(|field| field.eq_ignore_ascii_case(name)))
}

/// Only what is inert in a shell, a script or HTML: letters, digits, blank and a few signs.
fn inert(value: &str) -> String {
    let mut text = String::new();
    for character in value.chars().take(MAX_VALUE) {
        let plain = character.is_ascii_alphanumeric() || ".,:-_@#/ ".contains(character);
        let character = if plain { character } else { ' ' };
        if character != ' ' || !text.ends_with(' ') {
            text.push(character);
        }
    }
    text.trim().to_owned()
}

/// Fills the notice with inert lines up to the octets of the mail, and its lines if that can be.
fn fill(notice: &mut Vec<u8>, mail: &[u8]) {
    let Some(room) = mail.len().checked_sub(notice.len()).filter(|room| *room > 0) else { return };
    if room == 1 {
        // One octet is no line: the last line grows by it.
        let end = notice.len().saturating_sub(2);
        notice.insert(end, b'#');
        return;
    }
    let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count();
    let wanted = count(mail).saturating_sub(count(notice));
    let lines = wanted.clamp(room.div_ceil(MAX_LINE), room / 2);
    let (each, longer) = (room / lines, room % lines);
    for line in 0..lines {
        let length = each + usize::from(line < longer);
        notice.resize(notice.len() + length - 2, b'#');
        notice.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::status::Status;
    use proptest::prelude::*;

    fn facts(viruses: &[(String, String)]) -> Facts<'_> {
        Facts {
            notice: &Notice::Shipped(policy::notice::Shipped::Virus),
            language: Language::En,
            statuses: StatusSet::of(Status::Infected),
            viruses,
            rule: "standard-bad",
            case: "0123456789ab",
            recognised: true,
            unread: false,
        }
    }

    const MAIL: &str = "Received: from x\r\nFrom: \"Evil <script>\" <mallory@example.org>\r\nTo: a@example.net\r\n\
        Subject: =?utf-8?Q?Faktura_=C4=8D=2E_7_=24=28rm=29?=\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n";

    #[test]
    fn it_reads_well_and_carries_nothing_active() {
        let viruses = [("clamd".to_owned(), "Lab.Virus`rm`".to_owned())];
        insta::assert_snapshot!(String::from_utf8(write(MAIL.as_bytes(), &facts(&viruses))).unwrap());
    }

    #[test]
    fn it_speaks_the_language_of_the_session() {
        let viruses = [("clamd".to_owned(), "Lab.Virus".to_owned())];
        let notice = |language| {
            let facts = Facts { language, ..facts(&viruses) };
            String::from_utf8(write(b"From: a@example.org\r\n\r\nbody\r\n", &facts)).unwrap()
        };
        insta::assert_snapshot!(Language::ALL.map(notice).join("\r\n-----\r\n"));
        for language in Language::ALL {
            let text = notice(language);
            let message = MessageParser::default().parse(text.as_bytes()).unwrap();
            assert_eq!(message.subject(), Some(texts::label(language, Label::Subject)));
            assert!(message.body_text(0).unwrap().contains(texts::label(language, Label::Head)));
            assert!(text.lines().all(|line| !line.contains("=?") || line.len() <= "Subject: ".len() + 75));
        }
    }

    #[test]
    fn of_a_mail_that_must_not_be_read_nothing_is_told() {
        let notice = write(MAIL.as_bytes(), &Facts { unread: true, recognised: false, ..facts(&[]) });
        let text = String::from_utf8(notice).unwrap();
        assert!(!text.contains("example.org") && text.contains("0123456789ab"), "{text}");
    }

    proptest! {
        #[test]
        fn it_has_the_octets_of_a_recognised_mail_that_has_room(lines in 1_usize..400, width in 0_usize..200, rest in 0_usize..90) {
            let body = format!("{}\r\n", "x".repeat(width)).repeat(lines) + &"y".repeat(rest) + "\r\n";
            let mail = format!("From: a@example.org\r\nSubject: s\r\n\r\n{body}");
            let notice = write(mail.as_bytes(), &facts(&[]));
            let bare = write(mail.as_bytes(), &Facts { recognised: false, ..facts(&[]) });
            prop_assert_eq!(notice.len(), bare.len().max(mail.len()));
            prop_assert!(notice.ends_with(b"\r\n"));
            prop_assert!(notice.split(|byte| *byte == b'\n').all(|line| line.len() < MAX_LINE));
        }

        #[test]
        fn arbitrary_octets_make_a_notice_of_plain_lines(mail in proptest::collection::vec(any::<u8>(), 0..600)) {
            let notice = write(&mail, &Facts { recognised: false, ..facts(&[]) });
            prop_assert!(notice.iter().all(|byte| matches!(byte, 9 | 10 | 13 | 32..=126)));
            prop_assert!(!String::from_utf8(notice).unwrap().replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
