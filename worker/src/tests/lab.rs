//! What the tests play: the supervisor over a real link, a client and a server over real sockets, a scanner over a
//! real pair.
use crate::memfd;
use crate::serve::{self, Worker};
use ipc::ids::{EngineAnswer, LeaseId, MailId, Selection, SessionId, Sha256, Viruses};
use ipc::link::{Link, pair};
use ipc::log::{Event, Log, Mail};
use ipc::supervisor_worker::{Counters, End, FromWorker, Plan, Session, ToWorker};
use ipc::wire;
use ipc::worker_scanner::{Answer, Disposition, Judged, ScanJob, Task};
use nix::sys::socket::{MsgFlags, recv};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::write;
use policy::list::NameList;
use policy::model::{ImapRules, Login, Scanning, SessionRules};
use policy::names::Language;
use policy::names::Protocol;
use policy::slice::WorkerSlice;
use policy::status::{Status, StatusSet};
use policy::tls::{ClientMode, ClientSide};
use sha2::Digest;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::timeout;

/// No step of a test takes longer.
const STEP: Duration = Duration::from_secs(10);

pub(crate) const ID: SessionId = SessionId(7);

/// Runs a test on one thread, as the worker runs.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(async { timeout(STEP * 3, test).await.unwrap() }));
}

/// What a tenant's worker knows: rule 0 scans with one engine, rule 1 does not scan.
pub(crate) fn slice() -> WorkerSlice {
    let scanning = Scanning {
        spam_filters: Vec::new(),
        scan: true,
        max_mail: 64 << 20,
        mail_line_len: 65536,
        engines: vec![1],
        mail_filter: 0,
    };
    let rules = SessionRules {
        monitor: false,
        name: "mail".into(),
        commands: NameList::default(),
        capabilities: NameList::default(),
        max_time: None,
        idle_timeout: Duration::from_secs(600),
        max_bytes_in: 0,
        max_bytes_out: 0,
        cmd_line_len: 8192,
        resp_line_len: 8192,
        scan_patience: Duration::from_secs(45),
        strict: false,
        strict_limit: 200,
        download: scanning.clone(),
        upload: scanning,
        imap: ImapRules::default(),
        server_tls: 0,
        require_server_certificate: Vec::new(),
    };
    let mut relay = rules.clone();
    relay.name = "relay".into();
    relay.download.scan = false;
    WorkerSlice {
        tenant: "default".into(),
        listeners: vec!["pop3".into()],
        rules: vec![Some(rules), Some(relay), None],
        welcomes: Vec::new(),
        client_tls: Vec::new(),
        server_tls: policy::tls::ServerTls::built_in().map(Some).to_vec(),
        required: Vec::new(),
        login: Login {
            failure_limit: 5,
            bad_command_limit: 5,
            deadline: Duration::from_secs(60),
            failure_delay: Duration::ZERO,
            disabled: false,
            ok_text: String::new(),
        },
        spool_file_above: 1 << 20,
        spool_memory: 8 << 20,
        copy_cache: 1 << 20,
        refuse_delete: true,
        engines: vec!["other".into(), "builtin".into()],
        keywords: Vec::new(),
        passes: StatusSet::of(Status::Clean),
    }
}

/// What is decided about a client.
pub(crate) fn admission(id: SessionId, rule: u16, client: SocketAddr) -> Session {
    Session {
        id,
        generation: 3,
        listener: 0,
        protocol: Protocol::Pop3,
        client,
        client_name: None,
        destination: client,
        session_rule: "everybody".into(),
        language: Language::En,
        client_side: ClientSide { mode: ClientMode::Off, client_tls: 0 },
        session_rule_index: 0,
        plan: Plan::Early { rule },
        intercept: false,
        accepted_ns: 0,
    }
}

/// A worker, seen from the supervisor.
pub(crate) struct Lab {
    pub(crate) link: Link<ToWorker, FromWorker>,
    log: OwnedFd,
    /// Where the worker runs in this process.
    worker: Option<JoinHandle<()>>,
}

impl Lab {
    pub(crate) async fn start(slice: &WorkerSlice) -> Self {
        let (ours, theirs) = pair().unwrap();
        let (log, theirs_log) = pair().unwrap();
        let worker = Worker::new(Link::new(theirs).unwrap(), Log::new(theirs_log));
        let worker = tokio::task::spawn_local(async move { serve::serve(&worker).await.unwrap() });
        let lab = Self { worker: Some(worker), ..Self::over(ours, log) };
        lab.set_policy(slice).await;
        lab
    }

