//! What must hold of a session of IMAP for any commands, cuts, judgements and answers of a server.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a surprise is a failed test")]
mod pair;

use pair::{Copy, Cut, ImapPair, Judgement, settings};
use policy::list::NameList;
use policy::names::Language;
use proptest::collection::vec;
use proptest::prelude::*;
use std::rc::Rc;
use std::time::Duration;
use worker_proto::imap::Imap;
use worker_proto::machine::{Event, Greeted, Input, Machine, Output, Security, Settings, Side, Verdict};

/// Commands with their literals; `%` is the tag.
const COMMANDS: &[&str] = &[
    "% NOOP\r\n",
    "% CAPABILITY\r\n",
    "% SELECT INBOX\r\n",
    "% EXAMINE Other\r\n",
    "% CLOSE\r\n",
    "% IDLE\r\nDONE\r\n",
    "% LIST \"\" *\r\n",
    "% FETCH 1 BODY[]\r\n",
    "% FETCH 1:3 (FLAGS BODY.PEEK[TEXT])\r\n",
    "% UID FETCH 11:13 (UID BODY.PEEK[]<3.7>)\r\n",
    "% UID FETCH 12 (BODY.PEEK[1] BINARY.PEEK[1] BODYSTRUCTURE)\r\n",
    "% UID FETCH 12 BODY[1.MIME]\r\n",
    "% FETCH 2 (RFC822.SIZE ENVELOPE)\r\n",
    "% FETCH 1:* (UID FLAGS RFC822.SIZE)\r\n",
    "% FETCH 3 (BODY.PEEK[HEADER.FIELDS (SUBJECT)] FLAGS)\r\n",
    "% FETCH 3 RFC822\r\n",
    "% STORE 1 +FLAGS (\\Seen)\r\n",
    "% SEARCH ALL\r\n",
    "% UID SEARCH RETURN (ALL) SUBJECT {3+}\r\n\u{e9}\u{e8}\r \r\n",
    "% EXPUNGE\r\n",
    "% UID MOVE 12 Trash\r\n",
    "% UID COPY 11:12 Trash\r\n",
    "% APPEND Sent {6+}\r\nhello\n\r\n",
    "% APPEND Sent (\\Seen) {6+}\r\nhello\n {2+}\r\nhi\r\n",
    "% APPEND Sent nonsense {6+}\r\nhello\n\r\n",
    "% UID REPLACE 12 Sent {6+}\r\nhello\n\r\n",
    "% DELETE Trash\r\n",
    "% SETACL x {2+}\r\n\u{e9}\u{e8} lr\r\n",
    "% ENABLE CONDSTORE\r\n",
    "% ID NIL\r\n",
    "% LOGIN again again\r\n",
    "% NONSENSE {3+}\r\nabc\r\n",
    "% FETCH nonsense\r\n",
];

/// Something that a peer, the scanner or the clock does.
#[derive(Clone, Debug)]
enum Step {
    Command(usize),
    Judge,
    Advance(u64),
    Inject(usize),
    Judgement(Judgement),
    Reload,
}

/// What a server says unasked; the last ones are planted.
const UNASKED: &[&str] = &[
    "* 2 FETCH (FLAGS (\\Seen))\r\n",
    "* 2 FETCH (UID 12 FLAGS (\\Seen))\r\n",
    "* 4 EXISTS\r\n",
    "* OK still here\r\n",
    "* 1 FETCH (UID 11 BODY[TEXT] \"MARK\")\r\n",
    "* 1 FETCH (UID 11 BODY[] \"MARK\")\r\n",
    "* 2 FETCH (BODY[1] {4}\r\nMARK UID 12)\r\n",
    "* 2 FETCH (BODY[] {4}\r\nMARK UID 12)\r\n",
    "+ MARK\r\n",
];

fn step(hostile: bool) -> impl Strategy<Value = Step> {
    let unasked = if hostile { UNASKED.len() } else { 4 };
    prop_oneof![
        30 => (0..COMMANDS.len()).prop_map(Step::Command),
        10 => Just(Step::Judge),
        3 => (0..50_u64).prop_map(Step::Advance),
        2 => (0..unasked).prop_map(Step::Inject),
        5 => prop_oneof![
            Just(Step::Judgement(Judgement::Deny("no".into()))),
            Just(Step::Judgement(Judgement::Defer("1".into()))),
            Just(Step::Judgement(Judgement::Changed(b"A: notice\r\n\r\nnotice\r\n".to_vec()))),
        ],
        1 => Just(Step::Reload),
    ]
}

