//! The files as one document: inclusion, TOML syntax, and how included files add to the main one.
use crate::diagnostic::{At, Sink, SourceFile};
use crate::list;
use crate::read::{Item, Table};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Include;

/// One list or table of tables has at most this many; rules are named by 16-bit indices in every message.
const MAX_ENTRIES: usize = 4096;

/// Whether the file name `name` is meant by the last component of an `include` pattern. Names that begin with a dot
/// are meant only by patterns that do.
pub fn include_matches(pattern: &Path, name: &str) -> bool {
    let pattern = pattern.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    (pattern.starts_with('.') || !name.starts_with('.')) && list::matches(&pattern, name)
}

/// A name for an operator to start from.
fn example_name(key: &str) -> &'static str {
    match key {
        "antivirus" => "clamd",
        "antispam" => "rspamd",
        "mail-filter" => "default",
        _ => "office",
    }
}

/// An error that was found before there was a place to put it: at, message, help.
pub(super) type Trouble = (At, String, String);

/// What a tenant's own file may have in it.
const OF_TENANTS: [&str; 7] =
    ["listener", "host-list", "time-list", "session-acl", "command-acl", "doc-acl", "mail-acl"];

/// The main file and what it includes, by pattern and then by byte order of the path; then what its tenants include.
pub(super) fn gather(file: &Path, text: &str, include: &Include<'_>) -> (Vec<SourceFile>, Vec<Trouble>) {
    let main = SourceFile { path: file.to_owned(), text: text.to_owned(), tenant: None };
    let mut gathered = Gathered {
        folder: file.parent().unwrap_or(Path::new("")),
        include,
        files: vec![main],
        trouble: Vec::new(),
    };
    let (main, _) = DeTable::parse_recoverable(text);
    let patterns = main.get_ref().get("include").and_then(|value| value.get_ref().as_array());
    for pattern in patterns.into_iter().flat_map(|patterns| patterns.iter()) {
        gathered.add(pattern, None);
    }
    let tenants = main.get_ref().get("tenant").and_then(|value| value.get_ref().as_array());
    for tenant in
        tenants.into_iter().flat_map(|tenants| tenants.iter()).filter_map(|it| it.get_ref().as_table())
    {
        let name = tenant.get("name").and_then(|name| name.get_ref().as_str());
        if let (Some(name), Some(pattern)) = (name, tenant.get("include")) {
            gathered.add(pattern, Some(name));
        }
    }
    (gathered.files, gathered.trouble)
}

struct Gathered<'i, 'f> {
    folder: &'i Path,
    include: &'i Include<'f>,
    files: Vec<SourceFile>,
    trouble: Vec<Trouble>,
}

impl Gathered<'_, '_> {
    /// Adds the files of one pattern.
    fn add(&mut self, pattern: &Spanned<DeValue<'_>>, tenant: Option<&str>) {
        let Some(name) = pattern.get_ref().as_str() else { return };
        let at = At { file: 0, span: pattern.span() };
        let path = self.folder.join(name);
        if path.parent().is_some_and(|folder| folder.to_string_lossy().contains('*')) {
            let help = "put `*` into the file name only: \"conf.d/*.toml\"";
            self.trouble.push((at, format!("`{name}` has `*` in a folder's name"), help.to_owned()));
            return;
        }
        match (self.include)(&path) {
            Ok(mut found) => {
                found.sort_by(|(a, _), (b, _)| path_octets(a).cmp(path_octets(b)));
                for (path, text) in found {
                    if self.files.iter().any(|known| known.path == path) {
                        let what = format!("`{}` is included twice", path.display());
                        self.trouble.push((at.clone(), what, "include each file once".to_owned()));
                    } else {
                        self.files.push(SourceFile { path, text, tenant: tenant.map(str::to_owned) });
                    }
                }
            }
            Err(why) => self.trouble.push((
                at,
                format!("cannot include `{name}`: {why}"),
                "the path is relative to the folder of this file".to_owned(),
            )),
        }
    }
}

fn path_octets(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// Parses one file; every syntax error goes to the sink, and what could be read is read on.
pub(super) fn parse<'a>(sink: &Sink<'_>, file: &'a SourceFile, index: usize) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    for error in errors {
        let at = At { file: index, span: error.span().unwrap_or(0..0) };
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        match file.text.get(at.span.clone()) {
            Some(key) if message == "duplicate key" => {
                sink.syntax_error(&at, format!("`{key}` is given twice"), "keep one of them");
            }
            Some(_) | None => sink.syntax_error(
                &at,
                format!("this is not TOML: {message}"),
                "see https://toml.io for the syntax",
            ),
        }
    }
    table
}

/// (place, NAME) of every `[place.NAME]` of all files.
pub(super) fn sections(files: &[SourceFile]) -> Vec<(String, String)> {
    let tables = files.iter().map(|file| DeTable::parse_recoverable(&file.text).0);
    let mut sections = Vec::new();
    for table in tables {
        for (place, value) in table.get_ref().iter() {
            for (name, _) in value.get_ref().as_table().into_iter().flat_map(|table| table.iter()) {
                sections.push((place.get_ref().to_string(), name.get_ref().to_string()));
            }
        }
    }
    sections
}

/// All files, from which items are taken by name.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) sink: &'a Sink<'a>,
    roots: Vec<Table<'a>>,
    files: Files<'a>,
}

/// Texts that items name by their paths.
#[derive(Clone, Copy)]
pub(super) struct Files<'a>(&'a Include<'a>);

