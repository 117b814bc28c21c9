//! Which capabilities of a server a client may see, one source for greeting, CAPABILITY and response codes, and which of them a
//! command uses: what is hidden is also refused. What is not listed here is hidden, because nobody knows what it would
//! carry round the scanner: COMPRESS, CATENATE, URLAUTH, NOTIFY, CONVERT, PREVIEW, referrals, JMAPACCESS, UIDONLY …
use super::command::append::{Append, Message};
use super::command::mailboxes::{List, ListReturn};
use super::command::search::{Key, Return};
use super::command::{Body, Command};
use super::cursor::{Content, Str};
use super::fetch_item::FetchItem;
use super::sequence_set::SequenceSet;
use super::verb::Verb;
use crate::capability::Mechanism;
use crate::machine::Security;
use policy::list::{NameList, matches};

macro_rules! capabilities {
    ($($capability:ident = $name:literal,)*) => {
        /// A capability that passes; those with a value (`THREAD=REFERENCES`) are one with what stands in front of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the capability of its name")]
        pub enum Capability { $($capability,)* }

        impl Capability {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$capability,)*];

            /// As in CAPABILITY and in `capabilities = […]`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$capability => $name,)* }
            }
        }
    };
}

capabilities! {
    Imap4rev1 = "IMAP4rev1",
    Imap4rev2 = "IMAP4rev2",
    Auth = "AUTH",
    LoginDisabled = "LOGINDISABLED",
    SaslIr = "SASL-IR",
    LiteralPlus = "LITERAL+",
    LiteralMinus = "LITERAL-",
    Id = "ID",
    Enable = "ENABLE",
    Idle = "IDLE",
    Namespace = "NAMESPACE",
    Children = "CHILDREN",
    UidPlus = "UIDPLUS",
    Unselect = "UNSELECT",
    Move = "MOVE",
    SpecialUse = "SPECIAL-USE",
    CreateSpecialUse = "CREATE-SPECIAL-USE",
    ListExtended = "LIST-EXTENDED",
    ListStatus = "LIST-STATUS",
    ListMyRights = "LIST-MYRIGHTS",
    Esearch = "ESEARCH",
    SearchRes = "SEARCHRES",
    Sort = "SORT",
    SortDisplay = "SORT=DISPLAY",
    Esort = "ESORT",
    Thread = "THREAD",
    Condstore = "CONDSTORE",
    Qresync = "QRESYNC",
    Utf8Accept = "UTF8=ACCEPT",
    Quota = "QUOTA",
    QuotaSet = "QUOTASET",
    Acl = "ACL",
    Rights = "RIGHTS",
    Metadata = "METADATA",
    MetadataServer = "METADATA-SERVER",
    Binary = "BINARY",
    ObjectId = "OBJECTID",
    AppendLimit = "APPENDLIMIT",
    StatusSize = "STATUS=SIZE",
    Replace = "REPLACE",
    SaveDate = "SAVEDATE",
    Within = "WITHIN",
    Partial = "PARTIAL",
    InProgress = "INPROGRESS",
    MultiAppend = "MULTIAPPEND",
}

impl Capability {
    /// What IMAP4rev2 has in itself (RFC 9051 appendix E): it is announced only where none of these is hidden.
    const OF_REV2: [Self; 15] = [
        Self::SaslIr,
        Self::LiteralMinus,
        Self::Enable,
        Self::Idle,
        Self::Namespace,
        Self::UidPlus,
        Self::Unselect,
        Self::Move,
        Self::SpecialUse,
        Self::ListExtended,
        Self::ListStatus,
        Self::Esearch,
        Self::SearchRes,
        Self::StatusSize,
        Self::Binary,
    ];

    /// The capability that a word announces.
    pub fn announced_by(word: &[u8]) -> Option<Self> {
        let exactly = Self::ALL.iter().find(|known| known.name().as_bytes().eq_ignore_ascii_case(word));
        if let Some(known) = exactly {
            return Some(*known);
        }
        let name = word.get(..memchr::memchr(b'=', word)?)?;
        let valued = [Self::Auth, Self::Thread, Self::Quota, Self::Rights, Self::AppendLimit];
        valued.into_iter().find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// Those that a list of the rules permits. Without IMAP4rev1 and AUTH there would be no session.
    pub fn permitted(list: &NameList) -> Self {
        let mut set = Self::default();
        for capability in Capability::ALL {
            let name = capability.name();
            if list.allows(name) || list.positive.iter().any(|pattern| is_value_of(pattern, name)) {
                set.insert(*capability);
            }
        }
        set.insert(Capability::Imap4rev1);
        set.insert(Capability::Auth);
        // Each of these is nothing without the other (RFC 7162 section 3.2.3, RFC 6154, RFC 5464).
        for (needed, by) in [
            (Capability::Condstore, Capability::Qresync),
            (Capability::SpecialUse, Capability::CreateSpecialUse),
            (Capability::Sort, Capability::SortDisplay),
            (Capability::Sort, Capability::Esort),
            (Capability::Quota, Capability::QuotaSet),
            (Capability::Acl, Capability::Rights),
            (Capability::ListExtended, Capability::ListStatus),
            (Capability::ListExtended, Capability::ListMyRights),
            (Capability::Esearch, Capability::SearchRes),
        ] {
            if !set.contains(needed) {
                set.0 &= !by.bit();
            }
        }
        set
    }

    /// Adds one.
    pub const fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }

