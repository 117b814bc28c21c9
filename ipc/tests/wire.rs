//! The bytes of every message: an accidental reorder of a variant or field fails here, and hostile bytes never panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use ipc::boot::{Boot, Ready, Role};
use ipc::ids::{
    Checker, EngineAnswer, Found, LeaseId, MailId, Selection, SessionId, Sha256, SpamAnswer, Viruses,
};
use ipc::log::{Event, Level, Mail, Outcome};
use ipc::supervisor_keyholder::{self, FromKeyholder, KeyOf, ToKeyholder};
use ipc::supervisor_lookup::{Candidate, FromLookup, Known, ToLookup};
use ipc::supervisor_scanner::{EngineGrant, EngineState, FromScanner, KnownMail, Purpose, ToScanner};
use ipc::supervisor_worker::{
    ChangedMail, Counters, End, FromWorker, NoLease, NoServer, Plan, Session, TlsFile, ToWorker,
};
use ipc::supervisor_writer::{FromWriter, ToWriter};
use ipc::wire::{Message, decode, encode};
use ipc::worker_keyholder::{Answer, Answered, Asked, Question, Towards};
use ipc::worker_lookup::Learnt;
use ipc::worker_scanner::{self, Context, Disposition, Judged, Map, ScanJob, Task};
use ipc::worker_writer::{self, Facts, Keep};
use policy::conditions::Certificate;
use policy::model::MailAction;
use policy::names::{Direction, Language, Protocol};
use policy::status::{Status, StatusSet};
use policy::time::Moment;
use policy::tls::{ClientMode, ClientSide};
use proptest::prelude::*;
use std::fmt::{Debug, Write};

fn line<M: Message + Debug + PartialEq>(out: &mut String, message: &M) {
    let bytes = encode(message).unwrap();
    assert_eq!(&decode::<M>(&bytes, message.fd_count()).unwrap(), message);
    assert!(message.fd_count() <= M::MAX_FDS);
    let name: String = format!("{message:?}").chars().take_while(|c| c.is_alphanumeric()).collect();
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    writeln!(out, "{name} {hex}").unwrap();
}

fn spam() -> SpamAnswer {
    SpamAnswer {
        filter: "rspamd".into(),
        score: Some(-1),
        symbols: "s".into(),
        detail: "d".into(),
        micros: 6,
    }
}

fn answer() -> EngineAnswer {
    EngineAnswer {
        engine: "clamd".into(),
        statuses: StatusSet::of(Status::Infected),
        viruses: Viruses::named("Eicar"),
        detail: "d".into(),
        parts: vec![(3, Viruses::named("Eicar"))],
        micros: 5,
    }
}

