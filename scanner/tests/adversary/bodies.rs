//! M14 to M31: encodings, delimiters, nesting, what stands around parts, and formats older than MIME.
use super::{MIME, Rng, TEXT, attached, base64, parts, plain, whole};

const MIXED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n";

/// A part with this encoding and body.
fn encoded(encoding: &str, body: &str) -> String {
    format!(
        "Content-Type: application/octet-stream; name=\"program.exe\"\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Disposition: attachment; filename=\"program.exe\"\r\n\r\n{body}"
    )
}

fn with_part(part: &str) -> Vec<u8> {
    whole(MIXED, &parts("b1", &[TEXT, part]))
}

pub(crate) fn mail(class: u8, rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let data = base64(payload, 76);
    let evil = attached(rng, payload);
    match class {
        14 => {
            let encoding = rng.pick(&[
                "baSE64",
                "base645",
                "x-base64",
                "base-64",
                "b64",
                "base64/x",
                "unknown",
                "8bit base64",
                "binary",
                "utf-7",
                "qp",
                "mac-binhex40",
            ]);
            if rng.chance(4) {
                let inner = parts("b1", &[TEXT, &evil]);
                return whole(
                    &format!("{MIXED}Content-Transfer-Encoding: base64\r\n"),
                    &base64(inner.as_bytes(), 76),
                );
            }
            with_part(&encoded(encoding, &data))
        }
        15 => {
            let junk = rng.pick(&["!", "-", "_", ".", "#", "\u{e9}", "\\", "~", "$$", "(x)"]);
            let at = 4 * (1 + rng.below(5)) + if rng.chance(3) { 1 } else { 0 };
            let mut changed = data.clone();
            for place in [at, at + 9, at + 30] {
                changed.insert_str(place, junk);
            }
            if rng.chance(4) {
                changed = changed.replace('+', "-").replace('/', "_");
            }
            with_part(&encoded("base64", &changed))
        }
        16 => {
            let whole: String = data.split_whitespace().collect();
            let cut = 4 * (1 + rng.below(10));
            let body = match rng.below(7) {
                0 => format!("{}={}\r\n", &whole[..cut], &whole[cut..]),
                1 => format!("={whole}\r\n"),
                2 => format!("{whole}====\r\n"),
                3 => format!("{}\r\n", whole.trim_end_matches('=')),
                4 => payload.chunks(10).map(|run| base64(run, 76)).collect(),
                5 => format!("{}==\r\n{}\r\n", &whole[..cut + 2], &whole[cut..]),
                _ => format!("{}\r\nQUJD\r\n", whole.trim_end()),
            };
            with_part(&encoded("base64", &body))
        }
        17 => {
            let body = match rng.below(6) {
                0 => {
                    let width = 1 + rng.below(5);
                    base64(payload, width)
                }
                1 => data.replace("\r\n", "\r\n\r\n\r\n"),
                2 => data.chars().flat_map(|letter| [letter, ' ']).collect(),
                3 => format!("This text stands before the data:\r\n\r\n{data}"),
                4 => format!("{data}\r\nThis text stands behind it.\r\n"),
                _ => base64(payload, 3000),
            };
            with_part(&encoded("base64", &body))
        }
        18 => {
            let hex: String = payload.iter().map(|octet| format!("={octet:02X}")).collect();
            let lines = |text: &str, end: &str| {
                text.as_bytes()
                    .chunks(60)
                    .map(|line| format!("{}{end}", std::str::from_utf8(line).unwrap()))
                    .collect::<String>()
            };
            let text = String::from_utf8_lossy(payload).into_owned();
            let body = match rng.below(9) {
                0 => lines(&hex, "=\r\n"),
                1 => lines(&hex, "= \t\r\n"),
                2 => lines(&hex, "=\n"),
                3 => lines(&hex, "=\r"),
                4 => hex.to_lowercase(),
                5 => text.replace('O', "=4f").replace('I', "=4"),
                6 => lines(&hex, "=20=\r\n").replace("=20=\r\n", "=\r\n   "),
                7 => format!("{text}="),
                _ => format!("\u{e9}{hex}=G1=\r\n="),
            };
            with_part(&encoded("quoted-printable", &body))
        }
        19 => {
            let long = "x".repeat(80);
            let (declared, used) = match rng.below(9) {
                0 => ("", ""),
                1 => (" ", " "),
                2 => (long.as_str(), long.as_str()),
                3 => ("b1", "b1x"),
                4 => ("b1", "B1"),
                5 => ("b1--", "b1--"),
                6 => (long.as_str(), &long[..70]),
                7 => ("b1 ", "b1"),
                _ => ("--b1", "b1"),
            };
            let body = parts(used, &[TEXT, &evil]);
            let body = match rng.below(4) {
                0 => body.replace(&format!("--{used}\r\n"), &format!("--{used} text\r\n")),
                1 => body.replace("\r\n--", "\r\n"),
                _ => body,
            };
            whole(&format!("{MIME}Content-Type: multipart/mixed; boundary=\"{declared}\"\r\n"), &body)
        }
        20 => {
            let body = parts("b1", &[TEXT, &evil]);
            let changed = match rng.below(6) {
                0 => body.replace("--b1--\r\n", ""),
                1 => body.replacen("--b1\r\nContent-Type: app", "--b1--\r\n--b1\r\nContent-Type: app", 1),
                2 => format!("--b1--\r\n{body}"),
                3 => body.replace("--b1--\r\n", "--b1--"),
                4 => {
                    let length = body.len() - 12 - rng.below(20);
                    body[..length].to_owned()
                }
                _ => format!("{body}--b1--\r\n--b1\r\n{evil}\r\n--b1--\r\n"),
            };
            whole(MIXED, &changed)
        }
        21 => {
            let inner = parts("b1", &[TEXT, &evil]);
            match rng.below(5) {
                0 => whole(
                    MIXED,
                    &parts(
                        "b1",
                        &[TEXT, &format!("Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n{inner}")],
                    ),
                ),
                1 => whole(
                    MIXED,
                    &parts(
                        "b1",
                        &[
                            TEXT,
                            &format!(
                                "Content-Type: multipart/mixed; boundary=\"b11\"\r\n\r\n{}",
                                parts("b11", &[TEXT, &evil])
                            ),
                        ],
                    ),
                ),
                2 => whole(
                    MIXED,
                    &parts("b1", &[TEXT, &format!("Content-Type: multipart/mixed\r\n\r\n{inner}")]),
                ),
                3 => whole(
                    MIXED,
                    &parts(
                        "b1",
                        &[
                            TEXT,
                            &format!(
                                "Content-Type: multipart/mixed; boundary=\"b2\"\r\n\r\n--b2\r\n{TEXT}\r\n--b1\r\n{evil}\r\n--b2--"
                            ),
                        ],
                    ),
                ),
                _ => {
                    let depth = 5 + rng.below(40);
                    let mut part = evil;
                    for level in 0..depth {
                        part = format!(
                            "Content-Type: multipart/mixed; boundary=\"d{level:02}\"\r\n\r\n{}",
                            parts(&format!("d{level:02}"), &[&part])
                        );
                    }
                    whole(MIXED, &parts("b1", &[TEXT, &part]))
                }
            }
        }
        22 => {
            let body = parts("b1", &[TEXT]);
            match rng.below(4) {
                0 => whole(MIXED, &format!("{evil}\r\n{body}")),
                1 => whole(MIXED, &format!("{body}{evil}\r\n")),
                2 => whole(MIXED, &format!("--b2\r\n{evil}\r\n--b2--\r\n{body}")),
                _ => whole(MIXED, &format!("{body}\r\n--b1\r\n{evil}\r\n--b1--\r\n")),
            }
        }
        23 => {
            let part = match rng.below(5) {
                0 => format!("Content-Type: text/plain\r\n\r\n{evil}"),
                1 => format!("\r\n{evil}"),
                2 => format!("junk junk\r\n{evil}"),
                3 => format!("X-Junk: y\r\n \r\n{evil}"),
                _ => format!("Content-Type: text/plain\r\njunk\r\njunk\r\n{evil}"),
            };
            with_part(&part)
        }
        24 => {
            let kind = rng.pick(&[
                "multipart",
                "x-multi/mixed",
                "multipart/",
                "mixed",
                "text/plain",
                "multipart/x-unknown",
                "multipart-mixed",
                "/mixed",
                "application/octet-stream",
                "message/rfc822",
            ]);
            let field = if rng.chance(6) {
                String::new()
            } else {
                format!("Content-Type: {kind}; boundary=\"b1\"\r\n")
            };
            whole(&format!("{MIME}{field}"), &parts("b1", &[TEXT, &evil]))
        }
        25 => {
            let kind = rng.pick(&[
                "digest",
                "alternative",
                "related; start=\"<x>\"",
                "signed; protocol=\"x/y\"; micalg=x",
                "encrypted; protocol=\"x/y\"",
                "report; report-type=x",
                "appledouble",
                "header-set",
                "parallel",
                "form-data",
                "byteranges",
            ]);
            let inner = parts("b1", &[TEXT, &evil]);
            let inner = if rng.chance(3) {
                inner.replace("--b1\r\nContent-Type: text/plain; charset=us-ascii\r\n", "--b1\r\n")
            } else {
                inner
            };
            whole(&format!("{MIME}Content-Type: multipart/{kind}; boundary=\"b1\"\r\n"), &inner)
        }
        26 => {
            let nested = plain(rng, payload);
            let kind = rng.pick(&["message/rfc822", "message/global", "message/news", "message/x-other"]);
            let part = match rng.below(3) {
                0 => format!(
                    "Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
                    base64(nested.as_bytes(), 76)
                ),
                1 => format!(
                    "Content-Type: {kind}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
                    nested.replace('=', "=3D")
                ),
                _ => format!("Content-Type: {kind}\r\n\r\n{nested}"),
            };
            if rng.chance(3) {
                format!("{}{}{part}", super::TOP, MIME).into_bytes()
            } else {
                with_part(&part)
            }
        }
        27 => {
            let number = 1 + rng.below(2);
            let fields =
                format!("{MIME}Content-Type: message/partial; id=\"x@y\"; number={number}; total=2\r\n");
            if rng.chance(2) {
                whole(&fields, &plain(rng, payload))
            } else {
                with_part(&format!(
                    "Content-Type: message/partial; id=x; number=1; total=1\r\n\r\n{}",
                    plain(rng, payload)
                ))
            }
        }
        28 => {
            let access = rng.pick(&[
                "URL; URL=\"http://example.org/evil.exe\"",
                "anon-ftp; site=example.org; name=evil.exe",
                "local-file; name=\"/etc/passwd\"",
                "x-unknown",
            ]);
            with_part(&format!("Content-Type: message/external-body; access-type={access}\r\n\r\n{evil}"))
        }
        29 => uuencoded(rng, payload),
        30 => older(rng, payload),
        _ => {
            let file = tnef(payload);
            let (kind, name) = *rng.pick(&[
                &("application/ms-tnef", "winmail.dat"),
                &("application/octet-stream", "winmail.dat"),
                &("application/vnd.ms-tnef", "x.bin"),
                &("application/octet-stream", "x.bin"),
            ]);
            with_part(&format!(
                "Content-Type: {kind}; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}",
                base64(&file, 76)
            ))
        }
    }
}

