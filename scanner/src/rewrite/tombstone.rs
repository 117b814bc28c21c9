//! A tombstone: the words that stand in the place of a part's body, with the body's octets and lines. Every line begins
//! with `#` and has only what no shell, script or browser does anything with, so it is inert whatever the part is called
//! and whichever program opens it. Line ends stay where they were; in base64 the characters between them are others.
use mime::recogniser::Encoding;
use mime::transfer_encoding::{decode_base64, encode_base64};

/// A line inside base64, without its end.
const WIDTH: usize = 72;
/// Lines with less room than this are only filled.
const LEAST_ROOM: usize = 10;
/// A word is broken only where a line has at least so much room.
const BROKEN_ROOM: usize = 24;
/// Before every line that has the room.
const MARK: &str = "# ";

/// What is to be said: in full if there is room, else in short, else not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Lines.
    pub long: Vec<String>,
    /// One line.
    pub short: String,
}

impl Words {
    /// The forms, the most telling first. Lines become one paragraph where there are few of them.
    fn forms(&self) -> [(Vec<String>, Form); 3] {
        let inert = |line: &String| inert(line);
        [
            (self.long.iter().map(inert).collect(), Form::Long),
            (vec![self.long.iter().map(inert).collect::<Vec<_>>().join(" - ")], Form::Long),
            (vec![inert(&self.short)], Form::Short),
        ]
    }
}

/// How much of the words there was room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Everything.
    Long,
    /// One line.
    Short,
    /// Nothing.
    Blank,
}

/// A body with the octets and lines of `body`, which an accepted leaf has in this encoding.
pub fn refill(body: &[u8], encoding: Encoding, words: &Words) -> (Vec<u8>, Form) {
    match encoding {
        Encoding::Identity | Encoding::QuotedPrintable => {
            let lengths: Vec<usize> = body
                .split(|octet| *octet == b'\n')
                .map(|line| line.strip_suffix(b"\r").unwrap_or(line).len())
                .collect();
            let (text, form) = say(words, &lengths);
            let lines = lengths.iter().enumerate().flat_map(|(index, length)| {
                line(text.get(index).map_or("", String::as_str), *length).into_bytes()
            });
            (between_line_ends(body, lines), form)
        }
        Encoding::Base64 => {
            let (text, form) = free(words, decode_base64(body).len());
            let encoded = encode_base64(text.as_bytes());
            (between_line_ends(body, encoded.into_iter().filter(|octet| !is_line_end(*octet))), form)
        }
    }
}

/// Only what is inert anywhere: letters, digits, blank and a few signs.
pub fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    for letter in text.chars() {
        let plain = letter.is_ascii_alphanumeric() || ".,:-@#/".contains(letter);
        match letter {
            _ if plain => inert.push(letter),
            _ if inert.ends_with(' ') => {}
            _ => inert.push(' '),
        }
    }
    inert.trim().to_owned()
}

/// The octets of `body` with others between its line ends; there are as many of them.
fn between_line_ends(body: &[u8], octets: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut octets = octets;
    body.iter()
        .map(|octet| if is_line_end(*octet) { *octet } else { octets.next().unwrap_or(b'#') })
        .collect()
}

const fn is_line_end(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n')
}

/// The first form for which lines of these lengths have the room, as the text of each line.
fn say(words: &Words, lengths: &[usize]) -> (Vec<String>, Form) {
    let said = |(lines, form): &(Vec<String>, Form)| Some((flow(lines, lengths.iter().copied())?, *form));
    words.forms().iter().find_map(said).unwrap_or((Vec::new(), Form::Blank))
}

