//! S/MIME's wrapping (CMS, RFC 5652 and RFC 3274): a message inside a signature or packed, which its reader opens without
//! being asked, and one that only its reader can open. BER, as mail programs write it: lengths may be left out.
use flate2::bufread::ZlibDecoder;
use std::io::Read;

const SIGNED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const PACKED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09";
/// Enveloped, signed and enveloped, encrypted; authenticated and enveloped (RFC 5083).
const LOCKED: [&[u8]; 4] = [
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x04",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17",
];
const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const EXPLICIT: u8 = 0xa0;
const OCTETS: u8 = 0x04;
const PIECES: u8 = 0x24;
/// Pieces of octets within pieces, and elements within elements that are passed over.
const MAX_DEPTH: usize = 8;

/// What stands in a wrapping.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Plain(Vec<u8>),
    /// It grows to more than it may.
    TooMuch,
}

/// Whether only the reader can open this.
pub(crate) fn is_enveloped(octets: &[u8]) -> bool {
    begin(octets).is_some_and(|(kind, _)| LOCKED.contains(&kind))
}

/// Whether a message is wrapped in this, which some readers open.
pub(crate) fn is_opaque(octets: &[u8]) -> bool {
    begin(octets).is_some_and(|(kind, _)| kind == SIGNED || kind == PACKED)
}

/// What is wrapped in these octets, of at most so many; nothing where the signature stands alone.
pub(super) fn content(octets: &[u8], most: u64) -> Option<Content> {
    let (kind, mut inside) = begin(octets)?;
    if kind != SIGNED && kind != PACKED {
        return None;
    }
    // The version; the algorithms of digests, or the one of packing; what is wrapped.
    inside.enter(SEQUENCE)?;
    inside.skip(0)?;
    inside.skip(0)?;
    inside.enter(SEQUENCE)?;
    inside.element(OBJECT)?;
    inside.enter(EXPLICIT)?;
    let mut content = Vec::new();
    inside.octets(&mut content, 0)?;
    if kind == SIGNED {
        return Some(Content::Plain(content));
    }
    let mut unpacked = Vec::new();
    // What is cut off or broken is shown as far as it goes.
    let _ = ZlibDecoder::new(content.as_slice()).take(most.saturating_add(1)).read_to_end(&mut unpacked);
    Some(if unpacked.len() as u64 > most { Content::TooMuch } else { Content::Plain(unpacked) })
}

/// The kind of wrapping, and what stands behind its name.
fn begin(octets: &[u8]) -> Option<(&[u8], Ber<'_>)> {
    let mut ber = Ber { rest: octets };
    ber.enter(SEQUENCE)?;
    let kind = ber.element(OBJECT)?;
    ber.enter(EXPLICIT)?;
    Some((kind, ber))
}

/// Elements from the front of what is left.
struct Ber<'a> {
    rest: &'a [u8],
}

impl<'a> Ber<'a> {
    /// The kind of the next element, and its length if that is given.
    fn header(&mut self) -> Option<(u8, Option<usize>)> {
        let (kind, rest) = self.rest.split_first()?;
        let (first, rest) = rest.split_first()?;
        let count = usize::from(first & 0x7f);
        let (length, rest) = match first {
            0x80 => (None, rest),
            0..=0x7f => (Some(count), rest),
            _ => {
                let (octets, rest) = rest.split_at_checked(count)?;
                let add = |all: usize, octet: &u8| all.checked_mul(256)?.checked_add(usize::from(*octet));
                (Some(octets.iter().try_fold(0, add)?), rest)
            }
        };
        self.rest = rest;
        Some((*kind, length))
    }

    /// Goes into an element of this kind. One that is cut off is what is there of it.
    fn enter(&mut self, kind: u8) -> Option<()> {
        let (_, length) = self.header().filter(|(found, _)| *found == kind)?;
        if let Some(length) = length {
            self.rest = self.rest.get(..length).unwrap_or(self.rest);
        }
        Some(())
    }

