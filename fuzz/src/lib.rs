//! A POP3 machine between two peers of which one is the fuzzer: the other follows a script.
pub mod imap;
pub mod imap_session;

use policy::load::{LoadOptions, load};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use worker_proto::machine::{Greeted, Security, Event, Input, Machine, Output, Side, Verdict, Settings};
use worker_proto::pop3::Pop3;

/// Stands in every mail of the ordinary server; every mail is deferred, so the client must never see it.
pub const SECRET: &[u8] = b"unjudged-content";

const POLICY: &str = "version = 1\n[[listener]]\nprotocol = \"pop3\"\ntls = \"off\"\n[[session-acl]]\nfrom = [\"*\"]\n\
    [[command-acl]]\nplug-to = [\"192.0.2.1:110\"]\nserver-tls = \"off\"\ncommands = [\"*\", \"!DELE\"]\n\
    [antivirus.clamd]\nsocket = \"/run/clamd\"\n";

/// Who is the fuzzer, and what was sent so far.
pub struct Peers {
    fuzzed: Side,
    /// Everything that the client got.
    pub to_client: Vec<u8>,
    /// Everything that the server got.
    pub to_server: Vec<u8>,
}

impl Peers {
    /// Arbitrary bytes come from this side.
    pub fn new(fuzzed: Side) -> Self {
        Self { fuzzed, to_client: Vec::new(), to_server: Vec::new() }
    }

    fn script(&self, answered: usize) -> Option<&'static [u8]> {
        match self.fuzzed {
            Side::Server => {
                let lines: [&[u8]; 6] =
                    [b"USER u\r\n", b"PASS p\r\n", b"RETR 1\r\n", b"TOP 1 0\r\n", b"LIST\r\n", b"QUIT\r\n"];
                lines.get(answered).copied()
            }
            Side::Client if answered == 0 => Some(b"+OK ready\r\n"),
            Side::Client => {
                let last = self.to_server.strip_suffix(b"\r\n")?.rsplit(|byte| *byte == b'\n').next()?;
                Some(match last.get(..4)? {
                    b"RETR" | b"TOP " => b"+OK\r\nSubject: s\r\n\r\nunjudged-content\r\n.\r\n",
                    b"CAPA" => b"+OK\r\nTOP\r\nUIDL\r\nPIPELINING\r\n.\r\n",
                    b"LIST" | b"UIDL" if last.len() == 4 => b"+OK\r\n1 100\r\n.\r\n",
                    b"LIST" | b"UIDL" => b"+OK 1 100\r\n",
                    b"STAT" => b"+OK 1 100\r\n",
                    b"AUTH" => b"-ERR no\r\n",
                    _ => b"+OK\r\n",
                })
            }
        }
    }
}

/// `[mail-filter.default]`.
pub fn mail_filter() -> policy::model::MailFilter {
    let include = |_: &Path| Ok(Vec::new());
    let loaded = load(Path::new("f"), POLICY, &include, LoadOptions { demo: true, cores: 1 });
    loaded.expect("the fuzzer's own policy").policy.mail_filters.remove(0)
}

pub(crate) fn settings() -> Rc<Settings> {
    let include = |_: &Path| Ok(Vec::new());
    let loaded = load(Path::new("f"), POLICY, &include, LoadOptions { demo: true, cores: 1 });
    let policy = loaded.expect("the fuzzer's own policy").policy;
    let rules = policy.command_acls.first().expect("a rule").session.clone();
    Rc::new(Settings { rules, login: policy.login, refuse_delete: true, copy_cache: 1 << 20, keywords: Rc::from(["$Junk".to_owned()]) })
}

/// Plays a whole session: the first octet of the input chooses where it is cut and, where the client is the fuzzer, whether
/// its name decides about the server.
pub fn run(peers: &mut Peers, bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let mut pieces = bytes.chunks(usize::from(*cut) % 64 + 1);
    let late = peers.fuzzed == Side::Client && *cut >= 128;
    let greeted = if late { Greeted::BeforeServer } else { Greeted::ByServer };
    let mut machine = Pop3::new(settings(), policy::names::Language::En, greeted, Security::Offered, Duration::ZERO);
    let scripted = match peers.fuzzed {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    };
    let mut answered = 0;
    let mut heard = 0;
    for step in 0..4096_u64 {
        let now = Duration::from_millis(step);
        let sent = match scripted {
            Side::Server => peers.to_server.iter().filter(|byte| **byte == b'\n').count() + 1,
            Side::Client => peers.to_client.iter().filter(|byte| **byte == b'\n').count(),
        };
        let line = (sent > heard && machine.wants(scripted)).then(|| peers.script(answered)).flatten();
        let input = if let Some(line) = line {
            heard = match scripted { Side::Server => heard + 1, Side::Client => sent };
            answered += 1;
            Input::Bytes(scripted, line)
        } else if machine.wants(peers.fuzzed) {
            match pieces.next() {
                Some(piece) => Input::Bytes(peers.fuzzed, piece),
                None => Input::Eof(peers.fuzzed),
            }
        } else {
            Input::Tick
        };
        let Some(next) = feed(machine, now, input, peers) else { return };
        machine = next;
    }
}

/// One input and everything that it leads to. `None`: the session is over.
fn feed(machine: Pop3, now: Duration, input: Input<'_>, peers: &mut Peers) -> Option<Pop3> {
    let mut out = Output::default();
    let mut machine = machine.handle(now, input, &mut out).ok()?;
    loop {
        peers.to_client.append(&mut out.client);
        peers.to_server.append(&mut out.server);
        let events = std::mem::take(&mut out.events);
        if events.is_empty() {
            return Some(machine);
        }
        for event in events {
            if event == Event::StartTls {
                machine = machine.secured();
                continue;
            }
            let answer = match event {
                Event::WantServer { user } => match user.first() {
                    Some(b'x') => Input::NoServer(texts::Answer::SessionDenied),
                    Some(b'y') => Input::NoServer(texts::Answer::ServerUnreachable),
                    Some(b'z') => Input::ServerReady(Greeted::ByServer),
                    Some(_) | None => Input::ServerReady(Greeted::ByUs),
                },
                Event::LoggedIn { .. } => Input::Changed(&[]),
                Event::WantMail { .. } => Input::Pull,
                Event::MailEnd { number, .. } | Event::Replaced { number, .. } => {
                    Input::Judged(number, Verdict::Defer { case: None })
                }
                Event::Close(_) => return None,
                Event::LoginFailed { .. }
                | Event::MailBegin { .. }
                | Event::Delivered { .. }
                | Event::Forgotten { .. }
                | Event::Selected { .. }
                | Event::CopyFailed(_)
                | Event::StartTls
                | Event::Refused { .. }
                | Event::NotMarked { .. } => continue,
            };
            machine = machine.handle(now, answer, &mut out).ok()?;
        }
    }
}
