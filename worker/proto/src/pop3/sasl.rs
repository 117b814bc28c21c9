//! Who logs in, as far as a SASL exchange shows it: for the log and for the index of changed mails, not for access.
use super::command::is_base64;
use crate::capability::Mechanism;
use zeroize::Zeroizing;

/// The name that a client's response carries; `first`: it is the client's first one.
pub(crate) fn user(mechanism: Mechanism, first: bool, response: &[u8]) -> Option<Vec<u8>> {
    name(mechanism, first, &decode(response)?)
}

/// The name in a response that is decoded.
pub(crate) fn name(mechanism: Mechanism, first: bool, response: &[u8]) -> Option<Vec<u8>> {
    let field = |separator: u8, index: usize| response.split(move |byte| *byte == separator).nth(index);
    let name = match mechanism {
        // RFC 4616 section 2: authorization identity, name, password.
        Mechanism::Plain if first => field(0, 1),
        Mechanism::Login if first => Some(response),
        // RFC 2195 section 2: the name, a blank, the digest.
        Mechanism::CramMd5 => response.rsplitn(2, |byte| *byte == b' ').nth(1),
        // RFC 5802 section 7: "n,,n=name,r=nonce"; RFC 7628: "n,a=name,\x01…".
        Mechanism::ScramSha1 | Mechanism::ScramSha256 | Mechanism::ScramSha512 if first => {
            field(b',', 2)?.strip_prefix(b"n=")
        }
        Mechanism::OauthBearer if first => field(b',', 1)?.strip_prefix(b"a="),
        Mechanism::Xoauth2 if first => field(1, 0)?.strip_prefix(b"user="),
        Mechanism::Plain
        | Mechanism::Login
        | Mechanism::ScramSha1
        | Mechanism::ScramSha256
        | Mechanism::ScramSha512
        | Mechanism::OauthBearer
        | Mechanism::Xoauth2 => None,
    };
    name.map(<[u8]>::to_vec)
}

/// RFC 4648 section 4. What is encoded may hold a password.
pub(crate) fn encode(octets: &[u8]) -> Zeroizing<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Zeroizing::new(Vec::with_capacity(octets.len().div_ceil(3) * 4));
    for group in octets.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let sextet = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default();
            let letter = ALPHABET.get(sextet).copied().unwrap_or(b'=');
            text.push(if place <= group.len() { letter } else { b'=' });
        }
    }
    text
}

/// RFC 4648 section 4. What is decoded may hold a password.
pub(crate) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if !is_base64(text) {
        return None;
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3));
    for group in text.chunks_exact(4) {
        let mut bits = 0_u32;
        let mut given = 0;
        for byte in group.iter().take_while(|byte| **byte != b'=') {
            bits = bits << 6 | sextet(*byte)?;
            given += 1;
        }
        bits <<= 6 * (4 - given);
        let [_, a, b, c] = bits.to_be_bytes();
        octets.extend([a, b, c].into_iter().take(usize::try_from(given).ok()?.saturating_sub(1)));
    }
    Some(octets)
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _other => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for (octets, text) in [
            (&b""[..], &b""[..]),
            (b"f", b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"foobar", b"Zm9vYmFy"),
            (b"\0joe\xff\0", b"AGpvZf8A"),
        ] {
            assert_eq!(*encode(octets), text);
            assert_eq!(*decode(text).unwrap(), octets);
        }
    }
}
