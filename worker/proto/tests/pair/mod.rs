//! A scripted client, the machine, a scripted server, a clock and a scanner that answers at once: what the driver
//! does around the machine, without sockets. Used by every test file of this package.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a surprise is a failed test"
)]
use mime::part_map::PartMap;
use mime::recogniser::Limits;
use policy::list::NameList;
use policy::model::{ImapRules, Login, Scanning, SessionRules, Welcome};
use policy::names::Language;
use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;
use worker_proto::imap::Imap;
use worker_proto::machine::{
    Changed, CopyFault, Event, Fault, Greeted, Input, Machine, Output, ScannedCopy, Security, Settings, Side,
    Verdict,
};
use worker_proto::pop3::Pop3;

/// A machine that can be started.
pub(crate) trait Start: Machine + Debug {
    fn start(settings: Rc<Settings>, language: Language, greeted: Greeted, security: Security) -> Self;
    fn welcoming(self, welcome: Rc<Welcome>) -> Self;
}

impl Start for Pop3 {
    fn start(settings: Rc<Settings>, language: Language, greeted: Greeted, security: Security) -> Self {
        Self::new(settings, language, greeted, security, Duration::ZERO)
    }
    fn welcoming(self, welcome: Rc<Welcome>) -> Self {
        self.welcoming(welcome)
    }
}

impl Start for Imap {
    fn start(settings: Rc<Settings>, language: Language, greeted: Greeted, security: Security) -> Self {
        Self::new(settings, language, greeted, security, Duration::ZERO)
    }
    fn welcoming(self, welcome: Rc<Welcome>) -> Self {
        self.welcoming(welcome)
    }
}

/// A scanned copy in memory.
#[derive(Debug)]
pub(crate) struct Copy {
    mail: Vec<u8>,
    map: PartMap,
}

impl Copy {
    pub(crate) fn of(mail: &[u8]) -> Rc<Self> {
        let map = PartMap::of(mail, &Limits::default()).unwrap_or_else(|_| PartMap::tolerant(mail));
        Rc::new(Self { mail: mail.to_vec(), map })
    }
}

impl ScannedCopy for Copy {
    fn length(&self) -> u64 {
        self.mail.len() as u64
    }
    fn parts(&self) -> &PartMap {
        &self.map
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize, CopyFault> {
        let rest = self.mail.get(usize::try_from(at).unwrap()..).ok_or(CopyFault::Unreadable)?;
        let count = rest.len().min(into.len());
        into.get_mut(..count).unwrap().copy_from_slice(rest.get(..count).unwrap());
        Ok(count)
    }
}

/// How bytes are cut on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Whole,
    Bytes,
    /// Random pieces, by this seed.
    Random(u64),
}

impl Cut {
    fn next(&mut self, available: usize) -> usize {
        match self {
            Self::Whole => available,
            Self::Bytes => 1,
            Self::Random(state) => {
                // xorshift64
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                1 + usize::try_from(*state % 9).unwrap() % available
            }
        }
    }
}

/// What the scanner says of the next mail.
#[derive(Clone, Debug)]
pub(crate) enum Judgement {
    Clean,
    Changed(Vec<u8>),
    Deny(String),
    Defer(String),
}

/// Everything that came out, for comparison.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) client: Vec<u8>,
    pub(crate) server: Vec<u8>,
    pub(crate) spooled: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
    pub(crate) fault: Option<Fault>,
}

/// POP3's.
pub(crate) type Pair = Peers<Pop3>;
/// IMAP's.
pub(crate) type ImapPair = Peers<Imap>;

pub(crate) struct Peers<M> {
    machine: Option<M>,
    out: Output,
    pub(crate) now: Duration,
    cut: Cut,
    pending: [VecDeque<u8>; 2],
    ended: [bool; 2],
    /// What the driver answers to `LoggedIn`.
    pub(crate) changed: Vec<Changed>,
    pub(crate) judgements: VecDeque<Judgement>,
    /// Verdicts and copies that the driver holds.
    pub(crate) held: HashMap<u32, (Verdict, Vec<u8>)>,
    /// The index of changed mails takes no more.
    pub(crate) unrecorded: bool,
    /// The quarantine takes every original.
    pub(crate) kept: bool,
    /// Keywords that every mail gets that may be served.
    pub(crate) keywords: Vec<String>,
    /// The scanner does not answer by itself: mails that it has, by number.
    pub(crate) busy: bool,
    pub(crate) scanning: VecDeque<(u32, Vec<u8>)>,
    copy: Vec<u8>,
    spool: Vec<u8>,
    /// What is to be performed, the mail beside it where one is complete.
    todo: VecDeque<(Event, Vec<u8>)>,
    pub(crate) record: Record,
}

