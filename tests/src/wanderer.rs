//! A client of IMAP that does one thing after the other at random, knows what each answer must be, and compares.
//!
//! Several share a mailbox. Each mail has one owner, who alone changes its flags, moves or removes it; anybody reads it. So
//! every client knows the flags of its own mails and the octets of all, whatever the others do meanwhile. What a mail must
//! look like is asked of the server itself, by a second connection without Mailward.
mod acts;
mod values;

use crate::imap_client::{Answer, Imap, Value, fetch_response};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
pub use values::{Seen, is_evil, mailbox};
use values::{flags_of, number_of, numbers};

/// What is shared: the octets of every mail of INBOX by its UID.
pub type Octets = Arc<Mutex<BTreeMap<u32, Arc<Vec<u8>>>>>;

/// How expunged messages are told: by number, or by UID (QRESYNC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Without extensions.
    Plain,
    /// ENABLE CONDSTORE.
    Condstore,
    /// ENABLE QRESYNC.
    Qresync,
}

/// In capitals.
pub type Flags = BTreeSet<String>;

/// One client.
#[derive(Debug)]
pub struct Wanderer {
    kind: Kind,
    /// Its folder, where nobody else puts anything.
    folder: String,
    client: Imap,
    direct: Imap,
    octets: Octets,
    /// UIDs by message number as far as it was told.
    view: Vec<Option<u32>>,
    /// The flags of its own mails.
    pub own: BTreeMap<u32, Flags>,
    /// What is in its folder, in order.
    pub filed: Vec<(Arc<Vec<u8>>, Flags)>,
    /// Of each UID the highest that it was told.
    modseqs: BTreeMap<u32, u64>,
    random: Random,
    said: VecDeque<String>,
    /// What it did, and how often.
    pub done: BTreeMap<&'static str, u64>,
}

/// Numbers that are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn half(&mut self) -> bool {
        self.below(2) == 0
    }

    fn of<'s, T>(&mut self, choices: &'s [T]) -> &'s T {
        &choices[self.below(choices.len())]
    }
}

impl Wanderer {
    /// Opens INBOX through Mailward at one address and, to compare, at the server's own.
    pub fn new(
        number: usize,
        kind: Kind,
        mailward: SocketAddr,
        server: SocketAddr,
        octets: &Octets,
        seed: u64,
    ) -> Self {
        let (client, mut direct) = (Imap::login(mailward), Imap::login(server));
        direct.ok("EXAMINE INBOX");
        let mut wanderer = Self {
            kind,
            folder: format!("Folder{number}"),
            client,
            direct,
            octets: Arc::clone(octets),
            view: Vec::new(),
            own: BTreeMap::new(),
            filed: Vec::new(),
            modseqs: BTreeMap::new(),
            random: Random::new(seed + u64::try_from(number).unwrap() * 1000 + 1),
            said: VecDeque::new(),
            done: BTreeMap::new(),
        };
        match kind {
            Kind::Plain => {}
            Kind::Condstore => drop(wanderer.client.ok("ENABLE CONDSTORE")),
            Kind::Qresync => drop(wanderer.client.ok("ENABLE QRESYNC")),
        }
        let create = format!("CREATE {}", wanderer.folder);
        wanderer.client.ok(&create);
        wanderer.select();
        wanderer
    }

    /// Takes over a mail that nobody has.
    pub fn adopt(&mut self, uid: u32) {
        self.own.insert(uid, Flags::new());
    }

    /// The last that it said and heard.
    pub fn story(&self) -> String {
        self.said.iter().fold(String::new(), |story, line| story + line + "\n")
    }

    /// Does something.
    pub fn step(&mut self) {
        let few = self.own.len() < 12;
        let many = self.own.len() > 40;
        let choice = self.random.below(100);
        let (name, act): (_, fn(&mut Self)) = match choice {
            0..=24 => ("FETCH of items", Self::compare_items),
            25..=32 => ("FETCH of a range", Self::fetch_range),
            33..=40 => ("FETCH that sets \\Seen", Self::read),
            41..=52 => ("STORE", Self::store),
            53..=57 => ("COPY", Self::copy),
            58..=61 if !few => ("MOVE", Self::relocate),
            58..=64 if !few || many => ("EXPUNGE", Self::expunge),
            58..=74 if !many => ("APPEND", Self::append),
            75..=76 => ("APPEND of a virus", Self::append_virus),
            77..=79 if !many => ("delivery during IDLE", Self::idle_until_delivered),
            77..=85 => ("SEARCH", Self::search),
            86..=88 => ("IDLE", Self::idle),
            89..=93 => ("pipeline", Self::pipeline),
            94..=95 => ("CHANGEDSINCE", Self::changed_since),
            96..=97 => ("SELECT anew", Self::select_anew),
            _ => ("NOOP", |this| drop(this.ok("NOOP"))),
        };
        *self.done.entry(name).or_default() += 1;
        act(self);
        self.learn();
    }

