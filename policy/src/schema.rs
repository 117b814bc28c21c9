//! The configuration language, described: every section and item with its type, default and meaning. One source for
//! what `load` knows by name, for `later` items, for the JSON Schema and for mailward.toml(5). Pure data.
mod acl;
mod json;
mod mail;
mod routing;
mod service;
mod tls;

/// A table of the language.
#[derive(Debug)]
pub struct Section {
    /// Its place: "" is the top of a file, "command-acl.download" a table within another, "header" a kind of table that
    /// stands in several places.
    pub place: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// How it is written.
    pub form: Form,
    /// Its items, in the order of the manual.
    pub entries: &'static [Entry],
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Once: `[place]`.
    Single,
    /// `[place.NAME]`, the operator's names.
    Named,
    /// `[[place]]`, in order.
    List,
    /// As the value of an item, mostly in braces.
    Inner,
}

/// One item.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Its default as it would be written; empty: none.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// `Some`: it is read and checked, but this version cannot honour it, so that `run` refuses it. What to do instead.
    pub later: Option<&'static str>,
}

impl Entry {
    /// Whether a section without it is an error.
    pub fn is_required(&self) -> bool {
        self.doc.ends_with("Required.")
    }

    /// The types of engine, or actions of a rule, that it belongs to: "clamd, icap: the socket"; empty: all.
    pub fn only_for(&self) -> impl Iterator<Item = &str> {
        let kinds = self.doc.split_once(": ").map(|(kinds, _)| kinds);
        let plain = |kinds: &&str| kinds.chars().all(|c| c.is_ascii_lowercase() || c == ',' || c == ' ');
        kinds.filter(plain).into_iter().flat_map(|kinds| kinds.split(", "))
    }

    /// Whether leaving it out, in an engine or rule of this kind, is the same as writing its default in this version.
    pub(crate) fn has_default(&self, kind: &str) -> bool {
        let default = self.default.trim_matches('"');
        let is_later = |word: &&Word| word.word == default && word.later.is_some();
        !self.default.is_empty()
            && self.later.is_none()
            && (self.only_for().next().is_none() || self.only_for().any(|only| only == kind))
            && !words(&self.kind).iter().any(|word| is_later(&word))
    }
}

/// What a value is.
#[derive(Debug)]
pub enum Kind {
    /// true or false.
    Flag,
    /// A whole number, both bounds included.
    Count(u64, u64),
    /// Octets: a number, or a string with a unit.
    Size,
    /// A string with a unit of time.
    Duration,
    /// So many in a time: "10/m", "30/10m"; "0" is none.
    Rate,
    /// Octets in a second: "10MiB/s".
    Flow,
    /// Any string.
    Text,
    /// An absolute path that need not exist.
    Path,
    /// The absolute path of a file that must exist.
    File,
    /// The same, and others must not be able to read it.
    Secret,
    /// "builtin:NAME", or a [`Kind::File`].
    Template,
    /// One of these words.
    Word(&'static [Word]),
    /// The name of a section of this place; also one of these words, which name what is built in.
    Name(&'static str, &'static [&'static str]),
    /// A list of hosts.
    Hosts,
    /// A list of times.
    Times,
    /// A list of patterns, `!` excludes.
    Patterns,
    /// "<= 20MiB" and the like.
    Comparison,
    /// Points of a spam filter: a number with at most three digits behind the point.
    Score,
    /// A list.
    List(&'static Kind),
    /// A table of this place.
    Table(&'static str),
    /// One of several kinds.
    Either(&'static [Kind]),
}

/// A word that a value can be.
#[derive(Debug)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// As [`Entry::later`].
    pub later: Option<&'static str>,
}

/// What to do about an item that has no substitute.
pub(crate) const REMOVE: &str = "remove it";

const fn now(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Entry {
    Entry { name, kind, default, doc, later: None }
}

const fn later(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
    instead: &'static str,
) -> Entry {
    Entry { name, kind, default, doc, later: Some(instead) }
}

const fn word(word: &'static str) -> Word {
    Word { word, later: None }
}

const fn later_word(word: &'static str, instead: &'static str) -> Word {
    Word { word, later: Some(instead) }
}

const YES_NO: Kind = Kind::Flag;
const ANY_COUNT: Kind = Kind::Count(0, 10_000_000);
const TEXTS: Kind = Kind::List(&Kind::Text);

pub use json::json_schema;
pub(crate) use service::LATER_SECTIONS;

/// Every section, in the order of the manual.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    [service::SECTIONS, tls::SECTIONS, acl::SECTIONS, mail::SECTIONS, routing::SECTIONS].into_iter().flatten()
}

/// The section of a place.
pub fn section(place: &str) -> Option<&'static Section> {
    sections().find(|section| section.place == place)
}

/// Whether this version has nothing of a section: it is read and checked, and `run` refuses it.
pub fn is_later(place: &str) -> bool {
    let outermost = place.split('.').next().unwrap_or(place);
    LATER_SECTIONS.iter().any(|(later, _)| *later == outermost)
}

/// An item of a place.
pub fn entry(place: &str, name: &str) -> Option<&'static Entry> {
    section(place)?.entries.iter().find(|entry| entry.name == name)
}

/// The words of an item, of its list, or of one of its alternatives.
pub(crate) fn words(kind: &Kind) -> &'static [Word] {
    match kind {
        Kind::Word(words) => words,
        Kind::List(inner) => words(inner),
        Kind::Either(kinds) => kinds.iter().map(words).find(|words| !words.is_empty()).unwrap_or(&[]),
        Kind::Flag
        | Kind::Count(..)
        | Kind::Size
        | Kind::Duration
        | Kind::Rate
        | Kind::Flow
        | Kind::Text
        | Kind::Path
        | Kind::File
        | Kind::Secret
        | Kind::Template
        | Kind::Name(..)
        | Kind::Hosts
        | Kind::Times
        | Kind::Patterns
        | Kind::Comparison
        | Kind::Score
        | Kind::Table(_) => &[],
    }
}

/// A place as the operator writes it: `[service]`, `[[listener]]`, `[antivirus.NAME]`, or an item in `[login]`.
pub fn title(place: &str) -> String {
    match section(place).map_or(Form::Single, |section| section.form) {
        Form::Single => format!("[{place}]"),
        Form::Named => format!("[{place}.NAME]"),
        Form::List => format!("[[{place}]]"),
        Form::Inner => match place.rsplit_once('.') {
            Some((_, "download" | "upload")) | None => format!("[{place}]"),
            Some((outer, inner)) => format!("`{inner}` of {}", title(outer)),
        },
    }
}
