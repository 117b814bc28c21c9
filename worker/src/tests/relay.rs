//! Sessions without scanning, and the ends of sessions.
use super::lab::{ID, Lab, admission, mail, run, slice};
use crate::joining::Admitted;
use crate::serve::{Worker, run_guarded};
use crate::session::Session;
use ipc::supervisor_worker::{End, FromWorker, NoServer, ToWorker};
use std::rc::Rc;
use std::time::Duration;
use worker_proto::pop3::Pop3;

#[test]
fn an_unscanned_session_is_relayed_to_its_end() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let big = mail(300_000);
        let mut client = lab.logged_in(1, vec![big.clone()]).await;
        client.says(b"RETR 1\r\n").await;
        client.hears(&[b"+OK\r\n", big.as_slice(), b".\r\n"].concat()).await;
        client.says(b"QUIT\r\n").await;
        client.hears(b"+OK bye\r\n").await;
        let (end, counters) = lab.ended().await;
        assert_eq!(end, End::Quit);
        assert_eq!(counters.commands, 4);
        assert!(counters.bytes_in > 300_000);
        assert!(client.rest().await.is_empty());
    });
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(1, vec![mail(10), mail(20)]).await;
        client.says(b"CAPA\r\n").await;
        while client.line().await != ".\r\n" {}
        client.says(b"NOOP\r\nLIST 1\r\nRETR 2\r\nUIDL 2\r\nQUIT\r\n").await;
        let expected = format!(
            "+OK\r\n+OK 1 {0}\r\n+OK\r\n{1}.\r\n+OK 2 uid-2\r\n+OK bye\r\n",
            mail(10).len(),
            String::from_utf8(mail(20)).unwrap()
        );
        client.hears(expected.as_bytes()).await;
        assert_eq!(lab.ended().await.0, End::Quit);
    });
}

#[test]
fn a_server_that_cannot_be_reached_is_said_to_the_client() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.admit(ID, 0).await;
        lab.tell(ToWorker::NoServer { session: ID, why: NoServer::Unreachable }).await;
        assert_eq!(client.rest().await, b"-ERR [SYS/TEMP] server cannot be reached\r\n");
        assert_eq!(lab.ended().await.0, End::NoServer);
    });
}

#[test]
fn a_session_with_an_unknown_rule_is_refused() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.admit(ID, 2).await;
        assert!(client.rest().await.starts_with(b"-ERR [SYS/TEMP]"));
        assert_eq!(lab.ended().await.0, End::Internal);
    });
}

#[test]
fn a_kick_ends_the_session_in_its_protocol() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(1, vec![]).await;
        lab.tell(ToWorker::Kick { session: ID }).await;
        assert!(client.rest().await.starts_with(b"-ERR"));
        assert_eq!(lab.ended().await.0, End::Kicked);
        let mut client = lab.admit(ID, 1).await;
        lab.tell(ToWorker::Kick { session: ID }).await;
        assert!(client.rest().await.starts_with(b"-ERR"));
        assert_eq!(lab.ended().await.0, End::Kicked);
    });
}

#[test]
fn a_client_that_leaves_ends_the_session() {
    run(async {
        let lab = Lab::start(&slice()).await;
        drop(lab.logged_in(1, vec![]).await);
        assert_eq!(lab.ended().await.0, End::ClientClosed);
    });
}

#[test]
fn an_idle_session_ends_at_its_timeout() {
    run(async {
        let mut slice = slice();
        if let Some(Some(rules)) = slice.rules.get_mut(1) {
            rules.idle_timeout = Duration::from_millis(300);
        }
        let lab = Lab::start(&slice).await;
        let mut client = lab.logged_in(1, vec![]).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.says(b"NOOP\r\n").await;
        client.hears(b"+OK\r\n").await;
        let since = std::time::Instant::now();
        client.rest().await;
        assert!(since.elapsed() > Duration::from_millis(250), "the timeout moved with the command");
        assert_eq!(lab.ended().await.0, End::Idle);
    });
}

