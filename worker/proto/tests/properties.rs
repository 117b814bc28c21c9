//! What must hold for any bytes, any cut and any order.
#![expect(clippy::indexing_slicing, reason = "a surprise is a failed test")]
mod pair;

use pair::{Cut, Judgement, Pair, settings};
use policy::list::NameList;
use policy::names::Language;
use proptest::collection::vec;
use proptest::prelude::*;
use std::rc::Rc;
use std::time::Duration;
use worker_proto::machine::{Greeted, Input, Machine, Output, Security, Settings, Side, Verdict};
use worker_proto::pop3::Pop3;
use worker_proto::pop3::command::{Command, Verb};
use worker_proto::pop3::multiline::{Cut as TopCut, Stuffer, Terminator, Unstuffer};

/// Octets of which the interesting ones are frequent.
fn mail_octets() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), any::<u8>()], 0..200)
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((1 + cut % 7).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn stuff(mail: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stuffer = Stuffer::after_status_line();
    let mut out = Vec::new();
    for piece in pieces(mail, cuts) {
        stuffer.feed(piece, &mut out);
    }
    stuffer.finish(&mut out);
    out
}

/// The obvious way, octet by octet.
fn stuff_plainly(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in mail {
        if *byte == b'.' && (out.is_empty() || out.ends_with(b"\r\n")) {
            out.push(b'.');
        }
        out.push(*byte);
    }
    if !mail.is_empty() && !mail.ends_with(b"\r\n") {
        out.extend(b"\r\n");
    }
    out.extend(b".\r\n");
    out
}

fn top_plainly(mail: &[u8], lines: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = None;
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        match body {
            None => {
                out.extend(line);
                if line == b"\r\n" || line == b"\n" {
                    body = Some(0);
                }
            }
            Some(count) if count < lines => {
                out.extend(line);
                body = Some(count + 1);
            }
            Some(_) => break,
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn stuffing_is_the_obvious_one_under_any_cut(mail in mail_octets(), cuts in vec(0..7_usize, 1..9)) {
        prop_assert_eq!(stuff(&mail, &cuts), stuff_plainly(&mail));
    }

    #[test]
    fn unstuffing_gives_back_what_was_stuffed(mail in mail_octets(), cuts in vec(0..7_usize, 1..9)) {
        let mut wire = stuff_plainly(&mail);
        wire.extend(b"+OK next");
        let mut unstuffer = Unstuffer::after_status_line();
        let mut back = Vec::new();
        let mut used = 0;
        let mut ended = false;
        for piece in pieces(&wire, &cuts) {
            match unstuffer.feed(piece, |octets| back.extend_from_slice(octets)) {
                Some(end) => {
                    used += end;
                    ended = true;
                    break;
                }
                None => used += piece.len(),
            }
        }
        let mut expected = mail.clone();
        if !mail.is_empty() && !mail.ends_with(b"\r\n") {
            expected.extend(b"\r\n");
        }
        prop_assert!(ended);
        prop_assert_eq!(back, expected);
        prop_assert_eq!(used, wire.len() - b"+OK next".len());
    }

    #[test]
    fn both_readers_of_a_mail_find_the_same_end(wire in mail_octets(), cuts in vec(0..7_usize, 1..9)) {
        let mut unstuffer = Unstuffer::after_status_line();
        let mut terminator = Terminator::after_status_line();
        let mut whole = Terminator::after_status_line();
        let by_unstuffer = find(&wire, &cuts, |piece| unstuffer.feed(piece, |_| {}));
        let by_terminator = find(&wire, &cuts, |piece| terminator.find(piece));
        prop_assert_eq!(by_unstuffer, by_terminator);
        prop_assert_eq!(by_terminator, whole.find(&wire));
        let framed = [b"\r\n", wire.as_slice()].concat();
        let plainly = framed.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 3);
        prop_assert_eq!(by_terminator, plainly);
    }

    #[test]
    fn top_is_cut_as_rfc_1939_says_under_any_cut(mail in mail_octets(), lines in 0..6_u64, cuts in vec(0..7_usize, 1..9)) {
        let mut cut = TopCut::after(lines);
        let mut out = Vec::new();
        for piece in pieces(&mail, &cuts) {
            let wanted = cut.find(piece);
            out.extend_from_slice(&piece[..wanted.unwrap_or(piece.len())]);
            if wanted.is_some() {
                break;
            }
        }
        prop_assert_eq!(out, top_plainly(&mail, lines));
    }

    #[test]
    fn a_parsed_command_is_written_as_one_line_that_parses_to_itself(line in command_line(), utf8 in any::<bool>()) {
        if let Ok(command) = Command::parse(&line, utf8) {
            let mut wire = Vec::new();
            command.write(&mut wire);
            let inner = wire.strip_suffix(b"\r\n").unwrap();
            prop_assert!(!inner.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
            prop_assert_eq!(Command::parse(inner, utf8), Ok(command));
        }
    }
}

fn find(wire: &[u8], cuts: &[usize], mut feed: impl FnMut(&[u8]) -> Option<usize>) -> Option<usize> {
    let mut before = 0;
    for piece in pieces(wire, cuts) {
        if let Some(end) = feed(piece) {
            return Some(before + end);
        }
        before += piece.len();
    }
    None
}

fn verb() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> =
        Verb::ALL.iter().map(|verb| verb.name()).chain(["STLS", "XTND", "", "*"]).collect();
    proptest::sample::select(names).prop_map(|name| name.as_bytes().to_vec())
}

fn command_line() -> impl Strategy<Value = Vec<u8>> {
    let argument = prop_oneof![
        Just(Vec::new()),
        (0..5_u32).prop_map(|number| number.to_string().into_bytes()),
        (0..5_u32, 0..9_u32).prop_map(|(number, lines)| format!("{number} {lines}").into_bytes()),
        proptest::sample::select(vec![
            "PLAIN",
            "LOGIN",
            "PLAIN AGEAYg==",
            "EXTERNAL",
            "AGEAYg==",
            "alice",
            "a c4c9334bac560ecc979e58001b3e22fb"
        ])
        .prop_map(|words| words.as_bytes().to_vec()),
        vec(any::<u8>(), 0..12),
    ];
    (verb(), argument).prop_map(|(mut line, argument)| {
        if !argument.is_empty() {
            line.push(b' ');
            line.extend(argument);
        }
        line
    })
}

/// Something that a peer, the driver or the clock does.
#[derive(Clone, Debug)]
enum Step {
    Client(Vec<u8>),
    /// The server sends this, asked or not.
    Server(Vec<u8>),
    Advance(u64),
    Judge(Judgement),
    EndClient,
    EndServer,
    Kick,
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => command_line().prop_map(|mut line| { line.extend(b"\r\n"); Step::Client(line) }),
        10 => (1..4_u32).prop_map(|number| Step::Client(format!("RETR {number}\r\nTOP {number} 1\r\n").into_bytes())),
        5 => Just(Step::Client(b"USER alice\r\nPASS secret\r\n".to_vec())),
        2 => vec(any::<u8>(), 0..40).prop_map(Step::Client),
        1 => mail_octets().prop_map(Step::Server),
        2 => (0..40_u64).prop_map(Step::Advance),
        4 => prop_oneof![
            Just(Step::Judge(Judgement::Deny("no".into()))),
            Just(Step::Judge(Judgement::Defer("later".into()))),
            Just(Step::Judge(Judgement::Changed(b"notice".to_vec()))),
        ],
        4 => Just(Step::Forget),
        1 => prop_oneof![Just(Step::EndClient), Just(Step::EndServer), Just(Step::Kick)],
    ]
}

