//! Originals of mails that will be served changed, on their way into the quarantine: before the client sees the first changed
//! octet, the writer has a copy on disk, or the mail cannot be deleted.
use crate::limits::{ANSWER_TEXT, COPIES};
use crate::mail::printable;
use crate::serve::Worker;
use crate::spool::SealedMail;
use ipc::Link;
use ipc::log::{self, Level};
use ipc::supervisor_worker::FromWorker;
use ipc::worker_scanner::Judged;
use ipc::worker_writer::{Answer, Facts, Keep};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a client waits for the writer's disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way to the writer.
#[derive(Default)]
pub(crate) struct Quarantine {
    link: RefCell<Option<Rc<Link<Keep, Answer>>>>,
    waiting: RefCell<HashMap<u32, oneshot::Sender<bool>>>,
    asked: Cell<u32>,
}

impl Quarantine {
    /// The supervisor gave a link, which replaces a former one: the writer is new.
    pub(crate) fn set(self: &Rc<Self>, socket: Option<OwnedFd>) {
        let Some(link) = socket.and_then(|socket| Link::new(socket).ok()).map(Rc::new) else { return };
        *self.link.borrow_mut() = Some(Rc::clone(&link));
        let quarantine = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Ok((Answer { number, kept, sha256: _ }, _)) = link.recv().await {
                if let Some(asked) = quarantine.waiting.borrow_mut().remove(&number) {
                    let _ = asked.send(kept);
                }
            }
            let mut current = quarantine.link.borrow_mut();
            if current.as_ref().is_some_and(|current| Rc::ptr_eq(current, &link)) {
                *current = None;
                // Nobody answers these any more.
                quarantine.waiting.borrow_mut().clear();
            }
        });
    }

    /// Whether a copy is on disk now.
    async fn keep(&self, original: &Original) -> bool {
        let Some(link) = self.link.borrow().clone() else { return false };
        let number = self.asked.get().wrapping_add(1);
        self.asked.set(number);
        let Original { mail, facts, .. } = original;
        let Ok(file) = mail.descriptor() else { return false };
        let keep = Keep { number, size: mail.length(), sha256: mail.sha256(), facts: facts.clone() };
        let (asked, answered) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, asked);
        let kept = timeout(PATIENCE, async {
            link.send(&keep, &[file.as_fd()]).await.is_ok() && answered.await.unwrap_or(false)
        });
        let kept = kept.await.unwrap_or(false);
        self.waiting.borrow_mut().remove(&number);
        kept
    }
}

/// The original of a changed mail, and what is known of it.
#[derive(Clone)]
pub(crate) struct Original {
    number: u32,
    mail: Rc<SealedMail>,
    facts: Facts,
}

impl Original {
    pub(crate) fn new(number: u32, mail: Rc<SealedMail>, facts: Facts) -> Self {
        Self { number, mail, facts }
    }
}

/// The originals of one session that are not in the quarantine yet; few, as its copies are. Nearly every session has none.
#[derive(Default)]
pub(crate) struct Originals {
    #[expect(clippy::box_collection, reason = "nearly every session has none: an idle one is kept small")]
    held: Option<Box<VecDeque<Original>>>,
}

impl Originals {
    pub(crate) fn hold(&mut self, original: Original) {
        self.forget(original.number);
        let held = self.held.get_or_insert_default();
        if held.len() >= COPIES {
            held.pop_front();
        }
        held.push_back(original);
    }

    /// It is kept.
    pub(crate) fn forget(&mut self, number: u32) {
        if let Some(held) = &mut self.held {
            held.retain(|held| held.number != number);
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<Original> {
        self.held.as_ref()?.iter().find(|held| held.number == number).cloned()
    }
}

/// Has an original kept, and then the change put on record, whatever became of it: the supervisor looks itself whether there
/// is a copy.
pub(crate) fn keep_then_store(
    worker: &Rc<Worker>,
    original: Option<Original>,
    name: &[u8],
    store: FromWorker,
) {
    let Some(mut original) = original.filter(|_| worker.quarantine.link.borrow().is_some()) else {
        worker.tell(store);
        return;
    };
    original.facts.name = log::printable(&String::from_utf8_lossy(name), ANSWER_TEXT);
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let session = original.facts.session;
        if !worker.quarantine.keep(&original).await {
            let case = original.mail.sha256().case();
            let text = "the quarantine did not take an original: the mail cannot be deleted";
            worker.log.note(Level::Error, Some(session), text, &case);
        }
        if worker.has_session(session) {
            worker.tell(store);
        }
    });
}

/// What is known of a mail that was judged.
pub(crate) fn facts(context: &ipc::worker_scanner::Context, judged: &Judged) -> Facts {
    Facts {
        session: context.session,
        protocol: context.protocol,
        direction: context.direction,
        client: context.client,
        user: context.user.clone(),
        name: String::new(),
        rule: log::printable(&judged.rule, ANSWER_TEXT),
        statuses: judged.statuses,
        answers: printable(&judged.answers),
        reason: log::printable(&judged.reason, ANSWER_TEXT),
        time: context.time,
    }
}
