//! What stands in the place of a part or a mail that was taken out: a shipped notice, or the operator's own text. Pure.
use crate::names::Language;
use serde::{Deserialize, Serialize};

/// A larger file is no notice.
pub const MAX_TEXT: usize = 16 * 1024;
/// What can be filled in.
pub const FIELDS: [&str; 8] = ["virus", "file", "type", "status", "sender", "subject", "rule", "case"];

/// `replace-file` or `replace-body`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shipped {
    /// "builtin:virus".
    #[default]
    Virus,
    /// "builtin:removed".
    Removed,
    /// "builtin:locked".
    Locked,
}

/// `replace-file` or `replace-body`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// "builtin:NAME".
    Shipped(Shipped),
    /// The operator's file.
    Own(Text),
}

impl Default for Notice {
    fn default() -> Self {
        Self::Shipped(Shipped::default())
    }
}

/// An operator's notice: what is said in every language that has no text of its own, and those that have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    any: String,
    own: Vec<(Language, String)>,
}

impl Text {
    /// Reads a file: text with `{field}`s; a line `[cs]` begins the text for that language.
    ///
    /// # Errors
    /// What is wrong with it, and on which line.
    pub fn parse(file: &str) -> Result<Self, String> {
        if file.len() > MAX_TEXT {
            return Err(format!("it has more than {} KiB", MAX_TEXT / 1024));
        }
        let mut text = Self::default();
        let mut current: Option<Language> = None;
        for (line, number) in file.lines().zip(1_usize..) {
            if line.contains(|letter: char| letter.is_control() && letter != '\t') {
                return Err(format!("line {number} has a control character"));
            }
            if let Some(name) = line.trim().strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                let language = Language::ALL.into_iter().find(|language| language.to_string() == name);
                let language = language.ok_or(format!("line {number}: there is no language `{name}`"))?;
                if text.own.iter().any(|(known, _)| *known == language) {
                    return Err(format!("line {number}: the language `{name}` stands twice"));
                }
                text.own.push((language, String::new()));
                current = Some(language);
                continue;
            }
            check_fields(line).map_err(|why| format!("line {number}: {why}"))?;
            let place = match current {
                Some(_) => text.own.last_mut().map_or(&mut text.any, |(_, own)| own),
                None => &mut text.any,
            };
            place.push_str(line);
            place.push('\n');
        }
        if text.any.trim().is_empty() {
            return Err("it has no text before the first language, for all the others".into());
        }
        Ok(text)
    }

    /// The text for a reader.
    pub fn of(&self, language: Language) -> &str {
        self.own.iter().find(|(own, _)| *own == language).map_or(&self.any, |(_, text)| text)
    }
}

/// Puts values into the `{field}`s of a checked text.
pub fn fill(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((field, after)) = behind.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&value(field));
        rest = after;
    }
    filled + rest
}

fn check_fields(line: &str) -> Result<(), String> {
    let mut rest = line;
    while let Some((_, behind)) = rest.split_once('{') {
        let Some((field, after)) = behind.split_once('}') else {
            return Err("a `{` without its `}`".into());
        };
        if !FIELDS.contains(&field) {
            let known = FIELDS.map(|field| format!("{{{field}}}")).join(", ");
            return Err(format!("`{{{field}}}` is nothing to fill in; there are {known}"));
        }
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_chosen_by_language_and_filled_in() {
        let text = Text::parse("Removed: {file}\n[cs]\nOdstraněno: {file} ({case})\n").expect("a notice");
        let value = |field: &str| format!("<{field}>");
        assert_eq!(fill(text.of(Language::En), value), "Removed: <file>\n");
        assert_eq!(fill(text.of(Language::Cs), value), "Odstraněno: <file> (<case>)\n");
        assert_eq!(text.of(Language::De), text.of(Language::En));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (file, why) in [
            ("", "no text before"),
            ("[cs]\nx\n", "no text before"),
            ("ok\n{viruz}\n", "line 2: `{viruz}`"),
            ("ok\n{virus\n", "line 2: a `{`"),
            ("ok\n[xx]\n", "line 2: there is no language `xx`"),
            ("ok\n[cs]\na\n[cs]\n", "line 4: the language `cs` stands twice"),
            ("o\u{7}k\n", "line 1 has a control"),
        ] {
            let said = Text::parse(file).expect_err(file);
            assert!(said.contains(why), "{file:?}: {said}");
        }
        assert!(Text::parse(&"x".repeat(MAX_TEXT + 1)).is_err());
    }
}
