//! The worker as a process of its own, under the filter that it ships with: whatever it calls there that its list
//! does not name kills it, and the test with it.
use super::lab::{ID, Lab, mail, retrieved, run, slice};
use ipc::boot::{Boot, Ready, Role, build};
use ipc::link::{self, pair};
use ipc::supervisor_worker::{End, FromWorker, ToWorker};
use std::os::fd::AsFd;
use std::time::Duration;

const CHILD: &str = "tests::confined::as_its_own_process";

/// What `sandbox::spawn` makes of this test binary: it is started with `role` and the name of this test as arguments.
#[test]
fn as_its_own_process() {
    if std::env::args().skip(1).eq(["role", CHILD]) {
        // The harness runs this in a thread, whose heap glibc shrinks in another way than that of a process's first
        // thread: it reads a file in /proc, once. Here it does so before the filter.
        drop((0..16).map(|_| vec![1_u8; 100_000]).collect::<Vec<_>>());
        let status = i32::from(crate::run().is_err());
        #[expect(
            clippy::disallowed_methods,
            reason = "the test harness's own threads are not made for the filter"
        )]
        std::process::exit(status);
    }
}

#[test]
fn a_confined_worker_relays_scans_and_replaces() {
    run(async {
        let (ours, theirs) = pair().unwrap();
        let (log, theirs_log) = pair().unwrap();
        let child = sandbox::spawn(CHILD, "worker", theirs, theirs_log).unwrap();
        let spec = sandbox::Spec { supervisor_pid: std::process::id(), ..sandbox::Spec::default() };
        let boot = Boot { build: build(), role: Role::Worker, tenant: "default".into(), spec };
        link::send_blocking(ours.as_fd(), &boot, &[]).unwrap();
        let (ready, _) = link::recv_blocking::<Ready>(ours.as_fd()).unwrap();
        assert_eq!((ready.build, ready.walls.pid, ready.walls.seccomp_mode), (build(), child.pid, 2));

        let mut slice = slice();
        slice.spool_file_above = 100_000;
        let lab = Lab::over(ours, log);
        lab.set_policy(&slice).await;
        let (small, large) = (mail(20_000), mail(300_000));
        let mut client = lab.logged_in(0, vec![small.clone(), large.clone(), small.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&small)).await;
        client.says(b"RETR 2\r\n").await;
        super::scanned::spool_file(&lab).await;
        let (scanner, job) = lab.scanning().await;
        scanner.answers(&job.clean()).await;
        client.hears(&retrieved(&large)).await;
        client.says(b"RETR 3\r\n").await;
        let (scanner, job) = lab.scanning().await;
        let notice = b"Subject: notice\r\n\r\nremoved\r\n";
        scanner.answers(&job.infected(notice)).await;
        let FromWorker::Store { session: ID, mail, .. } = lab.hear().await else { panic!() };
        lab.tell(ToWorker::Stored { session: ID, mail, safe: true, kept: false }).await;
        client.hears(&retrieved(notice)).await;
        client.says(b"QUIT\r\n").await;
        client.hears(b"+OK bye\r\n").await;
        assert_eq!(lab.ended().await.0, End::Quit);

        let mut client = lab.logged_in(1, vec![large.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        client.hears(&[b"+OK\r\n", large.as_slice(), b".\r\n"].concat()).await;
        drop(client);
        assert_eq!(lab.ended().await.0, End::ClientClosed);
        lab.tell(ToWorker::Drain).await;
        let how = loop {
            match child.try_reap().unwrap() {
                Some(how) => break how,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        assert_eq!(how, "exit status 0");
    });
}