    /// A worker that runs elsewhere.
    pub(crate) fn over(link: OwnedFd, log: OwnedFd) -> Self {
        Self { link: Link::new(link).unwrap(), log, worker: None }
    }

    pub(crate) async fn set_policy(&self, slice: &WorkerSlice) {
        let bytes = wire::encode_slice(slice).unwrap();
        let file = memfd::create(c"policy").unwrap();
        assert_eq!(write(&file, &bytes).unwrap(), bytes.len());
        memfd::seal(&file).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        self.tell_with(ToWorker::Policy { generation: 3, len }, &[file]).await;
    }

    pub(crate) async fn tell(&self, message: ToWorker) {
        self.link.send(&message, &[]).await.unwrap();
    }

    pub(crate) async fn tell_with(&self, message: ToWorker, fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.link.send(&message, &fds).await.unwrap();
    }

    pub(crate) async fn hear(&self) -> FromWorker {
        timeout(STEP, self.link.recv()).await.expect("the worker says something").unwrap().0
    }

    /// Hands a client over; the other end is the test's.
    pub(crate) async fn admit(&self, id: SessionId, rule: u16) -> Wire {
        let (client, theirs) = connection().await;
        let address = client.0.local_addr().unwrap();
        let session = admission(id, rule, address);
        self.tell_with(ToWorker::Session(Box::new(session)), &[theirs]).await;
        client
    }

    /// Gives the session a server; the other end is the test's.
    pub(crate) async fn dial(&self, id: SessionId) -> Wire {
        let (server, theirs) = connection().await;
        let address = server.0.local_addr().unwrap();
        self.tell_with(ToWorker::Server { session: id, address, name: None }, &[theirs]).await;
        server
    }

    /// A client that is logged in at a server with this maildrop.
    pub(crate) async fn logged_in(&self, rule: u16, maildrop: Vec<Vec<u8>>) -> Wire {
        let mut client = self.admit(ID, rule).await;
        let server = self.dial(ID).await;
        tokio::task::spawn_local(serve_maildrop(server, maildrop));
        client.hears(b"+OK ready\r\n").await;
        client.says(b"USER joe\r\n").await;
        client.hears(b"+OK\r\n").await;
        client.says(b"PASS secret\r\n").await;
        assert_eq!(self.hear().await, FromWorker::LoggedIn { session: ID, user: "joe".into() });
        if rule == 0 {
            self.tell(ToWorker::Changed {
                session: ID,
                selection: Selection(0),
                entries: vec![],
                more: false,
            })
            .await;
        }
        client.hears(b"+OK\r\n").await;
        client
    }

    pub(crate) async fn need_scan(&self) -> (MailId, u64, Sha256) {
        let heard = self.hear().await;
        let FromWorker::NeedScan { session: ID, mail, size, sha256, direction: _, changed: _ } = heard else {
            panic!("{heard:?} instead of NeedScan")
        };
        (mail, size, sha256)
    }

    pub(crate) async fn lease(&self, mail: MailId, lease: LeaseId) -> Scanner {
        self.lease_allowing(mail, lease, &[], false).await
    }

    pub(crate) async fn lease_allowing(
        &self,
        mail: MailId,
        lease: LeaseId,
        allowed: &[&str],
        file: bool,
    ) -> Scanner {
        let (ours, theirs) = pair().unwrap();
        let allowed = allowed.iter().map(|virus| (*virus).to_owned()).collect();
        self.tell_with(ToWorker::Lease { session: ID, mail, lease, allowed, file }, &[theirs]).await;
        Scanner(Link::new(ours).unwrap())
    }

    /// Everything up to the scanner that has the mail.
    pub(crate) async fn scanning(&self) -> (Scanner, Job) {
        self.scanning_where_allowed(&[]).await
    }

    /// The same of a mail in which the operator allowed these viruses.
    pub(crate) async fn scanning_where_allowed(&self, allowed: &[&str]) -> (Scanner, Job) {
        let (mail, size, sha256) = self.need_scan().await;
        let scanner = self.lease_allowing(mail, LeaseId(11), allowed, false).await;
        let job = scanner.job().await;
        assert_eq!((job.job.lease, job.job.size, job.job.sha256), (LeaseId(11), size, sha256));
        (scanner, job)
    }

