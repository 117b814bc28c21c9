//! The sample mailbox by IMAP, and a second one, `Sent`, which takes uploads; flags last as long as the session. It speaks as much of RFC 3501 as
//! Mailward asks of a server with `metadata = "strict"`: envelopes, structures, parts and slices come out of scanned copies
//! there and are asked of no server.
use crate::server::{PASSWORD, USER};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Octets of the largest upload; Mailward's own limit is below it.
const MAX_UPLOAD: usize = 64 * 1024 * 1024;

/// What the server holds.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    inbox: Arc<Vec<Vec<u8>>>,
    sent: Mutex<Vec<Vec<u8>>>,
}

impl Mailboxes {
    /// What was uploaded so far.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn open(&self, name: &str) -> Option<Arc<Vec<Vec<u8>>>> {
        match name.to_ascii_uppercase().as_str() {
            "INBOX" => Some(Arc::clone(&self.inbox)),
            "SENT" => Some(Arc::new(self.sent())),
            _ => None,
        }
    }
}

/// Starts it on a free port.
///
/// # Errors
/// When loopback cannot be bound.
pub(crate) fn start(inbox: &Arc<Vec<Vec<u8>>>) -> io::Result<(SocketAddr, Arc<Mailboxes>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mailboxes = Arc::new(Mailboxes { inbox: Arc::clone(inbox), sent: Mutex::default() });
    let shared = Arc::clone(&mailboxes);
    thread::Builder::new().name("IMAP server".into()).spawn(move || {
        for client in listener.incoming().flatten() {
            let mailboxes = Arc::clone(&shared);
            // A client that breaks off ends its own thread; there is nobody to tell.
            let _ = thread::Builder::new().spawn(move || Session::new(client, &mailboxes)?.serve());
        }
    })?;
    Ok((address, mailboxes))
}

struct Session<'a> {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
    mailboxes: &'a Mailboxes,
    authenticated: bool,
    open: Option<Arc<Vec<Vec<u8>>>>,
    /// By number.
    flags: BTreeMap<usize, BTreeSet<String>>,
}

impl<'a> Session<'a> {
    fn new(client: TcpStream, mailboxes: &'a Mailboxes) -> io::Result<Self> {
        client.set_nodelay(true)?;
        let reader = BufReader::new(client.try_clone()?);
        let writer = BufWriter::with_capacity(64 * 1024, client);
        Ok(Self { reader, writer, mailboxes, authenticated: false, open: None, flags: BTreeMap::new() })
    }