    /// Whether it is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// One that is in this set and not in the other.
    pub fn beyond(self, other: Self) -> Option<Capability> {
        Capability::ALL.iter().copied().find(|known| self.contains(*known) && !other.contains(*known))
    }
}

/// Who looks, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'r> {
    /// `capabilities = […]` of the rule.
    pub list: &'r NameList,
    /// `capabilities = […]` of the listener, before the login.
    pub welcome: &'r NameList,
    /// TLS with the client.
    pub security: Security,
    /// `login-disabled`.
    pub disabled: bool,
    /// Whether the login is done.
    pub logged_in: bool,
}

/// `CAPABILITY …` as the viewer may see what the server announced. Nothing that the server does not have is added, except what
/// concerns the connection between the client and us: STARTTLS and LOGINDISABLED.
pub fn announce<'s>(server: impl Iterator<Item = &'s [u8]> + Clone, viewer: Viewer<'_>) -> Vec<u8> {
    let permitted = viewer.permitted();
    let rev1 = server.clone().any(|word| word.eq_ignore_ascii_case(b"IMAP4rev1"));
    let rev2_whole = Capability::OF_REV2.iter().all(|part| permitted.contains(*part));
    let shut = !viewer.logged_in && (viewer.security == Security::Required || viewer.disabled);
    let mut line = b"CAPABILITY".to_vec();
    let mut add = |word: &[u8]| {
        let known = line.split(|byte| *byte == b' ').any(|there| there.eq_ignore_ascii_case(word));
        if !known {
            line.push(b' ');
            line.extend_from_slice(word);
        }
    };
    for word in server {
        let Some(capability) = Capability::announced_by(word) else { continue };
        if !permitted.contains(capability) || !viewer.lets_pass(word) {
            continue;
        }
        let hidden = (capability == Capability::Auth && (viewer.logged_in || shut || !is_relayed(word)))
            || (capability == Capability::LoginDisabled && (viewer.logged_in || shut))
            || (capability == Capability::SaslIr && shut)
            || (capability == Capability::Imap4rev2 && rev1 && !rev2_whole);
        if capability == Capability::LiteralPlus && !viewer.logged_in {
            // What is read before the login is bounded below what LITERAL+ promises (RFC 7888 section 5).
            add(Capability::LiteralMinus.name().as_bytes());
        } else if !hidden {
            add(word);
        }
    }
    if !viewer.logged_in && matches!(viewer.security, Security::Offered | Security::Required) {
        add(b"STARTTLS");
    }
    if shut {
        add(Capability::LoginDisabled.name().as_bytes());
    }
    line
}

/// Whether a mechanism may be used: one that can be relayed, and that the rules do not hide.
pub fn may_authenticate(mechanism: &[u8], viewer: Viewer<'_>) -> bool {
    let word = [b"AUTH=", mechanism].concat();
    is_relayed(&word) && viewer.lets_pass(&word)
}

impl Viewer<'_> {
    fn permitted(&self) -> CapabilitySet {
        let permitted = CapabilitySet::permitted(self.list);
        if self.logged_in { permitted } else { permitted.and(CapabilitySet::permitted(self.welcome)) }
    }

    fn lets_pass(&self, word: &[u8]) -> bool {
        word_passes(word, self.list) && (self.logged_in || word_passes(word, self.welcome))
    }
}

/// Whether ENABLE may name it (RFC 5161): what changes the syntax must be known here.
pub fn may_enable(name: &[u8], permitted: CapabilitySet) -> bool {
    let enabled = [
        Capability::Condstore,
        Capability::Qresync,
        Capability::Utf8Accept,
        Capability::Imap4rev2,
        Capability::Metadata,
        Capability::MetadataServer,
    ];
    Capability::announced_by(name).is_some_and(|known| enabled.contains(&known) && permitted.contains(known))
}

/// Whether names and strings may be in UTF-8 once it is enabled (RFC 6855; RFC 9051 section 5.1: rev2 has that in itself).
pub fn changes_syntax(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"UTF8=ACCEPT") || name.eq_ignore_ascii_case(b"IMAP4rev2")
}

fn is_relayed(word: &[u8]) -> bool {
    word.get("AUTH=".len()..).is_some_and(|mechanism| Mechanism::named(mechanism).is_some())
}

