//! What a wanderer does, and what must come of it.
use super::values::{appended, body, contains, flags_of, is_evil, number_of, peek, peeked};
use super::{Flags, Kind, Wanderer};
use crate::imap_client::{Answer, Value, fetch_response};
use crate::mails;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Items that show no flag and change none.
const ITEMS: &[&str] = &[
    "INTERNALDATE",
    "RFC822.SIZE",
    "RFC822.HEADER",
    "ENVELOPE",
    "BODY",
    "BODYSTRUCTURE",
    "BODY.PEEK[]",
    "BODY.PEEK[HEADER]",
    "BODY.PEEK[TEXT]",
    "BODY.PEEK[1]",
    "BODY.PEEK[2]",
    "BODY.PEEK[HEADER.FIELDS (From Subject X-None)]",
    "BODY.PEEK[HEADER.FIELDS.NOT (From Subject)]",
    "BODY.PEEK[]<0.100>",
    "BODY.PEEK[]<90.2000>",
    "BODY.PEEK[TEXT]<7.30>",
    "BODY.PEEK[]<99999999.10>",
    "BINARY.PEEK[1]",
    "BINARY.SIZE[1]",
];

const WORDS: &[&str] = &["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "$Forwarded", "red", "green"];

impl Wanderer {
    fn own_uid(&mut self) -> Option<u32> {
        // What was delivered but not told yet has no number here.
        let told: Vec<u32> =
            self.own.keys().filter(|uid| self.view.contains(&Some(**uid))).copied().collect();
        (!told.is_empty()).then(|| *self.random.of(&told))
    }

    fn octets_of(&self, uid: u32) -> Option<Arc<Vec<u8>>> {
        self.octets.lock().unwrap().get(&uid).cloned()
    }

    /// Any mail: what it is through Mailward is what it is without.
    pub(super) fn compare_items(&mut self) {
        let known: Vec<u32> = self.view.iter().flatten().copied().collect();
        if known.is_empty() {
            return;
        }
        let uid = *self.random.of(&known);
        let mut items: Vec<&str> = Vec::new();
        for _ in 0..=self.random.below(4) {
            let item = *self.random.of(ITEMS);
            if !items.contains(&item) {
                items.push(item);
            }
        }
        let command = format!("UID FETCH {uid} ({})", items.join(" "));
        let answer = self.command(&command);
        let Some(octets) = self.octets_of(uid) else { return };
        self.check_content(&command, uid, &octets, &answer);
    }

    fn check_content(&mut self, command: &str, uid: u32, octets: &[u8], answer: &Answer) {
        let evil = is_evil(octets);
        for response in &answer.untagged {
            assert!(!contains(response, &mails::eicar()[8..40]), "{command}: the virus came");
        }
        if !answer.tagged.starts_with("OK") {
            assert!(!self.own.contains_key(&uid), "{command}: {answer}");
            assert!(answer.tagged.starts_with("NO [EXPUNGEISSUED]"), "{command}: {answer}");
            return;
        }
        let items_of = |answer: &Answer| {
            let responses = answer.untagged.iter().filter_map(|response| fetch_response(response));
            let mut items: Vec<_> = responses
                .filter(|(_, items)| number_of(items, "UID") == Some(u64::from(uid)) && items.len() > 1)
                .flat_map(|(_, items)| items)
                .filter(|(name, _)| !["FLAGS", "MODSEQ", "UID"].contains(&name.as_str()))
                .map(|(name, value)| (name, value.plain().blanks()))
                .collect();
            items.sort_by(|a, b| a.0.cmp(&b.0));
            items
        };
        let proxied = items_of(answer);
        if evil {
            return;
        }
        self.direct.ok("NOOP");
        let direct = self.direct.command(command);
        let expected = items_of(&direct);
        if expected.is_empty() || proxied.is_empty() {
            assert!(!self.own.contains_key(&uid), "{command}: {answer} {direct}");
            return;
        }
        assert!(proxied == expected, "{command}: {answer}\nwithout Mailward: {direct}");
    }

    pub(super) fn fetch_range(&mut self) {
        if self.view.is_empty() {
            return;
        }
        let first = self.random.below(self.view.len()) + 1;
        let last = (first + self.random.below(20)).min(self.view.len());
        let items = *self.random.of(&[
            "(UID FLAGS)",
            "(UID FLAGS RFC822.SIZE INTERNALDATE)",
            "(UID BODY.PEEK[])",
            "FAST",
        ]);
        let command = format!("FETCH {first}:{last} {items}");
        let answer = self.command(&command);
        assert!(!answer.tagged.starts_with("BAD"), "{command}: {answer}");
        for (_, items) in answer.untagged.iter().filter_map(|response| fetch_response(response)) {
            let Some(uid) = number_of(&items, "UID") else { continue };
            let Some(octets) = self.octets_of(u32::try_from(uid).unwrap()) else { continue };
            let body = items.iter().find(|(name, _)| name == "BODY[]");
            match body {
                Some((_, Value::Text(body))) if is_evil(&octets) => {
                    assert!(!contains(body, &mails::eicar()[8..40]))
                }
                Some((_, body)) => assert!(*body == Value::Text(octets.to_vec()), "{command}: UID {uid}"),
                None => assert!(!items.iter().any(|(name, _)| name.starts_with("BODY")), "{command}"),
            }
        }
    }

    /// BODY[] sets \Seen, and the answer has it already.
    pub(super) fn read(&mut self) {
        let Some(uid) = self.own_uid() else { return };
        let item = *self.random.of(&["BODY[]", "RFC822", "BODY[TEXT]", "RFC822.TEXT", "BODY[]<0.50>"]);
        self.own.get_mut(&uid).unwrap().insert("\\SEEN".to_owned());
        let command = format!("UID FETCH {uid} (FLAGS {item})");
        let answer = self.ok(&command);
        let mut shown = answer.untagged.iter().filter_map(|response| fetch_response(response));
        let flags = shown.find(|(_, items)| items.len() > 2).and_then(|(_, items)| flags_of(&items));
        assert_eq!(flags.as_ref(), self.own.get(&uid), "{command}: {answer}");
        let octets = self.octets_of(uid).unwrap();
        self.check_content(&command.replace(item, &peek(item)), uid, &octets, &peeked(&answer));
    }

    pub(super) fn store(&mut self) {
        let Some(uid) = self.own_uid() else { return };
        let words: BTreeSet<&str> = (0..=self.random.below(2)).map(|_| *self.random.of(WORDS)).collect();
        let sign = *self.random.of(&["+", "-", ""]);
        let silent = if self.random.half() { ".SILENT" } else { "" };
        let flags: Flags = words.iter().map(|word| word.to_ascii_uppercase()).collect();
        let own = self.own.get_mut(&uid).unwrap();
        match sign {
            "+" => own.extend(flags),
            "-" => own.retain(|flag| !flags.contains(flag)),
            _ => *own = flags,
        }
        let number = self.view.iter().position(|known| *known == Some(uid)).unwrap() + 1;
        let target = if self.random.half() { format!("UID STORE {uid}") } else { format!("STORE {number}") };
        let unchanged = match self.modseqs.get(&uid) {
            Some(modseq) if self.kind != Kind::Plain && self.random.half() => {
                format!("(UNCHANGEDSINCE {}) ", modseq + 1_000_000)
            }
            _ => String::new(),
        };
        let words: Vec<&str> = words.into_iter().collect();
        let answer = self.ok(&format!("{target} {unchanged}{sign}FLAGS{silent} ({})", words.join(" ")));
        assert!(!answer.tagged.contains("MODIFIED"), "{answer}");
        let now = self.ok(&format!("UID FETCH {uid} FLAGS"));
        assert!(now.untagged.iter().any(|response| fetch_response(response).is_some()), "{now}");
    }

    pub(super) fn copy(&mut self) {
        let Some(uid) = self.own_uid() else { return };
        let answer = self.ok(&format!("UID COPY {uid} {}", self.folder));
        assert!(answer.tagged.contains(&format!(" {uid} ")), "{answer}");
        self.filed.push((self.octets_of(uid).unwrap(), self.own[&uid].clone()));
    }

    pub(super) fn relocate(&mut self) {
        let Some(uid) = self.own_uid() else { return };
        let flags = self.own.remove(&uid).unwrap();
        self.filed.push((self.octets_of(uid).unwrap(), flags));
        self.ok(&format!("UID MOVE {uid} {}", self.folder));
        assert!(!self.view.contains(&Some(uid)), "UID {uid} was moved");
    }

    pub(super) fn expunge(&mut self) {
        let Some(uid) = self.own_uid() else { return };
        self.own.remove(&uid);
        self.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
        let command = if self.random.half() { format!("UID EXPUNGE {uid}") } else { "EXPUNGE".to_owned() };
        self.ok(&command);
        assert!(!self.view.contains(&Some(uid)), "UID {uid} was expunged");
    }

    fn new_mail(&mut self, evil: bool) -> Vec<u8> {
        let number = self.random.below(1_000_000);
        let subject = format!("{} {number}", self.folder);
        if evil {
            return mails::plain(&subject, &mails::eicar());
        }
        match self.random.below(12) {
            0 => mails::large(300_000),
            1 => mails::in_parts(&subject, "text/csv; name=\"table.csv\"", &"1;2;3\r\n".repeat(number % 900)),
            _ => mails::plain(&subject, &"a line of it\r\n".repeat(number % 200)),
        }
    }

    pub(super) fn append(&mut self) {
        let mail = self.new_mail(false);
        let (flag, size) = (*self.random.of(WORDS), mail.len());
        let head = format!("APPEND INBOX ({flag})");
        let answer = if self.random.half() {
            self.say(format!("C: {head} {{{size}}}"));
            self.client.with_literal(&head, &mail)
        } else {
            self.say(format!("C: {head} {{{size}+}}"));
            self.client.send(format!("x {head} {{{size}+}}\r\n"));
            self.client.send(&mail);
            self.client.send("\r\n");
            self.client.end("x")
        };
        let uid = appended(&answer);
        self.octets.lock().unwrap().insert(uid, Arc::new(mail));
        self.own.insert(uid, [flag.to_ascii_uppercase()].into());
        self.take("APPEND", &answer);
    }

    pub(super) fn append_virus(&mut self) {
        let mail = self.new_mail(true);
        self.say("C: APPEND of a virus".to_owned());
        let answer = self.client.with_literal("APPEND INBOX", &mail);
        self.take("APPEND", &answer);
        assert!(answer.tagged.starts_with("NO [CANNOT]"), "{answer}");
    }

    /// A mail comes by another way, at times with a virus, and is told at once.
    pub(super) fn idle_until_delivered(&mut self) {
        let evil = self.random.below(3) == 0;
        let mail = self.new_mail(evil);
        let tag = self.client.begin("IDLE");
        let mut untagged = self.begin_idle();
        let answer = self.direct.with_literal("APPEND INBOX", &mail);
        let uid = appended(&answer);
        self.octets.lock().unwrap().insert(uid, Arc::new(mail));
        self.own.insert(uid, Flags::new());
        while !untagged.last().is_some_and(|response| response.ends_with(b" EXISTS")) {
            untagged.push(self.client.response());
            assert!(untagged.last().is_some_and(|response| !response.is_empty()), "the session ended");
        }
        self.done_with_idle(&tag, untagged);
    }

    pub(super) fn idle(&mut self) {
        let tag = self.client.begin("IDLE");
        let untagged = self.begin_idle();
        thread::sleep(Duration::from_millis(u64::try_from(self.random.below(60)).unwrap()));
        self.done_with_idle(&tag, untagged);
    }

    /// Everything up to `+`.
    fn begin_idle(&mut self) -> Vec<Vec<u8>> {
        let mut untagged = Vec::new();
        loop {
            let response = self.client.response();
            assert!(!response.is_empty(), "the session ended");
            if response.starts_with(b"+ ") {
                return untagged;
            }
            untagged.push(response);
        }
    }

    fn done_with_idle(&mut self, tag: &str, mut untagged: Vec<Vec<u8>>) {
        self.client.send("DONE\r\n");
        let mut answer = self.client.end(tag);
        untagged.append(&mut answer.untagged);
        answer.untagged = untagged;
        self.take("IDLE", &answer);
        assert!(answer.tagged.starts_with("OK"), "{answer}");
    }

    /// Its own mails with a flag are those that it gave the flag.
    pub(super) fn search(&mut self) {
        let word = *self.random.of(WORDS);
        let key = match word.strip_prefix('\\') {
            Some(system) => system.to_ascii_uppercase(),
            None => format!("KEYWORD {word}"),
        };
        let told: Vec<u32> =
            self.own.keys().filter(|uid| self.view.contains(&Some(**uid))).copied().collect();
        if told.is_empty() {
            return;
        }
        let flag = word.to_ascii_uppercase();
        let expected: Vec<u32> = told.iter().filter(|uid| self.own[uid].contains(&flag)).copied().collect();
        let set = told.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        if self.random.half() {
            let answer = self.ok(&format!("UID SEARCH {key} UID {set}"));
            let found = answer.untagged.iter().find_map(|response| response.strip_prefix(b"* SEARCH"));
            let found = String::from_utf8_lossy(found.unwrap()).into_owned();
            let found: Vec<u32> = found.split_whitespace().map_while(|word| word.parse().ok()).collect();
            assert_eq!(found, expected, "{answer}");
        } else {
            let answer = self.ok(&format!("UID SEARCH RETURN (COUNT MIN MAX) {key} UID {set}"));
            let count = format!("COUNT {}", expected.len());
            assert!(answer.text().contains(&count), "{count}: {answer}");
            if let (Some(min), Some(max)) = (expected.first(), expected.last()) {
                assert!(answer.text().contains(&format!("MIN {min} MAX {max}")), "{answer}");
            }
        }
    }

    /// Several commands at once. Dovecot answers them out of their order where it may, so only the whole is compared.
    pub(super) fn pipeline(&mut self) {
        let Some(uid) = self.own_uid() else { return };
        let items = ["BODY.PEEK[TEXT]", "BODY.PEEK[]<0.80>", "BODYSTRUCTURE", "RFC822.SIZE", "INTERNALDATE"];
        let mut commands: Vec<String> =
            items.iter().map(|item| format!("UID FETCH {uid} ({item})")).collect();
        commands.insert(2, format!("UID SEARCH UID {uid}"));
        let mut tags: Vec<String> = commands.iter().map(|command| self.client.begin(command)).collect();
        self.say(format!("C: at once {commands:?}"));
        let mut answer = Answer { untagged: Vec::new(), tagged: "OK".to_owned() };
        while !tags.is_empty() {
            let response = self.client.response();
            let text = String::from_utf8_lossy(&response);
            let tagged = tags.iter().position(|tag| text.starts_with(&format!("{tag} ")));
            match tagged {
                Some(place) => {
                    let tag = tags.remove(place);
                    assert!(text.starts_with(&format!("{tag} OK")), "{text}");
                }
                None => {
                    assert!(!response.is_empty(), "the session ended");
                    answer.untagged.push(response);
                }
            }
        }
        let whole = format!("UID FETCH {uid} ({})", items.join(" "));
        self.take(&whole, &answer);
        let octets = self.octets_of(uid).unwrap();
        self.check_content(&whole, uid, &octets, &answer);
    }

    pub(super) fn changed_since(&mut self) {
        if self.kind == Kind::Plain {
            return;
        }
        let modseqs: Vec<u64> = self.modseqs.values().copied().collect();
        let since = if modseqs.is_empty() { 1 } else { *self.random.of(&modseqs) };
        let answer = self.ok(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since})"));
        for (_, items) in answer.untagged.iter().filter_map(|response| fetch_response(response)) {
            assert!(items.iter().any(|(name, _)| name == "MODSEQ"), "{answer}");
        }
    }

    /// What its folder holds, of the server itself: octets and flags, in order.
    pub fn folder(&mut self) -> Vec<(Arc<Vec<u8>>, Flags)> {
        let command = format!("EXAMINE {}", self.folder);
        self.direct.ok(&command);
        let answer = self.direct.command("UID FETCH 1:* (FLAGS BODY.PEEK[])");
        answer
            .fetched()
            .into_values()
            .map(|items| (Arc::new(body(&items)), flags_of(&items).unwrap()))
            .collect()
    }
}
