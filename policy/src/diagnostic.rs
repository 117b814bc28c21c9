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
    /// A warning does not stop the start.
    pub warning: bool,
}

/// Draws one diagnostic: place and message, the source line, a caret line and the remedy. `source_text` is the text
/// of `diagnostic.file`; `colour` adds ANSI colours. Control characters of the source are shown as blanks, so that a
/// hostile file cannot steer the terminal.
pub fn render(diagnostic: &Diagnostic, source_text: &str, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let (word, code) = if diagnostic.warning { ("warning", "1;33") } else { ("error", "1;31") };
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
}

/// Collects problems while the files are read, so that one never hides the next.
#[derive(Debug)]
pub(crate) struct Sink<'s> {
    files: &'s [SourceFile],
    found: RefCell<Vec<Found>>,
}

#[derive(Debug)]
struct Found {
    file: usize,
    /// TOML itself is broken here, so what else is wrong on this line is a consequence.
    syntax: bool,
    diagnostic: Diagnostic,
}

impl<'s> Sink<'s> {
    pub(crate) fn new(files: &'s [SourceFile]) -> Self {
        Self { files, found: RefCell::new(Vec::new()) }
    }

    /// Notes an error.
    pub(crate) fn error(&self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), help.into(), false, false);
    }

    /// Notes that the text is not TOML.
    pub(crate) fn syntax_error(&self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), help.into(), true, false);
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.found.borrow().iter().filter(|found| !found.diagnostic.warning).count()
    }

    /// Notes something that does not stop the start.
    pub(crate) fn warn(&self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), help.into(), false, true);
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
        let failed = found.iter().any(|found| !found.diagnostic.warning);
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

    fn push(&self, at: &At, message: String, help: String, syntax: bool, warning: bool) {
        let (line, column) = self.position(at);
        let file = self.files.get(at.file).map(|file| file.path.clone()).unwrap_or_default();
        let help = (!help.is_empty()).then_some(help);
        let diagnostic = Diagnostic { file, span: at.span.clone(), line, column, message, help, warning };
        self.found.borrow_mut().push(Found { file: at.file, syntax, diagnostic });
    }

    fn position(&self, at: &At) -> (usize, usize) {
        let text = self.files.get(at.file).map(|file| file.text.as_str()).unwrap_or_default();
        let before = text.get(..at.span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}
