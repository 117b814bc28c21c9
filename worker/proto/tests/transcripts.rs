//! Every file of `transcripts/` is a session: what each peer sends and what each must see. It is replayed with
//! whole writes, byte by byte and with random cuts, and must come out the same each time.
//!
//! A line is a directive and its argument; `\r \n \0 \xNN` are escapes:
//!
//! ```text
//! C: S:       the client, the server sends this line and CRLF (neighbours of one side go in one write)
//! C- S-       the same without CRLF
//! c: s:       the client, the server must have received this line (all `c:` up to the next other directive, exactly)
//! c- s-       the same without CRLF
//! @login      greeting and USER/PASS as "alice", without checks worth reading twice
//! @language l of our own answers, where it is not `en`
//! @security s  TLS with the client: offered, required, secured       @greeted us   the server greeted before its TLS
//! @secured    the client shook hands, after the event StartTls
//! @set k v    settings, before anything is sent       @verdict clean|changed …|deny …|defer …   of the next mail
//! @changed u n  the index holds UIDL u with length n   @learn u n  …and learns of it later
//! @unrecorded the index of changed mails takes no more
//! @forget     the driver drops the copies it holds     @advance s   seconds pass
//! @eof C|S    that side ends                           @kick
//! spool: …    what the last mail left in the spool     event: …     this event has come since the last `event:`
//! fault: …    side, offset and what, of the fault
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a transcript that cannot be read is a failed test"
)]
mod pair;

use pair::{Cut, Judgement, Pair, Record, settings, unescape};
use policy::list::NameList;
use policy::names::Language;
use std::path::Path;
use std::time::Duration;
use worker_proto::machine::{Changed, Greeted, Security, Settings, Side};

const LOGIN: &str = "S: +OK ready\nc: +OK ready\nC: USER alice\ns: USER alice\nS: +OK\nc: +OK\nC: PASS secret word\n\
                     s: PASS secret word\nS: +OK hello\nc: +OK hello\nevent: LoggedIn { user: \"alice\" }";