/// A list may name a capability with its value, `AUTH=PLAIN`: alone with these, or `!` without them.
fn word_passes(word: &[u8], list: &NameList) -> bool {
    let full = String::from_utf8_lossy(word).to_ascii_uppercase();
    let name = full.split('=').next().unwrap_or_default();
    let mut values = list.positive.iter().filter(|pattern| is_value_of(pattern, name)).peekable();
    (values.peek().is_none() || list.allows(&full) || list.allows(name))
        && !list.negative.iter().any(|pattern| matches(pattern, &full))
}

fn is_value_of(pattern: &str, name: &str) -> bool {
    pattern.split_once('=').is_some_and(|(start, _value)| start.eq_ignore_ascii_case(name))
}

impl Command<'_> {
    /// The capabilities that it uses. A command may go on only where the rules permit all of them.
    pub fn uses(&self) -> CapabilitySet {
        let mut used = CapabilitySet::default();
        let mut need = |capability| used.insert(capability);
        match self.verb {
            Verb::Id => need(Capability::Id),
            Verb::Enable => need(Capability::Enable),
            Verb::Idle => need(Capability::Idle),
            Verb::Namespace => need(Capability::Namespace),
            Verb::Unselect => need(Capability::Unselect),
            Verb::UidExpunge => need(Capability::UidPlus),
            Verb::Sort | Verb::UidSort => need(Capability::Sort),
            Verb::Thread | Verb::UidThread => need(Capability::Thread),
            Verb::Move | Verb::UidMove => need(Capability::Move),
            Verb::Replace | Verb::UidReplace => need(Capability::Replace),
            Verb::GetQuota | Verb::GetQuotaRoot => need(Capability::Quota),
            Verb::SetQuota => need(Capability::QuotaSet),
            Verb::GetAcl | Verb::SetAcl | Verb::DeleteAcl | Verb::ListRights | Verb::MyRights => {
                need(Capability::Acl);
            }
            Verb::GetMetadata | Verb::SetMetadata => need(Capability::Metadata),
            Verb::Capability
            | Verb::Noop
            | Verb::Logout
            | Verb::StartTls
            | Verb::Login
            | Verb::Authenticate
            | Verb::Select
            | Verb::Examine
            | Verb::Create
            | Verb::Delete
            | Verb::Rename
            | Verb::Subscribe
            | Verb::Unsubscribe
            | Verb::List
            | Verb::Lsub
            | Verb::Status
            | Verb::Append
            | Verb::Check
            | Verb::Close
            | Verb::Expunge
            | Verb::Search
            | Verb::UidSearch
            | Verb::Fetch
            | Verb::UidFetch
            | Verb::Store
            | Verb::UidStore
            | Verb::Copy
            | Verb::UidCopy => {}
        }
        self.body.add_uses(&mut used);
        used
    }
}

impl Body<'_> {
    fn add_uses(&self, used: &mut CapabilitySet) {
        let mut need = |needed: bool, capability| {
            if needed {
                used.insert(capability);
            }
        };
        match self {
            Self::Authenticate { initial, .. } => need(initial.is_some(), Capability::SaslIr),
            Self::Select(select) => {
                need(select.condstore, Capability::Condstore);
                need(select.qresync.is_some(), Capability::Qresync);
            }
            Self::Create(create) => need(create.uses.is_some(), Capability::CreateSpecialUse),
            Self::List(list) => list_uses(list, &mut need),
            Self::Status(status) => status_uses(&status.items, &mut need),
            Self::Append(Append { messages, .. }) => {
                need(messages.len() > 1, Capability::MultiAppend);
                messages.iter().for_each(|message| message_uses(message, &mut need));
            }
            Self::Replace(replace) => message_uses(&replace.message, &mut need),
            Self::Search(search) => {
                need(search.returns.is_some(), Capability::Esearch);
                return_uses(search.returns.as_deref(), &mut need);
                search.keys.iter().for_each(|key| key_uses(key, &mut need));
            }
            Self::Sort(sort) => {
                need(sort.returns.is_some(), Capability::Esort);
                return_uses(sort.returns.as_deref(), &mut need);
                let display = sort.criteria.iter().any(|(_, name)| name.starts_with("DISPLAY"));
                need(display, Capability::SortDisplay);
                sort.keys.iter().for_each(|key| key_uses(key, &mut need));
            }
            Self::Thread(thread) => thread.keys.iter().for_each(|key| key_uses(key, &mut need)),
            Self::Fetch(fetch) => {
                set_uses(&fetch.set, &mut need);
                need(fetch.changed_since.is_some(), Capability::Condstore);
                need(fetch.vanished, Capability::Qresync);
                need(fetch.page.is_some(), Capability::Partial);
                fetch.items.iter().for_each(|item| item_uses(item, &mut need));
            }
            Self::Store(store) => {
                set_uses(&store.set, &mut need);
                need(store.unchanged_since.is_some(), Capability::Condstore);
            }
            Self::Copy(copy) => set_uses(&copy.set, &mut need),
            Self::UidExpunge(set) => set_uses(set, &mut need),
            Self::GetMetadata(metadata) => {
                need(metadata.mailbox.bytes().is_empty(), Capability::MetadataServer)
            }
            Self::SetMetadata(metadata) => {
                need(metadata.mailbox.bytes().is_empty(), Capability::MetadataServer)
            }
            Self::Nothing
            | Self::Id(_)
            | Self::Enable(_)
            | Self::Login { .. }
            | Self::Mailbox(_)
            | Self::Rename(..)
            | Self::Lsub(..)
            | Self::GetQuota(_)
            | Self::SetQuota(_)
            | Self::SetAcl(_)
            | Self::Identifier(..) => {}
        }
    }
}