/// A server that answers what it is asked, in many ways.
struct Server {
    read: usize,
    dice: u64,
    idling: Option<String>,
    selected: bool,
    /// At times it says NO.
    refuses: bool,
    mark: String,
    /// Commands as they came, without literals' octets.
    lines: Vec<String>,
}

impl Server {
    fn roll(&mut self, sides: u64) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice.is_multiple_of(sides)
    }

    /// Takes the next whole line, or command up to a literal that waits.
    fn next(&mut self, wire: &[u8]) -> Option<(String, bool)> {
        let mut at = self.read;
        let mut command = String::new();
        loop {
            let end = at + wire[at..].iter().position(|byte| *byte == b'\n')? + 1;
            let line = String::from_utf8_lossy(&wire[at..end]).into_owned();
            command += line.trim_end();
            at = end;
            let Some(inside) = line.strip_suffix("}\r\n") else {
                self.read = at;
                return Some((command, true));
            };
            let digits = inside.rsplit('{').next().unwrap();
            let size: usize = digits.trim_end_matches('+').parse().unwrap();
            if !digits.ends_with('+') && at == wire.len() {
                return Some((command, false));
            }
            if wire.len() < at + size {
                return None;
            }
            at += size;
            if at == wire.len() {
                return None;
            }
        }
    }

    fn serve(&mut self, pair: &mut ImapPair) {
        let mut asked = usize::MAX;
        for _ in 0..1000 {
            let wire = pair.record.server.clone();
            let Some((command, whole)) = self.next(&wire) else { return };
            if whole {
                self.lines.push(command.clone());
                let answer = self.answer(&command);
                pair.send(Side::Server, &answer);
            } else if asked == wire.len() {
                return;
            } else if self.refuses && self.roll(4) {
                // What was read so far is over.
                self.read = wire.len();
                self.lines.push(command.clone());
                let tag = command.split(' ').next().unwrap().to_owned();
                pair.send(Side::Server, format!("{tag} NO no\r\n").as_bytes());
            } else {
                asked = wire.len();
                pair.send(Side::Server, b"+ go\r\n");
            }
        }
        unreachable!("a server has no end of work");
    }

    fn answer(&mut self, command: &str) -> Vec<u8> {
        if let Some(tag) = self.idling.take() {
            assert_eq!(command, "DONE");
            return format!("{tag} OK idled\r\n").into_bytes();
        }
        let (tag, rest) = command.split_once(' ').unwrap();
        let verb = rest.strip_prefix("UID ").unwrap_or(rest).split(' ').next().unwrap();
        if self.refuses && self.roll(8) {
            self.selected &= !matches!(verb, "SELECT" | "EXAMINE");
            return format!("{tag} NO no\r\n").into_bytes();
        }
        let needs_mailbox =
            matches!(verb, "FETCH" | "STORE" | "SEARCH" | "EXPUNGE" | "MOVE" | "COPY" | "CLOSE" | "REPLACE");
        if needs_mailbox && !self.selected {
            return format!("{tag} BAD no mailbox\r\n").into_bytes();
        }
        let mut out = String::new();
        match verb {
            "SELECT" | "EXAMINE" => {
                self.selected = true;
                out += "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n";
            }
            "CLOSE" => self.selected = false,
            "IDLE" => {
                self.idling = Some(tag.to_owned());
                return b"+ idling\r\n".to_vec();
            }
            "CAPABILITY" => out += "* CAPABILITY IMAP4rev1 IDLE LITERAL+\r\n",
            "LIST" => out += "* LIST () \"/\" INBOX\r\n",
            "ID" => out += "* ID NIL\r\n",
            "ENABLE" => out += "* ENABLED CONDSTORE\r\n",
            "SEARCH" if rest.contains("RETURN") => {
                out += &format!("* ESEARCH (TAG \"{tag}\") UID ALL 11:12\r\n")
            }
            "SEARCH" if self.roll(2) => out += "* SEARCH 12\r\n",
            "SEARCH" => out += "* SEARCH\r\n",
            "FETCH" => {
                let set = rest.strip_prefix("UID ").unwrap_or(rest).split(' ').nth(1).unwrap();
                for number in 1..4_u32 {
                    let wanted = if rest.starts_with("UID") { number + 10 } else { number };
                    let means = set.split(',').any(|range| {
                        let (low, high) = range.split_once(':').unwrap_or((range, range));
                        let (low, high): (u32, u32) =
                            (low.parse().unwrap(), high.parse().unwrap_or(u32::MAX));
                        (low..=high).contains(&wanted)
                    });
                    if means {
                        out += &self.fetched(number, rest);
                    }
                }
            }
            _others => {}
        }
        out += &format!("{tag} OK done\r\n");
        out.into_bytes()
    }

    fn fetched(&mut self, number: u32, command: &str) -> String {
        let mark = self.mark.clone();
        let mail = format!("Subject: {mark}\r\n\r\n{mark}\r\n");
        let mut items = Vec::new();
        let mut item = |name: &str, value: String| {
            if command.contains(name) {
                items.push(value);
            }
        };
        item("FLAGS", "FLAGS ()".into());
        item("RFC822.SIZE", format!("RFC822.SIZE {}", mail.len()));
        item("ENVELOPE", "ENVELOPE (NIL \"sub\" NIL NIL NIL NIL NIL NIL NIL NIL)".into());
        item("BODYSTRUCTURE", "BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1)".into());
        item("BODY.PEEK[HEADER.FIELDS", "BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: x\r\n\r\n".into());
        let (nil, quoted, uid_last) = (self.roll(10), self.roll(4), self.roll(2));
        if command.contains("BODY.PEEK[]") {
            let content = if nil {
                "NIL".to_owned()
            } else if quoted {
                format!("\"{mark}\"")
            } else {
                format!("{{{}}}\r\n{mail}", mail.len())
            };
            items.push(format!("BODY[] {content}"));
        }
        if command.contains("UID") {
            items.insert(if uid_last { items.len() } else { 0 }, format!("UID {}", number + 10));
        }
        format!("* {number} FETCH ({})\r\n", items.join(" "))
    }
}

