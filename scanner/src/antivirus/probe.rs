//! Mails that are made here to find out what an engine can do: it is shown what it must find.
use super::signatures::eicar;
use ipc::supervisor_scanner::Purpose;
use mime::transfer_encoding::encode_base64;

const HEADER: &str = "From: probe@mailward.invalid\r\nTo: probe@mailward.invalid\r\nSubject: probe\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_probe\"\r\n\r\n";

/// The mail of a probe; none for the purposes that bring their own.
pub fn mail(purpose: Purpose) -> Option<Vec<u8>> {
    match purpose {
        Purpose::Mail | Purpose::Suspect | Purpose::Poison | Purpose::ProbeVersion => None,
        Purpose::ProbeTestVirus => Some(with_attachments(&[("probe.com", eicar())])),
        Purpose::ProbeSize { size } => {
            // Base64 makes four octets of three; the virus stands in the last attachment.
            let size = usize::try_from(size).unwrap_or(usize::MAX).min(256 << 20);
            Some(with_attachments(&[("filler.bin", filler(size / 4 * 3)), ("probe.com", eicar())]))
        }
        Purpose::ProbeEncrypted => Some(with_attachments(&[("probe.zip", locked_archive())])),
        Purpose::ProbeFilter => Some(with_attachments(&[])),
    }
}

fn with_attachments(attachments: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut mail = HEADER.as_bytes().to_vec();
    for (name, content) in attachments {
        let header = format!(
            "--=_probe\r\nContent-Type: application/octet-stream; name=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n"
        );
        mail.extend_from_slice(header.as_bytes());
        mail.extend_from_slice(&encode_base64(content));
    }
    mail.extend_from_slice(b"--=_probe--\r\n");
    mail
}

/// Octets in which no engine finds a file of its own to take apart, and which do not compress away.
fn filler(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
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

/// A ZIP archive with one stored member whose "encrypted" flag is set (PKWARE's note, 4.4.4, bit 0).
fn locked_archive() -> Vec<u8> {
    const NAME: &[u8] = b"probe.txt";
    // Twelve octets of encryption header and four of content; nobody has the key, and nobody needs it.
    const CONTENT: [u8; 16] = *b"\x8a\x11\x3c\x5e\x90\x2b\x77\xd4\x0f\x66\xe1\x39\x52\xc8\x7d\x04";
    let mut common = Vec::new();
    for field in [20_u16, 1, 0, 0x6000, 0x5d00] {
        common.extend_from_slice(&field.to_le_bytes());
    }
    common.extend_from_slice(&0x1234_5678_u32.to_le_bytes());
    common.extend_from_slice(&16_u32.to_le_bytes());
    common.extend_from_slice(&4_u32.to_le_bytes());
    common.extend_from_slice(&9_u16.to_le_bytes());
    common.extend_from_slice(&0_u16.to_le_bytes());
    let local = [b"PK\x03\x04", common.as_slice(), NAME, &CONTENT].concat();
    let central = [b"PK\x01\x02\x14\x00", common.as_slice(), &[0; 14], NAME].concat();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &length(&central), &length(&local), b"\0\0"].concat();
    [local, central, end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Opener;
    use mime::recogniser::{Limits, recognise};
    use policy::status::{Status, StatusSet};

    #[test]
    fn the_locked_archive_is_seen_as_locked() {
        let mail = mail(Purpose::ProbeEncrypted).unwrap();
        assert!(recognise(&mail, &Limits::default()).is_ok());
        let filter = policy::model::MailFilter::default();
        let finding = Opener::new(&filter, &[], None).open(&locked_archive()).finding;
        assert_eq!(finding.statuses, StatusSet::of(Status::Encrypted), "{finding:?}");
    }

    #[test]
    fn a_probe_of_a_size_has_about_that_size_and_ends_with_the_virus() {
        let mail = mail(Purpose::ProbeSize { size: 1 << 20 }).unwrap();
        assert!((1 << 20..1_200_000).contains(&mail.len()), "{}", mail.len());
        let accepted = recognise(&mail, &Limits::default()).unwrap();
        assert_eq!(mime::recogniser::decode(&mail, &accepted.leaves[1]), eicar());
    }
}
