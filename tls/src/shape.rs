//! What a key may sign: exactly what a TLS handshake signs. A key that signed anything else would be an oracle.

/// RFC 8446 section 4.4.3.
const TLS13_SERVER: &[u8] = b"TLS 1.3, server CertificateVerify\0";
/// The same, of a client.
const TLS13_CLIENT: &[u8] = b"TLS 1.3, client CertificateVerify\0";
const PADDING: [u8; 64] = [b' '; 64];
/// The randoms of client and server before the parameters (RFC 5246 section 7.4.3).
const RANDOMS: usize = 64;
/// A TLS 1.2 handshake up to CertificateVerify, certificates of both sides in it.
const MOST_TRANSCRIPT: usize = 48 * 1024;

/// Whether a server signs this: CertificateVerify of TLS 1.3, or the ECDHE parameters of TLS 1.2 (RFC 8422 section 5.4).
pub fn is_server_signature(message: &[u8]) -> bool {
    is_verify(message, TLS13_SERVER) || is_parameters(message)
}

/// Whether a client signs this: CertificateVerify of TLS 1.3, or the handshake so far of TLS 1.2 (RFC 5246 section 7.4.8).
pub fn is_client_signature(message: &[u8]) -> bool {
    is_verify(message, TLS13_CLIENT) || is_transcript(message)
}

fn is_verify(message: &[u8], context: &[u8]) -> bool {
    let hash = message.strip_prefix(&PADDING).and_then(|rest| rest.strip_prefix(context));
    hash.is_some_and(|hash| matches!(hash.len(), 32 | 48))
}

fn is_parameters(message: &[u8]) -> bool {
    let Some([3, high, low, length, point @ ..]) = message.get(RANDOMS..) else { return false };
    let expected = match u16::from_be_bytes([*high, *low]) {
        // secp256r1, secp384r1, secp521r1, x25519.
        23 => 65,
        24 => 97,
        25 => 133,
        29 => 32,
        _ => return false,
    };
    usize::from(*length) == expected && point.len() == expected
}

/// Handshake messages in a row, the first of them a ClientHello.
fn is_transcript(message: &[u8]) -> bool {
    if message.len() > MOST_TRANSCRIPT || message.first() != Some(&1) {
        return false;
    }
    let (mut rest, mut count) = (message, 0);
    while let [_, high, middle, low, more @ ..] = rest {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let Some(after) = more.get(length..) else { return false };
        (rest, count) = (after, count + 1);
    }
    rest.is_empty() && count >= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(context: &[u8], hash: usize) -> Vec<u8> {
        [&PADDING[..], context, &vec![7; hash]].concat()
    }

    #[test]
    fn a_server_signs_its_handshake_and_nothing_else() {
        assert!(
            is_server_signature(&verify(TLS13_SERVER, 32)) && is_server_signature(&verify(TLS13_SERVER, 48))
        );
        assert!(!is_server_signature(&verify(TLS13_CLIENT, 32)), "what a client signs");
        assert!(
            !is_server_signature(&verify(TLS13_SERVER, 31)) && !is_server_signature(&verify(TLS13_SERVER, 0))
        );
        let mut parameters = vec![9; RANDOMS];
        parameters.extend([3, 0, 29, 32]);
        parameters.extend([5; 32]);
        assert!(is_server_signature(&parameters));
        parameters.push(0);
        assert!(!is_server_signature(&parameters), "one octet more");
        for other in [&b""[..], &[0; 32], &[0; 64], &vec![b' '; 1 << 20], b"tbsCertificate"] {
            assert!(!is_server_signature(other) && !is_client_signature(other), "{}", other.len());
        }
    }

    #[test]
    fn a_client_signs_its_handshake_and_nothing_else() {
        assert!(
            is_client_signature(&verify(TLS13_CLIENT, 48)) && !is_client_signature(&verify(TLS13_SERVER, 48))
        );
        let hello = |kind: u8| [&[kind, 0, 0, 3][..], b"abc"].concat();
        let transcript = [hello(1), hello(2), hello(11), hello(12), hello(16)].concat();
        assert!(is_client_signature(&transcript));
        assert!(!is_client_signature(&transcript[..transcript.len() - 1]), "cut off");
        assert!(!is_client_signature(&[hello(2), transcript].concat()), "no ClientHello first");
    }
}