pub(crate) fn settings() -> Settings {
    let scanning = Scanning {
        spam_filters: Vec::new(),
        scan: true,
        max_mail: 1 << 20,
        mail_line_len: 1000,
        engines: Vec::new(),
        mail_filter: 0,
    };
    Settings {
        rules: SessionRules {
            monitor: false,
            name: "test".into(),
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
        },
        login: Login {
            failure_limit: 5,
            bad_command_limit: 5,
            deadline: Duration::from_secs(60),
            failure_delay: Duration::from_secs(2),
            disabled: false,
            ok_text: String::new(),
        },
        refuse_delete: true,
        copy_cache: 1 << 20,
        keywords: Rc::new([]),
    }
}

impl<M: Start> Peers<M> {
    pub(crate) fn new(settings: Settings, language: Language, cut: Cut) -> Self {
        Self::secured_as(settings, language, Greeted::ByServer, Security::Clear, cut)
    }

    /// A session with TLS.
    pub(crate) fn secured_as(
        settings: Settings,
        language: Language,
        greeted: Greeted,
        security: Security,
        cut: Cut,
    ) -> Self {
        Self::welcomed(settings, language, greeted, security, cut, Welcome::default())
    }

    /// The same at a listener with words of its own.
    pub(crate) fn welcomed(
        settings: Settings,
        language: Language,
        greeted: Greeted,
        security: Security,
        cut: Cut,
        welcome: Welcome,
    ) -> Self {
        let machine = M::start(Rc::new(settings), language, greeted, security);
        let mut pair = Self {
            machine: Some(machine.welcoming(Rc::new(welcome))),
            out: Output::default(),
            now: Duration::ZERO,
            cut,
            pending: Default::default(),
            ended: [false; 2],
            changed: Vec::new(),
            judgements: VecDeque::new(),
            held: HashMap::new(),
            unrecorded: false,
            kept: false,
            keywords: Vec::new(),
            busy: false,
            scanning: VecDeque::new(),
            copy: Vec::new(),
            spool: Vec::new(),
            todo: VecDeque::new(),
            record: Record::default(),
        };
        pair.handle(Input::Begin);
        pair
    }

    /// The handshake with the client ended well.
    pub(crate) fn secured(&mut self) {
        self.machine = self.machine.take().map(Machine::secured);
    }

    /// A peer sends.
    pub(crate) fn send(&mut self, side: Side, bytes: &[u8]) {
        self.pending[index(side)].extend(bytes);
        self.run();
    }

    /// A peer closes its sending direction.
    pub(crate) fn end(&mut self, side: Side) {
        self.ended[index(side)] = true;
        self.run();
    }