pub(crate) fn uu(payload: &[u8], end: &str) -> String {
    let mut text = String::from("begin 644 program.exe\r\n");
    for line in payload.chunks(45) {
        let letter =
            |value: u32| char::from(if value == 0 { b'`' } else { 32 + u8::try_from(value).unwrap() });
        text.push(letter(u32::try_from(line.len()).unwrap()));
        for group in line.chunks(3) {
            let word = group
                .iter()
                .enumerate()
                .fold(0_u32, |word, (at, octet)| word | u32::from(*octet) << (16 - 8 * at));
            text.extend([18, 12, 6, 0].map(|shift| letter(word >> shift & 63)));
        }
        text.push_str("\r\n");
    }
    text + end
}

fn uuencoded(rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let file = uu(payload, if rng.chance(4) { "" } else { "`\r\nend\r\n" });
    match rng.below(6) {
        0 => whole(
            &format!("{MIME}Content-Type: text/plain\r\n"),
            &format!("Hello.\r\n\r\n{file}\r\nBye.\r\n"),
        ),
        1 => with_part(&encoded("x-uuencode", &file)),
        2 => with_part(&encoded("uuencode", &file)),
        3 => whole(&format!("{MIME}Content-Type: text/html\r\n"), &format!("<pre>\r\n{file}</pre>\r\n")),
        4 => whole("", &format!("Hello.\r\n\r\n{}{file}", uu(b"another file", "`\r\nend\r\n"))),
        _ => with_part(&format!(
            "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            base64(file.as_bytes(), 76)
        )),
    }
}

