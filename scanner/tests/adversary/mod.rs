//! A seeded generator of evasive mails: for each of forty-four classes of ambiguity, variants without end. What they carry is
//! given by the caller.
mod bodies;
mod content;
mod headers;
mod plausible;

/// Every class, by its number.
pub(crate) const CLASSES: std::ops::RangeInclusive<u8> = 1..=44;

/// What a mail is made from: splitmix64, so that a seed gives the same mails everywhere.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// A mail of a class.
pub(crate) fn mail(class: u8, rng: &mut Rng, payload: &[u8]) -> Vec<u8> {
    match class {
        1..=13 => headers::mail(class, rng, payload),
        14..=31 => bodies::mail(class, rng, payload),
        32..=40 => content::mail(class, rng, payload),
        _ => plausible::mail(class, rng, payload),
    }
}

pub(crate) const TOP: &str = "Return-Path: <bounce@example.org>\r\nReceived: from mx1.example.org by mx0.example.net; Sun, 1 Mar 2026 12:00:00 +0000\r\n\
    From: Anna Hale <anna.hale@example.org>\r\nTo: user@mail.example.net\r\nSubject: test\r\n\
    Date: Sun, 1 Mar 2026 12:00:00 +0000\r\nMessage-ID: <evasive@mail.example.org>\r\n";
pub(crate) const MIME: &str = "MIME-Version: 1.0\r\n";
pub(crate) const TEXT: &str = "Content-Type: text/plain; charset=us-ascii\r\n\r\nHello there.\r\n";

/// In lines of `width` characters.
pub(crate) fn base64(octets: &[u8], width: usize) -> String {
    let letters: String = String::from_utf8(mime::transfer_encoding::encode_base64(octets))
        .unwrap()
        .split_whitespace()
        .collect();
    letters
        .as_bytes()
        .chunks(width)
        .map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap()))
        .collect()
}

pub(crate) fn attached(rng: &mut Rng, payload: &[u8]) -> String {
    let name = rng.pick(&["program.exe", "invoice.pdf.scr", "report.doc"]);
    format!(
        "Content-Type: application/octet-stream; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}",
        base64(payload, 76)
    )
}

/// Delimiters around parts.
pub(crate) fn parts(boundary: &str, inner: &[&str]) -> String {
    let inner: String = inner.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
    format!("{inner}--{boundary}--\r\n")
}

/// A whole mail with these fields and this body.
pub(crate) fn whole(fields: &str, body: &str) -> Vec<u8> {
    format!("{TOP}{fields}\r\n{body}").into_bytes()
}

/// A well-formed mail with the payload attached.
pub(crate) fn plain(rng: &mut Rng, payload: &[u8]) -> String {
    let evil = attached(rng, payload);
    format!(
        "{TOP}{MIME}Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n{}",
        parts("b1", &[TEXT, &evil])
    )
}
