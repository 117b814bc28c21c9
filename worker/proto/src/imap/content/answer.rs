//! An answer on its way to the client: octets of ours, ranges of the copy, and a part that is decoded while it is read.
use crate::imap::fetch_item::Partial;
use crate::machine::{CopyFault, ScannedCopy};
use mime::decoder::Decoder;
use mime::part_map::Part;
use std::collections::VecDeque;
use std::ops::Range;

/// Octets that are read for decoding at once.
const CHUNK: usize = 16 * 1024;

/// The answer to one item. Written piece by piece, never longer than was said.
#[derive(Debug)]
pub struct Answer {
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
enum Piece {
    Octets(Vec<u8>),
    Range(Range<u64>),
    Decoded(Decoded),
}

/// A body that is decoded from its start, of which some octets are wanted.
#[derive(Debug)]
struct Decoded {
    /// What was not read of it.
    body: Range<u64>,
    decoder: Decoder,
    /// Decoded octets that are not wanted.
    skip: u64,
    /// Decoded octets that are.
    left: u64,
    /// The last wanted octet is the last of all: what the map said of the length is checked there.
    to_end: bool,
}

impl Answer {
    pub(super) fn of(octets: Vec<u8>) -> Self {
        Self { pieces: VecDeque::from([Piece::Octets(octets)]) }
    }

    pub(super) fn with(head: Vec<u8>, content: Content) -> Self {
        let mut pieces = VecDeque::from(content.pieces);
        pieces.push_front(Piece::Octets(head));
        Self { pieces }
    }

    /// Octets that are still to be written.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.pieces.iter().map(Piece::length).fold(0, u64::saturating_add)
    }

