//! A typed reader over parsed TOML: a `Table` hands its items out by name and, at the end, reports what nobody asked
//! for; an `Item` becomes a value or a diagnostic. Called by `load` only; the text is the operator's.
use crate::diagnostic::{At, Sink};
use crate::later;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One item: `key = value`, or one element of a list (then the key is the list's).
#[derive(Clone, Debug)]
pub(crate) struct Item<'a> {
    sink: &'a Sink<'a>,
    /// The item's name.
    pub(crate) key: &'a str,
    /// Where the name stands.
    pub(crate) key_at: At,
    /// Where the value stands.
    pub(crate) at: At,
    value: &'a DeValue<'a>,
}

/// One table, from which items are taken by name.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) sink: &'a Sink<'a>,
    /// Where its header or, for an inline table, its value stands.
    pub(crate) at: At,
    /// Its place in the language, as `later` knows it: "", "service", "listener.transparent".
    place: &'static str,
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

    /// Takes an item; `None` if it is not there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.asked.push(key);
        let position = self.items.iter().position(|item| item.key == key)?;
        Some(self.items.remove(position))
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

    /// Reports every item that nobody asked for.
    pub(crate) fn finish(self) {
        let of = self.of();
        for item in &self.items {
            if let Some(help) = later::item(self.place, item.key) {
                self.sink.error(&item.key_at, format!("`{}` is not in this version", item.key), help);
                continue;
            }
            let known = self.asked.iter().copied().chain(later::items(self.place));
            let help = match nearest(item.key, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("this version knows here: {}", self.asked.join(", ")),
            };
            self.sink.error(&item.key_at, format!("unknown item `{}`{of}", item.key), help);
        }
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
        if self.place.is_empty() { String::new() } else { format!(" in {}", later::title(self.place)) }
    }
}

impl<'a> Item<'a> {
    pub(crate) fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.sink.error(&self.at, message, help);
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong_type("a string in quotes");
        }
        text
    }

    /// A string with something in it.
    pub(crate) fn filled(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.error(format!("`{}` is empty", self.key), "write a value, or leave the item out");
            return None;
        }
        Some(text)
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong_type("true or false");
        }
        flag
    }

    pub(crate) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    pub(crate) fn count(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(integer) = self.value.as_integer() else {
            self.wrong_type("a whole number");
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                let (least, most) = (range.start(), range.end());
                self.error(
                    format!("`{}` must be from {least} to {most}", self.key),
                    "write a whole number in that range",
                );
                None
            }
        }
    }

    /// Octets: a string with a unit, or a plain number.
    pub(crate) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        const FORM: &str = "write octets (65536) or a string with a unit: \"64KiB\", \"50MiB\", \"2GiB\"";
        let number = if let Some(integer) = self.value.as_integer() {
            u64::from_str_radix(integer.as_str(), integer.radix()).ok()
        } else if let Some(text) = self.value.as_str() {
            parse_size(text)
        } else {
            self.wrong_type("a size");
            return None;
        };
        match number {
            None => {
                self.error(format!("`{}` is not a size", self.key), FORM);
                None
            }
            Some(number) if !range.contains(&number) => {
                let (least, most) = (show_size(*range.start()), show_size(*range.end()));
                self.error(format!("`{}` must be from {least} to {most}", self.key), FORM);
                None
            }
            Some(number) => Some(number),
        }
    }

    /// A duration of at least `least`.
    pub(crate) fn duration(&self, least: Duration) -> Option<Duration> {
        const FORM: &str =
            "write a number and a unit in quotes: \"500ms\", \"30s\", \"10m\", \"2h\", \"14d\"";
        let Some(text) = self.value.as_str() else {
            self.sink.error(
                &self.at,
                format!("`{}` must be a duration in quotes, but this is {}", self.key, kind(self.value)),
                FORM,
            );
            return None;
        };
        match parse_duration(text) {
            None => {
                self.error(format!("`{}` is not a duration", self.key), FORM);
                None
            }
            Some(duration) if duration < least => {
                self.error(
                    format!("`{}` must be at least {}", self.key, show_duration(least)),
                    "write a longer duration, or leave the item out for its default",
                );
                None
            }
            Some(duration) => Some(duration),
        }
    }

    /// One of some words; a word of a later version is said to be one.
    pub(crate) fn choice<T: Copy>(&self, place: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        if let Some(help) = later::value(place, self.key, text) {
            self.error(format!("`{} = \"{text}\"` is not in this version", self.key), help);
            return None;
        }
        let known = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let help = match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("write one of: {known}"),
        };
        self.error(format!("`{}` cannot be \"{text}\"", self.key), help);
        None
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Option<Vec<Item<'a>>> {
        let Some(array) = self.value.as_array() else {
            let help = match self.value.as_str() {
                Some(text) => format!("write {} = [\"{text}\"]", self.key),
                None => format!("write {} = [...]", self.key),
            };
            self.sink.error(
                &self.at,
                format!("`{}` must be a list, but this is {}", self.key, kind(self.value)),
                help,
            );
            return None;
        };
        let elements = array.iter().map(|element: &'a Spanned<DeValue<'a>>| Item {
            sink: self.sink,
            key: self.key,
            key_at: self.key_at.clone(),
            at: At { file: self.at.file, span: element.span() },
            value: element.get_ref(),
        });
        Some(elements.collect())
    }

    /// The strings of a list, each with its place. What is no string is reported and left out.
    pub(crate) fn strings(&self) -> Option<Vec<(Item<'a>, &'a str)>> {
        let list = self.list()?;
        Some(list.into_iter().filter_map(|element| element.filled().map(|text| (element, text))).collect())
    }

    /// The same, where an empty list would be ambiguous.
    pub(crate) fn some_strings(&self) -> Option<Vec<(Item<'a>, &'a str)>> {
        if self.value.as_array().is_some_and(|array| array.is_empty()) {
            self.error(
                format!("the list `{}` is empty", self.key),
                "write what it should match, or leave the item out to match everything",
            );
            return None;
        }
        self.strings()
    }

    /// A table.
    pub(crate) fn table(&self, place: &'static str) -> Option<Table<'a>> {
        let Some(table) = self.value.as_table() else {
            self.wrong_type("a table");
            return None;
        };
        Some(Table::new(self.sink, self.at.clone(), place, table))
    }

    /// The tables of `[[place]]`.
    pub(crate) fn tables(&self, place: &'static str) -> Vec<Table<'a>> {
        if let Some(array) = self.value.as_array()
            && array.iter().all(|element| element.get_ref().is_table())
        {
            return self.list().into_iter().flatten().filter_map(|element| element.table(place)).collect();
        }
        self.sink.error(
            &self.key_at,
            format!("`{}` must be a list of tables", self.key),
            format!("write [[{}]] in double brackets, once for each", self.key),
        );
        Vec::new()
    }

    fn wrong_type(&self, expected: &str) {
        let found = kind(self.value);
        self.error(
            format!("`{}` must be {expected}, but this is {found}", self.key),
            format!("write {expected}"),
        );
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

/// "64KiB" and the like; `None` if it is no size.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// "30s" and the like, "0" too; `None` if it is no duration.
fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let millis: u64 = match unit {
        "" if number == 0 => 0,
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

fn show_size(octets: u64) -> String {
    for (unit, factor) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if octets >= factor && octets.is_multiple_of(factor) {
            return format!("{}{unit}", octets / factor);
        }
    }
    octets.to_string()
}

fn show_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
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
