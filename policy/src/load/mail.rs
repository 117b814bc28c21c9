//! `[[doc-acl]]` and `[[mail-acl]]`, with the shipped rules.
use super::conditions::{Names, directions, patterns};
use super::document::{Document, Files};
use super::documents::sources;
use super::fields;
use super::rules::{monitors, name};
use super::{Named, Place};
use crate::comparison::{Comparison, SpamCondition, parse_score};
use crate::keyword::{MAX_KEYWORD, is_keyword};
use crate::list::{Case, Patterns};
use crate::model::{CommandAcl, DocAcl, HeaderMatch, MailAcl, MailAction, PartAction, TypeSource};
use crate::names::Direction;
use crate::notice::{Notice, Shipped, Text};
use crate::read::{Item, Table, parse_size};
use crate::status::{Status, StatusSet};

/// The notice that stands in the place of a part unless another is named.
const REMOVED: Notice = Notice::Shipped(Shipped::Removed);
/// Keywords of one rule.
const MAX_KEYWORDS: usize = 16;
const NOTICES: [(&str, Shipped); 3] =
    [("virus", Shipped::Virus), ("removed", Shipped::Removed), ("locked", Shipped::Locked)];

pub(super) fn doc_acls(
    document: &mut Document<'_>,
    names: &Names<'_>,
    command_acls: &Named<CommandAcl>,
    order: &[TypeSource],
    standard_rules: bool,
) -> Named<DocAcl> {
    let sink = document.sink;
    let files = document.files();
    let mut acls = Named::new();
    for (mut table, number) in document.tables("doc-acl").into_iter().zip(1_usize..) {
        let errors = sink.errors();
        let (name, at) = name(&mut table, "doc-acl", number);
        let rule = doc_acl(&mut table, names, command_acls, order, files, name.clone());
        table.finish();
        acls.push(sink, "doc-acl", name, Place::read(sink, errors, at), rule);
    }
    if standard_rules {
        append(document, &mut acls, standard_doc_rules(order), |rule| &rule.name);
    }
    acls
}

fn doc_acl(
    table: &mut Table<'_>,
    names: &Names<'_>,
    command_acls: &Named<CommandAcl>,
    order: &[TypeSource],
    files: Files<'_>,
    name: String,
) -> DocAcl {
    const ACTIONS: &[(&str, PartAction)] = &[
        ("accept", PartAction::Accept),
        ("deny", PartAction::Deny),
        ("defer", PartAction::Defer),
        ("replace", PartAction::Replace),
        ("html-filter", PartAction::HtmlFilter),
    ];
    let parents = command_acls.find_all(table.take("command-acl"), "command-acl");
    let action = table
        .require("action", "write action = \"accept\", \"replace\", \"html-filter\", \"defer\" or \"deny\"")
        .and_then(|item| item.choice("doc-acl", ACTIONS));
    let replace_file = table.take("replace-file");
    let html_filter = table.take("html-filter");
    for (item, wanted) in [(&replace_file, PartAction::Replace), (&html_filter, PartAction::HtmlFilter)] {
        if let Some(item) = item
            && action.is_some_and(|action| action != wanted)
        {
            table.sink.error(
                &item.key_at,
                format!("`{}` belongs to rules with another action", item.key),
                "remove it, or change `action`",
            );
        }
    }
    if html_filter.is_none() && action == Some(PartAction::HtmlFilter) {
        let help = "write html-filter = \"NAME\" and a [html-filter.NAME]";
        table.sink.error(&table.at, "`html-filter` is missing", help);
    }
    let own = table.take("document-types").and_then(|item| sources(&item, "doc-acl"));
    DocAcl {
        name,
        when: names.mail(table, parents),
        directions: directions(table),
        virus: table.take("virus").map(|item| statuses(&item, "doc-acl")),
        virus_names: patterns(table.take("virus-name"), Case::Ignored),
        types: types(table.take("mime-type")),
        filenames: patterns(table.take("filename"), Case::Ignored),
        sources: own.unwrap_or_else(|| order.to_vec()),
        force_type: table.flag("force-type", false),
        mismatch: table.take("mismatch").and_then(|item| item.flag()),
        polyglot: table.take("polyglot").and_then(|item| item.flag()),
        size: table.take("size").and_then(|item| size(&item)),
        // A rule whose action could not be read takes the safe one; the policy is refused anyway.
        action: action.unwrap_or(PartAction::Defer),
        notice: replace_file.and_then(|item| notice(&item, files)).unwrap_or(REMOVED),
        html_filter: html_filter
            .and_then(|item| {
                item.check_as("doc-acl");
                item.text().map(str::to_owned)
            })
            .unwrap_or_default(),
        monitor: monitors(table),
    }
}

