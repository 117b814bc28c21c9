//! Commands of a client: parsed into types, checked, and written anew for the server. No octet of a client reaches
//! the server in any other way.
use crate::capability::{Capability, Mechanism};
use crate::quirks;
use policy::list::NameList;
use std::fmt;
use texts::Answer;

/// The name of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// RFC 1939 section 7.
    User,
    /// RFC 1939 section 7.
    Pass,
    /// RFC 1939 section 7.
    Apop,
    /// RFC 5034.
    Auth,
    /// RFC 2449 section 5.
    Capa,
    /// RFC 1939 section 5.
    Stat,
    /// RFC 1939 section 5.
    List,
    /// RFC 1939 section 7.
    Uidl,
    /// RFC 1939 section 5.
    Retr,
    /// RFC 1939 section 7.
    Top,
    /// RFC 1939 section 5.
    Dele,
    /// RFC 1939 section 5.
    Rset,
    /// RFC 1939 section 5.
    Noop,
    /// RFC 1460 section 5: gone from RFC 1939, still sent by old clients.
    Last,
    /// RFC 6856 section 2.
    Utf8,
    /// RFC 6856 section 3.
    Lang,
    /// RFC 2595 section 4.
    Stls,
    /// RFC 1939 sections 4 and 6.
    Quit,
}

impl Verb {
    /// All of them: `*` in `commands`.
    pub const ALL: [Self; 18] = [
        Self::User,
        Self::Pass,
        Self::Apop,
        Self::Auth,
        Self::Capa,
        Self::Stat,
        Self::List,
        Self::Uidl,
        Self::Retr,
        Self::Top,
        Self::Dele,
        Self::Rset,
        Self::Noop,
        Self::Last,
        Self::Utf8,
        Self::Lang,
        Self::Stls,
        Self::Quit,
    ];

