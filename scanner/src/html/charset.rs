//! Octets into text and back. The header of a part names its charset and is not changed with it, so that the output is
//! in that charset; where it names none, or one that readers take differently, the output is ASCII and everything
//! else a reference (`&#233;`), which every charset reads alike.
use encoding_rs::{
    Encoding, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED,
};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Octets in which a document may name its charset itself, as in the HTML standard.
const PRESCAN: usize = 1024;

/// What a part declares, and what its output is written in.
#[derive(Debug)]
pub(super) struct Charset {
    declared: Option<String>,
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// A charset in which ASCII is ASCII.
    Same(&'static Encoding),
    /// ASCII and references.
    Ascii,
    /// ASCII and references, without the characters that other charsets shift with (UTF-7's `+`, HZ's `~`).
    Guarded,
    /// ASCII and references, two octets each.
    Utf16,
}

impl Charset {
    /// By what the header says.
    pub(super) fn of(declared: Option<&str>) -> Self {
        let declared = declared.map(|label| label.trim().to_ascii_lowercase());
        let output = match declared.as_deref() {
            None | Some("us-ascii" | "ascii" | "") => Output::Ascii,
            Some(label) => match Encoding::for_label(label.as_bytes()) {
                Some(known) if known == UTF_16LE || known == UTF_16BE => Output::Utf16,
                // Its Japanese is made of the octets of tags.
                Some(known) if known == ISO_2022_JP => Output::Ascii,
                Some(known) if known != REPLACEMENT && known != X_USER_DEFINED => Output::Same(known),
                Some(_) | None => Output::Guarded,
            },
        };
        Self { declared, output }
    }

    /// Text that is UTF-8 already: a document within a document.
    pub(super) const fn utf8() -> Self {
        Self { declared: None, output: Output::Same(UTF_8) }
    }

    /// Whether only references are safe, so that nothing can stand where a reference is none: in style sheets, scripts.
    pub(super) fn is_guarded(&self) -> bool {
        self.output == Output::Guarded
    }

    /// The text: by its mark, by its header, by what it says itself, else as most of it was written.
    pub(super) fn decode(&self, input: &[u8]) -> String {
        if let Some((marked, length)) = Encoding::for_bom(input) {
            let rest = input.get(length..).unwrap_or_default();
            return marked.decode_without_bom_handling(rest).0.into_owned();
        }
        if let Some(label) = self.declared.as_deref() {
            if let Some(known) = Encoding::for_label(label.as_bytes()) {
                return known.decode_without_bom_handling(input).0.into_owned();
            }
            // UTF-7 and others that browsers no longer read, and programs for mail do.
            if let Some(decode) = charset_decoder(label.as_bytes()) {
                return decode(input);
            }
        }
        let guess =
            prescan(input).unwrap_or(if std::str::from_utf8(input).is_ok() { UTF_8 } else { WINDOWS_1252 });
        guess.decode_without_bom_handling(input).0.into_owned()
    }

    /// The octets of filtered text.
    pub(super) fn encode(&self, text: &str) -> Vec<u8> {
        match self.output {
            Output::Same(charset) => {
                let octets = charset.encode(text).0;
                // What begins like the mark of another charset is read as that, whatever the header says.
                if Encoding::for_bom(&octets).is_some() {
                    refer(text, |c| c.is_ascii()).into_bytes()
                } else {
                    octets.into_owned()
                }
            }
            Output::Ascii => refer(text, |c| c.is_ascii()).into_bytes(),
            Output::Guarded => refer(text, is_same_everywhere).into_bytes(),
            Output::Utf16 => {
                let units = refer(text, |c| c.is_ascii());
                std::iter::once('\u{feff}')
                    .chain(units.chars())
                    .flat_map(|c| (c as u16).to_be_bytes())
                    .collect()
            }
        }
    }
}

/// References in the place of all other characters. They are read wherever text or a value stands, which is everywhere
/// but in style sheets (in ASCII already) and in names (likewise).
fn refer(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_kept(c) {
            out.push(c);
        } else {
            out.push_str(&format!("&#{};", u32::from(c)));
        }
    }
    out
}

/// What markup is made of, and what no charset shifts with.
fn is_same_everywhere(c: char) -> bool {
    c.is_ascii_alphanumeric() || " \r\n\t<>/=\"'-.,:;&#!?()_%*".contains(c)
}

/// `charset=` near the beginning.
fn prescan(input: &[u8]) -> Option<&'static Encoding> {
    let head = input.get(..PRESCAN.min(input.len()))?.to_ascii_lowercase();
    let at = memchr::memmem::find(&head, b"charset=")?;
    let label: Vec<u8> = head
        .get(at + b"charset=".len()..)?
        .iter()
        .copied()
        .skip_while(|octet| matches!(octet, b'"' | b'\'' | b' '))
        .take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b':'))
        .collect();
    // HTML standard: what could be read as ASCII is not UTF-16.
    Encoding::for_label(&label).map(|found| if found.is_ascii_compatible() { found } else { UTF_8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_charset_is_read_and_written() {
        let latin = Charset::of(Some("ISO-8859-1"));
        assert_eq!(latin.decode(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(latin.encode("caf\u{e9} \u{20ac} \u{4e2d}"), b"caf\xe9 \x80 &#20013;");
    }

    #[test]
    fn nothing_that_is_written_begins_with_the_mark_of_a_charset() {
        let latin = Charset::of(Some("iso-8859-1"));
        for (text, octets) in
            [("\u{fe}\u{ff}a", "&#254;&#255;a"), ("\u{ef}\u{bb}\u{bf}a", "&#239;&#187;&#191;a")]
        {
            assert_eq!(latin.encode(text), octets.as_bytes());
        }
        assert_eq!(Charset::of(Some("utf-8")).encode("\u{feff}a"), b"&#65279;a");
    }

    #[test]
    fn without_a_charset_the_output_is_ascii() {
        let none = Charset::of(None);
        assert_eq!(none.decode("caf\u{e9}".as_bytes()), "caf\u{e9}");
        assert_eq!(none.decode(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(none.decode(b"<meta charset='koi8-r'>\xc1"), "<meta charset='koi8-r'>\u{430}");
        assert_eq!(none.encode("caf\u{e9}"), b"caf&#233;");
    }

    #[test]
    fn what_utf_7_hides_is_seen_and_does_not_come_back() {
        let charset = Charset::of(Some("UTF-7"));
        let text = charset.decode(b"+ADw-script+AD4-");
        assert_eq!(text, "<script>");
        assert_eq!(charset.encode("a+ADw-b"), b"a&#43;ADw-b");
        assert!(charset.is_guarded());
    }

    #[test]
    fn utf_16_stays_so() {
        let charset = Charset::of(Some("utf-16"));
        let octets = charset.encode("<p>\u{e9}");
        assert_eq!(charset.decode(&octets), "<p>&#233;");
    }
}
