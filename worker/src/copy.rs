//! The scanned copy: the only place that mail content is served from.
//!
//! A copy in this process or in a sealed memory file cannot change. A copy in a file is hashed again while it is delivered:
//! from its start to its end, and then its last piece leaves only if the hash is still that of what was scanned; or in
//! slices, of which none leaves that is not what was scanned.
use crate::limits::COPIES;
use crate::slices::{SLICE, is_slice};
use crate::spool::{Kept, SealedMail};
use ipc::ids::{Found, Sha256};
use mime::part_map::PartMap;
use nix::sys::uio::pread;
use sha2::Digest;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use worker_proto::machine::{CopyFault, ScannedCopy};

/// A mail that was judged deliverable. Made by `scan::Judgement` alone.
pub(crate) struct Copy {
    /// Where its octets are.
    pub(crate) source: Source,
    /// Octets.
    pub(crate) length: u64,
    /// Hash of the original.
    pub(crate) sha256: Sha256,
    /// What engines had found in the original, where that is why it is not served.
    pub(crate) found: Vec<Found>,
    /// Where its parts are; empty where nobody asks for parts.
    pub(crate) map: PartMap,
    /// Of a file, the slice that was read last, and its place among the slices.
    slice: RefCell<(usize, Vec<u8>)>,
}

/// Where the octets of a copy are.
pub(crate) enum Source {
    /// The mail itself, as it was scanned.
    Original(Rc<SealedMail>),
    /// What the scanner wrote in its place, sealed since.
    Output(OwnedFd),
}

impl Copy {
    pub(crate) fn new(source: Source, length: u64, sha256: Sha256) -> Self {
        Self { source, length, sha256, found: Vec::new(), map: PartMap::default(), slice: RefCell::default() }
    }

    /// Whether it is not what the server holds.
    pub(crate) const fn is_changed(&self) -> bool {
        matches!(self.source, Source::Output(_))
    }

    /// What its octets must hash to, where they could not be sealed.
    fn rehash(&self) -> Option<Sha256> {
        match &self.source {
            Source::Original(mail) => mail.is_file().then(|| mail.sha256()),
            Source::Output(_) => None,
        }
    }

    /// Reads from some place on, as much as there is at once.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<usize, CopyFault> {
        let file = match &self.source {
            Source::Original(mail) => match mail.kept() {
                Kept::Here(octets) => {
                    let at = usize::try_from(at).map_err(|_| CopyFault::Unreadable)?;
                    return Ok(take(octets.get(at..).unwrap_or_default(), into));
                }
                Kept::Memory(file) | Kept::File(file, _) => file,
            },
            Source::Output(file) => file,
        };
        let at = i64::try_from(at).map_err(|_| CopyFault::Unreadable)?;
        pread(file, into, at).map_err(|_| CopyFault::Unreadable)
    }
}

/// Copies as much as fits.
fn take(from: &[u8], into: &mut [u8]) -> usize {
    let count = from.len().min(into.len());
    into.get_mut(..count).unwrap_or_default().copy_from_slice(from.get(..count).unwrap_or_default());
    count
}

impl ScannedCopy for Copy {
    fn length(&self) -> u64 {
        self.length
    }

    fn parts(&self) -> &PartMap {
        &self.map
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize, CopyFault> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = left.min(into.len());
        let into = into.get_mut(..wanted).unwrap_or_default();
        if into.is_empty() {
            return Ok(0);
        }
        if let Source::Original(mail) = &self.source
            && let Kept::File(_, hashes) = mail.kept()
        {
            return self.read_slice(hashes, at, into);
        }
        let count = self.read(at, into)?;
        if count > 0 { Ok(count) } else { Err(CopyFault::Unreadable) }
    }
}

