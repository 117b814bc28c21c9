//! `[document-types]`: which sources of types count, and the operator's own types, from a file of their own.
use super::document::Document;
use crate::model::{ExtraType, TypeSource};
use crate::read::Item;
use serde::Deserialize;

/// More types, or marks of one, are a mistake.
const MAX_TYPES: usize = 1000;
const MAX_MARKS: usize = 16;
/// Where a mark can stand, and how long it can be, octets.
const MAX_OFFSET: u32 = 64 * 1024;
const MAX_MARK: usize = 64;

pub(super) struct DocumentTypes {
    pub(super) order: Vec<TypeSource>,
    pub(super) extra: Vec<ExtraType>,
}

pub(super) fn document_types(document: &mut Document<'_>) -> DocumentTypes {
    let mut types = DocumentTypes { order: TypeSource::ALL.to_vec(), extra: Vec::new() };
    let files = document.files();
    let Some(mut table) = document.table("document-types") else { return types };
    if let Some(order) = table.take("order").and_then(|item| sources(&item, "document-types")) {
        types.order = order;
    }
    if let Some(item) = table.take("extra")
        && let Some(path) = item.absolute()
    {
        item.mention(path, false);
        types.extra = files.read(&item, path, parse).unwrap_or_default();
    }
    table.finish();
    types
}

/// Each source once, the most trusted first.
pub(super) fn sources(item: &Item<'_>, place: &str) -> Option<Vec<TypeSource>> {
    const WORDS: &[(&str, TypeSource)] = &[
        ("magic", TypeSource::Magic),
        ("extension", TypeSource::Extension),
        ("content-type", TypeSource::ContentType),
    ];
    let mut sources = Vec::new();
    for (item, text) in item.some_strings()? {
        let source = item.choice(place, WORDS)?;
        if sources.contains(&source) {
            item.error(format!("`{text}` is given twice"), "keep one of them");
        }
        sources.push(source);
    }
    Some(sources)
}

/// The file as written: `[[type]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "type")]
    types: Vec<Type>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Type {
    mime_type: String,
    #[serde(default)]
    extension: Vec<String>,
    #[serde(default)]
    magic: Vec<Mark>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    #[serde(default)]
    at: u32,
    text: Option<String>,
    hex: Option<String>,
}

fn parse(text: &str) -> Result<Vec<ExtraType>, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| 1 + text.get(..span.start).unwrap_or("").matches('\n').count());
        format!("line {line}: {}", error.message())
    })?;
    if file.types.len() > MAX_TYPES {
        return Err(format!("it has more than {MAX_TYPES} types"));
    }
    file.types.into_iter().map(extra_type).collect()
}

fn extra_type(read: Type) -> Result<ExtraType, String> {
    let Type { mime_type, extension, magic } = read;
    let token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let mime_type = mime_type.to_ascii_lowercase();
    if !mime_type.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype)) {
        return Err(format!("`{mime_type}` is no type of document: write \"application/x-acme\""));
    }
    if (extension.is_empty() && magic.is_empty()) || magic.len() > MAX_MARKS {
        return Err(format!("`{mime_type}` needs `extension` or `magic`, and at most {MAX_MARKS} marks"));
    }
    let mut extensions = Vec::new();
    for name in extension {
        let name = name.trim_start_matches('.').to_lowercase();
        if name.is_empty() || name.contains(['.', '/', '*']) {
            return Err(format!("`{name}` of `{mime_type}` is no extension: write \"acme\""));
        }
        extensions.push(name);
    }
    let mut marks = Vec::new();
    for Mark { at, text, hex } in magic {
        let octets = match (text, hex) {
            (Some(text), None) => Some(text.into_bytes()),
            (None, Some(hex)) => octets(&hex),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let octets = octets.filter(|octets| (2..=MAX_MARK).contains(&octets.len()) && at <= MAX_OFFSET);
        marks.push((at, octets.ok_or_else(|| {
            format!(
                "a mark of `{mime_type}` is wrong: write {{ at = 0, hex = \"41434d45\" }} or text = \"ACME\", \
                 2 to {MAX_MARK} octets, at most {MAX_OFFSET} from the start"
            )
        })?));
    }
    Ok(ExtraType { mime_type, extensions, magic: marks })
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits.chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2 && !text.starts_with('+'))?;
        u8::from_str_radix(text, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_ones_own_are_read() {
        let types = parse(
            "[[type]]\nmime-type = \"application/x-ACME\"\nextension = [\".Acme\", \"acm\"]\n\
             magic = [{ text = \"ACME\" }, { at = 8, hex = \"00 ff\" }]\n",
        )
        .expect("types");
        let wanted = ExtraType {
            mime_type: "application/x-acme".into(),
            extensions: vec!["acme".into(), "acm".into()],
            magic: vec![(0, b"ACME".to_vec()), (8, vec![0, 255])],
        };
        assert_eq!(types, [wanted]);
    }

    #[test]
    fn what_is_wrong_with_them_is_said() {
        for (file, why) in [
            ("[[type]]\nmime-type = \"x\"\nextension = [\"a\"]\n", "is no type of document"),
            ("[[type]]\nmime-type = \"a/b\"\n", "needs `extension` or `magic`"),
            ("[[type]]\nmime-type = \"a/b\"\nextension = [\"*\"]\n", "is no extension"),
            ("[[type]]\nmime-type = \"a/b\"\nmagic = [{ hex = \"4\" }]\n", "a mark of `a/b` is wrong"),
            ("[[type]]\nmime-type = \"a/b\"\nmagic = [{ text = \"ab\", hex = \"6162\" }]\n", "is wrong"),
            ("\n[[type]]\nmime = \"a/b\"\n", "line 3"),
        ] {
            let said = parse(file).expect_err(file);
            assert!(said.contains(why), "{file}: {said}");
        }
    }
}