/// A server that answers what it is asked: mostly well, at times `-ERR`, seldom nonsense.
struct Server {
    read: usize,
    mail: Vec<u8>,
    dice: u64,
    sasl: bool,
}

impl Server {
    fn new(mail: &[u8], seed: u64) -> Self {
        Self { read: 0, mail: mail.to_vec(), dice: seed, sasl: false }
    }

    fn serve(&mut self, pair: &mut Pair) {
        while let Some(end) = pair.record.server[self.read..].iter().position(|byte| *byte == b'\n') {
            let line = pair.record.server[self.read..self.read + end + 1].to_vec();
            self.read += end + 1;
            let answer = self.answer(&line);
            pair.send(Side::Server, &answer);
        }
    }

    fn answer(&mut self, line: &[u8]) -> Vec<u8> {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        if std::mem::take(&mut self.sasl) {
            return if line == b"*\r\n" || self.dice.is_multiple_of(2) {
                b"-ERR\r\n".into()
            } else {
                b"+OK\r\n".into()
            };
        }
        match self.dice % 50 {
            0 => return b"nonsense\r\n".into(),
            1..6 => return b"-ERR no\r\n".into(),
            _ => {}
        }
        let line = line.trim_ascii_end();
        let name = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        match Verb::named(name) {
            Some(Verb::Auth) if line.len() > 4 => {
                self.sasl = true;
                b"+ \r\n".into()
            }
            Some(Verb::Auth) => b"+OK\r\nPLAIN\r\n.\r\n".into(),
            Some(Verb::Capa) => b"+OK\r\nPIPELINING\r\nTOP\r\nUIDL\r\nX-Y\r\n.\r\n".into(),
            Some(Verb::List) if line.len() == 4 => b"+OK\r\n1 100\r\n2 100\r\n.\r\n".into(),
            Some(Verb::List) => b"+OK 1 100\r\n".into(),
            Some(Verb::Uidl) if line.len() == 4 => b"+OK\r\n1 a\r\n2 b\r\n.\r\n".into(),
            Some(Verb::Uidl) => b"+OK 1 a\r\n".into(),
            Some(Verb::Lang) if line.len() == 4 => b"+OK\r\nen\r\n.\r\n".into(),
            Some(Verb::Retr | Verb::Top) => [b"+OK\r\n", self.mail.as_slice(), b".\r\n"].concat(),
            Some(_) | None => b"+OK\r\n".into(),
        }
    }
}

