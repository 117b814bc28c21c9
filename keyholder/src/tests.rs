//! A keyholder and a worker that lies to it.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]
use crate::serve::serve;
use ipc::ids::SessionId;
use ipc::link::{Link, ask, asking_pair, pair};
use ipc::log::Log;
use ipc::supervisor_keyholder::{FromKeyholder, KeyOf, Purpose, ToKeyholder};
use ipc::supervisor_worker::TlsFile;
use ipc::worker_keyholder::{Answer, Answered, Asked, Question, Towards};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use policy::slice::KeyholderSlice;
use policy::tls::ServerTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
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
        file.write_all(KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap();
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

/// A sealed memory file.
fn sealed(octets: &[u8]) -> OwnedFd {
    let memfd = memfd_create("policy", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    let mut file = std::fs::File::from(memfd);
    file.write_all(octets).unwrap();
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(file.as_fd(), FcntlArg::F_ADD_SEALS(seals)).unwrap();
    file.into()
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A keyholder that may mint for servers whose certificates `public` signed.
async fn minting(public: &CertifiedIssuer<'static, KeyPair>) -> Lab {
    let lab = Lab::start(None).await;
    let operator = authority("Operator CA");
    let temporary = |text: String| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        OwnedFd::from(file)
    };
    let slice = KeyholderSlice { server_tls: vec![ServerTls::default()] };
    let slice = ipc::wire::encode_slice(&slice).unwrap();
    let len = u32::try_from(slice.len()).unwrap();
    let (cert, ca) = (TlsFile::Authority { tls: 0, untrusted: false }, TlsFile::ServerCa { tls: 0 });
    let of = KeyOf::Authority { tls: 0, untrusted: false };
    for (message, file) in [
        (ToKeyholder::Policy { generation: 2, len }, sealed(&slice)),
        (ToKeyholder::Tls { generation: 2, file: cert }, temporary(operator.pem())),
        (ToKeyholder::Tls { generation: 2, file: ca }, temporary(public.pem())),
        (
            ToKeyholder::Key { generation: 2, of, passphrase: false },
            temporary(operator.key().serialize_pem()),
        ),
    ] {
        lab.supervisor.send(&message, &[file.as_fd()]).await.unwrap();
    }
    lab.supervisor.send(&ToKeyholder::Complete { generation: 2 }, &[]).await.unwrap();
    let (loaded, _) = lab.supervisor.recv().await.unwrap();
    assert_eq!(loaded, FromKeyholder::Loaded { generation: 2, problems: Vec::new() });
    grant(&lab, Purpose::Intercept { tls: 0, server_tls: 0 }).await;
    lab
}

async fn grant(lab: &Lab, purpose: Purpose) {
    let grant = ToKeyholder::Grant { worker: WORKER, session: SESSION, generation: 2, purpose, seconds: 60 };
    lab.supervisor.send(&grant, &[]).await.unwrap();
}

fn mint(name: &str, chain: Vec<Vec<u8>>) -> Question {
    Question::Mint { session: SESSION, name: name.to_owned(), chain }
}

/// A server's certificate.
fn shown(by: &CertifiedIssuer<'static, KeyPair>) -> Vec<Vec<u8>> {
    let params = CertificateParams::new(["mail.example.net".to_owned()]).unwrap();
    vec![params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().to_vec()]
}

#[test]
fn a_certificate_is_minted_once_for_a_server_that_is_verified_here_and_its_key_signs_once() {
    run(async {
        let public = authority("Public CA");
        let lab = minting(&public).await;
        let answer = lab.ask(mint("mail.example.net", shown(&public))).await;
        let Some(Answer::Minted { chain, verified: true }) = answer else { panic!("{answer:?}") };
        assert_eq!(chain.len(), 2, "with the authority's");
        assert!(matches!(lab.ask(sign(Towards::Minted, handshake())).await, Some(Answer::Done(_))));
        assert_eq!(lab.ask(sign(Towards::Minted, handshake())).await, None);
        assert!(lab.misused().await.contains("second signature"));
    });
    run(async {
        let public = authority("Public CA");
        let lab = minting(&public).await;
        assert!(matches!(
            lab.ask(mint("mail.example.net", shown(&public))).await,
            Some(Answer::Minted { .. })
        ));
        assert_eq!(lab.ask(mint("mail.example.net", shown(&public))).await, None);
        assert!(lab.misused().await.contains("not granted"));
    });
}

#[test]
fn no_certificate_is_minted_for_a_server_that_is_not_verified() {
    let public = authority("Public CA");
    let (strange, garbage) = (shown(&authority("Public CA")), vec![vec![0x30, 3, 1, 2, 3]]);
    for (name, chain) in [
        ("bank.example", shown(&public)),
        ("mail.example.net", strange),
        ("mail.example.net", garbage),
        ("mail.example.net", Vec::new()),
        ("not a name", shown(&public)),
    ] {
        run(async {
            let lab = minting(&public).await;
            assert_eq!(lab.ask(mint(name, chain)).await, Some(Answer::None), "{name}");
            assert_eq!(
                lab.ask(sign(Towards::Minted, handshake())).await,
                None,
                "there is nothing to sign with"
            );
            assert!(lab.misused().await.contains("before there is a certificate"));
        });
    }
}

#[test]
fn only_an_intercepted_session_has_certificates_minted() {
    for question in [sign(Towards::Minted, handshake()), mint("mail.example.net", vec![vec![1]])] {
        run(async {
            let lab = Lab::start(CLIENT).await;
            assert_eq!(lab.ask(question).await, None);
            lab.misused().await;
        });
    }
}
