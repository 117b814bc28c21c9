//! What the supervisor sent for one session, until its task looks. Costs nothing while it is empty.
use ipc::supervisor_worker::ToWorker;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, Waker};

/// One message with its descriptors.
pub(crate) type Letter = (ToWorker, Vec<OwnedFd>);

/// One session's letters, in order. Filled by the link's reader, emptied by the session's task; both run on one thread.
#[derive(Default)]
pub(crate) struct Inbox {
    letters: RefCell<VecDeque<Letter>>,
    reader: Cell<Option<Waker>>,
}

impl Inbox {
    /// Adds a letter and wakes the session.
    pub(crate) fn put(&self, letter: Letter) {
        self.letters.borrow_mut().push_back(letter);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// The next letter.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Letter> {
        let mut letters = self.letters.borrow_mut();
        let Some(letter) = letters.pop_front() else {
            let known = self.reader.take().filter(|reader| reader.will_wake(cx.waker()));
            self.reader.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
            return Poll::Pending;
        };
        if letters.is_empty() {
            // A session is idle for minutes between its few letters.
            *letters = VecDeque::new();
        }
        Poll::Ready(letter)
    }
}