    fn serve(mut self) -> io::Result<()> {
        self.say("* OK sample mail server ready")?;
        let mut line = String::new();
        loop {
            self.writer.flush()?;
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let (tag, rest) = line.trim_end().split_once(' ').unwrap_or_default();
            let (verb, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
            let verb = verb.to_ascii_uppercase();
            let answer = self.answer(&verb, arguments)?;
            self.say(&format!("{tag} {answer}"))?;
            if verb == "LOGOUT" {
                return self.writer.flush();
            }
        }
    }

    /// Says what is untagged, and gives the tagged answer.
    fn answer(&mut self, verb: &str, arguments: &str) -> io::Result<&'static str> {
        let name = words(arguments).next().unwrap_or_default();
        match (verb, self.authenticated) {
            ("NOOP" | "CHECK", _) => {}
            ("CAPABILITY", _) => self.say("* CAPABILITY IMAP4rev1")?,
            ("LOGOUT", _) => self.say("* BYE bye")?,
            ("LOGIN", false) => {
                self.authenticated = words(arguments).eq([USER, PASSWORD]);
                if !self.authenticated {
                    return Ok("NO [AUTHENTICATIONFAILED] wrong name or password");
                }
            }
            ("LIST" | "LSUB", true) => self.list(verb, words(arguments).nth(1).unwrap_or_default())?,
            ("SELECT" | "EXAMINE", true) => {
                self.open = self.mailboxes.open(&name);
                self.flags.clear();
                let Some(open) = &self.open else { return Ok("NO no such mailbox") };
                let count = open.len();
                self.say(&format!(
                    "* FLAGS (\\Seen \\Flagged \\Answered \\Deleted)\r\n* {count} EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] always\r\n\
                     * OK [UIDNEXT {}] next\r\n* OK [PERMANENTFLAGS ()] none",
                    count + 1
                ))?;
                return Ok(if verb == "SELECT" { "OK [READ-WRITE] open" } else { "OK [READ-ONLY] open" });
            }
            ("STATUS", true) => {
                let Some(mails) = self.mailboxes.open(&name) else { return Ok("NO no such mailbox") };
                let (count, next) = (mails.len(), mails.len() + 1);
                self.say(&format!(
                    "* STATUS {name} (MESSAGES {count} RECENT 0 UIDNEXT {next} UIDVALIDITY 1 UNSEEN {count})"
                ))?;
            }
            ("CLOSE", true) => self.open = None,
            ("APPEND", true) => return self.append(&name, arguments),
            ("FETCH", true) => return self.fetch(arguments, false),
            ("SEARCH", true) => return self.search(arguments),
            ("UID", true) => {
                let (verb, arguments) = arguments.split_once(' ').unwrap_or_default();
                match verb.to_ascii_uppercase().as_str() {
                    "FETCH" => return self.fetch(arguments, true),
                    "SEARCH" => return self.search(arguments),
                    "STORE" => return self.store(arguments, true),
                    "COPY" => return Ok("NO [CANNOT] the sample mailbox does not change"),
                    _ => return Ok("BAD unknown command"),
                }
            }
            ("STORE", true) => return self.store(arguments, false),
            ("COPY" | "EXPUNGE", true) => return Ok("NO [CANNOT] the sample mailbox does not change"),
            _ => return Ok("BAD unknown command"),
        }
        Ok("OK done")
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        self.writer.write_all(b"\r\n")
    }

    fn list(&mut self, verb: &str, pattern: String) -> io::Result<()> {
        if pattern.is_empty() {
            return self.say(&format!("* {verb} (\\Noselect) \"/\" \"\""));
        }
        for name in ["INBOX", "Sent"] {
            if matches!(pattern.as_str(), "*" | "%") || pattern.eq_ignore_ascii_case(name) {
                self.say(&format!("* {verb} () \"/\" {name}"))?;
            }
        }
        Ok(())
    }

