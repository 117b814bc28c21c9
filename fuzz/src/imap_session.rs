//! An IMAP machine between two peers of which one is the fuzzer: the other follows a script. Every mail is put off, so that
//! no octet of one may reach the client.
use crate::{SECRET, settings};
use policy::names::Language;
use std::time::Duration;
use worker_proto::imap::Imap;
use worker_proto::machine::{Event, Greeted, Input, Machine, Output, Security, Side, Verdict};

/// What the ordinary client says, one after the other, as soon as it heard anything new.
const CLIENT: &[&[u8]] = &[
    b"a LOGIN u p\r\n",
    b"b SELECT INBOX\r\nc FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE)\r\n",
    b"d UID FETCH 1 (BODY[] FLAGS)\r\ne FETCH 1 BODY.PEEK[1.MIME]\r\n",
    b"f IDLE\r\n",
    b"DONE\r\ng SETACL x {1+}\r\n\xe9 lr\r\n",
    b"h APPEND x {5+}\r\nhello\r\ni EXPUNGE\r\n",
    b"j UID SEARCH RETURN (ALL) ALL\r\nk LIST \"\" * RETURN (STATUS (MESSAGES))\r\n",
    b"n RENAME old new\r\n",
    b"o DELETE new\r\n",
    b"l CLOSE\r\nm LOGOUT\r\n",
];

/// Who is the fuzzer, and what was sent so far.
pub struct Session {
    fuzzed: Side,
    /// Everything that the client got.
    pub to_client: Vec<u8>,
    /// Everything that the server got.
    pub to_server: Vec<u8>,
    answered: usize,
    heard: usize,
    idling: Option<Vec<u8>>,
    /// A SASL exchange of one answer.
    exchange: Option<String>,
}

impl Session {
    /// Arbitrary bytes come from this side.
    pub fn new(fuzzed: Side) -> Self {
        Self { fuzzed, to_client: Vec::new(), to_server: Vec::new(), answered: 0, heard: 0, idling: None, exchange: None }
    }

    /// What the side that is not fuzzed says next.
    fn script(&mut self) -> Option<Vec<u8>> {
        match self.fuzzed {
            Side::Server => {
                let lines = self.to_client.iter().filter(|byte| **byte == b'\n').count();
                if lines == self.heard {
                    return None;
                }
                self.heard = lines;
                self.answered += 1;
                CLIENT.get(self.answered - 1).map(|line| line.to_vec())
            }
            Side::Client if self.heard == 0 && self.answered == 0 => {
                self.answered = 1;
                Some(b"* OK [CAPABILITY IMAP4rev1 IDLE MOVE REPLACE UIDPLUS] ready\r\n".to_vec())
            }
            Side::Client => {
                let rest = self.to_server.get(self.heard..)?;
                let end = rest.iter().position(|byte| *byte == b'\n')? + 1;
                let line = rest.get(..end)?.to_vec();
                self.heard += end;
                Some(self.answer(&line))
            }
        }
    }

    /// The ordinary server: it counts lines and literals, never tags or verbs that it does not know.
    fn answer(&mut self, line: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(line).into_owned();
        if let Some(tag) = self.idling.take() {
            assert_eq!(line, b"DONE\r\n", "a client in IDLE says nothing else");
            return [&tag, &b" OK done\r\n"[..]].concat();
        }
        if let Some(tag) = self.exchange.take() {
            return format!("{tag} OK done\r\n").into_bytes();
        }
        if text.trim_end().ends_with('}') {
            return b"+ \r\n".to_vec();
        }
        let mut words = text.split_whitespace();
        let tag = words.next().unwrap_or_default().to_owned();
        let verb = words.next().unwrap_or_default();
        let verb = if verb == "UID" { words.next().unwrap_or_default() } else { verb };
        let data = match verb {
            "SELECT" | "EXAMINE" => "* 1 EXISTS\r\n* OK [UIDVALIDITY 1]\r\n",
            "FETCH" if text.contains("BODY.PEEK[]") => {
                "* 1 FETCH (UID 1 FLAGS () BODY[] {19}\r\na: unjudged-content)\r\n"
            }
            "FETCH" => "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 19)\r\n",
            "IDLE" => {
                self.idling = Some(tag.into_bytes());
                return b"+ idling\r\n".to_vec();
            }
            "AUTHENTICATE" => {
                self.exchange = Some(tag);
                return b"+ \r\n".to_vec();
            }
            _ => "",
        };
        format!("{data}{tag} OK done\r\n").into_bytes()
    }

    /// Whether octets of a mail reached the client.
    pub fn leaks(&self) -> bool {
        self.to_client.windows(SECRET.len()).any(|window| window == SECRET)
    }

    /// Whether the client got content under any name.
    pub fn serves_content(&self) -> bool {
        self.to_client.split(|byte| *byte == b'\n').any(|line| {
            let fetch = line.starts_with(b"* ") && line.windows(8).any(|window| window == b" FETCH (");
            let Some(inside) = line.strip_suffix(b"}\r") else { return false };
            let Some(open) = inside.iter().rposition(|byte| *byte == b'{') else { return false };
            fetch && inside.get(..open).is_some_and(|before| before.ends_with(b"] "))
        })
    }
}

/// Plays a whole session: the first octet of the input chooses where it is cut.
pub fn play(session: &mut Session, bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let mut pieces = bytes.chunks(usize::from(*cut) % 64 + 1);
    let mut machine = Imap::new(settings(), Language::En, Greeted::ByServer, Security::Offered, Duration::ZERO);
    let scripted = match session.fuzzed {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    };
    for step in 0..4096_u64 {
        let now = Duration::from_millis(step * 20);
        let line = if machine.wants(scripted) { session.script() } else { None };
        let input = if let Some(line) = &line {
            Input::Bytes(scripted, line)
        } else if machine.has_more(Side::Client) {
            Input::Room(Side::Client)
        } else if machine.has_more(Side::Server) {
            Input::Room(Side::Server)
        } else if machine.wants(session.fuzzed) {
            match pieces.next() {
                Some(piece) => Input::Bytes(session.fuzzed, piece),
                None => Input::Eof(session.fuzzed),
            }
        } else {
            Input::Tick
        };
        let Some(next) = feed(machine, now, input, session) else { return };
        machine = next;
    }
}

/// One input and everything that it leads to. `None`: the session is over.
fn feed(machine: Imap, now: Duration, input: Input<'_>, session: &mut Session) -> Option<Imap> {
    let mut out = Output::default();
    let mut machine = machine.handle(now, input, &mut out).ok()?;
    loop {
        session.to_client.append(&mut out.client);
        session.to_server.append(&mut out.server);
        out.spool.clear();
        out.spool_marks.clear();
        let events = std::mem::take(&mut out.events);
        if events.is_empty() {
            return Some(machine);
        }
        for event in events {
            let answer = match event {
                Event::StartTls => {
                    machine = machine.secured();
                    continue;
                }
                Event::Selected { .. } => Input::Changed(&[]),
                Event::MailEnd { number, .. } => Input::Judged(number, Verdict::Defer { case: None }),
                Event::Close(_) => return None,
                _ => continue,
            };
            machine = machine.handle(now, answer, &mut out).ok()?;
        }
    }
}