    fn say(&mut self, line: String) {
        self.said.push_back(line);
        if self.said.len() > 60 {
            self.said.pop_front();
        }
    }

    /// Whatever the tagged answer is.
    fn command(&mut self, command: &str) -> Answer {
        self.say(format!("C: {command}"));
        let answer = self.client.command(command);
        self.take(command, &answer);
        answer
    }

    fn ok(&mut self, command: &str) -> Answer {
        let answer = self.command(command);
        assert!(answer.tagged.starts_with("OK"), "{command}: {answer}");
        answer
    }

    /// What an answer says about the mailbox.
    fn take(&mut self, command: &str, answer: &Answer) {
        let shown: String = answer.to_string().chars().take(1500).collect();
        self.say(format!("S: {shown}"));
        // RFC 3501 section 7.4.1: not while message numbers are in use.
        let numbered = ["FETCH", "STORE", "SEARCH"].iter().any(|verb| command.starts_with(verb));
        for response in &answer.untagged {
            if let Some((number, items)) = fetch_response(response) {
                self.take_items(number, &items);
                continue;
            }
            let text = String::from_utf8_lossy(response);
            let words: Vec<&str> = text.split_whitespace().collect();
            match words.as_slice() {
                ["*", count, "EXISTS"] => {
                    let count: usize = count.parse().unwrap();
                    assert!(count >= self.view.len(), "EXISTS {count} of {}", self.view.len());
                    self.view.resize(count, None);
                }
                ["*", number, "EXPUNGE"] => {
                    assert!(!numbered && self.kind != Kind::Qresync, "{text}");
                    let gone = self.view.remove(number.parse::<usize>().unwrap() - 1);
                    self.forget(gone);
                }
                ["*", "VANISHED", "(EARLIER)", ..] => {}
                ["*", "VANISHED", set] => {
                    assert!(!numbered && self.kind == Kind::Qresync, "{text}");
                    for uid in numbers(set) {
                        let known = self.view.iter().position(|known| *known == Some(uid));
                        // Of those it was not told about any is as good as the other.
                        let place = known.or_else(|| self.view.iter().position(Option::is_none));
                        self.view.remove(place.unwrap_or_else(|| panic!("UID {uid} was not there")));
                        self.forget(Some(uid));
                    }
                }
                ["*", "OK" | "SEARCH" | "ESEARCH" | "STATUS" | "FLAGS" | "ENABLED", ..]
                | ["*", _, "RECENT"] => {}
                ["+", ..] => {}
                _ => panic!("{text}"),
            }
        }
    }

    fn forget(&self, gone: Option<u32>) {
        let mine = gone.filter(|uid| self.own.contains_key(uid));
        assert!(mine.is_none(), "UID {gone:?} went without its owner's wish");
    }

    fn take_items(&mut self, number: u32, items: &[(String, Value)]) {
        let place = usize::try_from(number).unwrap() - 1;
        assert!(place < self.view.len(), "message {number} of {}", self.view.len());
        if let Some(uid) = number_of(items, "UID") {
            let uid = u32::try_from(uid).unwrap();
            assert!(self.view[place].is_none_or(|known| known == uid), "message {number} is UID {uid}");
            self.view[place] = Some(uid);
        }
        let Some(uid) = self.view[place] else { return };
        if let (Some(flags), Some(own)) = (flags_of(items), self.own.get(&uid)) {
            assert_eq!(flags, *own, "flags of UID {uid}");
        }
        if let Some((_, Value::List(words))) = items.iter().find(|(name, _)| name == "MODSEQ")
            && let [Value::Word(modseq)] = words.as_slice()
        {
            let modseq = modseq.parse().unwrap();
            let before = self.modseqs.insert(uid, modseq);
            assert!(before.is_none_or(|before| before <= modseq), "MODSEQ of UID {uid} fell");
        }
    }

    /// Asks for the UIDs of messages that are new.
    fn learn(&mut self) {
        while let Some(first) = self.view.iter().position(Option::is_none) {
            self.ok(&format!("FETCH {}:* UID", first + 1));
        }
        let known: Vec<u32> = self.view.iter().flatten().copied().collect();
        assert!(known.windows(2).all(|pair| pair[0] < pair[1]), "UIDs ascend: {known:?}");
        let lost: Vec<_> = self.own.keys().filter(|uid| !known.contains(uid)).collect();
        // A mail of its own that came by another connection is not told at once.
        assert!(lost.iter().all(|uid| known.last().is_none_or(|last| *uid > last)), "lost: {lost:?}");
    }

    fn select(&mut self) {
        self.view.clear();
        self.ok("SELECT INBOX");
        self.learn();
    }

    fn select_anew(&mut self) {
        let close = *self.random.of(&["UNSELECT", "CLOSE"]);
        self.say(format!("C: {close}"));
        let answer = self.client.ok(close);
        assert!(answer.untagged.is_empty(), "{answer}");
        self.select();
    }
}
