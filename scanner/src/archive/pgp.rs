//! OpenPGP (RFC 9580): messages that only their reader can open, in armour or as they are. What is only signed in clear text is
//! a text like any other.
use memchr::memmem;

const ARMOUR: &[u8] = b"-----BEGIN PGP MESSAGE";

/// Packets: a session key locked by a public key, or by a passphrase; what it locks, in both of its forms.
const PUBLIC_KEY: u8 = 1;
const PASSPHRASE: u8 = 3;
const LOCKED: [u8; 3] = [9, 18, 20];

/// Whether an encrypted message stands in these octets: as armour in some line, or from the first octet on. Armour hides
/// what is in it even where it is only signed and packed.
pub(super) fn is_message(octets: &[u8]) -> bool {
    let begins_line =
        |at: usize| at.checked_sub(1).is_none_or(|before| matches!(octets.get(before), Some(b'\n' | b'\r')));
    memmem::find_iter(octets, ARMOUR).any(begins_line) || is_binary(octets)
}

/// The first packet holds a session key, and behind it stands another, or what that key locks.
fn is_binary(octets: &[u8]) -> bool {
    let Some((tag, body, behind)) = packet(octets) else { return false };
    let holds_key = match tag {
        // Behind the version (section 5.1) the eight octets that name the key, and the algorithm.
        PUBLIC_KEY => match body.first() {
            Some(2 | 3) => matches!(body.get(9), Some(1 | 2 | 16 | 18 | 25 | 26)),
            Some(6) => true,
            _ => false,
        },
        // Section 5.3: the version and the cipher.
        PASSPHRASE => matches!(body, [4, 1..=13, ..] | [5 | 6, ..]),
        _ => false,
    };
    let follows = behind.first().and_then(|_| header(behind)).map(|(tag, _)| tag);
    holds_key && follows.is_some_and(|tag| [PUBLIC_KEY, PASSPHRASE].contains(&tag) || LOCKED.contains(&tag))
}

/// The kind of a packet of known length, its body, and what stands behind it.
fn packet(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length_at) = header(octets)?;
    let number = |octets: &[u8]| octets.iter().fold(0_usize, |all, octet| (all << 8) | usize::from(*octet));
    let first = usize::from(*octets.get(1)?);
    let (length, body_at) = match length_at {
        // Section 4.2.1: the first octet says how many there are.
        None => match first {
            0..=191 => (first, 2),
            192..=223 => (((first - 192) << 8) + usize::from(*octets.get(2)?) + 192, 3),
            255 => (number(octets.get(2..6)?), 6),
            _ => return None,
        },
        Some(width) => (number(octets.get(1..1 + width)?), 1 + width),
    };
    let (body, behind) = octets.get(body_at..)?.split_at_checked(length)?;
    Some((tag, body, behind))
}

/// The kind of the packet that begins here; in the older format also how many octets say its length.
fn header(octets: &[u8]) -> Option<(u8, Option<usize>)> {
    let first = *octets.first()?;
    match first >> 6 {
        0b11 => Some((first & 0x3f, None)),
        0b10 => Some(((first >> 2) & 0x0f, Some([1, 2, 4, 0].get(usize::from(first & 3)).copied()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key locked for a key of RSA, and what it locks.
    fn binary(first: &[u8]) -> Vec<u8> {
        [first, &[3, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 8, 0xff], &[0xd2, 4, 1, 2, 3, 4]].concat()
    }

    #[test]
    fn messages_are_known_in_armour_and_as_they_are() {
        let armour = b"Hello\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA...\r\n-----END PGP MESSAGE-----\r\n";
        let passphrase = [0x8c, 4, 4, 9, 0, 8, 0xd2, 2, 1, 1];
        for message in [
            armour.to_vec(),
            binary(&[0xc1, 13]),
            binary(&[0x84, 13]),
            binary(&[0x85, 0, 13]),
            passphrase.to_vec(),
        ] {
            assert!(is_message(&message), "{message:?}");
        }
    }

    #[test]
    fn signatures_keys_and_other_octets_are_none() {
        let others: [&[u8]; 8] = [
            b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nHello\r\n",
            b"-----BEGIN PGP SIGNATURE-----\r\n",
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n",
            b"he wrote: -----BEGIN PGP MESSAGE-----",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"\xc1\x0d\x03",
            b"\x84\x0d\x03\x01\x02\x03\x04\x05\x06\x07\x08\x63\0\0\0\xd2\x04",
            b"",
        ];
        for octets in others {
            assert!(!is_message(octets), "{octets:?}");
        }
        let mut cut = binary(&[0xc1, 13]);
        cut.truncate(15);
        assert!(!is_message(&cut));
    }
}
