//! The names of the commands that Mailward implements; `policy` lists the same names for `commands = […]`.
use super::write::Writer;
use policy::list::{IMAP_COMMANDS, NameList};

macro_rules! verbs {
    ($($verb:ident = $name:literal,)*) => {
        /// A command; forms with UID are commands of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the command of its name")]
        pub enum Verb { $($verb,)* }

        impl Verb {
            /// All of them: `*` in `commands`.
            pub const ALL: [Self; IMAP_COMMANDS.len()] = [$(Self::$verb,)*];

            /// As in `commands = […]`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$verb => $name,)* }
            }
        }
    };
}

verbs! {
    Capability = "CAPABILITY",
    Noop = "NOOP",
    Logout = "LOGOUT",
    StartTls = "STARTTLS",
    Id = "ID",
    Enable = "ENABLE",
    Login = "LOGIN",
    Authenticate = "AUTHENTICATE",
    Select = "SELECT",
    Examine = "EXAMINE",
    Create = "CREATE",
    Delete = "DELETE",
    Rename = "RENAME",
    Subscribe = "SUBSCRIBE",
    Unsubscribe = "UNSUBSCRIBE",
    List = "LIST",
    Lsub = "LSUB",
    Namespace = "NAMESPACE",
    Status = "STATUS",
    Append = "APPEND",
    Idle = "IDLE",
    Check = "CHECK",
    Close = "CLOSE",
    Unselect = "UNSELECT",
    Expunge = "EXPUNGE",
    UidExpunge = "UID-EXPUNGE",
    Search = "SEARCH",
    UidSearch = "UID-SEARCH",
    Sort = "SORT",
    UidSort = "UID-SORT",
    Thread = "THREAD",
    UidThread = "UID-THREAD",
    Fetch = "FETCH",
    UidFetch = "UID-FETCH",
    Store = "STORE",
    UidStore = "UID-STORE",
    Copy = "COPY",
    UidCopy = "UID-COPY",
    Move = "MOVE",
    UidMove = "UID-MOVE",
    Replace = "REPLACE",
    UidReplace = "UID-REPLACE",
    GetQuota = "GETQUOTA",
    GetQuotaRoot = "GETQUOTAROOT",
    SetQuota = "SETQUOTA",
    GetAcl = "GETACL",
    SetAcl = "SETACL",
    DeleteAcl = "DELETEACL",
    ListRights = "LISTRIGHTS",
    MyRights = "MYRIGHTS",
    GetMetadata = "GETMETADATA",
    SetMetadata = "SETMETADATA",
}

impl Verb {
    /// The verb of this word, in any case; `uid`: the word stood behind UID.
    pub fn named(word: &[u8], uid: bool) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| {
            let name = verb.name().as_bytes();
            let name = if uid { name.strip_prefix(b"UID-") } else { Some(name) };
            name.is_some_and(|name| name.eq_ignore_ascii_case(word)) && uid == verb.is_uid()
        })
    }

    /// Whether numbers in it are UIDs.
    pub fn is_uid(self) -> bool {
        self.name().starts_with("UID-")
    }

    /// Writes it as it is sent: `UID FETCH`.
    pub fn write(self, writer: &mut Writer<'_>) {
        match self.name().strip_prefix("UID-") {
            Some(name) => {
                writer.word("UID ");
                writer.word(name);
            }
            None => writer.word(self.name()),
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// A set of verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerbSet(u64);

impl VerbSet {
    /// Those that a list of the rules permits. LOGOUT always is: a client that may not leave only hangs up. CAPABILITY is too,
    /// since a client that may not ask guesses; and STARTTLS, about which the item `tls` decides.
    pub fn permitted(list: &NameList) -> Self {
        let always = Verb::Logout.bit() | Verb::Capability.bit() | Verb::StartTls.bit();
        let permitted = Verb::ALL.into_iter().filter(|verb| list.allows(verb.name()));
        Self(permitted.fold(always, |set, verb| set | verb.bit()))
    }

    /// Whether it is in the set.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & verb.bit() != 0
    }

    /// Takes one out.
    pub const fn remove(&mut self, verb: Verb) {
        self.0 &= !verb.bit();
    }
}
