//! A scripted IMAP client that keeps every octet it is given, and what its answers say as values.
use crate::client::{Stream, tcp};
use crate::client_tls::Tls;
use mime::part_map::PartMap;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;

/// One connection.
#[derive(Debug)]
pub struct Imap {
    stream: BufReader<Stream>,
    tags: u32,
    /// The greeting.
    pub greeting: String,
}

/// What came to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Untagged responses with their literals, without their last CRLF.
    pub untagged: Vec<Vec<u8>>,
    /// The tagged response behind its tag.
    pub tagged: String,
}

impl Imap {
    /// Connects and takes the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Stream::Clear(tcp(address)))
    }

    /// Connects by implicit TLS and takes the greeting.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub fn connect_tls(address: SocketAddr, tls: &Tls) -> io::Result<Self> {
        Ok(Self::over(Stream::Secured(Box::new(tls.connect(tcp(address))?))))
    }

    fn over(stream: Stream) -> Self {
        let mut client = Self { stream: BufReader::new(stream), tags: 0, greeting: String::new() };
        client.greeting = String::from_utf8_lossy(&client.response()).into_owned();
        client
    }

    /// Connects and logs in as the laboratory's user.
    pub fn login(address: SocketAddr) -> Self {
        Self::connect(address).log_in()
    }

    /// Logs in, and opens INBOX.
    pub fn open(address: SocketAddr) -> Self {
        let mut client = Self::login(address);
        client.ok("SELECT INBOX");
        client
    }

    /// Logs in as the laboratory's user.
    #[must_use]
    pub fn log_in(mut self) -> Self {
        self.ok("LOGIN user secret");
        self
    }

    /// Asks for TLS and begins it.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub fn starttls(mut self, tls: &Tls) -> io::Result<Self> {
        self.ok("STARTTLS");
        assert!(self.stream.buffer().is_empty(), "something came behind the answer");
        let Stream::Clear(stream) = self.stream.into_inner() else { panic!("TLS twice") };
        let stream = Stream::Secured(Box::new(tls.connect(stream)?));
        Ok(Self { stream: BufReader::new(stream), tags: self.tags, greeting: self.greeting })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// One response, with its literals and without its last CRLF. Empty at the end of the connection.
    pub fn response(&mut self) -> Vec<u8> {
        let mut response = Vec::new();
        loop {
            let before = response.len();
            if self.stream.read_until(b'\n', &mut response).unwrap_or(0) == 0 {
                return response;
            }
            let line = String::from_utf8_lossy(&response[before..]).trim_end().to_owned();
            let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            let Some(size) = literal.and_then(|(_, size)| size.parse::<usize>().ok()) else {
                response.truncate(response.len() - 2);
                return response;
            };
            let start = response.len();
            response.resize(start + size, 0);
            self.stream.read_exact(&mut response[start..]).unwrap();
        }
    }

    /// The first octets of the literal that comes next.
    pub fn octets_of_literal(&mut self, count: usize) -> Vec<u8> {
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).unwrap();
            assert!(!line.is_empty(), "the connection ended");
            if line.ends_with(b"}\r\n") {
                break;
            }
        }
        let mut octets = vec![0; count];
        self.stream.read_exact(&mut octets).unwrap();
        octets
    }

    /// Everything up to the end of the connection, whatever it is.
    pub fn rest_of_connection(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        // A reset ends it too.
        let _ = self.stream.read_to_end(&mut octets);
        octets
    }

    /// Sends a command and gives its tag.
    pub fn begin(&mut self, command: &str) -> String {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(format!("{tag} {command}\r\n"));
        tag
    }

    /// Everything up to the tagged response; what is tagged `BYE` is the connection's end.
    pub fn end(&mut self, tag: &str) -> Answer {
        let mut untagged = Vec::new();
        loop {
            let response = self.response();
            if response.is_empty() {
                return Answer { untagged, tagged: "the connection ended".to_owned() };
            }
            match response.strip_prefix(format!("{tag} ").as_bytes()) {
                Some(text) => {
                    return Answer { untagged, tagged: String::from_utf8_lossy(text).into_owned() };
                }
                None => untagged.push(response),
            }
        }
    }

    /// One command and its answer.
    pub fn command(&mut self, command: &str) -> Answer {
        let tag = self.begin(command);
        self.end(&tag)
    }

    /// One command that succeeds.
    pub fn ok(&mut self, command: &str) -> Answer {
        let answer = self.command(command);
        assert!(answer.tagged.starts_with("OK"), "{command}: {answer}");
        answer
    }

    /// FETCH or UID FETCH of one mail: the literal or string of the last item.
    pub fn octets(&mut self, command: &str) -> Vec<u8> {
        let answer = self.ok(command);
        let (_, items) = answer.fetched().into_iter().next().unwrap_or_else(|| panic!("{command}: {answer}"));
        match items.into_iter().next_back() {
            Some((_, Value::Text(octets))) => octets,
            other => panic!("{command}: {other:?}"),
        }
    }

    /// A command whose last argument is a synchronising literal. The tagged answer may come instead of `+`.
    pub fn with_literal(&mut self, command: &str, literal: &[u8]) -> Answer {
        let tag = self.begin(&format!("{command} {{{}}}", literal.len()));
        let mut untagged = Vec::new();
        loop {
            let response = self.response();
            if response.starts_with(b"+") {
                break;
            }
            match response.strip_prefix(format!("{tag} ").as_bytes()) {
                Some(text) => {
                    return Answer { untagged, tagged: String::from_utf8_lossy(text).into_owned() };
                }
                None => untagged.push(response),
            }
        }
        self.send(literal);
        self.send("\r\n");
        self.end(&tag)
    }
}

