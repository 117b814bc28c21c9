//! Reading the configuration: text in, validated policy or every error with its place out. Pure: included files come
//! from the caller. Called at start, on reload and by `mailward check`; the texts are the administrator's.
mod check;
mod conditions;
mod document;
mod documents;
mod engines;
mod fields;
mod later;
mod listeners;
mod lists;
mod mail;
mod reach;
mod rules;
mod scanning;
mod service;
mod tls;

use crate::diagnostic::{At, Sink};
use crate::model::Policy;
use document::Document;
use std::path::{Path, PathBuf};

pub use crate::diagnostic::{Diagnostic, Mentioned, Severity, render};
pub use document::include_matches;

/// Gives the files that one pattern of `include` means, each with its path and text; the caller does the I/O and the
/// checks of owner and mode. The path is the pattern, joined to the folder of the including file; only its last
/// component can hold `*` (see [`include_matches`]). An `Err` is shown to the operator at the pattern.
pub type Include<'a> = dyn Fn(&Path) -> Result<Vec<(PathBuf, String)>, String> + 'a;

/// What the caller knows and the files do not say.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Permits what only a demonstration may do: the test signature as the only engine, and port 0.
    pub demo: bool,
    /// What "auto" means for `workers` and `scanners`.
    pub cores: usize,
}

impl Default for LoadOptions {
    /// Not a demonstration, on this machine.
    fn default() -> Self {
        Self { demo: false, cores: std::thread::available_parallelism().map_or(1, usize::from) }
    }
}

/// A policy and what there is to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Warnings, and items that this version cannot honour ([`Severity::Later`]), in the order of the files.
    pub notes: Vec<Diagnostic>,
    /// Files that the policy mentions.
    pub files: Vec<Mentioned>,
    /// The files that were read, the main one first, and the only tenant that each is about.
    pub sources: Vec<(PathBuf, Option<String>)>,
}

impl Loaded {
    /// Whether this version honours all of it. A policy of which it does not must not be served.
    pub fn is_whole(&self) -> bool {
        self.notes.iter().all(|note| note.severity != Severity::Later)
    }
}

/// Parses and validates.
///
/// ```
/// use policy::load::{LoadOptions, load, render};
/// let text = policy::load::example().replace("plug-to", "plugto");
/// let options = LoadOptions { demo: false, cores: 2 };
/// let problems = load("mailward.toml".as_ref(), &text, &|_| Err("none".into()), options).unwrap_err();
/// assert!(render(&problems[0], &text, false).contains("did you mean `plug-to`?"));
/// ```
///
/// # Errors
/// Every problem that was found, warnings too, in the order of the file; included files after it.
pub fn load(
    file: &Path,
    text: &str,
    include: &Include,
    options: LoadOptions,
) -> Result<Loaded, Vec<Diagnostic>> {
    let (files, trouble) = document::gather(file, text, include);
    let sink = Sink::new(&files, document::sections(&files));
    for (at, message, help) in &trouble {
        sink.error(at, message.clone(), help.clone());
    }
    let parsed: Vec<_> =
        files.iter().zip(0_usize..).map(|(file, index)| document::parse(&sink, file, index)).collect();
    let policy = read(&sink, Document::new(&sink, &parsed, include), options);
    let mentioned = sink.mentioned();
    let (found, failed) = sink.into_sorted();
    if failed {
        return Err(found);
    }
    let sources = files.into_iter().map(|file| (file.path, file.tenant)).collect();
    Ok(Loaded { policy, notes: found, files: mentioned, sources })
}

/// The commented simplest file that needs no certificate: POP3 in clear text to one server, scanned by ClamAV.
pub const fn example() -> &'static str {
    include_str!("load/example.toml")
}

/// The shipped rules, which stand after one's own: document rules, then mail rules.
pub const fn standard_rules() -> &'static str {
    include_str!("load/standard.toml")
}

