//! Transcripts and how they are replayed.
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
//! @greeted late the client's name decides the server: `@server greets|greeted` connects it, `@no-server denied|unreachable`
//! @welcome t  …and is greeted by the listener's words    @announce a b  of which capabilities the client is told before it logs in
//! @secured    the client shook hands, after the event StartTls
//! @set k v    settings, before anything is sent       @verdict clean|changed …|deny …|defer …   of the next mail
//! @changed u n  the index holds UIDL u with length n   @learn u n  …and learns of it later
//! @unrecorded the index of changed mails takes no more
//! @kept       the quarantine takes every original; `kept` behind a mail of @changed: it has this one
//! @keywords k the rules name these keywords, and every mail gets them
//! @forget     the driver drops the copies it holds     @advance s   seconds pass
//! @busy       the scanner answers only to @judge       @judge n     about the nth mail that it has, from 0
//! @scanned n m  it answers late: mail n is clean, and this
//! @reload k v other settings apply from here on
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
use crate::pair::{Cut, Judgement, Peers, Record, Start, settings, unescape};
use policy::list::NameList;
use policy::model::{ClientId, Welcome};
use policy::names::Language;
use std::time::Duration;
use texts::Answer;
use worker_proto::machine::{Changed, Greeted, Security, Settings, Side};

pub(crate) fn replay_all<M: Start>(text: &str) {
    let whole = replay::<M>(text, Cut::Whole);
    let bytes = replay::<M>(text, Cut::Bytes);
    assert_eq!(whole, bytes, "byte by byte differs");
    for seed in 1..20 {
        assert_eq!(whole, replay::<M>(text, Cut::Random(seed * 0x9e37_79b9)), "random cut {seed} differs");
    }
}

/// Where several mails are under way, what is said of one may come before or behind what is said of another.
fn in_some_order<M: Start>(mut record: Record) -> Record {
    if M::KEEPS_COPIES {
        record.events.sort_by_key(|event| format!("{event:?}"));
        // A copy of which nobody has heard any more is forgotten again.
        record.events.dedup();
    }
    record
}

fn replay<M: Start>(text: &str, cut: Cut) -> Record {
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
    let greeted = match lines.iter().find_map(|(_, line)| line.strip_prefix("@greeted ")) {
        None => Greeted::ByServer,
        Some("us") => Greeted::ByUs,
        Some("late") => Greeted::BeforeServer,
        Some(other) => panic!("greeted {other}"),
    };
    let mut reloaded = settings();
    for (_, line) in &lines {
        if let Some(setting) = line.strip_prefix("@set ") {
            set(&mut reloaded, setting);
        }
    }
    let find = |directive| lines.iter().find_map(|(_, line)| line.strip_prefix(directive));
    let announced = find("@announce ").map_or_else(NameList::default, |list| NameList::new(list.split(' ')));
    let greeting = find("@welcome ").unwrap_or_default().to_owned();
    let welcome = Welcome { greeting, capabilities: announced };
    let mut pair = Peers::<M>::welcomed(conf, language, greeted, security, cut, welcome);
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
                other(number, line, &mut reloaded, &mut pair, &mut seen);
                next = at + 1;
            }
        }
        at = next;
    }
    seen.client(0, b"", &pair.record);
    seen.server(0, b"", &pair.record);
    assert!(pair.record.fault.is_none() || seen.fault, "fault: {:?}", pair.record.fault);
    in_some_order::<M>(pair.record)
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

fn other<M: Start>(number: usize, line: &str, conf: &mut Settings, pair: &mut Peers<M>, seen: &mut Seen) {
    let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "@language" | "@security" | "@greeted" | "@welcome" | "@announce" | "@set" => {}
        "@secured" => pair.secured(),
        "@server" => pair.connect(match argument {
            "greets" => Greeted::ByServer,
            "greeted" => Greeted::ByUs,
            other => panic!("line {number}: server {other}"),
        }),
        "@no-server" => pair.no_server(match argument {
            "denied" => Answer::SessionDenied,
            "unreachable" => Answer::ServerUnreachable,
            other => panic!("line {number}: no server {other}"),
        }),
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
        "@busy" => pair.busy = true,
        "@judge" => pair.judge(argument.parse().unwrap()),
        "@scanned" => {
            let (mail, text) = argument.split_once(' ').unwrap();
            pair.scanned(mail.parse().unwrap(), &unescape(text), false);
        }
        "@reload" => {
            set(conf, argument);
            let mut settings = settings();
            settings.rules = conf.rules.clone();
            settings.login = conf.login.clone();
            settings.keywords = conf.keywords.clone();
            pair.reload(settings);
        }
        "@unrecorded" => pair.unrecorded = true,
        "@kept" => pair.kept = true,
        "@keywords" => pair.keywords = argument.split(' ').map(str::to_owned).collect(),
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
    let (argument, kept) = argument.strip_suffix(" kept").map_or((argument, false), |entry| (entry, true));
    let (uidl, length) = argument.split_once(' ').unwrap();
    Changed { uidl: uidl.into(), length: length.parse().unwrap(), kept }
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
        "scan-uploads" => conf.rules.upload.scan = value == "on",
        "max-upload" => conf.rules.upload.max_mail = number(),
        "imap-cmd-line-len" => conf.rules.imap.cmd_line_len = value.parse().unwrap(),
        "imap-resp-line-len" => conf.rules.imap.resp_line_len = value.parse().unwrap(),
        "imap-idle-timeout" => conf.rules.imap.idle_timeout = seconds(),
        "idle-heartbeat" => conf.rules.imap.idle_heartbeat = seconds(),
        "keywords" => conf.keywords = value.split(' ').map(str::to_owned).collect(),
        "login-disabled" => conf.login.disabled = value == "on",
        "ok-text" => conf.login.ok_text = value.to_owned(),
        "strict" => conf.rules.strict = value == "on",
        "strict-limit" => conf.rules.strict_limit = value.parse().unwrap(),
        "content-search" => conf.rules.imap.refuse_content_search = value == "refuse",
        "client-id" => {
            conf.rules.imap.client_id = match value {
                "pass" => ClientId::Pass,
                "replace" => ClientId::Replace,
                "strip" => ClientId::Strip,
                other => panic!("client-id {other}"),
            }
        }
        "copy-cache" => conf.copy_cache = number(),
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
