//! The schema as JSON Schema, draft 07, for editors: completion, descriptions and marks while one writes. The loader
//! checks more than a schema can say.
use super::{Entry, Form, Kind, Section, sections};
use std::fmt::Write;

/// The schema of a whole file, as JSON with two blanks of indentation and a final newline.
pub fn json_schema() -> String {
    let mut definitions = Vec::new();
    let mut properties = Vec::new();
    for section in sections() {
        if section.place.is_empty() {
            properties.extend(section.entries.iter().map(property));
            continue;
        }
        definitions.push(format!("{}: {}", quoted(section.place), table(section)));
        let reference = reference(section.place);
        let value = match section.form {
            Form::Inner => continue,
            Form::Single => reference,
            Form::Named => {
                format!("{{\"type\": \"object\", \"additionalProperties\": {reference}}}")
            }
            Form::List => format!("{{\"type\": \"array\", \"items\": {reference}}}"),
        };
        properties.push(format!("{}: {value}", quoted(section.place)));
    }
    let text = format!(
        "{{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"mailward.toml\", \"type\": \"object\", \
         \"required\": [\"version\"], \"additionalProperties\": false, \"properties\": {{{}}}, \"definitions\": {{{}}}}}",
        properties.join(", "),
        definitions.join(", ")
    );
    indented(&text)
}

fn table(section: &Section) -> String {
    let properties: Vec<String> = section.entries.iter().map(property).collect();
    let required: Vec<String> =
        section.entries.iter().filter(|e| e.is_required()).map(|e| quoted(e.name)).collect();
    let required = if required.is_empty() {
        String::new()
    } else {
        format!("\"required\": [{}], ", required.join(", "))
    };
    let later = if super::is_later(section.place) { " Not in this version." } else { "" };
    format!(
        "{{\"type\": \"object\", \"description\": {}, {required}\"additionalProperties\": false, \"properties\": {{{}}}}}",
        quoted(&format!("{}{later}", section.doc)),
        properties.join(", ")
    )
}

fn property(entry: &Entry) -> String {
    let mut doc = entry.doc.to_owned();
    if !entry.default.is_empty() {
        let _ = write!(doc, " Default: {}.", entry.default);
    }
    if entry.later.is_some() {
        doc.push_str(" Not in this version.");
    }
    format!("{}: {{\"description\": {}, {}}}", quoted(entry.name), quoted(&doc), inner(&entry.kind))
}

fn value(kind: &Kind) -> String {
    if let Kind::Table(place) = kind { reference(place) } else { format!("{{{}}}", inner(kind)) }
}

fn inner(kind: &Kind) -> String {
    const STRINGS: &str = "\"type\": \"array\", \"items\": {\"type\": \"string\"}";
    let pattern = |pattern: &str| format!("\"type\": \"string\", \"pattern\": {}", quoted(pattern));
    match kind {
        Kind::Flag => "\"type\": \"boolean\"".to_owned(),
        Kind::Count(least, most) => {
            format!("\"type\": \"integer\", \"minimum\": {least}, \"maximum\": {most}")
        }
        Kind::Size => {
            let text = pattern("^[0-9]+(B|KiB|MiB|GiB|TiB)?$");
            format!("\"anyOf\": [{{\"type\": \"integer\", \"minimum\": 0}}, {{{text}}}]")
        }
        Kind::Duration => pattern("^([0-9]+(ms|s|m|h|d)|0)$"),
        Kind::Rate => pattern("^(0|[0-9]+/[0-9]*(ms|s|m|h|d))$"),
        Kind::Flow => pattern("^[0-9]+(B|KiB|MiB|GiB|TiB)?/s$"),
        Kind::Comparison => pattern("^ *(<|<=|=|>=|>) *-?[0-9.]+ *(B|KiB|MiB|GiB|TiB)? *$"),
        Kind::Score => "\"type\": \"number\"".to_owned(),
        Kind::Text | Kind::Name(..) => "\"type\": \"string\"".to_owned(),
        Kind::Path | Kind::File => pattern("^/"),
        Kind::Secret => pattern("^(/|credential:)"),
        Kind::Template => pattern("^(/|builtin:)"),
        Kind::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word.word)).collect();
            format!("\"enum\": [{}]", words.join(", "))
        }
        Kind::Hosts | Kind::Times | Kind::Patterns => STRINGS.to_owned(),
        Kind::List(inner) => format!("\"type\": \"array\", \"items\": {}", value(inner)),
        // Beside a $ref nothing else counts in draft 07, so the reference stands in an allOf.
        Kind::Table(place) => format!("\"allOf\": [{}]", reference(place)),
        Kind::Either(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(value).collect();
            format!("\"anyOf\": [{}]", kinds.join(", "))
        }
    }
}

fn reference(place: &str) -> String {
    format!("{{\"$ref\": {}}}", quoted(&format!("#/definitions/{place}")))
}

/// RFC 8259 section 7. Texts of the schema have no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Breaks lines after each item, as people read it.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for character in json.chars() {
        if in_string {
            out.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        match character {
            '"' => {
                in_string = true;
                out.push('"');
            }
            '{' | '[' => {
                depth += 1;
                out.push(character);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            ' ' => {}
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}