impl Copy {
    /// Reads what stands in one slice of a file, after the whole slice proved to be what was scanned.
    fn read_slice(&self, hashes: &[[u8; 32]], at: u64, into: &mut [u8]) -> Result<usize, CopyFault> {
        let at = usize::try_from(at).map_err(|_| CopyFault::Unreadable)?;
        let (index, inside) = (at / SLICE, at % SLICE);
        let (mut held, mut slice) = self.slice.take();
        if held != index || slice.is_empty() {
            let start = (index * SLICE) as u64;
            let length = usize::try_from(self.length.saturating_sub(start)).unwrap_or(usize::MAX).min(SLICE);
            slice.resize(length, 0);
            let mut done = 0;
            while let Some(rest) = slice.get_mut(done..).filter(|rest| !rest.is_empty()) {
                match self.read(start.saturating_add(done as u64), rest)? {
                    0 => return Err(CopyFault::Unreadable),
                    count => done += count,
                }
            }
            if !is_slice(hashes, index, &slice) {
                return Err(CopyFault::Changed);
            }
            held = index;
        }
        let count = take(slice.get(inside..).unwrap_or_default(), into);
        // Behind the last slice nothing follows: its memory is given back.
        if at.saturating_add(count) as u64 != self.length {
            self.slice.replace((held, slice));
        }
        Ok(count)
    }
}

impl fmt::Debug for Copy {
    /// Without its content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The copies of one session. The newest always stays, `copy-cache` bounds the others.
#[derive(Default)]
pub(crate) struct Copies {
    held: VecDeque<Held>,
}

/// A copy of a message.
struct Held {
    number: u32,
    copy: Rc<Copy>,
    /// It was judged by rules that do not apply any more.
    outdated: bool,
}

impl Copies {
    /// The copy of a message.
    pub(crate) fn get(&self, number: u32) -> Option<Rc<Copy>> {
        self.held.iter().find(|held| held.number == number).map(|held| Rc::clone(&held.copy))
    }

    /// The copy of a message that the rules of now judged.
    pub(crate) fn current(&self, number: u32) -> Option<Rc<Copy>> {
        let current = self.held.iter().find(|held| held.number == number && !held.outdated)?;
        Some(Rc::clone(&current.copy))
    }

    /// The rules changed. What is being delivered is delivered to its end.
    pub(crate) fn outdate(&mut self) {
        self.held.iter_mut().for_each(|held| held.outdated = true);
    }

    /// Keeps a copy, and forgets the oldest that no longer fit into `bound` octets beside it.
    pub(crate) fn keep(&mut self, number: u32, copy: Rc<Copy>, bound: u64) {
        self.held.retain(|held| held.number != number);
        let mut others: u64 = self.held.iter().map(|held| held.copy.length).fold(0, u64::saturating_add);
        while others > bound || self.held.len() >= COPIES {
            let Some(oldest) = self.held.pop_front() else { break };
            others = others.saturating_sub(oldest.copy.length);
        }
        self.held.push_back(Held { number, copy, outdated: false });
    }
}

/// A copy that is being read, from its start.
pub(crate) struct Delivery {
    copy: Rc<Copy>,
    offset: u64,
    hash: Option<sha2::Sha256>,
}

impl Delivery {
    /// Begins at the start.
    pub(crate) fn new(copy: Rc<Copy>) -> Self {
        let hash = copy.rehash().is_some().then(sha2::Sha256::new);
        Self { copy, offset: 0, hash }
    }

    /// Whether the last piece was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.offset == self.copy.length
    }

