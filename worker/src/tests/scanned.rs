//! Mails on their way through an honest scanner.
use super::lab::{ID, Lab, clean, mail, retrieved, run, serve_maildrop, slice};
use ipc::ids::{LeaseId, Selection, Viruses};
use ipc::log::Outcome;
use ipc::supervisor_worker::{ChangedMail, End, FromWorker, NoLease, ToWorker};
use ipc::wire::MAX_OCTETS;
use ipc::worker_scanner::Disposition;
use nix::sys::uio::pwrite;
use policy::status::{Status, StatusSet};
use std::os::fd::OwnedFd;
use std::time::Duration;

const DEFERRED: &str = "-ERR [SYS/TEMP] mail cannot be checked now, try again later";

#[test]
fn a_clean_mail_arrives_byte_for_byte() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = mail(20_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        assert!(job.read() == sent);
        assert_eq!(job.job.context.user, "joe");
        assert_eq!((job.job.context.listener, job.job.context.command_rule), (0, 0));
        assert!(job.mail.is_none(), "it came with its job: the scanner has a copy of its own");
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
        client.says(b"QUIT\r\n").await;
        client.hears(b"+OK bye\r\n").await;
        let (end, counters) = lab.ended().await;
        assert_eq!((end, counters.mails_passed, counters.mails_replaced), (End::Quit, 1, 0));
        let records = lab.mails();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].outcome, records[0].size), (Outcome::Passed, sent.len() as u64));
        assert_eq!(records[0].rule, "standard");
    });
}

#[test]
fn a_mail_too_large_to_go_with_its_job_is_scanned_in_a_sealed_memory_file() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = [MAX_OCTETS, MAX_OCTETS + 100, 200_000].map(mail);
        let mut client = lab.logged_in(0, sent.to_vec()).await;
        for (number, sent) in (1..).zip(&sent) {
            client.says(format!("RETR {number}\r\n").as_bytes()).await;
            let (scanner, job) = lab.scanning().await;
            assert!(job.read() == *sent);
            let file = job.mail.as_ref().unwrap();
            assert!(pwrite(file, b"x", 0).is_err(), "what is scanned cannot change");
            scanner.answers(&job.clean()).await;
            client.hears(&retrieved(sent)).await;
        }
    });
}

#[test]
fn a_small_mail_has_a_sealed_descriptor_where_an_engine_takes_one() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = mail(5_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (mail, ..) = lab.need_scan().await;
        let scanner = lab.lease_allowing(mail, LeaseId(1), &[], true).await;
        let job = scanner.job().await;
        assert!(!job.job.here && job.read() == sent);
        assert!(pwrite(job.mail.as_ref().unwrap(), b"x", 0).is_err(), "what is scanned cannot change");
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn a_clean_mail_needs_no_file_at_all() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = mail(60_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (mail, ..) = lab.need_scan().await;
        let scanner = lab.lease(mail, LeaseId(1)).await;
        let (job, octets, file) = scanner.job_alone().await;
        assert!(job.here && octets == sent && file.is_none());
        scanner.answers(&clean(&job)).await;
        client.hears(&retrieved(&sent)).await;
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let names = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let names: Vec<_> = names.map(|name| name.display().to_string()).collect();
        assert!(!names.iter().any(|name| name.contains("memfd:mail") || name.contains("memfd:output")));
    });
}

#[test]
fn a_mail_whose_virus_is_allowed_passes_and_its_record_says_why() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = mail(20_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning_where_allowed(&["Lab.Virus", "Lab.Other"]).await;
        let mut judged = job.clean();
        judged.answers[0].statuses = StatusSet::of(Status::Infected);
        judged.answers[0].viruses = Viruses::named("Lab.Virus");
        scanner.answers(&judged).await;
        client.hears(&retrieved(&sent)).await;
        let record = &lab.mails()[0];
        assert_eq!((record.outcome, record.statuses), (Outcome::Passed, StatusSet::of(Status::Clean)));
        assert_eq!(record.allowed, ["Lab.Virus"]);
    });
}

#[test]
fn a_second_retrieval_is_served_from_the_copy() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = mail(2_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
        client.says(b"RETR 1\r\n").await;
        client.hears(&retrieved(&sent)).await;
        client.says(b"TOP 1 1\r\n").await;
        client.hears(b"+OK\r\n").await;
        let end = sent.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        client.hears(&sent[..end]).await;
        client.hears(b"line 1 of a mail that has as many lines as it takes\r\n.\r\n").await;
    });
}

#[test]
fn an_empty_mail_is_scanned_too() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![vec![]]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        assert_eq!(job.job.size, 0);
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(b"")).await;
    });
}

