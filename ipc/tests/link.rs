//! The link over real socket pairs: what arrives is what was sent, and a lying peer gains nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use ipc::ids::{LeaseId, MailId, SessionId, Sha256};
use ipc::link::{recv_blocking, send_blocking};
use ipc::supervisor_worker::{FromWorker, ToWorker};
use ipc::waiting::Waiting;
use ipc::wire::{MAX_MESSAGE, MAX_OCTETS, WireError};
use ipc::worker_scanner::{Answer, Disposition, Judged, Map, Task};
use ipc::{Link, LinkError, pair};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use policy::status::StatusSet;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

type Supervisor = Link<ToWorker, FromWorker>;
type Worker = Link<FromWorker, ToWorker>;

fn links() -> (Supervisor, Worker) {
    let (left, right) = pair().unwrap();
    (Link::new(left).unwrap(), Link::new(right).unwrap())
}

fn lease() -> ToWorker {
    ToWorker::Lease {
        session: SessionId(7),
        mail: MailId(1),
        lease: LeaseId(9),
        allowed: Vec::new(),
        file: false,
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

/// Sends raw bytes and descriptors, as a child that was taken over could.
fn raw_send(to: &OwnedFd, bytes: &[u8], fds: &[RawFd]) {
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<SockaddrStorage>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::empty(), None)
        .unwrap();
}

#[tokio::test]
async fn a_message_arrives_with_its_descriptor_close_on_exec() {
    let (supervisor, worker) = links();
    supervisor.send(&lease(), &[null().as_fd()]).await.unwrap();
    let (message, fds) = worker.recv().await.unwrap();
    assert_eq!(message, lease());
    assert_eq!(fds.len(), 1);
    let flags = FdFlag::from_bits_truncate(fcntl(&fds[0], FcntlArg::F_GETFD).unwrap());
    assert!(flags.contains(FdFlag::FD_CLOEXEC));
}

#[tokio::test]
async fn a_message_is_not_sent_with_the_wrong_number_of_descriptors() {
    let (supervisor, _worker) = links();
    assert!(matches!(
        supervisor.try_send(&lease(), &[]),
        Err(LinkError::Wire(WireError::DescriptorCount { expected: 1, got: 0 }))
    ));
}

#[tokio::test]
async fn a_full_socket_says_full_and_waits_when_asked_to() {
    let (supervisor, worker) = links();
    let mut sent = 0;
    while supervisor.try_send(&ToWorker::Drain, &[]).is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "the socket buffer has no bound");
    }
    let more = supervisor.send(&ToWorker::Kick { session: SessionId(1) }, &[]);
    let drain = async {
        for _ in 0..sent {
            assert_eq!(worker.recv().await.unwrap().0, ToWorker::Drain);
        }
        worker.recv().await.unwrap().0
    };
    let (sent, last) = tokio::join!(more, drain);
    sent.unwrap();
    assert_eq!(last, ToWorker::Kick { session: SessionId(1) });
}

#[tokio::test]
async fn the_end_of_the_peer_is_closed_in_both_directions() {
    let (supervisor, worker) = links();
    drop(worker);
    assert!(matches!(supervisor.recv().await, Err(LinkError::Closed)));
    assert!(matches!(supervisor.send(&ToWorker::Drain, &[]).await, Err(LinkError::Closed)));
}

#[tokio::test]
async fn two_hundred_descriptors_for_a_message_of_one_are_refused_and_closed() {
    let (left, right) = pair().unwrap();
    let worker: Worker = Link::new(right).unwrap();
    let file = null();
    let before = open_descriptors();
    raw_send(&left, &ipc::wire::encode(&lease()).unwrap(), &[file.as_raw_fd(); 253]);
    assert!(matches!(
        worker.recv().await,
        Err(LinkError::Wire(WireError::DescriptorCount { expected: 1, got: 253 }))
    ));
    assert_eq!(open_descriptors(), before);
}

#[tokio::test]
async fn descriptors_on_a_link_that_carries_none_are_never_installed() {
    let (left, right) = pair().unwrap();
    let supervisor: Supervisor = Link::new(left).unwrap();
    let file = null();
    let before = open_descriptors();
    let message = FromWorker::LoggedIn { session: SessionId(1), user: "u".into() };
    raw_send(&right, &ipc::wire::encode(&message).unwrap(), &[file.as_raw_fd(); 3]);
    assert!(matches!(supervisor.recv().await, Err(LinkError::Wire(_))));
    assert_eq!(open_descriptors(), before);
}

