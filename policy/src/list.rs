//! Lists of names with `*` and `!`: they match iff some positive item matches (none given: all) and no `!` item does.
use serde::{Deserialize, Serialize};

/// A list of command or capability names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameList {
    /// Items without `!`, upper case.
    pub positive: Vec<String>,
    /// Items with `!`, upper case, without it.
    pub negative: Vec<String>,
}

impl NameList {
    /// Whether the list matches this name (compared without case; `*` matches any run).
    pub fn allows(&self, _name: &str) -> bool {
        todo!()
    }
}