    /// As sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Pass => "PASS",
            Self::Apop => "APOP",
            Self::Auth => "AUTH",
            Self::Capa => "CAPA",
            Self::Stat => "STAT",
            Self::List => "LIST",
            Self::Uidl => "UIDL",
            Self::Retr => "RETR",
            Self::Top => "TOP",
            Self::Dele => "DELE",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Last => "LAST",
            Self::Utf8 => "UTF8",
            Self::Lang => "LANG",
            Self::Stls => "STLS",
            Self::Quit => "QUIT",
        }
    }

    /// The verb of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The capability that announces it: where the rules hide that, the command is refused too.
    pub const fn capability(self) -> Option<Capability> {
        match self {
            Self::User | Self::Pass => Some(Capability::User),
            Self::Auth => Some(Capability::Sasl),
            Self::Uidl => Some(Capability::Uidl),
            Self::Top => Some(Capability::Top),
            Self::Utf8 => Some(Capability::Utf8),
            Self::Lang => Some(Capability::Lang),
            Self::Apop
            | Self::Capa
            | Self::Stat
            | Self::List
            | Self::Retr
            | Self::Dele
            | Self::Rset
            | Self::Noop
            | Self::Last
            | Self::Stls
            | Self::Quit => None,
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Whether a line is the first one of a request of HTTP: a browser that was led here by somebody who wants what it sends
/// read as commands (ALPACA, CVE-2021-3618). The line need not have come whole.
pub(super) fn is_http(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH "];
    METHODS.iter().any(|method| line.starts_with(method))
}

/// A set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerbSet(u32);

impl VerbSet {
    /// Those that a list of the rules permits. QUIT always is: a client that may not leave only hangs up. STLS is too: the
    /// item `tls` decides about it.
    pub fn permitted(list: &NameList) -> Self {
        let permitted = Verb::ALL.into_iter().filter(|verb| list.allows(verb.name()));
        Self(permitted.fold(Verb::Quit.bit() | Verb::Stls.bit(), |set, verb| set | verb.bit()))
    }

    /// Whether it is in the set.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & verb.bit() != 0
    }

    /// Takes one out.
    pub fn remove(&mut self, verb: Verb) {
        self.0 &= !verb.bit();
    }
}

/// The number of a message: 1 to 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageNumber(u32);

impl MessageNumber {
    const MAX: u64 = 1 << 31;

    /// Decimal digits and nothing else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let value = parse_decimal(text)?;
        (1..=Self::MAX).contains(&value).then(|| u32::try_from(value).ok().map(Self)).flatten()
    }

    /// As a plain number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Octets that never print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(pub &'a [u8]);

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A command that is well formed; it borrows from the line that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `USER name`
    User(&'a [u8]),
    /// `PASS` and the rest of the line
    Pass(Secret<'a>),
    /// `APOP name digest`
    Apop(&'a [u8], Secret<'a>),
    /// `AUTH`: which mechanisms are there
    AuthList,
    /// `AUTH mechanism [initial-response]`
    Auth(Mechanism, Option<Secret<'a>>),
    /// `CAPA`
    Capa,
    /// `STAT`
    Stat,
    /// `LIST [n]`
    List(Option<MessageNumber>),
    /// `UIDL [n]`
    Uidl(Option<MessageNumber>),
    /// `RETR n`
    Retr(MessageNumber),
    /// `TOP n lines`
    Top(MessageNumber, u64),
    /// `DELE n`
    Dele(MessageNumber),
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `LAST`
    Last,
    /// `UTF8`
    Utf8,
    /// `LANG [tag]`
    Lang(Option<&'a [u8]>),
    /// `STLS`
    Stls,
    /// `QUIT`
    Quit,
}

/// Why a line is no command that could be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The first word, as sent.
    pub name: &'a [u8],
    /// For the answer and for the log.
    pub why: Answer,
}

impl<'a> Command<'a> {
    /// Reads a line without its line end. `utf8`: 8-bit octets may appear in names (RFC 6856 section 2.1).
    ///
    /// # Errors
    /// A [`Refusal`] that says why the line is not sent on.
    pub fn parse(line: &'a [u8], utf8: bool) -> Result<Self, Refusal<'a>> {
        let (name, rest) = split_word(line);
        let refuse = |why| Err(Refusal { name, why });
        let Some(verb) = Verb::named(name) else {
            return refuse(Answer::UnknownCommand);
        };
        if verb == Verb::Pass {
            // RFC 1939 section 7: a server may treat blanks in the argument as part of the password.
            return match rest {
                Some(password) if is_password(password) => Ok(Self::Pass(Secret(password))),
                Some(_) | None => refuse(Answer::MalformedPassword),
            };
        }
        let argument = quirks::without_trailing_blanks(rest.unwrap_or_default());
        if !is_printable(argument, utf8) {
            return refuse(Answer::MalformedArgument);
        }
        if verb == Verb::Auth && !argument.is_empty() && Mechanism::named(split_word(argument).0).is_none() {
            return refuse(Answer::MechanismNotAvailable);
        }
        Self::with_argument(verb, argument).map_or_else(|| refuse(Answer::MalformedArgument), Ok)
    }

    fn with_argument(verb: Verb, argument: &'a [u8]) -> Option<Self> {
        let none = |command| argument.is_empty().then_some(command);
        let optional_number = || {
            if argument.is_empty() { Some(None) } else { MessageNumber::parse(argument).map(Some) }
        };
        match verb {
            Verb::User => (!argument.is_empty()).then_some(Self::User(argument)),
            Verb::Pass => is_password(argument).then_some(Self::Pass(Secret(argument))),
            Verb::Apop => {
                // The digest is the last word; a name may contain blanks.
                let at = memchr::memrchr(b' ', argument)?;
                let (user, digest) = (argument.get(..at)?, argument.get(at + 1..)?);
                let hexadecimal = digest.len() == 32 && digest.iter().all(u8::is_ascii_hexdigit);
                (!user.is_empty() && hexadecimal).then_some(Self::Apop(user, Secret(digest)))
            }
            Verb::Auth if argument.is_empty() => Some(Self::AuthList),
            Verb::Auth => {
                let (mechanism, initial) = split_word(argument);
                let mechanism = Mechanism::named(mechanism)?;
                match initial {
                    None => Some(Self::Auth(mechanism, None)),
                    // RFC 5034 section 4: `=` is an empty initial response.
                    Some(initial) => (initial == b"=" || (!initial.is_empty() && is_base64(initial)))
                        .then_some(Self::Auth(mechanism, Some(Secret(initial)))),
                }
            }
            Verb::Capa => none(Self::Capa),
            Verb::Stat => none(Self::Stat),
            Verb::List => optional_number().map(Self::List),
            Verb::Uidl => optional_number().map(Self::Uidl),
            Verb::Retr => MessageNumber::parse(argument).map(Self::Retr),
            Verb::Top => {
                let (number, lines) = split_word(argument);
                Some(Self::Top(MessageNumber::parse(number)?, parse_decimal(lines?.trim_ascii_start())?))
            }
            Verb::Dele => MessageNumber::parse(argument).map(Self::Dele),
            Verb::Rset => none(Self::Rset),
            Verb::Noop => none(Self::Noop),
            Verb::Last => none(Self::Last),
            Verb::Utf8 => none(Self::Utf8),
            Verb::Lang if argument.is_empty() => Some(Self::Lang(None)),
            // RFC 5646: letters, digits and hyphens; RFC 6856: `*` asks for the server's choice.
            Verb::Lang => {
                let tag = argument == b"*"
                    || argument.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
                tag.then_some(Self::Lang(Some(argument)))
            }
            Verb::Stls => none(Self::Stls),
            Verb::Quit => none(Self::Quit),
        }
    }

    /// Its name.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::User(_) => Verb::User,
            Self::Pass(_) => Verb::Pass,
            Self::Apop(..) => Verb::Apop,
            Self::AuthList | Self::Auth(..) => Verb::Auth,
            Self::Capa => Verb::Capa,
            Self::Stat => Verb::Stat,
            Self::List(_) => Verb::List,
            Self::Uidl(_) => Verb::Uidl,
            Self::Retr(_) => Verb::Retr,
            Self::Top(..) => Verb::Top,
            Self::Dele(_) => Verb::Dele,
            Self::Rset => Verb::Rset,
            Self::Noop => Verb::Noop,
            Self::Last => Verb::Last,
            Self::Utf8 => Verb::Utf8,
            Self::Lang(_) => Verb::Lang,
            Self::Stls => Verb::Stls,
            Self::Quit => Verb::Quit,
        }
    }

    /// Writes it for the server, with CRLF.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.verb().name().as_bytes());
        match self {
            Self::User(argument) | Self::Pass(Secret(argument)) | Self::Lang(Some(argument)) => {
                push_words(out, &[argument]);
            }
            Self::Apop(user, Secret(digest)) => push_words(out, &[user, digest]),
            Self::Auth(mechanism, None) => push_words(out, &[mechanism.name().as_bytes()]),
            Self::Auth(mechanism, Some(Secret(initial))) => {
                push_words(out, &[mechanism.name().as_bytes(), initial])
            }
            Self::List(Some(number)) | Self::Uidl(Some(number)) | Self::Retr(number) | Self::Dele(number) => {
                push_words(out, &[]);
                push_number(out, u64::from(number.get()));
            }
            Self::Top(number, lines) => {
                push_words(out, &[]);
                push_number(out, u64::from(number.get()));
                out.push(b' ');
                push_number(out, *lines);
            }
            Self::AuthList
            | Self::Capa
            | Self::Stat
            | Self::List(None)
            | Self::Uidl(None)
            | Self::Rset
            | Self::Noop
            | Self::Last
            | Self::Utf8
            | Self::Lang(None)
            | Self::Stls
            | Self::Quit => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Decimal digits and nothing else, at most 18 of them.
pub(super) fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter()
        .try_fold(0_u64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

/// Writes a number in decimal digits without allocating.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    use std::io::Write as _;
    // Writing into a vector cannot fail.
    let _ = write!(out, "{number}");
}

/// RFC 4648 section 4: the alphabet, whole groups, padding only at the end. Empty is base64 too.
pub(super) fn is_base64(text: &[u8]) -> bool {
    let unpadded = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    text.len().is_multiple_of(4)
        && unpadded.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn push_words(out: &mut Vec<u8>, words: &[&[u8]]) {
    if words.is_empty() {
        out.push(b' ');
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

fn split_word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b' ', line) {
        Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..)),
        None => (line, None),
    }
}

fn is_printable(argument: &[u8], utf8: bool) -> bool {
    argument.iter().all(|byte| matches!(byte, b' '..=b'~') || (utf8 && *byte >= 0x80))
}

/// Passwords may hold blanks, tabs and 8-bit octets; never what could end a line or a string.
fn is_password(password: &[u8]) -> bool {
    !password.is_empty() && !password.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
}
