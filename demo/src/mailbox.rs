//! The sample mailbox: what a user's maildrop holds on an ordinary day, and what an attacker adds to it.
use std::io::{self, Cursor, Write};
use zip::write::SimpleFileOptions;

/// What this version promises for a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It arrives byte for byte.
    Identical,
    /// Its content never arrives.
    Stopped,
    /// It arrives in another form, which every reader reads alike; what they read differently does not.
    Rebuilt,
    /// It arrives, and what its HTML would run does not.
    Filtered,
}

/// One mail of the maildrop.
#[derive(Debug)]
pub(crate) struct Mail {
    /// A few words for the table.
    pub(crate) title: &'static str,
    /// What is promised.
    pub(crate) promise: Promise,
    /// CRLF line ends, as it would be after un-dot-stuffing.
    pub(crate) bytes: Vec<u8>,
    /// Octets that must not reach the client, in any line of what it got (only where such are promised).
    pub(crate) poison: Vec<u8>,
}

/// Octets of the large attachment before encoding.
const LARGE: usize = 5_000_000;

/// Makes the mailbox.
///
/// # Errors
/// When an archive cannot be built.
pub(crate) fn build() -> io::Result<Vec<Mail>> {
    let eicar = eicar();
    let spam =
        ["XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD", "-ANTI-UBE-TEST-EMAIL*C.34X"].concat().into_bytes();
    let zipped = base64(&archive("invoice.com", &eicar)?);
    let zip_poison = zipped.lines().next().unwrap_or_default().as_bytes().to_vec();
    let eicar_mail = simple(
        "Mallory <mallory@example.com>",
        "Your invoice",
        "text/plain; charset=us-ascii",
        "7bit",
        &eicar,
    );
    let macro_document = base64(&archive("word/vbaProject.bin", &noise(600))?);
    let locked = base64(&locked(archive("plans.txt", &noise(600))?));
    let program = base64(&[b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0".as_slice(), &noise(600)].concat());
    let first_line = |encoded: &str| encoded.lines().next().unwrap_or_default().as_bytes().to_vec();
    Ok(vec![
        identical("plain text", include_bytes!("../mails/plain.eml")),
        identical("alternative, inline image", include_bytes!("../mails/alternative.eml")),
        identical("Czech, 8bit", include_bytes!("../mails/czech.eml")),
        identical("Japanese, ISO-2022-JP", include_bytes!("../mails/japanese.eml")),
        identical("S/MIME signed", include_bytes!("../mails/signed.eml")),
        identical("forwarded message/rfc822", include_bytes!("../mails/nested.eml")),
        Mail {
            title: "5 MB attachment",
            promise: Promise::Identical,
            bytes: with_attachment("Scans of the plans", "plans.bin", &base64(&noise(LARGE))),
            poison: Vec::new(),
        },
        Mail { title: "test virus, bare", promise: Promise::Stopped, bytes: eicar_mail, poison: eicar },
        Mail {
            title: "test virus in a ZIP",
            promise: Promise::Stopped,
            bytes: with_attachment("Your invoice, again", "invoice.zip", &zipped),
            poison: zip_poison,
        },
        Mail {
            title: "document with a macro",
            promise: Promise::Stopped,
            bytes: with_attachment("Price list", "prices.docm", &macro_document),
            poison: first_line(&macro_document),
        },
        Mail {
            title: "locked archive",
            promise: Promise::Stopped,
            bytes: with_attachment("The plans, the password follows", "plans.zip", &locked),
            poison: first_line(&locked),
        },
        Mail {
            title: "program",
            promise: Promise::Stopped,
            bytes: with_attachment("New viewer", "viewer.exe", &program),
            poison: first_line(&program),
        },
        Mail {
            title: "HTML, script, web bug",
            promise: Promise::Filtered,
            bytes: include_bytes!("../mails/html.eml").to_vec(),
            poison: b"document.cookie".to_vec(),
        },
        Mail {
            title: "spam (GTUBE)",
            promise: Promise::Stopped,
            bytes: simple(
                "Sales <sales@example.com>",
                "Best price",
                "text/plain; charset=us-ascii",
                "7bit",
                &spam,
            ),
            poison: spam,
        },
        Mail {
            title: "ambiguous: two types",
            promise: Promise::Rebuilt,
            bytes: include_bytes!("../mails/ambiguous-type.eml").to_vec(),
            poison: b"TVqQAAMAAAAEAAAA".to_vec(),
        },
        Mail {
            title: "ambiguous: odd base64",
            promise: Promise::Rebuilt,
            bytes: include_bytes!("../mails/ambiguous-base64.eml").to_vec(),
            poison: b"aGVsbG8=d29ybGQh".to_vec(),
        },
    ])
}

fn identical(title: &'static str, bytes: &[u8]) -> Mail {
    Mail { title, promise: Promise::Identical, bytes: bytes.to_vec(), poison: Vec::new() }
}

/// The EICAR test string, put together here so that no scanner stops at this file or at the binary.
fn eicar() -> Vec<u8> {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat().into_bytes()
}

fn header(from: &str, subject: &str, extra: &str) -> Vec<u8> {
    format!(
        "Return-Path: <demo-sender@example.com>\r\n\
         Received: from mx.example.com (mx.example.com [192.0.2.66])\r\n\
         \tby mail.example.net with ESMTP; Fri, 06 Nov 2026 12:00:00 +0000\r\n\
         Date: Fri, 06 Nov 2026 12:00:00 +0000\r\n\
         From: {from}\r\n\
         To: Demo User <demo@example.net>\r\n\
         Subject: {subject}\r\n\
         Message-ID: <{id}@example.com>\r\n\
         MIME-Version: 1.0\r\n\
         {extra}\r\n",
        id = subject.replace([' ', ','], ".").to_lowercase(),
    )
    .into_bytes()
}

fn simple(from: &str, subject: &str, content_type: &str, encoding: &str, body: &[u8]) -> Vec<u8> {
    let extra = format!("Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n");
    [header(from, subject, &extra).as_slice(), body, b"\r\n"].concat()
}

fn with_attachment(subject: &str, name: &str, encoded: &str) -> Vec<u8> {
    let extra = "Content-Type: multipart/mixed; boundary=\"=_demo_4f2a\"\r\n";
    let mut mail = header("Eva Berg <eva@example.org>", subject, extra);
    mail.extend_from_slice(
        format!(
            "--=_demo_4f2a\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\
             \r\n\
             The file is attached.\r\n\
             \r\n\
             --=_demo_4f2a\r\n\
             Content-Type: application/octet-stream; name=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\
             \r\n\
             {encoded}\
             --=_demo_4f2a--\r\n"
        )
        .as_bytes(),
    );
    mail
}

fn archive(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(name, SimpleFileOptions::default()).map_err(io::Error::other)?;
    archive.write_all(content)?;
    Ok(archive.finish().map_err(io::Error::other)?.into_inner())
}

/// The same archive with its member marked as locked (PKWARE's note, 4.4.4, bit 0), in both of its headers.
fn locked(mut archive: Vec<u8>) -> Vec<u8> {
    let directory = memchr::memmem::find(&archive, b"PK\x01\x02").map(|at| at + 8);
    for at in [Some(6), directory].into_iter().flatten() {
        if let Some(flags) = archive.get_mut(at) {
            *flags |= 1;
        }
    }
    archive
}

/// Octets that do not compress and are the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// RFC 2045 section 6.8, lines of 76 octets, CRLF at the end of each.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 28 + 8);
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
                << (8 * (3 - group.len()));
            for place in 0..4 {
                let index = (word >> (18 - 6 * place)) & 63;
                let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'A');
                encoded.push(if place <= group.len() { char::from(letter) } else { '=' });
            }
        }
        encoded.push_str("\r\n");
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_rfc_4648_section_10_shows() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg==\r\n"), ("fo", "Zm8=\r\n"), ("foo", "Zm9v\r\n"), ("foobar", "Zm9vYmFy\r\n")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn every_mail_has_crlf_line_ends_and_holds_its_poison() {
        let mails = build().unwrap();
        assert!(mails.len() >= 12);
        for mail in mails {
            let text = String::from_utf8_lossy(&mail.bytes).replace("\r\n", "");
            assert!(!text.contains(['\r', '\n']), "{}", mail.title);
            let holds = mail.bytes.windows(mail.poison.len().max(1)).any(|window| window == mail.poison);
            let has_some = matches!(mail.promise, Promise::Stopped | Promise::Rebuilt | Promise::Filtered);
            assert_eq!(holds, has_some, "{}", mail.title);
        }
    }
}