fn older(rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    match rng.below(5) {
        0 => {
            let mut body =
                format!("=ybegin line=128 size={} name=program.exe\r\n", payload.len()).into_bytes();
            for octet in payload {
                let octet = octet.wrapping_add(42);
                if matches!(octet, 0 | 10 | 13 | b'=') {
                    body.extend([b'=', octet.wrapping_add(64)])
                } else {
                    body.push(octet)
                }
            }
            body.extend(format!("\r\n=yend size={}\r\n", payload.len()).into_bytes());
            let mut mail = whole(&format!("{MIME}Content-Type: text/plain\r\n"), "");
            mail.extend(body);
            mail
        }
        1 => {
            let mut double =
                [&[0, 5, 22, 7, 0, 2, 0, 0][..], &[0; 16], &[0, 1, 0, 0, 0, 1, 0, 0, 0, 38]].concat();
            double.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            double.extend(payload);
            with_part(&format!(
                "Content-Type: application/applefile\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
                base64(&double, 76)
            ))
        }
        2 => {
            let file = format!("begin-base64 644 program.exe\r\n{}====\r\n", base64(payload, 76));
            whole(&format!("{MIME}Content-Type: text/plain\r\n"), &file)
        }
        3 => with_part(&encoded("x-yenc", &base64(payload, 76))),
        _ => {
            let file = base64(payload, 60);
            whole(
                &format!("{MIME}Content-Type: application/mac-binhex40\r\n"),
                &format!("(This file must be converted with BinHex 4.0)\r\n:{file}:\r\n"),
            )
        }
    }
}

fn tnef(payload: &[u8]) -> Vec<u8> {
    let attribute = |level: u8, id: u32, data: &[u8]| {
        let sum = data.iter().fold(0_u16, |sum, octet| sum.wrapping_add(u16::from(*octet)));
        [
            &[level][..],
            &id.to_le_bytes(),
            &u32::try_from(data.len()).unwrap().to_le_bytes(),
            data,
            &sum.to_le_bytes(),
        ]
        .concat()
    };
    [
        &[0x78, 0x9f, 0x3e, 0x22, 1, 0][..],
        &attribute(1, 0x0008_9006, &[0, 0, 1, 0]),
        &attribute(2, 0x0006_9002, &[1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]),
        &attribute(2, 0x0001_8010, b"program.exe\0"),
        &attribute(2, 0x0006_800f, payload),
    ]
    .concat()
}
