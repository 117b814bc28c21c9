//! A scanner that lies, a server that breaks off: nothing that was not scanned arrives as a mail.
use super::lab::{ID, Job, Lab, clean, connection, mail, run, slice};
use crate::driver::{Buffers, Driver};
use crate::memory::Memory;
use crate::peer::Peer;
use ipc::ids::{LeaseId, Selection, Sha256, Viruses};
use ipc::log::Outcome;
use ipc::supervisor_worker::{End, FromWorker, ToWorker};
use ipc::worker_scanner::{Answer, Disposition, Judged, ScanJob};
use nix::sys::uio::pwrite;
use policy::status::{Status, StatusSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use worker_proto::machine::{Fault, Input, Machine, Output, Side};

/// The scanner gives this answer: the mail is deferred, the session lives, the log says what was wrong.
fn lie(tell: impl FnOnce(&Job) -> Judged) {
    lie_where_allowed(&[], tell);
}

/// Likewise of a mail in which the operator allowed these viruses.
fn lie_where_allowed(allowed: &[&str], tell: impl FnOnce(&Job) -> Judged) {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning_where_allowed(allowed).await;
        scanner.answers(&tell(&job)).await;
        assert!(client.line().await.starts_with("-ERR [SYS/TEMP] mail cannot be checked now"));
        client.says(b"NOOP\r\n").await;
        client.hears(b"+OK\r\n").await;
        assert_eq!(lab.mails()[0].outcome, Outcome::Deferred);
    });
}

#[test]
fn an_answer_for_another_lease_defers() {
    lie(|job| Judged { lease: LeaseId(99), ..job.clean() });
}

#[test]
fn an_answer_about_another_mail_defers() {
    lie(|job| Judged { sha256: Sha256([1; 32]), ..job.clean() });
}

#[test]
fn a_pass_without_an_engine_defers() {
    lie(|job| Judged { answers: vec![], ..job.clean() });
}

#[test]
fn an_answer_of_an_engine_that_was_not_asked_defers() {
    lie(|job| {
        let mut judged = job.clean();
        judged.answers[0].engine = "other".into();
        judged
    });
}

#[test]
fn two_answers_of_one_engine_defer() {
    lie(|job| {
        let mut judged = job.clean();
        judged.answers.push(judged.answers[0].clone());
        judged
    });
}

#[test]
fn an_answer_without_status_defers() {
    lie(|job| Judged { statuses: StatusSet::EMPTY, ..job.clean() });
    lie(|job| {
        let mut judged = job.clean();
        judged.answers[0].statuses = StatusSet::EMPTY;
        judged
    });
}

#[test]
fn an_infected_mail_that_passes_defers() {
    lie(|job| job.judged(Disposition::Pass, Status::Infected));
}

#[test]
fn a_clean_summary_of_an_infected_answer_defers() {
    lie(|job| Judged {
        statuses: StatusSet::of(Status::Clean),
        ..job.judged(Disposition::Pass, Status::Infected)
    });
}

#[test]
fn only_what_the_operator_allowed_may_be_missing_from_the_summary() {
    let clean_but = |job: &Job, viruses: Viruses, status: Status| {
        let mut judged = job.clean();
        judged.answers[0].viruses = viruses;
        judged.answers[0].statuses = StatusSet::of(Status::Infected).with(status);
        judged
    };
    let (a, infected) = (|| Viruses::named("A"), Status::Infected);
    lie_where_allowed(&["B"], |job| clean_but(job, a(), infected));
    lie_where_allowed(&["A"], |job| clean_but(job, a().and(Viruses::named("B")), infected));
    lie_where_allowed(&["A"], |job| clean_but(job, Viruses::unnamed(), infected));
    lie_where_allowed(&["A"], |job| clean_but(job, Viruses::default(), infected));
    lie_where_allowed(&["A"], |job| clean_but(job, a().and(Viruses::unnamed()), infected));
    lie_where_allowed(&["A"], |job| clean_but(job, a(), Status::Error));
    lie_where_allowed(&["A"], |job| clean_but(job, a(), Status::Encrypted));
}

#[test]
fn a_copy_longer_than_its_file_defers() {
    lie(|job| Judged { disposition: Disposition::Replace { length: 7 }, ..job.infected(b"notice") });
}

#[test]
fn a_copy_over_its_bound_defers() {
    lie(|job| {
        let length = job.job.max_output + 1;
        pwrite(&job.output, b"x", i64::try_from(length).unwrap()).unwrap();
        job.judged(Disposition::Replace { length }, Status::Infected)
    });
}

/// The scanner says this instead of asking for an output and judging.
fn says(answers: impl FnOnce(&ScanJob) -> Vec<Answer>) {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (mail, ..) = lab.need_scan().await;
        let scanner = lab.lease(mail, LeaseId(1)).await;
        let (job, ..) = scanner.job_alone().await;
        for answer in answers(&job) {
            scanner.says(answer).await;
        }
        assert!(client.line().await.starts_with("-ERR [SYS/TEMP] mail cannot be checked now"));
        assert_eq!(lab.mails()[0].outcome, Outcome::Deferred);
    });
}

#[test]
fn a_copy_that_no_output_was_asked_for_defers() {
    for length in [0, 1, 5_000] {
        for disposition in [Disposition::Replace { length }, Disposition::Correct { length }] {
            says(|job| vec![Answer::Judged(Box::new(Judged { disposition, ..clean(job) }))]);
        }
    }
}

