//! How much mail this process holds in memory: `spool-memory`, divided between the workers of a tenant. What does not fit
//! goes to a file; nothing is refused for it.
use std::cell::Cell;
use std::rc::Rc;

/// The account of one worker.
#[derive(Debug)]
pub(crate) struct Memory {
    /// `spool-file-above`.
    above: Cell<u64>,
    /// This worker's share of `spool-memory`.
    share: Cell<u64>,
    used: Cell<u64>,
}

/// The octets of one mail on the account, until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    memory: Rc<Memory>,
    octets: u64,
}

impl Memory {
    /// Nothing is held, and nothing bounds it until a policy comes.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { above: Cell::new(u64::MAX), share: Cell::new(u64::MAX), used: Cell::new(0) })
    }

    /// A policy says what fits.
    pub(crate) fn bound(&self, above: u64, share: u64) {
        self.above.set(above);
        self.share.set(share);
    }
}

impl Hold {
    /// For a mail of which nothing came yet.
    pub(crate) const fn new(memory: Rc<Memory>) -> Self {
        Self { memory, octets: 0 }
    }

    /// Makes room for further octets of the mail. False: there is none, and what it had is given back.
    pub(crate) fn grow(&mut self, octets: u64) -> bool {
        let memory = &self.memory;
        let fits = self.octets.saturating_add(octets) <= memory.above.get()
            && memory.used.get().saturating_add(octets) <= memory.share.get();
        if fits {
            self.octets += octets;
            memory.used.set(memory.used.get() + octets);
        } else {
            self.release();
        }
        fits
    }

    fn release(&mut self) {
        let octets = std::mem::take(&mut self.octets);
        self.memory.used.set(self.memory.used.get().saturating_sub(octets));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_share_what_there_is_and_give_it_back() {
        let memory = Memory::new();
        memory.bound(80, 100);
        let mut first = Hold::new(Rc::clone(&memory));
        let mut second = Hold::new(Rc::clone(&memory));
        assert!(first.grow(70) && second.grow(30), "all of it");
        assert!(!second.grow(1), "no more");
        assert_eq!(memory.used.get(), 70, "what goes to a file is off the account");
        assert!(!first.grow(11), "over spool-file-above, whatever is free");
        assert_eq!(memory.used.get(), 0);
        assert!(first.grow(5));
        drop(first);
        assert_eq!(memory.used.get(), 0);
    }
}
