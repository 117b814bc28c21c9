//! Reads the supervisor's link and gives every message to the session that it names; runs the sessions as tasks of
//! one thread. A session that panics is one session less, nothing else.
use crate::driver::Buffers;
use crate::generation::{self, Generations};
use crate::inbox::Inbox;
use crate::joining::{self, Admitted};
use crate::keyholder::{Remote, SESSION};
use crate::memory::Memory;
use crate::panics;
use crate::quarantine::Quarantine;
use ipc::ids::SessionId;
use ipc::log::{Level, Log};
use ipc::supervisor_worker::{Counters, End, FromWorker, TlsFile, ToWorker};
use ipc::{Link, LinkError};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::Notify;

/// What the sessions of one worker share.
pub(crate) struct Worker {
    link: Link<FromWorker, ToWorker>,
    /// Where events go.
    pub(crate) log: Log,
    /// The policies that sessions name.
    pub(crate) generations: Generations,
    /// What mails take of it.
    pub(crate) memory: Rc<Memory>,
    /// The buffers that sessions borrow.
    pub(crate) buffers: Rc<RefCell<Buffers>>,
    /// Who has the keys.
    pub(crate) keyholder: Arc<Remote>,
    /// Who keeps originals.
    pub(crate) quarantine: Rc<Quarantine>,
    /// Files of TLS of policies that are still to come.
    tls_files: RefCell<Vec<(u64, TlsFile, OwnedFd)>>,
    sessions: RefCell<HashMap<SessionId, Rc<Inbox>>>,
    /// What the supervisor's socket had no room for.
    backlog: RefCell<VecDeque<FromWorker>>,
    backlog_grew: Notify,
    draining: Cell<bool>,
    ended_or_sent: Notify,
}

impl Worker {
    /// Wraps the link; needs the runtime.
    pub(crate) fn new(link: Link<FromWorker, ToWorker>, log: Log) -> Rc<Self> {
        Rc::new(Self {
            link,
            log,
            generations: Generations::default(),
            memory: Memory::new(),
            buffers: Buffers::new(),
            keyholder: Arc::default(),
            quarantine: Rc::default(),
            tls_files: RefCell::default(),
            sessions: RefCell::default(),
            backlog: RefCell::default(),
            backlog_grew: Notify::new(),
            draining: Cell::new(false),
            ended_or_sent: Notify::new(),
        })
    }

    /// Whether the session lives.
    pub(crate) fn has_session(&self, id: SessionId) -> bool {
        self.sessions.borrow().contains_key(&id)
    }

    /// Sends a message to the supervisor, in order, without waiting.
    pub(crate) fn tell(&self, message: FromWorker) {
        if self.backlog.borrow().is_empty()
            && !matches!(self.link.try_send(&message, &[]), Err(LinkError::Full))
        {
            // Sent, or the link is broken: then its reader ends the worker.
            return;
        }
        self.backlog.borrow_mut().push_back(message);
        self.backlog_grew.notify_one();
    }
}

/// Serves until the supervisor drains this worker and its last session ended, or is gone.
///
/// # Errors
/// When the supervisor's link breaks in another way than by closing.
pub(crate) async fn serve(worker: &Rc<Worker>) -> Result<(), LinkError> {
    let ended = tokio::select! {
        ended = read(worker) => ended,
        ended = write_backlog(worker) => ended,
        () = drained(worker) => Ok(()),
    };
    match ended {
        Err(LinkError::Closed) => Ok(()),
        Ok(()) | Err(LinkError::Full | LinkError::Wire(_) | LinkError::Io(_)) => ended,
    }
}

async fn read(worker: &Rc<Worker>) -> Result<(), LinkError> {
    loop {
        let (message, fds) = worker.link.recv().await?;
        take(worker, message, fds);
    }
}

fn take(worker: &Rc<Worker>, message: ToWorker, fds: Vec<OwnedFd>) {
    match message {
        ToWorker::Tls { generation, file } => {
            let file = fds.into_iter().next().map(|fd| (generation, file, fd));
            worker.tls_files.borrow_mut().extend(file);
        }
        ToWorker::Keyholder => worker.keyholder.set(fds.into_iter().next()),
        ToWorker::Writer => worker.quarantine.set(fds.into_iter().next()),
        ToWorker::Policy { generation, len } => {
            let files = worker.tls_files.take().into_iter().filter(|(of, ..)| *of == generation);
            let files = files.map(|(_, file, fd)| (file, fd)).collect();
            let read = fds
                .first()
                .ok_or("policy without a file")
                .and_then(|file| generation::read(file, len, files, &worker.keyholder));
            match read {
                Ok(slice) => {
                    worker.memory.bound(slice.spool_file_above, slice.spool_memory);
                    worker.generations.add(generation, slice);
                }
                Err(why) => worker.log.note(Level::Error, None, "policy refused", why),
            }
        }
        ToWorker::Session(admission) => {
            if let Some(client) = fds.into_iter().next() {
                let inbox = Rc::new(Inbox::default());
                worker.sessions.borrow_mut().insert(admission.id, Rc::clone(&inbox));
                let generation = worker.generations.get(admission.generation);
                let admitted = Admitted { admission, generation, client, inbox };
                tokio::task::spawn_local(run_guarded(Rc::clone(worker), admitted));
            }
        }
        ToWorker::Drain => {
            worker.draining.set(true);
            worker.ended_or_sent.notify_one();
        }
        ToWorker::Server { session, .. }
        | ToWorker::NoServer { session, .. }
        | ToWorker::Spool { session, .. }
        | ToWorker::NoSpool { session, .. }
        | ToWorker::Lease { session, .. }
        | ToWorker::NoLease { session, .. }
        | ToWorker::Changed { session, .. }
        | ToWorker::Stored { session, .. }
        | ToWorker::Renew { session, .. }
        | ToWorker::Late { session }
        | ToWorker::Kick { session } => {
            // A session may have ended while this was on its way: its descriptors close here.
            if let Some(inbox) = worker.sessions.borrow().get(&session) {
                inbox.put((message, fds));
            }
        }
    }
}

/// Runs one session and tells the supervisor how it ended, whatever happened in it.
pub(crate) async fn run_guarded(worker: Rc<Worker>, admitted: Admitted) {
    let id = admitted.admission.id;
    let ended = {
        let mut session = pin!(SESSION.scope(id, joining::run(Rc::clone(&worker), admitted)));
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| session.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        })
        .await
    };
    let (end, counters) = ended.unwrap_or_else(|panic| {
        let detail = format!("{} at {}", panic_text(panic.as_ref()), panics::take_where());
        worker.log.note(Level::Error, Some(id), "session panicked", &detail);
        (End::Internal, Counters::default())
    });
    worker.sessions.borrow_mut().remove(&id);
    worker.tell(FromWorker::SessionEnded { session: id, end, counters });
    if worker.draining.get() {
        worker.ended_or_sent.notify_one();
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}

async fn write_backlog(worker: &Rc<Worker>) -> Result<(), LinkError> {
    loop {
        let next = worker.backlog.borrow().front().cloned();
        match next {
            Some(message) => {
                worker.link.send(&message, &[]).await?;
                worker.backlog.borrow_mut().pop_front();
                worker.ended_or_sent.notify_one();
            }
            None => worker.backlog_grew.notified().await,
        }
    }
}

async fn drained(worker: &Rc<Worker>) {
    loop {
        let idle = worker.sessions.borrow().is_empty() && worker.backlog.borrow().is_empty();
        if worker.draining.get() && idle {
            return;
        }
        worker.ended_or_sent.notified().await;
    }
}