    /// Writes on, until about `bound` octets were written or read in this call. Whether the answer is at its end.
    ///
    /// # Errors
    /// [`CopyFault`]: what was announced can no longer come, so the session ends.
    pub fn write(
        &mut self,
        copy: &dyn ScannedCopy,
        out: &mut Vec<u8>,
        bound: usize,
    ) -> Result<bool, CopyFault> {
        let mut left = bound.max(1);
        while let Some(piece) = self.pieces.front_mut() {
            if left == 0 {
                return Ok(false);
            }
            match piece {
                Piece::Octets(octets) => {
                    out.extend_from_slice(octets);
                    left = left.saturating_sub(octets.len());
                    self.pieces.pop_front();
                }
                Piece::Range(range) => {
                    let wanted = clamp(range.end.saturating_sub(range.start), left);
                    append(copy, range.start, wanted, out)?;
                    left -= wanted;
                    range.start = range.start.saturating_add(wanted as u64);
                    if range.is_empty() {
                        self.pieces.pop_front();
                    }
                }
                Piece::Decoded(decoded) => {
                    left = left.saturating_sub(decoded.write(copy, out)?);
                    if decoded.left == 0 && !decoded.to_end {
                        self.pieces.pop_front();
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Piece {
    const fn length(&self) -> u64 {
        match self {
            Self::Octets(octets) => octets.len() as u64,
            Self::Range(range) => range.end.saturating_sub(range.start),
            Self::Decoded(decoded) => decoded.left,
        }
    }

    /// Without its first `skip` octets, and at most `keep` of the others.
    fn cut(self, skip: u64, keep: u64) -> Self {
        match self {
            Self::Octets(octets) => {
                let rest = octets.get(clamp(skip, octets.len())..).unwrap_or_default();
                Self::Octets(rest.get(..clamp(keep, rest.len())).unwrap_or_default().to_vec())
            }
            Self::Range(range) => {
                let start = range.start.saturating_add(skip).min(range.end);
                Self::Range(start..start.saturating_add(keep).min(range.end))
            }
            Self::Decoded(mut decoded) => {
                let rest = decoded.left.saturating_sub(skip);
                decoded.skip = decoded.skip.saturating_add(skip.min(decoded.left));
                decoded.to_end &= keep >= rest && rest > 0;
                decoded.left = rest.min(keep);
                Self::Decoded(decoded)
            }
        }
    }
}

impl Decoded {
    /// Decodes one chunk; how many octets were read. Where the body does not decode to what was announced, the copy is
    /// not what was scanned, or the scanner lied about it.
    fn write(&mut self, copy: &dyn ScannedCopy, out: &mut Vec<u8>) -> Result<usize, CopyFault> {
        if self.left == 0 && !self.to_end {
            return Ok(0);
        }
        let mut octets = vec![0; clamp(self.body.end.saturating_sub(self.body.start), CHUNK)];
        read_all(copy, self.body.start, &mut octets)?;
        self.body.start = self.body.start.saturating_add(octets.len() as u64);
        let mut decoded = Vec::new();
        self.decoder.push(&octets, &mut decoded);
        let at_end = self.body.is_empty();
        if at_end {
            self.decoder.finish(&mut decoded);
        }
        let skipped = clamp(self.skip, decoded.len());
        self.skip = self.skip.saturating_sub(skipped as u64);
        let decoded = decoded.get(skipped..).unwrap_or_default();
        let wanted = clamp(self.left, decoded.len());
        out.extend_from_slice(decoded.get(..wanted).unwrap_or_default());
        self.left = self.left.saturating_sub(wanted as u64);
        let more = self.to_end && decoded.len() > wanted;
        if more || (at_end && (self.left > 0 || self.skip > 0)) {
            return Err(CopyFault::Changed);
        }
        self.to_end &= !at_end;
        Ok(octets.len().max(1))
    }
}

/// What stands in a literal.
#[derive(Debug)]
pub(super) struct Content {
    pieces: Vec<Piece>,
}

impl Content {
    pub(super) fn range(range: Range<u64>) -> Self {
        Self { pieces: vec![Piece::Range(range)] }
    }

    /// Stretches of the copy and something behind them.
    pub(super) fn ranges(ranges: Vec<Range<u64>>, end: Vec<u8>) -> Self {
        Self { pieces: ranges.into_iter().map(Piece::Range).chain([Piece::Octets(end)]).collect() }
    }

    /// A part's body without its transfer encoding; nothing where that is unknown.
    pub(super) fn decoded(part: &Part) -> Option<Self> {
        use mime::recogniser::Encoding;
        let body = super::wide(&part.body);
        match part.encoding? {
            Encoding::Identity => Some(Self::range(body)),
            // Of a container there is nothing to undo, whatever it claims.
            Encoding::Base64 | Encoding::QuotedPrintable if part.is_multipart() || part.is_message() => {
                Some(Self::range(body))
            }
            encoding @ (Encoding::Base64 | Encoding::QuotedPrintable) => {
                let decoder = Decoder::new(encoding);
                let left = part.decoded as u64;
                let decoded = Decoded { body, decoder, skip: 0, left, to_end: true };
                Some(Self { pieces: vec![Piece::Decoded(decoded)] })
            }
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.pieces.iter().map(Piece::length).fold(0, u64::saturating_add)
    }

    /// A part of it; past the end there is nothing, which is no error.
    pub(super) fn cut(self, partial: Option<Partial>) -> Self {
        let Some(Partial { origin: mut skip, length: mut keep }) = partial else { return self };
        let mut pieces = Vec::new();
        for piece in self.pieces {
            let length = piece.length();
            let piece = piece.cut(skip, keep);
            skip = skip.saturating_sub(length);
            keep = keep.saturating_sub(piece.length());
            if piece.length() > 0 {
                pieces.push(piece);
            }
        }
        Self { pieces }
    }
}

/// Fills `octets` from `at` on.
pub(super) fn read_all(copy: &dyn ScannedCopy, mut at: u64, mut octets: &mut [u8]) -> Result<(), CopyFault> {
    while !octets.is_empty() {
        let count = copy.read_at(at, octets)?;
        octets = octets.get_mut(count..).filter(|_| count > 0).ok_or(CopyFault::Unreadable)?;
        at = at.saturating_add(count as u64);
    }
    Ok(())
}

/// Reads to the end of `out`; what could not be read leaves nothing behind.
fn append(copy: &dyn ScannedCopy, at: u64, count: usize, out: &mut Vec<u8>) -> Result<(), CopyFault> {
    let before = out.len();
    out.resize(before.saturating_add(count), 0);
    let read = read_all(copy, at, out.get_mut(before..).unwrap_or_default());
    if read.is_err() {
        out.truncate(before);
    }
    read
}

fn clamp(length: u64, most: usize) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).min(most)
}
