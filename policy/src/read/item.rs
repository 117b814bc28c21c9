//! One item of a file: it becomes a value, or a diagnostic that says what was expected.
use super::value::{parse_duration, parse_size, show_duration, show_size};
use super::{Table, nearest};
use crate::comparison::parse_score;
use crate::diagnostic::{At, Sink};
use crate::schema;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// One item: `key = value`, or one element of a list (then the key is the list's).
#[derive(Clone, Debug)]
pub(crate) struct Item<'a> {
    pub(super) sink: &'a Sink<'a>,
    /// The item's name.
    pub(crate) key: &'a str,
    /// Where the name stands.
    pub(crate) key_at: At,
    /// Where the value stands.
    pub(crate) at: At,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    pub(crate) fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.sink.error(&self.at, message, help);
    }

    /// Notes that this version cannot honour the item.
    pub(crate) fn later(&self, instead: &str) {
        self.sink.later(&self.key_at, format!("`{}` is not in this version", self.key), instead);
    }

    /// Notes that this version cannot honour the value.
    pub(crate) fn later_value(&self, message: impl Into<String>, help: &str) {
        self.sink.later(&self.at, message, help);
    }

    /// Notes that the file at `path` is mentioned here; whether it is a secret.
    pub(crate) fn mention(&self, path: &str, secret: bool) {
        self.sink.mention(&self.at, path, secret);
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

    /// Whether it is this string.
    pub(super) fn is(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
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

    /// Points of a spam filter, in thousandths.
    pub(crate) fn score(&self) -> Option<i64> {
        let (integer, float) = (self.value.as_integer(), self.value.as_float());
        let text = integer.map(|integer| integer.as_str()).or(float.map(|float| float.as_str()));
        let Some(text) = text else {
            self.wrong_type("a number");
            return None;
        };
        let score = parse_score(text.trim_start_matches('+'));
        if score.is_none() {
            self.error(
                format!("`{text}` is no score"),
                "write points, with at most three digits behind the point: 2.5",
            );
        }
        score
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
                format!("`{}` must be a duration in quotes, but this is {}", self.key, type_name(self.value)),
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
            self.later_word(place, text);
            return Some(*value);
        }
        if self.later_word(place, text) {
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

    /// Whether this word is in the language and not in this version, which is then said.
    fn later_word(&self, place: &str, text: &str) -> bool {
        let words = schema::entry(place, self.key).map_or(&[][..], |entry| schema::words(&entry.kind));
        let instead = words.iter().find(|word| word.word == text).and_then(|word| word.later);
        if let Some(instead) = instead {
            let message = format!("`{} = \"{text}\"` is not in this version", self.key);
            self.sink.later(&self.at, message, instead);
        }
        instead.is_some()
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
                format!("`{}` must be a list, but this is {}", self.key, type_name(self.value)),
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

    /// The tables of a list of `{ ... }`.
    pub(crate) fn tables_in(&self, place: &'static str) -> Vec<Table<'a>> {
        self.list().into_iter().flatten().filter_map(|element| element.table(place)).collect()
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
        let found = type_name(self.value);
        self.error(
            format!("`{}` must be {expected}, but this is {found}", self.key),
            format!("write {expected}"),
        );
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
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