/// Plays a session; the tags of the commands, and what the server read.
fn play(
    pair: &mut ImapPair,
    steps: Vec<Step>,
    mark: &str,
    seed: u64,
    refuses: bool,
    conf: &dyn Fn() -> Settings,
) -> (usize, Server) {
    let mut server = Server {
        read: 0,
        dice: seed,
        idling: None,
        selected: false,
        refuses: false,
        mark: mark.to_owned(),
        lines: Vec::new(),
    };
    pair.send(Side::Server, b"* OK ready\r\n");
    pair.send(Side::Client, b"login LOGIN u p\r\nopen SELECT INBOX\r\n");
    server.serve(pair);
    server.refuses = refuses;
    let mut commands = 0;
    for step in steps {
        match step {
            Step::Command(index) => {
                let text = COMMANDS[index].replacen('%', &format!("t{commands}"), 1);
                commands += 1;
                let octets: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
                pair.send(Side::Client, &octets);
            }
            Step::Judge if !pair.scanning.is_empty() => {
                let at = usize::try_from(seed).unwrap_or(0) % pair.scanning.len();
                pair.judge(at);
            }
            Step::Judge => {}
            Step::Advance(seconds) => pair.advance(Duration::from_secs(seconds)),
            // Nothing is told of a mailbox while none is open.
            Step::Inject(0..=2) if !server.selected => {}
            Step::Inject(at) => pair.send(Side::Server, UNASKED[at].replace("MARK", mark).as_bytes()),
            Step::Judgement(judgement) => pair.judgements.push_back(judgement),
            Step::Reload => pair.reload(conf()),
        }
        server.serve(pair);
    }
    while !pair.scanning.is_empty() {
        pair.judge(0);
        server.serve(pair);
    }
    (commands, server)
}

fn conf() -> Settings {
    let mut conf = settings();
    conf.login.bad_command_limit = 1000;
    conf
}

fn strict() -> Settings {
    let mut conf = conf();
    conf.rules.strict = true;
    conf
}

fn forbidding() -> Settings {
    let mut conf = conf();
    conf.rules.commands = NameList::new(["*", "!DELETE", "!UID-COPY", "!SETACL"]);
    conf
}