impl std::fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

impl Files<'_> {
    /// What `parse` makes of the file that an item names; what is wrong with it is an error at the item.
    pub(super) fn read<T>(
        self,
        item: &Item<'_>,
        path: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = (self.0)(Path::new(path)).and_then(|files| match files.into_iter().next() {
            Some((_, text)) => parse(&text),
            None => Err("there is no such file".into()),
        });
        found.map_err(|why| item.error(format!("`{path}`: {why}"), "correct the file, or name another")).ok()
    }
}

impl<'a> Document<'a> {
    pub(super) fn new(
        sink: &'a Sink<'a>,
        parsed: &'a [Spanned<DeTable<'a>>],
        include: &'a Include<'a>,
    ) -> Self {
        let roots = parsed.iter().zip(0_usize..).map(|(table, file)| {
            // The span of a whole file would underline all of it.
            Table::new(sink, At { file, span: 0..0 }, "", table.get_ref())
        });
        let mut document = Self { sink, roots: roots.collect(), files: Files(include) };
        for (file, root) in document.roots.iter_mut().enumerate() {
            let Some(tenant) = sink.tenant_of(file) else { continue };
            for item in root.drain_except(&OF_TENANTS) {
                sink.error(
                    &item.key_at,
                    format!("`{}` stands in the file of the tenant `{tenant}`", item.key),
                    format!("write it into the main file; here may stand: {}", OF_TENANTS.join(", ")),
                );
            }
        }
        for (index, root) in document.roots.iter_mut().enumerate() {
            let Some(item) = root.take("include") else { continue };
            if index == 0 {
                item.strings();
            } else {
                sink.error(&item.key_at, "an included file cannot include", "include it from the main file");
            }
        }
        document
    }

    /// The start of the main file, where what is missing altogether is reported.
    pub(super) fn start(&self) -> At {
        At { file: 0, span: 0..0 }
    }

    /// The files that items name.
    pub(super) const fn files(&self) -> Files<'a> {
        self.files
    }

    /// `version`.
    pub(super) fn version(&mut self) {
        match self.single("version") {
            Some(item) => {
                if item.count(0..=u64::MAX).is_some_and(|version| version != 1) {
                    item.error("this version of Mailward reads `version = 1`", "write version = 1");
                }
            }
            None => self.sink.error(
                &self.start(),
                "`version` is missing",
                "write `version = 1` as the first line: it says which language the file is in",
            ),
        }
    }

    /// `standard-rules`.
    pub(super) fn standard_rules(&mut self) -> bool {
        self.single("standard-rules").and_then(|item| item.flag()).unwrap_or(true)
    }

    /// A table that stands once; an empty one if it does not stand at all.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        self.single(key).and_then(|item| item.table(key))
    }

    /// The tables of `[[key]]`, of all files.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'a>> {
        let items: Vec<_> = self.roots.iter_mut().filter_map(|root| root.take(key)).collect();
        let mut tables: Vec<_> = items.iter().flat_map(|item| item.tables(key)).collect();
        if let Some(first) = tables.get(MAX_ENTRIES) {
            self.sink.error(&first.at, format!("more than {MAX_ENTRIES} of [[{key}]]"), "merge some of them");
            tables.truncate(MAX_ENTRIES);
        }
        tables
    }

    /// The same, of which there must be one; `message` and `help` say so.
    pub(super) fn some_tables(&mut self, key: &'static str, message: &str, help: &str) -> Vec<Table<'a>> {
        let errors = self.sink.errors();
        let tables = self.tables(key);
        // If it stands there in a wrong form, that was said already.
        if tables.is_empty() && self.sink.errors() == errors {
            self.sink.error(&self.start(), message, help);
        }
        tables
    }

    /// The tables of `[key.NAME]`, of all files, with their names.
    pub(super) fn named_tables(&mut self, key: &'static str) -> Vec<(&'a str, At, Table<'a>)> {
        let items: Vec<_> = self.roots.iter_mut().filter_map(|root| root.take(key)).collect();
        let mut found: Vec<(&'a str, At, Table<'a>)> = Vec::new();
        for item in items.iter().filter_map(|item| item.table(key)).flat_map(|mut table| table.drain()) {
            if let Some((_, first, _)) = found.iter().find(|(name, _, _)| *name == item.key) {
                let place = self.sink.place(first);
                self.twice(&item, &format!("[{key}.{}]", item.key), &place);
            } else if !item.is_table() {
                self.sink.error(
                    &item.key_at,
                    format!("`{}` stands in no [{key}.NAME]", item.key),
                    format!("give the section a name: write [{key}.{}] before it", example_name(key)),
                );
            } else if let Some(table) = item.table(key) {
                found.push((item.key, item.key_at.clone(), table));
            }
        }
        found.truncate(MAX_ENTRIES);
        found
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(self) {
        for root in self.roots {
            root.finish();
        }
    }

    /// An item that stands in one file only.
    fn single(&mut self, key: &'static str) -> Option<Item<'a>> {
        let mut items = Vec::new();
        for root in &mut self.roots {
            items.extend(root.take(key));
        }
        let (first, others) = items.split_first()?;
        for other in others {
            self.twice(other, &format!("`{key}`"), &self.sink.place(&first.key_at));
        }
        Some(first.clone())
    }

    fn twice(&self, item: &Item<'_>, what: &str, first: &str) {
        self.sink.error(
            &item.key_at,
            format!("{what} is given twice"),
            format!("it stands at {first} too: keep one"),
        );
    }
}
