//! M1 to M13: fields twice, parameters, comments, quotes, blanks, folds, controls, line ends, where a header ends.
use super::{MIME, Rng, TEXT, attached, parts, plain, whole};

pub(crate) fn mail(class: u8, rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let evil = attached(rng, payload);
    let inner = |boundary: &str| parts(boundary, &[TEXT, &evil]);
    match class {
        1 => twice(rng, payload),
        2 => {
            let (from, to) = *rng.pick(&[
                &("Encoding: base64", "Encoding: 7bit, base64"),
                &("Encoding: base64", "Encoding: base64, 7bit"),
                &("Encoding: base64", "Encoding: base64; 7bit"),
                &("Encoding: base64", "Encoding: \"base64\""),
                &("Encoding: base64", "Encoding: 'base64'"),
                &("mixed; boundary=\"b1\"", "mixed, text/plain; boundary=\"b1\""),
                &("multipart/mixed;", "text/plain multipart/mixed;"),
                &("application/octet-stream;", "text/plain, application/octet-stream;"),
            ]);
            plain(rng, payload).replace(from, to).into_bytes()
        }
        3 => {
            let (first, second) = if rng.chance(2) { ("b1", "b2") } else { ("b2", "b1") };
            let form = match rng.below(4) {
                0 => format!("boundary=\"{first}\"; boundary=\"{second}\""),
                1 => format!("boundary={first};\r\n Boundary={second}"),
                2 => format!("boundary=\"{first}\"; charset=x; boundary='{second}'"),
                _ => format!("BOUNDARY={first}; boundary*=us-ascii''{second}"),
            };
            let decoy = parts("b2", &["Content-Type: text/plain\r\n\r\nA decoy.\r\n"]);
            let body = if rng.chance(2) { inner("b1") + &decoy } else { decoy + &inner("b1") };
            whole(&format!("{MIME}Content-Type: multipart/mixed; {form}\r\n"), &body)
        }
        4 => {
            let form = rng.pick(&[
                "boundary*=us-ascii''b%31",
                "boundary*0=b; boundary*1=1",
                "boundary*1=1; boundary*0=b",
                "boundary*0=b; boundary*2=1",
                "boundary*0*=utf-8''%62; boundary*1=1",
                "boundary*=utf-16''b1",
                "boundary=b2; boundary*=us-ascii''b1",
                "boundary*=us-ascii''b1; boundary=b2",
                "boundary*=b1",
            ]);
            whole(&format!("{MIME}Content-Type: multipart/mixed; {form}\r\n"), &inner("b1"))
        }
        5 => {
            let (from, to) = *rng.pick(&[
                &("boundary=\"b1\"", "boundary=\"=?us-ascii?Q?b1?=\""),
                &("boundary=\"b1\"", "boundary==?us-ascii?B?YjE=?="),
                &("Encoding: base64", "Encoding: =?us-ascii?Q?base64?="),
                &("Encoding: base64", "Encoding: =?utf-8?B?YmFzZTY0?="),
                &("multipart/mixed", "=?us-ascii?Q?multipart/mixed?="),
                &(
                    "Type: multipart/mixed; boundary=\"b1\"",
                    "Type: =?us-ascii?Q?multipart/mixed=3B_boundary=3Db1?=",
                ),
                &("filename=\"", "filename=\"=?utf-8?Q?=2E=2E=2F?="),
            ]);
            plain(rng, payload).replace(from, to).into_bytes()
        }
        6 => {
            let junk = rng.pick(&[
                "=x;",
                "junk;",
                ";;;",
                "\"quoted\";",
                "x;=",
                "charset=\"us-ascii; ",
                "a=b c=d;",
                "@;",
                "x==y;",
                "name=\"a;b\\\";",
                "\u{e9}=1;",
            ]);
            whole(&format!("{MIME}Content-Type: multipart/mixed; {junk} boundary=\"b1\"\r\n"), &inner("b1"))
        }
        7 => {
            let (from, to) = *rng.pick(&[
                &("multipart/mixed", "multipart(x)/mixed"),
                &("multipart/mixed", "(a) multipart/mixed (b)"),
                &("multipart/mixed", "multipart/(boundary=\"b2\")mixed"),
                &("boundary=\"b1\"", "boundary(x)=\"b1\""),
                &("boundary=\"b1\"", "boundary=(x)\"b1\"(y)"),
                &("boundary=\"b1\"", "(((((boundary=\"b2\"))))) boundary=\"b1\""),
                &("boundary=\"b1\"", "(open; boundary=\"b1\""),
                &("boundary=\"b1\"", "(boundary=b2); boundary=\"b1\""),
                &("boundary=\"b1\"", "x=\")\"; (boundary=\"b2\"; ) boundary=\"b1\""),
                &("Encoding: base64", "Encoding: (7bit) base64"),
                &("Encoding: base64", "Encoding: base64 (7bit)"),
                &("Encoding: base64", "Encoding: ba(x)se64"),
            ]);
            plain(rng, payload).replace(from, to).into_bytes()
        }
        8 => {
            let form = rng.pick(&[
                "\"b1",
                "b1\"",
                "'b1'",
                "\"\"b1",
                "\"\"b1\"\"",
                "\"b\\1\"",
                "b\\1",
                "\"b1\"x",
                "\"b1\\\"",
                "\"b\"1",
                "\"'b1'\"",
                "\"b1 \"",
                "\"\";boundary=b1",
            ]);
            let boundary = rng.pick(&["b1", "'b1'", "b\\1", "b1\"", "\"\"b1", "b"]);
            whole(&format!("{MIME}Content-Type: multipart/mixed; boundary={form}\r\n"), &inner(boundary))
        }
        9 => {
            let long = " ".repeat(2000);
            let (from, to) = match rng.below(9) {
                0 => ("Content-Type: multipart", "Content-Type : multipart".to_owned()),
                1 => ("Return-Path", " \r\nReturn-Path".to_owned()),
                2 => ("Content-Type: multipart", "Content-Type:\t\tmultipart".to_owned()),
                3 => ("Encoding: base64", "Encoding:\x0bbase64".to_owned()),
                4 => ("Encoding: base64", "Encoding: base64\x0c".to_owned()),
                5 => ("boundary=\"b1\"", format!("{long}boundary=\"b1\"")),
                6 => ("--b1\r\nContent-Type: app", "--b1 \t \r\nContent-Type: app".to_owned()),
                7 => ("--b1--", "--b1-- \t".to_owned()),
                _ => ("Encoding: base64", "Encoding : base64 ".to_owned()),
            };
            plain(rng, payload).replace(from, &to).into_bytes()
        }
        10 => {
            let (from, to) = *rng.pick(&[
                &("Content-Type: multipart", "Content-Type\r\n : multipart"),
                &("boundary=\"b1\"", "boundary\r\n =\r\n \"b1\""),
                &("boundary=\"b1\"", "boundary=\"b\r\n 1\""),
                &("multipart/mixed;", "multipart/\r\n mixed;"),
                &("multipart/mixed;", "\r\n \r\n multipart/mixed;"),
                &("multipart/mixed;", "multipart/mixed;\r "),
                &("multipart/mixed;", "multipart/mixed;\n "),
                &("multipart/mixed; ", "multipart/mixed;\r\n"),
                &("Encoding: base64", "Encoding:\r\n base64"),
                &("Encoding: base64", "Encoding: base\r\n 64"),
                &("Content-Type: multipart/mixed; ", "Content-Type: multipart/mixed;\r\n\t \r\n "),
            ]);
            plain(rng, payload).replace(from, to).into_bytes()
        }
        11 => {
            let (from, to) = *rng.pick(&[
                &("Content-Type: multipart", "Content\0-Type: multipart"),
                &("Content-Type: multipart", "Content-Type: \0multipart"),
                &("boundary=\"b1\"", "boundary=\"b\x001\""),
                &("boundary=\"b1\"", "boundary=\"b1\0\""),
                &("boundary=\"b1\"", "boundary=\"b\x011\""),
                &("boundary=\"b1\"", "boundary=\"b1\u{e9}\""),
                &("Encoding: base64", "Encoding: base64\0"),
                &("Encoding: base64", "Encoding: ba\x7fse64"),
                &("Content-Type: multipart", "\u{e9}: x\r\nContent-Type: multipart"),
                &("b1--", "b\x001--"),
            ]);
            plain(rng, payload).replace(from, to).into_bytes()
        }
        12 => {
            let mail = plain(rng, payload);
            let changed = match rng.below(9) {
                0 => mail.replace("\r\n", "\n"),
                1 => mail.replace("\r\n", "\r"),
                2 => mail.replace("\r\n", "\r\r\n"),
                3 => mail.replace("\r\n", "\n\r"),
                4 => mail.replace("\r\n\r\n", "\n\n"),
                5 => mail.replace("\r\n--b1", "\r--b1"),
                6 => mail.replace("\r\n--b1", "\n--b1"),
                7 => mail.replace("Subject: test\r\n", "Subject: test\rContent-Type: text/plain\r\n"),
                _ => mail.replace("Encoding: base64\r\n", "Encoding: base64\r"),
            };
            changed.into_bytes()
        }
        _ => {
            let mail = plain(rng, payload);
            let changed = match rng.below(9) {
                0 => mail.replace("\"b1\"\r\n\r\n", "\"b1\"\r\n"),
                1 => format!("\r\n{mail}"),
                2 => format!("\r\n\r\n \r\n{mail}"),
                3 => format!("From anna Sun Mar  1 12:00:00 2026\r\n{mail}"),
                4 => mail.replace("Subject: test\r\n", "Subject: test\r\nthis line is none\r\n"),
                5 => mail.replace("Subject: test\r\n", "Subject: test\r\n\tfolded\r\n \r\nX: y\r\n"),
                6 => mail.replace("MIME-Version: 1.0", "MIME-Version 1.0"),
                7 => mail.replace("attachment; ", "attachment;\r\nnot folded\r\n"),
                _ => mail.replace("base64\r\nContent", "base64\r\n>From x\r\nContent"),
            };
            changed.into_bytes()
        }
    }
}

