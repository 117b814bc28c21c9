//! Engines that lie, hang and break in every way there is: whatever they do, no mail is clean because of it. An honest
//! one stands beside them, so that the tests do not pass by refusing everything.
use super::Finding;
use super::talk::Talk;
use crate::content::Content;
use crate::outside::trust::Authorities;
use policy::engine::{Daemon, DaemonSocket, Engine, EngineKind, Outside};
use policy::status::{Status, StatusSet};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_millis(300);
/// More than the sockets' buffers hold.
const LARGE: usize = 2 << 20;

/// What a liar does with a question, which it hears as far as it wants to.
#[derive(Clone, Copy, Debug)]
enum Lie {
    HangsUp,
    NeverReads,
    NeverAnswers,
    /// Says this before anything was asked.
    Before(&'static [u8]),
    /// Says this when it heard the beginning, and goes on listening.
    Early(&'static [u8]),
    /// Hears everything, says this, and waits.
    Says(&'static [u8]),
    /// The same, and hangs up.
    SaysAndLeaves(&'static [u8]),
    /// An octet now and then.
    Dribbles(&'static [u8]),
    Late(&'static [u8]),
    /// Says the first, and the second when nothing was asked any more.
    Afterwards(&'static [u8], &'static [u8]),
    /// So many octets of nothing.
    Floods(usize),
}

const CLAMD: &[Lie] = &[
    Lie::HangsUp,
    Lie::NeverReads,
    Lie::NeverAnswers,
    Lie::Before(b"1: stream: OK\0"),
    Lie::Early(b"1: stream: OK\0"),
    Lie::Says(b"1: stream: O\0"),
    Lie::SaysAndLeaves(b"1: stream: OK"),
    Lie::SaysAndLeaves(b""),
    Lie::Says(b"2: stream: OK\0"),
    Lie::Says(b"stream: OK\0"),
    Lie::Says(b"1: stream: OK\x001: stream: OK\0"),
    Lie::Says(b"1: stream: OK\x001: stream: Win.Test FOUND\0"),
    Lie::Says(b"1: stream: O\0K\0"),
    Lie::Says(b"\0"),
    Lie::Says(b"1: stream: OK\n\0"),
    Lie::Says(b"1: stream: ok\0"),
    Lie::Says(b"1: stream: OK \0"),
    Lie::Says(b"PONG\0"),
    Lie::Says(b"1: stream: Can't allocate memory ERROR\0"),
    Lie::Says(b"\xff\xfe\0"),
    Lie::Dribbles(b"1: stream: OK"),
    Lie::Late(b"1: stream: OK\0"),
    Lie::Afterwards(b"1: stream: OK\0", b"1: stream: Win.Test FOUND\0"),
    Lie::Floods(1 << 20),
];

const CLEAN: &[u8] = b"ICAP/1.0 204 No modifications needed\r\n\r\n";
const ICAP: &[Lie] = &[
    Lie::HangsUp,
    Lie::NeverReads,
    Lie::NeverAnswers,
    Lie::Before(CLEAN),
    Lie::Early(CLEAN),
    Lie::SaysAndLeaves(b"ICAP/1.0 204 No"),
    Lie::SaysAndLeaves(b""),
    Lie::Says(b"ICAP/1.0 204 No\r\n\r\nICAP/1.0 204 No\r\n\r\n"),
    Lie::Says(b"ICAP/1.0 204 No\r\n\r\nICAP/1.0 200 OK\r\nX-Virus-ID: Win.Test\r\nEncapsulated: null-body=0\r\n\r\n"),
    Lie::Says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    Lie::Says(b"ICAP/1.0 200 OK\r\nEncapsulated: null-body=0\r\n\r\n"),
    Lie::Says(b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
    Lie::Says(b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nffffffffffffffff\r\n"),
    Lie::Says(b"ICAP/1.0 100 Continue\r\n\r\n"),
    Lie::Says(b"ICAP/1.0 500 Server error\r\n\r\n"),
    Lie::Says(b"ICAP/1.0 404 Not found\r\n\r\n"),
    Lie::Says(b"ICAP/1.0 204\0No\r\nx\r\n\r\n"),
    Lie::Says(b"stream: OK\0"),
    Lie::Dribbles(b"ICAP/1.0 204 No modifications needed\r\n"),
    Lie::Late(CLEAN),
    Lie::Floods(1 << 20),
];

#[test]
fn a_clamd_that_lies_makes_no_mail_clean() {
    let engine = engine(EngineKind::Clamd(outside()));
    honest(&engine, Lie::Says(b"1: stream: OK\0"));
    for lie in CLAMD {
        lying(&engine, *lie);
    }
}

#[test]
fn an_icap_service_that_lies_makes_no_mail_clean() {
    let engine = engine(EngineKind::Icap { outside: outside(), url: "icap://av.example.net/scan".into() });
    honest(&engine, Lie::Says(CLEAN));
    for lie in ICAP {
        lying(&engine, *lie);
    }
}

#[test]
fn whoever_answers_after_the_beginning_has_not_seen_the_mail() {
    let clamd = engine(EngineKind::Clamd(outside()));
    let icap = engine(EngineKind::Icap { outside: outside(), url: "icap://av.example.net/scan".into() });
    for (engine, early) in [(&clamd, &b"1: stream: OK\0"[..]), (&icap, CLEAN)] {
        let finding = asked(engine, Lie::Early(early), LARGE);
        assert!(!finding.statuses.contains(Status::Clean), "{finding:?}");
    }
    let infected = asked(&clamd, Lie::Early(b"1: stream: Win.Test FOUND\0"), LARGE);
    assert!(
        infected.statuses.contains(Status::Infected),
        "what is bad may be said at any time: {infected:?}"
    );
}

fn honest(engine: &Engine, lie: Lie) {
    for octets in [0, 1, 20_000, LARGE] {
        assert_eq!(asked(engine, lie, octets), Finding::clean(), "{octets}");
    }
}

fn lying(engine: &Engine, lie: Lie) {
    let begun = Instant::now();
    // One that answers while it is being told can be found out only when there is more to tell than fits on the way.
    let octets = if matches!(lie, Lie::Early(_) | Lie::NeverReads) { LARGE } else { 20_000 };
    let Finding { statuses, .. } = asked(engine, lie, octets);
    let allowed = StatusSet::naming([Status::Error, Status::Unknown, Status::Infected]);
    assert!(
        !statuses.is_empty() && statuses.iter().all(|status| allowed.contains(status)),
        "{lie:?} {statuses}"
    );
    assert!(begun.elapsed() < PATIENCE * 4, "{lie:?}: the time is absolute");
}

fn asked(engine: &Engine, lie: Lie, octets: usize) -> Finding {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let icap = matches!(engine.kind, EngineKind::Icap { .. });
        let liar = tokio::task::spawn_local(lies(theirs, lie, icap, octets));
        let ours = OwnedFd::from(ours.into_std().unwrap());
        let mail = Content::from(b"0123456789\r\n".iter().copied().cycle().take(octets).collect::<Vec<u8>>());
        let deadline = Instant::now() + engine.timeout;
        let finding = match Talk::begin(engine, ours, &Authorities::default(), &[], deadline).await {
            Ok(mut talk) => {
                let finding = talk.about_mail(&mail).await;
                if talk.goes_on() { finding.and(talk.end().await) } else { finding }
            }
            Err(finding) => finding,
        };
        liar.abort();
        finding
    })
}

/// What every service answers to OPTIONS.
const OPTIONS: &[u8] =
    b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: \"1\"\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n";

async fn lies(mut stream: UnixStream, lie: Lie, icap: bool, octets: usize) {
    if icap && !matches!(lie, Lie::NeverReads | Lie::Before(_)) {
        hear_until(&mut stream, b"\r\n\r\n").await;
        let _ = stream.write_all(OPTIONS).await;
    }
    let end: &[u8] = match (icap, octets) {
        (true, _) => b"0\r\n\r\n",
        (false, 0) => b"zINSTREAM\0\0\0\0\0",
        (false, _) => b"\0\0\0\0",
    };
    match lie {
        Lie::HangsUp => return,
        Lie::NeverReads => {}
        Lie::NeverAnswers => hear_until(&mut stream, end).await,
        Lie::Before(words) => {
            let _ = stream.write_all(words).await;
        }
        Lie::Early(words) => {
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(words).await;
            hear_until(&mut stream, end).await;
        }
        Lie::Says(words) | Lie::SaysAndLeaves(words) => {
            hear_until(&mut stream, end).await;
            let _ = stream.write_all(words).await;
            if matches!(lie, Lie::SaysAndLeaves(_)) {
                return;
            }
            if !icap {
                hear_until(&mut stream, b"zEND\0").await;
                return;
            }
        }
        Lie::Dribbles(words) => {
            hear_until(&mut stream, end).await;
            for octet in words {
                let _ = stream.write_all(&[*octet]).await;
                sleep(PATIENCE / 8).await;
            }
        }
        Lie::Late(words) => {
            sleep(PATIENCE * 2).await;
            let _ = stream.write_all(words).await;
        }
        Lie::Afterwards(first, second) => {
            hear_until(&mut stream, end).await;
            let _ = stream.write_all(first).await;
            hear_until(&mut stream, b"zEND\0").await;
            let _ = stream.write_all(second).await;
        }
        Lie::Floods(octets) => {
            hear_until(&mut stream, end).await;
            let _ = stream.write_all(&vec![b'x'; octets]).await;
        }
    }
    std::future::pending::<()>().await;
}

/// Listens until what was heard ends like this.
async fn hear_until(stream: &mut UnixStream, end: &[u8]) {
    let (mut tail, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        tail.extend_from_slice(&piece[..count]);
        let keep = tail.len().saturating_sub(64);
        tail.drain(..keep);
        if tail.ends_with(end) {
            return;
        }
    }
}

fn outside() -> Outside {
    let daemon = Daemon { socket: DaemonSocket::Auto, tls: None };
    Outside { daemon, max_size: None, ignore: Vec::new() }
}

fn engine(kind: EngineKind) -> Engine {
    Engine { name: "liar".into(), kind, timeout: PATIENCE }
}
