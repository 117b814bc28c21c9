//! Other text in the place of a part's body, with the body's octets and lines where there is the room: what a client
//! knows of sizes stays true. Where there is none the body grows, and every view of the mail is of the copy.
use mime::recogniser::Encoding;
use mime::transfer_encoding::{decode_base64, encode_base64};

/// RFC 2045 section 6.7, without the soft line break.
const QP_LINE: usize = 75;
/// RFC 5322 section 2.1.1, with room for what a line is given.
const MAX_LINE: usize = 990;

/// A body that says `content` and, if that can be, has the octets and lines of `body`. `None`: it cannot be said in this
/// encoding.
pub(super) fn fit(body: &[u8], encoding: Encoding, content: &[u8]) -> Option<Vec<u8>> {
    let lines = match encoding {
        Encoding::Base64 => return Some(base64(body, content)),
        Encoding::QuotedPrintable => quoted_printable(content),
        Encoding::Identity => plain(body, content)?,
    };
    let fill: fn(usize) -> String = match encoding {
        Encoding::QuotedPrintable => |length| format!("{}=20", " ".repeat(length.saturating_sub(3))),
        Encoding::Identity | Encoding::Base64 => |length| " ".repeat(length),
    };
    Some(padded(body, lines, fill))
}

fn base64(body: &[u8], content: &[u8]) -> Vec<u8> {
    let room = decode_base64(body).len();
    if content.len() <= room {
        let mut padded = content.to_vec();
        padded.resize(room, b' ');
        let mut octets = encode_base64(&padded).into_iter().filter(|octet| !matches!(octet, b'\r' | b'\n'));
        let is_end = |octet: &u8| matches!(octet, b'\r' | b'\n');
        return body
            .iter()
            .map(|old| if is_end(old) { *old } else { octets.next().unwrap_or(b'=') })
            .collect();
    }
    let mut encoded = encode_base64(content);
    if !body.ends_with(b"\r\n") {
        encoded.truncate(encoded.len().saturating_sub(2));
    }
    encoded
}

/// Lines joined by CRLF, with blanks and empty lines at their end until octets and lines are those of `body`. Where that
/// cannot be they are what they were.
fn padded(body: &[u8], lines: Vec<String>, fill: fn(usize) -> String) -> Vec<u8> {
    /// A filling of quoted-printable has to end in `=20`.
    const LEAST: usize = 3;
    let octets = |lines: &[String]| lines.iter().map(|line| line.len() + 2).sum::<usize>().saturating_sub(2);
    let wanted = memchr::memchr_iter(b'\n', body).count() + 1;
    let mut full = lines.clone();
    while full.len() > 1 && full.last().is_some_and(String::is_empty) {
        full.pop();
    }
    // The body's last line may be empty (it ends in CRLF): then so is ours.
    let empty_end = usize::from(body.ends_with(b"\n"));
    let fits = full.len() + empty_end <= wanted;
    full.resize(wanted.max(full.len()), String::new());
    let Some(mut room) = body.len().checked_sub(octets(&full)).filter(|_| fits) else {
        return lines.join("\r\n").into_bytes();
    };
    // Short lines first; a soft line break ends its line.
    for limit in [QP_LINE, MAX_LINE] {
        let open = full.iter_mut().rev().skip(empty_end).filter(|line| !line.ends_with('='));
        for line in open {
            let free = limit.saturating_sub(line.len()).min(room);
            // What is left for the others must be nothing or enough for a filling.
            let taken = if (1..LEAST).contains(&(room - free)) { free.saturating_sub(LEAST) } else { free };
            if taken >= LEAST {
                line.push_str(&fill(taken));
                room -= taken;
            }
        }
    }
    let said = if room == 0 { full } else { lines };
    said.join("\r\n").into_bytes()
}

fn quoted_printable(content: &[u8]) -> Vec<String> {
    use std::fmt::Write;
    let mut lines = Vec::new();
    for line in split(content) {
        let mut encoded = String::new();
        for (at, octet) in line.iter().enumerate() {
            let last = at + 1 == line.len();
            let mut piece = String::new();
            match octet {
                b' ' | b'\t' if last => {
                    let _ = write!(piece, "={octet:02X}");
                }
                b'=' => piece.push_str("=3D"),
                b'\t' | b' '..=b'~' => piece.push(char::from(*octet)),
                _ => {
                    let _ = write!(piece, "={octet:02X}");
                }
            }
            if encoded.len() + piece.len() > QP_LINE {
                encoded.push('=');
                lines.push(std::mem::take(&mut encoded));
            }
            encoded.push_str(&piece);
        }
        lines.push(encoded);
    }
    lines
}

