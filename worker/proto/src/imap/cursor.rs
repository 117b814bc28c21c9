//! A place in a frame, and the words of the formal syntax (RFC 9051 section 9) that are read there: atoms, strings,
//! numbers, lists. Every grammar of this folder is made of these; they never look beyond the frame and nest no deeper
//! than [`MAX_DEPTH`].
//!
//! Reads bytes chosen by either peer.
use super::frame::{Announcement, Elided, Frame};
use crate::machine::Side;
use crate::quirks;
use memchr::memchr2;
use std::borrow::Cow;

/// Parentheses in parentheses, and NOT and OR of a search within each other.
pub const MAX_DEPTH: u8 = 32;

/// Why a frame is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Octets of the frame before it.
    pub at: usize,
    /// What stands there, or should.
    pub what: &'static str,
}

/// What a grammar makes of a frame.
pub type Parsed<T> = Result<T, Wrong>;

/// A string in any of its forms. Equal are those with the same octets.
#[derive(Clone, Debug)]
pub enum Str<'f> {
    /// Bare.
    Atom(&'f [u8]),
    /// In quotes; here without them and without backslashes.
    Quoted(Cow<'f, [u8]>),
    /// `{n}`; `binary`: `~{n}`.
    Literal {
        /// Its octets.
        bytes: &'f [u8],
        /// May hold NUL.
        binary: bool,
    },
}

impl Str<'_> {
    /// Its octets.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Atom(bytes) | Self::Literal { bytes, .. } => bytes,
            Self::Quoted(bytes) => bytes,
        }
    }

    /// Whether it is this word, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.bytes().eq_ignore_ascii_case(word.as_bytes())
    }
}

impl PartialEq for Str<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Str<'_> {}

/// A string that never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(pub T);

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The value of a content item, or a message that is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'f> {
    /// It stands in the frame; `None` is NIL.
    Inline(Option<Str<'f>>),
    /// Its octets went another way.
    Elided {
        /// The how manieth literal of the frame that is not in it, from 0.
        index: usize,
        /// Its octets.
        size: u64,
        /// `~{n}`.
        binary: bool,
    },
}

/// A place in a frame.
#[derive(Clone, Debug)]
pub struct Cursor<'f> {
    text: &'f [u8],
    elided: &'f [Elided],
    at: usize,
    depth: u8,
    peer: Side,
}

impl<'f> Cursor<'f> {
    /// The beginning of a frame of this peer.
    pub const fn new(frame: Frame<'f>, peer: Side) -> Self {
        Self { text: frame.text, elided: frame.elided, at: 0, depth: 0, peer }
    }

    /// The beginning of a piece of a frame that was read once already.
    pub const fn of_part(text: &'f [u8], peer: Side) -> Self {
        Self::new(Frame { text, elided: &[] }, peer)
    }

    /// Another place in the same frame.
    #[must_use]
    pub const fn moved_to(mut self, at: usize) -> Self {
        self.at = at;
        self
    }

    /// Octets before this place.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whose frame it is.
    pub const fn peer(&self) -> Side {
        self.peer
    }

    /// That something is wrong here.
    pub const fn wrong(&self, what: &'static str) -> Wrong {
        Wrong { at: self.at, what }
    }

    /// What is left.
    pub fn rest(&self) -> &'f [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Nothing but blanks may be left.
    ///
    /// # Errors
    /// [`Wrong`] if more is.
    pub fn end(&mut self) -> Parsed<()> {
        self.at += quirks::blanks_before_the_end(self.rest());
        if self.is_at_end() { Ok(()) } else { Err(self.wrong("the end was expected")) }
    }

