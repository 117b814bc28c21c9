//! Reading the configuration: the I/O that `policy` does not do. Files are opened once and checked on the descriptor,
//! so that what was checked is what is read.
use crate::certificates;
use nix::fcntl::OFlag;
use policy::credential;
use policy::load::{self, Diagnostic, LoadOptions, Loaded, Mentioned};
use policy::model::Policy;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A larger file is no configuration.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The end of the story where nothing is wrong, and yet not all can be honoured.
pub(crate) const NOT_WHOLE: &str =
    "mailward: this version cannot honour what is marked `later` above, and does not run without it\n";

/// A configuration that is right, and the texts to draw its notes on.
pub(crate) struct Configuration {
    pub(crate) loaded: Loaded,
    texts: HashMap<PathBuf, String>,
    colour: bool,
}

/// Loads a configuration and prints every error. `None`: it is wrong.
pub(crate) fn load(path: &Path, options: LoadOptions) -> Option<Configuration> {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    draw(path, options, colour).map_err(|drawn| say(&drawn)).ok()
}

/// The policy of a configuration, for a service that runs already, and the warnings.
///
/// # Errors
/// Everything that is wrong, drawn.
pub(crate) fn policy(path: &Path, options: LoadOptions) -> Result<(Policy, String), String> {
    draw(path, options, false)?.whole()
}

fn draw(path: &Path, options: LoadOptions, colour: bool) -> Result<Configuration, String> {
    let text = read(path).map_err(|error| {
        let remedy =
            if path.exists() { "" } else { ": --config names another, mailward init writes a first one" };
        format!("mailward: {}: {error}{remedy}\n", path.display())
    })?;
    let mut texts = HashMap::from([(path.to_owned(), text.clone())]);
    let included = std::cell::RefCell::new(Vec::new());
    let include = |pattern: &Path| {
        let files = expand(pattern)?;
        included.borrow_mut().extend(files.iter().cloned());
        Ok(files)
    };
    let outcome = load::load(path, &text, &include, options);
    texts.extend(included.into_inner());
    match outcome {
        Ok(loaded) => Ok(Configuration { loaded, texts, colour }),
        Err(diagnostics) => Err(drawn(&diagnostics, &texts, colour)),
    }
}

impl Configuration {
    /// The texts of the files in the order of their reading, each with the only tenant that it is about.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let sources = self.loaded.sources.iter();
        sources.filter_map(|(path, tenant)| Some((self.texts.get(path)?.as_str(), tenant.as_deref())))
    }

    /// Warnings, and what this version cannot honour, drawn.
    pub(crate) fn notes(&self) -> String {
        drawn(&self.loaded.notes, &self.texts, self.colour)
    }

    /// Tries every file that the configuration mentions.
    ///
    /// # Errors
    /// What is wrong with them, drawn.
    pub(crate) fn files_are_usable(&self) -> Result<(), String> {
        let problems: Vec<Diagnostic> = self
            .loaded
            .files
            .iter()
            .filter_map(|Mentioned { path, secret, problem }| {
                let why = usable(path, *secret).err()?;
                Some(Diagnostic { message: format!("{}: {why}", problem.message), ..problem.clone() })
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(drawn(&problems, &self.texts, self.colour)) }
    }

    /// The policy and the warnings, for a service.
    ///
    /// # Errors
    /// Files that cannot be used, or what this version cannot honour.
    pub(crate) fn whole(self) -> Result<(Policy, String), String> {
        let notes = self.notes();
        if let Err(problems) = self.files_are_usable() {
            return Err(notes + &problems);
        }
        if !self.loaded.is_whole() {
            return Err(notes + NOT_WHOLE);
        }
        if let Err(problems) = certificates::readable(&self.loaded.policy) {
            return Err(notes + &problems);
        }
        Ok((self.loaded.policy, notes))
    }
}

fn drawn(diagnostics: &[Diagnostic], texts: &HashMap<PathBuf, String>, colour: bool) -> String {
    let one = |diagnostic: &Diagnostic| {
        let text = texts.get(&diagnostic.file).map(String::as_str).unwrap_or_default();
        format!("{}\n", load::render(diagnostic, text, colour).trim_end())
    };
    diagnostics.iter().map(one).collect()
}

pub(crate) fn say(text: &str) {
    // Nobody can be told that standard error is closed.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Opens, checks owner and mode, reads.
fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Whether a file that the configuration mentions can be used.
fn usable(path: &Path, secret: bool) -> Result<(), String> {
    let file = open(path)?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode();
    if secret && mode & 0o077 != 0 {
        return Err("others can read it: chmod go=".into());
    }
    Ok(())
}

/// Opens a file and checks on the descriptor that nobody else can have written it.
fn open(path: &Path) -> Result<File, String> {
    let path = located(path)?;
    // Not blocking: a named pipe would make a start wait for a writer.
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
    let file = opened.map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let user = nix::unistd::geteuid().as_raw();
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err("not a regular file of at most 16 MiB".into());
    }
    if metadata.uid() != 0 && metadata.uid() != user {
        return Err(format!(
            "it belongs to user {}: chown it to root or to the user that runs Mailward",
            metadata.uid()
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("others can write to it: chmod go-w".into());
    }
    Ok(file)
}

/// Where a file is that may be a credential of the service.
pub(crate) fn located(path: &Path) -> Result<Cow<'_, Path>, String> {
    credential::locate(path, std::env::var_os(credential::DIRECTORY).as_deref())
}

/// The files that a pattern of `include` means, in byte order of their names.
fn expand(pattern: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let named = Path::new(pattern.file_name().ok_or("it names no file")?);
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut paths: Vec<PathBuf> = if named.to_string_lossy().contains('*') {
        match fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            // A pattern may match nothing, and so its folder may be missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("{}: {error}", folder.display())),
        }
    } else {
        vec![pattern.to_owned()]
    };
    paths.retain(|path| {
        path.file_name().is_some_and(|name| load::include_matches(named, &name.to_string_lossy()))
    });
    paths.sort();
    paths
        .into_iter()
        .map(|path| Ok((path.clone(), read(&path).map_err(|why| format!("{}: {why}", path.display()))?)))
        .collect()
}
