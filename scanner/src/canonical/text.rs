//! Charsets: text becomes UTF-8, whatever it was declared to be.
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;
use std::borrow::Cow;

/// Text as UTF-8. What is UTF-8 and declared to be something that contains ASCII stays as it is only if that was UTF-8,
/// ASCII or nothing; octets that the charset does not have are replaced.
pub(super) fn to_utf8(octets: &[u8], charset: Option<&[u8]>) -> Vec<u8> {
    let label = charset.unwrap_or_default().trim_ascii().to_ascii_lowercase();
    if label == b"utf-7" || label == b"unicode-1-1-utf-7" {
        return charset_decoder(b"utf-7")
            .map_or_else(|| octets.to_vec(), |decode| decode(octets).into_bytes());
    }
    let declared = match label.as_slice() {
        b"" | b"us-ascii" | b"ascii" | b"unknown-8bit" => UTF_8,
        label => Encoding::for_label(label).unwrap_or(UTF_8),
    };
    let octets = without_mark(octets, declared);
    // Latin text under a wrong name is the most common mistake.
    let encoding =
        if declared == UTF_8 && std::str::from_utf8(octets).is_err() { WINDOWS_1252 } else { declared };
    match encoding.decode_without_bom_handling(octets).0 {
        Cow::Borrowed(text) => text.as_bytes().to_vec(),
        Cow::Owned(text) => text.into_bytes(),
    }
}

/// The name of a charset for octets that stay as they are: known, and with ASCII in its place.
pub(super) fn kept_label(charset: Option<&[u8]>) -> Option<String> {
    let encoding = Encoding::for_label(charset?.trim_ascii())?;
    encoding.is_ascii_compatible().then(|| encoding.name().to_ascii_lowercase())
}

/// Whether ASCII text looks otherwise in this charset.
pub(super) fn hides_ascii(charset: &[u8]) -> bool {
    let label = charset.trim_ascii().to_ascii_lowercase();
    label.ends_with(b"utf-7")
        || Encoding::for_label(&label).is_some_and(|encoding| !encoding.is_ascii_compatible())
}

fn without_mark<'o>(octets: &'o [u8], encoding: &'static Encoding) -> &'o [u8] {
    match Encoding::for_bom(octets) {
        Some((found, length)) if found == encoding && encoding != UTF_8 => {
            octets.get(length..).unwrap_or_default()
        }
        Some(_) | None => octets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_utf_8_and_stays_it() {
        for (octets, charset, text) in [
            (&b"Fr\xf6hlich"[..], Some(&b"iso-8859-1"[..]), "Fröhlich"),
            (b"Fr\xf6hlich", None, "Fröhlich"),
            ("Fröhlich".as_bytes(), None, "Fröhlich"),
            (b"\x1b$B%F%9%H\x1b(B", Some(b"ISO-2022-JP"), "テスト"),
            (b"\xff\xfea\0b\0", Some(b"utf-16"), "ab"),
            (b"+AGE-b", Some(b"UTF-7"), "ab"),
            (b"\xef\xbb\xbfab", Some(b"utf-8"), "\u{feff}ab"),
            (b"plain", Some(b"x-unknown"), "plain"),
        ] {
            assert_eq!(to_utf8(octets, charset), text.as_bytes(), "{charset:?}");
            assert_eq!(to_utf8(text.as_bytes(), Some(b"utf-8")), text.as_bytes());
        }
    }
}