/// M1.
fn twice(rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let mail = plain(rng, payload);
    let (before, field, decoy) = *rng.pick(&[
        &(
            "Content-Type: multipart",
            "Content-Type: multipart/mixed; boundary=\"b1\"\r\n",
            "Content-Type: text/plain\r\n",
        ),
        &(
            "Content-Type: multipart",
            "Content-Type: multipart/mixed; boundary=\"b1\"\r\n",
            "Content-Type: multipart/mixed; boundary=b2\r\n",
        ),
        &("Content-Transfer", "Content-Transfer-Encoding: base64\r\n", "Content-Transfer-Encoding: 7bit\r\n"),
        &(
            "Content-Transfer",
            "Content-Transfer-Encoding: base64\r\n",
            "content-transfer-encoding: quoted-printable\r\n",
        ),
        &("Content-Type: app", "Content-Type: application/octet-stream; ", "Content-Type: text/plain\r\n"),
        &("Content-Disposition", "", "Content-Disposition: inline\r\n"),
        &("MIME-Version", "", "MIME-Version: 2.0\r\n"),
        &("From:", "", "From: other@example.org\r\nSubject: other\r\n"),
    ]);
    let changed = if rng.chance(2) || field.is_empty() {
        mail.replacen(before, &format!("{decoy}{before}"), 1)
    } else if field.ends_with("\r\n") {
        mail.replacen(field, &format!("{field}{decoy}"), 1)
    } else {
        mail.replacen(before, &format!("{decoy}{before}"), 1)
    };
    changed.into_bytes()
}