    /// The clock moves on, and rings where the machine asked for it.
    pub(crate) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.machine.as_ref().and_then(Machine::deadline).filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.handle(Input::Tick);
            self.run();
        }
        self.now = until;
    }

    pub(crate) fn kick(&mut self) {
        self.handle(Input::Kick);
        self.run();
    }

    /// The server that the client's name decided is there: a connection on which nothing was said yet.
    pub(crate) fn connect(&mut self, greeted: Greeted) {
        self.pending[index(Side::Server)].clear();
        self.ended[index(Side::Server)] = false;
        self.handle(Input::ServerReady(greeted));
        self.run();
    }

    /// There is none.
    pub(crate) fn no_server(&mut self, why: Answer) {
        self.handle(Input::NoServer(why));
        self.run();
    }

    /// The index of changed mails grew.
    pub(crate) fn learn(&mut self, changed: &[Changed]) {
        self.handle(Input::Changed(changed));
        self.run();
    }

    pub(crate) fn machine_debug(&self) -> String {
        format!("{:?}", self.machine)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.machine.is_none() || self.record.events.iter().any(|event| matches!(event, Event::Close(_)))
    }

    /// Other rules apply.
    pub(crate) fn reload(&mut self, settings: Settings) {
        self.handle(Input::Settings(Rc::new(settings), Language::En));
        self.run();
    }

    /// The scanner answers about a mail that it has, the how manieth.
    pub(crate) fn judge(&mut self, at: usize) {
        let (number, mail) = self.scanning.remove(at).unwrap();
        self.judged(number, mail);
        self.run();
    }

    /// A judgement comes that nobody waits for any more.
    pub(crate) fn scanned(&mut self, number: u32, mail: &[u8], changed: bool) {
        let keywords = self.keywords.clone();
        self.handle(Input::Scanned { number, copy: Copy::of(mail), changed, keywords });
        self.run();
    }

    pub(crate) fn machine(&self) -> Option<&M> {
        self.machine.as_ref()
    }

    /// Feeds whatever the machine wants until nothing moves.
    fn run(&mut self) {
        loop {
            if let Some((event, mail)) = self.todo.pop_front() {
                self.perform(event, mail);
                continue;
            }
            let Some(machine) = &self.machine else { return };
            if machine.wants_copy() {
                self.feed_copy();
                continue;
            }
            if let Some(side) = [Side::Client, Side::Server].into_iter().find(|side| machine.has_more(*side))
            {
                self.handle(Input::Room(side));
                continue;
            }
            let wants = [Side::Server, Side::Client].into_iter().find(|side| {
                machine.wants(*side) && (!self.pending[index(*side)].is_empty() || self.ended[index(*side)])
            });
            let Some(side) = wants else { return };
            let pending = &mut self.pending[index(side)];
            if pending.is_empty() {
                self.ended[index(side)] = false;
                self.handle(Input::Eof(side));
                continue;
            }
            let length = self.cut.next(pending.len());
            let bytes: Vec<u8> = pending.drain(..length).collect();
            self.handle(Input::Bytes(side, &bytes));
        }
    }

    fn feed_copy(&mut self) {
        let copy = std::mem::take(&mut self.copy);
        let mut rest = copy.as_slice();
        while self.machine.as_ref().is_some_and(Machine::wants_copy) {
            let length = if rest.is_empty() { 0 } else { self.cut.next(rest.len()) };
            let (piece, after) = rest.split_at(length);
            rest = after;
            self.handle(Input::Copy(piece));
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let Some(machine) = self.machine.take() else { return };
        match machine.handle(self.now, input, &mut self.out) {
            Ok(machine) => self.machine = Some(machine),
            Err(fault) => {
                self.out.client.extend_from_slice(&fault.farewell);
                self.record.fault = Some(fault);
            }
        }
        self.record.client.append(&mut self.out.client);
        self.record.server.append(&mut self.out.server);
        let spool = std::mem::take(&mut self.out.spool);
        let mut marks = std::mem::take(&mut self.out.spool_marks).into_iter();
        let mut from = 0;
        for event in std::mem::take(&mut self.out.events) {
            let mut mail = Vec::new();
            if matches!(event, Event::MailBegin { .. } | Event::MailEnd { .. }) {
                let at = marks.next().unwrap();
                self.spool.extend_from_slice(spool.get(from..at).unwrap());
                mail = std::mem::take(&mut self.spool);
                from = at;
            }
            self.todo.push_back((event, mail));
        }
        self.spool.extend_from_slice(spool.get(from..).unwrap());
    }

    fn perform(&mut self, event: Event, mail: Vec<u8>) {
        let wanted = if let Event::WantMail { number, .. } = &event { Some(*number) } else { None };
        let ended = if let Event::MailEnd { number, .. } = &event { Some(*number) } else { None };
        let replaced = if let Event::Replaced { number, .. } = &event { Some(*number) } else { None };
        let asked = matches!(event, Event::Selected { .. })
            || (matches!(event, Event::LoggedIn { .. }) && !M::KEEPS_COPIES);
        self.record.events.push(event);
        if asked {
            let changed = std::mem::take(&mut self.changed);
            self.handle(Input::Changed(&changed));
        }
        if let Some(number) = replaced {
            if self.kept {
                self.handle(Input::Kept(number));
            }
            if M::KEEPS_COPIES {
                self.handle(Input::Recorded { number, safe: !self.unrecorded });
            } else if let Some((verdict, copy)) = self.held.get(&number).cloned() {
                let verdict = if self.unrecorded { Verdict::Defer { case: None } } else { verdict };
                self.copy = copy;
                self.handle(Input::Judged(number, verdict));
            }
        }
        if let Some(number) = wanted {
            match self.held.get(&number).cloned() {
                Some((verdict, copy)) => {
                    self.copy = copy;
                    self.handle(Input::Judged(number, verdict));
                }
                None => self.handle(Input::Pull),
            }
        }
        if let Some(number) = ended {
            self.record.spooled.push(mail.clone());
            if self.busy {
                self.scanning.push_back((number, mail));
            } else {
                self.judged(number, mail);
            }
        }
    }

    fn judged(&mut self, number: u32, mail: Vec<u8>) {
        let (verdict, copy) = match self.judgements.pop_front().unwrap_or(Judgement::Clean) {
            Judgement::Clean => (Verdict::Deliver { length: mail.len() as u64, changed: false }, mail),
            Judgement::Changed(copy) => (Verdict::Deliver { length: copy.len() as u64, changed: true }, copy),
            Judgement::Deny(reason) => (Verdict::Deny { reason, case: "7".into() }, Vec::new()),
            Judgement::Defer(case) => (Verdict::Defer { case: Some(case) }, Vec::new()),
        };
        if let Verdict::Deliver { changed, .. } = verdict {
            if M::KEEPS_COPIES {
                let keywords = self.keywords.clone();
                return self.handle(Input::Scanned { number, copy: Copy::of(&copy), changed, keywords });
            }
            self.held.insert(number, (verdict.clone(), copy.clone()));
        }
        self.copy = copy;
        self.handle(Input::Judged(number, verdict));
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

/// `\r \n \0 \\ \xNN` in a transcript.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => panic!("unknown escape \\{}", char::from(other)),
        }
    }
    bytes
}
