//! The supervisor's own words for the log: notes with values. The records themselves are in `records`.
use crate::records::Writer;
use ipc::log::Level;
use std::ops::{Deref, DerefMut};

/// The log.
#[derive(Debug)]
pub(crate) struct Journal {
    writer: Writer,
}

impl Journal {
    pub(crate) const fn new(writer: Writer) -> Self {
        Self { writer }
    }

    /// Writes a constant text and the values that belong to it; empty values are left out.
    pub(crate) fn note(&mut self, level: Level, text: &str, values: &[(&'static str, String)]) {
        let values: Vec<(&'static str, &str)> = values
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.writer.note(level, text, &values);
    }
}

impl Deref for Journal {
    type Target = Writer;
    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl DerefMut for Journal {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}