pub(super) fn mail_acls(
    document: &mut Document<'_>,
    names: &Names<'_>,
    command_acls: &Named<CommandAcl>,
    standard_rules: bool,
) -> Named<MailAcl> {
    let sink = document.sink;
    let files = document.files();
    let mut acls = Named::new();
    for (mut table, number) in document.tables("mail-acl").into_iter().zip(1_usize..) {
        let errors = sink.errors();
        let (name, at) = name(&mut table, "mail-acl", number);
        let rule = mail_acl(&mut table, names, command_acls, files, name.clone());
        if rule.virus.is_none() && rule.action == MailAction::Accept {
            sink.warn(
                &at,
                "this rule names no status, so it accepts clean mail only",
                "write virus = [\"clean\"] to say so; every other status has to be named",
            );
        }
        table.finish();
        acls.push(sink, "mail-acl", name, Place::read(sink, errors, at), rule);
    }
    if standard_rules {
        append(document, &mut acls, standard_mail_rules(), |rule| &rule.name);
    }
    acls
}

fn mail_acl(
    table: &mut Table<'_>,
    names: &Names<'_>,
    command_acls: &Named<CommandAcl>,
    files: Files<'_>,
    name: String,
) -> MailAcl {
    const ACTIONS: &[(&str, MailAction)] = &[
        ("accept", MailAction::Accept),
        ("deny", MailAction::Deny),
        ("defer", MailAction::Defer),
        ("replace", MailAction::Replace),
    ];
    let parents = command_acls.find_all(table.take("command-acl"), "command-acl");
    let action = table
        .require("action", "write action = \"accept\", \"replace\", \"defer\" or \"deny\"")
        .and_then(|item| item.choice("mail-acl", ACTIONS));
    let mut whole_body = false;
    let replace_body = table.take("replace-body");
    if let Some(item) = table.take("replace") {
        whole_body = item.choice("mail-acl", &[("body", true), ("parts", false)]) == Some(true);
        if action.is_some_and(|action| action != MailAction::Replace) {
            table.sink.error(
                &item.key_at,
                "`replace` belongs to rules that replace",
                "remove it, or write action = \"replace\"",
            );
        }
    }
    if let Some(item) = &replace_body
        && action.is_some_and(|action| action != MailAction::Replace)
    {
        table.sink.error(
            &item.key_at,
            "`replace-body` belongs to rules that replace",
            "remove it, or write action = \"replace\"",
        );
    }
    let headers = table.take("header");
    let headers = headers.iter().flat_map(|item| item.tables("header"));
    MailAcl {
        name,
        when: names.mail(table, parents),
        directions: directions(table),
        virus: table.take("virus").map(|item| statuses(&item, "mail-acl")),
        virus_names: patterns(table.take("virus-name"), Case::Ignored),
        spam_score: table.take("spam-score").and_then(|item| spam_score(&item)),
        size: table.take("size").and_then(|item| size(&item)),
        headers: headers.map(|table| header_match(table).0).collect(),
        senders: patterns(table.take("sender"), Case::User),
        // A rule whose action could not be read takes the safe one; the policy is refused anyway.
        action: action.unwrap_or(MailAction::Defer),
        whole_body,
        fields: fields::changes(table, action),
        keywords: keywords(table, action),
        notice: replace_body.and_then(|item| notice(&item, files)).unwrap_or_default(),
        monitor: monitors(table),
    }
}

fn append<T>(
    document: &Document<'_>,
    acls: &mut Named<T>,
    rules: impl IntoIterator<Item = T>,
    name_of: impl Fn(&T) -> &String,
) {
    let sink = document.sink;
    for rule in rules {
        let name = name_of(&rule).clone();
        if let Some(taken) = acls.names.iter().position(|taken| *taken == name) {
            if let Some(place) = acls.places.get(taken) {
                let message = format!("the name `{name}` is a shipped rule's");
                sink.error(&place.at, message, "choose another name, or write standard-rules = false");
            }
        } else {
            acls.push(sink, "rule", name, Place::implied(document.start()), rule);
        }
    }
}

/// The shipped document rules, which stand after one's own.
fn standard_doc_rules(order: &[TypeSource]) -> [DocAcl; 2] {
    let rule = |name: &str, virus: &[Status], shipped| DocAcl {
        name: name.to_owned(),
        when: Default::default(),
        directions: vec![Direction::Download],
        virus: Some(StatusSet::naming(virus.iter().copied())),
        virus_names: Patterns::default(),
        types: Patterns::default(),
        filenames: Patterns::default(),
        sources: order.to_vec(),
        force_type: false,
        mismatch: None,
        polyglot: None,
        size: None,
        action: PartAction::Replace,
        notice: Notice::Shipped(shipped),
        html_filter: String::new(),
        monitor: false,
    };
    [
        rule("standard-bad-part", &[Status::Infected, Status::Limit, Status::Malformed], Shipped::Removed),
        rule("standard-locked", &[Status::Encrypted], Shipped::Locked),
    ]
}

