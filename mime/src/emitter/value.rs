//! Values of fields: unfolded, single blanks, nothing but printable characters, folded again at blanks.
use crate::transfer_encoding::encode_base64;

/// RFC 5322 section 2.1.1 recommends 78.
const FOLD_AT: usize = 76;
/// A word of more octets is cut: lines must stay below 998.
const MAX_WORD: usize = 800;
/// Octets of text in an encoded word: with B that gives 60 characters, and 72 of the 75 that RFC 2047 allows.
const ENCODED: usize = 45;
/// Fields of addresses, in which only words of a phrase may be encoded.
const ADDRESSES: [&str; 11] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
    "resent-bcc",
];

/// A whole field with its line end; `lower` is its name in lower case.
pub(super) fn field(name: &str, lower: &str, value: &[u8]) -> String {
    let text = printable(value);
    let words = if text.is_ascii() {
        text.split(' ').map(str::to_owned).collect()
    } else if ADDRESSES.contains(&lower) {
        address_words(&text)
    } else {
        encoded_words(&text)
    };
    let mut field = format!("{name}:");
    let mut length = field.len();
    for (index, word) in
        words.iter().filter(|word| !word.is_empty()).flat_map(|word| pieces(word)).enumerate()
    {
        // The first word stays behind the name: some readers take a value that begins with a fold for empty.
        if index > 0 && length + 1 + word.len() > FOLD_AT {
            field.push_str("\r\n");
            length = 0;
        }
        field.push(' ');
        field.push_str(word);
        length += 1 + word.len();
    }
    field.push_str("\r\n");
    field
}

/// Line ends and blanks are blanks, other controls are nothing; octets that are no UTF-8 are taken for Latin-1.
fn printable(value: &[u8]) -> String {
    let text = match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|octet| char::from(*octet)).collect(),
    };
    text.chars()
        .filter_map(|character| match character {
            '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => None,
            character => Some(character),
        })
        .collect()
}

/// A word in pieces of bounded length, cut between characters.
fn pieces(word: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while rest.len() > MAX_WORD {
        let mut end = MAX_WORD;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

/// Runs of words that are not ASCII become encoded words (RFC 2047 section 2).
fn encoded_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if word.is_ascii() {
            encode_run(&mut run, &mut words);
            words.push(word.to_owned());
        } else {
            run.push(word);
        }
    }
    encode_run(&mut run, &mut words);
    words
}

fn encode_run(run: &mut Vec<&str>, words: &mut Vec<String>) {
    let text = std::mem::take(run).join(" ");
    let mut piece = String::new();
    for character in text.chars() {
        if piece.len() + character.len_utf8() > ENCODED {
            words.push(encoded(&std::mem::take(&mut piece)));
        }
        piece.push(character);
    }
    if !piece.is_empty() {
        words.push(encoded(&piece));
    }
}

fn encoded(text: &str) -> String {
    let base64 = encode_base64(text.as_bytes());
    format!("=?utf-8?B?{}?=", String::from_utf8_lossy(&base64).trim_end())
}

/// Quoted strings that are not ASCII become phrases of encoded words; so do bare words without a sign of the grammar.
/// Others stay UTF-8, as RFC 6532 allows.
fn address_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('"') {
        let (before, quoted) = rest.split_at(open);
        plain_address_words(before, &mut words);
        let inner = quoted.get(1..).unwrap_or_default();
        let mut escaped = false;
        let close = inner.find(|character: char| {
            let closes = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closes
        });
        let Some(close) = close else {
            // Never closed: its words are like others, and no escaped quote among them may open a string the next time.
            plain_address_words(&inner.replace(['"', '\\'], ""), &mut words);
            return words;
        };
        let (string, tail) = inner.split_at(close);
        if string.is_ascii() {
            words.extend(format!("\"{string}\"").split(' ').map(str::to_owned));
        } else {
            let text: String = string.chars().filter(|character| *character != '\\').collect();
            let mut run: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
            encode_run(&mut run, &mut words);
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    plain_address_words(rest, &mut words);
    words
}

fn plain_address_words(text: &str, words: &mut Vec<String>) {
    let mut run: Vec<&str> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if word.is_ascii() || word.contains(|sign| "<>@()[]:;,\"\\".contains(sign)) {
            encode_run(&mut run, words);
            words.push(word.to_owned());
        } else {
            run.push(word);
        }
    }
    encode_run(&mut run, words);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printable_and_folded_and_stay_as_they_are_the_second_time() {
        for (name, value, expected) in [
            ("Subject", &b"one\r\n two\t three"[..], "Subject: one two three\r\n"),
            ("Subject", b"a\0b\x01c\x0bd", "Subject: abc d\r\n"),
            ("Subject", "Zpráva z Brna".as_bytes(), "Subject: =?utf-8?B?WnByw6F2YQ==?= z Brna\r\n"),
            ("Subject", b"Fr\xf6hlich", "Subject: =?utf-8?B?RnLDtmhsaWNo?=\r\n"),
            (
                "From",
                "\"Jörg Müller\" <j@example.org>".as_bytes(),
                "From: =?utf-8?B?SsO2cmcgTcO8bGxlcg==?= <j@example.org>\r\n",
            ),
            ("To", "Jörg <jörg@example.org>".as_bytes(), "To: =?utf-8?B?SsO2cmc=?= <jörg@example.org>\r\n"),
            (
                "From",
                "\"O'Neil \\\"é <ace@example.net>".as_bytes(),
                "From: O'Neil =?utf-8?B?w6k=?= <ace@example.net>\r\n",
            ),
            ("Subject", b"", "Subject:\r\n"),
        ] {
            let written = field(name, &name.to_lowercase(), value);
            assert_eq!(written, expected);
            let again = written.split_once(':').unwrap().1;
            assert_eq!(field(name, &name.to_lowercase(), again.as_bytes()), written);
        }
        let long = field("References", "references", "<1234567890@example.org> ".repeat(100).as_bytes());
        assert!(long.lines().all(|line| line.len() <= FOLD_AT + 1));
        let word = field("X", "x", &[b'x'; 5000]);
        assert!(word.lines().all(|line| line.len() < 998));
        assert_eq!(field("X", "x", word.split_once(':').unwrap().1.as_bytes()), word);
    }
}
