//! A mailbox whose messages are expunged by others at any time, a server that tells of it where RFC 3501 section 7.4.1 lets it, and a
//! client that asks by numbers and by UIDs: numbers mean the same mails to all three, whatever Mailward asks in between.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a surprise is a failed test"
)]
mod pair;

use pair::{Cut, ImapPair, Judgement, settings};
use policy::names::Language;
use std::collections::BTreeSet;
use worker_proto::machine::Side;

/// xorshift64
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound.max(1)
    }
}

/// What the server has.
#[derive(Default)]
struct Server {
    /// UIDs, as the session numbers them.
    view: Vec<u32>,
    /// Gone, and not yet told.
    gone: Vec<u32>,
    seen: BTreeSet<u32>,
    /// Octets of its commands that were read.
    read: usize,
}

impl Server {
    fn tell(&mut self, answers: &mut String) {
        for uid in std::mem::take(&mut self.gone) {
            if let Some(at) = self.view.iter().position(|here| *here == uid) {
                self.view.remove(at);
                *answers += &format!("* {} EXPUNGE\r\n", at + 1);
            }
        }
    }

    /// The places in the view that a set means.
    fn meant(&self, set: &str, by_uid: bool) -> Vec<usize> {
        let ranges: Vec<(u32, u32)> = set
            .split(',')
            .map(|range| range.split_once(':').unwrap_or((range, range)))
            .map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()))
            .collect();
        (0..self.view.len())
            .filter(|at| {
                let number = if by_uid { self.view[*at] } else { u32::try_from(*at).unwrap() + 1 };
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
            })
            .collect()
    }

    fn answer(&mut self, line: &str) -> String {
        let (tag, rest) = line.split_once(' ').unwrap();
        let (by_uid, rest) = rest.strip_prefix("UID ").map_or((false, rest), |rest| (true, rest));
        let words: Vec<&str> = rest.splitn(3, ' ').collect();
        let mut answers = String::new();
        match words[0] {
            "FETCH" => {
                for at in self.meant(words[1], by_uid) {
                    let uid = self.view[at];
                    let flags = if self.seen.contains(&uid) { "\\Seen" } else { "" };
                    answers += &format!("* {} FETCH (UID {uid} FLAGS ({flags})", at + 1);
                    if words[2].contains("RFC822.SIZE") {
                        answers += &format!(" RFC822.SIZE {}", 1000 + uid);
                    }
                    if words[2].contains("ENVELOPE") {
                        answers += &format!(" ENVELOPE (NIL \"server {uid}\"{})", " NIL".repeat(8));
                    }
                    if words[2].contains("BODY.PEEK[]") {
                        answers += &format!(" BODY[] \"mail {uid}\"");
                    }
                    answers += ")\r\n";
                }
            }
            "STORE" => {
                assert_eq!(words[2], "+FLAGS.SILENT (\\Seen)", "{line}");
                for at in self.meant(words[1], by_uid) {
                    self.seen.insert(self.view[at]);
                }
            }
            "NOOP" => {}
            _other => panic!("{line}"),
        }
        if by_uid || words[0] == "NOOP" {
            self.tell(&mut answers);
        }
        answers + tag + " OK done\r\n"
    }
}

/// What the client knows.
struct Client {
    view: Vec<u32>,
    /// Octets that it was told and that were read.
    read: usize,
    /// Commands that were not answered: by numbers or not, and whether they set \Seen where they ask for content.
    open: Vec<(String, bool, Option<bool>)>,
    commands: usize,
    /// Mails that it read so that the server sets \Seen.
    opened: BTreeSet<u32>,
    /// Mails of which it has read anything.
    read_once: BTreeSet<u32>,
    pipelines: bool,
}

/// Every third mail is served as something else.
const fn is_replaced(uid: u32) -> bool {
    uid.is_multiple_of(3)
}

/// What it is served as.
fn served(uid: u32) -> String {
    if is_replaced(uid) { format!("a notice of {uid}") } else { format!("mail {uid}") }
}

/// The scanner answers about one of the mails that it has.
fn judge(pair: &mut ImapPair, at: usize) {
    let text = String::from_utf8(pair.scanning[at].1.clone()).unwrap();
    let uid = text.rsplit(' ').next().unwrap().parse().unwrap();
    let judgement =
        if is_replaced(uid) { Judgement::Changed(served(uid).into_bytes()) } else { Judgement::Clean };
    pair.judgements.push_back(judgement);
    pair.judge(at);
}

