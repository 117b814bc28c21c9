//! Commands of a client: parsed into types, checked, and written anew for the server. No octet of a client reaches the
//! server in any other way.
//!
//! Reads bytes chosen by a client.
pub mod append;
pub mod mailboxes;
pub mod messages;
pub mod rights;
pub mod search;
mod write;
pub(super) use write::write_id;

use super::cursor::{Cursor, Parsed, Secret, Str, Wrong, is_tag_char};
use super::frame::Frame;
use super::mailbox::Mailbox;
use super::sequence_set::SequenceSet;
use super::verb::Verb;
use crate::machine::Side;
use append::{Append, Message, Replace};
use mailboxes::{Create, List, Select, Status};
use messages::{Copy, Fetch, Store};
use rights::{GetMetadata, SetAcl, SetMetadata, SetQuota};
use search::{Search, Sort, Thread};

/// RFC 9051 has no bound; no client needs more.
const MAX_TAG: usize = 64;

/// RFC 2971 section 3.3.
const MAX_ID_PAIRS: usize = 30;
/// Octets of a name or value of a client, likewise: dovecot hangs up at longer ones, on whatever else the session does.
const MAX_ID_VALUE: usize = 1024;

/// A command that is well formed; it borrows from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'f> {
    /// As the client chose it.
    pub tag: &'f [u8],
    /// What it is.
    pub verb: Verb,
    /// With what.
    pub body: Body<'f>,
}