    /// Takes this octet if it is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        self.at += usize::from(eaten);
        eaten
    }

    /// Takes this octet.
    ///
    /// # Errors
    /// [`Wrong`] if another is next.
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        if self.eat(byte) { Ok(()) } else { Err(self.wrong(what)) }
    }

    /// Takes the blank between two words.
    ///
    /// # Errors
    /// [`Wrong`] if there is none.
    pub fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a blank was expected")?;
        if self.peer == Side::Server {
            self.at += quirks::further_blanks(self.rest());
        }
        Ok(())
    }

    /// Takes a blank if one is next; servers may also end what comes with it.
    pub fn eat_space(&mut self) -> bool {
        self.peek() == Some(b' ') && self.space().is_ok()
    }

    /// Takes this word, in any case, unless a longer one stands there.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let here = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
        let eaten = here && !rest.get(word.len()).copied().is_some_and(is_atom_char);
        if eaten {
            self.at += word.len();
        }
        eaten
    }

    /// Takes these octets, in any case, whatever follows them.
    pub fn eat_prefix(&mut self, prefix: &str) -> bool {
        let here = self.rest().get(..prefix.len());
        let eaten = here.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
        if eaten {
            self.at += prefix.len();
        }
        eaten
    }

    /// Takes the octets that are of this kind, at least one.
    ///
    /// # Errors
    /// [`Wrong`] if there is none.
    pub fn word(&mut self, kind: impl Fn(u8) -> bool, what: &'static str) -> Parsed<&'f [u8]> {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !kind(*byte)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.wrong(what));
        }
        self.at += length;
        Ok(rest.get(..length).unwrap_or_default())
    }

    /// `atom`.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn atom(&mut self) -> Parsed<&'f [u8]> {
        self.word(is_atom_char, "an atom was expected")
    }

    /// `number64`: at most 63 bits (RFC 9051 section 9).
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn number64(&mut self) -> Parsed<u64> {
        let start = self.at;
        let digits = self.word(|byte| byte.is_ascii_digit(), "a number was expected")?;
        let value = digits.iter().try_fold(0_u64, |value, digit| {
            value
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))
                .filter(|value| *value <= i64::MAX as u64)
        });
        value.ok_or(Wrong { at: start, what: "a number is too large" })
    }

    /// `number`: 32 bits.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn number(&mut self) -> Parsed<u32> {
        let start = self.at;
        u32::try_from(self.number64()?).map_err(|_large| Wrong { at: start, what: "a number is too large" })
    }

    /// `nz-number`.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn number_above_zero(&mut self) -> Parsed<u32> {
        let start = self.at;
        match self.number()? {
            0 => Err(Wrong { at: start, what: "a number is zero" }),
            number => Ok(number),
        }
    }

    /// `astring`.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn astring(&mut self) -> Parsed<Str<'f>> {
        match self.rest() {
            [b'"' | b'{', ..] | [b'~', b'{', ..] => self.string(),
            _other => self.word(is_astring_char, "a string was expected").map(Str::Atom),
        }
    }

    /// `list-mailbox`: a pattern.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn list_mailbox(&mut self) -> Parsed<Str<'f>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            Some(_) | None => self.word(is_list_char, "a pattern was expected").map(Str::Atom),
        }
    }

    /// `string`. Of a server a `literal8` is taken for one too; of a client it is not, for the server would not: it may go on
    /// reading behind the announcement, where the octets are the client's.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn string(&mut self) -> Parsed<Str<'f>> {
        let string = self.string8()?;
        if self.peer == Side::Client && matches!(string, Str::Literal { binary: true, .. }) {
            return Err(self.wrong("`~{` stands where it may not"));
        }
        Ok(string)
    }

    /// `string`, or `literal8`.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn string8(&mut self) -> Parsed<Str<'f>> {
        match self.peek() {
            Some(b'"') => self.quoted().map(Str::Quoted),
            Some(b'{' | b'~') => match self.literal()? {
                Content::Inline(Some(literal)) => Ok(literal),
                Content::Inline(None) | Content::Elided { .. } => {
                    Err(self.wrong("a literal stands where none may"))
                }
            },
            Some(_) | None => Err(self.wrong("a string was expected")),
        }
    }

    /// `nstring`.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn nstring(&mut self) -> Parsed<Option<Str<'f>>> {
        if self.eat_word("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    /// `nstring`, or `literal8`.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn nstring8(&mut self) -> Parsed<Option<Str<'f>>> {
        if self.eat_word("NIL") { Ok(None) } else { self.string8().map(Some) }
    }

    /// What a content item is followed by: `nstring`, or `literal8`, or NIL.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn content(&mut self) -> Parsed<Content<'f>> {
        match self.peek() {
            Some(b'{' | b'~') => self.literal(),
            Some(_) | None => self.nstring().map(Content::Inline),
        }
    }

    /// `"("`, items with a blank between them, `")"`; none at all too.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.nested(|cursor| {
            cursor.expect(b'(', "`(` was expected")?;
            if cursor.peer == Side::Server {
                cursor.at += quirks::further_blanks(cursor.rest());
            }
            let mut first = true;
            loop {
                if cursor.eat(b')') {
                    return Ok(());
                }
                if !first {
                    cursor.space()?;
                    if cursor.peer == Side::Server && cursor.eat(b')') {
                        return Ok(());
                    }
                }
                first = false;
                item(cursor)?;
            }
        })
    }

    /// One level deeper.
    ///
    /// # Errors
    /// [`Wrong`] below [`MAX_DEPTH`], or what the inner grammar says.
    pub fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        self.depth += 1;
        let parsed = inner(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    /// The octets that a grammar takes.
    ///
    /// # Errors
    /// What the grammar says.
    pub fn span(&mut self, grammar: impl FnOnce(&mut Self) -> Parsed<()>) -> Parsed<&'f [u8]> {
        let start = self.at;
        grammar(self)?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn quoted(&mut self) -> Parsed<Cow<'f, [u8]>> {
        self.expect(b'"', "a quote was expected")?;
        let rest = self.rest();
        let mut unescaped: Option<Vec<u8>> = None;
        let mut done = 0;
        loop {
            let tail = rest.get(done..).unwrap_or_default();
            let Some(found) = memchr2(b'"', b'\\', tail) else {
                return Err(self.wrong("a quote is not closed"));
            };
            let plain = tail.get(..found).unwrap_or_default();
            if plain.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
                return Err(self.wrong("a quote is not closed"));
            }
            if tail.get(found) == Some(&b'"') {
                self.at += done + found + 1;
                return Ok(match unescaped {
                    Some(mut bytes) => {
                        bytes.extend_from_slice(plain);
                        Cow::Owned(bytes)
                    }
                    None => Cow::Borrowed(plain),
                });
            }
            let Some(escaped) = tail.get(found + 1).copied().filter(|byte| !matches!(byte, b'\r' | b'\n'))
            else {
                return Err(self.wrong("a quote is not closed"));
            };
            let bytes = unescaped.get_or_insert_default();
            bytes.extend_from_slice(plain);
            match escaped {
                b'"' | b'\\' => bytes.push(escaped),
                _other if self.peer == Side::Server => quirks::unknown_escape(bytes, escaped),
                _other => return Err(self.wrong("a backslash stands before an octet that needs none")),
            }
            done += found + 2;
        }
    }

    fn literal(&mut self) -> Parsed<Content<'f>> {
        let binary = self.eat(b'~');
        self.expect(b'{', "a literal was expected")?;
        let rest = self.rest();
        let inside = memchr::memchr(b'}', rest).and_then(|end| rest.get(..end)).unwrap_or_default();
        let Some(Announcement { size, .. }) = Announcement::read(inside, binary) else {
            return Err(self.wrong("a literal has no size"));
        };
        if rest.get(inside.len()..inside.len() + 3) != Some(b"}\r\n") {
            return Err(self.wrong("a literal is not announced by the last word of a line"));
        }
        self.at += inside.len() + 3;
        if let Some(index) = self.elided.iter().position(|elided| elided.at == self.at) {
            return Ok(Content::Elided { index, size, binary });
        }
        let bytes = usize::try_from(size).ok().and_then(|size| self.rest().get(..size));
        let Some(bytes) = bytes else { return Err(self.wrong("a literal is longer than the frame")) };
        if !binary && memchr::memchr(0, bytes).is_some() {
            return Err(self.wrong("NUL in a literal"));
        }
        self.at += bytes.len();
        Ok(Content::Inline(Some(Str::Literal { bytes, binary })))
    }
}

/// `ATOM-CHAR`: printable ASCII without `(){ %*"\]`.
pub const fn is_atom_char(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`.
pub const fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

/// `list-char`.
pub const fn is_list_char(byte: u8) -> bool {
    is_astring_char(byte) || matches!(byte, b'%' | b'*')
}

/// What a tag is made of.
pub const fn is_tag_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b'+'
}