#[test]
fn a_replaced_mail_is_on_record_before_it_is_served() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        let notice = b"Subject: notice\r\n\r\nremoved\r\n";
        scanner.answers(&job.infected(notice)).await;
        let FromWorker::Store { session: ID, selection: Selection(0), mail, entry } = lab.hear().await else {
            panic!()
        };
        let expected = ChangedMail {
            uidl: b"uid-1".to_vec(),
            sha256: job.job.sha256,
            length: notice.len() as u64,
            found: entry.found.clone(),
            kept: false,
        };
        assert_eq!(entry, expected);
        assert_eq!(entry.found.len(), 1, "what was found is remembered with it");
        assert!(pwrite(&job.output, b"evil", 0).is_err(), "what was judged cannot change");
        lab.tell(ToWorker::Stored { session: ID, mail, safe: true, kept: false }).await;
        client.hears(&retrieved(notice)).await;
        client.says(b"DELE 1\r\n").await;
        assert!(client.line().await.starts_with("-ERR"));
        client.says(b"LIST 1\r\n").await;
        client.hears(format!("+OK 1 {}\r\n", notice.len()).as_bytes()).await;
        // There is still no copy of the original: it is tried again, and now it is there.
        client.says(b"RETR 1\r\n").await;
        let FromWorker::Store { session: ID, mail, entry, .. } = lab.hear().await else { panic!() };
        assert_eq!(entry, expected);
        lab.tell(ToWorker::Stored { session: ID, mail, safe: true, kept: true }).await;
        client.hears(&retrieved(notice)).await;
        client.says(b"RETR 1\r\n").await;
        client.hears(&retrieved(notice)).await;
        assert_eq!(lab.mails()[0].outcome, Outcome::Replaced);
    });
}

#[test]
fn a_changed_mail_that_cannot_be_recorded_is_not_served() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.infected(b"Subject: notice\r\n\r\nremoved\r\n")).await;
        let FromWorker::Store { session: ID, mail, .. } = lab.hear().await else { panic!() };
        lab.tell(ToWorker::Stored { session: ID, mail, safe: false, kept: false }).await;
        assert!(client.line().await.starts_with(DEFERRED));
        client.says(b"NOOP\r\n").await;
        client.hears(b"+OK\r\n").await;
    });
}

#[test]
fn a_denied_mail_is_refused_and_the_session_lives() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.judged(Disposition::Deny, Status::Infected)).await;
        assert!(client.line().await.starts_with("-ERR mail refused: because (case "));
        client.says(b"NOOP\r\n").await;
        client.hears(b"+OK\r\n").await;
        assert_eq!(lab.mails()[0].outcome, Outcome::Denied);
    });
}

#[test]
fn a_deferred_mail_can_be_asked_for_again() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = mail(5_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.judged(Disposition::Defer, Status::Error)).await;
        assert!(client.line().await.starts_with(DEFERRED));
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn without_a_scanner_the_mail_is_deferred() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (mail, _, _) = lab.need_scan().await;
        lab.tell(ToWorker::NoLease { session: ID, mail, why: NoLease::Busy }).await;
        assert!(client.line().await.starts_with(DEFERRED));
        assert_eq!(lab.mails()[0].outcome, Outcome::Deferred);
    });
}

#[test]
fn a_scanner_that_dies_is_replaced_by_the_next_lease() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let sent = mail(5_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (mail, _, _) = lab.need_scan().await;
        let first = lab.lease(mail, LeaseId(1)).await;
        first.job().await;
        drop(first);
        let second = lab.lease(mail, LeaseId(2)).await;
        let job = second.job().await;
        assert_eq!(job.job.lease, LeaseId(2));
        second.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn a_mail_that_kills_every_scanner_is_deferred() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        drop((scanner, job));
        let mail = ipc::ids::MailId(1);
        lab.tell(ToWorker::NoLease { session: ID, mail, why: NoLease::Died }).await;
        assert!(client.line().await.starts_with(DEFERRED));
    });
}

#[test]
fn a_lease_for_a_mail_that_is_gone_is_given_back() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (mail, _, _) = lab.need_scan().await;
        lab.tell(ToWorker::NoLease { session: ID, mail, why: NoLease::Busy }).await;
        assert!(client.line().await.starts_with(DEFERRED));
        let scanner = lab.lease(mail, LeaseId(5)).await;
        assert!(scanner.0.recv().await.is_err(), "closed without a job");
    });
}

#[test]
fn pipelined_retrievals_are_scanned_one_by_one_and_answered_in_order() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let (first, second) = (mail(3_000), mail(4_000));
        let mut client = lab.logged_in(0, vec![first.clone(), second.clone()]).await;
        client.says(b"RETR 1\r\nRETR 2\r\nQUIT\r\n").await;
        for sent in [first, second] {
            let (scanner, job) = lab.scanning().await;
            assert!(job.read() == sent);
            scanner.answers(&job.clean()).await;
            client.hears(&retrieved(&sent)).await;
        }
        client.hears(b"+OK bye\r\n").await;
        assert_eq!(lab.ended().await.0, End::Quit);
    });
}

