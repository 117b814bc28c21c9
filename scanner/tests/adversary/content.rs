//! M32 to M40: names, types against content, archives, charsets, HTML, headers that lie, volume.
use super::{MIME, Rng, TEXT, TOP, attached, base64, parts, plain, whole};

const MIXED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n";

pub(crate) fn mail(class: u8, rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let evil = attached(rng, payload);
    let part = |fields: &str, content: &[u8]| {
        whole(
            MIXED,
            &parts(
                "b1",
                &[TEXT, &format!("{fields}Content-Transfer-Encoding: base64\r\n\r\n{}", base64(content, 76))],
            ),
        )
    };
    match class {
        32 => {
            let name = rng.pick(&[
                "name=a.txt\r\nContent-Disposition: attachment; filename=b.exe",
                "name=\"a.exe\"\r\nContent-Disposition: attachment; filename*=utf-8''b%2Etxt; filename=c.pdf",
                "name=\"=?utf-8?Q?a=2Eexe?=\"\r\nContent-Disposition: attachment",
                "x=y\r\nContent-Disposition: attachment; filename=a; filename=b.exe",
                "x=y\r\nContent-Disposition: attachment; filename*0=a; filename*1=.exe; filename=b.txt",
                "x=y\r\nContent-Disposition: attachment; filename=\"../../a.exe\"",
                "x=y\r\nContent-Disposition: attachment; filename=\"a.exe\0.txt\"",
                "x=y\r\nContent-Disposition: attachment; filename=\"a\u{202e}txt.exe\"",
                "x=y\r\nContent-Disposition: attachment; filename=\"a.exe. \"",
                "x=y\r\nContent-Disposition: attachment; filename*=utf-8'en-us'",
                "x=y\r\nContent-Disposition: attachment; filename=\"a;b=\\\"c\\\".exe\"",
                "x=y\r\nContent-Location: http://example.org/a.exe",
            ]);
            part(&format!("Content-Type: application/octet-stream; {name}\r\n"), payload)
        }
        33 => {
            let heads: [&[u8]; 5] =
                [b"GIF89a\x01\0\x01\0", b"%PDF-1.4\n", b"\x89PNG\r\n\x1a\n", b"<html><body>", b""];
            let head = rng.pick(&heads);
            let kind = rng.pick(&["image/gif", "application/pdf", "text/html", "image/png", "audio/basic"]);
            part(&format!("Content-Type: {kind}\r\n"), &[head, payload].concat())
        }
        34 | 35 => {
            let stored = zip(payload, class == 35);
            let content = match rng.below(4) {
                0 => [b"junk before ".as_slice(), &stored].concat(),
                1 => [stored.as_slice(), b" junk behind"].concat(),
                2 => [stored.as_slice(), &zip(b"clean", false)].concat(),
                _ => stored,
            };
            part("Content-Type: application/zip; name=a.zip\r\n", &content)
        }
        36 => {
            let text: String = String::from_utf8_lossy(payload).into_owned();
            let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            match rng.below(5) {
                0 => part("Content-Type: text/plain; charset=utf-16le\r\n", &utf16),
                1 => part(
                    "Content-Type: text/plain; charset=utf-16\r\n",
                    &[&[0xff, 0xfe], utf16.as_slice()].concat(),
                ),
                2 => part("Content-Type: text/plain; charset*=us-ascii''utf-8\r\n", payload),
                3 => part("Content-Type: text/plain; charset=utf-7\r\n", text.replace('+', "+-").as_bytes()),
                _ => part("Content-Type: text/plain; charset=x-none\r\n", payload),
            }
        }
        37 => {
            let open =
                rng.pick(&["<img src=\"http://example.org/?", "<a href='x", "<!--", "<script>", "<style>"]);
            let first = format!("Content-Type: text/html\r\n\r\n{open}\r\n");
            let body = parts("b1", &[&first, &evil, "Content-Type: text/html\r\n\r\n\">\r\n"]);
            let body = if rng.chance(2) {
                body.replacen("--b1\r\nContent-Type: app", "--b1 \r\nContent-Type: app", 1)
            } else {
                body
            };
            whole(MIXED, &body)
        }
        38 => {
            let signature = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; l=10; h=from; bh=x; b=y\r\nAuthentication-Results: mx; dkim=pass\r\n";
            let mail = plain(rng, payload);
            let mail =
                if rng.chance(2) { mail.replace("Encoding: base64", "Encoding : base64") } else { mail };
            format!("{signature}{mail}").into_bytes()
        }
        39 => {
            let mark = rng.pick(&[
                "X-Mailward-Notice: none",
                "x-mailward-status: clean",
                "X-Mailward : clean",
                "X-Spam-Flag: NO",
                "X-Virus-Scanned: clean",
                "X-Mailward\0: x",
            ]);
            plain(rng, payload).replacen("Subject", &format!("{mark}\r\nSubject"), 1).into_bytes()
        }
        _ => {
            let count = 500 + rng.below(1500);
            match rng.below(6) {
                0 => format!("{}{}", "X-A: b\r\n".repeat(count), plain(rng, payload)).into_bytes(),
                1 => plain(rng, payload)
                    .replace("To: user", &format!("To: {}user", "a@example.org, ".repeat(count)))
                    .into_bytes(),
                2 => whole(
                    &format!(
                        "{MIME}Content-Type: multipart/mixed; {} boundary=b1\r\n",
                        (0..count).map(|at| format!("x*{at}=y;")).collect::<String>()
                    ),
                    &parts("b1", &[TEXT, &evil]),
                ),
                3 => plain(rng, payload)
                    .replace("Subject: test", &format!("Subject: {}", "=?utf-8?Q?x?= ".repeat(count)))
                    .into_bytes(),
                4 => plain(rng, payload).replace("Hello there.", &"x".repeat(count * 20)).into_bytes(),
                _ => format!(
                    "{TOP}{MIXED}\r\n{}--b1\r\n{evil}\r\n--b1--\r\n",
                    format!("--b1\r\n{TEXT}\r\n").repeat(count)
                )
                .into_bytes(),
            }
        }
    }
}

/// One stored member; with `locked` its flag says that it is encrypted.
fn zip(content: &[u8], locked: bool) -> Vec<u8> {
    let crc = content.iter().fold(!0_u32, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    let common = [
        &[20, 0, u8::from(locked), 0, 0, 0, 0, 0, 0x21, 0x5a][..],
        &(!crc).to_le_bytes(),
        &size,
        &size,
        &[5, 0, 0, 0],
    ]
    .concat();
    let local = [&b"PK\x03\x04"[..], &common, b"a.exe", content].concat();
    let central = [&b"PK\x01\x02\x14\0"[..], &common, &[0; 10], &[0; 4], b"a.exe"].concat();
    let end = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &u32::try_from(central.len()).unwrap().to_le_bytes(),
        &u32::try_from(local.len()).unwrap().to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [local, central, end].concat()
}
