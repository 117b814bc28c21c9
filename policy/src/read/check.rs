//! Checks a value by what the schema says of it, without making anything of it: for items that this version reads and
//! cannot honour, so that a file written for a later one is not left unchecked until then.
use super::item::Item;
use super::nearest;
use super::value::{parse_duration, parse_size};
use crate::credential;
use crate::host::{HostError, HostList};
use crate::schema::Kind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

impl Item<'_> {
    pub(crate) fn check(&self, kind: &Kind) {
        match kind {
            Kind::Flag => drop(self.flag()),
            Kind::Count(least, most) => drop(self.count(*least..=*most)),
            Kind::Size => drop(self.size(0..=u64::MAX)),
            Kind::Duration => drop(self.duration(Duration::ZERO)),
            Kind::Rate => self.form(is_rate, "a rate", "write \"10/m\", \"30/10m\", or \"0\" for none"),
            Kind::Flow => self.form(is_flow, "octets in a second", "write \"10MiB/s\""),
            Kind::Comparison => self.form(
                is_comparison,
                "a comparison",
                "write an operator (<, <=, =, >=, >) and a number or size: \"<= 20MiB\"",
            ),
            Kind::Score => drop(self.score()),
            Kind::Text => drop(self.text()),
            Kind::Path => drop(self.absolute()),
            Kind::File => {
                if let Some(path) = self.absolute() {
                    self.mention(path, false);
                }
            }
            Kind::Secret => drop(self.secret()),
            Kind::Template => {
                if self.text().is_some_and(|text| !text.starts_with("builtin:")) {
                    self.check(&Kind::File);
                }
            }
            Kind::Word(words) => {
                let plain: Vec<_> = words.iter().map(|word| (word.word, ())).collect();
                self.choice("", &plain);
            }
            Kind::Name(place, builtin) => self.name(place, builtin),
            Kind::Hosts => {
                for (item, text) in self.strings().unwrap_or_default() {
                    item.host(text);
                }
            }
            Kind::Times | Kind::Patterns => drop(self.strings()),
            Kind::List(inner) => {
                for element in self.list().unwrap_or_default() {
                    element.check(inner);
                }
            }
            Kind::Table(place) => {
                if let Some(table) = self.table(place) {
                    table.check();
                }
            }
            Kind::Either(kinds) => self.either(kinds),
        }
    }

    /// Checks by the schema what is read otherwise.
    pub(crate) fn check_as(&self, place: &str) {
        if let Some(entry) = crate::schema::entry(place, self.key) {
            self.check(&entry.kind);
        }
    }

    /// An absolute path: the daemon has no folder of its own.
    pub(crate) fn absolute(&self) -> Option<&str> {
        let path = self.filled()?;
        if path.starts_with('/') {
            return Some(path);
        }
        self.error(format!("`{}` must be an absolute path", self.key), "write it from `/` on");
        None
    }

    /// A file that others must not read: an absolute path, or a credential of the service.
    pub(crate) fn secret(&self) -> Option<PathBuf> {
        let text = self.filled()?;
        let place = match text.strip_prefix(credential::PREFIX) {
            Some(name) if credential::is_name(name) => text,
            Some(name) => {
                self.error(
                    format!("`{name}` is not the name of a credential"),
                    "write what stands before the colon in LoadCredential= of the unit",
                );
                return None;
            }
            None => self.absolute()?,
        };
        self.mention(place, true);
        Some(place.into())
    }

    fn form(&self, is: fn(&str) -> bool, what: &str, help: &str) {
        if let Some(text) = self.text()
            && !is(text)
        {
            self.error(format!("`{text}` is not {what}"), help);
        }
    }

    /// The name of a section, or of something that is built in.
    fn name(&self, place: &str, builtin: &[&str]) {
        let Some(name) = self.filled() else { return };
        if self.sink.knows(place, name) || builtin.contains(&name) {
            return;
        }
        let near = nearest(name, self.sink.known(place).chain(builtin.iter().copied()));
        let help = near.map_or_else(
            || format!("write {}", crate::schema::title(place).replace("NAME", name)),
            |near| format!("did you mean \"{near}\"?"),
        );
        self.error(format!("there is no {place} `{name}`"), help);
    }

    fn host(&self, text: &str) {
        let known = |name: &str| self.sink.knows("host-list", name).then(Arc::<HostList>::default);
        match HostList::default().add(text, &mut |name| known(name)) {
            Ok(()) => {}
            Err(HostError::Invalid(why)) => {
                self.error(
                    format!("`{text}` in a list of hosts: {why}"),
                    "write a host, network, range or \"@list\"",
                );
            }
            Err(HostError::UnknownList(name)) => {
                self.error(format!("there is no host list `{name}`"), format!("write [host-list.{name}]"));
            }
        }
    }

    /// The kind that has the value's type is the one that was meant.
    fn either(&self, kinds: &[Kind]) {
        let fits = |kind: &&Kind| {
            if let Kind::Word(words) = kind {
                words.iter().any(|word| self.is(word.word))
            } else if let Kind::Table(_) = kind {
                self.is_table()
            } else if let Kind::Count(..) = kind {
                self.is_integer()
            } else {
                self.is_text() || (matches!(kind, Kind::Size) && self.is_integer())
            }
        };
        // A word before whatever else is written as a string.
        let words = kinds.iter().filter(|kind| matches!(kind, Kind::Word(_)));
        if let Some(kind) = words.chain(kinds).find(fits).or(kinds.last()) {
            self.check(kind);
        }
    }
}

/// "10/m", "30/10m", "0".
fn is_rate(text: &str) -> bool {
    text == "0"
        || text.split_once('/').is_some_and(|(count, time)| {
            let plain = |unit: &str| matches!(unit, "s" | "m" | "h" | "d");
            count.parse::<u32>().is_ok()
                && (plain(time) || parse_duration(time).is_some_and(|time| !time.is_zero()))
        })
}

fn is_flow(text: &str) -> bool {
    text.strip_suffix("/s").and_then(parse_size).is_some()
}

fn is_comparison(text: &str) -> bool {
    let number = text.trim_start_matches(['<', '>', '=']).trim();
    number.len() < text.len() && (parse_size(number).is_some() || number.parse::<f64>().is_ok())
}