#[test]
fn patience_ends_the_waiting_and_the_judgement_is_kept() {
    run(async {
        let mut slice = slice();
        if let Some(Some(rules)) = slice.rules.get_mut(0) {
            rules.scan_patience = Duration::from_millis(100);
        }
        let lab = Lab::start(&slice).await;
        let sent = mail(5_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        assert!(client.line().await.starts_with(DEFERRED));
        client.says(b"NOOP\r\n").await;
        client.hears(b"+OK\r\n").await;
        scanner.answers(&job.clean()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.says(b"RETR 1\r\n").await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn a_mail_that_is_still_being_scanned_is_not_pulled_again() {
    run(async {
        let mut slice = slice();
        if let Some(Some(rules)) = slice.rules.get_mut(0) {
            rules.scan_patience = Duration::from_millis(200);
        }
        let lab = Lab::start(&slice).await;
        let sent = mail(5_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        assert!(client.line().await.starts_with(DEFERRED));
        client.says(b"RETR 1\r\n").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn sizes_of_mails_that_were_changed_before_stay_true() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.admit(ID, 0).await;
        let server = lab.dial(ID).await;
        tokio::task::spawn_local(serve_maildrop(server, vec![mail(500), mail(600)]));
        client.hears(b"+OK ready\r\n").await;
        client.says(b"USER joe\r\n").await;
        client.hears(b"+OK\r\n").await;
        client.says(b"PASS secret\r\n").await;
        lab.hear().await;
        let entry = |number: u64| ChangedMail {
            uidl: format!("uid-{number}").into_bytes(),
            sha256: ipc::ids::Sha256([0; 32]),
            length: 70 + number,
            found: Vec::new(),
            kept: false,
        };
        lab.tell(ToWorker::Changed {
            session: ID,
            selection: Selection(0),
            entries: vec![entry(1)],
            more: true,
        })
        .await;
        lab.tell(ToWorker::Changed {
            session: ID,
            selection: Selection(0),
            entries: vec![entry(2)],
            more: false,
        })
        .await;
        client.hears(b"+OK\r\n").await;
        client.says(b"LIST\r\n").await;
        client.line().await;
        client.hears(b"1 71\r\n2 72\r\n.\r\n").await;
    });
}

#[test]
fn a_large_mail_continues_in_the_file_it_was_given() {
    run(async {
        let mut slice = slice();
        slice.spool_file_above = 10_000;
        let lab = Lab::start(&slice).await;
        let sent = mail(500_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        spool_file(&lab).await;
        let (scanner, job) = lab.scanning().await;
        assert!(job.read() == sent);
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn a_mail_for_which_there_is_no_memory_left_goes_to_a_file() {
    run(async {
        let mut slice = slice();
        slice.spool_memory = 10_000;
        let lab = Lab::start(&slice).await;
        let sent = mail(100_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        spool_file(&lab).await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn a_file_that_changed_after_the_scan_never_arrives_whole() {
    run(async {
        let mut slice = slice();
        slice.spool_file_above = 10_000;
        let lab = Lab::start(&slice).await;
        let sent = mail(500_000);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let file = spool_file(&lab).await;
        let (scanner, job) = lab.scanning().await;
        pwrite(&file, b"X-Evil", 400_000).unwrap();
        scanner.answers(&job.clean()).await;
        let rest = client.rest().await;
        assert!(rest.len() < sent.len() && !rest.ends_with(b"\r\n.\r\n"));
        assert_eq!(lab.ended().await.0, End::Internal);
    });
}

#[test]
fn without_a_spool_file_a_large_mail_is_deferred() {
    run(async {
        let mut slice = slice();
        slice.spool_file_above = 10_000;
        let lab = Lab::start(&slice).await;
        let mut client = lab.logged_in(0, vec![mail(500_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let FromWorker::NeedSpool { session: ID, mail } = lab.hear().await else { panic!() };
        lab.tell(ToWorker::NoSpool { session: ID, mail }).await;
        assert!(client.line().await.starts_with(DEFERRED));
        client.says(b"NOOP\r\n").await;
        client.hears(b"+OK\r\n").await;
    });
}

#[test]
fn a_slow_client_gets_a_large_mail_whole() {
    run(async {
        let lab = Lab::start(&slice_with_room()).await;
        let sent = mail(5 << 20);
        let mut client = lab.logged_in(0, vec![sent.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.clean()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.hears(&retrieved(&sent)).await;
    });
}

#[test]
fn a_session_that_ends_during_a_scan_leaves_nothing_behind() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(0, vec![mail(5_000)]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, _job) = lab.scanning().await;
        lab.tell(ToWorker::Kick { session: ID }).await;
        client.rest().await;
        assert_eq!(lab.ended().await.0, End::Kicked);
        assert!(scanner.0.recv().await.is_err(), "the scanner's link is closed");
    });
}

fn slice_with_room() -> policy::slice::WorkerSlice {
    let mut slice = slice();
    slice.spool_file_above = 64 << 20;
    slice
}

/// Gives the session an unlinked file; a writing descriptor stays with the test.
pub(crate) async fn spool_file(lab: &Lab) -> OwnedFd {
    let FromWorker::NeedSpool { session: ID, mail } = lab.hear().await else { panic!() };
    let file = tempfile::NamedTempFile::new().unwrap();
    let read = file.reopen().unwrap();
    let write: OwnedFd = file.into_file().into();
    let kept = write.try_clone().unwrap();
    lab.tell_with(ToWorker::Spool { session: ID, mail }, &[write, read.into()]).await;
    kept
}