fn count(octets: &[u8], wanted: &[u8]) -> usize {
    octets.windows(wanted.len()).filter(|window| *window == wanted).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_unjudged_octet_of_a_mail_reaches_the_client(
        steps in vec(step(true), 0..40), mark in "[A-Z]{4}", seed in 1..u64::MAX, refuses in any::<bool>(), lazy in any::<bool>(), busy in any::<bool>(),
    ) {
        let mark = format!("unjudged{mark}");
        let settings = if lazy { conf } else { strict };
        let mut pair = ImapPair::new(settings(), Language::En, Cut::Random(seed));
        pair.busy = busy;
        for _ in 0..300 {
            // No mail is judged clean, whatever else happens.
            pair.judgements.push_back(Judgement::Changed(b"A: notice\r\n\r\nnotice\r\n".to_vec()));
            pair.judgements.push_back(Judgement::Defer("2".to_owned()));
            pair.judgements.push_back(Judgement::Deny("no".to_owned()));
        }
        play(&mut pair, steps, &mark, seed, refuses, &settings);
        prop_assert_eq!(count(&pair.record.client, mark.as_bytes()), 0, "{}", pair.record.client.escape_ascii());
    }

    #[test]
    fn every_command_is_answered_once(
        steps in vec(step(false), 0..40), seed in 1..u64::MAX, refuses in any::<bool>(), busy in any::<bool>(), lazy in any::<bool>(),
    ) {
        let settings = if lazy { conf } else { strict };
        let mut pair = ImapPair::new(settings(), Language::En, Cut::Random(seed));
        pair.busy = busy;
        let (commands, _) = play(&mut pair, steps, "mark", seed, refuses, &settings);
        prop_assert_eq!(&pair.record.fault, &None);
        let closed = pair.record.events.iter().any(|event| matches!(event, Event::Close(_)));
        prop_assert!(!closed, "{:?}", pair.record.events);
        let client = String::from_utf8_lossy(&pair.record.client).into_owned();
        for command in 0..commands {
            let answers = [" OK", " NO", " BAD"].map(|word| client.matches(&format!("\nt{command}{word}")).count());
            prop_assert_eq!(answers.iter().sum::<usize>(), 1, "t{} in {}", command, client);
        }
    }

    #[test]
    fn the_server_sees_only_permitted_commands(
        steps in vec(step(true), 0..40), seed in 1..u64::MAX, refuses in any::<bool>(),
    ) {
        let mut pair = ImapPair::new(forbidding(), Language::En, Cut::Random(seed));
        let (_, server) = play(&mut pair, steps, "mark", seed, refuses, &forbidding);
        for (index, line) in server.lines.iter().enumerate() {
            if line == "DONE" {
                continue;
            }
            let (tag, rest) = line.split_once(' ').unwrap();
            prop_assert!(tag.starts_with('m') && tag[1..].parse::<usize>().is_ok(), "{}: {}", index, line);
            for forbidden in ["DELETE", "UID COPY", "SETACL", "NONSENSE", "hello"] {
                prop_assert!(!rest.starts_with(forbidden), "{}", line);
            }
        }
    }

    #[test]
    fn a_driver_that_errs_meets_no_panic(inputs in vec((any::<u8>(), 0..COMMANDS.len(), vec(any::<u8>(), 0..40)), 0..60)) {
        let mut machine = Imap::new(Rc::new(settings()), Language::En, Greeted::ByServer, Security::Offered, Duration::ZERO);
        let mut out = Output::default();
        let mut now = Duration::ZERO;
        for (side, bytes) in [
            (Side::Server, &b"* OK ready\r\n"[..]), (Side::Client, b"a LOGIN u p\r\n"), (Side::Server, b"m1 OK\r\n"),
            (Side::Client, b"a SELECT INBOX\r\nb FETCH 1:2 (UID BODY[])\r\n"), (Side::Server, b"m2 OK\r\n"),
        ] {
            machine = machine.handle(now, Input::Bytes(side, bytes), &mut out).unwrap();
        }
        for (kind, command, bytes) in inputs {
            let text = COMMANDS[command].replacen('%', "t", 1);
            // In any order and against `wants`.
            let input = match kind % 14 {
                0 => Input::Changed(&[]),
                1 => Input::Judged(u32::from(kind % 5), Verdict::Defer { case: None }),
                2 => Input::Judged(u32::from(kind % 5), Verdict::Deliver { length: 3, changed: kind > 100 }),
                3 => Input::Scanned { number: u32::from(kind % 5), copy: Copy::of(&bytes), changed: kind > 100, keywords: vec!["$Junk".into()] },
                4 => Input::Recorded { number: u32::from(kind % 5), safe: kind > 100 },
                5 => Input::Room(Side::Client),
                6 => Input::Room(Side::Server),
                7 => {
                    now += Duration::from_secs(u64::from(kind));
                    Input::Tick
                }
                8 => Input::Bytes(Side::Client, &bytes),
                9 => Input::Bytes(Side::Server, b"* 1 FETCH (UID 1 BODY[] {4}\r\nmail)\r\n"),
                10 => Input::Bytes(Side::Server, b"+ \r\n"),
                11 => Input::Bytes(Side::Server, b"m3 OK done\r\n"),
                12 => Input::Pull,
                _ => Input::Bytes(Side::Client, text.as_bytes()),
            };
            match machine.handle(now, input, &mut out) {
                Ok(next) => machine = if kind == 255 { next.secured() } else { next },
                Err(_fault) => return Ok(()),
            }
        }
    }
}

