//! Hashes of a file in slices. A spool file cannot be sealed, so that whatever is read of it later is only believed
//! slice by slice (D14).
use sha2::{Digest, Sha256};

/// Octets of a slice: what is read and hashed to give out any octet of it.
pub(crate) const SLICE: usize = 64 * 1024;

/// Hashes of all slices of a file; the last may be short.
pub(crate) type Hashes = Box<[[u8; 32]]>;

/// Hashes what is written to a file.
#[derive(Default)]
pub(crate) struct Slices {
    hash: Sha256,
    filled: usize,
    done: Vec<[u8; 32]>,
}

impl Slices {
    /// Takes the next octets of the file.
    pub(crate) fn push(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let (some, rest) = octets.split_at(octets.len().min(SLICE - self.filled));
            self.hash.update(some);
            self.filled += some.len();
            if self.filled == SLICE {
                self.end_slice();
            }
            octets = rest;
        }
    }

    /// The file is complete.
    pub(crate) fn finish(mut self) -> Hashes {
        if self.filled > 0 {
            self.end_slice();
        }
        self.done.into_boxed_slice()
    }

    fn end_slice(&mut self) {
        self.done.push(std::mem::take(&mut self.hash).finalize().into());
        self.filled = 0;
    }
}

/// Whether a slice is what was written.
pub(crate) fn is_slice(hashes: &[[u8; 32]], index: usize, octets: &[u8]) -> bool {
    hashes.get(index).is_some_and(|hash| *hash == <[u8; 32]>::from(Sha256::digest(octets)))
}

#[cfg(test)]
mod tests {
    use super::{SLICE, Slices, is_slice};

    #[test]
    fn a_slice_is_known_again_however_it_was_written() {
        let file: Vec<u8> =
            (0..SLICE * 2 + 100).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
        let mut slices = Slices::default();
        file.chunks(777).for_each(|piece| slices.push(piece));
        let hashes = slices.finish();
        assert_eq!(hashes.len(), 3);
        assert!(file.chunks(SLICE).enumerate().all(|(index, slice)| is_slice(&hashes, index, slice)));
        assert!(!is_slice(&hashes, 1, file.get(..SLICE).unwrap_or_default()), "a slice from another place");
        assert!(!is_slice(&hashes, 3, b""), "a slice that never was");
        assert!(Slices::default().finish().is_empty());
    }
}
