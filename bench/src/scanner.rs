//! What a scanner costs besides the engines: hash, taking apart, documents, archives, rules, part map. The whole scanner, with
//! its messages, in a thread of this process; what the engine says of the mail is given along, so that nobody is asked.
use crate::mail::Mail;
use ipc::ids::{Checker, EngineAnswer, LeaseId, SessionId, Sha256, Viruses};
use ipc::link::Link;
use ipc::supervisor_scanner::{EngineGrant, EngineState, FromScanner, KnownMail, Purpose, ToScanner};
use ipc::wire::encode_slice;
use ipc::worker_scanner::{Answer, Context, Disposition, ScanJob, Task, max_output, travels_along};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use policy::load::{LoadOptions, load};
use policy::names::{Direction, Language, Protocol};
use policy::status::{Status, StatusSet};
use sha2::Digest;
use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, LocalOptions};

const RULES: &str = "version = 1\n[[listener]]\nprotocol = \"imap\"\ntls = \"off\"\n\
                     [[session-acl]]\nfrom = [\"*\"]\n[[command-acl]]\nplug-to = [\"192.0.2.1\"]\nserver-tls = \"off\"\n\
                     [antivirus.clamd]\nsocket = \"/run/clamd\"\n";

/// Prints the median for a small and a large mail, and what may be reached.
pub(crate) async fn run(sizes: [(usize, usize, Duration); 2]) -> io::Result<()> {
    let (ours, theirs) = ipc::pair()?;
    let (_log, their_log) = ipc::pair()?;
    // A scanner waits with its whole thread.
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        runtime.block_on(scanner::serve_unconfined(theirs, their_log)).map_err(io::Error::other)
    });
    let supervisor: Link<ToScanner, FromScanner> = Link::new(ours)?;
    let loaded = load(Path::new("bench.toml"), RULES, &|_| Ok(Vec::new()), LoadOptions::default());
    let policy = loaded.map_err(|problems| io::Error::other(format!("{:?}", problems.first())))?.policy;
    let slice = encode_slice(&policy.scanner_slice(0)).map_err(io::Error::other)?;
    let len = u32::try_from(slice.len()).map_err(io::Error::other)?;
    let broken = |error: ipc::LinkError| io::Error::other(error.to_string());
    let slice = sealed(&slice)?;
    supervisor.send(&ToScanner::Policy { generation: 1, len }, &[slice.as_fd()]).await.map_err(broken)?;
    supervisor.send(&ToScanner::Serve, &[]).await.map_err(broken)?;
    supervisor.recv().await.map_err(broken)?;
    println!("\nscanner besides engines, on one core");
    for (octets, turns, bar) in sizes {
        let mail = Mail::new(octets, 1).bytes;
        let mut times = Vec::with_capacity(turns);
        for turn in 0..turns {
            times.push(one(&supervisor, turn as u64, &mail).await?);
        }
        times.sort();
        let median = times.get(turns / 2).copied().unwrap_or_default();
        println!(
            "  {octets:>9} octets  {:>9.0} us a mail   {:>5.2} of {bar:?}",
            median.as_secs_f64() * 1e6,
            median.as_secs_f64() / bar.as_secs_f64()
        );
    }
    Ok(())
}

/// From the lease to the judgement.
async fn one(supervisor: &Link<ToScanner, FromScanner>, number: u64, mail: &[u8]) -> io::Result<Duration> {
    let broken = |error: ipc::LinkError| io::Error::other(error.to_string());
    let (lease, size) = (LeaseId(number), mail.len() as u64);
    let sha256 = Sha256(sha2::Sha256::digest(mail).into());
    let (ours, theirs) = ipc::pair()?;
    let (here, spool) = (travels_along(size), sealed(mail)?);
    let clean = EngineAnswer {
        engine: "clamd".into(),
        statuses: StatusSet::of(Status::Clean),
        viruses: Viruses::default(),
        detail: String::new(),
        parts: Vec::new(),
        micros: 0,
    };
    let engines = vec![EngineGrant { checker: Checker::Engine(0), state: EngineState::Known, limit: None }];
    let known = Some(KnownMail { sha256, answers: vec![clean], allowed: Vec::new(), formerly: Vec::new() });
    let somewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 143));
    let context = Context {
        session: SessionId(1),
        protocol: Protocol::Imap,
        direction: Direction::Download,
        client: somewhere,
        client_name: None,
        destination: somewhere,
        user: "user".into(),
        language: Language::En,
        listener: 0,
        command_rule: 0,
        time: 1_800_000_000,
    };
    let found = StatusSet::EMPTY;
    let max_output = max_output(size);
    let job = ScanJob { lease, size, sha256, here, found, max_output, map: true, context };
    let job = Task::Scan(Box::new(job));
    let worker: Link<Task, Answer> = Link::new(ours)?;
    let begun = Instant::now();
    let purpose = Purpose::Mail;
    let granted = ToScanner::Lease { id: lease, generation: 1, deadline_ms: 60_000, engines, purpose, known };
    supervisor.send(&granted, &[theirs.as_fd()]).await.map_err(broken)?;
    let sent = if here {
        worker.send_with(&job, mail, &[]).await
    } else {
        worker.send(&job, &[spool.as_fd()]).await
    };
    sent.map_err(broken)?;
    let (Answer::Judged(judged), _) = worker.recv().await.map_err(broken)? else {
        return Err(io::Error::other("the scanner wants to change the mail"));
    };
    let took = begun.elapsed();
    if judged.disposition != Disposition::Pass || judged.map.is_none() {
        return Err(io::Error::other(format!("the scanner does not pass the mail: {}", judged.reason)));
    }
    while !matches!(supervisor.recv().await.map_err(broken)?.0, FromScanner::Done { .. }) {}
    Ok(took)
}

fn memory() -> io::Result<OwnedFd> {
    Ok(memfd_create(c"bench", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?)
}

fn sealed(octets: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memory()?);
    file.write_all(octets)?;
    let all =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(all))?;
    Ok(file.into())
}