#[test]
fn a_second_output_is_not_given() {
    says(|job| vec![Answer::WantOutput, Answer::WantOutput, Answer::Judged(Box::new(clean(job)))]);
}

#[test]
fn an_answer_that_would_not_fit_the_log_defers() {
    lie(|job| {
        let mut judged = job.clean();
        judged.answers[0].detail = "x".repeat(60_000);
        judged
    });
}

#[test]
fn an_answer_that_is_no_message_defers() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (id, _, _) = lab.need_scan().await;
        let (ours, theirs) = ipc::pair().unwrap();
        lab.tell_with(
            ToWorker::Lease { session: ID, mail: id, lease: LeaseId(1), allowed: Vec::new(), file: false },
            &[theirs],
        )
        .await;
        nix::unistd::write(&ours, b"\xff\xff\xff\xff").unwrap();
        assert!(client.line().await.starts_with("-ERR [SYS/TEMP] mail cannot be checked now"));
    });
}

#[test]
fn a_server_that_breaks_off_a_mail_ends_the_session_without_a_mail() {
    run(async {
        for rule in [0, 1] {
            let lab = Lab::start(&slice()).await;
            let mut client = lab.admit(ID, rule).await;
            let mut server = lab.dial(ID).await;
            server.says(b"+OK\r\n").await;
            client.hears(b"+OK\r\n").await;
            client.says(b"USER joe\r\n").await;
            server.hears(b"USER joe\r\n").await;
            server.says(b"+OK\r\n").await;
            client.hears(b"+OK\r\n").await;
            client.says(b"PASS secret\r\n").await;
            server.hears(b"PASS secret\r\n").await;
            server.says(b"+OK\r\n").await;
            assert!(matches!(lab.hear().await, FromWorker::LoggedIn { .. }));
            if rule == 0 {
                lab.tell(ToWorker::Changed {
                    session: ID,
                    selection: Selection(0),
                    entries: vec![],
                    more: false,
                })
                .await;
            }
            client.hears(b"+OK\r\n").await;
            client.says(b"RETR 1\r\n").await;
            server.hears(b"RETR 1\r\n").await;
            server.says(b"+OK\r\nSubject: half\r\n\r\nhalf of").await;
            drop(server);
            let rest = client.rest().await;
            assert!(!rest.ends_with(b"\r\n.\r\n"));
            if rule == 0 {
                assert!(rest.starts_with(b"-ERR") || rest.is_empty(), "nothing of it arrives");
            }
            assert_eq!(lab.ended().await.0, End::ServerClosed);
        }
    });
}

#[test]
fn a_server_that_does_not_speak_pop3_ends_the_session() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.admit(ID, 0).await;
        let mut server = lab.dial(ID).await;
        server.says(b"SSH-2.0-OpenSSH\r\n").await;
        assert!(!client.rest().await.starts_with(b"SSH"));
        assert_eq!(lab.ended().await.0, End::ServerFault);
    });
}

/// Answers with what it is told to say, after it panicked if that is what it was made for.
struct Parrot {
    panics: bool,
}

impl Machine for Parrot {
    const KEEPS_COPIES: bool = false;

    fn secured(self) -> Self {
        self
    }

    fn handle(self, _: Duration, _: Input<'_>, out: &mut Output) -> Result<Self, Fault> {
        out.client.extend_from_slice(if self.panics { b"secret of another" } else { b"mine" });
        assert!(!self.panics, "as it was told");
        Ok(self)
    }
    fn wants(&self, _: Side) -> bool {
        false
    }
    fn wants_copy(&self) -> bool {
        false
    }
    fn has_more(&self, _side: Side) -> bool {
        false
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }
}

#[test]
fn what_a_panicking_session_left_is_never_sent_to_another() {
    run(async {
        let buffers = Buffers::new();
        let (mut client, ours) = connection().await;
        let (_server, theirs) = connection().await;
        let (ours, theirs) = (Rc::new(ours), Rc::new(theirs));
        let driver = |panics| {
            let peer = |fd: &Rc<std::os::fd::OwnedFd>| {
                Peer::new(crate::peer::stream(fd.try_clone().unwrap()).unwrap(), None)
            };
            let now = tokio::time::Instant::now();
            Driver::new(
                Rc::clone(&buffers),
                Memory::new(),
                now,
                Parrot { panics },
                peer(&ours),
                Some(peer(&theirs)),
            )
        };
        let mut first = driver(true);
        assert!(catch_unwind(AssertUnwindSafe(|| first.tell(Input::Tick))).is_err());
        let mut second = driver(false);
        second.tell(Input::Tick);
        second.close(b"", false).await;
        drop((first, second));
        drop(ours);
        assert_eq!(client.rest().await, b"mine");
    });
}

/// Writes what is said to be the mail, rebuilt.
fn rebuilt(job: &Job, mail: &[u8], status: Status) -> Judged {
    assert_eq!(pwrite(&job.output, mail, 0).unwrap(), mail.len());
    job.judged(Disposition::Correct { length: mail.len() as u64 }, status)
}

#[test]
fn a_rebuilt_mail_that_has_two_readings_defers() {
    let two = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n";
    lie(|job| rebuilt(job, two, Status::Clean));
}

#[test]
fn an_infected_mail_does_not_pass_for_being_rebuilt() {
    let one = b"From: a@example.org\r\nSubject: s\r\n\r\nx\r\n";
    lie(|job| rebuilt(job, one, Status::Infected));
}
