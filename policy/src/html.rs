//! `[html-filter.NAME]`: what HTML may have in it, by families.
use serde::{Deserialize, Serialize};

/// One `[html-filter.NAME]`. What no family names is kept only where it is known to be harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HtmlFilter {
    /// NAME.
    pub name: String,
    /// `scripts`: script elements, `javascript:` addresses, expressions of style sheets.
    pub scripts: Family,
    /// `event-handlers`: attributes that run a script when something happens.
    pub event_handlers: Family,
    /// `frames`: documents within the document.
    pub frames: Family,
    /// `objects`: plug-ins, sound, film.
    pub objects: Family,
    /// `forms`: what can be filled in and sent.
    pub forms: Family,
    /// `styles`: style elements and attributes.
    pub styles: Family,
    /// `remote-images`: what is fetched when the mail is looked at.
    pub remote_images: Family,
    /// `links`.
    pub links: Links,
    /// `macros`: programs within documents of an office suite.
    pub macros: Family,
}

impl HtmlFilter {
    /// The filter of this name with nothing else written.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            scripts: Family::Remove,
            event_handlers: Family::Remove,
            frames: Family::Remove,
            objects: Family::Remove,
            forms: Family::Remove,
            styles: Family::Keep,
            remote_images: Family::Keep,
            links: Links::Reveal,
            macros: Family::Remove,
        }
    }
}

/// What becomes of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
}

/// What becomes of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Links {
    /// They stay.
    Keep,
    /// They stay, and where they lead stands behind them.
    Reveal,
    /// Their text stays.
    Remove,
}
