//! What is said to children, and how what they say becomes events. One link each way, in order; the log beside it.
use super::{ChildId, Children, FromChild};
use crate::event_loop::Event;
use crate::post::{Carrier, Post, post};
use ipc::boot::{Boot, Ready};
use ipc::link::{Link, LinkError};
use ipc::log;
use ipc::supervisor_keyholder::{FromKeyholder, ToKeyholder};
use ipc::supervisor_lookup::{FromLookup, ToLookup};
use ipc::supervisor_scanner::{FromScanner, ToScanner};
use ipc::supervisor_worker::{FromWorker, ToWorker};
use ipc::supervisor_writer::{FromWriter, ToWriter};
use ipc::wire::Message;
use std::os::fd::OwnedFd;
use tokio::sync::mpsc;

/// The way to a child.
#[derive(Debug)]
pub(super) enum Outbox {
    Worker(Post<ToWorker, FromWorker>),
    Scanner(Post<ToScanner, FromScanner>),
    Lookup(Post<ToLookup, FromLookup>),
    Keyholder(Post<ToKeyholder, FromKeyholder>),
    Writer(Post<ToWriter, FromWriter>),
}

impl Children {
    /// Sends to a worker. False: it is gone or stuck; a stuck one has been killed.
    pub(crate) fn tell_worker(&mut self, id: ChildId, message: ToWorker, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Worker(outbox) => outbox.send(message, fds),
            Outbox::Scanner(_) | Outbox::Lookup(_) | Outbox::Keyholder(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to a scanner, as [`Children::tell_worker`].
    pub(crate) fn tell_scanner(&mut self, id: ChildId, message: ToScanner, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Scanner(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Lookup(_) | Outbox::Keyholder(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to lookup, as [`Children::tell_worker`].
    pub(crate) fn tell_lookup(&mut self, id: ChildId, message: ToLookup, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Lookup(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Scanner(_) | Outbox::Keyholder(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to the keyholder, as [`Children::tell_worker`].
    pub(crate) fn tell_keyholder(&mut self, id: ChildId, message: ToKeyholder, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Keyholder(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Scanner(_) | Outbox::Lookup(_) | Outbox::Writer(_) => false,
        };
        self.kill_unless(sent, id)
    }

    /// Sends to a writer, as [`Children::tell_worker`].
    pub(crate) fn tell_writer(&mut self, id: ChildId, message: ToWriter, fds: Vec<OwnedFd>) -> bool {
        let Some(child) = self.living.get(&id) else { return false };
        let sent = match &child.outbox {
            Outbox::Writer(outbox) => outbox.send(message, fds),
            Outbox::Worker(_) | Outbox::Scanner(_) | Outbox::Lookup(_) | Outbox::Keyholder(_) => false,
        };
        self.kill_unless(sent, id)
    }

    fn kill_unless(&self, sent: bool, id: ChildId) -> bool {
        if !sent {
            self.kill(id);
        }
        sent
    }
}

/// Awaits `Ready`, then carries messages both ways until the link ends.
pub(super) fn converse<Tx: Message + 'static, Rx: Message + 'static>(
    id: ChildId,
    ready: OwnedFd,
    socket: OwnedFd,
    wrap: fn(Rx) -> FromChild,
    events: mpsc::Sender<Event>,
) -> Post<Tx, Rx> {
    let (post, carrier) = post();
    tokio::task::spawn_local(async move {
        let error = match receive(id, ready, socket, wrap, &events, carrier).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let _ = events.send(Event::Child { id, what: FromChild::Lost(error) }).await;
    });
    post
}

async fn receive<Tx: Message + 'static, Rx: Message + 'static>(
    id: ChildId,
    ready: OwnedFd,
    socket: OwnedFd,
    wrap: fn(Rx) -> FromChild,
    events: &mpsc::Sender<Event>,
    carrier: Carrier<Tx, Rx>,
) -> Result<std::convert::Infallible, LinkError> {
    let first = Link::<Boot, Ready>::new(ready).map_err(LinkError::Io)?;
    let (walls, _) = first.recv().await?;
    drop(first);
    let receiving = carrier.open(socket)?;
    let say = async |what| events.send(Event::Child { id, what }).await.map_err(|_| LinkError::Closed);
    say(FromChild::Ready(Box::new(walls))).await?;
    loop {
        say(wrap(receiving.next().await?)).await?;
    }
}

pub(super) async fn listen_to_log(id: ChildId, socket: OwnedFd, events: mpsc::Sender<Event>) {
    let Ok(link) = Link::<log::Event, log::Event>::new(socket) else { return };
    // An event that does not decode ends only the log of this child; its link decides over its life.
    while let Ok((event, _)) = link.recv().await {
        let what = FromChild::Log(Box::new(event));
        if events.send(Event::Child { id, what }).await.is_err() {
            return;
        }
    }
}