impl Answer {
    /// Every FETCH response by message number: its items and their values, in their order.
    pub fn fetched(&self) -> BTreeMap<u32, Vec<(String, Value)>> {
        let mut fetched: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for (number, items) in self.untagged.iter().filter_map(|response| fetch_response(response)) {
            fetched.entry(number).or_default().extend(items);
        }
        fetched
    }

    /// Whether an untagged response begins so.
    pub fn has(&self, start: &str) -> bool {
        self.untagged.iter().any(|response| response.starts_with(start.as_bytes()))
    }

    /// All of it as one text.
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for response in &self.untagged {
            let shown: String = String::from_utf8_lossy(response).chars().take(600).collect();
            writeln!(f, "{shown}")?;
        }
        f.write_str(&self.tagged)
    }
}

/// A value of IMAP's syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `NIL`.
    Nil,
    /// An atom or a number, in capitals.
    Word(String),
    /// A string, quoted or a literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
}

impl Value {
    /// Without what has no case: types, encodings, names of parameters. Everything in a structure but the values of
    /// parameters is compared so, which is a little too kind and hides nothing that a client would see.
    #[must_use]
    pub fn plain(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.to_ascii_lowercase()),
            Self::List(values) => Self::List(values.iter().map(Self::plain).collect()),
            Self::Nil | Self::Word(_) => self.clone(),
        }
    }

    /// With a blank for every tab.
    #[must_use]
    pub fn blanks(&self) -> Self {
        match self {
            Self::Text(text) => {
                Self::Text(text.iter().map(|octet| if *octet == b'\t' { b' ' } else { *octet }).collect())
            }
            Self::List(values) => Self::List(values.iter().map(Self::blanks).collect()),
            Self::Nil | Self::Word(_) => self.clone(),
        }
    }

    /// RFC 2231: dovecot joins the sections of a parameter, here they stand as they were written.
    pub fn has_sections(&self) -> bool {
        match self {
            Self::Text(text) => text.windows(2).any(|pair| pair[0] == b'*' && pair[1].is_ascii_digit()),
            Self::List(values) => values.iter().any(Self::has_sections),
            Self::Nil | Self::Word(_) => false,
        }
    }
}

