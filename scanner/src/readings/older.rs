//! Encodings older than MIME, inside texts: uuencode (and its base64 and xx forms), yEnc, BinHex 4.0. Readers that know
//! them take the files out; others show the lines as text.
use memchr::memmem;
use mime::recogniser::begins_uuencode;
use mime::transfer_encoding::decode_base64;
use std::ops::Range;

/// Blocks of one text; whoever writes more is not read to the end, and says so by the text that remains.
pub(super) const MAX_BLOCKS: usize = 1000;
/// Octets of a name.
const MAX_NAME: usize = 255;
const YENC: &[u8] = b"=ybegin ";
const BINHEX: &[u8] = b"(This file must be converted with BinHex";
const BINHEX_ALPHABET: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
const XX_ALPHABET: &[u8; 64] = b"+-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A file inside a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// The lines that make it, the first and the last with it.
    pub range: Range<usize>,
    /// As it is written there.
    pub name: Vec<u8>,
    /// Decoded.
    pub content: Vec<u8>,
    /// The line that ends it is there.
    pub ended: bool,
}

/// Every such file, in order. One that does not end hides none of those behind it.
pub fn blocks(text: &[u8]) -> Vec<Older> {
    let mut found: Vec<Older> = Vec::new();
    let mut from = 0;
    for at in beginnings(text) {
        if at < from {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let block = uu(rest).or_else(|| yenc(rest)).or_else(|| binhex(rest));
        if let Some(Block { length, name, content, ended }) = block {
            if ended {
                from = at + length;
            }
            found.push(Older { range: at..at + length, name, content, ended });
        }
        if found.len() >= MAX_BLOCKS {
            break;
        }
    }
    found
}

/// What readers find that take any line of data behind such a beginning, whatever stands between them, up to the next
/// beginning: for the engines only.
pub(super) fn loose(text: &[u8]) -> Vec<Vec<u8>> {
    let begins: Vec<usize> =
        beginnings(text).into_iter().filter(|at| text.get(*at..).is_some_and(begins_uuencode)).collect();
    let ends = begins.iter().copied().skip(1).chain([text.len()]);
    let content = |(begin, end): (&usize, usize)| -> Vec<u8> {
        let lines = text.get(*begin..end).unwrap_or_default().split(|octet| *octet == b'\n').skip(1);
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let file = lines.take_while(|line| !line.trim_ascii_end().eq_ignore_ascii_case(b"end"));
        file.filter_map(uu_line).flatten().collect()
    };
    begins.iter().zip(ends).take(MAX_BLOCKS).map(content).filter(|content| !content.is_empty()).collect()
}

/// Where one could begin, found in one pass for each first word.
fn beginnings(text: &[u8]) -> Vec<usize> {
    let begins = |at: &usize| {
        let rest = text.get(*at..).unwrap_or_default();
        begins_uuencode(rest) || rest.starts_with(b"begin-base64 ") || rest.starts_with(YENC)
    };
    let lines = std::iter::once(0).chain(memchr::memchr2_iter(b'\n', b'\r', text).map(|at| at + 1));
    let mut all: Vec<usize> = lines.filter(begins).collect();
    all.extend(memmem::find_iter(text, BINHEX));
    all.sort_unstable();
    all
}

struct Block {
    length: usize,
    name: Vec<u8>,
    content: Vec<u8>,
    ended: bool,
}

/// The next line without its end, and the offset behind it.
fn line(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    let line = rest.get(..end)?;
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Some((line.strip_suffix(b"\r").unwrap_or(line), at + end))
}

fn name(octets: &[u8]) -> Vec<u8> {
    let name = octets.trim_ascii();
    name.get(..name.len().min(MAX_NAME)).unwrap_or_default().to_vec()
}

/// `begin 644 name`, or `begin-base64 644 name`, up to `end` or `====` or what is no line of it.
fn uu(text: &[u8]) -> Option<Block> {
    let (first, mut at) = line(text, 0)?;
    let (rest, base64) = match first.strip_prefix(b"begin-base64 ") {
        Some(rest) => (rest, true),
        None => (first.get(b"begin".len()..).filter(|_| begins_uuencode(first))?, false),
    };
    let rest = rest.trim_ascii_start();
    let digits = rest.iter().take_while(|octet| matches!(octet, b'0'..=b'7' | b'+' | b'-')).count();
    if digits == 0 {
        return None;
    }
    let name = name(rest.get(digits..)?);
    let mut ended = false;
    if base64 {
        let mut data = Vec::new();
        while let Some((text, behind)) = line(text, at) {
            // No line of data has a blank: another begins.
            if text.starts_with(b"begin-base64 ") {
                break;
            }
            at = behind;
            if text.starts_with(b"====") {
                ended = true;
                break;
            }
            data.extend_from_slice(text);
        }
        return Some(Block { length: at, name, content: decode_base64(&data), ended });
    }
    let mut content = Vec::new();
    while let Some((text, behind)) = line(text, at) {
        if text.trim_ascii_end() == b"end" {
            at = behind;
            ended = true;
            break;
        }
        match uu_line(text) {
            Some(octets) => content.extend(octets),
            // An empty line ends nothing to most readers.
            None if text.is_empty() => {}
            None => break,
        }
        at = behind;
    }
    (!content.is_empty()).then_some(Block { length: at, name, content, ended })
}

/// One line: a count, and groups of four. Blanks that were cut off at the end count as zeros.
fn uu_line(line: &[u8]) -> Option<Vec<u8>> {
    let (count, data) = line.split_first()?;
    let plain = |octet: u8| (32..=96).contains(&octet).then(|| octet.wrapping_sub(32) & 63);
    let xx = |octet: u8| {
        XX_ALPHABET.iter().position(|letter| *letter == octet).and_then(|at| u8::try_from(at).ok())
    };
    let decode = |value: &dyn Fn(u8) -> Option<u8>| {
        let count = usize::from(value(*count)?);
        let groups = count.div_ceil(3);
        // One octet more than needed is a checksum that some programs write.
        if data.len() > groups * 4 + 2 || (data.is_empty() && count > 0) {
            return None;
        }
        let values: Vec<u8> = data.iter().map(|octet| value(*octet)).collect::<Option<_>>()?;
        let mut octets =
            groups_of_four(values.into_iter().chain(std::iter::repeat_n(0, groups * 4)).take(groups * 4));
        octets.truncate(count);
        Some(octets)
    };
    decode(&plain).or_else(|| decode(&xx))
}

fn groups_of_four(values: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut octets = Vec::new();
    let (mut word, mut have) = (0_u32, 0);
    for value in values {
        word = word << 6 | u32::from(value);
        have += 1;
        if have == 4 {
            let [_, first, second, third] = word.to_be_bytes();
            octets.extend([first, second, third]);
            (word, have) = (0, 0);
        }
    }
    if have > 1 {
        let [_, first, second, _] = (word << (6 * (4 - have))).to_be_bytes();
        octets.push(first);
        if have == 3 {
            octets.push(second);
        }
    }
    octets
}

/// `=ybegin ... name=x`, perhaps `=ypart`, data, `=yend`.
fn yenc(text: &[u8]) -> Option<Block> {
    let (first, mut at) = line(text, 0)?;
    let attributes = first.strip_prefix(YENC)?;
    let name = memmem::find(attributes, b"name=")
        .and_then(|at| attributes.get(at + 5..))
        .map(name)
        .unwrap_or_default();
    let mut content = Vec::new();
    let mut ended = false;
    while let Some((text, behind)) = line(text, at) {
        // One without an end lasts to the next.
        if text.starts_with(YENC) {
            break;
        }
        at = behind;
        if text.starts_with(b"=yend") {
            ended = true;
            break;
        }
        if text.starts_with(b"=ypart") {
            continue;
        }
        let mut escaped = false;
        for octet in text {
            if *octet == b'=' && !escaped {
                escaped = true;
                continue;
            }
            content.push(octet.wrapping_sub(if escaped { 64 + 42 } else { 42 }));
            escaped = false;
        }
    }
    Some(Block { length: at, name, content, ended })
}

/// From the notice to the second colon; both forks, one behind the other.
fn binhex(text: &[u8]) -> Option<Block> {
    if !text.starts_with(BINHEX) {
        return None;
    }
    // One without an end lasts to the next.
    let behind = memmem::find(text.get(BINHEX.len()..)?, BINHEX).map(|at| at + BINHEX.len());
    let text = text.get(..behind.unwrap_or(text.len()))?;
    let start = memchr::memchr(b'\n', text)?;
    let open = start + memchr::memchr(b':', text.get(start..)?)? + 1;
    let close = memchr::memchr(b':', text.get(open..)?).map_or(text.len(), |close| open + close);
    let value = |octet: &u8| {
        BINHEX_ALPHABET.iter().position(|letter| letter == octet).and_then(|at| u8::try_from(at).ok())
    };
    let packed = groups_of_four(text.get(open..close)?.iter().filter_map(value));
    let mut octets: Vec<u8> = Vec::with_capacity(packed.len());
    let mut packed = packed.into_iter();
    while let Some(octet) = packed.next() {
        match (octet, if octet == 0x90 { packed.next() } else { None }) {
            (0x90, Some(0) | None) => octets.push(0x90),
            (0x90, Some(count)) => {
                let last = octets.last().copied().unwrap_or_default();
                octets.extend(std::iter::repeat_n(last, usize::from(count) - 1));
            }
            (octet, _) => octets.push(octet),
        }
    }
    let length = usize::from(*octets.first()?);
    let name = octets.get(1..1 + length)?.to_vec();
    // Version, type, creator and flags, then the lengths of both forks and a checksum.
    let lengths = octets.get(length + 12..length + 20)?;
    let long = |octets: &[u8]| Some(u32::from_be_bytes(octets.try_into().ok()?) as usize);
    let (data, resource) = (long(lengths.get(..4)?)?, long(lengths.get(4..)?)?);
    let start = length + 22;
    let end = start.checked_add(data)?.min(octets.len());
    let mut content = octets.get(start..end).unwrap_or_default().to_vec();
    let resource_end = end.saturating_add(2).saturating_add(resource).min(octets.len());
    content.extend_from_slice(octets.get(end + 2..resource_end).unwrap_or_default());
    Some(Block { length: (close + 1).min(text.len()), name, content, ended: close < text.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_older_encodings_are_found_in_a_text() {
        let text = b"Hello,\r\n\r\nbegin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\nBye.\r\nbegin-base64 644 b.txt\r\nQ2F0\r\n====\r\n\
            =ybegin line=128 size=3 name=c.txt\r\n\x6d\x8b\x9e\r\n=yend size=3\r\n";
        let found = blocks(text);
        let names: Vec<_> = found.iter().map(|block| block.name.clone()).collect();
        assert_eq!(names, [b"a.txt", b"b.txt", b"c.txt"]);
        assert!(found.iter().all(|block| block.content == b"Cat"), "{found:?}");
        assert!(text[found[0].range.clone()].ends_with(b"end\r\n"));
    }

    #[test]
    fn one_that_never_ends_hides_none_behind_it_and_lines_that_are_none_of_it_hide_none_of_its() {
        for first in [
            "=ybegin size=3 name=x\nabc\n",
            "begin-base64 644 x\nQUJD\n",
            "begin 644 x\n",
            "(This file must be converted with BinHex 4.0)\n:abc\n",
        ] {
            let text = format!("{first}begin 644 a.txt\n#0V%T\nend\n");
            assert!(
                blocks(text.as_bytes()).iter().any(|block| block.content == b"Cat" && block.ended),
                "{first}"
            );
        }
        for begin in ["BEGIN\t7", "Begin  100644 a", "begin -644a"] {
            let text = format!("{begin}\nno line of it\n\n#0V%T\nEND\n");
            assert_eq!(loose(text.as_bytes()), [b"Cat"], "{begin}");
        }
    }

    #[test]
    fn xxencode_is_told_from_uuencode_and_prose_is_no_file() {
        assert_eq!(blocks(b"begin 644 x\n1Eo3p\n+\nend\n")[0].content.len(), 3);
        assert!(blocks(b"begin 644 is how it starts\r\nand then prose follows, of course\r\n").is_empty());
        assert!(blocks(b"let us begin 100 times\r\n").is_empty());
    }

    #[test]
    fn both_forks_of_binhex_are_found() {
        // One octet of name, version, type, creator, flags, lengths 4 and 0, checksum, data, checksum.
        let mut octets = vec![1, b'x', 0];
        octets.extend(b"TEXTttxt\0\0\0\0\0\x04\0\0\0\0\0\0data\0\0");
        let mut text = BINHEX.to_vec();
        text.extend(b" 4.0)\r\n:");
        for group in octets.chunks(3) {
            let mut word = [0; 4];
            word.iter_mut().skip(1).zip(group).for_each(|(place, octet)| *place = *octet);
            let word = u32::from_be_bytes(word);
            text.extend(
                (0..=group.len()).map(|place| BINHEX_ALPHABET[(word >> (18 - 6 * place)) as usize & 63]),
            );
        }
        text.extend(b":\r\n");
        let found = blocks(&text);
        assert_eq!((found[0].name.as_slice(), found[0].content.as_slice()), (&b"x"[..], &b"data"[..]));
    }
}