    pub(crate) async fn ended(&self) -> (End, Counters) {
        let heard = self.hear().await;
        let FromWorker::SessionEnded { session: ID, end, counters } = heard else {
            panic!("{heard:?} instead of SessionEnded")
        };
        (end, counters)
    }

    /// The worker ends by itself.
    pub(crate) async fn finished(self) {
        timeout(STEP, self.worker.unwrap()).await.expect("the worker ends").unwrap();
    }

    /// The supervisor dies; the worker follows.
    pub(crate) async fn hang_up(self) {
        let Self { link, log: _log, worker } = self;
        drop(link);
        timeout(STEP, worker.unwrap()).await.expect("the worker ends").unwrap();
    }

    /// What was logged so far.
    pub(crate) fn logged(&self) -> Vec<Event> {
        let mut buffer = vec![0; wire::MAX_MESSAGE];
        let mut events = Vec::new();
        while let Ok(length @ 1..) = recv(self.log.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            events.push(wire::decode(&buffer[..length], 0).unwrap());
        }
        events
    }

    /// The MAIL records so far.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let mail = |event| match event {
            Event::Mail(mail) => Some(*mail),
            Event::Note { .. } | Event::Login { .. } => None,
        };
        self.logged().into_iter().filter_map(mail).collect()
    }
}

/// The test's end of a connection.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn says(&mut self, bytes: &[u8]) {
        timeout(STEP, self.0.write_all(bytes)).await.expect("it is taken").unwrap();
    }

    /// Exactly this comes next.
    pub(crate) async fn hears(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        let mut length = 0;
        while length < got.len() && got[..length] == bytes[..length] {
            let count = timeout(STEP, self.0.read(&mut got[length..])).await;
            match count.unwrap_or_else(|_| panic!("silence after {:?}", show(&got[..length]))) {
                Ok(count @ 1..) => length += count,
                Ok(0) | Err(_) => break,
            }
        }
        assert_eq!(show(&got[..length]), show(bytes));
    }

    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            match timeout(STEP, self.0.read_u8()).await.expect("a line") {
                Ok(octet) => line.push(octet),
                Err(_) => break,
            }
        }
        show(&line)
    }

    /// Everything until the end, orderly or not.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset ends it too.
        let _ = timeout(STEP, self.0.read_to_end(&mut rest)).await.expect("the end");
        rest
    }
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Two ends: the test's and, for the worker, a bare descriptor.
pub(crate) async fn connection() -> (Wire, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    ours.set_nodelay(true).unwrap();
    theirs.set_nodelay(true).unwrap();
    (Wire(ours), theirs.into_std().unwrap().into())
}

/// A POP3 server for one client. Its mails must not need dot-stuffing.
pub(crate) async fn serve_maildrop(mut wire: Wire, maildrop: Vec<Vec<u8>>) {
    wire.says(b"+OK ready\r\n").await;
    loop {
        let line = wire.line().await;
        let mut words = line.split_whitespace();
        let Some(verb) = words.next() else { return };
        let number: Option<usize> = words.next().and_then(|word| word.parse().ok());
        let mail = number.and_then(|number| maildrop.get(number - 1));
        let answer = match (verb, mail, number) {
            ("RETR" | "TOP", Some(mail), _) => [b"+OK\r\n", mail.as_slice(), b".\r\n"].concat(),
            ("LIST", Some(mail), Some(number)) => format!("+OK {number} {}\r\n", mail.len()).into_bytes(),
            ("UIDL", _, Some(number)) => format!("+OK {number} uid-{number}\r\n").into_bytes(),
            ("LIST" | "UIDL", None, None) => {
                let mut answer = b"+OK\r\n".to_vec();
                for (index, mail) in maildrop.iter().enumerate() {
                    let size = mail.len();
                    let number = index + 1;
                    let line = if verb == "LIST" {
                        format!("{number} {size}\r\n")
                    } else {
                        format!("{number} uid-{number}\r\n")
                    };
                    answer.extend(line.into_bytes());
                }
                answer.extend(b".\r\n");
                answer
            }
            ("CAPA", ..) => b"+OK\r\nPIPELINING\r\nTOP\r\nUIDL\r\nUSER\r\n.\r\n".to_vec(),
            ("QUIT", ..) => b"+OK bye\r\n".to_vec(),
            ("USER" | "PASS" | "NOOP" | "DELE" | "RSET", ..) => b"+OK\r\n".to_vec(),
            _ => b"-ERR no\r\n".to_vec(),
        };
        wire.says(&answer).await;
        if verb == "QUIT" {
            return;
        }
    }
}