/// A FETCH response: its message, its items and their values, in their order.
pub fn fetch_response(response: &[u8]) -> Option<(u32, Vec<(String, Value)>)> {
    let rest = response.strip_prefix(b"* ")?;
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let mut list = rest[digits..].strip_prefix(b" FETCH ")?;
    let number = String::from_utf8_lossy(&rest[..digits]).parse().unwrap();
    let Value::List(values) = value(&mut list) else { panic!("not a list") };
    let items = values.chunks(2).map(|pair| match pair {
        [Value::Word(name), value] => (name.clone(), value.clone()),
        other => panic!("{other:?}"),
    });
    Some((number, items.collect()))
}

/// Every FETCH item that shows content of a mail with these parts and this length.
pub fn items_of(map: &PartMap, length: usize) -> Vec<String> {
    let mut items: Vec<String> = [
        "RFC822.SIZE",
        "RFC822",
        "RFC822.HEADER",
        "RFC822.TEXT",
        "BODY.PEEK[]",
        "BODY.PEEK[HEADER]",
        "BODY.PEEK[TEXT]",
        "BODY.PEEK[HEADER.FIELDS (From Subject Received X-None)]",
        "BODY.PEEK[HEADER.FIELDS.NOT (From Subject Received)]",
        "BODY.PEEK[]<10.100>",
        "BODY.PEEK[TEXT]<3.7>",
        "BODY.PEEK[99]",
        "BODY.PEEK[1.HEADER]",
    ]
    .map(str::to_owned)
    .into();
    items.push(format!("BODY.PEEK[]<{length}.5>"));
    items.push(format!("BODY.PEEK[]<{}.50>", length.saturating_sub(7)));
    for part in map.parts().iter().filter(|part| !part.section.ends_with("TEXT")) {
        let number = &part.section;
        items.extend([format!("BODY.PEEK[{number}]"), format!("BODY.PEEK[{number}.MIME]")]);
        if part.is_message() {
            items.extend(
                ["HEADER", "TEXT", "HEADER.FIELDS (Subject)"]
                    .map(|text| format!("BODY.PEEK[{number}.{text}]")),
            );
        } else if !part.is_multipart() {
            items.extend([format!("BINARY.PEEK[{number}]"), format!("BINARY.SIZE[{number}]")]);
            items.push(format!("BINARY.PEEK[{number}]<2.9>"));
        }
    }
    items
}

/// Reads one value from the front.
pub fn value(text: &mut &[u8]) -> Value {
    let take = |text: &mut &[u8], count: usize| {
        let (taken, rest) = text.split_at(count);
        *text = rest;
        taken.to_vec()
    };
    while text[0] == b' ' {
        take(text, 1);
    }
    match text[0] {
        b'(' => {
            take(text, 1);
            let mut values = Vec::new();
            loop {
                while text[0] == b' ' {
                    take(text, 1);
                }
                if text[0] == b')' {
                    take(text, 1);
                    return Value::List(values);
                }
                values.push(value(text));
            }
        }
        b'"' => {
            let (mut plain, mut at) = (Vec::new(), 1);
            while text[at] != b'"' {
                at += usize::from(text[at] == b'\\');
                plain.push(text[at]);
                at += 1;
            }
            take(text, at + 1);
            Value::Text(plain)
        }
        b'{' | b'~' => {
            let end = text.iter().position(|octet| *octet == b'\n').unwrap();
            let head = String::from_utf8(take(text, end + 1)).unwrap();
            let count: String = head.chars().filter(char::is_ascii_digit).collect();
            Value::Text(take(text, count.parse().unwrap()))
        }
        _ => {
            // A section's brackets may hold blanks and parentheses.
            let mut inside = false;
            let end = text.iter().position(|octet| {
                inside = (inside || *octet == b'[') && *octet != b']';
                !inside && b" ()\r".contains(octet)
            });
            let word = String::from_utf8(take(text, end.unwrap_or(text.len()))).unwrap();
            if word == "NIL" { Value::Nil } else { Value::Word(word.to_ascii_uppercase()) }
        }
    }
}
