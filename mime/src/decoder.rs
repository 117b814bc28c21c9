//! Decoding while octets come, and how many octets will come out: IMAP's BINARY has to announce a length before its first
//! octet. Any cut of the input gives what the decoders of `transfer_encoding` give of the whole.
use crate::recogniser::Encoding;
use crate::transfer_encoding::value;
use memchr::memchr;

/// A decoder of one body.
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: Encoding,
    /// base64: bits that are not whole octets yet. quoted-printable: nothing.
    word: u32,
    have: u32,
    /// quoted-printable: an equals sign and what came behind it, until it is known what it means.
    held: Vec<u8>,
}

impl Decoder {
    /// At the start of a body.
    #[must_use]
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, word: 0, have: 0, held: Vec::new() }
    }

    /// Decodes the next octets to the end of `out`.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Identity => out.extend_from_slice(octets),
            Encoding::Base64 => self.push_base64(octets, out),
            Encoding::QuotedPrintable => self.push_quoted_printable(octets, out),
        }
    }

    /// The body is at its end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let [_, first, second, _] = (self.word << (6 * (4 - self.have))).to_be_bytes();
        match self.have {
            2 => out.push(first),
            3 => out.extend_from_slice(&[first, second]),
            _ => {}
        }
        (self.word, self.have) = (0, 0);
        // An equals sign that means nothing stands for itself.
        out.append(&mut self.held);
    }

    fn push_base64(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.reserve(octets.len() / 4 * 3 + 3);
        let (mut word, mut have) = (self.word, self.have);
        for octet in octets {
            let Some(value) = value_of(*octet) else { continue };
            word = word << 6 | value;
            have += 1;
            if have == 4 {
                let [_, first, second, third] = word.to_be_bytes();
                out.extend_from_slice(&[first, second, third]);
                (word, have) = (0, 0);
            }
        }
        (self.word, self.have) = (word, have);
    }

    fn push_quoted_printable(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.reserve(octets.len());
        let mut rest = octets;
        while !rest.is_empty() {
            if self.held.is_empty() {
                let plain = memchr(b'=', rest).unwrap_or(rest.len());
                let (before, from) = rest.split_at(plain);
                out.extend_from_slice(before);
                rest = from;
                if rest.is_empty() {
                    return;
                }
            }
            // Three octets say what an equals sign means.
            let wanted = 3_usize.saturating_sub(self.held.len()).min(rest.len());
            let (some, behind) = rest.split_at(wanted);
            self.held.extend_from_slice(some);
            rest = behind;
            if let [_, first, second] = *self.held {
                self.held.clear();
                match (first, second) {
                    (b'\r', b'\n') => {}
                    (first, second) => match (hex(first), hex(second)) {
                        (Some(high), Some(low)) => out.push(high << 4 | low),
                        _ => {
                            out.push(b'=');
                            self.again(&[first, second], out);
                        }
                    },
                }
            }
        }
    }

    /// Octets behind an equals sign that stood for itself: the next one may be among them.
    fn again(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let plain = memchr(b'=', octets).unwrap_or(octets.len());
        let (before, from) = octets.split_at(plain);
        out.extend_from_slice(before);
        self.held.extend_from_slice(from);
    }
}

/// Octets that a body decodes to. No encoding that is known: as it stands.
#[must_use]
pub fn decoded_length(body: &[u8], encoding: Encoding) -> usize {
    match encoding {
        Encoding::Identity => body.len(),
        Encoding::Base64 => {
            let digits = body.iter().filter(|octet| value_of(**octet).is_some()).count();
            digits / 4 * 3 + [0, 0, 1, 2].get(digits % 4).copied().unwrap_or_default()
        }
        Encoding::QuotedPrintable => {
            let mut decoder = Decoder::new(encoding);
            let mut piece = Vec::new();
            let mut length = 0;
            for octets in body.chunks(4096) {
                decoder.push(octets, &mut piece);
                length += piece.len();
                piece.clear();
            }
            decoder.finish(&mut piece);
            length + piece.len()
        }
    }
}

fn value_of(octet: u8) -> Option<u32> {
    let value = value(octet);
    (value < 64).then_some(u32::from(value))
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
