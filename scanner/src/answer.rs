//! The answer to the worker: the judgement, and what is delivered in the place of the mail. A clean mail leaves nothing to be
//! written: its part map travels with the judgement. For everything else the worker is asked for a memory file.
use ipc::waiting::Waiting;
use ipc::worker_scanner::{Answer, Disposition, Judged, Task};
use nix::errno::Errno;
use nix::sys::uio::pwrite;
use std::os::fd::{AsFd, OwnedFd};

/// The other end of a lease.
pub(crate) type Worker = Waiting<Answer, Task>;

/// What became of a mail.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) judged: Judged,
    /// What is delivered in its place.
    pub(crate) copy: Option<Vec<u8>>,
    /// The part map of what is delivered, encoded; empty where none is wanted.
    pub(crate) map: Vec<u8>,
}

/// Gives the worker its answer. It may have given up waiting; its client was told to come again.
pub(crate) fn give(worker: &Worker, judgement: Judgement) {
    let Judgement { mut judged, copy, map } = judgement;
    let (along, behind) = match judged.map {
        Some(of) if of.here => (map.as_slice(), &[][..]),
        Some(_) | None => (&[][..], map.as_slice()),
    };
    let mut octets = along;
    if copy.is_some() || !behind.is_empty() {
        let output = want_output(worker);
        let written =
            output.and_then(|output| write(&output, &[copy.as_deref().unwrap_or_default(), behind]));
        if let Err(why) = written {
            (judged.disposition, judged.map, judged.reason) = (Disposition::Defer, None, why.into());
            octets = &[];
        }
    }
    let _ = worker.send_with(&Answer::Judged(Box::new(judged)), octets, &[]);
}

fn want_output(worker: &Worker) -> Result<OwnedFd, &'static str> {
    const NONE: &str = "the worker gives no file for the changed mail";
    worker.send(&Answer::WantOutput, &[]).map_err(|_| NONE)?;
    match worker.recv() {
        Ok((Task::Output, fds)) => fds.into_iter().next().ok_or(NONE),
        Ok((Task::Scan(_), _)) | Err(_) => Err(NONE),
    }
}

/// Writes pieces one behind the other, from the start.
fn write(file: &OwnedFd, pieces: &[&[u8]]) -> Result<(), &'static str> {
    let mut at = 0;
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match pwrite(file.as_fd(), rest, at) {
                Ok(0) => return Err("the changed mail cannot be written"),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    at = at.saturating_add(i64::try_from(written).unwrap_or(i64::MAX));
                }
                Err(Errno::EINTR) => {}
                Err(_) => return Err("the changed mail cannot be written"),
            }
        }
    }
    Ok(())
}
