//! What a mail rule does to the header: `subject-prefix`, `add-header`, `replace-header`, `remove-header`. Names are checked here, so
//! that no rule can change what a mail is or add a second field where RFC 5322 permits one.
use crate::list::{Case, Patterns};
use crate::model::{HeaderChanges, MailAction};
use crate::read::{Item, Table};

/// RFC 5322 section 3.6: once in a mail.
const ONCE: [&str; 12] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "date",
    "subject",
    "message-id",
    "in-reply-to",
    "references",
    "return-path",
];
/// What can be filled into a value.
const FIELDS: [&str; 5] = ["score", "virus", "status", "rule", "case"];
/// Letters of a prefix or value.
const MAX_VALUE: usize = 500;

pub(super) fn changes(table: &mut Table<'_>, action: Option<MailAction>) -> HeaderChanges {
    let mut changes = HeaderChanges::default();
    let prefix = table.take("subject-prefix");
    let lists = ["add-header", "replace-header", "remove-header"].map(|name| table.take(name));
    if action.is_some_and(|action| action != MailAction::Accept) {
        for item in prefix.iter().chain(lists.iter().flatten()) {
            table.sink.error(
                &item.key_at,
                format!("`{}` belongs to rules that accept", item.key),
                "remove it, or write action = \"accept\"",
            );
        }
    }
    if let Some(item) = &prefix
        && let Some(text) = item.filled()
        && value(item, text)
    {
        changes.subject_prefix = text.trim_end().to_owned();
    }
    let [add, replace, remove] = lists;
    changes.add = fields(add.as_ref(), true);
    changes.replace = fields(replace.as_ref(), false);
    if let Some(items) = remove.and_then(|item| item.strings()) {
        for (item, text) in &items {
            if text.chars().all(|letter| matches!(letter, '*' | '!')) {
                item.error("this would remove every field", "name the fields: \"X-Spam-*\"");
            }
        }
        // An empty list removes nothing; an empty pattern list would match everything.
        changes.remove =
            (!items.is_empty()).then(|| Patterns::new(items.iter().map(|(_, text)| *text), Case::Ignored));
    }
    changes
}

fn fields(item: Option<&Item<'_>>, add: bool) -> Vec<(String, String)> {
    let tables = item.map(|item| item.tables("field")).unwrap_or_default();
    tables.into_iter().filter_map(|table| field(table, add)).collect()
}

fn field(mut table: Table<'_>, add: bool) -> Option<(String, String)> {
    let help = "write { name = \"X-Spam-Score\", value = \"{score}\" }";
    let name = table.require("name", help);
    let given = table.require("value", help);
    table.finish();
    let (name_item, value_item) = (name?, given?);
    let (name, text) = (name_item.filled()?, value_item.text()?);
    let lower = name.to_ascii_lowercase();
    let token = name.len() <= 70 && name.bytes().all(|octet| matches!(octet, 33..=57 | 59..=126));
    if !token {
        name_item.error(format!("`{name}` is no name of a field"), "write \"X-Spam-Score\"");
    } else if lower.starts_with("content-") || lower == "mime-version" {
        name_item.error(format!("`{name}` says what the mail is"), "a rule cannot change it");
    } else if add && ONCE.contains(&lower.as_str()) {
        name_item.error(format!("`{name}` may stand once in a mail"), "write it into replace-header");
    } else if value(&value_item, text) {
        return Some((name.to_owned(), text.to_owned()));
    }
    None
}

fn value(item: &Item<'_>, text: &str) -> bool {
    if text.chars().any(char::is_control) || text.chars().count() > MAX_VALUE {
        item.error(
            format!("this is longer than {MAX_VALUE} letters, or has a control character"),
            "shorten it",
        );
        return false;
    }
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}').filter(|(name, _)| FIELDS.contains(name)) else {
            let known = FIELDS.map(|field| format!("{{{field}}}")).join(", ");
            item.error(
                "this has something in braces that is nothing to fill in",
                format!("there are {known}"),
            );
            return false;
        };
        let _ = name;
        rest = after;
    }
    true
}
