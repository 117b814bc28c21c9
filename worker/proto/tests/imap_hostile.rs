//! Hostile peers: whatever a server plants at any point of a session, the client sees nothing of it; whatever a client puts
//! into an argument, the server sees one command.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a surprise is a failed test")]
mod pair;

use pair::{Cut, ImapPair, Judgement, settings};
use policy::names::Language;
use worker_proto::machine::{Greeted, Security, Settings, Side};

const PLANTED: &str = "n0nce-planted";

/// Points of a session, and what brings it there: `C` and `S` lines, the server's tags counted from m1.
const POINTS: &[(&str, &[&str])] = &[
    ("greeting", &[]),
    ("before the login", &["S* OK ready"]),
    ("login", &["S* OK ready", "Ca LOGIN u p"]),
    ("sasl", &["S* OK ready", "Ca AUTHENTICATE PLAIN", "S+ "]),
    ("logged in", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK"]),
    ("noop", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca NOOP"]),
    ("literal", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SEARCH SUBJECT {1+}", "C\u{e9}"]),
    ("select", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX"]),
    ("selected", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK"]),
    ("flags", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca FETCH 1 FLAGS"]),
    (
        "sizes",
        &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca FETCH 1 RFC822.SIZE"],
    ),
    ("content", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca FETCH 1 BODY[]"]),
    (
        "behind a mail",
        &[
            "S* OK ready",
            "Ca LOGIN u p",
            "Sm1 OK",
            "Ca SELECT INBOX",
            "Sm2 OK",
            "Ca FETCH 1 BODY[1]",
            "S* 1 FETCH (FLAGS () UID 1 BODY[] {1}",
            "Sx)",
        ],
    ),
    (
        "in a mail",
        &[
            "S* OK ready",
            "Ca LOGIN u p",
            "Sm1 OK",
            "Ca SELECT INBOX",
            "Sm2 OK",
            "Ca FETCH 1 BODY[1]",
            "S* 1 FETCH (UID 1 BODY[] {5000000}",
        ],
    ),
    (
        "store",
        &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca STORE 1 FLAGS (x)"],
    ),
    ("idle", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca IDLE"]),
    ("idling", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca IDLE", "S+ "]),
    ("search", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca SEARCH ALL"]),
    ("append", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca APPEND x {1+}", "Cx"]),
    ("closing", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca SELECT INBOX", "Sm2 OK", "Ca CLOSE"]),
    ("logout", &["S* OK ready", "Ca LOGIN u p", "Sm1 OK", "Ca LOGOUT"]),
];

/// Mails that nobody asked for, under every name that content has.
fn content() -> Vec<Vec<u8>> {
    let names = [
        "BODY[]",
        "BODY[]<0>",
        "BODY[TEXT]",
        "BODY[1]",
        "BODY[1.MIME]",
        "BODY[1.2.HEADER]",
        "BODY[HEADER]",
        "BODY[HEADER.FIELDS (SUBJECT)]",
        "RFC822",
        "RFC822.TEXT",
        "RFC822.HEADER",
        "BINARY[1]",
        "BINARY[]<5>",
        "PREVIEW",
        "SNIPPET",
        "X-GM-RAW",
        "body[]",
        "BODY [1]",
        "BODY[1",
    ];
    let mut all = Vec::new();
    for name in names {
        for value in [
            format!("{{{}}}\r\n{PLANTED}", PLANTED.len()),
            format!("~{{{}}}\r\n{PLANTED}", PLANTED.len()),
            format!("\"{PLANTED}\""),
            format!("({PLANTED})"),
        ] {
            all.push(format!("* 1 FETCH (UID 1 {name} {value})\r\n").into_bytes());
            all.push(format!("* 1 FETCH (FLAGS () {name} {value} UID 7)\r\n").into_bytes());
        }
    }
    all
}

/// Everything else that no server says at any of the points.
fn nonsense() -> Vec<Vec<u8>> {
    let line = |text: String| [text.into_bytes(), b"\r\n".to_vec()].concat();
    let mut all = vec![
        line(format!("* PREAUTH {PLANTED}")),
        line(format!("m99 OK {PLANTED}")),
        line(format!("m0 OK {PLANTED}")),
        line(format!("a OK {PLANTED}")),
        line(format!("a {PLANTED}")),
        line(PLANTED.to_owned()),
        line(format!("* {PLANTED}")),
        line(format!("* XYZZY {PLANTED}")),
        line(format!("* GENURLAUTH {PLANTED}")),
        line(format!("* URLFETCH \"x\" \"{PLANTED}\"")),
        line(format!("* LANGUAGE ({PLANTED})")),
        line(format!("* CONVERTED (TAG \"a\") ({PLANTED})")),
        line(format!("* METADATA \"\" (/private/comment \"{PLANTED}\")")),
        line(format!("* QUOTA {PLANTED} ()")),
        line(format!("* ACL {PLANTED}")),
        line(format!("* ID (\"x\" \"{PLANTED}\")")),
        line(format!("* ESEARCH (TAG \"m77\") UID ALL 1 {PLANTED}")),
        line(format!("* OK {PLANTED}\0")),
        line(format!("* OK {PLANTED}\rx")),
        format!("* OK {PLANTED}\n").into_bytes(),
        line(format!("* LIST () \"/\" {{99999999999999999999}}\r\n{PLANTED}")),
        line(format!("* LIST () \"/\" {{4294967295}}\r\n{PLANTED}")),
        line(format!("* LIST {}{PLANTED}", "(".repeat(4000))),
        line(format!("* LIST {}{PLANTED}", "()".repeat(4000))),
        line(format!("* 1 FETCH (BODYSTRUCTURE {}{PLANTED}", "(".repeat(4000))),
        line(format!("* 1 FETCH (ENVELOPE {}{PLANTED}", ")".repeat(4000))),
    ];
    all.push([b"* LIST ".to_vec(), PLANTED.as_bytes().to_vec(), vec![b'x'; 1024 * 1024]].concat());
    all.push([b"* ".to_vec(), PLANTED.as_bytes().to_vec(), vec![b' '; 1024 * 1024]].concat());
    all
}

fn at(point: &[&str], conf: Settings) -> ImapPair {
    let mut pair = ImapPair::new(conf, Language::En, Cut::Whole);
    for _ in 0..8 {
        pair.judgements.push_back(Judgement::Defer("1".into()));
    }
    if point.iter().any(|step| step.contains("APPEND")) {
        pair.judgements.push_front(Judgement::Clean);
    }
    for step in point {
        let (side, text) = step.split_at(1);
        // One character of a script is one octet on the wire.
        let mut bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        bytes.extend(b"\r\n");
        pair.send(if side == "C" { Side::Client } else { Side::Server }, &bytes);
    }
    assert_eq!(pair.record.fault, None, "{point:?}");
    pair
}

fn shows(pair: &ImapPair) -> bool {
    pair.record.client.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes())
}

#[test]
fn content_that_nobody_asked_for_reaches_no_client_at_any_point() {
    for (point, steps) in POINTS {
        for planted in content() {
            let mut pair = at(steps, settings());
            pair.send(Side::Server, &planted);
            let what = format!("{point}: {}", planted.escape_ascii());
            assert!(!shows(&pair), "{what}");
            // Where a mail was asked for, `BODY[]` is one, and in the middle of a mail everything is part of it.
            let legitimate = matches!(*point, "in a mail" | "content" | "behind a mail");
            match &pair.record.fault {
                Some(fault) => assert_eq!(fault.side, Side::Server, "{what}"),
                None => assert!(legitimate, "{what}: {:?}", pair.record.events),
            }
        }
    }
}

#[test]
fn what_no_server_says_ends_the_session_and_the_fault_tells_where() {
    for (point, steps) in POINTS.iter().filter(|(point, _)| *point != "in a mail") {
        for planted in nonsense() {
            let mut pair = at(steps, settings());
            let before: usize =
                steps.iter().filter(|step| step.starts_with('S')).map(|step| step.len() + 1).sum();
            pair.send(Side::Server, &planted);
            let shown = &planted[..planted.len().min(60)];
            let what = format!("{point}: {}", shown.escape_ascii());
            assert!(!shows(&pair), "{what}");
            let fault = pair.record.fault.as_ref();
            // A list of its own may come with a mailbox that is opened; its name goes no further than this.
            let fault = fault.unwrap_or_else(|| unreachable!("{what}: {:?}", pair.record.events));
            assert_eq!(fault.side, Side::Server, "{what}");
            let end = before + planted.len();
            let offset = usize::try_from(fault.offset).unwrap();
            assert!((before..=end).contains(&offset), "{what}: at {offset} of {before}..{end}");
        }
    }
}

#[test]
fn metadata_that_nobody_asked_for_is_left_out() {
    let told = format!(
        "* 1 FETCH (FLAGS (\\Seen) ENVELOPE (NIL \"{PLANTED}\" NIL NIL NIL NIL NIL NIL NIL NIL) BODYSTRUCTURE (\"text\" \"{PLANTED}\" \
         NIL NIL NIL \"7bit\" 1 1) RFC822.SIZE 5)\r\n"
    );
    for (point, steps) in POINTS.iter().filter(|(_, steps)| steps.contains(&"Sm2 OK")) {
        let mut pair = at(steps, settings());
        pair.send(Side::Server, told.as_bytes());
        assert!(!shows(&pair), "{point}");
        assert_eq!(pair.record.fault, None, "{point}");
    }
}

/// Commands as a server would count them: a line, its literals, and the lines behind them.
fn commands(wire: &[u8]) -> Vec<Vec<u8>> {
    let mut commands = Vec::new();
    let mut command = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let line = &rest[..end];
        rest = &rest[end..];
        command.extend_from_slice(line);
        let inside = line.strip_suffix(b"}\r\n").map(|line| line.strip_suffix(b"+").unwrap_or(line));
        let digits = inside.and_then(|line| line.rsplit(|byte| *byte == b'{').next());
        match digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok()) {
            Some(size) => {
                let (literal, behind) = rest.split_at(size.min(rest.len()));
                command.extend_from_slice(literal);
                rest = behind;
            }
            None => commands.push(std::mem::take(&mut command)),
        }
    }
    commands
}

#[test]
fn whatever_stands_in_an_argument_the_server_sees_one_command() {
    // `@` is where the argument goes.
    const PLACES: &[&str] = &[
        "LOGIN @ x",
        "LOGIN x @",
        "SELECT @",
        "CREATE @",
        "RENAME @ x",
        "RENAME x @",
        "LIST @ x",
        "LIST x @",
        "STATUS @ (MESSAGES)",
        "SEARCH SUBJECT @",
        "SEARCH HEADER @ x",
        "ID (\"x\" @)",
        "SETACL x @ lr",
        "GETQUOTA @",
        "SETMETADATA x (/private/comment @)",
        "APPEND @ {1+}\r\nx",
        "UID COPY 1 @",
        "UID MOVE 1 @",
        "GETMETADATA @ /private/comment",
        "SUBSCRIBE @",
    ];
    const PATTERNS: &[&[u8]] = &[
        b"x\r\nzz DELETE INBOX",
        b"\r\nzz DELETE INBOX\r\n",
        b"x\nzz DELETE INBOX\n",
        b"x\rzz DELETE INBOX\r",
        b"x\0\r\nzz DELETE INBOX",
        b"x\" \"y",
        b"x\\\"",
        b"\\",
        b"{5}",
        b"{5+}\r\nzz DELETE INBOX",
        b"~{5+}\r\n",
        b"x {10}\r\nzz DELETE INBOX",
        b"\xff\xfe\r\nzz DELETE INBOX",
        b"\x80",
        b"\x1b[2J",
        b"(",
        b")",
        b"%*",
        b"NIL",
        b"",
        b" ",
        b"x y",
        b"]",
        b"\r\n\r\n",
        b"+",
        b"\xe2\x80\xa8zz DELETE INBOX",
    ];
    for place in PLACES {
        for pattern in PATTERNS {
            for (capability, kind) in [
                ("IMAP4rev1", ""),
                ("IMAP4rev1 LITERAL+", ""),
                ("IMAP4rev1 LITERAL-", ""),
                ("IMAP4rev1 LITERAL+", "~"),
            ] {
                let mut pair = ImapPair::new(settings(), Language::En, Cut::Random(77));
                pair.send(Side::Server, format!("* OK [CAPABILITY {capability}] ready\r\n").as_bytes());
                let login = place.starts_with("LOGIN");
                if !login {
                    pair.send(Side::Client, b"a0 LOGIN u p\r\n");
                    pair.send(Side::Server, b"m1 OK\r\n");
                }
                let start = pair.record.server.len();
                let literal = [format!("{kind}{{{}+}}\r\n", pattern.len()).as_bytes(), pattern].concat();
                let (before, behind) = place.split_once('@').unwrap();
                let command = [b"a1 ", before.as_bytes(), &literal, behind.as_bytes(), b"\r\n"].concat();
                pair.send(Side::Client, &command);
                for _ in 0..5 {
                    // Only a server that was asked says `+`.
                    if pair.record.server.ends_with(b"}\r\n") && !pair.record.server.ends_with(b"+}\r\n") {
                        pair.send(Side::Server, b"+ go\r\n");
                    }
                }
                let wire = &pair.record.server[start..];
                let what =
                    format!("{place} {} {capability}: {}", pattern.escape_ascii(), wire.escape_ascii());
                let seen = commands(wire);
                assert!(seen.len() <= 1, "{what}");
                // In the octets of a pattern it may stand.
                let unasked = kind == "~" && wire.starts_with(b"m2 ") && {
                    let line = wire.split(|octet| *octet == b'\r').next().unwrap_or_default();
                    line.ends_with(b"+}") && line.windows(2).any(|two| two == b"~{")
                };
                assert!(!unasked, "{what}: the server may not know `~{{n+}}`");
                let tag: &[u8] = if login { b"m1 " } else { b"m2 " };
                assert!(
                    seen.iter().all(|command| command.starts_with(tag) && command.ends_with(b"\r\n")),
                    "{what}"
                );
                let refused = pair.record.client.windows(6).any(|window| window == b"a1 BAD");
                assert!(
                    seen.len() == 1 || refused || pair.record.fault.is_some(),
                    "{what}: neither sent nor refused"
                );
                assert!(!(seen.len() == 1 && refused), "{what}: both");
            }
        }
    }
}

#[test]
fn nul_and_bare_line_ends_in_a_clients_line_end_the_session_or_the_command() {
    for (index, line) in [
        &b"a1 SELECT x\0y\r\n"[..],
        b"a1\0 NOOP\r\n",
        b"a1 SELECT \"x\ry\"\r\n",
        b"\0\r\n",
        b"a1 LOGIN {2\0}\r\n",
    ]
    .iter()
    .enumerate()
    {
        let mut pair = at(POINTS[4].1, settings());
        let before = pair.record.server.len();
        pair.send(Side::Client, line);
        let fault = pair.record.fault.as_ref().unwrap();
        assert_eq!((fault.side, fault.what), (Side::Client, "NUL or a bare CR in a line"), "{index}");
        assert_eq!(pair.record.server.len(), before, "{index}");
    }
}

#[test]
fn octets_behind_starttls_in_one_write_end_the_session_unanswered() {
    for ahead in [&b""[..], b"a0 NOOP\r\n"] {
        for behind in [&b"a2 LOGIN u p\r\n"[..], b"\r\n", b"\0", b"\x16\x03\x01"] {
            let mut pair = ImapPair::secured_as(
                settings(),
                Language::En,
                Greeted::ByServer,
                Security::Offered,
                Cut::Whole,
            );
            pair.send(Side::Server, b"* OK ready\r\n");
            let before = pair.record.client.len();
            pair.send(Side::Client, &[ahead, b"a1 STARTTLS\r\n", behind].concat());
            if !ahead.is_empty() {
                assert!(pair.record.fault.is_none(), "it waits for what was asked before");
                pair.send(Side::Server, b"m1 OK done\r\n");
            }
            let fault = pair.record.fault.as_ref().unwrap();
            assert_eq!((fault.side, fault.what), (Side::Client, "octets behind STARTTLS"));
            let told = &pair.record.client[before..];
            assert!(!told.windows(5).any(|window| window == b"begin"), "{}", told.escape_ascii());
            assert!(!pair.record.server.windows(5).any(|window| window == b"LOGIN"));
        }
    }
}

#[test]
fn a_hundred_commands_at_once_keep_their_order_and_tags() {
    for cut in [Cut::Whole, Cut::Bytes, Cut::Random(5)] {
        let mut pair = ImapPair::new(settings(), Language::En, cut);
        pair.send(Side::Server, b"* OK ready\r\n");
        pair.send(Side::Client, b"a LOGIN u p\r\n");
        pair.send(Side::Server, b"m1 OK\r\n");
        let start = (pair.record.client.len(), pair.record.server.len());
        let asked: String = (0..500).map(|number| format!("t{number} NOOP\r\n")).collect();
        pair.send(Side::Client, asked.as_bytes());
        let mut answered = 0;
        while answered < 500 {
            let sent = String::from_utf8(pair.record.server[start.1..].to_vec()).unwrap();
            let open: Vec<String> = sent.lines().skip(answered).map(str::to_owned).collect();
            assert!(open.len() >= 100.min(500 - answered), "a hundred are on their way");
            let mut answers = String::new();
            for line in &open {
                answers += &format!("{} OK done\r\n", line.split_once(' ').unwrap().0);
            }
            answered += open.len();
            pair.send(Side::Server, answers.as_bytes());
        }
        let expected: String = (0..500).map(|number| format!("t{number} OK done\r\n")).collect();
        assert_eq!(String::from_utf8(pair.record.client[start.0..].to_vec()).unwrap(), expected);
    }
}

#[test]
fn a_command_may_have_64_kib_and_not_an_octet_more() {
    let set: Vec<String> = (1..12_000).step_by(2).map(|uid| uid.to_string()).collect();
    let command = format!("a UID FETCH {} (FLAGS)", set.join(","));
    for cut in [Cut::Whole, Cut::Random(3)] {
        for fits in [true, false] {
            let mut conf = settings();
            conf.rules.imap.cmd_line_len = 64 * 1024;
            let mut pair = ImapPair::new(conf, Language::En, cut);
            for (side, line) in
                [(Side::Server, "* OK"), (Side::Client, "a LOGIN u p"), (Side::Server, "m1 OK")]
            {
                pair.send(side, format!("{line}\r\n").as_bytes());
            }
            let before = pair.record.server.len();
            // Blanks at the end of a command count, and say nothing.
            let length = 64 * 1024 - usize::from(fits) - 1;
            pair.send(Side::Client, format!("{command:<length$}\r\n").as_bytes());
            let sent = &pair.record.server[before..];
            if fits {
                assert_eq!(sent, format!("m2{}\r\n", &command[1..]).as_bytes(), "{:?}", pair.record.fault);
            } else {
                assert!(sent.is_empty(), "{} octets", sent.len());
                let fault = pair.record.fault.as_ref().unwrap();
                assert_eq!((fault.side, fault.what), (Side::Client, "a line over cmd-line-len"));
            }
        }
    }
}