/// What was read; where it could not be, the sink has an error and a default stands for it.
fn read(sink: &Sink<'_>, mut document: Document<'_>, options: LoadOptions) -> Policy {
    document.version();
    let standard_rules = document.standard_rules();
    let hosts = lists::Lists::read(&mut document);
    let times = lists::Lists::read(&mut document);
    let (tenants, tenant_sessions) = service::tenants(&mut document);
    let (service, accounts) = service::service(&mut document, options);
    let log = service::log(&mut document);
    let login = service::login(&mut document);
    let resolver = service::resolver(&mut document);
    let control = service::control(&mut document);
    let (refuse_delete, quarantine) = service::quarantine(&mut document);
    let client_tls = tls::client_tls(&mut document);
    let server_tls = tls::server_tls(&mut document);
    let listeners = listeners::listeners(&mut document, &tenants, &client_tls, options);
    let errors = sink.errors();
    let engines = engines::engines(&mut document, &server_tls);
    let engines_sound = sink.errors() == errors;
    let spam_filters = engines::spam_filters(&mut document, &server_tls);
    engines::count(&document, &engines, &spam_filters);
    let filters = scanning::mail_filters(&mut document);
    let html_filters = scanning::html_filters(&mut document);
    let document_types = documents::document_types(&mut document);
    let names = conditions::Names { hosts: &hosts, times: &times, listeners: &listeners, tenants: &tenants };
    let session_acls = rules::session_acls(&mut document, &names, &client_tls);
    let sections = rules::Sections {
        names: &names,
        session_acls: &session_acls,
        engines: &engines,
        spam_filters: &spam_filters,
        filters: &filters,
        server_tls: &server_tls,
    };
    let command_acls = rules::command_acls(&mut document, &sections);
    let doc_acls =
        mail::doc_acls(&mut document, &names, &command_acls, &document_types.order, standard_rules);
    let mail_acls = mail::mail_acls(&mut document, &names, &command_acls, standard_rules);
    later::sections(&mut document);
    let start = document.start();
    document.finish();

    let places = check::Places {
        start,
        client_tls: client_tls.places,
        listeners: listeners.places,
        session_acls: session_acls.places,
        command_acls: command_acls.places,
        accounts,
        engines_sound,
        mail_acls: mail_acls.places,
    };
    let policy = Policy {
        service,
        log,
        login,
        resolver,
        control,
        refuse_delete,
        quarantine,
        tenants: tenants.values,
        tenant_sessions,
        client_tls: client_tls.values,
        server_tls: server_tls.values,
        listeners: listeners.values,
        session_acls: session_acls.values,
        command_acls: command_acls.values,
        doc_acls: doc_acls.values,
        mail_acls: mail_acls.values,
        engines: engines.values,
        spam_filters: spam_filters.values,
        mail_filters: filters.values,
        html_filters: html_filters.values,
        extra_types: document_types.extra,
    };
    check::check(sink, &policy, &places, options);
    policy
}

/// Where something stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    at: At,
    /// It was read without an error, so that what is found out about it is no consequence of one.
    sound: bool,
}

impl Place {
    /// A place whose reading began when the sink had `errors_before`.
    fn read(sink: &Sink<'_>, errors_before: usize, at: At) -> Self {
        Self { at, sound: sink.errors() == errors_before }
    }

    /// A place of something that was not written.
    fn implied(at: At) -> Self {
        Self { at, sound: true }
    }
}

/// Things of one kind, with their names and places, in order.
#[derive(Debug)]
pub(crate) struct Named<T> {
    values: Vec<T>,
    names: Vec<String>,
    places: Vec<Place>,
}

impl<T> Named<T> {
    fn new() -> Self {
        Self { values: Vec::new(), names: Vec::new(), places: Vec::new() }
    }

    /// Adds one; the same name twice is an error.
    fn push(&mut self, sink: &Sink<'_>, what: &str, name: String, place: Place, value: T) {
        if let Some(first) = self.names.iter().position(|known| *known == name)
            && let Some(other) = self.places.get(first)
        {
            sink.error(
                &place.at,
                format!("the name `{name}` is given twice"),
                format!("another {what} has it at {}: give each its own name", sink.place(&other.at)),
            );
        }
        self.values.push(value);
        self.names.push(name);
        self.places.push(place);
    }

    /// The index of a name, or an error at the item that mentions it.
    fn find(&self, item: &crate::read::Item<'_>, what: &str, name: &str) -> Option<u16> {
        let index = self.names.iter().position(|known| known == name);
        if index.is_none() {
            let help = match crate::read::nearest(name, self.names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if self.names.is_empty() => format!("there is no {what} in this file"),
                None => format!("there are: {}", self.names.join(", ")),
            };
            item.error(format!("there is no {what} `{name}`"), help);
        }
        index.and_then(|index| u16::try_from(index).ok())
    }

    /// The index of a name that is known to be there; one that is not is nobody's.
    fn index_of(&self, name: &str) -> u16 {
        let index = self.names.iter().position(|known| known == name);
        index.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX)
    }

    /// Every index.
    fn all(&self) -> Vec<u16> {
        (0_u16..).zip(&self.values).map(|(index, _)| index).collect()
    }

    /// The indices of a list of names that may be empty, ascending, each once.
    fn some(&self, item: &crate::read::Item<'_>, what: &str) -> Vec<u16> {
        let items = item.strings().unwrap_or_default();
        let mut indices: Vec<_> =
            items.iter().filter_map(|(item, name)| self.find(item, what, name)).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// The indices of a list of names; not given: empty.
    fn find_all(&self, item: Option<crate::read::Item<'_>>, what: &str) -> Vec<u16> {
        let items = item.and_then(|item| item.some_strings()).unwrap_or_default();
        items.iter().filter_map(|(item, name)| self.find(item, what, name)).collect()
    }
}
