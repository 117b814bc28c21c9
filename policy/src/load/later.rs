//! Sections that this version checks and cannot honour: routing, metrics, and whatever else `schema` marks.
use super::document::Document;
use crate::diagnostic::{At, Sink};
use crate::schema::{self, Form};

/// Reads every such section that was not read yet; what the schema says of its items must hold.
pub(super) fn sections(document: &mut Document<'_>) {
    for (place, _) in schema::LATER_SECTIONS {
        let tables = match schema::section(place).map(|section| section.form) {
            Some(Form::Single) => document.table(place).into_iter().collect(),
            Some(Form::List) => document.tables(place),
            Some(Form::Named) => {
                document.named_tables(place).into_iter().map(|(_, _, table)| table).collect()
            }
            Some(Form::Inner) | None => Vec::new(),
        };
        for table in tables {
            tell(document.sink, &table.at, place);
            table.check();
        }
    }
}

/// Notes that this version cannot honour the section that stands here.
pub(super) fn tell(sink: &Sink<'_>, at: &At, place: &str) {
    let instead =
        schema::LATER_SECTIONS.iter().find(|(later, _)| *later == place).map(|(_, instead)| *instead);
    sink.later(at, format!("{} is not in this version", schema::title(place)), instead.unwrap_or_default());
}
