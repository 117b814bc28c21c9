//! Every leaf that some reader of a doubtful mail might open: the union of what boundaries, header ends, encodings and
//! older formats could mean, without deciding between them. For the engines' eyes only; nothing of it is delivered.
//!
//! Called for mails that the recogniser refused, with bytes that anybody on the Internet chose. The work is bounded by a
//! multiple of the mail's size, and what goes beyond it is said.
//!
//! ```text
//! segments.rs   where parts could begin and end        decode.rs   base64 and quoted-printable, every lenient way
//! boundary.rs   values that could be boundaries        older.rs    uuencode, yEnc, BinHex
//! apple.rs      AppleSingle, AppleDouble, MacBinary    tnef.rs     winmail.dat
//! cms.rs        what S/MIME signs or packs
//! ```
mod apple;
mod boundary;
mod cms;
mod decode;
mod older;
mod segments;
mod tnef;

pub(crate) use cms::{is_enveloped, is_opaque};
pub(crate) use decode::{hex, percent_decoded, word_decoded};
pub use older::{Older, blocks as older_blocks};
pub use tnef::{Tnef, is_tnef, unpack as unpack_tnef};

pub(crate) use segments::looks_like_a_mail;
use segments::{Segment, bodies};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Octets that may be looked at, as a multiple of the mail's: a mail of ten readings of every octet stays below.
const WORK_FACTOR: u64 = 96;
/// Octets that may be looked at in the smallest mail.
const WORK_FLOOR: u64 = 1 << 20;
/// Mails in encoded mails, and archives of the older kinds in one another.
const MAX_DEPTH: usize = 8;

/// Bounds on what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Leaves.
    pub leaves: usize,
    /// Octets of all leaves.
    pub octets: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Readings {
    /// Decoded leaves, none twice.
    pub leaves: Vec<Vec<u8>>,
    /// A bound was met: there may be more.
    pub over: bool,
}

/// All leaves of all readings.
pub fn of(mail: &[u8], bounds: Bounds) -> Readings {
    let work = (mail.len() as u64).saturating_mul(WORK_FACTOR).saturating_add(WORK_FLOOR);
    let mut union = Union { readings: Readings::default(), seen: HashSet::new(), bounds, octets: 0, work };
    union.mail(mail, 0);
    union.readings
}

/// Collects leaves until a bound is met.
struct Union {
    readings: Readings,
    seen: HashSet<[u8; 32]>,
    bounds: Bounds,
    octets: u64,
    /// Octets that may still be looked at.
    work: u64,
}

impl Union {
    /// Takes `octets` of work, or says that it was too much.
    fn afford(&mut self, octets: usize) -> bool {
        match self.work.checked_sub(octets as u64 + 1) {
            Some(left) if !self.readings.over => self.work = left,
            Some(_) | None => self.readings.over = true,
        }
        !self.readings.over
    }

    /// Whatever could be a message: the mail, or a leaf that looks like one.
    fn mail(&mut self, mail: &[u8], depth: usize) {
        let boundaries = boundary::candidates(mail);
        let mut done: HashSet<(usize, usize)> = HashSet::new();
        for segmentation in segments::segmentations(mail, &boundaries) {
            for segment in segmentation {
                if !done.insert((segment.range.start, segment.range.end)) {
                    continue;
                }
                if !self.afford(segment.range.len()) {
                    return;
                }
                self.segment(mail, &segment, depth);
            }
        }
        // To some a CR alone ends a line, to others it does not.
        if has_bare_cr(mail) && self.afford(mail.len()) {
            self.mail(&with_lf(mail), depth);
        }
    }

    fn segment(&mut self, mail: &[u8], segment: &Segment, depth: usize) {
        let octets = mail.get(segment.range.clone()).unwrap_or_default();
        for body in bodies(octets) {
            let (header, body) = octets.split_at_checked(body).unwrap_or((octets, &[]));
            for leaf in decode::readings(header, body, |octets| self.afford(octets)) {
                self.leaf(leaf, depth);
            }
        }
    }

    fn leaf(&mut self, leaf: Vec<u8>, depth: usize) {
        if leaf.is_empty() || !self.afford(leaf.len()) || !self.seen.insert(Sha256::digest(&leaf).into()) {
            return;
        }
        if depth < MAX_DEPTH {
            self.inside(&leaf, depth + 1);
        } else {
            self.readings.over = true;
        }
        self.octets = self.octets.saturating_add(leaf.len() as u64);
        if self.readings.leaves.len() >= self.bounds.leaves || self.octets > self.bounds.octets {
            self.readings.over = true;
            return;
        }
        self.readings.leaves.push(leaf);
    }

    /// What a leaf holds by itself, whatever it was declared to be.
    fn inside(&mut self, leaf: &[u8], depth: usize) {
        let files = older::blocks(leaf);
        self.readings.over |= files.len() >= older::MAX_BLOCKS;
        for file in files.into_iter().map(|block| block.content).chain(older::loose(leaf)) {
            self.leaf(file, depth);
        }
        for fork in apple::forks(leaf) {
            self.leaf(fork.to_vec(), depth);
        }
        if is_tnef(leaf)
            && let Some(unpacked) = unpack_tnef(leaf)
        {
            for attachment in unpacked.attachments {
                self.leaf(attachment.content, depth);
            }
            if let Some(text) = unpacked.text {
                self.leaf(text, depth);
            }
        }
        let most = self.bounds.octets.saturating_sub(self.octets);
        match cms::content(leaf, most) {
            Some(cms::Content::Plain(content)) if self.afford(content.len()) => self.mail(&content, depth),
            Some(cms::Content::Plain(_) | cms::Content::TooMuch) => self.readings.over = true,
            None => {}
        }
        if looks_like_a_mail(leaf) {
            self.mail(leaf, depth);
        }
    }
}

fn has_bare_cr(mail: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', mail).any(|at| mail.get(at + 1) != Some(&b'\n'))
}

/// With LF in the place of every CR that has none.
fn with_lf(mail: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(mail.len());
    for (at, octet) in mail.iter().enumerate() {
        lines.push(if *octet == b'\r' && mail.get(at + 1) != Some(&b'\n') { b'\n' } else { *octet });
    }
    lines
}
