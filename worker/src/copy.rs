//! The scanned copy: the only place that mail content is served from.
//!
//! A copy in memory is sealed. A copy in a file is hashed again while it is delivered, and its last piece leaves only
//! if the hash is still that of what was scanned.
use crate::limits::COPIES;
use crate::spool::SealedMail;
use ipc::ids::Sha256;
use nix::sys::uio::pread;
use sha2::Digest;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use worker_proto::machine::CopyFault;

/// A mail that was judged deliverable. Made by `scan::Judgement` alone.
pub(crate) struct Copy {
    /// Where its octets are.
    pub(crate) source: Source,
    /// Octets.
    pub(crate) length: u64,
    /// Hash of the original.
    pub(crate) sha256: Sha256,
}

/// Where the octets of a copy are.
pub(crate) enum Source {
    /// The mail itself, as it was scanned.
    Original(Rc<SealedMail>),
    /// What the scanner wrote in its place, sealed since.
    Output(OwnedFd),
}

impl Copy {
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
}

impl AsFd for Copy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Original(mail) => mail.as_fd(),
            Source::Output(fd) => fd.as_fd(),
        }
    }
}

/// The copies of one session. The newest always stays, `copy-cache` bounds the others.
#[derive(Default)]
pub(crate) struct Copies {
    held: VecDeque<(u32, Rc<Copy>)>,
    /// Copies of these messages were judged by rules that do not apply any more.
    outdated: Vec<u32>,
}

impl Copies {
    /// The copy of a message.
    pub(crate) fn get(&self, number: u32) -> Option<Rc<Copy>> {
        self.held.iter().find(|(held, _)| *held == number).map(|(_, copy)| Rc::clone(copy))
    }

    /// The copy of a message that the rules of now judged.
    pub(crate) fn current(&self, number: u32) -> Option<Rc<Copy>> {
        self.get(number).filter(|_| !self.outdated.contains(&number))
    }

    /// The rules changed. What is being delivered is delivered to its end.
    pub(crate) fn outdate(&mut self) {
        self.outdated = self.held.iter().map(|(number, _)| *number).collect();
    }

    /// Keeps a copy, and forgets the oldest that no longer fit into `bound` octets beside it.
    pub(crate) fn keep(&mut self, number: u32, copy: Rc<Copy>, bound: u64) {
        self.held.retain(|(held, _)| *held != number);
        self.outdated.retain(|outdated| *outdated != number);
        let mut others: u64 = self.held.iter().map(|(_, held)| held.length).fold(0, u64::saturating_add);
        while others > bound || self.held.len() >= COPIES {
            let Some((_, oldest)) = self.held.pop_front() else { break };
            others = others.saturating_sub(oldest.length);
        }
        self.held.push_back((number, copy));
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
        let offset = i64::try_from(self.offset).map_err(|_| CopyFault::Unreadable)?;
        let count = pread(self.copy.as_fd(), buffer, offset).map_err(|_| CopyFault::Unreadable)?;
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
    use super::{COPIES, Copies, Copy, Source};
    use crate::memfd;
    use ipc::ids::Sha256;
    use std::rc::Rc;

    fn copy(length: u64) -> Rc<Copy> {
        let source = Source::Output(memfd::create(c"test").unwrap());
        Rc::new(Copy { source, length, sha256: Sha256([0; 32]) })
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
