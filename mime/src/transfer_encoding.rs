//! base64 and quoted-printable (RFC 2045 sections 6.7 and 6.8): strict checks, and decoders for what they accept.

use memchr::memchr;

/// An offence: offset in the body, and what.
type Offence = (usize, &'static str);

const BAD: u8 = 0xff;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUE: [u8; 256] = values();
/// RFC 2045 section 6.8.
const MAX_BASE64_LINE: usize = 76;

const fn values() -> [u8; 256] {
    let mut values = [BAD; 256];
    let mut index = 0_u8;
    #[expect(
        clippy::indexing_slicing,
        reason = "constant evaluation: an index out of range does not compile"
    )]
    while index < 64 {
        values[ALPHABET[index as usize] as usize] = index;
        index += 1;
    }
    values
}

#[expect(clippy::indexing_slicing, reason = "256 values for a u8")]
pub(crate) const fn value(byte: u8) -> u8 {
    VALUE[byte as usize]
}

/// Whole groups on every line, lines of at most 76, padding only at the very end, then at most empty lines.
///
/// # Errors
/// The first offence.
pub fn check_base64(body: &[u8]) -> Result<(), Offence> {
    let mut at = 0;
    let mut ended = false;
    for line in lines(body) {
        let octets = line.strip_suffix(b"\r\n").unwrap_or(line);
        if octets.is_empty() {
            // Empty lines may only follow the data.
            ended = true;
        } else if ended {
            return Err((at, "base64 that goes on behind its end"));
        } else {
            ended = check_base64_line(octets).map_err(|what| (at, what))?;
        }
        at += line.len();
    }
    Ok(())
}

/// The lines of a body, each with its end.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

/// Whether the line ends the data.
fn check_base64_line(line: &[u8]) -> Result<bool, &'static str> {
    if line.len() > MAX_BASE64_LINE {
        return Err("a base64 line of more than 76 characters");
    }
    if !line.len().is_multiple_of(4) {
        return Err("base64 with a group across lines or cut off");
    }
    let padding = line.iter().rev().take_while(|byte| **byte == b'=').count();
    let (data, _) = line.split_at(line.len() - padding);
    // All octets, without a branch or a table for each: a processor looks at many at once.
    let good = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/');
    if !data.iter().fold(true, |all, byte| all & good(byte)) {
        return Err("a character that is not base64");
    }
    let last = data.last().map_or(0, |byte| value(*byte));
    match padding {
        0 => Ok(false),
        1 if last & 0b11 == 0 => Ok(true),
        2 if last & 0b1111 == 0 => Ok(true),
        1 | 2 => Err("base64 with bits behind its end"),
        _ => Err("base64 with too much padding"),
    }
}

/// Decodes what [`check_base64`] accepts; of anything else, what a lenient reader would.
pub fn decode_base64(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(body.len() / 4 * 3 + 3);
    let mut word = 0_u32;
    let mut have = 0_u32;
    for line in lines(body) {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        if have == 0 && decode_groups(text, &mut decoded) {
            continue;
        }
        for byte in line {
            let value = value(*byte);
            if value == BAD {
                continue;
            }
            word = word << 6 | u32::from(value);
            have += 1;
            if have == 4 {
                let [_, first, second, third] = word.to_be_bytes();
                decoded.extend_from_slice(&[first, second, third]);
                (word, have) = (0, 0);
            }
        }
    }
    let [_, first, second, _] = (word << (6 * (4 - have))).to_be_bytes();
    match have {
        2 => decoded.push(first),
        3 => decoded.extend_from_slice(&[first, second]),
        _ => {}
    }
    decoded
}

/// Decodes a line of whole groups without padding, which nearly all are; of any other, nothing, and says so.
fn decode_groups(line: &[u8], decoded: &mut Vec<u8>) -> bool {
    let (groups, []) = line.as_chunks::<4>() else { return false };
    let before = decoded.len();
    decoded.resize(before + groups.len() * 3, 0);
    let (places, _) = decoded.get_mut(before..).unwrap_or_default().as_chunks_mut::<3>();
    let mut all = 0;
    for (group, place) in groups.iter().zip(places) {
        let [first, second, third, fourth] = group.map(value);
        all |= first | second | third | fourth;
        *place = [first << 2 | second >> 4, second << 4 | third >> 2, third << 6 | fourth];
    }
    let good = all & 0xc0 == 0;
    if !good {
        decoded.truncate(before);
    }
    good
}

/// Printable ASCII, `=` only before two hexadecimal digits in capitals (rule 1 of section 6.7 requires them) or at the
/// end of a line, no blank before a line end.
///
/// # Errors
/// The first offence.
pub fn check_quoted_printable(body: &[u8]) -> Result<(), Offence> {
    let mut at = 0;
    let mut soft = false;
    for line in lines(body) {
        let text = line.strip_suffix(b"\r\n");
        let octets = text.unwrap_or(line);
        soft = check_quoted_printable_line(octets).map_err(|what| (at, what))?;
        if soft && text.is_none() {
            return Err((at, "a soft line break without a line"));
        }
        at += line.len();
    }
    if soft { Err((at, "a soft line break at the end")) } else { Ok(()) }
}

/// Whether the line ends in a soft line break.
fn check_quoted_printable_line(line: &[u8]) -> Result<bool, &'static str> {
    // All octets first, without a branch for each.
    if !line.iter().fold(true, |good, byte| good & matches!(byte, b'\t' | 32..=126)) {
        return Err("a character that is not quoted-printable");
    }
    if let Some(b' ' | b'\t') = line.last() {
        return Err("a blank before a line end in quoted-printable");
    }
    let mut rest = line;
    while let Some(at) = memchr(b'=', rest) {
        match rest.get(at + 1..).unwrap_or_default() {
            [] => return Ok(true),
            [b'0'..=b'9' | b'A'..=b'F', b'0'..=b'9' | b'A'..=b'F', after @ ..] => rest = after,
            _ => return Err("an equals sign that is no quoted-printable"),
        }
    }
    Ok(false)
}

/// Decodes what [`check_quoted_printable`] accepts; of anything else, what a lenient reader would.
pub fn decode_quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'=' {
            decoded.push(*first);
        } else if let Some(after) = tail.strip_prefix(b"\r\n") {
            rest = after;
        } else {
            // A sign is no digit, though `from_str_radix` takes one.
            let hex = tail.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
            let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
            match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    decoded.push(byte);
                    rest = tail.get(2..).unwrap_or_default();
                }
                None => decoded.push(b'='),
            }
        }
    }
    decoded
}

/// Encodes in lines of 76 characters, each ended by CRLF.
pub fn encode_base64(octets: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    encode_base64_into(octets, &mut encoded);
    encoded
}

/// As [`encode_base64`], behind what is there.
pub fn encode_base64_into(octets: &[u8], encoded: &mut Vec<u8>) {
    encoded.reserve(octets.len() / 57 * 78 + 80);
    for line in octets.chunks(57) {
        for group in line.chunks(3) {
            let mut word = [0; 4];
            word.iter_mut().skip(1).zip(group).for_each(|(place, octet)| *place = *octet);
            let word = u32::from_be_bytes(word);
            for place in 0..4 {
                let index = (word >> (18 - 6 * place)) & 63;
                let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
                encoded.push(if place <= group.len() { letter } else { b'=' });
            }
        }
        encoded.extend_from_slice(b"\r\n");
    }
}