type Need<'n> = &'n mut dyn FnMut(bool, Capability);

fn set_uses(set: &SequenceSet<'_>, need: Need<'_>) {
    need(set.is_saved_result(), Capability::SearchRes);
}

fn list_uses(list: &List<'_>, need: Need<'_>) {
    let special = |word: &&str| *word == "SPECIAL-USE";
    let selection = list.selection.as_deref().unwrap_or_default();
    need(selection.iter().any(special), Capability::SpecialUse);
    need(list.many || selection.iter().any(|word| !special(word)), Capability::ListExtended);
    for item in list.returns.iter().flatten() {
        match item {
            ListReturn::Plain("SPECIAL-USE") => need(true, Capability::SpecialUse),
            ListReturn::Plain("MYRIGHTS") => need(true, Capability::ListMyRights),
            ListReturn::Plain(_) => need(true, Capability::ListExtended),
            ListReturn::Status(items) => {
                need(true, Capability::ListStatus);
                status_uses(items, need);
            }
        }
    }
}

fn status_uses(items: &[&str], need: Need<'_>) {
    for item in items {
        need(*item == "SIZE", Capability::StatusSize);
        need(*item == "HIGHESTMODSEQ", Capability::Condstore);
        need(*item == "MAILBOXID", Capability::ObjectId);
        need(*item == "APPENDLIMIT", Capability::AppendLimit);
        need(item.starts_with("DELETED-"), Capability::Quota);
    }
}

fn message_uses(message: &Message<'_>, need: Need<'_>) {
    let binary = match &message.content {
        Content::Elided { binary, .. } => *binary,
        Content::Inline(Some(Str::Literal { binary, .. })) => *binary,
        Content::Inline(_) => false,
    };
    need(message.utf8, Capability::Utf8Accept);
    need(binary && !message.utf8, Capability::Binary);
}

fn return_uses(returns: Option<&[Return]>, need: Need<'_>) {
    for item in returns.unwrap_or_default() {
        match item {
            Return::Save => need(true, Capability::SearchRes),
            Return::Partial(_) => need(true, Capability::Partial),
            Return::Min | Return::Max | Return::All | Return::Count => {}
        }
    }
}

fn key_uses(key: &Key<'_>, need: Need<'_>) {
    match key {
        Key::Plain(name) => need(*name == "SAVEDATESUPPORTED", Capability::SaveDate),
        Key::Date(name, _) => need(name.starts_with("SAVED"), Capability::SaveDate),
        Key::Number(name, _) => need(matches!(*name, "OLDER" | "YOUNGER"), Capability::Within),
        Key::Atom(name, _) => need(name.ends_with("ID"), Capability::ObjectId),
        Key::ModSeq(..) => need(true, Capability::Condstore),
        Key::Uid(set) | Key::Set(set) => set_uses(set, need),
        Key::Not(inner) => key_uses(inner, need),
        Key::Or(one, other) => {
            key_uses(one, need);
            key_uses(other, need);
        }
        Key::And(keys) => keys.iter().for_each(|key| key_uses(key, need)),
        Key::Text(..) | Key::Header(..) => {}
    }
}

fn item_uses(item: &FetchItem<'_>, need: Need<'_>) {
    match item {
        FetchItem::ModSeq => need(true, Capability::Condstore),
        FetchItem::EmailId | FetchItem::ThreadId => need(true, Capability::ObjectId),
        FetchItem::SaveDate => need(true, Capability::SaveDate),
        FetchItem::Binary { .. } | FetchItem::BinarySize(_) => need(true, Capability::Binary),
        FetchItem::Flags
        | FetchItem::Uid
        | FetchItem::InternalDate
        | FetchItem::Size
        | FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Section { .. }
        | FetchItem::Rfc822
        | FetchItem::Rfc822Header
        | FetchItem::Rfc822Text => {}
    }
}