#[test]
fn the_bytes_of_every_message_stay_what_they_are() {
    let (session, mail, lease, sha256) = (SessionId(1), MailId(2), LeaseId(3), Sha256([4; 32]));
    let client = "192.0.2.1:1000".parse().unwrap();
    let entry =
        ChangedMail { uidl: b"u1".to_vec(), sha256, length: 9, found: Found::of(&[answer()]), kept: false };
    let mut out = String::new();

    line(
        &mut out,
        &Boot {
            build: "b".into(),
            role: Role::Worker,
            tenant: "default".into(),
            spec: sandbox::Spec::default(),
        },
    );
    line(&mut out, &Ready { build: "b".into(), walls: sandbox::Walls::default() });

    line(&mut out, &ToWorker::Policy { generation: 1, len: 2 });
    line(
        &mut out,
        &ToWorker::Session(Box::new(Session {
            language: Language::Cs,
            client_side: ClientSide { mode: ClientMode::StartTls, client_tls: 1 },
            session_rule_index: 2,
            id: session,
            generation: 1,
            listener: 0,
            protocol: Protocol::Pop3,
            client,
            client_name: None,
            destination: client,
            session_rule: "lan".into(),
            plan: Plan::Early { rule: 1 },
            intercept: true,
            accepted_ns: 7,
        })),
    );
    line(&mut out, &ToWorker::Server { session, address: client, name: Some("mail".into()) });
    for why in
        [NoServer::Unreachable, NoServer::TimedOut, NoServer::NotResolved, NoServer::Loop, NoServer::Denied]
    {
        line(&mut out, &ToWorker::NoServer { session, why });
    }
    line(&mut out, &ToWorker::Spool { session, mail });
    line(&mut out, &ToWorker::NoSpool { session, mail });
    line(&mut out, &ToWorker::Lease { session, mail, lease, allowed: vec!["Eicar".into()], file: true });
    for why in [NoLease::Busy, NoLease::Died, NoLease::Stopping] {
        line(&mut out, &ToWorker::NoLease { session, mail, why });
    }
    line(
        &mut out,
        &ToWorker::Changed { session, selection: Selection(7), entries: vec![entry.clone()], more: false },
    );
    line(&mut out, &ToWorker::Stored { session, mail, safe: true, kept: false });
    line(&mut out, &ToWorker::Kick { session });
    line(&mut out, &ToWorker::Late { session });
    line(&mut out, &ToWorker::Renew { session, generation: 2, rule: 1, language: Language::Cs });
    line(&mut out, &ToWorker::Drain);
    for file in [
        TlsFile::ClientChain { tls: 1, certificate: 2 },
        TlsFile::Staple { tls: 1, certificate: 2 },
        TlsFile::ClientCa { tls: 1 },
        TlsFile::Crl { tls: 1 },
        TlsFile::ServerCa { tls: 1 },
        TlsFile::Authority { tls: 1, untrusted: true },
        TlsFile::ServerChain { tls: 1 },
    ] {
        line(&mut out, &ToWorker::Tls { generation: 3, file });
    }
    line(&mut out, &ToWorker::Keyholder);
    line(&mut out, &ToWorker::Writer);

    let of = KeyOf::ClientTls { tls: 1, certificate: 2 };
    line(&mut out, &ToKeyholder::Key { generation: 3, of, passphrase: true });
    line(&mut out, &ToKeyholder::Key { generation: 3, of: KeyOf::ServerTls { tls: 1 }, passphrase: false });
    let of = KeyOf::Authority { tls: 1, untrusted: false };
    line(&mut out, &ToKeyholder::Key { generation: 3, of, passphrase: false });
    line(&mut out, &ToKeyholder::Policy { generation: 3, len: 2 });
    line(&mut out, &ToKeyholder::Tls { generation: 3, file: TlsFile::ServerCa { tls: 1 } });
    line(&mut out, &ToKeyholder::Complete { generation: 3 });
    line(&mut out, &ToKeyholder::Worker { worker: 4 });
    for purpose in [
        supervisor_keyholder::Purpose::Client { tls: 1, scope: 5 },
        supervisor_keyholder::Purpose::Intercept { tls: 1, server_tls: 2 },
        supervisor_keyholder::Purpose::Server { tls: 1 },
    ] {
        line(&mut out, &ToKeyholder::Grant { worker: 4, session, generation: 3, purpose, seconds: 70 });
    }
    line(&mut out, &FromKeyholder::Loaded { generation: 3, problems: vec![(of, "why".into())] });
    line(&mut out, &FromKeyholder::Misuse { worker: 4, session, why: "why".into() });
    line(&mut out, &ToWriter::Policy { keep_seconds: 1, max_octets: 2 });
    line(&mut out, &ToWriter::Worker);
    line(&mut out, &FromWriter::Serving { copies: 1, octets: 2 });
    let facts = Facts {
        session,
        protocol: Protocol::Pop3,
        direction: Direction::Download,
        client: "192.0.2.1:1".parse().unwrap(),
        user: "u".into(),
        name: "n".into(),
        rule: "r".into(),
        statuses: StatusSet::of(Status::Infected),
        answers: vec![answer()],
        reason: "why".into(),
        time: 5,
    };
    line(&mut out, &Keep { number: 1, size: 2, sha256, facts });
    line(&mut out, &worker_writer::Answer { number: 1, sha256, kept: true });
    for towards in [Towards::Client(2), Towards::Server, Towards::Minted] {
        let question = Question::Sign { session, towards, scheme: 0x0403, message: vec![1] };
        line(&mut out, &Asked { number: 6, question });
    }
    line(&mut out, &Asked { number: 6, question: Question::Seal { session, state: vec![1] } });
    line(&mut out, &Asked { number: 6, question: Question::Open { session, ticket: vec![1] } });
    line(&mut out, &Answered { number: 6, answer: Answer::Done(vec![1]) });
    line(&mut out, &Answered { number: 6, answer: Answer::None });
    let mint = Question::Mint { session, name: "mail".into(), chain: vec![vec![1], vec![2, 3]] };
    line(&mut out, &Asked { number: 6, question: mint });
    let minted = Answer::Minted { chain: vec![vec![4]], verified: true };
    line(&mut out, &Answered { number: 6, answer: minted });

    line(&mut out, &FromWorker::Learnt { session, learnt: vec![1, 2] });
    line(&mut out, &FromWorker::WantServer { session, learnt: vec![1, 2] });
    line(&mut out, &FromWorker::Again { session });
    line(&mut out, &FromWorker::LoggedIn { session, user: "u".into() });
    line(&mut out, &FromWorker::NeedSpool { session, mail });
    let direction = Direction::Upload;
    line(&mut out, &FromWorker::NeedScan { session, mail, direction, size: 5, sha256, changed: true });
    let selection = Selection(7);
    line(&mut out, &FromWorker::Selected { session, selection, mailbox: b"INBOX".to_vec(), uid_validity: 9 });
    line(&mut out, &FromWorker::Store { session, selection, mail, entry });
    line(&mut out, &FromWorker::SessionEnded { session, end: End::Quit, counters: Counters::default() });

    line(&mut out, &ToScanner::Policy { generation: 1, len: 2 });
    line(&mut out, &ToScanner::Signatures { name: "a.yar".into() });
    line(&mut out, &ToScanner::Authorities { server_tls: 1 });
    line(&mut out, &ToScanner::Serve);
    for purpose in [
        Purpose::Mail,
        Purpose::Suspect,
        Purpose::Poison,
        Purpose::ProbeTestVirus,
        Purpose::ProbeSize { size: 1 },
        Purpose::ProbeEncrypted,
        Purpose::ProbeFilter,
        Purpose::ProbeVersion,
    ] {
        let state = EngineState::Down { errno: 111 };
        let engines = vec![
            EngineGrant { checker: Checker::Engine(0), state, limit: Some(1) },
            EngineGrant { checker: Checker::Filter(1), state: EngineState::Inside, limit: None },
        ];
        let known = (purpose == Purpose::Mail).then(|| KnownMail {
            sha256,
            answers: vec![answer()],
            allowed: vec!["Eicar".into()],
            formerly: Found::of(&[answer()]),
        });
        line(
            &mut out,
            &ToScanner::Lease { id: lease, generation: 1, deadline_ms: 5, engines, purpose, known },
        );
    }
    line(&mut out, &FromScanner::Serving { signatures: 1, faults: vec!["f".into()] });
    line(&mut out, &FromScanner::Begun { lease, sha256 });
    line(&mut out, &FromScanner::Asking { lease, outstanding: true });
    line(
        &mut out,
        &FromScanner::Done { lease, sha256: Some(sha256), answers: vec![answer()], spam: vec![spam()] },
    );

    line(
        &mut out,
        &Task::Scan(Box::new(ScanJob {
            lease,
            size: 5,
            sha256,
            here: false,
            found: StatusSet::EMPTY,
            max_output: 6,
            map: true,
            context: Context {
                language: Language::Cs,
                session,
                protocol: Protocol::Pop3,
                direction: Direction::Download,
                client,
                client_name: None,
                destination: client,
                user: "u".into(),
                listener: 3,
                command_rule: 4,
                time: -1,
            },
        })),
    );
    line(&mut out, &Task::Output);
    line(&mut out, &worker_scanner::Answer::WantOutput);
    for disposition in [
        Disposition::Pass,
        Disposition::Replace { length: 4 },
        Disposition::Correct { length: 4 },
        Disposition::Deny,
        Disposition::Defer,
    ] {
        line(
            &mut out,
            &worker_scanner::Answer::Judged(Box::new(Judged {
                lease,
                sha256,
                disposition,
                map: Some(Map { length: 7, here: false, recognised: true }),
                keywords: vec!["$Junk".into()],
                rule: "standard-clean".into(),
                would: Some(MailAction::Replace),
                statuses: StatusSet::of(Status::Clean),
                answers: vec![answer()],
                spam: vec![spam()],
                reason: "r".into(),
                micros: 9,
            })),
        );
    }

    line(&mut out, &ToLookup::Policy { generation: 1, len: 2 });
    line(&mut out, &ToLookup::ResolvConf);
    line(&mut out, &ToLookup::Hosts);
    line(&mut out, &ToLookup::Client { question: 7, address: client.ip() });
    line(&mut out, &ToLookup::Host { generation: 1, index: 2 });
    let known = Known {
        session_rule: 1,
        listener: 2,
        tenant: 3,
        protocol: Protocol::Pop3,
        client,
        client_name: None,
        destination: client,
        transparent: true,
        moment: Moment::new(2026, 5, 8, 570).unwrap(),
    };
    let known = Box::new(known);
    line(&mut out, &ToLookup::Decide { session, generation: 1, known, learnt: vec![1, 2] });
    line(&mut out, &FromLookup::Decided { session, generation: 1, rule: Some(2) });
    line(&mut out, &FromLookup::NameDecides { session, generation: 1 });
    line(&mut out, &Learnt { certificate: None, user: None });
    let certificate = Certificate {
        subject: "CN=a".into(),
        issuer: "CN=b".into(),
        names: vec!["c".into()],
        fingerprint: "00".into(),
    };
    line(&mut out, &Learnt { certificate: Some(certificate), user: Some("u".into()) });
    line(&mut out, &ToLookup::Resolve { session, generation: 1, rule: 2 });
    line(&mut out, &FromLookup::Host { generation: 1, index: 2, addresses: Some(vec![client.ip()]) });
    line(
        &mut out,
        &FromLookup::Dial {
            session,
            generation: 1,
            rule: 2,
            candidates: vec![Candidate { address: client, item: 0 }],
        },
    );

    line(
        &mut out,
        &Event::Note { level: Level::Warn, session: Some(session), text: "t".into(), detail: "d".into() },
    );
    line(&mut out, &Event::Login { session, user: "u".into(), accepted: true });
    line(
        &mut out,
        &Event::Mail(Box::new(Mail {
            would: None,
            session,
            number: 1,
            mailbox: "m".into(),
            uid: Some(7),
            direction: Direction::Download,
            size: 5,
            sha256: Some(sha256),
            outcome: Outcome::Passed,
            rule: "r".into(),
            statuses: StatusSet::of(Status::Clean),
            allowed: vec!["Eicar".into()],
            answers: vec![answer()],
            spam: vec![spam()],
            reason: "x".into(),
            micros: 3,
        })),
    );
    insta::assert_snapshot!(out);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_leave_a_rest(bytes in proptest::collection::vec(any::<u8>(), 0..300), fds in 0_usize..4) {
        let _ = decode::<ToWorker>(&bytes, fds);
        let _ = decode::<FromWorker>(&bytes, fds);
        let _ = decode::<ToScanner>(&bytes, fds);
        let _ = decode::<FromScanner>(&bytes, fds);
        let _ = decode::<Task>(&bytes, fds);
        let _ = decode::<Event>(&bytes, fds);
        let _ = decode::<Boot>(&bytes, fds);
        let _ = decode::<FromLookup>(&bytes, fds);
        let _ = decode::<Learnt>(&bytes, fds);
        if let Ok(worker_scanner::Answer::Judged(judged)) = decode::<worker_scanner::Answer>(&bytes, fds) {
            prop_assert!(judged.answers.len() <= bytes.len());
        }
    }
}