/// The arguments of a command; commands that share a form share a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'f> {
    /// CAPABILITY, NOOP, LOGOUT, STARTTLS, NAMESPACE, IDLE, CHECK, CLOSE, UNSELECT, EXPUNGE.
    Nothing,
    /// ID; `None` is NIL.
    Id(Option<Fields<'f>>),
    /// ENABLE.
    Enable(Vec<&'f [u8]>),
    /// LOGIN.
    Login {
        /// The name.
        user: Str<'f>,
        /// The password.
        password: Secret<Str<'f>>,
    },
    /// AUTHENTICATE.
    Authenticate {
        /// As sent.
        mechanism: &'f [u8],
        /// RFC 4959; `=` is an empty one.
        initial: Option<Secret<&'f [u8]>>,
    },
    /// SELECT, EXAMINE.
    Select(Select<'f>),
    /// CREATE.
    Create(Create<'f>),
    /// DELETE, SUBSCRIBE, UNSUBSCRIBE, GETQUOTAROOT, GETACL, MYRIGHTS.
    Mailbox(Mailbox<'f>),
    /// RENAME.
    Rename(Mailbox<'f>, Mailbox<'f>),
    /// LIST.
    List(List<'f>),
    /// LSUB: a reference and a pattern.
    Lsub(Mailbox<'f>, Mailbox<'f>),
    /// STATUS.
    Status(Status<'f>),
    /// APPEND.
    Append(Append<'f>),
    /// REPLACE, UID REPLACE.
    Replace(Replace<'f>),
    /// UID EXPUNGE.
    UidExpunge(SequenceSet<'f>),
    /// SEARCH, UID SEARCH.
    Search(Search<'f>),
    /// SORT, UID SORT.
    Sort(Sort<'f>),
    /// THREAD, UID THREAD.
    Thread(Thread<'f>),
    /// FETCH, UID FETCH.
    Fetch(Fetch<'f>),
    /// STORE, UID STORE.
    Store(Store<'f>),
    /// COPY, MOVE and their UID forms.
    Copy(Copy<'f>),
    /// GETQUOTA: a quota root.
    GetQuota(Str<'f>),
    /// SETQUOTA.
    SetQuota(SetQuota<'f>),
    /// SETACL.
    SetAcl(SetAcl<'f>),
    /// DELETEACL, LISTRIGHTS: whose.
    Identifier(Mailbox<'f>, Str<'f>),
    /// GETMETADATA.
    GetMetadata(GetMetadata<'f>),
    /// SETMETADATA.
    SetMetadata(SetMetadata<'f>),
}

/// Names and values of ID.
pub type Fields<'f> = Vec<(Str<'f>, Option<Str<'f>>)>;

/// Why a frame is no command that could be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'f> {
    /// Its tag, if it has one.
    pub tag: Option<&'f [u8]>,
    /// Its name as sent, with UID in front.
    pub name: &'f [u8],
    /// What for.
    pub why: Why,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has no tag.
    Tag,
    /// Its name is not known.
    Unknown,
    /// What follows the name.
    Malformed(Wrong),
}

/// The tag and the name of a command, of which more may be to come.
#[derive(Clone, Debug)]
pub struct Head<'f> {
    /// As the client chose it.
    pub tag: &'f [u8],
    /// What it is.
    pub verb: Verb,
    /// Its name as sent, with UID in front.
    pub name: &'f [u8],
    arguments: Cursor<'f>,
}

impl<'f> Head<'f> {
    /// Reads the first words of a frame.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn parse(frame: Frame<'f>) -> Result<Self, Refusal<'f>> {
        let mut cursor = Cursor::new(frame, Side::Client);
        let tag = cursor.word(is_tag_char, "a tag was expected").ok().filter(|tag| tag.len() <= MAX_TAG);
        let Some(tag) = tag.filter(|_tag| cursor.space().is_ok()) else {
            return Err(Refusal { tag: None, name: &[], why: Why::Tag });
        };
        let start = cursor.at();
        let mut word = cursor.atom().unwrap_or_default();
        let uid = word.eq_ignore_ascii_case(b"UID");
        if uid && cursor.eat(b' ') {
            word = cursor.atom().unwrap_or_default();
        }
        let name = frame.text.get(start..cursor.at()).unwrap_or_default();
        match Verb::named(word, uid) {
            Some(verb) => Ok(Self { tag, verb, name, arguments: cursor }),
            None => Err(Refusal { tag: Some(tag), name, why: Why::Unknown }),
        }
    }

    /// Whether the literal with which a frame ends so far is a message that is appended.
    pub fn announces_message(&self, utf8: bool) -> bool {
        let mut cursor = self.arguments.clone();
        if self.verb == Verb::Append {
            Append::parse(&mut cursor, utf8, true).is_ok()
        } else {
            matches!(self.verb, Verb::Replace | Verb::UidReplace)
                && Replace::parse(&mut cursor, utf8, true).is_ok()
        }
    }
}

impl<'f> Command<'f> {
    /// Reads a frame. `utf8`: names and strings may be in UTF-8 (RFC 6855).
    ///
    /// # Errors
    /// A [`Refusal`] that says why it is not sent on.
    pub fn parse(frame: Frame<'f>, utf8: bool) -> Result<Self, Refusal<'f>> {
        Self::parse_body(frame, |verb, arguments| Body::parse(verb, arguments, utf8))
    }

    /// Reads APPEND or REPLACE as far as it came: up to the announcement of a message, which may be `UTF8 (~{n}`.
    ///
    /// # Errors
    /// A [`Refusal`] that says why it is not sent on.
    pub fn parse_announced(frame: Frame<'f>, utf8: bool) -> Result<Self, Refusal<'f>> {
        Self::parse_body(frame, |verb, arguments| {
            if verb == Verb::Append {
                Append::parse(arguments, utf8, true).map(Body::Append)
            } else {
                Replace::parse(arguments, utf8, true).map(Body::Replace)
            }
        })
    }

    fn parse_body(
        frame: Frame<'f>,
        parse: impl FnOnce(Verb, &mut Cursor<'f>) -> Parsed<Body<'f>>,
    ) -> Result<Self, Refusal<'f>> {
        let Head { tag, verb, name, mut arguments } = Head::parse(frame)?;
        let body = parse(verb, &mut arguments).and_then(|body| arguments.end().map(|()| body));
        match body {
            Ok(body) => Ok(Self { tag, verb, body }),
            Err(wrong) => Err(Refusal { tag: Some(tag), name, why: Why::Malformed(wrong) }),
        }
    }
}

impl<'f> Body<'f> {
    /// The messages that it brings.
    pub(super) const fn messages(&self) -> &[Message<'f>] {
        if let Self::Append(append) = self {
            append.messages.as_slice()
        } else if let Self::Replace(replace) = self {
            std::slice::from_ref(&replace.message)
        } else {
            &[]
        }
    }

    fn parse(verb: Verb, cursor: &mut Cursor<'f>, utf8: bool) -> Parsed<Self> {
        let first = |cursor: &mut Cursor<'f>| {
            cursor.space()?;
            Mailbox::parse(cursor, utf8)
        };
        match verb {
            Verb::Capability
            | Verb::Noop
            | Verb::Logout
            | Verb::StartTls
            | Verb::Namespace
            | Verb::Idle
            | Verb::Check
            | Verb::Close
            | Verb::Unselect
            | Verb::Expunge => Ok(Self::Nothing),
            Verb::Id => {
                cursor.space()?;
                parse_id(cursor).map(Self::Id)
            }
            Verb::Enable => {
                let mut names = Vec::new();
                while cursor.eat_space() {
                    names.push(cursor.atom()?);
                }
                if names.is_empty() {
                    Err(cursor.wrong("ENABLE names nothing"))
                } else {
                    Ok(Self::Enable(names))
                }
            }
            Verb::Login => {
                cursor.space()?;
                let user = cursor.astring()?;
                cursor.space()?;
                Ok(Self::Login { user, password: Secret(cursor.astring()?) })
            }
            Verb::Authenticate => {
                cursor.space()?;
                let mechanism = cursor.atom()?;
                let initial = if cursor.eat_space() {
                    let base64 =
                        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
                    Some(Secret(cursor.word(base64, "base64 was expected")?))
                } else {
                    None
                };
                Ok(Self::Authenticate { mechanism, initial })
            }
            Verb::Select | Verb::Examine => Select::parse(cursor, utf8).map(Self::Select),
            Verb::Create => Create::parse(cursor, utf8).map(Self::Create),
            Verb::Delete
            | Verb::Subscribe
            | Verb::Unsubscribe
            | Verb::GetQuotaRoot
            | Verb::GetAcl
            | Verb::MyRights => first(cursor).map(Self::Mailbox),
            Verb::Rename => Ok(Self::Rename(first(cursor)?, first(cursor)?)),
            Verb::List => List::parse(cursor, utf8).map(Self::List),
            Verb::Lsub => {
                let reference = first(cursor)?;
                cursor.space()?;
                Ok(Self::Lsub(reference, Mailbox::parse_pattern(cursor, utf8)?))
            }
            Verb::Status => Status::parse(cursor, utf8).map(Self::Status),
            Verb::Append => Append::parse(cursor, utf8, false).map(Self::Append),
            Verb::Replace | Verb::UidReplace => Replace::parse(cursor, utf8, false).map(Self::Replace),
            Verb::UidExpunge => {
                cursor.space()?;
                SequenceSet::parse(cursor).map(Self::UidExpunge)
            }
            Verb::Search | Verb::UidSearch => Search::parse(cursor).map(Self::Search),
            Verb::Sort | Verb::UidSort => Sort::parse(cursor).map(Self::Sort),
            Verb::Thread | Verb::UidThread => Thread::parse(cursor).map(Self::Thread),
            Verb::Fetch | Verb::UidFetch => Fetch::parse(cursor).map(Self::Fetch),
            Verb::Store | Verb::UidStore => Store::parse(cursor).map(Self::Store),
            Verb::Copy | Verb::UidCopy | Verb::Move | Verb::UidMove => {
                Copy::parse(cursor, utf8).map(Self::Copy)
            }
            Verb::GetQuota => {
                cursor.space()?;
                cursor.astring().map(Self::GetQuota)
            }
            Verb::SetQuota => SetQuota::parse(cursor).map(Self::SetQuota),
            Verb::SetAcl => SetAcl::parse(cursor, utf8).map(Self::SetAcl),
            Verb::DeleteAcl | Verb::ListRights => {
                let mailbox = first(cursor)?;
                cursor.space()?;
                Ok(Self::Identifier(mailbox, cursor.astring()?))
            }
            Verb::GetMetadata => GetMetadata::parse(cursor, utf8).map(Self::GetMetadata),
            Verb::SetMetadata => SetMetadata::parse(cursor, utf8).map(Self::SetMetadata),
        }
    }
}

/// `id-params-list` (RFC 2971), for both directions.
pub(super) fn parse_id<'f>(cursor: &mut Cursor<'f>) -> Parsed<Option<Fields<'f>>> {
    if cursor.eat_word("NIL") {
        return Ok(None);
    }
    let mut pairs = Vec::new();
    let mut name = None;
    cursor.list(|cursor| {
        match name.take() {
            None => name = Some(cursor.string()?),
            Some(name) => pairs.push((name, cursor.nstring()?)),
        }
        let long =
            |string: Option<&Str<'_>>| string.is_some_and(|string| string.bytes().len() > MAX_ID_VALUE);
        let too_long = long(name.as_ref()) || pairs.last().is_some_and(|(_, value)| long(value.as_ref()));
        if pairs.len() > MAX_ID_PAIRS {
            Err(cursor.wrong("more than 30 fields"))
        } else if too_long && cursor.peer() == Side::Client {
            Err(cursor.wrong("a field of more than 1024 octets"))
        } else {
            Ok(())
        }
    })?;
    if name.is_some() { Err(cursor.wrong("a field without a value")) } else { Ok(Some(pairs)) }
}
