//! The only select loop: feeds the protocol machine from both peers, the timer and the scanned copy, and sends what
//! it says. Both peers are read and written in the same turn, so that no two of them can wait for each other.
//!
//! Trusts nothing that it reads; understands nothing of it either. A session that is idle owns no buffer: what is
//! read and what is to be sent pass through one pair of buffers per worker, borrowed within one call.
use crate::copy::Delivery;
use crate::limits::{CLOSE, PIECE, PIECES_PER_TURN, QUEUE};
use crate::memory::Memory;
use crate::peer::Peer;
use crate::spool::{Spooling, Wrote};
use ipc::supervisor_worker::Counters;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tls::{Acceptor, Blame, Channel, Failure as Failed};
use tokio::time::{Instant, Sleep, timeout};
use worker_proto::machine::{CopyFault, Event, Fault, Input, Machine, Output, Side, Verdict};

/// The buffers of a worker, shared by its sessions.
pub(crate) struct Buffers {
    /// What was read.
    pub(crate) piece: Box<[u8]>,
    /// What the machine said.
    output: Output,
}

impl Buffers {
    /// Allocates them, before the first session.
    pub(crate) fn new() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { piece: vec![0; PIECE].into(), output: Output::default() }))
    }
}

/// What the session has to do something about.
pub(crate) enum Turn {
    /// The machine asks for it.
    Event(Event),
    /// The mail of this number outgrew memory: a file is needed, nothing is read until it came.
    NeedFile(u32),
    /// The client has waited for a judgement as long as `scan-patience` says.
    Patience,
    /// The session cannot go on.
    Failed(Failure),
}

/// Why a session cannot go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A peer broke the protocol or a limit.
    Peer(Fault),
    /// The client does not take what is sent.
    ClientGone,
    /// The copy cannot be delivered to its end.
    Copy(CopyFault),
}

/// Moves the bytes of one session.
pub(crate) struct Driver<M> {
    buffers: Rc<RefCell<Buffers>>,
    memory: Rc<Memory>,
    started: Instant,
    /// `None` after a fault.
    machine: Option<M>,
    client: Peer,
    /// `None` in the late plan, until the client's name decided which.
    server: Option<Peer>,
    turns: VecDeque<Turn>,
    /// In a box: an idle session has none.
    fault: Option<Box<Fault>>,
    /// Mails whose octets are coming, or wait to be sealed, by their numbers.
    spools: Vec<(u32, Box<Spooling>)>,
    /// Which of them is written to.
    receiving: Option<u32>,
    delivery: Option<Box<Delivery>>,
    patience: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    counters: Counters,
}

impl<M: Machine> Driver<M> {
    /// A driver of connected peers, the server where it is known already. `started` is the machine's time zero, `memory` is where mails are held.
    pub(crate) fn new(
        buffers: Rc<RefCell<Buffers>>,
        memory: Rc<Memory>,
        started: Instant,
        machine: M,
        client: Peer,
        server: Option<Peer>,
    ) -> Self {
        Self {
            buffers,
            memory,
            started,
            machine: Some(machine),
            client,
            server,
            turns: VecDeque::new(),
            fault: None,
            spools: Vec::new(),
            receiving: None,
            delivery: None,
            patience: None,
            timer: Box::pin(tokio::time::sleep_until(started)),
            armed: None,
            counters: Counters::default(),
        }
    }