    /// The octets of an element of this kind whose length is given.
    fn element(&mut self, kind: u8) -> Option<&'a [u8]> {
        let (found, length) = self.header()?;
        let (octets, rest) = self.rest.split_at_checked(length?)?;
        self.rest = rest;
        (found == kind).then_some(octets)
    }

    /// Passes over an element.
    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.header()? {
            (_, Some(length)) => {
                self.rest = self.rest.get(length..)?;
                Some(())
            }
            (_, None) if depth >= MAX_DEPTH => None,
            (_, None) => {
                while !self.ends() {
                    self.skip(depth + 1)?;
                }
                Some(())
            }
        }
    }

    /// Whether the end of an element stands here whose length was left out; it is passed over.
    fn ends(&mut self) -> bool {
        let rest = self.rest.strip_prefix(b"\0\0");
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Octets, whole or in pieces; what is cut off is what is there of it.
    fn octets(&mut self, all: &mut Vec<u8>, depth: usize) -> Option<()> {
        let (kind, length) = self.header()?;
        let (own, behind) = match length {
            Some(length) => self.rest.split_at_checked(length).unwrap_or((self.rest, &[])),
            None => (self.rest, &[][..]),
        };
        match kind {
            OCTETS if length.is_some() => {
                all.extend_from_slice(own);
                self.rest = behind;
                Some(())
            }
            PIECES if depth < MAX_DEPTH => {
                let mut pieces = Ber { rest: own };
                loop {
                    let over = pieces.rest.is_empty() || (length.is_none() && pieces.ends());
                    if over || pieces.octets(all, depth + 1).is_none() {
                        break;
                    }
                }
                self.rest = if length.is_some() { behind } else { pieces.rest };
                Some(())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TEXT: &[u8] = b"Content-Type: text/plain\r\n\r\nHello, signed.\r\n";

    fn element(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 0x82], &length[..], content].concat()
    }

    /// Without a length, up to its end.
    fn open(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind, 0x80], content, &[0, 0]].concat()
    }

    type Write_ = fn(u8, &[u8]) -> Vec<u8>;

    fn wrapped(kind: &[u8], write: Write_, octets: &[u8]) -> Vec<u8> {
        let data = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
        let inner = write(SEQUENCE, &[element(OBJECT, data), write(EXPLICIT, octets)].concat());
        let body =
            write(SEQUENCE, &[element(2, &[1]), write(0x31, &element(SEQUENCE, b"sha")), inner].concat());
        write(SEQUENCE, &[element(OBJECT, kind), write(EXPLICIT, &body)].concat())
    }

    #[test]
    fn what_is_signed_is_found_however_it_was_written() {
        let whole = element(OCTETS, TEXT);
        let (one, other) = TEXT.split_at(10);
        let pieces = [element(OCTETS, one), open(PIECES, &element(OCTETS, other))].concat();
        for (write, octets) in [
            (element as Write_, whole.clone()),
            (open, whole),
            (element, element(PIECES, &pieces)),
            (open, open(PIECES, &pieces)),
        ] {
            let wrapped = wrapped(SIGNED, write, &octets);
            assert!(is_opaque(&wrapped) && !is_enveloped(&wrapped));
            assert_eq!(content(&wrapped, 1 << 20), Some(Content::Plain(TEXT.to_vec())), "{wrapped:02x?}");
        }
    }

    #[test]
    fn what_is_packed_is_unpacked_within_bounds() {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(TEXT).unwrap();
        let wrapped = wrapped(PACKED, open, &element(OCTETS, &packer.finish().unwrap()));
        assert!(is_opaque(&wrapped));
        assert_eq!(content(&wrapped, 1000), Some(Content::Plain(TEXT.to_vec())));
        assert_eq!(content(&wrapped, 10), Some(Content::TooMuch));
    }

    #[test]
    fn what_is_locked_has_no_content_and_a_signature_alone_neither() {
        for kind in LOCKED {
            let locked = wrapped(kind, open, &element(OCTETS, TEXT));
            assert!(is_enveloped(&locked) && !is_opaque(&locked));
            assert_eq!(content(&locked, 1000), None);
        }
        let alone = wrapped(SIGNED, element, b"");
        assert_eq!(content(&alone, 1000), None);
        for cut in 0..alone.len() {
            let _ = content(&alone[..cut], 1000);
        }
        assert!(!is_opaque(b"0 bottles of beer") && !is_enveloped(b""));
    }
}
