//! A typed reader over parsed TOML: a `Table` hands its items out by name and, at the end, reports what nobody asked
//! for; an `Item` becomes a value or a diagnostic. Called by `load` only; the text is the operator's.
mod check;
mod item;
mod value;

use crate::diagnostic::{At, Sink};
use crate::schema;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeTable;

pub(crate) use item::Item;
pub use value::parse_duration;
pub(crate) use value::parse_size;

/// One table, from which items are taken by name.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) sink: &'a Sink<'a>,
    /// Where its header or, for an inline table, its value stands.
    pub(crate) at: At,
    /// Its place in the language, as `later` knows it: "", "service", "listener.transparent".
    pub(crate) place: &'static str,
    items: Vec<Item<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(sink: &'a Sink<'a>, at: At, place: &'static str, table: &'a DeTable<'a>) -> Self {
        let items = table
            .iter()
            .map(|(key, value)| Item {
                sink,
                key: key.get_ref(),
                key_at: At { file: at.file, span: key.span() },
                at: At { file: at.file, span: value.span() },
                value: value.get_ref(),
            })
            .collect();
        Self { sink, at, place, items, asked: Vec::new() }
    }

    /// Takes an item; `None` if it is not there. An item that this version cannot honour is said to be one.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.asked.push(key);
        let position = self.items.iter().position(|item| item.key == key)?;
        let item = self.items.remove(position);
        if let Some(instead) = schema::entry(self.place, key).and_then(|entry| entry.later) {
            item.later(instead);
        }
        Some(item)
    }

    /// Whether an item is there, not taken yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.items.iter().any(|item| item.key == key)
    }

    /// Takes an item that must be there.
    pub(crate) fn require(&mut self, key: &'static str, help: &str) -> Option<Item<'a>> {
        let item = self.take(key);
        if item.is_none() {
            self.sink.error(&self.at, format!("`{key}` is missing{}", self.of()), help);
        }
        item
    }

    /// Takes every item, for tables whose keys are names that the operator chose.
    pub(crate) fn drain(&mut self) -> Vec<Item<'a>> {
        std::mem::take(&mut self.items)
    }

    /// Takes every item but those of these names.
    pub(crate) fn drain_except(&mut self, names: &[&str]) -> Vec<Item<'a>> {
        let (kept, drained) = self.drain().into_iter().partition(|item| names.contains(&item.key));
        self.items = kept;
        drained
    }

    /// The only tenant that this table is about, by its file; `None`: the file is not a tenant's own.
    pub(crate) fn tenant(&self) -> Option<&'a str> {
        self.sink.tenant_of(self.at.file)
    }

    /// Reads what nobody asked for: items that this version cannot honour are checked all the same, others are unknown.
    pub(crate) fn finish(self) {
        let entries = schema::section(self.place).map_or(&[][..], |section| section.entries);
        for item in &self.items {
            match entries.iter().find(|entry| entry.name == item.key) {
                Some(entry) => match entry.later {
                    Some(instead) => {
                        item.later(instead);
                        item.check(&entry.kind);
                    }
                    None => self.unknown(item, "does not belong here"),
                },
                None => self.unknown(item, ""),
            }
        }
    }

    /// Checks every item by what the language says of it, and no more: for sections that this version cannot honour.
    pub(crate) fn check(self) {
        let entries = schema::section(self.place).map_or(&[][..], |section| section.entries);
        for item in &self.items {
            match entries.iter().find(|entry| entry.name == item.key) {
                Some(entry) => item.check(&entry.kind),
                None => self.unknown(item, ""),
            }
        }
        for entry in entries.iter().filter(|entry| entry.is_required()) {
            if !self.items.iter().any(|item| item.key == entry.name) {
                let message = format!("`{}` is missing{}", entry.name, self.of());
                self.sink.error(&self.at, message, format!("write {} = ...", entry.name));
            }
        }
    }

    fn unknown(&self, item: &Item<'_>, why: &str) {
        let of = self.of();
        let entries = schema::section(self.place).map_or(&[][..], |section| section.entries);
        let written = entries.iter().map(|entry| entry.name);
        let asked = || self.asked.iter().copied();
        // Once it is known, the nearest name would be its own.
        let near = if why.is_empty() { nearest(item.key, asked().chain(written)) } else { None };
        let known: Vec<&str> = if self.asked.is_empty() {
            entries.iter().map(|entry| entry.name).collect()
        } else {
            let later = |name: &&str| {
                schema::LATER_SECTIONS.iter().any(|(place, _)| self.place.is_empty() && place == name)
                    || entries.iter().any(|entry| entry.name == *name && entry.later.is_some())
            };
            asked().filter(|name| !later(name)).collect()
        };
        let help = match near {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("this version knows here: {}", known.join(", ")),
        };
        let message = match why {
            "" => format!("unknown item `{}`{of}", item.key),
            why => format!("`{}` {why}{of}", item.key),
        };
        self.sink.error(&item.key_at, message, help);
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.take(key).and_then(|item| item.flag()).unwrap_or(default)
    }

    pub(crate) fn count(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.take(key).and_then(|item| item.count(range)).unwrap_or(default)
    }

    pub(crate) fn size(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.take(key).and_then(|item| item.size(range)).unwrap_or(default)
    }

    pub(crate) fn duration(&mut self, key: &'static str, default: Duration, least: Duration) -> Duration {
        self.take(key).and_then(|item| item.duration(least)).unwrap_or(default)
    }

    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        let place = self.place;
        self.take(key).and_then(|item| item.choice(place, words)).unwrap_or(default)
    }

    /// " in [service]", or nothing at the top of a file.
    fn of(&self) -> String {
        if self.place.is_empty() { String::new() } else { format!(" in {}", schema::title(self.place)) }
    }
}

/// The known name that is most like `text`, if one is near enough to have been meant.
pub(crate) fn nearest<'n>(text: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let text = text.to_ascii_lowercase().replace('_', "-");
    let room = (text.chars().count() / 3).max(1);
    known
        .map(|name| (distance(&text, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= room)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance. A row at a time; names are short.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (to, pair) in b.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or(0);
            next.push((above + 1).min(left + 1).min(diagonal + usize::from(*to != from)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
