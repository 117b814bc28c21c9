//! The part map of a copy, out of the scanner's hands: read once, every bound checked, and of a small copy built anew
//! and compared (D13).
use crate::copy::Copy;
use ipc::worker_scanner::{MAP_ROOM, Map};
use mime::part_map::{MAX_ENCODED, PartMap};
use mime::recogniser::{Limits, recognise};
use nix::errno::Errno;
use nix::sys::uio::pread;
use std::os::fd::{AsFd, OwnedFd};
use worker_proto::machine::ScannedCopy;

/// Octets of a copy up to which its map is built anew: that takes a millisecond or less, and most mails are smaller.
const CHECKED: u64 = 256 * 1024;

/// What no `[mail-filter]` permits more of. The scanner applied the filter's own limits.
const LIMITS: Limits = Limits { max_parts: 100_000, max_depth: 256, max_header: usize::MAX };

// The output has room for every map.
const _: () = assert!(MAX_ENCODED as u64 <= MAP_ROOM);

/// The map as the scanner gave it: `here`, with its answer, or in the output, behind a copy of so many octets.
///
/// # Errors
/// How the scanner lied, in constant words.
pub(crate) fn octets(
    map: Map,
    here: Vec<u8>,
    output: Option<&OwnedFd>,
    behind: u64,
) -> Result<Vec<u8>, &'static str> {
    if map.here {
        return Ok(here);
    }
    let length = usize::try_from(map.length).unwrap_or(usize::MAX);
    let file = output.filter(|_| length <= MAX_ENCODED).ok_or("the part map is too long, or nowhere")?;
    let mut octets = vec![0; length];
    let place = |at: u64| i64::try_from(behind.saturating_add(at)).map_err(|_| Errno::EFBIG);
    fill(&mut octets, |at, rest| pread(file.as_fd(), rest, place(at)?))
        .ok_or("the part map is shorter than promised")?;
    Ok(octets)
}

/// Whether this is the map of this copy.
///
/// # Errors
/// How the scanner lied, in constant words.
pub(crate) fn read(octets: &[u8], recognised: bool, copy: &Copy) -> Result<PartMap, &'static str> {
    let size = usize::try_from(copy.length()).map_err(|_| "a copy larger than memory")?;
    let map = PartMap::decode(octets, size, &LIMITS).map_err(|bad| bad.0)?;
    if copy.length() <= CHECKED {
        let mut mail = vec![0; size];
        fill(&mut mail, |at, rest| copy.read_at(at, rest).map_err(|_| Errno::EIO))
            .ok_or("the copy cannot be read")?;
        let again =
            if recognised { PartMap::of(&mail, &LIMITS).ok() } else { Some(PartMap::tolerant(&mail)) };
        if again.as_ref() != Some(&map) {
            return Err("the part map is not that of the copy");
        }
    }
    Ok(map)
}

/// Octets of a rebuilt mail up to which it is read again: nearly all are smaller. It takes two or three milliseconds for each
/// MiB, in one piece, while the worker's other sessions wait, and memory for the whole of it.
const RECOGNISED: u64 = 8 * 1024 * 1024;

/// Whether a copy that the scanner calls canonical has one reading, as far as it is small enough to be asked.
pub(crate) fn is_canonical(copy: &Copy) -> bool {
    let Some(size) = usize::try_from(copy.length()).ok().filter(|size| *size as u64 <= RECOGNISED) else {
        return true;
    };
    let mut mail = vec![0; size];
    let whole = fill(&mut mail, |at, rest| copy.read_at(at, rest).map_err(|_| Errno::EIO));
    whole.is_some() && recognise(&mail, &LIMITS).is_ok()
}

/// Reads until the buffer is full.
fn fill(octets: &mut [u8], mut read: impl FnMut(u64, &mut [u8]) -> nix::Result<usize>) -> Option<()> {
    let mut done = 0;
    while let Some(rest) = octets.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match read(done as u64, rest) {
            Ok(0) => return None,
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{LIMITS, Map, PartMap, octets, read};
    use crate::copy::{Copy, Source};
    use crate::memfd;
    use ipc::ids::Sha256;
    use nix::sys::uio::pwrite;
    use std::os::fd::OwnedFd;

    const MAIL: &[u8] = b"Subject: s\r\n\r\nHi.\r\n";

    fn file(octets: &[u8]) -> OwnedFd {
        let file = memfd::create(c"test").unwrap();
        assert_eq!(pwrite(&file, octets, 0).unwrap(), octets.len());
        file
    }

    fn answered(mail: &[u8], map: &PartMap, recognised: bool) -> Result<PartMap, &'static str> {
        let copy = Copy::new(Source::Output(file(mail)), mail.len() as u64, Sha256([0; 32]));
        read(&map.encode().unwrap(), recognised, &copy)
    }

    #[test]
    fn the_map_of_the_copy_is_believed() {
        let map = PartMap::of(MAIL, &LIMITS).unwrap();
        assert_eq!(answered(MAIL, &map, true), Ok(map));
        let bad = b"Subject: s\n\nHi.";
        assert_eq!(answered(bad, &PartMap::tolerant(bad), false), Ok(PartMap::tolerant(bad)));
        assert!(answered(bad, &PartMap::tolerant(bad), true).is_err(), "the recogniser does not accept it");
    }

    #[test]
    fn a_map_that_says_something_else_of_the_copy_is_a_lie() {
        let other = PartMap::of(b"Subject:s\r\n\r\nHi!!\r\n", &LIMITS).unwrap();
        assert!(
            PartMap::decode(&other.encode().unwrap(), MAIL.len(), &LIMITS).is_ok(),
            "its bounds are good"
        );
        assert_eq!(answered(MAIL, &other, true), Err("the part map is not that of the copy"));
        assert_eq!(answered(MAIL, &other, false), Err("the part map is not that of the copy"));
        assert!(answered(MAIL, &PartMap::of(b"Subject: s\r\n\r\n", &LIMITS).unwrap(), true).is_err());
    }

    #[test]
    fn a_map_is_with_the_answer_or_in_the_output_behind_the_copy() {
        let map = |length, here| Map { length, here, recognised: true };
        let output = file(b"copymap");
        assert_eq!(octets(map(3, true), b"map".to_vec(), None, 0), Ok(b"map".to_vec()));
        assert_eq!(octets(map(3, false), Vec::new(), Some(&output), 4), Ok(b"map".to_vec()));
        assert!(octets(map(4, false), Vec::new(), Some(&output), 4).is_err(), "it ends before");
        assert!(octets(map(u32::MAX, false), Vec::new(), Some(&output), 4).is_err(), "more than any has");
        assert!(octets(map(3, false), b"map".to_vec(), None, 0).is_err(), "no output was asked for");
        assert!(octets(map(1, false), Vec::new(), Some(&output), u64::MAX).is_err());
    }
}
