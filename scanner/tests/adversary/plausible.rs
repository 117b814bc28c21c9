//! M41 to M44: mails of the narrow grammar, but for what some readers find in the middle of it.
use super::bodies::uu;
use super::{MIME, Rng, base64, parts, whole};

const FIELDS: [&str; 9] = [
    "X-Content-Transfer-Encoding",
    "Content-Transfer-Encoding.",
    "Content-Transfer-Encoding;",
    "\"Content-Transfer-Encoding\"",
    "Content-Transfer-Encoding(x)",
    ">Content-Transfer-Encoding",
    "Content-Transfer-Encodings",
    "CONTENT-TRANSFER-ENCODING-",
    "x-content-transfer-encoding",
];
const TYPES: [&str; 8] = [
    "text/plain",
    "text/html",
    "text/calendar",
    "application/octet-stream",
    "application/mbox",
    "image/png",
    "application/x-mime",
    "multipartx/mixed",
];

pub(crate) fn mail(class: u8, rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    match class {
        41 => nearly_mime(rng, payload),
        42 => begun_loosely(rng, payload),
        43 => within_a_leaf(rng, payload),
        _ => behind_one_without_an_end(rng, payload),
    }
}

/// Fields whose names hold the name of one that decides.
fn nearly_mime(rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let data = base64(payload, 76);
    if rng.chance(2) {
        let field = rng.pick(&FIELDS);
        let own =
            rng.pick(&["", "Content-Transfer-Encoding: 7bit\r\n", "Content-Transfer-Encoding: 8bit\r\n"]);
        let (before, behind) = if rng.chance(2) { (own, "") } else { ("", own) };
        return whole(
            &format!("{MIME}Content-Type: {}\r\n{before}{field}: base64\r\n{behind}", rng.pick(&TYPES)),
            &data,
        );
    }
    let field = rng.pick(&FIELDS).to_ascii_lowercase().replace("transfer-encoding", "type");
    let own = rng.pick(&["", "Content-Type: text/plain\r\n", "Content-Type: application/octet-stream\r\n"]);
    let inner = rng.pick(&FIELDS);
    whole(
        &format!("{MIME}{own}{field}: multipart/mixed; boundary=b1\r\n"),
        &parts("b1", &[&format!("{field}: application/octet-stream\r\n{inner}: base64\r\n\r\n{data}")]),
    )
}

/// uuencode whose first line is not as it should be.
fn begun_loosely(rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let word = rng.pick(&["begin", "Begin", "BEGIN", "bEGIN"]);
    let blanks = rng.pick(&[" ", "  ", "\t", " \t"]);
    let mode = rng.pick(&["644", "0644", "100644", "6440000", "7", "64", "+644", "-644", "644a"]);
    let name = rng.pick(&[" a.exe", "", " ", "\ta.exe", "  a b c"]);
    let junk = rng.pick(&["", "", "", "some junk here\r\n\r\n", "\r\n"]);
    let data = uu(payload, rng.pick(&["end\r\n", "END\r\n", "end \r\n", ""]));
    let data = data.split_once("\r\n").map(|(_, data)| data).unwrap();
    let text = format!("Hello there.\r\n{word}{blanks}{mode}{name}\r\n{junk}{data}Bye.\r\n");
    leaf(rng, &text)
}

/// A header and base64 in a leaf that is none of a mail.
fn within_a_leaf(rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let mut fields = FIELDS.to_vec();
    fields.push("Content-Transfer-Encoding");
    let before = rng.pick(&[
        "",
        "Hello\r\n",
        "Hello\r\n\r\n",
        "MIME-Version: 1.0\r\n",
        "From x@example.org Mon Jan 1 00:00:00 2026\r\n",
        "--b1\r\n",
    ]);
    let text = format!(
        "{before}Content-Type: application/octet-stream; name=a.exe\r\n{}: base64\r\n\r\n{}\r\n--b1--\r\n",
        rng.pick(&fields),
        base64(payload, 76)
    );
    leaf(rng, &text)
}

/// A file that has no end, and one behind it.
fn behind_one_without_an_end(rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let first = rng.pick(&[
        "=ybegin line=128 size=9 name=a.txt\r\nabc\r\n",
        "begin-base64 644 a.txt\r\nQUJD\r\n",
        "begin 644 a.txt\r\n#0V%T\r\n",
        "(This file must be converted with BinHex 4.0)\r\n\r\n:abc\r\n",
    ]);
    let text = format!("Hello there.\r\n{first}{}Bye.\r\n", uu(payload, "end\r\n"));
    leaf(rng, &text)
}

/// The text as it stands, or encoded.
fn leaf(rng: &mut Rng, text: &str) -> Vec<u8> {
    let kind = rng.pick(&TYPES);
    let (encoding, body) = match rng.below(3) {
        0 => ("7bit", text.to_owned()),
        1 => ("base64", base64(text.as_bytes(), 76)),
        _ => (
            "quoted-printable",
            text.replace('=', "=3D").replace(" \r\n", "=20\r\n").replace("\t\r\n", "=09\r\n"),
        ),
    };
    let fields = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n");
    if rng.chance(2) {
        return whole(&format!("{MIME}{fields}"), &body);
    }
    let part = format!("{fields}\r\n{body}");
    whole(
        &format!("{MIME}Content-Type: multipart/mixed; boundary=\"zz\"\r\n"),
        &parts("zz", &[super::TEXT, &part]),
    )
}