    /// Reads the next piece; empty at the end.
    ///
    /// # Errors
    /// [`CopyFault`], with the last piece withheld.
    pub(crate) fn next<'a>(&mut self, buffer: &'a mut [u8]) -> Result<&'a [u8], CopyFault> {
        let left = self.copy.length.saturating_sub(self.offset);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..want).ok_or(CopyFault::Unreadable)?;
        if want == 0 {
            return Ok(buffer);
        }
        let count = self.copy.read(self.offset, buffer)?;
        let piece = buffer.get(..count).filter(|piece| !piece.is_empty()).ok_or(CopyFault::Unreadable)?;
        self.offset = self.offset.saturating_add(count as u64);
        if let Some(hash) = &mut self.hash {
            hash.update(piece);
            if self.offset == self.copy.length {
                let found = Sha256(std::mem::take(hash).finalize().into());
                if self.copy.rehash() != Some(found) {
                    return Err(CopyFault::Changed);
                }
            }
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::{COPIES, Copies, Copy, SLICE, Source};
    use crate::memfd;
    use crate::memory::Memory;
    use crate::spool::{Spooling, Wrote};
    use ipc::ids::Sha256;
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::rc::Rc;
    use worker_proto::machine::{CopyFault, ScannedCopy};

    fn copy(length: u64) -> Rc<Copy> {
        let source = Source::Output(memfd::create(c"test").unwrap());
        Rc::new(Copy::new(source, length, Sha256([0; 32])))
    }

    /// A mail in a file, as the supervisor lends them, and the writing end that it forgot to take back.
    fn in_a_file(mail: &[u8], sliced: bool) -> (Copy, File) {
        let (path, limit) = (tempfile::NamedTempFile::new().unwrap(), mail.len() as u64 / 2);
        let open = || File::options().read(true).write(true).open(path.path()).unwrap();
        let memory = Memory::new();
        memory.bound(limit, u64::MAX);
        let mut spooling = Spooling::new(memory, sliced);
        for piece in mail.chunks(100_000) {
            if spooling.write(piece) == Wrote::NeedFile {
                spooling.continue_in(open().into(), open().into(), &mut [0; 8192]);
            }
        }
        let mail = Rc::new(spooling.seal().unwrap());
        assert!(mail.is_file());
        let (length, sha256) = (mail.length(), mail.sha256());
        (Copy::new(Source::Original(mail), length, sha256), open())
    }

    fn mail() -> Vec<u8> {
        (0..SLICE * 4 + 1000).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    fn read_range(copy: &Copy, from: usize, count: usize) -> Result<Vec<u8>, CopyFault> {
        let mut octets = vec![0; count];
        let mut done = 0;
        while done < count {
            match copy.read_at((from + done) as u64, octets.get_mut(done..).unwrap_or_default())? {
                0 => break,
                read => done += read,
            }
        }
        octets.truncate(done);
        Ok(octets)
    }

    #[test]
    fn any_stretch_of_a_file_is_read_as_it_was_written() {
        let mail = mail();
        let (copy, _file) = in_a_file(&mail, true);
        for (from, count) in [
            (0, mail.len()),
            (1, 1),
            (SLICE - 1, 2),
            (SLICE * 4 + 990, 100),
            (10, SLICE * 3),
            (mail.len(), 5),
        ] {
            let expected = mail.get(from..(from + count).min(mail.len())).unwrap();
            assert!(read_range(&copy, from, count).unwrap() == expected, "{from} {count}");
        }
    }

    #[test]
    fn no_octet_of_a_slice_that_was_changed_after_the_scan_is_served() {
        let mail = mail();
        let (copy, file) = in_a_file(&mail, true);
        file.write_at(b"evil", (SLICE + 77) as u64).unwrap();
        assert!(read_range(&copy, 0, SLICE).is_ok());
        assert_eq!(read_range(&copy, SLICE, 1), Err(CopyFault::Changed));
        assert_eq!(read_range(&copy, SLICE * 2 - 1, 1), Err(CopyFault::Changed));
        assert!(read_range(&copy, SLICE * 2, 1000).is_ok());
        file.set_len((SLICE * 3 + 1) as u64).unwrap();
        assert_eq!(read_range(&copy, SLICE * 3, 1), Err(CopyFault::Unreadable));
    }

    #[test]
    fn a_file_whose_slices_were_not_hashed_gives_no_part_of_itself() {
        let (copy, _file) = in_a_file(&mail(), false);
        assert_eq!(read_range(&copy, 0, 1), Err(CopyFault::Changed));
    }

    #[test]
    fn the_newest_copy_stays_whatever_its_size_and_the_oldest_goes_first() {
        let mut copies = Copies::default();
        copies.keep(1, copy(60), 100);
        copies.keep(2, copy(40), 100);
        copies.keep(3, copy(1000), 100);
        assert!(copies.get(1).is_some() && copies.get(2).is_some() && copies.get(3).is_some());
        copies.keep(4, copy(1), 100);
        assert!(
            copies.get(3).is_none() && copies.get(4).is_some(),
            "1000 octets beside the newest are too many"
        );
    }

    #[test]
    fn a_newer_copy_of_the_same_mail_takes_its_place() {
        let mut copies = Copies::default();
        copies.keep(1, copy(60), 100);
        copies.keep(1, copy(70), 100);
        assert_eq!(copies.get(1).map(|copy| copy.length), Some(70));
        assert_eq!(copies.held.len(), 1);
    }

    #[test]
    fn copies_are_few_even_if_they_are_small() {
        let mut copies = Copies::default();
        (0..100).for_each(|number| copies.keep(number, copy(1), u64::MAX));
        assert_eq!(copies.held.len(), COPIES);
    }
}
