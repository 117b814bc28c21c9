//! Messages to a child, in order: sent at once while its socket has room, carried behind those that wait otherwise. What a
//! client or a mail waits for is then on its way before anything else is done.
use ipc::link::{Link, LinkError};
use ipc::wire::Message;
use nix::errno::Errno;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use tokio::sync::mpsc;

/// Messages that wait for a child; one that lets more pile up is stuck and is killed. A reload says something to every
/// session at once.
const OUTBOX: usize = 32_768;

/// A message with its descriptors.
type Letter<Tx> = (Tx, Vec<OwnedFd>);

/// The way to one child.
pub(crate) struct Post<Tx, Rx> {
    line: Rc<Line<Tx, Rx>>,
    queue: mpsc::Sender<Letter<Tx>>,
}

/// What the sender and the carrier share.
struct Line<Tx, Rx> {
    /// There once the child is confined.
    link: OnceCell<Link<Tx, Rx>>,
    /// Messages that are queued or being carried.
    waiting: Cell<usize>,
}

/// The far side of a [`Post`]: where its messages are carried, and the child's are received.
pub(crate) struct Carrier<Tx, Rx> {
    line: Rc<Line<Tx, Rx>>,
    queue: mpsc::Receiver<Letter<Tx>>,
}

/// A way to a child that has yet to confine itself.
pub(crate) fn post<Tx, Rx>() -> (Post<Tx, Rx>, Carrier<Tx, Rx>) {
    let line = Rc::new(Line { link: OnceCell::new(), waiting: Cell::new(0) });
    let (sender, queue) = mpsc::channel(OUTBOX);
    (Post { line: Rc::clone(&line), queue: sender }, Carrier { line, queue })
}

impl<Tx, Rx> fmt::Debug for Post<Tx, Rx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("waiting", &self.line.waiting.get()).finish_non_exhaustive()
    }
}

impl<Tx: Message, Rx: Message> Post<Tx, Rx> {
    /// Sends or queues. False: too much waits already. That the child is gone is seen by who receives from it.
    pub(crate) fn send(&self, message: Tx, fds: Vec<OwnedFd>) -> bool {
        if self.line.waiting.get() == 0
            && let Some(link) = self.line.link.get()
        {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match link.try_send(&message, &borrowed) {
                Ok(()) | Err(LinkError::Closed) => return true,
                Err(LinkError::Wire(_)) => return false,
                Err(LinkError::Full | LinkError::Io(_)) => {}
            }
        }
        let queued = self.queue.try_send((message, fds)).is_ok();
        if queued {
            self.line.waiting.set(self.line.waiting.get() + 1);
        }
        queued
    }
}

impl<Tx: Message + 'static, Rx: Message + 'static> Carrier<Tx, Rx> {
    /// The child is confined: what waits is carried, and what it says is received through the returned end.
    ///
    /// # Errors
    /// When the descriptor cannot be watched.
    pub(crate) fn open(self, socket: OwnedFd) -> Result<Receiving<Tx, Rx>, LinkError> {
        let Self { line, queue } = self;
        let link = Link::<Tx, Rx>::new(socket).map_err(LinkError::Io)?;
        let _ = line.link.set(link);
        tokio::task::spawn_local(carry(Rc::clone(&line), queue));
        Ok(Receiving { line })
    }
}

/// Where a child's messages come in.
pub(crate) struct Receiving<Tx, Rx> {
    line: Rc<Line<Tx, Rx>>,
}

impl<Tx: Message, Rx: Message> Receiving<Tx, Rx> {
    /// The next message. No message of a child carries descriptors: the link passes no control buffer, so none can be
    /// installed.
    ///
    /// # Errors
    /// [`LinkError`]: the child is gone, or broke the contract.
    pub(crate) async fn next(&self) -> Result<Rx, LinkError> {
        let link = self.line.link.get().ok_or(LinkError::Io(Errno::ENOTCONN.into()))?;
        link.recv().await.map(|(message, _)| message)
    }
}

/// Sends what waits, until the child is gone or is forgotten (the receiver reports its end).
async fn carry<Tx: Message, Rx: Message>(line: Rc<Line<Tx, Rx>>, mut queue: mpsc::Receiver<Letter<Tx>>) {
    let Some(link) = line.link.get() else { return };
    while let Some((message, fds)) = queue.recv().await {
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        if link.send(&message, &borrowed).await.is_err() {
            return;
        }
        line.waiting.set(line.waiting.get().saturating_sub(1));
    }
}