/// A leased scanner.
pub(crate) struct Scanner(pub(crate) Link<Answer, Task>);

/// What it was given.
pub(crate) struct Job {
    pub(crate) job: ScanJob,
    /// Of a mail that came with its job.
    octets: Vec<u8>,
    /// Of any other.
    pub(crate) mail: Option<OwnedFd>,
    pub(crate) output: OwnedFd,
}

impl Scanner {
    /// The job, and an output, which is always asked for.
    pub(crate) async fn job(&self) -> Job {
        let (job, octets, mail) = self.job_alone().await;
        self.says(Answer::WantOutput).await;
        let (Task::Output, fds) = timeout(STEP, self.0.recv()).await.expect("an output").unwrap() else {
            panic!("another job")
        };
        Job { job, octets, mail, output: fds.into_iter().next().unwrap() }
    }

    pub(crate) async fn job_alone(&self) -> (ScanJob, Vec<u8>, Option<OwnedFd>) {
        let (task, octets, fds) = timeout(STEP, self.0.recv_with()).await.expect("a job").unwrap();
        let Task::Scan(job) = task else { panic!("an output that nobody wants") };
        (*job, octets, fds.into_iter().next())
    }

    pub(crate) async fn answers(&self, judged: &Judged) {
        self.says(Answer::Judged(Box::new(judged.clone()))).await;
    }

    pub(crate) async fn says(&self, answer: Answer) {
        self.0.send(&answer, &[]).await.unwrap();
    }
}

impl Job {
    /// An honest answer: clean.
    pub(crate) fn clean(&self) -> Judged {
        self.judged(Disposition::Pass, Status::Clean)
    }

    /// An honest answer: infected, and this instead.
    pub(crate) fn infected(&self, notice: &[u8]) -> Judged {
        assert_eq!(pwrite(&self.output, notice, 0).unwrap(), notice.len());
        self.judged(Disposition::Replace { length: notice.len() as u64 }, Status::Infected)
    }

    pub(crate) fn judged(&self, disposition: Disposition, status: Status) -> Judged {
        judged(&self.job, disposition, status)
    }

    /// The mail as the scanner sees it.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut mail = self.octets.clone();
        if let Some(file) = &self.mail {
            mail = vec![0; usize::try_from(self.job.size).unwrap() + 1];
            let mut length = 0;
            while let Ok(count @ 1..) = pread(file, &mut mail[length..], i64::try_from(length).unwrap()) {
                length += count;
            }
            mail.truncate(length);
        }
        assert_eq!(Sha256(sha2::Sha256::digest(&mail).into()), self.job.sha256);
        mail
    }
}

/// An honest answer to a job: clean.
pub(crate) fn clean(job: &ScanJob) -> Judged {
    judged(job, Disposition::Pass, Status::Clean)
}

fn judged(job: &ScanJob, disposition: Disposition, status: Status) -> Judged {
    let statuses = StatusSet::of(status);
    Judged {
        lease: job.lease,
        sha256: job.sha256,
        disposition,
        map: None,
        keywords: Vec::new(),
        rule: "standard".into(),
        would: None,
        statuses,
        spam: Vec::new(),
        answers: vec![EngineAnswer {
            parts: Vec::new(),
            engine: "builtin".into(),
            statuses,
            viruses: Viruses::default(),
            detail: String::new(),
            micros: 1,
        }],
        reason: "because".into(),
        micros: 1,
    }
}

/// A mail of about this size.
pub(crate) fn mail(size: usize) -> Vec<u8> {
    let mut mail = b"From: a@example.org\r\nTo: joe@example.org\r\nSubject: hello\r\n\r\n".to_vec();
    let mut line = 0_u64;
    while mail.len() < size {
        line += 1;
        mail.extend(format!("line {line} of a mail that has as many lines as it takes\r\n").into_bytes());
    }
    mail
}

/// The client's view of RETR.
pub(crate) fn retrieved(copy: &[u8]) -> Vec<u8> {
    [format!("+OK {} octets\r\n", copy.len()).as_bytes(), copy, b".\r\n"].concat()
}
