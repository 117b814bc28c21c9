//! ClamAV's daemon, over a connection that was given with the lease: one conversation, one answer.
//!
//! Only `stream: OK` (or `fd[N]: OK`) as the whole and only answer, after the last octet was sent, is clean. Whatever
//! else comes is an error or not understood. Reads bytes that a local daemon chose, which itself read the mail.
use super::Finding;
use crate::content::Content;
use ipc::descriptors;
use ipc::log::printable;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockaddrLike, SockaddrStorage, getsockname, recv, sendmsg,
};
use policy::status::Status;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Octets of one INSTREAM chunk; clamd's own buffer is of this order.
const CHUNK: usize = 256 * 1024;
/// clamd answers one line: a path-like word, a virus name, a status.
const MAX_ANSWER: usize = 1024;

/// Asks about a mail within `patience`; `ignore` names viruses that do not count.
pub(crate) async fn scan(
    connection: OwnedFd,
    mail: &Content,
    patience: Duration,
    ignore: &[String],
) -> Finding {
    match timeout(patience, converse(connection, mail)).await {
        Ok(Ok(answer)) => understand(&answer, ignore),
        Ok(Err(error)) => Finding::of(Status::Error, printable(&format!("clamd: {error}"), 200)),
        Err(_) => Finding::of(Status::Error, "clamd: no answer in time"),
    }
}

/// Asks for the version, in which it names its signatures too: `ClamAV 1.0.7/27400/Mon Nov 23 08:30:01 2026`. That text
/// is the finding's detail.
pub(crate) async fn version(connection: OwnedFd, patience: Duration) -> Finding {
    let asked = timeout(
        patience,
        talk(connection, |mut stream| async move {
            stream.write_all(b"zVERSION\0").await?;
            answer(&mut stream).await
        }),
    );
    match asked.await {
        Ok(Ok(answer)) => {
            let text = answer.strip_suffix(b"\0").and_then(|text| std::str::from_utf8(text).ok());
            match text.filter(|text| text.starts_with("ClamAV ")) {
                Some(text) => Finding { detail: printable(text, 200), ..Finding::clean() },
                None => Finding::of(Status::Unknown, "clamd: a version that is not understood"),
            }
        }
        Ok(Err(error)) => Finding::of(Status::Error, printable(&format!("clamd: {error}"), 200)),
        Err(_) => Finding::of(Status::Error, "clamd: no answer in time"),
    }
}

async fn converse(connection: OwnedFd, mail: &Content) -> io::Result<Vec<u8>> {
    if is_unix(connection.as_fd())
        && descriptors::is_stream(&connection)
        && let Some(descriptor) = mail.sealed()
    {
        return ask_about_descriptor(connection, descriptor).await;
    }
    talk(connection, |mut stream| async move {
        send_stream(&mut stream, mail.bytes()).await?;
        answer(&mut stream).await
    })
    .await
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl Stream for UnixStream {}
impl Stream for TcpStream {}

async fn talk<F>(connection: OwnedFd, say: impl FnOnce(Box<dyn Stream>) -> F) -> io::Result<Vec<u8>>
where
    F: Future<Output = io::Result<Vec<u8>>>,
{
    if !descriptors::is_stream(&connection) {
        return Err(io::Error::other("the connection is no stream"));
    }
    if is_unix(connection.as_fd()) {
        let stream = std::os::unix::net::UnixStream::from(connection);
        stream.set_nonblocking(true)?;
        say(Box::new(UnixStream::from_std(stream)?)).await
    } else {
        let stream = std::net::TcpStream::from(connection);
        stream.set_nonblocking(true)?;
        say(Box::new(TcpStream::from_std(stream)?)).await
    }
}

fn is_unix(connection: BorrowedFd<'_>) -> bool {
    getsockname::<SockaddrStorage>(connection.as_raw_fd())
        .is_ok_and(|address| address.family() == Some(AddressFamily::Unix))
}

/// FILDES: the sealed memfd itself, not a copy, and with it the one octet that clamd wants. All leaves in one message,
/// for which a fresh connection has room; from then on it is watched for the answer alone.
async fn ask_about_descriptor(connection: OwnedFd, mail: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let numbers = [mail.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&numbers)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let question = [IoSlice::new(b"zFILDES\0\0")];
    sendmsg::<SockaddrStorage>(connection.as_raw_fd(), &question, &rights, flags, None)?;
    let connection = descriptors::watch(connection)?;
    let mut answer = vec![0; MAX_ANSWER];
    let mut length = 0;
    while let Some(room) = answer.get_mut(length..).filter(|room| !room.is_empty()) {
        let more = connection.async_io(Interest::READABLE, |connection| {
            Ok(recv(connection.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT)?)
        });
        match more.await? {
            0 => {
                answer.truncate(length);
                return Ok(answer);
            }
            count => length += count,
        }
    }
    Err(endless())
}

/// INSTREAM: chunks with their length, then a chunk of none.
async fn send_stream<S: AsyncWrite + Unpin>(stream: &mut S, mail: &[u8]) -> io::Result<()> {
    stream.write_all(b"zINSTREAM\0").await?;
    for chunk in mail.chunks(CHUNK) {
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX).to_be_bytes();
        stream.write_all(&length).await?;
        stream.write_all(chunk).await?;
    }
    stream.write_all(&[0; 4]).await
}

