//! A keyholder and a worker that lies to it.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]
use crate::serve::serve;
use ipc::ids::SessionId;
use ipc::link::{Link, ask, asking_pair, pair};
use ipc::log::Log;
use ipc::supervisor_keyholder::{FromKeyholder, KeyOf, Purpose, ToKeyholder};
use ipc::worker_keyholder::{Answer, Answered, Asked, Question, Towards};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::timeout;

const WORKER: u64 = 5;
const SESSION: SessionId = SessionId(9);
/// RFC 8446 section 4.2.3: ecdsa_secp256r1_sha256.
const ECDSA: u16 = 0x0403;
const STEP: Duration = Duration::from_secs(20);

/// What a server signs in a handshake of TLS 1.3.
fn handshake() -> Vec<u8> {
    [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &[7; 32]].concat()
}

fn sign(towards: Towards, message: Vec<u8>) -> Question {
    Question::Sign { session: SESSION, towards, scheme: ECDSA, message }
}

/// A keyholder with one key of client-tls 0, seen from the supervisor.
struct Lab {
    supervisor: Link<ToKeyholder, FromKeyholder>,
    worker: OwnedFd,
}

impl Lab {
    async fn start(purpose: Option<Purpose>) -> Self {
        let (ours, theirs) = pair().unwrap();
        let (_, log) = pair().unwrap();
        let link = Link::new(theirs).unwrap();
        spawn_local(async move { serve(link, Log::new(log)).await.unwrap() });
        let supervisor = Link::new(ours).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap();
        let key = ToKeyholder::Key {
            generation: 1,
            of: KeyOf::ClientTls { tls: 0, certificate: 0 },
            passphrase: false,
        };
        supervisor.send(&key, &[OwnedFd::from(file).as_fd()]).await.unwrap();
        supervisor.send(&ToKeyholder::Complete { generation: 1 }, &[]).await.unwrap();
        let (loaded, _) = supervisor.recv().await.unwrap();
        assert_eq!(loaded, FromKeyholder::Loaded { generation: 1, problems: Vec::new() });
        let (worker, answers) = asking_pair(STEP).unwrap();
        supervisor.send(&ToKeyholder::Worker { worker: WORKER }, &[answers.as_fd()]).await.unwrap();
        if let Some(purpose) = purpose {
            let grant =
                ToKeyholder::Grant { worker: WORKER, session: SESSION, generation: 1, purpose, seconds: 60 };
            supervisor.send(&grant, &[]).await.unwrap();
        }
        Self { supervisor, worker }
    }

    /// The worker asks. `None`: it got no answer.
    async fn ask(&self, question: Question) -> Option<Answer> {
        let link = self.worker.try_clone().unwrap();
        let asked = spawn_blocking(move || {
            let asked = Asked { number: 7, question };
            ask(link.as_fd(), &asked, |answered: &Answered| answered.number == 7)
                .ok()
                .map(|answered| answered.answer)
        });
        timeout(STEP, asked).await.unwrap().unwrap()
    }

    async fn misused(&self) -> String {
        match timeout(STEP, self.supervisor.recv()).await.unwrap().unwrap().0 {
            FromKeyholder::Misuse { worker, session, why } => {
                assert_eq!((worker, session), (WORKER, SESSION));
                why
            }
            loaded @ FromKeyholder::Loaded { .. } => panic!("{loaded:?}"),
        }
    }
}

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

const CLIENT: Option<Purpose> = Some(Purpose::Client { tls: 0, scope: 1 });

#[test]
fn a_granted_handshake_is_signed_once_and_a_second_time_is_misuse() {
    run(async {
        let lab = Lab::start(CLIENT).await;
        let signed = lab.ask(sign(Towards::Client(0), handshake())).await;
        assert!(matches!(signed, Some(Answer::Done(signature)) if signature.len() > 60));
        assert_eq!(lab.ask(sign(Towards::Client(0), handshake())).await, None);
        assert!(lab.misused().await.contains("second signature"));
        assert_eq!(lab.ask(sign(Towards::Client(0), handshake())).await, None, "its link is gone");
    });
}

