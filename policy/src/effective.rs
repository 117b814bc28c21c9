//! A configuration as it takes effect: its files merged, defaults filled in, the shipped rules after one's own. Called by
//! `mailward show` with files that were loaded without an error; pure.
use crate::load::standard_rules;
use crate::schema::{self, Form};
use toml::{Table, Value};

/// The kinds of rules, in the order of the phases.
const RULES: [&str; 4] = ["session-acl", "command-acl", "doc-acl", "mail-acl"];

/// The files, each with the only tenant that it is about, as one: lists of tables are appended, everything else stands once. A text that is no TOML is left out; the
/// loader has told of it.
pub fn merge<'t>(texts: impl IntoIterator<Item = (&'t str, Option<&'t str>)>) -> Table {
    let mut merged = Table::new();
    for (text, tenant) in texts {
        for (key, value) in text.parse::<Table>().unwrap_or_default() {
            let value = match tenant {
                Some(tenant) => about(&key, value, tenant),
                None => value,
            };
            match (merged.get_mut(&key), value) {
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
                (Some(Value::Table(known)), Value::Table(more)) => known.extend(more),
                (Some(_), _) => {}
                (None, value) => drop(merged.insert(key, value)),
            }
        }
    }
    merged.remove("include");
    let tenants = merged.get_mut("tenant").and_then(Value::as_array_mut);
    for tenant in tenants.into_iter().flatten().filter_map(Value::as_table_mut) {
        tenant.remove("include");
    }
    merged
}

/// What stands in a tenant's own file, with the tenant written.
fn about(key: &str, value: Value, tenant: &str) -> Value {
    let written = match key {
        "listener" => Value::String(tenant.to_owned()),
        key if RULES.contains(&key) => Value::Array(vec![Value::String(tenant.to_owned())]),
        _ => return value,
    };
    let Value::Array(mut tables) = value else { return value };
    for table in tables.iter_mut().filter_map(Value::as_table_mut) {
        table.insert("tenant".to_owned(), written.clone());
    }
    Value::Array(tables)
}

/// The rules alone, in the order in which they are tried: one's own, then the shipped ones.
pub fn rules(merged: &Table) -> Table {
    let standard = merged.get("standard-rules").and_then(Value::as_bool).unwrap_or(true);
    let shipped: Table = if standard { standard_rules().parse().unwrap_or_default() } else { Table::new() };
    RULES
        .into_iter()
        .filter_map(|kind| {
            let both =
                [merged.get(kind), shipped.get(kind)].into_iter().flatten().filter_map(Value::as_array);
            let rules: Vec<Value> = both.flatten().cloned().collect();
            (!rules.is_empty()).then(|| (kind.to_owned(), Value::Array(rules)))
        })
        .collect()
}

/// Fills in the default of every item that has one, in every section that is there and in those that stand once. What
/// comes out is a configuration again, and means the same.
pub fn with_defaults(mut merged: Table) -> Table {
    fill(&mut merged, "", "");
    for section in schema::sections() {
        let sections: Vec<&mut Table> = match (section.form, section.place) {
            (Form::Inner, _) | (_, "") => continue,
            (Form::Single, place) => {
                let later = schema::LATER_SECTIONS.iter().any(|(later, _)| *later == place);
                if later && !merged.contains_key(place) {
                    continue;
                }
                let there = merged.entry(place).or_insert(Value::Table(Table::new()));
                there.as_table_mut().into_iter().collect()
            }
            (Form::Named, place) => {
                for (name, table) in named(&mut merged, place) {
                    let kind = table.get("type").and_then(Value::as_str).unwrap_or(name).to_owned();
                    fill(table, place, &kind);
                }
                continue;
            }
            (Form::List, place) => {
                let list = merged.get_mut(place).and_then(Value::as_array_mut);
                list.into_iter().flatten().filter_map(Value::as_table_mut).collect()
            }
        };
        for table in sections {
            let action = table.get("action").and_then(Value::as_str).unwrap_or("").to_owned();
            fill(table, section.place, &action);
        }
    }
    merged
}

/// The sections `[place.NAME]`.
fn named<'t>(merged: &'t mut Table, place: &str) -> impl Iterator<Item = (&'t str, &'t mut Table)> {
    let sections = merged.get_mut(place).and_then(Value::as_table_mut);
    sections
        .into_iter()
        .flatten()
        .filter_map(|(name, section)| Some((name.as_str(), section.as_table_mut()?)))
}

/// `kind`: the type of an engine, or the action of a rule; items for other kinds have no default here.
fn fill(table: &mut Table, place: &str, kind: &str) {
    for entry in schema::section(place).map_or(&[][..], |section| section.entries) {
        if let schema::Kind::Table(inner) = &entry.kind {
            if let Some(inner_table) = table.get_mut(entry.name).and_then(Value::as_table_mut) {
                fill(inner_table, inner, "");
            }
        } else if entry.has_default(kind)
            && !table.contains_key(entry.name)
            && let Ok(value) = format!("x = {}", entry.default).parse::<Table>()
        {
            table.extend(value.into_iter().map(|(_, value)| (entry.name.to_owned(), value)));
        }
    }
}
