//! Patterns of host names, which are held against the name of a client that lookup confirmed.
use crate::list::matches_name;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Octets that a compiled expression may take.
const COMPILED: usize = 1 << 20;

/// `*.example.net`, or `/expression/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum NamePattern {
    /// `*` stays within one label, except as a leading `*.`, which is one or more labels.
    Star(String),
    /// Searched for anywhere in the name, in either case. Compiled when it is first needed: what is sent to other processes
    /// is the text.
    Regex(String, #[serde(skip)] OnceLock<Option<Regex>>),
}

impl NamePattern {
    /// Of the text between the slashes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn regex(text: &str) -> Result<Self, String> {
        match compile(text) {
            Ok(compiled) => Ok(Self::Regex(text.to_owned(), OnceLock::from(Some(compiled)))),
            // The first lines draw the expression; the last one says what is wrong.
            Err(error) => {
                let why = error.to_string();
                Err(why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
            }
        }
    }

    /// Whether a confirmed name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Star(pattern) => matches_name(pattern, name),
            Self::Regex(text, compiled) => {
                compiled.get_or_init(|| compile(text).ok()).as_ref().is_some_and(|regex| regex.is_match(name))
            }
        }
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Star(a), Self::Star(b)) | (Self::Regex(a, _), Self::Regex(b, _)) => a == b,
            (Self::Star(_), Self::Regex(..)) | (Self::Regex(..), Self::Star(_)) => false,
        }
    }
}

impl Eq for NamePattern {}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(COMPILED).build()
}