#[test]
fn every_transcript_comes_out_the_same_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 40, "{} transcripts", files.len());
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap().replace("@login", LOGIN);
        match std::panic::catch_unwind(|| replay_all(&text)) {
            Ok(()) => {}
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                failures.push(format!("{name}: {words}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn replay_all(text: &str) {
    let whole = replay(text, Cut::Whole);
    let bytes = replay(text, Cut::Bytes);
    assert_eq!(whole, bytes, "byte by byte differs");
    for seed in 1..20 {
        assert_eq!(whole, replay(text, Cut::Random(seed * 0x9e37_79b9)), "random cut {seed} differs");
    }
}

fn replay(text: &str, cut: Cut) -> Record {
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    let mut conf = settings();
    for (_, line) in &lines {
        if let Some(setting) = line.strip_prefix("@set ") {
            set(&mut conf, setting);
        }
    }
    let language = lines.iter().find_map(|(_, line)| line.strip_prefix("@language "));
    let language = language.map_or(Language::En, language_named);
    let security = lines.iter().find_map(|(_, line)| line.strip_prefix("@security "));
    let security = match security {
        None => Security::Clear,
        Some("offered") => Security::Offered,
        Some("required") => Security::Required,
        Some("secured") => Security::Secured,
        Some(other) => panic!("security {other}"),
    };
    let by_us = lines.iter().any(|(_, line)| *line == "@greeted us");
    let greeted = if by_us { Greeted::ByUs } else { Greeted::ByServer };
    let mut pair = Pair::secured_as(conf, language, greeted, security, cut);
    let mut seen = Seen::default();
    let mut at = 0;
    while at < lines.len() {
        let (number, line) = lines[at];
        let kind = directive(line);
        // Neighbours of one kind are one write, or one expectation.
        let mut bytes = Vec::new();
        let mut next = at;
        while next < lines.len() && kind.is_some() && directive(lines[next].1) == kind {
            let text = lines[next].1.get(2..).unwrap().strip_prefix(' ').unwrap_or_default();
            bytes.extend(unescape(text));
            if lines[next].1.as_bytes()[1] == b':' {
                bytes.extend(b"\r\n");
            }
            next += 1;
        }
        match kind {
            Some('C') => pair.send(Side::Client, &bytes),
            Some('S') => pair.send(Side::Server, &bytes),
            Some('c') => seen.client(number, &bytes, &pair.record),
            Some('s') => seen.server(number, &bytes, &pair.record),
            _other => {
                other(number, line, &mut pair, &mut seen);
                next = at + 1;
            }
        }
        at = next;
    }
    seen.client(0, b"", &pair.record);
    seen.server(0, b"", &pair.record);
    assert!(pair.record.fault.is_none() || seen.fault, "fault: {:?}", pair.record.fault);
    pair.record
}

fn directive(line: &str) -> Option<char> {
    let mut chars = line.chars();
    let first = chars.next().filter(|c| matches!(c, 'C' | 'S' | 'c' | 's'))?;
    matches!(chars.next(), Some(':' | '-')).then_some(first)
}

#[derive(Default)]
struct Seen {
    client: usize,
    server: usize,
    events: usize,
    fault: bool,
}

impl Seen {
    fn client(&mut self, line: usize, expected: &[u8], record: &Record) {
        check(line, "client", expected, &record.client[self.client..], record);
        self.client = record.client.len();
    }

    fn server(&mut self, line: usize, expected: &[u8], record: &Record) {
        check(line, "server", expected, &record.server[self.server..], record);
        self.server = record.server.len();
    }
}

fn check(line: usize, who: &str, expected: &[u8], got: &[u8], record: &Record) {
    assert!(
        expected == got,
        "line {line}: the {who} should have got\n  {:?}\nand got\n  {:?}\nfault {:?} events {:?}",
        String::from_utf8_lossy(expected),
        String::from_utf8_lossy(got),
        record.fault,
        record.events,
    );
}

fn other(number: usize, line: &str, pair: &mut Pair, seen: &mut Seen) {
    let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "@language" | "@security" | "@greeted" | "@set" => {}
        "@secured" => pair.secured(),
        "@verdict" => {
            let (kind, text) = argument.split_once(' ').unwrap_or((argument, ""));
            pair.judgements.push_back(match kind {
                "clean" => Judgement::Clean,
                "changed" => Judgement::Changed(unescape(text)),
                "deny" => Judgement::Deny(text.to_owned()),
                "defer" => Judgement::Defer(text.to_owned()),
                other => panic!("line {number}: verdict {other}"),
            });
        }
        "@changed" => pair.changed.push(changed(argument)),
        "@learn" => pair.learn(&[changed(argument)]),
        "@unrecorded" => pair.unrecorded = true,
        "@forget" => pair.held.clear(),
        "@advance" => pair.advance(Duration::from_secs(argument.parse().unwrap())),
        "@eof" => pair.end(if argument == "C" { Side::Client } else { Side::Server }),
        "@kick" => pair.kick(),
        "spool:" => {
            let spooled = pair.record.spooled.last().map(|mail| mail.escape_ascii().to_string());
            assert_eq!(
                spooled.as_deref(),
                Some(unescape(argument).escape_ascii().to_string().as_str()),
                "line {number}"
            );
        }
        "event:" => {
            let words: Vec<String> = pair.record.events[seen.events..]
                .iter()
                .map(|event| readable(&format!("{event:?}")))
                .collect();
            let found = words.iter().position(|event| event == argument);
            let found = found.unwrap_or_else(|| panic!("line {number}: no {argument} in {words:?}"));
            seen.events += found + 1;
        }
        "fault:" => {
            let fault = pair.record.fault.as_ref().unwrap_or_else(|| panic!("line {number}: no fault"));
            assert_eq!(
                format!("{:?} {} {}", fault.side, fault.offset, fault.what),
                argument,
                "line {number}"
            );
            seen.fault = true;
        }
        other => panic!("line {number}: unknown directive {other}"),
    }
}

/// Byte strings of a `Debug` text as text.
fn readable(debug: &str) -> String {
    let mut text = String::new();
    let mut rest = debug;
    while let Some(at) = rest.find('[') {
        let end = at + rest[at..].find(']').unwrap();
        let bytes: Vec<u8> = rest[at + 1..end].split(", ").filter_map(|number| number.parse().ok()).collect();
        text += &rest[..at];
        text += &format!("\"{}\"", bytes.escape_ascii());
        rest = &rest[end + 1..];
    }
    text + rest
}

fn changed(argument: &str) -> Changed {
    let (uidl, length) = argument.split_once(' ').unwrap();
    Changed { uidl: uidl.into(), length: length.parse().unwrap() }
}

fn language_named(name: &str) -> Language {
    Language::ALL.into_iter().find(|language| language.to_string() == name).expect("a language")
}

fn set(conf: &mut Settings, setting: &str) {
    let (key, value) = setting.split_once(' ').expect("@set key value");
    let number = || value.parse::<u64>().unwrap();
    let seconds = || Duration::from_secs(number());
    match key {
        "scan" => conf.rules.download.scan = value == "on",
        "commands" => conf.rules.commands = NameList::new(value.split(' ')),
        "capabilities" => conf.rules.capabilities = NameList::new(value.split(' ')),
        "refuse-delete" => conf.refuse_delete = value == "on",
        "max-mail" => conf.rules.download.max_mail = number(),
        "mail-line-len" => conf.rules.download.mail_line_len = value.parse().unwrap(),
        "cmd-line-len" => conf.rules.cmd_line_len = value.parse().unwrap(),
        "resp-line-len" => conf.rules.resp_line_len = value.parse().unwrap(),
        "max-bytes-in" => conf.rules.max_bytes_in = number(),
        "max-bytes-out" => conf.rules.max_bytes_out = number(),
        "max-time" => conf.rules.max_time = Some(seconds()),
        "idle-timeout" => conf.rules.idle_timeout = seconds(),
        "deadline" => conf.login.deadline = seconds(),
        "failure-delay" => conf.login.failure_delay = seconds(),
        "failure-limit" => conf.login.failure_limit = value.parse().unwrap(),
        "bad-command-limit" => conf.login.bad_command_limit = value.parse().unwrap(),
        other => panic!("setting {other}"),
    }
}