    fn search(&mut self, arguments: &str) -> io::Result<&'static str> {
        let Some(open) = &self.open else { return Ok("BAD no mailbox is open") };
        if !arguments.eq_ignore_ascii_case("ALL") {
            return Ok("BAD this server finds ALL only");
        }
        let numbers: String = (1..=open.len()).map(|number| format!(" {number}")).collect();
        self.say(&format!("* SEARCH{numbers}"))?;
        Ok("OK done")
    }

    /// A mail's UID is its number.
    fn fetch(&mut self, arguments: &str, by_uid: bool) -> io::Result<&'static str> {
        let Some(open) = self.open.clone() else { return Ok("BAD no mailbox is open") };
        let Some((set, items)) = arguments.split_once(' ') else { return Ok("BAD what?") };
        let items = items.trim_start_matches('(').trim_end_matches(')').to_ascii_uppercase();
        let mut items: Vec<&str> = items.split_whitespace().collect();
        if by_uid && !items.contains(&"UID") {
            items.insert(0, "UID");
        }
        for (number, mail) in (1..).zip(open.iter()).filter(|(number, _)| contains(set, *number, open.len()))
        {
            write!(self.writer, "* {number} FETCH (")?;
            for (index, item) in items.iter().enumerate() {
                self.writer.write_all(if index > 0 { b" " } else { b"" })?;
                match *item {
                    "UID" => write!(self.writer, "UID {number}")?,
                    "FLAGS" => write!(self.writer, "FLAGS ({})", joined(self.flags.get(&number)))?,
                    "INTERNALDATE" => {
                        self.writer.write_all(b"INTERNALDATE \"06-Nov-2026 12:00:00 +0000\"")?;
                    }
                    "RFC822.SIZE" => write!(self.writer, "RFC822.SIZE {}", mail.len())?,
                    "BODY[]" | "BODY.PEEK[]" => {
                        write!(self.writer, "BODY[] {{{}}}\r\n", mail.len())?;
                        self.writer.write_all(mail)?;
                    }
                    _ => return Err(io::Error::other("an item that nobody asks this server for")),
                }
            }
            self.say(")")?;
        }
        Ok("OK done")
    }

    fn store(&mut self, arguments: &str, by_uid: bool) -> io::Result<&'static str> {
        let count = self.open.as_ref().map_or(0, |open| open.len());
        let mut words = arguments.splitn(3, ' ');
        let (Some(set), Some(how), Some(flags)) = (words.next(), words.next(), words.next()) else {
            return Ok("BAD what?");
        };
        let how = how.to_ascii_uppercase();
        let given = flags.trim_matches(['(', ')']).split_whitespace().map(str::to_owned);
        let given: BTreeSet<String> = given.collect();
        for number in (1..=count).filter(|number| contains(set, *number, count)) {
            let flags = self.flags.entry(number).or_default();
            match how.chars().next() {
                Some('+') => flags.extend(given.iter().cloned()),
                Some('-') => flags.retain(|flag| !given.contains(flag)),
                _ => flags.clone_from(&given),
            }
            if !how.ends_with(".SILENT") {
                let flags = joined(self.flags.get(&number));
                let uid = if by_uid { format!("UID {number} ") } else { String::new() };
                self.say(&format!("* {number} FETCH ({uid}FLAGS ({flags}))"))?;
            }
        }
        Ok("OK done")
    }

    /// RFC 3501 section 6.3.11; the octets come once they were asked for.
    fn append(&mut self, name: &str, arguments: &str) -> io::Result<&'static str> {
        let size = arguments.strip_suffix('}').and_then(|text| text.rsplit_once('{'));
        let Some(size) = size.and_then(|(_, digits)| digits.parse().ok()) else { return Ok("BAD no mail") };
        if !name.eq_ignore_ascii_case("Sent") || size > MAX_UPLOAD {
            return Ok("NO only Sent takes mails, of a moderate size");
        }
        self.say("+ go ahead")?;
        self.writer.flush()?;
        let mut mail = vec![0; size];
        self.reader.read_exact(&mut mail)?;
        self.reader.read_line(&mut String::new())?;
        self.mailboxes.sent.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        Ok("OK kept")
    }
}

fn joined(flags: Option<&BTreeSet<String>>) -> String {
    flags.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// Atoms, and quoted strings without what is escaped in them.
fn words(mut text: &str) -> impl Iterator<Item = String> {
    std::iter::from_fn(move || {
        text = text.trim_start();
        if text.is_empty() {
            return None;
        }
        let (word, rest) = match text.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => text.split_once(' ').unwrap_or((text, "")),
        };
        text = rest;
        Some(word.to_owned())
    })
}

/// RFC 3501 `sequence-set`.
fn contains(set: &str, number: usize, last: usize) -> bool {
    let bound = |text: &str| if text == "*" { Some(last) } else { text.parse().ok() };
    set.split(',').any(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        let Some((from, to)) = bound(from).zip(bound(to)) else { return false };
        (from.min(to)..=from.max(to)).contains(&number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_numbers_and_ranges_in_either_order() {
        for (set, numbers) in
            [("1", vec![1]), ("2:4", vec![2, 3, 4]), ("*:4,1", vec![1, 4, 5]), ("9", vec![])]
        {
            assert_eq!(
                (1..=5).filter(|number| contains(set, *number, 5)).collect::<Vec<_>>(),
                numbers,
                "{set}"
            );
        }
    }

    #[test]
    fn words_are_atoms_or_quoted() {
        assert_eq!(words("a \"b c\"  \"\" d").collect::<Vec<_>>(), ["a", "b c", "", "d"]);
    }
}