impl Client {
    fn hear(&mut self, told: &[u8], what: &str) {
        let text = std::str::from_utf8(&told[self.read..]).unwrap();
        let mut lines = text.split_inclusive("\r\n");
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.trim_end().split(' ').collect();
            match words.as_slice() {
                ["*", number, "EXPUNGE"] => {
                    let at: usize = number.parse().unwrap();
                    assert!(at <= self.view.len(), "{what}: {line}");
                    self.view.remove(at - 1);
                    let by_number = self.open.first().is_some_and(|(_, by_number, _)| *by_number);
                    assert!(self.pipelines || !by_number, "{what}: EXPUNGE within a FETCH by number");
                    assert!(!self.open.is_empty(), "{what}: EXPUNGE out of nowhere");
                }
                ["*", number, "FETCH", ..] if line.contains("{") => {
                    let content = lines.next().unwrap().trim_end().trim_end_matches(')');
                    let uid = self.view[number.parse::<usize>().unwrap() - 1];
                    assert_eq!(content, served(uid), "{what}: {line}");
                    self.read_once.insert(uid);
                    // What asks for content is answered in its order.
                    if self.open.iter().find_map(|(_, _, sets_seen)| *sets_seen).unwrap() {
                        self.opened.insert(uid);
                    }
                }
                ["*", number, "FETCH", ..] => {
                    let uid = self.view[number.parse::<usize>().unwrap() - 1];
                    // Of others it may come from either; and what was asked for before the mail was read is told as it was then.
                    if is_replaced(uid) && self.read_once.contains(&uid) && !self.pipelines {
                        if let Some(at) = words.iter().position(|word| word.ends_with("RFC822.SIZE")) {
                            let told = words[at + 1].trim_end_matches(')');
                            assert_eq!(told, served(uid).len().to_string(), "{what}: of UID {uid}: {line}");
                        }
                        assert!(!line.contains("server"), "{what}: of UID {uid}: {line}");
                    }
                }
                ["*", "OK", "Still", "here"] => {}
                [tag, "OK", ..] => {
                    let at = self.open.iter().position(|(open, ..)| open == tag);
                    self.open.remove(at.unwrap_or_else(|| panic!("{what}: {line}")));
                }
                _other => panic!("{what}: {line}"),
            }
        }
        self.read = told.len();
    }
}