/// Everything up to the end of the connection: a second answer must not go unseen.
async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut answer = Vec::with_capacity(128);
    while stream.read_buf(&mut answer).await? > 0 {
        if answer.len() > MAX_ANSWER {
            return Err(endless());
        }
    }
    Ok(answer)
}

fn endless() -> io::Error {
    io::Error::other("an answer without end")
}

/// One answer, ended by NUL: `stream: OK`, `fd[9]: Name FOUND`, `... ERROR`.
fn understand(answer: &[u8], ignore: &[String]) -> Finding {
    let unknown = || {
        let text = printable(&String::from_utf8_lossy(answer), 120);
        Finding::of(Status::Unknown, format!("clamd: an answer that is not understood: {text}"))
    };
    let Some(text) = answer.strip_suffix(b"\0").and_then(|text| std::str::from_utf8(text).ok()) else {
        return if answer.is_empty() { Finding::of(Status::Error, "clamd: no answer") } else { unknown() };
    };
    if text.contains('\0') {
        return unknown();
    }
    let said = text.strip_prefix("stream: ").or_else(|| {
        let (number, said) = text.strip_prefix("fd[")?.split_once("]: ")?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some(said)
    });
    if said == Some("OK") {
        return Finding::clean();
    }
    if let Some(virus) = said.and_then(|said| said.strip_suffix(" FOUND")) {
        return found(virus, ignore);
    }
    if text.ends_with("ERROR") {
        let status = if text.contains("size limit exceeded") { Status::Limit } else { Status::Error };
        return Finding::of(status, printable(&format!("clamd: {text}"), 200));
    }
    unknown()
}

fn found(virus: &str, ignore: &[String]) -> Finding {
    if ignore.iter().any(|pattern| matches(pattern, virus)) {
        return Finding::clean();
    }
    let virus = printable(virus, 128);
    // clamd reports locked content and its own limits as if they were viruses.
    if virus.starts_with("Heuristics.Encrypted") {
        return Finding::of(Status::Encrypted, format!("clamd: {virus}"));
    }
    if virus.starts_with("Heuristics.Limits.Exceeded") {
        return Finding::of(Status::Limit, format!("clamd: {virus}"));
    }
    Finding::infected(&virus)
}

/// `*` matches any run of characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for piece in pieces {
        last = Some(piece);
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    match last {
        None => rest.is_empty(),
        Some(last) => last.is_empty() || rest.is_empty() || name.ends_with(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_whole_answer_is_clean() {
        assert_eq!(understand(b"stream: OK\0", &[]), Finding::clean());
        assert_eq!(understand(b"fd[12]: OK\0", &[]), Finding::clean());
        for (answer, status) in [
            (&b""[..], Status::Error),
            (b"stream: OK", Status::Unknown),
            (b"stream: O", Status::Unknown),
            (b"stream: OK\0stream: OK\0", Status::Unknown),
            (b"1: stream: OK\0", Status::Unknown),
            (b"fd[x]: OK\0", Status::Unknown),
            (b"stream: ok\0", Status::Unknown),
            (b"OK\0", Status::Unknown),
            (b"stream:  OK\0", Status::Unknown),
            (b"\xff\0", Status::Unknown),
            (b"stream: Can't allocate memory ERROR\0", Status::Error),
            (b"INSTREAM size limit exceeded. ERROR\0", Status::Limit),
            (b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", Status::Limit),
            (b"stream: Heuristics.Encrypted.Zip FOUND\0", Status::Encrypted),
            (b"stream: Win.Test FOUND\0", Status::Infected),
        ] {
            assert_eq!(understand(answer, &[]).statuses, policy::status::StatusSet::of(status), "{answer:?}");
        }
    }

    #[test]
    fn ignored_names_do_not_count_and_others_do() {
        let ignore = ["PUA.*".to_owned(), "*.Phishing.*".to_owned()];
        for virus in ["PUA.Win.Packer", "PUA.", "Heuristics.Phishing.Email"] {
            assert_eq!(found(virus, &ignore), Finding::clean(), "{virus}");
        }
        for virus in ["Win.PUA.x", "PU", "Phishing"] {
            assert_eq!(found(virus, &ignore), Finding::infected(virus));
        }
    }
}
