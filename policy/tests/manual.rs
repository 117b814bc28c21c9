//! The manual says what the program does: every example of `docs/configuration.md` loads, every default is the default,
//! and every item is there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use policy::load::{LoadOptions, load};
use std::collections::BTreeMap;
use std::path::Path;

const MANUAL: &str = include_str!("../../docs/configuration.md");

/// A file that has every section; items of a section go in the place of its mark.
const WHOLE: &str = "\
version = 1
<top>
[service]
<service>
[[tenant]]
name = \"acme\"
<tenant>
[log]
<log>
[login]
<login>
[control]
<control>
[resolver]
<resolver>
[quarantine]
<quarantine>
[client-tls.lan]
certificates = [{ cert = \"/a.pem\", key = \"/a.key\" }]
<client-tls>
[client-tls.lan.intercept]
ca = { cert = \"/ca.pem\", key = \"/ca.key\" }
<client-tls.intercept>
[server-tls.public]
<server-tls>
[[listener]]
protocol = \"pop3\"
<listener>
[[listener]]
name = \"caught\"
protocol = \"pop3\"
tls = \"implicit\"
address = [\"*:10110\"]
transparent.method = \"redirect\"
<transparent>
[host-list.lan]
hosts = [\"192.0.2.0/24\"]
<host-list>
[time-list.nights]
times = [\"22:00-06:00\"]
<time-list>
[[session-acl]]
<session-acl>
[[command-acl]]
plug-to = [\"mail.example.net\"]
<command-acl>
[command-acl.download]
<command-acl.download>
[[doc-acl]]
action = \"replace\"
<doc-acl>
[document-types]
<document-types>
[html-filter.safe]
<html-filter>
[[mail-acl]]
virus = [\"encrypted\"]
action = \"replace\"
<mail-acl>
[mail-filter.default]
<mail-filter>
[antivirus.clamd]
<clamd>
[antivirus.builtin]
<builtin>
[antivirus.gateway]
type = \"icap\"
url = \"icap://192.0.2.1/scan\"
<icap>
[antispam.rspamd]
<rspamd>
[antispam.spamd]
<spamd>
[antispam.builtin]
<builtin-spam>
";

/// WHOLE with a line in one section; what was loaded from it, or what was told.
fn whole(section: &str, line: &str) -> Result<String, String> {
    let mark = format!("<{section}>");
    assert!(WHOLE.contains(&mark), "no section {section}");
    let text: Vec<_> = WHOLE
        .lines()
        .filter_map(|known| {
            if known == mark { Some(line) } else { Some(known).filter(|known| !known.starts_with('<')) }
        })
        .collect();
    attempt(&text.join("\n"))
}

fn attempt(text: &str) -> Result<String, String> {
    let options = LoadOptions { demo: false, cores: 2 };
    match load(Path::new("mailward.toml"), text, &|_| Err("no files here".to_owned()), options) {
        Ok(loaded) if loaded.notes.is_empty() => Ok(format!("{:#?}", loaded.policy)),
        Ok(loaded) => Err(format!("{:#?}", loaded.notes)),
        Err(problems) => Err(problems
            .iter()
            .map(|problem| format!("{}: {}", problem.message, problem.help.as_deref().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join("\n")),
    }
}

/// The mark of the section that a heading or a sentence before a table introduces.
fn section_of(line: &str) -> Option<&'static str> {
    const STARTS: &[(&str, &str)] = &[
        ("## Top of the file", "top"),
        ("## `[service]`", "service"),
        ("## `[[tenant]]`", "tenant"),
        ("## `[log]`", "log"),
        ("## `[login]`", "login"),
        ("## `[control]`", "control"),
        ("## `[resolver]`", "resolver"),
        ("## `[quarantine]`", "quarantine"),
        ("## `[client-tls.NAME]`", "client-tls"),
        ("### `[client-tls.NAME.intercept]`", "client-tls.intercept"),
        ("## `[server-tls.NAME]`", "server-tls"),
        ("### Certificates that match", ""),
        ("## `[[listener]]`", "listener"),
        ("In `transparent`", "transparent"),
        ("## `[host-list.NAME]`", "host-list"),
        ("## `[time-list.NAME]`", "time-list"),
        ("## `[[session-acl]]`", "session-acl"),
        ("## `[[command-acl]]`", "command-acl"),
        ("### `[command-acl.download]`", "command-acl.download"),
        ("## `[[doc-acl]]`", "doc-acl"),
        ("### Notices", ""),
        ("## `[document-types]`", "document-types"),
        ("## `[html-filter.NAME]`", "html-filter"),
        ("## `[[mail-acl]]`", "mail-acl"),
        ("## `[mail-filter.NAME]`", "mail-filter"),
        ("## `[antivirus.NAME]`", "clamd"),
        ("With type `icap`", "icap"),
        ("## `[antispam.NAME]`", "rspamd"),
        ("With type `spamd`", "spamd"),
        ("With type `builtin` for spam", "builtin-spam"),
        ("With type `builtin`", "builtin"),
        ("### The shipped rules", ""),
        ("## Items of later versions", ""),
        ("## Recipes", ""),
    ];
    STARTS.iter().find(|(start, _)| line.starts_with(start)).map(|(_, section)| *section)
}

/// Every documented item by section: (name, default as it stands in the table).
fn documented() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    let mut items: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut section = "";
    let mut in_items = false;
    for line in MANUAL.lines() {
        section = section_of(line).unwrap_or(section);
        if line.starts_with("| item | default |") {
            in_items = true;
        } else if !line.starts_with('|') {
            in_items = false;
        } else if in_items && !section.is_empty() && line.starts_with("| `") {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let name = cells.next().unwrap().trim_matches('`');
            items.entry(section).or_default().push((name, cells.next().unwrap()));
        }
    }
    items
}

#[test]
fn every_example_loads_without_a_warning() {
    const REST: [(&str, &str); 4] = [
        ("[[listener]]", "[[listener]]\nprotocol = \"pop3\"\ntls = \"off\"\n"),
        ("[[session-acl]]", "[[session-acl]]\n"),
        ("[[command-acl]]", "[[command-acl]]\nplug-to = [\"mail.example.net\"]\nserver-tls = \"off\"\n"),
        ("[antivirus.", "[antivirus.clamd]\n"),
    ];
    let mut examples = 0;
    for block in MANUAL.split("```toml\n").skip(1) {
        let mut text = block.split("```").next().unwrap().to_owned();
        if !text.contains("version = 1") {
            text.insert_str(0, "version = 1\n");
        }
        for (mark, rest) in REST {
            if !text.contains(mark) {
                text.push_str(rest);
            }
        }
        attempt(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        examples += 1;
    }
    assert!(examples >= 6);
}

#[test]
fn every_item_of_a_later_version_is_said_to_be_one() {
    use policy::schema::{is_later, sections, title};
    let (_, told) = MANUAL.split_once("## Items of later versions").unwrap();
    let (told, _) = told.split_once("## Recipes").unwrap();
    let named = |name: &str| assert!(told.contains(&format!("`{name}`")), "{name} is of a later version");
    for section in sections().filter(|section| !section.place.is_empty()) {
        if is_later(section.place) {
            if !section.place.contains('.') {
                named(&title(section.place));
            }
        } else {
            section.entries.iter().filter(|entry| entry.later.is_some()).for_each(|entry| named(entry.name));
        }
    }
    // And nothing else is: a word in backticks that some section has as an item, and no section for later.
    let words = told
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    for word in words.filter(|word| !["run", "reload", "server-conn", "connect-timeout"].contains(word)) {
        let later =
            sections().any(|it| it.entries.iter().any(|entry| entry.name == word && entry.later.is_some()));
        assert!(later, "{word} works in this version");
    }
}

#[test]
fn every_documented_default_is_the_default() {
    let plain = whole("top", "").unwrap();
    let mut compared = 0;
    for (section, items) in documented() {
        for (name, default) in items {
            // A default without backticks is described in words.
            let Some(default) = default.strip_prefix('`').and_then(|default| default.strip_suffix('`'))
            else {
                continue;
            };
            let line = format!("{name} = {default}");
            let written = whole(section, &line).unwrap_or_else(|told| panic!("[{section}] {line}\n{told}"));
            assert!(written == plain, "[{section}] {line} is not the default");
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} defaults were found in the manual");
}

#[test]
fn every_item_is_documented() {
    let documented = documented();
    for (section, items) in &documented {
        let prefix = if *section == "transparent" { "transparent." } else { "" };
        let told = whole(section, &format!("{prefix}qqqqqqqqqqqqqqqqqqqqqqqq = 1")).unwrap_err();
        let (_, known) = told.split_once("this version knows here: ").unwrap();
        for name in known.lines().next().unwrap().split(", ") {
            let there = items
                .iter()
                .any(|(item, _)| *item == format!("{prefix}{name}") || item.starts_with(&format!("{name}.")));
            let general = match *section {
                "builtin" | "icap" => "clamd",
                "spamd" | "builtin-spam" => "rspamd",
                other => other,
            };
            let elsewhere = documented[general].iter().any(|(item, _)| *item == name);
            let section_of_its_own = *section == "top"
                && (MANUAL.contains(&format!("## `[{name}]`"))
                    || MANUAL.contains(&format!("## `[[{name}]]`"))
                    || MANUAL.contains(&format!("## `[{name}.NAME]`")));
            assert!(there || elsewhere || section_of_its_own, "[{section}] `{name}` is not in the manual");
        }
    }
}