/// Text of exactly `length` octets in lines of its own.
fn free(words: &Words, length: usize) -> (String, Form) {
    let (mut text, mut said_in) = (String::with_capacity(length), Form::Blank);
    for (form, name) in words.forms() {
        let lines = flow(&form, std::iter::repeat_n(WIDTH, form.len() * 16 + 16)).unwrap_or_default();
        let said: String =
            lines.iter().map(|said| format!("{}\r\n", line(said, MARK.len() + said.len()))).collect();
        if !said.is_empty() && said.len() <= length {
            (text, said_in) = (said, name);
            break;
        }
    }
    while let Some(left) = length.checked_sub(text.len()).filter(|left| *left > 0) {
        if left <= WIDTH + 2 {
            text.push_str(&line("", left));
        } else {
            text.push_str(&line("", WIDTH));
            text.push_str("\r\n");
        }
    }
    (text, said_in)
}

/// Puts the words of `form` into lines; each of its lines begins a new one. `None`: there is no room. A line of the
/// answer may be empty: then the one at its place is only filled.
fn flow(form: &[String], mut lengths: impl Iterator<Item = usize>) -> Option<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in form.iter().filter(|paragraph| !paragraph.is_empty()) {
        let mut room = 0;
        let mut open = false;
        for word in paragraph.split(' ') {
            let mut word = word;
            while !word.is_empty() {
                let last = lines.last_mut().filter(|_| open);
                let blank = usize::from(last.as_ref().is_some_and(|line| !line.is_empty()));
                if let Some(line) = last
                    && word.len() + blank <= room
                {
                    line.push_str(if blank > 0 { " " } else { "" });
                    line.push_str(word);
                    room -= word.len() + blank;
                    break;
                }
                let fresh = lines.last().is_some_and(String::is_empty) && open;
                if fresh && room >= BROKEN_ROOM {
                    // Inert text is ASCII: every octet is a character.
                    let (first, rest) = word.split_at(room);
                    if let Some(line) = lines.last_mut() {
                        line.push_str(first);
                    }
                    (room, word) = (0, rest);
                    continue;
                }
                room = lengths.next()?.saturating_sub(MARK.len());
                lines.push(String::new());
                open = room >= LEAST_ROOM;
            }
        }
    }
    Some(lines)
}