#[tokio::test]
async fn oversized_trailing_and_senseless_datagrams_are_refused() {
    let good = ipc::wire::encode(&FromWorker::LoggedIn { session: SessionId(1), user: "u".into() }).unwrap();
    let trailing = [good.as_slice(), b"x"].concat();
    for (bytes, expected) in [
        (vec![0; MAX_MESSAGE + 1], WireError::TooLarge),
        (trailing, WireError::TrailingBytes),
        (vec![0xff; 40], WireError::Undecodable),
        // A string that claims 2^63 octets: no allocation follows the claim.
        (
            [&good[..2], &[253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat(),
            WireError::Undecodable,
        ),
    ] {
        let (left, right) = pair().unwrap();
        let supervisor: Supervisor = Link::new(left).unwrap();
        raw_send(&right, &bytes, &[]);
        match supervisor.recv().await {
            Err(LinkError::Wire(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        }
    }
}

/// A judgement with a part map of so many octets behind it.
fn judged(length: u32) -> Answer {
    Answer::Judged(Box::new(Judged {
        lease: LeaseId(1),
        sha256: Sha256([1; 32]),
        disposition: Disposition::Pass,
        map: Some(Map { length, here: true, recognised: true }),
        keywords: Vec::new(),
        rule: String::new(),
        would: None,
        statuses: StatusSet::EMPTY,
        answers: Vec::new(),
        spam: Vec::new(),
        reason: String::new(),
        micros: 0,
    }))
}

#[tokio::test]
async fn octets_travel_with_their_message_up_to_their_bound() {
    let (left, right) = pair().unwrap();
    let (scanner, worker) = (Waiting::<Answer, Task>::new(left), Link::<Task, Answer>::new(right).unwrap());
    for length in [0, 1, MAX_OCTETS] {
        let octets = vec![b'm'; length];
        let message = judged(u32::try_from(length).unwrap());
        scanner.send_with(&message, &octets, &[]).unwrap();
        let (received, along, fds) = worker.recv_with().await.unwrap();
        assert!(received == message && along == octets && fds.is_empty());
    }
    let most = u32::try_from(MAX_OCTETS).unwrap();
    let over = scanner.send_with(&judged(most + 1), &vec![0; MAX_OCTETS + 1], &[]);
    assert!(matches!(over, Err(LinkError::Wire(WireError::TooLarge))));
    assert!(matches!(
        scanner.send_with(&judged(3), b"ab", &[]),
        Err(LinkError::Wire(WireError::MissingOctets))
    ));
    assert!(matches!(
        scanner.send_with(&judged(1), b"ab", &[]),
        Err(LinkError::Wire(WireError::TrailingBytes))
    ));
}

#[tokio::test]
async fn octets_that_are_not_as_many_as_promised_are_refused() {
    let message = |length| ipc::wire::encode(&judged(length)).unwrap();
    for (length, octets, expected) in [
        (3, &b"ab"[..], WireError::MissingOctets),
        (1, b"ab", WireError::TrailingBytes),
        (u32::MAX, b"ab", WireError::MissingOctets),
        (0, &[0; MAX_OCTETS + MAX_MESSAGE], WireError::TooLarge),
    ] {
        let (left, right) = pair().unwrap();
        let worker = Link::<Task, Answer>::new(right).unwrap();
        raw_send(&left, &[message(length).as_slice(), octets].concat(), &[]);
        match worker.recv().await {
            Err(LinkError::Wire(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_waiting_end_waits_and_hears_of_the_end() {
    let (left, right) = pair().unwrap();
    let scanner = Waiting::<Answer, Task>::new(left);
    let worker = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let output = ipc::wire::encode(&Task::Output).unwrap();
        raw_send(&right, &output, &[null().as_raw_fd()]);
    });
    let (task, octets, fds) = scanner.recv_with().unwrap();
    assert_eq!((task, octets.len(), fds.len()), (Task::Output, 0, 1));
    worker.join().unwrap();
    assert!(matches!(scanner.recv(), Err(LinkError::Closed)));
}

#[test]
fn a_child_can_speak_before_it_has_a_runtime() {
    let (left, right) = pair().unwrap();
    let child = std::thread::spawn(move || {
        let (message, fds): (ToWorker, _) = recv_blocking(right.as_fd()).unwrap();
        assert_eq!((message, fds.len()), (lease(), 1));
        let reply = FromWorker::NeedScan {
            session: SessionId(7),
            mail: MailId(1),
            direction: policy::names::Direction::Download,
            size: 3,
            sha256: Sha256([1; 32]),
            changed: false,
        };
        send_blocking(right.as_fd(), &reply, &[]).unwrap();
    });
    send_blocking(left.as_fd(), &lease(), &[null().as_fd()]).unwrap();
    let (reply, _): (FromWorker, _) = recv_blocking(left.as_fd()).unwrap();
    assert!(matches!(reply, FromWorker::NeedScan { size: 3, .. }));
    child.join().unwrap();
}

#[test]
fn a_stream_socket_is_no_link() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _entered = runtime.enter();
    let (left, _right) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(Worker::new(left.into()).is_err());
}