#[test]
fn a_client_that_does_not_read_stops_the_server_and_loses_nothing() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let big = mail(20 << 20);
        let mut client = lab.admit(ID, 1).await;
        let mut server = lab.dial(ID).await;
        server.says(b"+OK\r\n").await;
        client.hears(b"+OK\r\n").await;
        for command in ["USER joe\r\n", "PASS secret\r\n", "RETR 1\r\n"] {
            client.says(command.as_bytes()).await;
            server.hears(command.as_bytes()).await;
            server.says(b"+OK\r\n").await;
            client.hears(b"+OK\r\n").await;
        }
        let mut sent = 0;
        while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), server.0.writable()).await {
            if let Ok(count) = server.0.try_write(&big[sent..]) {
                sent += count;
            }
        }
        assert!(sent < big.len(), "the worker swallowed {sent} octets that nobody reads");
        let (all, ()) = tokio::join!(
            async {
                let mut got = vec![0; big.len() + 3];
                tokio::io::AsyncReadExt::read_exact(&mut client.0, &mut got).await.unwrap();
                got
            },
            async {
                server.says(&big[sent..]).await;
                server.says(b".\r\n").await;
            }
        );
        assert!(all.strip_suffix(b".\r\n") == Some(&big), "the mail arrives whole");
    });
}

#[test]
fn a_drained_worker_ends_after_its_last_session() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let mut client = lab.logged_in(1, vec![]).await;
        lab.tell(ToWorker::Drain).await;
        client.says(b"QUIT\r\n").await;
        client.hears(b"+OK bye\r\n").await;
        assert_eq!(lab.ended().await.0, End::Quit);
        lab.finished().await;
    });
}

#[test]
fn a_worker_ends_with_its_supervisor() {
    run(async {
        let lab = Lab::start(&slice()).await;
        lab.hang_up().await;
    });
}

#[test]
fn a_policy_that_is_not_sealed_is_refused() {
    run(async {
        let lab = Lab::start(&slice()).await;
        let bytes = ipc::wire::encode_slice(&slice()).unwrap();
        let file = crate::memfd::create(c"policy").unwrap();
        nix::unistd::write(&file, &bytes).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        lab.tell_with(ToWorker::Policy { generation: 4, len }, &[file]).await;
        lab.tell(ToWorker::Drain).await;
        while lab.link.recv().await.is_ok() {}
        let refused = lab.logged().into_iter().any(|event| match event {
            ipc::log::Event::Note { text, detail, .. } => {
                (text.as_str(), detail.as_str()) == ("policy refused", "policy is not sealed")
            }
            ipc::log::Event::Login { .. } | ipc::log::Event::Mail(_) => false,
        });
        assert!(refused);
    });
}

#[test]
fn messages_for_a_session_that_is_gone_are_dropped() {
    run(async {
        let lab = Lab::start(&slice()).await;
        lab.tell(ToWorker::Kick { session: ID }).await;
        let _server = lab.dial(ID).await;
        let mut client = lab.logged_in(1, vec![]).await;
        client.says(b"QUIT\r\n").await;
        assert!(matches!(lab.hear().await, FromWorker::SessionEnded { end: End::Quit, .. }));
    });
}

#[test]
fn an_idle_session_needs_little_memory() {
    run(async {
        let (_ours, theirs) = ipc::pair().unwrap();
        let (_log, log) = ipc::pair().unwrap();
        let (client, _) = ipc::pair().unwrap();
        let worker = Worker::new(ipc::Link::new(theirs).unwrap(), ipc::log::Log::new(log));
        let admission = Box::new(admission(ID, 0, "127.0.0.1:1".parse().unwrap()));
        let session =
            run_guarded(worker, Admitted { admission, generation: None, client, inbox: Rc::default() });
        let octets = size_of_val(&session) + size_of::<Session<Pop3>>();
        assert!(octets <= 2 * 1024, "the task of a session takes {octets} octets");
    });
}
