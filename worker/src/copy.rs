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
}

impl Copies {
    /// The copy of a message.
    pub(crate) fn get(&self, number: u32) -> Option<Rc<Copy>> {
        self.held.iter().find(|(held, _)| *held == number).map(|(_, copy)| Rc::clone(copy))
    }

    /// Keeps a copy, and forgets the oldest that no longer fit into `bound` octets beside it.
    pub(crate) fn keep(&mut self, number: u32, copy: Rc<Copy>, bound: u64) {
        self.held.retain(|(held, _)| *held != number);
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

/// Why a copy cannot be delivered to its end. The session ends before the client could take it for complete.
#[derive(Debug)]
pub(crate) enum CopyFault {
    /// It cannot be read, or is shorter than it was.
    Unreadable,
    /// It is not what was scanned.
    Changed,
}

impl Delivery {
    /// Begins at the start.
    pub(crate) fn new(copy: Rc<Copy>) -> Self {
        let hash = copy.rehash().is_some().then(sha2::Sha256::new);
        Self { copy, offset: 0, hash }
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
