//! A connection that is relayed unseen, because the policy says so: octets in both directions, until one side ends or a limit
//! of the rule is reached.
use crate::inbox::Inbox;
use ipc::supervisor_worker::{Counters, End, ToWorker};
use policy::model::SessionRules;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// What the two directions share.
struct Account {
    /// When somebody last said something.
    last: Cell<Instant>,
    /// How it ends.
    end: Cell<Option<End>>,
}

/// One side, whose octets are counted.
struct Counted<'a> {
    stream: TcpStream,
    account: &'a Account,
    octets: u64,
    /// 0: none.
    most: u64,
    /// If it ends first.
    end: End,
}

/// Relays to the end; `first` is what was already read of the client.
pub(crate) async fn relay(
    inbox: &Inbox,
    rules: &SessionRules,
    client: TcpStream,
    first: &[u8],
    mut server: TcpStream,
) -> (End, Counters) {
    let started = Instant::now();
    let account = Account { last: Cell::new(started), end: Cell::new(None) };
    if server.write_all(first).await.is_err() {
        return (End::ServerClosed, Counters::default());
    }
    let said = u64::try_from(first.len()).unwrap_or(u64::MAX);
    let (most_in, most_out) = (rules.max_bytes_in, rules.max_bytes_out);
    let (client_end, server_end) = (End::ClientClosed, End::ServerClosed);
    let mut client =
        Counted { stream: client, account: &account, octets: said, most: most_out, end: client_end };
    let mut server = Counted { stream: server, account: &account, octets: 0, most: most_in, end: server_end };
    let end = tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => account.end.get().unwrap_or(server_end),
        end = ended(inbox, &account, started, rules) => end,
    };
    (end, Counters { bytes_in: server.octets, bytes_out: client.octets, ..Counters::default() })
}

/// Until the supervisor, or the time, ends it.
async fn ended(inbox: &Inbox, account: &Account, started: Instant, rules: &SessionRules) -> End {
    loop {
        let idle = account.last.get() + rules.idle_timeout;
        let over = rules.max_time.map(|most| started + most);
        tokio::select! {
            (message, _) = poll_fn(|cx| inbox.poll(cx)) => {
                if matches!(message, ToWorker::Kick { .. }) {
                    return End::Kicked;
                }
            }
            () = sleep_until(over.map_or(idle, |over| over.min(idle))) => {
                if over.is_some_and(|over| over <= Instant::now()) {
                    return End::Limit;
                }
                if account.last.get().elapsed() >= rules.idle_timeout {
                    return End::Idle;
                }
            }
        }
    }
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            return read;
        }
        let count = buffer.filled().len().saturating_sub(before);
        self.octets = self.octets.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        self.account.last.set(Instant::now());
        let over = self.most > 0 && self.octets > self.most;
        if (count == 0 || over) && self.account.end.get().is_none() {
            self.account.end.set(Some(if over { End::Limit } else { self.end }));
        }
        if over { Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into())) } else { read }
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
