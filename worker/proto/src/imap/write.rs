//! What goes on to the other peer is written here, from what was parsed. To a server, the form of a string is ours: atom,
//! quoted, or literal, with `+` only where the server takes that; to a client it stays as the server chose.
use super::cursor::{Str, is_astring_char, is_list_char};

/// Which literals a server takes without a `+` of its own in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Literals {
    /// RFC 9051: every one waits.
    #[default]
    Synchronising,
    /// LITERAL- (RFC 7888): up to 4096 octets do not.
    Minus,
    /// LITERAL+ (RFC 7888): none does.
    Plus,
}

impl Literals {
    /// RFC 7888 section 5.
    const MINUS_LIMIT: u64 = 4096;

    /// Whether a literal of this size waits.
    pub const fn waits(self, size: u64) -> bool {
        match self {
            Self::Synchronising => true,
            Self::Minus => size > Self::MINUS_LIMIT,
            Self::Plus => false,
        }
    }
}

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Client,
    Server(Literals),
}

/// Writes behind what stands in a buffer, or only counts as if: grammars check by writing nowhere.
#[derive(Debug)]
pub struct Writer<'o> {
    out: Option<&'o mut Vec<u8>>,
    stops: Option<&'o mut Vec<usize>>,
    reader: Reader,
    utf8: bool,
}

impl<'o> Writer<'o> {
    /// Nothing is written.
    pub const fn nowhere() -> Self {
        Self { out: None, stops: None, reader: Reader::Client, utf8: false }
    }

    /// For a client. `utf8`: it enabled UTF8=ACCEPT, so that quoted strings may hold UTF-8.
    pub const fn to_client(out: &'o mut Vec<u8>, utf8: bool) -> Self {
        Self { out: Some(out), stops: None, reader: Reader::Client, utf8 }
    }

    /// For a server. `stops` gets the lengths of `out` at which a `+` must be awaited before the rest may go.
    pub const fn to_server(
        out: &'o mut Vec<u8>,
        stops: &'o mut Vec<usize>,
        literals: Literals,
        utf8: bool,
    ) -> Self {
        Self { out: Some(out), stops: Some(stops), reader: Reader::Server(literals), utf8 }
    }

    /// Octets that need no care.
    pub fn raw(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }

    /// A word of ours.
    pub fn word(&mut self, word: &str) {
        self.raw(word.as_bytes());
    }

    /// A blank.
    pub fn space(&mut self) {
        self.raw(b" ");
    }

    /// A number.
    pub fn number(&mut self, number: u64) {
        use std::io::Write as _;
        if let Some(out) = &mut self.out {
            // Writing into a vector cannot fail.
            let _ = write!(out, "{number}");
        }
    }

    /// `astring`.
    pub fn astring(&mut self, string: &Str<'_>) {
        match (self.reader, string) {
            (Reader::Client, Str::Atom(bytes)) => self.raw(bytes),
            (Reader::Client, Str::Quoted(_) | Str::Literal { .. }) => self.string(string),
            (Reader::Server(_), string) => self.astring_bytes(string.bytes()),
        }
    }

    /// `string`.
    pub fn string(&mut self, string: &Str<'_>) {
        match string {
            Str::Literal { bytes, binary } if self.reader == Reader::Client => self.literal(bytes, *binary),
            Str::Literal { bytes, binary: true } => self.literal(bytes, true),
            Str::Atom(_) | Str::Quoted(_) | Str::Literal { .. } => self.string_bytes(string.bytes()),
        }
    }

    /// `nstring`.
    pub fn nstring(&mut self, string: Option<&Str<'_>>) {
        match string {
            Some(string) => self.string(string),
            None => self.raw(b"NIL"),
        }
    }

    /// `astring`, in whatever form it takes.
    pub fn astring_bytes(&mut self, bytes: &[u8]) {
        if !bytes.is_empty()
            && bytes.iter().copied().all(is_astring_char)
            && !bytes.eq_ignore_ascii_case(b"NIL")
        {
            self.raw(bytes);
        } else {
            self.string_bytes(bytes);
        }
    }

    /// `list-mailbox`.
    pub fn pattern_bytes(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && bytes.iter().copied().all(is_list_char) {
            self.raw(bytes);
        } else {
            self.string_bytes(bytes);
        }
    }

    /// `string`: quoted where it can be, else a literal.
    pub fn string_bytes(&mut self, bytes: &[u8]) {
        /// Dovecot and others bound quoted strings; a literal has no such bound.
        const MAX_QUOTED: usize = 4096;
        let plain = |byte: &u8| matches!(byte, 1..=0x7f) && !matches!(byte, b'\r' | b'\n');
        let utf8 =
            || self.utf8 && std::str::from_utf8(bytes).is_ok() && !bytes.iter().any(u8::is_ascii_control);
        if bytes.len() > MAX_QUOTED || !(bytes.iter().all(plain) || utf8()) {
            return self.literal(bytes, false);
        }
        self.raw(b"\"");
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'"' | b'\\')) {
            match piece.split_last() {
                Some((special @ (b'"' | b'\\'), before)) => {
                    self.raw(before);
                    self.raw(&[b'\\', *special]);
                }
                Some(_) | None => self.raw(piece),
            }
        }
        self.raw(b"\"");
    }

    /// `literal`, or `literal8`.
    pub fn literal(&mut self, bytes: &[u8], binary: bool) {
        self.announce(bytes.len() as u64, binary);
        self.raw(bytes);
    }

    /// The announcement of a literal whose octets the caller sends, after a stop if there is one.
    pub fn announce(&mut self, size: u64, binary: bool) {
        self.raw(if binary { b"~{" } else { b"{" });
        self.number(size);
        let waits = match self.reader {
            Reader::Client => None,
            // LITERAL+ alone does not promise `~{n+}` (RFC 7888 section 6): whoever does not know it reads on behind the line.
            Reader::Server(literals) => Some(binary || literals.waits(size)),
        };
        self.raw(if waits == Some(false) { b"+}\r\n" } else { b"}\r\n" });
        if let (Some(true), Some(out), Some(stops)) = (waits, &self.out, &mut self.stops) {
            stops.push(out.len());
        }
    }

    /// Words with a blank between them.
    pub fn words<'w>(&mut self, words: impl IntoIterator<Item = &'w [u8]>) {
        for (index, word) in words.into_iter().enumerate() {
            if index > 0 {
                self.space();
            }
            self.raw(word);
        }
    }

    /// Text for people, to the end of a line. Some clients take `{5}` at the end of any line for a literal (Python's imaplib), so it
    /// does not stay at the end.
    pub fn text(&mut self, text: &[u8]) {
        self.printable(text);
        if text.ends_with(b"}") {
            self.raw(b".");
        }
    }

    /// What stands in a line: control characters become `?`.
    pub fn printable(&mut self, text: &[u8]) {
        for piece in text.split_inclusive(u8::is_ascii_control) {
            match piece.split_last() {
                Some((last, before)) if last.is_ascii_control() => {
                    self.raw(before);
                    self.raw(b"?");
                }
                Some(_) | None => self.raw(piece),
            }
        }
    }

    /// CRLF.
    pub fn end(&mut self) {
        self.raw(b"\r\n");
    }
}
