//! Lists of names with `*` and `!`: they match iff some positive item matches (none given: all) and no `!` item does.
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The POP3 commands that Mailward implements (RFC 1939, 2449, 2595, 5034, 6856; LAST is RFC 1460's).
pub const POP3_COMMANDS: [&str; 18] = [
    "USER", "PASS", "APOP", "AUTH", "CAPA", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET", "NOOP",
    "LAST", "UTF8", "LANG", "STLS", "QUIT",
];

/// The IMAP commands that Mailward implements (RFC 9051, 2971, 4314, 5256, 5464, 6851, 8508, 9208; CHECK and LSUB are RFC
/// 3501's). Forms with UID are commands of their own.
pub const IMAP_COMMANDS: [&str; 52] = [
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "STARTTLS",
    "ID",
    "ENABLE",
    "LOGIN",
    "AUTHENTICATE",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "NAMESPACE",
    "STATUS",
    "APPEND",
    "IDLE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "UID-EXPUNGE",
    "SEARCH",
    "UID-SEARCH",
    "SORT",
    "UID-SORT",
    "THREAD",
    "UID-THREAD",
    "FETCH",
    "UID-FETCH",
    "STORE",
    "UID-STORE",
    "COPY",
    "UID-COPY",
    "MOVE",
    "UID-MOVE",
    "REPLACE",
    "UID-REPLACE",
    "GETQUOTA",
    "GETQUOTAROOT",
    "SETQUOTA",
    "GETACL",
    "SETACL",
    "DELETEACL",
    "LISTRIGHTS",
    "MYRIGHTS",
    "GETMETADATA",
    "SETMETADATA",
];

/// Stands in `commands` for every command that Mailward does not implement.
pub const UNKNOWN: &str = "UNKNOWN";

/// A list of command or capability names. Order does not matter.
///
/// In a loaded policy the positive items of `commands` are spelled out: `*` has become the names of
/// [`POP3_COMMANDS`] and [`IMAP_COMMANDS`], so that it never allows [`UNKNOWN`]. Ask with `UNKNOWN` for a command outside that table.
///
/// ```
/// # use policy::list::NameList;
/// let list = NameList::new(["SASL*", "uidl", "!SASL-IR"]);
/// assert!(list.allows("UIDL") && list.allows("sasl"));
/// assert!(!list.allows("SASL-IR") && !list.allows("TOP"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameList {
    /// Items without `!`, upper case.
    pub positive: Vec<String>,
    /// Items with `!`, upper case, without it.
    pub negative: Vec<String>,
}

impl NameList {
    /// Parses items as the operator wrote them.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        for item in items {
            match item.strip_prefix('!') {
                Some(rest) => list.negative.push(rest.to_ascii_uppercase()),
                None => list.positive.push(item.to_ascii_uppercase()),
            }
        }
        list
    }

    /// Whether the list matches this name (compared without case; `*` matches any run).
    pub fn allows(&self, name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        (self.positive.is_empty() || self.positive.iter().any(|pattern| matches(pattern, &name)))
            && !self.negative.iter().any(|pattern| matches(pattern, &name))
    }
}

/// How the case of letters counts in a list of patterns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Case {
    /// It does not: types, file names, virus names.
    #[default]
    Ignored,
    /// It does, except behind the last `@`: user names.
    User,
    /// It does: groups.
    Counts,
}

impl Case {
    fn fold<'t>(self, text: &'t str) -> Cow<'t, str> {
        let upper = |text: &str| text.chars().any(char::is_uppercase);
        match (self, text.rsplit_once('@')) {
            (Self::Ignored, _) if upper(text) => Cow::Owned(text.to_lowercase()),
            (Self::User, Some((local, domain))) if upper(domain) => {
                Cow::Owned(format!("{local}@{}", domain.to_lowercase()))
            }
            (Self::Ignored | Self::User | Self::Counts, _) => Cow::Borrowed(text),
        }
    }
}

/// A list of patterns with `*` and `!`: names of users, groups, files, types, viruses. Order does not matter.
///
/// ```
/// # use policy::list::{Case, Patterns};
/// let users = Patterns::new(["*@example.net", "!guest@example.net"], Case::User);
/// assert!(users.matches("ann@EXAMPLE.net") && !users.matches("guest@example.net"));
/// assert!(users.matches("Guest@example.net"), "a user part is what it is");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patterns {
    positive: Vec<String>,
    negative: Vec<String>,
    case: Case,
}

impl Patterns {
    /// Parses items as the operator wrote them.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a str>, case: Case) -> Self {
        let mut list = Self { case, ..Self::default() };
        for item in items {
            match item.strip_prefix('!') {
                Some(rest) => list.negative.push(case.fold(rest).into_owned()),
                None => list.positive.push(case.fold(item).into_owned()),
            }
        }
        list
    }

    /// Whether nothing was given, so that everything matches.
    pub fn is_everything(&self) -> bool {
        self.negative.is_empty() && self.positive.is_empty()
    }

    /// Whether the list matches this text.
    pub fn matches(&self, text: &str) -> bool {
        let text = self.case.fold(text);
        (self.positive.is_empty() || self.positive.iter().any(|pattern| matches(pattern, &text)))
            && !self.negative.iter().any(|pattern| matches(pattern, &text))
    }

    /// Whether the list matches one of these texts; none at all count as one that is empty.
    pub fn matches_any<T: AsRef<str>>(&self, texts: &[T]) -> bool {
        if texts.is_empty() { self.matches("") } else { texts.iter().any(|text| self.matches(text.as_ref())) }
    }

    /// Whether the list matches every one of these texts; none at all count as one that is empty.
    pub fn matches_all<T: AsRef<str>>(&self, texts: &[T]) -> bool {
        if texts.is_empty() { self.matches("") } else { texts.iter().all(|text| self.matches(text.as_ref())) }
    }
}

/// Whether a name of a certificate matches a pattern. In domains `*` stays within one label, except as a leading `*.`,
/// which is one or more labels; in front of an `@` it is any run. The case of a user part counts.
pub fn matches_name(pattern: &str, name: &str) -> bool {
    match (pattern.rsplit_once('@'), name.rsplit_once('@')) {
        (Some((local, domain)), Some((name, of))) => matches(local, name) && matches_domain(domain, of),
        (None, None) => matches_domain(pattern, name),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn matches_domain(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let (open, pattern) = match pattern.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, pattern.as_str()),
    };
    let wanted: Vec<&str> = pattern.split('.').collect();
    let labels: Vec<&str> = name.split('.').collect();
    let Some(extra) = labels.len().checked_sub(wanted.len()) else { return false };
    if if open { extra == 0 } else { extra != 0 } {
        return false;
    }
    labels.iter().skip(extra).zip(&wanted).all(|(label, pattern)| matches(pattern, label))
}

/// Whether `name` matches `pattern`, in which `*` stands for any run of octets, also an empty one. Linear in the
/// name for each `*`: patterns are the operator's, names may be anybody's.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}