#[test]
fn what_is_no_handshake_is_misuse() {
    let certificate_request = vec![0x30, 0x82, 1, 0];
    for message in [Vec::new(), vec![0; 32], certificate_request, vec![b' '; 40_000]] {
        run(async {
            let lab = Lab::start(CLIENT).await;
            assert_eq!(lab.ask(sign(Towards::Client(0), message)).await, None);
            assert!(lab.misused().await.contains("no handshake"));
        });
    }
}

#[test]
fn a_session_without_a_grant_is_misuse_and_the_keyholder_goes_on() {
    run(async {
        let lab = Lab::start(None).await;
        assert_eq!(lab.ask(sign(Towards::Client(0), handshake())).await, None);
        assert!(lab.misused().await.contains("granted nothing"));
        let (worker, answers) = asking_pair(STEP).unwrap();
        lab.supervisor.send(&ToKeyholder::Worker { worker: 6 }, &[answers.as_fd()]).await.unwrap();
        let purpose = Purpose::Client { tls: 0, scope: 1 };
        let grant = ToKeyholder::Grant { worker: 6, session: SESSION, generation: 1, purpose, seconds: 60 };
        lab.supervisor.send(&grant, &[]).await.unwrap();
        let lab = Lab { worker, ..lab };
        assert!(matches!(lab.ask(sign(Towards::Client(0), handshake())).await, Some(Answer::Done(_))));
    });
}

#[test]
fn a_grant_that_is_still_on_its_way_is_waited_for() {
    run(async {
        let lab = Lab::start(None).await;
        let purpose = Purpose::Client { tls: 0, scope: 1 };
        let grant =
            ToKeyholder::Grant { worker: WORKER, session: SESSION, generation: 1, purpose, seconds: 60 };
        let late = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            lab.supervisor.send(&grant, &[]).await.unwrap();
        };
        let (answer, ()) = tokio::join!(lab.ask(sign(Towards::Client(0), handshake())), late);
        assert!(matches!(answer, Some(Answer::Done(_))));
    });
}

#[test]
fn other_keys_other_sides_and_other_schemes_sign_nothing() {
    run(async {
        let lab = Lab::start(CLIENT).await;
        assert_eq!(lab.ask(sign(Towards::Client(1), handshake())).await, Some(Answer::None), "no such key");
    });
    run(async {
        let lab = Lab::start(CLIENT).await;
        let question = Question::Sign {
            session: SESSION,
            towards: Towards::Client(0),
            scheme: 0x0807,
            message: handshake(),
        };
        assert_eq!(lab.ask(question).await, Some(Answer::None), "no such scheme");
    });
    run(async {
        let lab = Lab::start(CLIENT).await;
        let message = [&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0", &[7; 32]].concat();
        assert_eq!(
            lab.ask(sign(Towards::Server, message)).await,
            None,
            "nothing was granted towards a server"
        );
        lab.misused().await;
    });
}

#[test]
fn tickets_open_in_their_own_scope_only() {
    run(async {
        let lab = Lab::start(CLIENT).await;
        let sealed = lab.ask(Question::Seal { session: SESSION, state: b"state".to_vec() }).await;
        let Some(Answer::Done(ticket)) = sealed else { panic!("{sealed:?}") };
        assert!(!ticket.windows(5).any(|window| window == b"state"));
        let open = || Question::Open { session: SESSION, ticket: ticket.clone() };
        assert_eq!(lab.ask(open()).await, Some(Answer::Done(b"state".to_vec())));
        let purpose = Purpose::Client { tls: 0, scope: 2 };
        let grant =
            ToKeyholder::Grant { worker: WORKER, session: SESSION, generation: 1, purpose, seconds: 60 };
        lab.supervisor.send(&grant, &[]).await.unwrap();
        // Another listener's grant is in force once its ticket can be sealed.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(lab.ask(open()).await, Some(Answer::None));
        let mut forged = ticket.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(lab.ask(Question::Open { session: SESSION, ticket: forged }).await, Some(Answer::None));
    });
}