#[test]
fn an_idle_session_is_small_and_holds_nothing() {
    assert!(size_of::<Imap>() <= 1024, "{} octets", size_of::<Imap>());
    let mut pair = ImapPair::new(settings(), Language::En, Cut::Whole);
    pair.send(Side::Server, b"* OK ready\r\n");
    pair.send(Side::Client, b"a LOGIN u p\r\n");
    pair.send(Side::Server, b"m1 OK\r\n");
    pair.send(Side::Client, &b"b NOOP\r\n".repeat(1000));
    for number in 2..1002 {
        pair.send(Side::Server, format!("* OK {}\r\nm{number} OK\r\n", "x".repeat(5000)).as_bytes());
    }
    assert_eq!(pair.record.fault, None);
    let shown = pair.machine_debug();
    assert_eq!(shown.matches("Inbox(0 octets)").count(), 2, "{shown}");
    for empty in ["Outstanding([])", "queue: [], octets: 0, serving: None", "held: []", "marks: Marks({})"] {
        assert!(shown.contains(empty), "{empty} in {shown}");
    }
}

#[test]
fn a_listing_of_fifty_thousand_messages_is_one_command_and_pulls_none() {
    let mut pair = ImapPair::new(settings(), Language::En, Cut::Whole);
    pair.send(Side::Server, b"* OK ready\r\n");
    pair.send(Side::Client, b"a LOGIN u p\r\nb SELECT INBOX\r\n");
    pair.send(Side::Server, b"m1 OK\r\n");
    pair.send(Side::Server, b"* 50000 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nm2 OK [READ-WRITE] ok\r\n");
    let start = (pair.record.client.len(), pair.record.server.len());
    let structure = "BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 1)";
    pair.send(Side::Client, b"c FETCH 1:* (UID FLAGS RFC822.SIZE BODYSTRUCTURE)\r\n");
    let listing: String = (1..=50_000)
        .map(|number| format!("* {number} FETCH (UID {number} FLAGS () RFC822.SIZE 900 {structure})\r\n"))
        .collect();
    for piece in listing.as_bytes().chunks(60_000) {
        pair.send(Side::Server, piece);
    }
    pair.send(Side::Server, b"m3 OK done\r\n");
    assert_eq!(pair.record.fault, None);
    let asked = String::from_utf8(pair.record.server.split_off(start.1)).unwrap();
    assert_eq!(asked, "m3 FETCH 1:* (UID FLAGS RFC822.SIZE BODYSTRUCTURE)\r\n");
    let told = String::from_utf8(pair.record.client.split_off(start.0)).unwrap();
    assert!(told == listing + "c OK done\r\n", "every line as the server told it");
    assert!(pair.record.spooled.is_empty());
}

#[test]
fn debug_output_never_shows_a_password() {
    let mut pair = ImapPair::new(settings(), Language::En, Cut::Whole);
    pair.send(Side::Server, b"* OK ready\r\n");
    for piece in [&b"a NOOP\r\nb LOGIN u {8+}\r\nhunter\xe92\r\n"[..], b"c AUTHENTICATE PLAIN aHVudGVyMg=="] {
        pair.send(Side::Client, piece);
        let shown = pair.machine_debug();
        let octets = |text: &[u8]| format!("{text:?}").replace(['[', ']'], "");
        for secret in [&b"hunter"[..], b"aHVudGVyMg"] {
            assert!(!shown.contains(&octets(secret)), "{shown}");
            assert!(!shown.contains(std::str::from_utf8(secret).unwrap()), "{shown}");
        }
        if pair.record.server.ends_with(b"NOOP\r\n") {
            pair.send(Side::Server, b"m1 OK\r\n");
            let shown = pair.machine_debug();
            assert!(!shown.contains(&octets(b"hunter")), "{shown}");
        }
    }
}