/// The shipped mail rules, which stand after one's own.
fn standard_mail_rules() -> [MailAcl; 3] {
    let rule = |name: &str, virus: &[Status], action| MailAcl {
        name: name.to_owned(),
        virus: Some(StatusSet::naming(virus.iter().copied())),
        action,
        ..MailAcl::default()
    };
    [
        rule("standard-trouble", &[Status::Error, Status::Unknown, Status::Skipped], MailAction::Defer),
        rule(
            "standard-bad",
            &[Status::Infected, Status::Limit, Status::Encrypted, Status::Malformed],
            MailAction::Replace,
        ),
        rule("standard-clean", &[Status::Clean], MailAction::Accept),
    ]
}

fn statuses(item: &Item<'_>, place: &str) -> StatusSet {
    let words = Status::ALL.map(|status| (status.name(), status));
    let items = item.some_strings().unwrap_or_default();
    StatusSet::naming(items.iter().filter_map(|(item, _)| item.choice(place, &words)))
}

/// Keywords of IMAP (RFC 9051 section 9, `flag-keyword`): atoms, without case.
fn keywords(table: &mut Table<'_>, action: Option<MailAction>) -> Vec<String> {
    let Some(item) = table.take("keyword") else { return Vec::new() };
    if action.is_some_and(|action| action != MailAction::Accept) {
        table.sink.error(
            &item.key_at,
            "`keyword` belongs to rules that accept",
            "remove it, or write action = \"accept\"",
        );
    }
    let items = item.strings().unwrap_or_default();
    if items.len() > MAX_KEYWORDS {
        item.error(format!("there are more than {MAX_KEYWORDS} keywords"), "name fewer");
    }
    let mut keywords: Vec<String> = Vec::new();
    for (item, text) in &items {
        if text.starts_with('\\') {
            item.error(format!("`{text}` is a flag that IMAP defines, and no keyword"), "write \"$Junk\"");
        } else if !is_keyword(text) {
            item.error(
                format!("`{text}` is no keyword of IMAP"),
                format!(
                    "write \"$Junk\": at most {MAX_KEYWORD} letters, digits and signs, without blanks and ( ) {{ [ ] % * \" \\"
                ),
            );
        } else if !keywords.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            keywords.push((*text).to_owned());
        }
    }
    keywords
}

/// Types of documents: "image/*", "!text/plain".
fn types(item: Option<Item<'_>>) -> Patterns {
    let Some(items) = item.and_then(|item| item.some_strings()) else { return Patterns::default() };
    for (item, text) in &items {
        if *text != "*" && text.matches('/').count() != 1 {
            item.error(
                format!("`{text}` is no type of document"),
                "write \"image/*\" or \"application/pdf\"",
            );
        }
    }
    Patterns::new(items.iter().map(|(_, text)| *text), Case::Ignored)
}

fn size(item: &Item<'_>) -> Option<Comparison> {
    let comparison = Comparison::parse(item.filled()?, |text| i64::try_from(parse_size(text)?).ok());
    if comparison.is_none() {
        item.error(
            "this compares with no size",
            "write an operator (<, <=, =, >=, >) and a size: \"<= 20MiB\"",
        );
    }
    comparison
}

fn spam_score(item: &Item<'_>) -> Option<SpamCondition> {
    let text = item.filled()?;
    if text == "unknown" {
        return Some(SpamCondition::Unknown);
    }
    let comparison = Comparison::parse(text, parse_score);
    if comparison.is_none() {
        item.error(
            "this compares with no score",
            "write an operator (<, <=, =, >=, >) and a score: \">= 5.0\"; or \"unknown\"",
        );
    }
    comparison.map(SpamCondition::Score)
}

/// The last items of a table: `name` and `match`. Also the name as it was written.
pub(super) fn header_match(mut table: Table<'_>) -> (HeaderMatch, String) {
    let name = table.require("name", "write { name = \"X-Bulk\", match = \"*\" }");
    let name = name.and_then(|item| item.filled()).unwrap_or("*");
    let value = table.take("match").and_then(|item| item.text()).unwrap_or("*");
    table.finish();
    let field = HeaderMatch {
        name: Patterns::new([name], Case::Ignored),
        value: Patterns::new([value], Case::Ignored),
    };
    (field, name.to_owned())
}

/// "builtin:NAME", or the path of a file.
fn notice(item: &Item<'_>, files: Files<'_>) -> Option<Notice> {
    let text = item.filled()?;
    if let Some(name) = text.strip_prefix("builtin:") {
        let shipped = NOTICES.iter().find(|(known, _)| *known == name).map(|(_, shipped)| *shipped);
        if shipped.is_none() {
            let known = NOTICES.map(|(name, _)| format!("\"builtin:{name}\"")).join(", ");
            item.error(
                format!("there is no notice `{text}`"),
                format!("there are {known}, or the path of a file"),
            );
        }
        return shipped.map(Notice::Shipped);
    }
    let path = item.absolute()?;
    item.mention(path, false);
    files.read(item, path, Text::parse).map(Notice::Own)
}