/// One line of exactly `length` octets that ends in no blank.
fn line(text: &str, length: usize) -> String {
    let mut line: String = MARK.chars().take(length).collect();
    if length == MARK.len() {
        return "##".into();
    }
    line.push_str(text);
    match length.saturating_sub(line.len()) {
        0 => {}
        1 if !text.is_empty() => line.push('.'),
        left => {
            if !text.is_empty() {
                line.push(' ');
            }
            let dashes = left - usize::from(!text.is_empty());
            line.extend(std::iter::repeat_n('-', dashes));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use mime::recogniser::{Limits, decode, recognise};
    use proptest::prelude::*;

    fn words() -> Words {
        Words {
            long: vec![
                "This part was removed by the mail proxy Mailward: a virus was found in it.".into(),
                "Virus: Eicar-Test-Signature".into(),
                "File: $(rm -rf ~)`id`;<script>alert(1)</script> & \"x\" | y > z %COMSPEC% \u{202e}txt.exe"
                    .into(),
                "Case: 0123456789ab".into(),
            ],
            short: "removed, case 0123456789ab".into(),
        }
    }

    fn mail(kind: &str, transfer: &str, body: &str) -> String {
        format!(
            "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
             Content-Type: text/plain\r\n\r\nkeep me\r\n--b\r\nContent-Type: {kind}; name=\"x.exe\"\r\n\
             Content-Transfer-Encoding: {transfer}\r\n\r\n{body}\r\n--b--\r\n"
        )
    }

    /// The mail with its second leaf refilled, and what that leaf decodes to.
    fn buried(mail: &str) -> (Vec<u8>, Vec<u8>) {
        let accepted = recognise(mail.as_bytes(), &Limits::default()).unwrap();
        let leaf = &accepted.leaves[1];
        let (body, _) = refill(&mail.as_bytes()[leaf.body.clone()], leaf.encoding, &words());
        let edit = super::super::Edit { range: leaf.body.clone(), octets: body };
        let copy = super::super::apply(mail.as_bytes(), vec![edit]).unwrap();
        let again = recognise(&copy, &Limits::default()).unwrap();
        assert_eq!(again, accepted, "every header, boundary and place is what it was");
        assert_eq!(decode(&copy, &again.leaves[0]), b"keep me");
        let decoded = decode(&copy, &again.leaves[1]);
        (copy, decoded)
    }

    fn is_inert(text: &[u8]) -> bool {
        text.split(|octet| *octet == b'\n').all(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let permitted =
                line.iter().all(|octet| octet.is_ascii_alphanumeric() || b" .,:-@#/".contains(octet));
            permitted && (line.is_empty() || line.starts_with(b"# ") || line == b"#" || line == b"##")
        })
    }

    #[test]
    fn it_reads_well_in_base64_and_in_text() {
        let base64 = String::from_utf8(encode_base64(&[0xa5; 900])).unwrap();
        let (_, decoded) = buried(&mail("application/octet-stream", "base64", base64.trim_end()));
        insta::assert_snapshot!(String::from_utf8(decoded).unwrap());
        let text = "A line of a text that is as long as lines of texts are.\r\n\r\nshort\r\n".repeat(8);
        let (_, decoded) = buried(&mail("text/html", "7bit", text.trim_end()));
        insta::assert_snapshot!(String::from_utf8(decoded).unwrap());
        let (_, decoded) = buried(&mail("text/html", "quoted-printable", &"=3D".repeat(20)));
        assert_eq!(decoded, b"# removed, case 0123456789ab -------------------------------");
        assert_eq!(buried(&mail("text/plain", "7bit", "tiny")).1, b"# --");
    }

    proptest! {
        #[test]
        fn nothing_moves_and_what_stands_there_is_inert(
            octets in proptest::collection::vec(any::<u8>(), 0..3000),
            widths in proptest::collection::vec(0_usize..140, 1..40),
            columns in 1_usize..19,
        ) {
            let lines: Vec<String> = widths.iter().map(|width| "x".repeat(*width)).collect();
            let plain = lines.join("\r\n");
            let encoded: String = String::from_utf8(encode_base64(&octets)).unwrap().replace("\r\n", "");
            let base64: Vec<&str> =
                encoded.as_bytes().chunks(columns * 4).map(|line| std::str::from_utf8(line).unwrap()).collect();
            for (transfer, body) in [("7bit", plain.clone()), ("quoted-printable", plain), ("base64", base64.join("\r\n"))] {
                let mail = mail("application/octet-stream", transfer, &body);
                let (copy, decoded) = buried(&mail);
                prop_assert_eq!(copy.len(), mail.len());
                let ends = |octets: &[u8]| octets.iter().enumerate().filter(|(_, o)| is_line_end(**o)).map(|(at, _)| at).collect::<Vec<_>>();
                prop_assert_eq!(ends(&copy), ends(mail.as_bytes()));
                prop_assert!(is_inert(&decoded), "{}", String::from_utf8_lossy(&decoded));
            }
        }

        #[test]
        fn whatever_is_said_becomes_inert(text in "\\PC{0,200}") {
            prop_assert!(inert(&text).bytes().all(|octet| octet.is_ascii_alphanumeric() || b" .,:-@#/".contains(&octet)));
        }
    }

    #[test]
    fn shells_and_interpreters_do_nothing_with_it() {
        let base64 = String::from_utf8(encode_base64(&[0xa5; 2000])).unwrap();
        let (_, decoded) = buried(&mail("application/octet-stream", "base64", base64.trim_end()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        std::fs::write(&file, &decoded).unwrap();
        for shell in ["sh", "bash", "perl", "python3"] {
            let Ok(output) = std::process::Command::new(shell).arg(&file).current_dir(folder.path()).output()
            else {
                continue;
            };
            assert!(output.status.success(), "{shell}: {output:?}");
            assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{shell}: {output:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
