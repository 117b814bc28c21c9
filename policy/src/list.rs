//! Lists of names with `*` and `!`: they match iff some positive item matches (none given: all) and no `!` item does.
use serde::{Deserialize, Serialize};

/// The POP3 commands that Mailward implements (RFC 1939, 2449, 5034, 6856; LAST is RFC 1460's).
pub const POP3_COMMANDS: [&str; 17] = [
    "USER", "PASS", "APOP", "AUTH", "CAPA", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET", "NOOP",
    "LAST", "UTF8", "LANG", "QUIT",
];

/// Stands in `commands` for every command that Mailward does not implement.
pub const UNKNOWN: &str = "UNKNOWN";

/// A list of command or capability names. Order does not matter.
///
/// In a loaded policy the positive items of `commands` are spelled out: `*` has become the names of
/// [`POP3_COMMANDS`], so that it never allows [`UNKNOWN`]. Ask with `UNKNOWN` for a command outside that table.
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