fn play(pair: &mut Pair, server: &mut Server, steps: Vec<Step>) {
    pair.send(Side::Server, b"+OK\r\n");
    for step in steps {
        match step {
            Step::Client(bytes) => pair.send(Side::Client, &bytes),
            Step::Server(bytes) => pair.send(Side::Server, &bytes),
            Step::Advance(seconds) => pair.advance(Duration::from_secs(seconds)),
            Step::Judge(judgement) => pair.judgements.push_back(judgement),
            Step::EndClient => pair.end(Side::Client),
            Step::EndServer => pair.end(Side::Server),
            Step::Kick => pair.kick(),
            Step::Forget => pair.held.clear(),
        }
        server.serve(pair);
    }
}

fn limited(scan: bool) -> Settings {
    let mut conf = settings();
    conf.rules.download.scan = scan;
    conf.rules.commands = NameList::new(["*", "!APOP", "!LAST", "!DELE"]);
    conf.login.bad_command_limit = 1000;
    conf
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_happens_the_server_sees_only_permitted_commands(
        steps in vec(step(), 0..60), seed in 1..u64::MAX, scan in any::<bool>(),
    ) {
        let mut pair = Pair::new(limited(scan), Language::En, Cut::Random(seed));
        play(&mut pair, &mut Server::new(b"A: b\r\n\r\n..c\r\n", seed), steps);
        let mut sasl = false;
        for line in pair.record.server.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r\n").unwrap();
            prop_assert!(!line.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
            let name = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            if std::mem::take(&mut sasl) {
                // A SASL response is no command: base64 or `*`. Where the server refused, a command follows.
                let base64 = line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
                if line == b"*" || base64 {
                    continue;
                }
            }
            let verb = Verb::named(name);
            prop_assert!(
                verb.is_some_and(|verb| !matches!(verb, Verb::Apop | Verb::Last | Verb::Dele)),
                "{}", line.escape_ascii()
            );
            sasl = verb == Some(Verb::Auth) && line.len() > 4;
        }
    }

    #[test]
    fn no_unjudged_octet_of_a_mail_reaches_the_client(
        steps in vec(step(), 0..60), mark in "[a-z]{12}", seed in 1..u64::MAX,
    ) {
        let mut pair = Pair::new(settings(), Language::En, Cut::Random(seed));
        let mail = format!("Subject: {mark}\r\n\r\n{mark}\r\n..{mark}\r\n");
        let mut steps = steps;
        for _ in &steps {
            // No mail is judged clean, whatever else happens.
            pair.judgements.push_back(Judgement::Changed(b"notice".to_vec()));
            pair.judgements.push_back(Judgement::Defer("later".to_owned()));
        }
        steps.insert(0, Step::Client(b"USER alice\r\nPASS secret\r\n".to_vec()));
        play(&mut pair, &mut Server::new(mail.as_bytes(), seed), steps);
        prop_assert!(!pair.record.client.windows(mark.len()).any(|window| window == mark.as_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_driver_that_errs_meets_no_panic(inputs in vec((any::<u8>(), mail_octets()), 0..60)) {
        let mut machine = Pop3::new(Rc::new(settings()), Language::En, Greeted::ByServer, Security::Clear, Duration::ZERO);
        let mut out = Output::default();
        let mut now = Duration::ZERO;
        for (side, bytes) in [
            (Side::Server, &b"+OK\r\n"[..]), (Side::Client, b"USER a\r\n"), (Side::Server, b"+OK\r\n"),
            (Side::Client, b"PASS a\r\nRETR 1\r\nTOP 1 1\r\nRETR 1\r\nLIST\r\nSTAT\r\n"), (Side::Server, b"+OK\r\n"),
        ] {
            machine = machine.handle(now, Input::Bytes(side, bytes), &mut out).unwrap();
        }
        for (kind, bytes) in inputs {
            // In any order and against `wants`.
            let input = match kind % 8 {
                0 => Input::Pull,
                1 => Input::Copy(&bytes),
                2 => Input::Changed(&[]),
                3 => {
                    now += Duration::from_secs(u64::from(kind));
                    Input::Tick
                }
                4 => Input::Judged(1, Verdict::Deliver { length: 3, changed: kind > 100 }),
                5 => Input::Bytes(Side::Client, &bytes),
                6 => Input::Bytes(Side::Server, b"+OK\r\nx\r\n.\r\n"),
                _ => Input::Bytes(Side::Server, &bytes),
            };
            match machine.handle(now, input, &mut out) {
                Ok(next) => machine = next,
                Err(_fault) => return Ok(()),
            }
        }
    }
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Pop3>() <= 600, "{} octets", size_of::<Pop3>());
}

#[test]
fn debug_output_never_shows_a_password() {
    let line = b"PASS hunter2";
    assert!(!format!("{:?}", Command::parse(line, false)).contains("hunter2"));
    let mut out = Output::default();
    let mut machine =
        Pop3::new(Rc::new(settings()), Language::En, Greeted::ByServer, Security::Clear, Duration::ZERO);
    for (side, bytes) in
        [(Side::Server, &b"+OK\r\n"[..]), (Side::Client, b"USER alice\r\nPASS hunter2\r\nPASS hunt")]
    {
        machine = machine.handle(Duration::ZERO, Input::Bytes(side, bytes), &mut out).unwrap();
        let shown = format!("{machine:?}");
        let octets = format!("{:?}", b"hunt").replace(['[', ']'], "");
        assert!(!shown.contains("hunt") && !shown.contains(&octets), "{shown}");
    }
}

#[test]
fn memory_goes_when_a_session_is_idle() {
    let mut pair = Pair::new(settings(), Language::En, Cut::Whole);
    pair.send(Side::Server, b"+OK\r\n");
    pair.send(Side::Client, b"USER alice\r\nPASS secret\r\nCAPA\r\n");
    pair.send(Side::Server, b"+OK\r\n");
    pair.send(Side::Server, b"+OK\r\n");
    pair.send(Side::Server, b"+OK\r\nPIPELINING\r\n.\r\n");
    pair.send(Side::Client, &b"NOOP\r\n".repeat(5000));
    for _ in 0..5000 {
        pair.send(Side::Server, b"+OK\r\n");
    }
    assert_eq!(pair.record.fault, None);
    let shown = pair.machine_debug();
    assert_eq!(shown.matches("Inbox(0 octets)").count(), 2, "{shown}");
}

#[test]
fn octets_behind_stls_in_one_write_are_a_fault_and_later_ones_are_not_read() {
    let greeting = b"+OK ready\r\n";
    let asked = |bytes: &[u8]| {
        let mut out = Output::default();
        let machine = Pop3::new(
            Rc::new(settings()),
            Language::En,
            Greeted::ByServer,
            Security::Offered,
            Duration::ZERO,
        );
        let machine = machine.handle(Duration::ZERO, Input::Bytes(Side::Server, greeting), &mut out).unwrap();
        out = Output::default();
        (machine.handle(Duration::ZERO, Input::Bytes(Side::Client, bytes), &mut out), out)
    };
    for behind in [&b"USER alice\r\n"[..], b"\r\n", b"\0", b"\x16\x03\x01"] {
        let (fault, out) = asked(&[b"STLS\r\n", behind].concat());
        let fault = fault.unwrap_err();
        assert_eq!((fault.side, fault.what), (Side::Client, "octets behind STLS"));
        assert!(out.client.is_empty() && out.server.is_empty(), "nothing was answered or sent on");
    }
    let (machine, out) = asked(b"STLS\r\n");
    let machine = machine.unwrap();
    assert_eq!(out.client, b"+OK begin TLS\r\n");
    assert!(!machine.wants(Side::Client), "what comes now is the handshake's");
    assert!(machine.secured().wants(Side::Client));
}