    /// Shakes hands with the client, once it has what is queued for it; then the session begins anew behind TLS.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub(crate) async fn secure_client(&mut self, acceptor: &Acceptor) -> Result<Channel, Failed> {
        let flushed = poll_fn(|cx| self.client.poll_flush(cx));
        if timeout(CLOSE, flushed).await.is_err() || self.client.is_broken() {
            return Err(Failed { blame: Blame::Gone, why: "the client takes no more".to_owned() });
        }
        let (_, channel, _) = acceptor.accept(self.client.stream()).await?;
        Ok(channel)
    }

    /// What follows is behind TLS.
    pub(crate) fn secured(&mut self, channel: Channel) {
        self.client.secure(channel);
        self.machine = self.machine.take().map(Machine::secured);
    }

    /// The server of this login.
    pub(crate) fn connect(&mut self, server: Peer) {
        self.server = Some(server);
    }

    /// The server of a login that failed is of no use for another.
    pub(crate) fn disconnect(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.say_goodbye();
        }
    }

    /// Tells the machine something that no peer said.
    pub(crate) fn tell(&mut self, input: Input<'_>) {
        let buffers = Rc::clone(&self.buffers);
        self.feed(input, &mut buffers.borrow_mut().output);
    }

    /// Gives the machine a verdict and, where it serves, the copy. A small mail leaves in one write, its answer with it.
    pub(crate) fn serve(&mut self, number: u32, verdict: Verdict, delivery: Delivery) {
        self.delivery = Some(Box::new(delivery));
        let buffers = Rc::clone(&self.buffers);
        let buffers = &mut *buffers.borrow_mut();
        clear(&mut buffers.output);
        self.step(Input::Judged(number, verdict), &mut buffers.output);
        if self.wants_copy() && buffers.output.events.is_empty() {
            self.step_copy(buffers);
        }
        self.perform(&mut buffers.output);
    }

    /// The copy was delivered, or will not be.
    pub(crate) fn delivered(&mut self) {
        self.delivery = None;
    }

    /// From when on the client has waited long enough.
    pub(crate) const fn set_patience(&mut self, until: Option<Instant>) {
        self.patience = until;
    }

    /// The spool of a mail that was not sealed yet.
    pub(crate) fn spooling(&mut self, number: u32) -> Option<&mut Spooling> {
        self.spools.iter_mut().find(|(of, _)| *of == number).map(|(_, spooling)| &mut **spooling)
    }

    /// Takes the spool of a mail out, to be sealed or forgotten.
    pub(crate) fn take_spool(&mut self, number: u32) -> Option<Box<Spooling>> {
        let at = self.spools.iter().position(|(of, _)| *of == number)?;
        let (_, spooling) = self.spools.swap_remove(at);
        if self.spools.is_empty() {
            self.spools = Vec::new();
        }
        Some(spooling)
    }

    /// The next thing that the session has to do something about. Everything else happens in here.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let buffers = Rc::clone(&self.buffers);
        let buffers = &mut *buffers.borrow_mut();
        let mut pieces = 0;
        loop {
            if let Some(turn) = self.turns.pop_front() {
                if self.turns.is_empty() {
                    self.turns = VecDeque::new();
                }
                return Poll::Ready(turn);
            }
            self.flush_server(cx);
            let _: Poll<()> = self.client.poll_flush(cx);
            if self.client.is_broken() {
                return Poll::Ready(Turn::Failed(Failure::ClientGone));
            }
            let moved = self.serve_copy(buffers)
                || self.say_more(Side::Client, buffers)
                || self.say_more(Side::Server, buffers)
                || self.read(Side::Server, buffers, cx)
                || self.read(Side::Client, buffers, cx);
            if moved {
                pieces += 1;
                if pieces < PIECES_PER_TURN || !self.turns.is_empty() {
                    continue;
                }
                // The others' turn; but a busy session has deadlines too.
                cx.waker().wake_by_ref();
            }
            if !self.tick(buffers, cx) {
                return Poll::Pending;
            }
        }
    }

    /// Sends what is queued, waiting a short while, and ends both connections. `farewell` are the last words to the
    /// client; unless the client asked for the end, what it still says is taken, so that it gets to read them.
    pub(crate) async fn close(&mut self, farewell: &[u8], linger: bool) -> Counters {
        self.client.send(farewell);
        self.client.say_goodbye();
        if let Some(server) = &mut self.server {
            server.say_goodbye();
        }
        self.timer.as_mut().reset(Instant::now() + CLOSE);
        poll_fn(|cx| {
            self.flush_server(cx);
            if self.client.poll_flush(cx).is_ready() { Poll::Ready(()) } else { self.timer.as_mut().poll(cx) }
        })
        .await;
        if linger {
            self.client.discard(&mut self.buffers.borrow_mut().piece);
        }
        self.counters
    }

    fn flush_server(&mut self, cx: &mut Context<'_>) {
        if let Some(server) = &mut self.server {
            let _: Poll<()> = server.poll_flush(cx);
        }
    }

    /// Octets that a peer has not taken yet.
    fn queued(&self, side: Side) -> usize {
        match side {
            Side::Client => self.client.queued(),
            Side::Server => self.server.as_ref().map_or(0, Peer::queued),
        }
    }

    fn wants_copy(&self) -> bool {
        self.machine.as_ref().is_some_and(Machine::wants_copy)
    }

    /// One piece of the copy, when the client took the one before.
    fn serve_copy(&mut self, buffers: &mut Buffers) -> bool {
        if !self.wants_copy() || self.client.queued() > 0 || self.delivery.is_none() {
            return false;
        }
        clear(&mut buffers.output);
        self.step_copy(buffers);
        self.perform(&mut buffers.output);
        true
    }

    /// What the machine still has for a peer, when that took what came before.
    fn say_more(&mut self, side: Side, buffers: &mut Buffers) -> bool {
        if self.queued(side) > 0 || !self.machine.as_ref().is_some_and(|machine| machine.has_more(side)) {
            return false;
        }
        self.feed(Input::Room(side), &mut buffers.output);
        true
    }

    /// One piece of the copy, and its end if that follows.
    fn step_copy(&mut self, buffers: &mut Buffers) {
        let Some(delivery) = &mut self.delivery else { return };
        match delivery.next(&mut buffers.piece) {
            Ok(piece) => {
                let at_end = delivery.is_at_end();
                self.step(Input::Copy(piece), &mut buffers.output);
                if at_end && self.wants_copy() {
                    self.step(Input::Copy(&[]), &mut buffers.output);
                }
            }
            Err(fault) => {
                self.machine = None;
                self.turns.push_back(Turn::Failed(Failure::Copy(fault)));
            }
        }
    }

    /// One piece of a peer, if the machine wants it and the other peer keeps up.
    fn read(&mut self, side: Side, buffers: &mut Buffers, cx: &mut Context<'_>) -> bool {
        if !self.machine.as_ref().is_some_and(|machine| machine.wants(side)) {
            return false;
        }
        let other = match side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let awaits_file = self.spools.iter().any(|(_, spooling)| spooling.awaits_file());
        if self.queued(other) > QUEUE || awaits_file {
            return false;
        }
        let peer = match side {
            Side::Client => Some(&mut self.client),
            Side::Server => self.server.as_mut(),
        };
        let Some(peer) = peer.filter(|peer| !peer.is_eof()) else { return false };
        let Poll::Ready(count) = peer.poll_read(cx, &mut buffers.piece) else { return false };
        let piece = buffers.piece.get(..count).unwrap_or_default();
        if piece.is_empty() {
            self.feed(Input::Eof(side), &mut buffers.output);
            return true;
        }
        match side {
            Side::Client => {
                let lines = piece.iter().filter(|octet| **octet == b'\n').count();
                let lines = u32::try_from(lines).unwrap_or(u32::MAX);
                self.counters.commands = self.counters.commands.saturating_add(lines);
                self.counters.bytes_out = self.counters.bytes_out.saturating_add(count as u64);
            }
            Side::Server => self.counters.bytes_in = self.counters.bytes_in.saturating_add(count as u64),
        }
        self.feed(Input::Bytes(side, piece), &mut buffers.output);
        true
    }

    /// Whether a deadline passed. The timer is left alone while deadlines move away, which they do with each command.
    fn tick(&mut self, buffers: &mut Buffers, cx: &mut Context<'_>) -> bool {
        let machine_due =
            self.machine.as_ref().and_then(Machine::deadline).and_then(|due| self.started.checked_add(due));
        let Some(due) = [machine_due, self.patience].into_iter().flatten().min() else { return false };
        if self.armed.is_none_or(|armed| due < armed) {
            self.timer.as_mut().reset(due);
            self.armed = Some(due);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.armed = None;
        let now = Instant::now();
        if machine_due.is_some_and(|due| due <= now) {
            self.feed(Input::Tick, &mut buffers.output);
        }
        if self.patience.is_some_and(|due| due <= now) {
            self.patience = None;
            self.turns.push_back(Turn::Patience);
        }
        true
    }

    /// Gives the machine one input and performs what it says.
    fn feed(&mut self, input: Input<'_>, output: &mut Output) {
        clear(output);
        self.step(input, output);
        self.perform(output);
    }

    /// Gives the machine one input.
    fn step(&mut self, input: Input<'_>, output: &mut Output) {
        let Some(machine) = self.machine.take() else { return };
        let now: Duration = self.started.elapsed();
        match machine.handle(now, input, output) {
            Ok(machine) => self.machine = Some(machine),
            Err(fault) => self.fault = Some(Box::new(fault)),
        }
    }

    /// Performs what can be performed at once: bytes to peers and spool. The rest is the session's turn.
    fn perform(&mut self, output: &mut Output) {
        self.client.send(&output.client);
        if let Some(server) = &mut self.server {
            server.send(&output.server);
        }
        let outgrown = self.spool(output);
        self.turns.extend(output.events.drain(..).map(Turn::Event));
        self.turns.extend(outgrown.into_iter().map(Turn::NeedFile));
        if let Some(fault) = self.fault.take() {
            self.turns.push_back(Turn::Failed(Failure::Peer(*fault)));
        }
    }

    /// Writes what came of mails; those that need a file.
    fn spool(&mut self, output: &Output) -> Vec<u32> {
        let Output { spool, spool_marks, events, .. } = output;
        let mut outgrown = Vec::new();
        let mut marks = spool_marks.iter().copied();
        let mut from = 0;
        for event in events {
            match event {
                Event::MailBegin { number, .. } => {
                    from = marks.next().unwrap_or(from);
                    self.take_spool(*number);
                    self.spools
                        .push((*number, Box::new(Spooling::new(Rc::clone(&self.memory), M::KEEPS_COPIES))));
                    self.receiving = Some(*number);
                }
                Event::MailEnd { .. } => {
                    let until = marks.next().unwrap_or(spool.len());
                    self.write(spool.get(from..until).unwrap_or_default(), &mut outgrown);
                    from = until;
                    self.receiving = None;
                }
                Event::LoggedIn { .. }
                | Event::WantServer { .. }
                | Event::LoginFailed { .. }
                | Event::WantMail { .. }
                | Event::Selected { .. }
                | Event::Replaced { .. }
                | Event::Delivered { .. }
                | Event::Forgotten { .. }
                | Event::NotMarked { .. }
                | Event::CopyFailed(_)
                | Event::StartTls
                | Event::Refused { .. }
                | Event::Close(_) => {}
            }
        }
        self.write(spool.get(from..).unwrap_or_default(), &mut outgrown);
        outgrown
    }

    fn write(&mut self, octets: &[u8], outgrown: &mut Vec<u32>) {
        if let Some(number) = self.receiving
            && let Some(spooling) = self.spooling(number)
            && spooling.write(octets) == Wrote::NeedFile
        {
            outgrown.push(number);
        }
    }
}

/// A machine that panicked, of whatever session, left in the shared buffers what nobody else may see.
fn clear(output: &mut Output) {
    let Output { client, server, spool, spool_marks, events } = output;
    client.clear();
    server.clear();
    spool.clear();
    spool_marks.clear();
    events.clear();
}