fn play(seed: u64, pipelines: bool) {
    let what = format!("seed {seed}, pipelines {pipelines}");
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut pair = ImapPair::new(settings(), Language::En, Cut::Random(seed | 1));
    pair.busy = true;
    for (side, line) in [
        (Side::Server, "* OK"),
        (Side::Client, "a LOGIN u p"),
        (Side::Server, "m1 OK"),
        (Side::Client, "b SELECT INBOX"),
        (Side::Server, "* 9 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nm2 OK [READ-WRITE]"),
    ] {
        pair.send(side, format!("{line}\r\n").as_bytes());
    }
    let view: Vec<u32> = (11..20).collect();
    let mut server = Server { view: view.clone(), read: pair.record.server.len(), ..Server::default() };
    let mut client = Client {
        view,
        read: pair.record.client.len(),
        open: Vec::new(),
        commands: 0,
        opened: BTreeSet::new(),
        read_once: BTreeSet::new(),
        pipelines,
    };
    for round in 0..80 {
        let ends = round >= 60;
        match dice.below(6) {
            0 if !server.view.is_empty() && !ends => {
                let uid = server.view[dice.below(server.view.len())];
                server.gone.push(uid);
            }
            1 if !pair.scanning.is_empty() => {
                let at = dice.below(pair.scanning.len());
                judge(&mut pair, at);
            }
            2 | 3 => {
                let told = String::from_utf8(pair.record.server[server.read..].to_vec()).unwrap();
                if let Some((line, _)) = told.split_once("\r\n") {
                    server.read += line.len() + 2;
                    let answer = server.answer(line);
                    pair.send(Side::Server, answer.as_bytes());
                }
            }
            _asks if !ends && (client.open.is_empty() || (pipelines && client.open.len() < 4)) => {
                client.commands += 1;
                let tag = format!("t{}", client.commands);
                let item = ["BODY[]", "BODY.PEEK[]", "(RFC822.SIZE)", "(FLAGS ENVELOPE)"][dice.below(4)];
                let last = client.view.last().copied().unwrap_or(1);
                let (command, by_number) = match dice.below(3) {
                    0 if !client.view.is_empty() => {
                        (format!("FETCH {} {item}", 1 + dice.below(client.view.len())), true)
                    }
                    1 => (format!("UID FETCH {}:{last} {item}", 11 + dice.below(9)), false),
                    _noop => ("NOOP".to_owned(), false),
                };
                // Behind an EXPUNGE that is on its way a number is somebody else's: such a client is not this one's concern.
                if !(by_number && pipelines && !client.open.is_empty()) {
                    let sets_seen = command.contains("BODY").then(|| command.ends_with("BODY[]"));
                    client.open.push((tag.clone(), by_number, sets_seen));
                    pair.send(Side::Client, format!("{tag} {command}\r\n").as_bytes());
                }
            }
            _nothing => {}
        }
        assert_eq!(pair.record.fault, None, "{what}");
        client.hear(&pair.record.client, &what);
    }
    // What is left is answered.
    for _ in 0..200 {
        while !pair.scanning.is_empty() {
            judge(&mut pair, 0);
        }
        let told = String::from_utf8(pair.record.server[server.read..].to_vec()).unwrap();
        let Some((line, _)) = told.split_once("\r\n") else { break };
        server.read += line.len() + 2;
        let answer = server.answer(line);
        pair.send(Side::Server, answer.as_bytes());
    }
    client.hear(&pair.record.client, &what);
    assert!(client.open.is_empty(), "{what}: {:?} {}", client.open, pair.machine_debug());
    let wrong: Vec<&u32> = server.seen.difference(&client.opened).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?} are seen, and nobody read them");
    let missed: Vec<&u32> =
        client.opened.difference(&server.seen).filter(|uid| server.view.contains(uid)).collect();
    assert!(missed.is_empty(), "{what}: {missed:?} were read, and are not seen");
}

#[test]
fn numbers_mean_the_same_mails_to_client_proxy_and_server() {
    (1..1500).for_each(|seed| play(seed, false));
}

#[test]
fn numbers_do_so_also_to_a_client_that_does_not_wait() {
    (1..1500).for_each(|seed| play(seed, true));
}

#[test]
fn a_large_answer_behind_a_fetch_that_sets_seen_is_heard_to_its_end() {
    let mut pair = ImapPair::new(settings(), Language::En, Cut::Whole);
    pair.busy = true;
    for (side, line) in [
        (Side::Server, "* OK"),
        (Side::Client, "a LOGIN u p"),
        (Side::Server, "m1 OK"),
        (Side::Client, "b SELECT INBOX"),
        (Side::Server, "* OK [UIDVALIDITY 7]\r\nm2 OK [READ-WRITE]"),
        (Side::Client, "c UID FETCH 11 BODY[]\r\nd FETCH 1:* FLAGS"),
        (Side::Server, "* 1 FETCH (UID 11 FLAGS () BODY[] \"mail\")\r\nm3 OK"),
    ] {
        pair.send(side, format!("{line}\r\n").as_bytes());
    }
    // More than waits anywhere.
    let listing: String =
        (1..80_000).map(|number| format!("* {number} FETCH (FLAGS (\\Seen))\r\n")).collect();
    pair.send(Side::Server, format!("{listing}m4 OK\r\n").as_bytes());
    pair.judge(0);
    assert!(pair.record.server.ends_with(b"m5 UID STORE 11 +FLAGS.SILENT (\\Seen)\r\n"));
    pair.send(Side::Server, b"m5 OK\r\n");
    let told = String::from_utf8_lossy(&pair.record.client);
    assert!(told.contains("\r\nc OK OK\r\n* 1 FETCH (FLAGS (\\Seen))\r\n"), "the end stays where it was");
    assert!(told.ends_with("* 79999 FETCH (FLAGS (\\Seen))\r\nd OK OK\r\n"), "all of it was told");
}
