//! ClamAV's daemon: one session (IDSESSION) over a connection that was given with the lease, one question after another.
//!
//! Only `N: stream: OK` (or `N: fd[M]: OK`) as the whole and only answer to question N, after the last octet was sent, is
//! clean. Whatever else comes is an error or not understood. Reads bytes that a daemon chose, which itself read the mail.
use super::{Finding, is_ignored};
use crate::outside::{Connection, hung_up};
use ipc::log::printable;
use policy::status::Status;
use std::io;
use std::os::fd::BorrowedFd;

/// Octets of one INSTREAM chunk; clamd's own buffer is of this order.
const CHUNK: usize = 256 * 1024;
/// clamd answers one line: a path-like word, a virus name, a status.
const MAX_ANSWER: usize = 1024;

/// A session with clamd.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// Questions so far; clamd counts them too.
    asked: u32,
}

/// What clamd said to one question.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Up to and with the NUL, and whatever came after it.
    pub octets: Vec<u8>,
    /// The number of the question.
    pub number: u32,
    /// It came before the question was at its end.
    pub early: bool,
}

impl Session {
    pub(crate) const fn new(connection: Connection) -> Self {
        Self { connection, asked: 0 }
    }

    /// FILDES: the sealed memfd itself, not a copy, and with it the one octet that clamd wants. `None`: clamd is not on
    /// this machine.
    pub(crate) async fn ask_about_file(&mut self, mail: BorrowedFd<'_>) -> io::Result<Option<Answer>> {
        let Connection::Unix(_) = self.connection else { return Ok(None) };
        let mut question = self.question(b"zFILDES\0");
        question.push(0);
        if !self.connection.send_descriptor(&question, mail).await? {
            return Ok(None);
        }
        self.answer(Vec::new(), false).await.map(Some)
    }

    /// INSTREAM: chunks with their length, then a chunk of none.
    pub(crate) async fn ask_about(&mut self, octets: &[u8]) -> io::Result<Answer> {
        let mut start = self.question(b"zINSTREAM\0");
        let mut early = Vec::new();
        let mut heard = |octets: &[u8]| {
            early.extend_from_slice(octets);
            Err(io::Error::other("answered before the end"))
        };
        let mut sent = Ok(());
        for chunk in octets.chunks(CHUNK) {
            let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_be_bytes();
            start.extend_from_slice(&length);
            sent = self.connection.send(&std::mem::take(&mut start), &mut heard).await;
            if sent.is_ok() {
                sent = self.connection.send(chunk, &mut heard).await;
            }
            if sent.is_err() {
                break;
            }
        }
        if sent.is_ok() {
            start.extend_from_slice(&[0; 4]);
            sent = self.connection.send(&start, &mut heard).await;
        }
        match sent {
            Ok(()) => self.answer(Vec::new(), false).await,
            Err(error) if early.is_empty() => Err(error),
            Err(_) => self.answer(early, true).await,
        }
    }

    /// What clamd says of itself: `ClamAV 1.4.6/27830/Thu Nov 26 09:31:02 2026`.
    pub(crate) async fn ask_version(&mut self) -> io::Result<String> {
        let question = self.question(b"zVERSION\0");
        self.connection.send(&question, &mut |_| Err(io::Error::other("answered before the end"))).await?;
        let Answer { octets, number, .. } = self.answer(Vec::new(), false).await?;
        let text = whole(&octets).and_then(|text| text.strip_prefix(&format!("{number}: ")));
        text.map(|text| printable(text, 128))
            .ok_or_else(|| io::Error::other("a version that is not understood"))
    }

    /// Nothing more is asked, and nothing more may be said.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        let mut more = |_: &[u8]| Err(io::Error::other("answered more than was asked"));
        self.connection.send(b"zEND\0", &mut more).await?;
        while self.connection.hear(&mut more).await? {}
        Ok(())
    }

    fn question(&mut self, command: &[u8]) -> Vec<u8> {
        let begins = if self.asked == 0 { &b"zIDSESSION\0"[..] } else { b"" };
        self.asked += 1;
        [begins, command].concat()
    }

    /// One line, ended by NUL; what comes with it must not go unseen.
    async fn answer(&mut self, mut octets: Vec<u8>, early: bool) -> io::Result<Answer> {
        while !octets.contains(&0) {
            if octets.len() > MAX_ANSWER {
                return Err(io::Error::other("an answer without end"));
            }
            let mut heard = |more: &[u8]| {
                octets.extend_from_slice(more);
                Ok(())
            };
            if !self.connection.hear(&mut heard).await? {
                return if octets.is_empty() {
                    Err(hung_up())
                } else {
                    Ok(Answer { octets, number: self.asked, early })
                };
            }
        }
        Ok(Answer { octets, number: self.asked, early })
    }
}

