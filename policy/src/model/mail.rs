//! Phase 3, the mail: what it is held against, and what becomes of it and its parts.
use crate::comparison::{Comparison, SpamCondition};
use crate::conditions::Conditions;
use crate::list::Patterns;
use crate::locked::LockedKinds;
use crate::names::Direction;
use crate::notice::Notice;
use crate::status::StatusSet;
use crate::violation::Treatments;
use serde::{Deserialize, Serialize};

/// One `[[mail-acl]]`: phase 3, once per mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailAcl {
    /// `name`.
    pub name: String,
    /// When it matches, as far as the session goes; its parents are command-acls.
    pub when: Conditions,
    /// `direction`; empty: both.
    pub directions: Vec<Direction>,
    /// `virus`: statuses, `Clean` beside others too. `None`: not given; then a rule that accepts takes clean mail only,
    /// any other every mail.
    pub virus: Option<StatusSet>,
    /// `virus-name`.
    pub virus_names: Patterns,
    /// `spam-score`.
    pub spam_score: Option<SpamCondition>,
    /// `size`, octets.
    pub size: Option<Comparison>,
    /// `header`: alternatives.
    pub headers: Vec<HeaderMatch>,
    /// `sender`.
    pub senders: Patterns,
    /// `action`.
    pub action: MailAction,
    /// `replace = "body"`; else the parts that bear the status, where there are some.
    pub whole_body: bool,
    /// `replace-body`.
    pub notice: Notice,
    /// `subject-prefix`, `add-header`, `replace-header`, `remove-header`.
    pub fields: HeaderChanges,
    /// `keyword`: each a keyword of IMAP, once.
    pub keywords: Vec<String>,
    /// `enforce = "monitor"`.
    pub monitor: bool,
}

/// What becomes of a mail's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderChanges {
    /// `subject-prefix`, without blanks at its end.
    pub subject_prefix: String,
    /// `add-header`: name, value.
    pub add: Vec<(String, String)>,
    /// `replace-header`: name, value.
    pub replace: Vec<(String, String)>,
    /// `remove-header`: names.
    pub remove: Option<Patterns>,
}

impl HeaderChanges {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One alternative of `header`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// `name`.
    pub name: Patterns,
    /// `match`.
    pub value: Patterns,
}

/// One `[[doc-acl]]`: phase 3, once per part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocAcl {
    /// `name`.
    pub name: String,
    /// When it matches, as far as the session goes; its parents are command-acls.
    pub when: Conditions,
    /// `direction`; empty: both.
    pub directions: Vec<Direction>,
    /// `virus`, as in [`MailAcl`].
    pub virus: Option<StatusSet>,
    /// `virus-name`.
    pub virus_names: Patterns,
    /// `mime-type`.
    pub types: Patterns,
    /// `filename`.
    pub filenames: Patterns,
    /// `document-types`, or `[document-types] order`: the sources of types that count, the most trusted first.
    pub sources: Vec<TypeSource>,
    /// `force-type`.
    pub force_type: bool,
    /// `mismatch`.
    pub mismatch: Option<bool>,
    /// `polyglot`.
    pub polyglot: Option<bool>,
    /// `size`, octets.
    pub size: Option<Comparison>,
    /// `action`.
    pub action: PartAction,
    /// `replace-file`.
    pub notice: Notice,
    /// `html-filter`.
    pub html_filter: String,
    /// `enforce = "monitor"`.
    pub monitor: bool,
}

/// Where a type of a document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeSource {
    /// What its octets are.
    Magic,
    /// What its file name says.
    Extension,
    /// What its Content-Type declares.
    ContentType,
}

impl TypeSource {
    /// All of them, in the order of `[document-types]`.
    pub const ALL: [Self; 3] = [Self::Magic, Self::Extension, Self::ContentType];
}

/// One type of `[document-types] extra`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraType {
    /// `mime-type`.
    pub mime_type: String,
    /// `extension`: lower case, without the dot.
    pub extensions: Vec<String>,
    /// `magic`: octets, and where they stand.
    pub magic: Vec<(u32, Vec<u8>)>,
}

/// What becomes of a part, weakest first; the last two are about its mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PartAction {
    /// Leave it as it is.
    Accept,
    /// Take the active content out.
    HtmlFilter,
    /// A notice in its place.
    Replace,
    /// Refuse the mail for now.
    Defer,
    /// Refuse the mail for good.
    Deny,
}

/// What becomes of a mail, weakest first: of all decisions on one mail the strongest wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MailAction {
    /// Deliver it as it is.
    Accept,
    /// A notice in its place.
    Replace,
    /// Refuse it for now.
    #[default]
    Defer,
    /// Refuse it for good.
    Deny,
}

impl MailAction {
    /// The word used in the configuration and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Replace => "replace",
            Self::Defer => "defer",
            Self::Deny => "deny",
        }
    }
}

impl PartAction {
    /// The word used in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::HtmlFilter => "html-filter",
            Self::Replace => "replace",
            Self::Defer => "defer",
            Self::Deny => "deny",
        }
    }
}

/// One `[mail-filter.NAME]`: limits, over which the status is `limit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailFilter {
    /// NAME.
    pub name: String,
    /// What is done about each violation.
    pub treatments: Treatments,
    /// `encrypted`: the kinds of locked content that have this status.
    pub encrypted: LockedKinds,
    /// `max-parts`.
    pub max_parts: usize,
    /// `max-depth`.
    pub max_depth: usize,
    /// `max-header`, octets of one header block.
    pub max_header: usize,
    /// `max-decoded`, octets over all leaves.
    pub max_decoded: u64,
    /// `max-archive-depth`.
    pub max_archive_depth: usize,
}

impl Default for MailFilter {
    /// `[mail-filter.default]` where nothing is written.
    fn default() -> Self {
        Self {
            name: "default".into(),
            treatments: Treatments::default(),
            encrypted: LockedKinds::default(),
            max_parts: 1000,
            max_depth: 32,
            max_header: 256 << 10,
            max_decoded: 200 << 20,
            max_archive_depth: 8,
        }
    }
}
