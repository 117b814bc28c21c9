//! What is wrong with a configuration, where, and what to do about it; and how that is drawn for people.
//! Called by `load` while it reads, by the program to print. Texts come from the operator's file: shown, never trusted.
use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

/// One problem, with its place and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub file: PathBuf,
    /// Octet range in the file.
    pub span: Range<usize>,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// How bad it is.
    pub severity: Severity,
}

/// What a problem stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing: it is most likely not what was meant.
    Warning,
    /// `run`: the file is right, but this version cannot honour all of it.
    Later,
    /// Everything: the file is wrong.
    Error,
}

/// A file that a configuration mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mentioned {
    /// Absolute.
    pub path: PathBuf,
    /// Others must not be able to read it.
    pub secret: bool,
    /// The problem that there is if it cannot be used; why is for whoever tries.
    pub problem: Diagnostic,
}

/// Draws one diagnostic: place and message, the source line, a caret line and the remedy. `source_text` is the text
/// of `diagnostic.file`; `colour` adds ANSI colours. Control characters of the source are shown as blanks, so that a
/// hostile file cannot steer the terminal.
pub fn render(diagnostic: &Diagnostic, source_text: &str, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let (word, code) = match diagnostic.severity {
        Severity::Warning => ("warning", "1;33"),
        Severity::Later => ("later", "1;36"),
        Severity::Error => ("error", "1;31"),
    };
    let plain =
        |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
    let place =
        format!("{}:{}:{}", plain(&diagnostic.file.to_string_lossy()), diagnostic.line, diagnostic.column);
    let mut out = format!("{place}: {}: {}\n", paint(code, word), plain(&diagnostic.message));
    if let Some(source) = source_text.lines().nth(diagnostic.line.saturating_sub(1)) {
        let number = diagnostic.line.to_string();
        let margin = " ".repeat(number.len());
        let before = diagnostic.column.saturating_sub(1);
        let within =
            source_text.get(diagnostic.span.clone()).and_then(|text| text.lines().next()).unwrap_or("");
        let room = source.chars().count().saturating_sub(before);
        let carets = "^".repeat(within.chars().count().min(room).max(1));
        out.push_str(&format!("{margin} |\n{number} | {}\n", plain(source)));
        out.push_str(&format!("{margin} | {}{}\n", " ".repeat(before), paint(code, &carets)));
        if let Some(help) = &diagnostic.help {
            out.push_str(&format!("{margin} = help: {}\n", plain(help)));
        }
    } else if let Some(help) = &diagnostic.help {
        out.push_str(&format!("  = help: {}\n", plain(help)));
    }
    out
}

/// A place in one of the files that are being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// Index into the files; 0 is the main file.
    pub(crate) file: usize,
    /// Octet range in it.
    pub(crate) span: Range<usize>,
}

/// One file that is being read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Its name for messages.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
    /// The only tenant that it is about; `None`: all.
    pub(crate) tenant: Option<String>,
}

/// Collects problems while the files are read, so that one never hides the next.
#[derive(Debug)]
pub(crate) struct Sink<'s> {
    files: &'s [SourceFile],
    /// (place, NAME) of every section with a name.
    sections: Vec<(String, String)>,
    found: RefCell<Vec<Found>>,
    mentioned: RefCell<Vec<(At, PathBuf, bool)>>,
}

#[derive(Debug)]
struct Found {
    file: usize,
    /// TOML itself is broken here, so what else is wrong on this line is a consequence.
    syntax: bool,
    diagnostic: Diagnostic,
}

impl<'s> Sink<'s> {
    pub(crate) fn new(files: &'s [SourceFile], sections: Vec<(String, String)>) -> Self {
        Self { files, sections, found: RefCell::new(Vec::new()), mentioned: RefCell::new(Vec::new()) }
    }

    /// The only tenant that a file is about; `None`: all.
    pub(crate) fn tenant_of(&self, file: usize) -> Option<&'s str> {
        self.files.get(file).and_then(|file| file.tenant.as_deref())
    }

    /// Notes an error.
    pub(crate) fn error(&self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), help.into(), false, Severity::Error);
    }

    /// Notes that the text is not TOML.
    pub(crate) fn syntax_error(&self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), help.into(), true, Severity::Error);
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.found.borrow().iter().filter(|found| found.diagnostic.severity == Severity::Error).count()
    }

    /// Notes something that does not stop the start.
    pub(crate) fn warn(&self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), help.into(), false, Severity::Warning);
    }

    /// Notes something that is right, and that this version cannot honour.
    pub(crate) fn later(&self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), help.into(), false, Severity::Later);
    }

    /// The names of the sections `[place.NAME]` of all files.
    pub(crate) fn knows(&self, place: &str, name: &str) -> bool {
        self.sections.iter().any(|(of, known)| of == place && known == name)
    }

    /// The same, to choose from.
    pub(crate) fn known(&self, place: &str) -> impl Iterator<Item = &str> {
        self.sections.iter().filter(move |(of, _)| of == place).map(|(_, name)| name.as_str())
    }

    /// Notes that a file is mentioned.
    pub(crate) fn mention(&self, at: &At, path: &str, secret: bool) {
        self.mentioned.borrow_mut().push((at.clone(), path.into(), secret));
    }

    /// Every file that was mentioned.
    pub(crate) fn mentioned(&self) -> Vec<Mentioned> {
        let mentioned = self.mentioned.borrow();
        let told = mentioned.iter().map(|(at, path, secret)| {
            let message = format!("the file {} cannot be used", path.display());
            let problem = self.diagnostic(at, message, String::new(), Severity::Error);
            Mentioned { path: path.clone(), secret: *secret, problem }
        });
        told.collect()
    }

    /// `file:line:column` of a place, for messages that name a second one.
    pub(crate) fn place(&self, at: &At) -> String {
        let (line, column) = self.position(at);
        let path = self.files.get(at.file).map(|file| file.path.display().to_string()).unwrap_or_default();
        format!("{path}:{line}:{column}")
    }

    /// Everything, in the order of the files and of the places in them; whether there is an error among it.
    pub(crate) fn into_sorted(self) -> (Vec<Diagnostic>, bool) {
        let mut found = self.found.into_inner();
        found.sort_by_key(|found| (found.file, found.diagnostic.span.start, !found.syntax));
        let failed = found.iter().any(|found| found.diagnostic.severity == Severity::Error);
        let broken: Vec<_> = found
            .iter()
            .filter(|found| found.syntax)
            .map(|found| (found.file, found.diagnostic.line))
            .collect();
        let told = found
            .into_iter()
            .filter(|found| found.syntax || !broken.contains(&(found.file, found.diagnostic.line)));
        (told.map(|found| found.diagnostic).collect(), failed)
    }

    fn push(&self, at: &At, message: String, help: String, syntax: bool, severity: Severity) {
        let diagnostic = self.diagnostic(at, message, help, severity);
        self.found.borrow_mut().push(Found { file: at.file, syntax, diagnostic });
    }

    fn diagnostic(&self, at: &At, message: String, help: String, severity: Severity) -> Diagnostic {
        let (line, column) = self.position(at);
        let file = self.files.get(at.file).map(|file| file.path.clone()).unwrap_or_default();
        let help = (!help.is_empty()).then_some(help);
        Diagnostic { file, span: at.span.clone(), line, column, message, help, severity }
    }

    fn position(&self, at: &At) -> (usize, usize) {
        let text = self.files.get(at.file).map(|file| file.text.as_str()).unwrap_or_default();
        let before = text.get(..at.span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}