/// The text of one answer and nothing else.
fn whole(octets: &[u8]) -> Option<&str> {
    let text = octets.strip_suffix(b"\0").and_then(|text| std::str::from_utf8(text).ok())?;
    (!text.contains('\0')).then_some(text)
}

/// `1: stream: OK`, `1: fd[9]: Name FOUND`, `... ERROR`. `ignore` names viruses that do not count.
pub fn understand(answer: &Answer, ignore: &[String]) -> Finding {
    let Answer { octets, number, early } = answer;
    let unknown = || {
        let text = printable(&String::from_utf8_lossy(octets), 120);
        let when = if *early { " before the end of the mail" } else { "" };
        Finding::of(Status::Unknown, format!("an answer that is not understood{when}: {text}"))
    };
    let Some(text) = whole(octets) else { return unknown() };
    let said = text.strip_prefix(&format!("{number}: ")).and_then(|text| {
        text.strip_prefix("stream: ").or_else(|| {
            let (number, said) = text.strip_prefix("fd[")?.split_once("]: ")?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then_some(said)
        })
    });
    if said == Some("OK") {
        return if *early { unknown() } else { Finding::clean() };
    }
    if let Some(virus) = said.and_then(|said| said.strip_suffix(" FOUND")) {
        let finding = found(virus, ignore);
        return if *early && finding == Finding::clean() { unknown() } else { finding };
    }
    if text.ends_with("ERROR") {
        let status = if text.contains("size limit exceeded") { Status::Limit } else { Status::Error };
        return Finding::of(status, printable(text, 200));
    }
    unknown()
}

fn found(virus: &str, ignore: &[String]) -> Finding {
    if is_ignored(virus, ignore) {
        return Finding::clean();
    }
    let virus = printable(virus, 128);
    // clamd reports locked content and its own limits as if they were viruses.
    if virus.starts_with("Heuristics.Encrypted") {
        return Finding::of(Status::Encrypted, virus);
    }
    if virus.starts_with("Heuristics.Limits.Exceeded") {
        return Finding::of(Status::Limit, virus);
    }
    Finding::infected(&virus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::status::StatusSet;

    fn answer(octets: &[u8]) -> Answer {
        Answer { octets: octets.to_vec(), number: 1, early: false }
    }

    #[test]
    fn only_the_one_whole_answer_is_clean() {
        assert_eq!(understand(&answer(b"1: stream: OK\0"), &[]), Finding::clean());
        assert_eq!(understand(&answer(b"1: fd[12]: OK\0"), &[]), Finding::clean());
        for (octets, status) in [
            (&b"1: stream: OK"[..], Status::Unknown),
            (b"1: stream: O", Status::Unknown),
            (b"1: stream: OK\x001: stream: OK\0", Status::Unknown),
            (b"stream: OK\0", Status::Unknown),
            (b"2: stream: OK\0", Status::Unknown),
            (b"01: stream: OK\0", Status::Unknown),
            (b"1: fd[x]: OK\0", Status::Unknown),
            (b"1: stream: ok\0", Status::Unknown),
            (b"1: OK\0", Status::Unknown),
            (b"1: stream:  OK\0", Status::Unknown),
            (b"1: stream: OK\n\0", Status::Unknown),
            (b"\0", Status::Unknown),
            (b"\xff\0", Status::Unknown),
            (b"1: stream: Can't allocate memory ERROR\0", Status::Error),
            (b"COMMAND READ TIMED OUT ERROR\0", Status::Error),
            (b"1: INSTREAM size limit exceeded. ERROR\0", Status::Limit),
            (b"1: stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", Status::Limit),
            (b"1: stream: Heuristics.Encrypted.Zip FOUND\0", Status::Encrypted),
            (b"1: stream: Win.Test FOUND\0", Status::Infected),
        ] {
            assert_eq!(understand(&answer(octets), &[]).statuses, StatusSet::of(status), "{octets:?}");
        }
    }

    #[test]
    fn what_is_said_before_the_end_can_be_anything_but_clean() {
        for (octets, status) in [
            (&b"1: stream: OK\0"[..], Status::Unknown),
            (b"1: stream: PUA.Test FOUND\0", Status::Unknown),
            (b"1: stream: Win.Test FOUND\0", Status::Infected),
            (b"1: INSTREAM size limit exceeded. ERROR\0", Status::Limit),
        ] {
            let answer = Answer { early: true, ..answer(octets) };
            let finding = understand(&answer, &["PUA.*".to_owned()]);
            assert_eq!(finding.statuses, StatusSet::of(status), "{octets:?}");
        }
    }
}
