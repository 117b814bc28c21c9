//! Reading the configuration: text in, validated policy or every error with its place out.
use crate::model::Policy;
use std::path::{Path, PathBuf};

/// One problem, with its place and remedy.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The file.
    pub file: PathBuf,
    /// Octet range in the file.
    pub span: std::ops::Range<usize>,
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

/// Gives the text of an included file; the caller does the I/O and the checks of owner and mode.
pub type Include<'a> = dyn Fn(&Path) -> Result<Vec<(PathBuf, String)>, String> + 'a;

/// A policy and the warnings that came with it.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Parses and validates.
///
/// # Errors
/// Every problem that was found, in the order of the file.
pub fn load(_file: &Path, _text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    todo!()
}
