//! Messages of the supervisor, and a task for each worker. One thread: a mail is copied to its end before another begins.
use crate::record::Record;
use crate::store::{Limits, Refused, Store};
use ipc::log::{Level, Log};
use ipc::role::Error;
use ipc::supervisor_writer::{FromWriter, ToWriter};
use ipc::worker_writer::{Answer, Keep};
use ipc::{Link, LinkError};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// How often old copies are looked for.
const LOOK: Duration = Duration::from_secs(600);

struct Writer {
    log: Log,
    store: RefCell<Store>,
    limits: Cell<Limits>,
    /// The directory is gone: the supervisor starts a successor, which gets another.
    gone: Notify,
}

/// Serves until the supervisor is gone, or the directory.
///
/// # Errors
/// Of the link or the directory; the process must end then.
pub(crate) async fn serve(
    supervisor: Link<FromWriter, ToWriter>,
    log: Log,
    directory: OwnedFd,
) -> Result<(), Error> {
    let store = Store::open(directory).map_err(io::Error::from)?;
    let (copies, octets) = store.there();
    let nothing = Limits { octets: 0, seconds: i64::MAX };
    let writer =
        Rc::new(Writer { log, store: RefCell::new(store), limits: Cell::new(nothing), gone: Notify::new() });
    let copies = u64::try_from(copies).unwrap_or(u64::MAX);
    tokio::select! {
        ended = listen(&writer, &supervisor, copies, octets) => match ended {
            Err(LinkError::Closed) => Ok(()),
            ended => Ok(ended?),
        },
        () = writer.look() => Ok(()),
        () = writer.gone.notified() => Err(io::Error::from(io::ErrorKind::NotFound).into()),
    }
}

async fn listen(
    writer: &Rc<Writer>,
    supervisor: &Link<FromWriter, ToWriter>,
    copies: u64,
    octets: u64,
) -> Result<(), LinkError> {
    loop {
        let (message, fds) = supervisor.recv().await?;
        match message {
            ToWriter::Policy { keep_seconds, max_octets } => {
                let seconds = i64::try_from(keep_seconds).unwrap_or(i64::MAX);
                writer.limits.set(Limits { octets: max_octets, seconds });
                writer.expire();
                supervisor.send(&FromWriter::Serving { copies, octets }, &[]).await?;
            }
            ToWriter::Worker => {
                if let Some(link) = fds.into_iter().next().and_then(|fd| Link::new(fd).ok()) {
                    tokio::task::spawn_local(attend(Rc::clone(writer), link));
                }
            }
        }
    }
}

/// Keeps what one worker sends, until it is gone.
async fn attend(writer: Rc<Writer>, link: Link<Answer, Keep>) {
    while let Ok((keep, fds)) = link.recv().await {
        let (number, sha256) = (keep.number, keep.sha256);
        let kept = match fds.first() {
            Some(mail) => writer.keep(&keep, mail),
            None => Err(Refused::NotTheMail),
        };
        if let Err(why) = kept {
            let detail = format!("case {}: {why}", sha256.case());
            writer.log.note(
                Level::Error,
                Some(keep.facts.session),
                "an original is not in the quarantine",
                &detail,
            );
        }
        let answer = Answer { number, sha256, kept: kept.is_ok() };
        if link.send(&answer, &[]).await.is_err() {
            return;
        }
        if kept.is_err_and(Refused::is_gone) {
            writer.gone.notify_one();
        }
    }
}

impl Writer {
    fn keep(&self, keep: &Keep, mail: &OwnedFd) -> Result<(), Refused> {
        let record = Record::new(keep.sha256, keep.size, &keep.facts).line();
        let mut store = self.store.borrow_mut();
        store.keep(mail.as_fd(), keep.size, keep.sha256, &record, self.limits.get(), now())
    }

    fn expire(&self) {
        let expired = self.store.borrow_mut().expire(self.limits.get(), now());
        if expired > 0 {
            self.log.note(Level::Info, None, "copies older than `keep` are removed", &expired.to_string());
        }
    }

    async fn look(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let looked = self.store.borrow_mut().look(false);
            match looked {
                Ok(()) => self.expire(),
                Err(errno) => {
                    self.log.note(Level::Error, None, "the quarantine cannot be listed", errno.desc());
                }
            }
        }
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
