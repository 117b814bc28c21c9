//! One file name that is the same to every reader, and that no system takes for anything but a name.
use std::fmt::Write;

/// Characters of a name.
const MAX_CHARACTERS: usize = 120;
/// Octets of a name in the form of RFC 2231: its line must stay below 998.
const MAX_ENCODED: usize = 700;
/// Characters of the extension, which is kept when a name is shortened.
const MAX_EXTENSION: usize = 16;

/// The name without paths, controls, marks of direction, and whatever a reader could take for the end of it. `None`: there
/// is nothing left.
pub fn clean(name: &str) -> Option<String> {
    let mut clean = String::with_capacity(name.len().min(4 * MAX_CHARACTERS));
    let characters = name.chars().take(8 * MAX_CHARACTERS);
    for character in characters {
        let character = match character {
            '\t' | '\r' | '\n' | '\u{a0}' => ' ',
            character if is_invisible(character) => continue,
            character if !character.is_ascii() || character.is_ascii_alphanumeric() => character,
            character if " .,-_+@()[]~!#&".contains(character) => character,
            _ => '_',
        };
        if !(character == ' ' && clean.ends_with(' ')) {
            clean.push(character);
        }
    }
    let trimmed = clean.trim_matches([' ', '.']);
    let mut short = shortened(trimmed);
    // The container that only some readers unpack.
    if short.eq_ignore_ascii_case("winmail.dat") {
        short = "winmail-dat.bin".to_owned();
    }
    (!short.is_empty()).then_some(short)
}

/// Controls, and characters that change how the others look without being seen.
const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Within the bounds, with the extension kept.
fn shortened(name: &str) -> String {
    let fits = |name: &str| name.chars().count() <= MAX_CHARACTERS && encoded_length(name) <= MAX_ENCODED;
    if fits(name) {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.chars().count() <= MAX_EXTENSION => {
            (stem, format!(".{extension}"))
        }
        Some(_) | None => (name, String::new()),
    };
    let mut short = String::new();
    let mut octets = encoded_length(&extension);
    for character in stem.chars().take(MAX_CHARACTERS - MAX_EXTENSION - 1) {
        octets += encoded_length(character.encode_utf8(&mut [0; 4]));
        if octets > MAX_ENCODED {
            break;
        }
        short.push(character);
    }
    let stem = short.trim_end_matches([' ', '.']).len();
    short.truncate(stem);
    short + &extension
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_')
}

fn encoded_length(name: &str) -> usize {
    name.bytes().map(|octet| if is_plain(octet) { 1 } else { 3 }).sum()
}

/// Writes the parameter: quoted where the name is ASCII, else as RFC 2231 says.
pub(super) fn write(field: &mut String, parameter: &str, name: &str) {
    if name.is_ascii() {
        let _ = write!(field, ";\r\n {parameter}=\"{name}\"");
        return;
    }
    let _ = write!(field, ";\r\n {parameter}*=utf-8''");
    for octet in name.bytes() {
        if is_plain(octet) {
            field.push(char::from(octet));
        } else {
            let _ = write!(field, "%{octet:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_and_nothing_else() {
        for (name, expected) in [
            ("report (1).pdf", "report (1).pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a\\b\\c.exe", "a_b_c.exe"),
            ("evil\u{202e}gpj.exe", "evilgpj.exe"),
            ("a.exe. . ", "a.exe"),
            ("x\0.exe", "x.exe"),
            ("a\r\n b\"; c=d.txt", "a b__ c_d.txt"),
            ("WinMail.DAT", "winmail-dat.bin"),
            ("příloha č. 1.docx", "příloha č. 1.docx"),
        ] {
            assert_eq!(clean(name).as_deref(), Some(expected));
            assert_eq!(clean(expected).as_deref(), Some(expected));
        }
        assert_eq!(clean("..."), None);
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        for stem in
            ["x".repeat(500), "č".repeat(500), "\u{1f600}".repeat(500), ".".repeat(50) + &"y. ".repeat(200)]
        {
            let name = clean(&format!("{stem}.docx")).unwrap();
            assert!(
                name.ends_with(".docx")
                    && name.chars().count() <= MAX_CHARACTERS
                    && encoded_length(&name) <= MAX_ENCODED
            );
            assert_eq!(clean(&name).as_deref(), Some(name.as_str()));
        }
    }
}
