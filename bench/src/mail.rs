//! The mails that every run serves and verifies: text and base64, deterministic, ordinary.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A mail and its form on the wire.
#[derive(Debug)]
pub(crate) struct Mail {
    /// CRLF line ends.
    pub(crate) bytes: Vec<u8>,
    /// Dot-stuffed and terminated, as a client must receive it behind the `+OK` line.
    pub(crate) wire: Vec<u8>,
}

impl Mail {
    /// A mail of about `octets` octets with one base64 attachment; `seed` makes it unique.
    pub(crate) fn new(octets: usize, seed: u64) -> Self {
        let mut bytes = format!(
            "Return-Path: <bench@example.org>\r\n\
             Received: from mx.example.org (mx.example.org [192.0.2.25]) by mail.example.net; Mon, 02 Nov 2026 09:12:44 +0100\r\n\
             Date: Mon, 02 Nov 2026 09:12:44 +0100\r\n\
             From: Bench <bench@example.org>\r\n\
             To: User <user@example.net>\r\n\
             Subject: mail {seed} of {octets} octets\r\n\
             Message-ID: <{seed}.{octets}@example.org>\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=\"=_bench_{seed}\"\r\n\
             \r\n\
             --=_bench_{seed}\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\
             \r\n\
             A line of text.\r\n\
             .a line that begins with a dot\r\n\
             \r\n\
             --=_bench_{seed}\r\n\
             Content-Type: application/octet-stream; name=\"data.bin\"\r\n\
             Content-Transfer-Encoding: base64\r\n\
             \r\n"
        )
        .into_bytes();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while bytes.len() + 120 < octets {
            bytes.extend((0..76).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let index = usize::try_from((state >> 33) & 63).unwrap_or(0);
                ALPHABET.get(index).copied().unwrap_or(b'A')
            }));
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("\r\n--=_bench_{seed}--\r\n").as_bytes());
        let wire = stuff(&bytes);
        Self { bytes, wire }
    }
}

fn stuff(bytes: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(bytes.len() + 64);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