/// As it is: ASCII where the body was, in lines that are not too long.
fn plain(body: &[u8], content: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(content).ok();
    let text = match text {
        Some(text) if body.is_ascii() => text
            .chars()
            .map(
                |letter| {
                    if letter.is_ascii() { letter.to_string() } else { format!("&#{};", u32::from(letter)) }
                },
            )
            .collect(),
        Some(text) => text.to_owned(),
        None => return None,
    };
    let mut lines = Vec::new();
    for line in split(text.as_bytes()) {
        let mut rest = std::str::from_utf8(line).ok()?;
        while rest.len() > MAX_LINE {
            let start = rest.as_bytes().get(..MAX_LINE)?;
            let blank = start.iter().rposition(|octet| *octet == b' ').filter(|at| *at > 0)?;
            let (first, behind) = rest.split_at(blank);
            lines.push(first.to_owned());
            rest = behind;
        }
        lines.push(rest.to_owned());
    }
    Some(lines)
}

fn split(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mime::recogniser::{Leaf, decode};
    use mime::transfer_encoding::{check_base64, check_quoted_printable};
    use proptest::prelude::*;

    fn decoded(body: &[u8], encoding: Encoding) -> Vec<u8> {
        let leaf = Leaf {
            header: 0..0,
            body: 0..body.len(),
            encoding,
            content_type: String::new(),
            names: Vec::new(),
        };
        decode(body, &leaf)
    }

    proptest! {
        #[test]
        fn what_is_said_is_said_and_has_the_size_where_there_is_room(
            old in "[ -~]{1,60}(\r\n[ -~]{0,60}){3,12}",
            new in "[!-~]{0,20}(\r\n[!-~]{1,30}){0,2}",
            end in any::<bool>(),
        ) {
            let old = if end { old + "\r\n" } else { old };
            for encoding in [Encoding::Identity, Encoding::Base64, Encoding::QuotedPrintable] {
                let body = match encoding {
                    Encoding::Identity => old.clone().into_bytes(),
                    Encoding::Base64 => encode_base64(old.as_bytes()),
                    Encoding::QuotedPrintable => quoted_printable(old.as_bytes()).join("\r\n").into_bytes(),
                };
                let fitted = fit(&body, encoding, new.as_bytes()).unwrap();
                let text = decoded(&fitted, encoding);
                let ended = String::from_utf8_lossy(&text).replace(['\r', '\n', ' '], "");
                prop_assert_eq!(ended, new.replace("\r\n", ""));
                match encoding {
                    Encoding::Base64 => prop_assert!(check_base64(&fitted).is_ok()),
                    Encoding::QuotedPrintable => prop_assert!(check_quoted_printable(&fitted).is_ok()),
                    Encoding::Identity => {}
                }
                if encoding == Encoding::Base64 && new.len() <= old.len() {
                    prop_assert_eq!(fitted.len(), body.len());
                }
            }
        }
    }

    #[test]
    fn a_shorter_text_keeps_octets_and_lines() {
        let old = "<p>one line that is long</p>\r\n".repeat(9);
        for encoding in [Encoding::Identity, Encoding::QuotedPrintable, Encoding::Base64] {
            let body = if encoding == Encoding::Base64 {
                encode_base64(old.as_bytes())
            } else {
                old.clone().into_bytes()
            };
            let fitted = fit(&body, encoding, b"<p>short</p>\r\n<p>text</p>").unwrap();
            let count = |octets: &[u8]| memchr::memchr_iter(b'\n', octets).count();
            assert_eq!((fitted.len(), count(&fitted)), (body.len(), count(&body)), "{encoding:?}");
            assert!(decoded(&fitted, encoding).starts_with(b"<p>short</p>\r\n<p>text</p>"));
        }
    }

    #[test]
    fn a_body_of_ascii_stays_one() {
        let fitted = fit(b"<p>x</p>\r\n", Encoding::Identity, "<p>č</p>".as_bytes()).unwrap();
        assert_eq!(fitted, b"<p>&#269;</p>");
        assert_eq!(fit(b"x", Encoding::Identity, b"\xff"), None);
    }
}
