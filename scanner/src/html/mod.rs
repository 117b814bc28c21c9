//! The HTML filter: what a rule takes out of HTML, by families, and what is never passed on.
//!
//! ```text
//! charset.rs    octets -> text, and back so that every reader reads the same
//! parse.rs      text -> tree, by the HTML standard's own algorithm, within bounds;  tree.rs  the tree
//! write.rs      tree -> text: what is kept, and nothing else;  elements.rs  which that is
//! address.rs    where links and images lead      style.rs   style sheets
//! embedded.rs   documents within attributes      plain.rs   the text alone, when there is no other way
//! ```
//!
//! What is written is parsed and written again until it stays the same, so that no second parser finds another
//! document in it. HTML that never settles, or that is over a bound, is given back as its text alone.
//!
//! # Security
//! Reads HTML that anybody on the Internet chose. Pure: no state, no I/O.

mod address;
mod charset;
mod elements;
mod embedded;
mod parse;
mod plain;
mod style;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use charset::Charset;
use policy::html::HtmlFilter;

/// Times that HTML is written before it is given up on; honest mail settles with the second.
const MAX_ROUNDS: usize = 6;
/// The output has at most so many times the octets of the input, both as UTF-8, and [`SPARE`] more.
const GROWTH: usize = 4;
/// So that a handful of octets can be given its closing tags.
const SPARE: usize = 1024;

/// HTML as it may be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// It, in the charset that was declared; without one, in ASCII, which is the same in all of them.
    pub bytes: Vec<u8>,
    /// Whether that is something else than the input.
    pub changed: bool,
    /// What was taken out.
    pub removed: Removed,
}

/// How many of each family were taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// `scripts`.
    pub scripts: u32,
    /// `event-handlers`.
    pub event_handlers: u32,
    /// `frames`.
    pub frames: u32,
    /// `objects`, and drawings and formulas (SVG, MathML), which readers disagree about.
    pub objects: u32,
    /// `forms`.
    pub forms: u32,
    /// `styles`; style sheets from elsewhere too, which are never kept: nobody scanned them.
    pub styles: u32,
    /// `remote-images`.
    pub remote_images: u32,
    /// `links`, and addresses that are none of mail or web.
    pub links: u32,
    /// What belongs to no family and is not known to be harmless.
    pub unknown: u32,
    /// It was over a bound, or read differently each time: only its text is left.
    pub text_only: bool,
}

impl Removed {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what was taken out of a document within the document.
    fn absorb(&mut self, inner: Self) {
        for (counter, more) in [
            (&mut self.scripts, inner.scripts),
            (&mut self.event_handlers, inner.event_handlers),
            (&mut self.frames, inner.frames),
            (&mut self.objects, inner.objects),
            (&mut self.forms, inner.forms),
            (&mut self.styles, inner.styles),
            (&mut self.remote_images, inner.remote_images),
            (&mut self.links, inner.links),
            (&mut self.unknown, inner.unknown),
        ] {
            *counter = counter.saturating_add(more);
        }
        self.text_only |= inner.text_only;
    }

    /// What was taken out, each family with its number, for the log: "scripts 1, links 3".
    pub fn describe(&self) -> String {
        let families = [
            ("scripts", self.scripts),
            ("event-handlers", self.event_handlers),
            ("frames", self.frames),
            ("objects", self.objects),
            ("forms", self.forms),
            ("styles", self.styles),
            ("remote-images", self.remote_images),
            ("links", self.links),
            ("unknown", self.unknown),
        ];
        let found = families.iter().filter(|(_, count)| *count > 0);
        let mut words: Vec<String> = found.map(|(family, count)| format!("{family} {count}")).collect();
        if self.text_only {
            words.push("everything but the text".into());
        }
        words.join(", ")
    }
}

/// Filters HTML. `charset` is what the header of the part declares.
pub fn filter(input: &[u8], charset: Option<&str>, rules: &HtmlFilter) -> Filtered {
    let charset = Charset::of(charset);
    let text = charset.decode(input);
    let (text, removed) = filter_text(&text, rules, &charset, 0);
    // Mail has CR LF, the parser made it LF.
    let text = if memchr::memmem::find(input, b"\r\n").is_some() { text.replace('\n', "\r\n") } else { text };
    let bytes = charset.encode(&text);
    Filtered { changed: bytes != input, bytes, removed }
}

/// The same for text; `depth` counts documents within documents.
fn filter_text(input: &str, rules: &HtmlFilter, charset: &Charset, depth: usize) -> (String, Removed) {
    let most = input.len().saturating_mul(GROWTH).saturating_add(SPARE);
    let settle = |text: &str| settle(text, most, rules, charset, depth);
    settle(input).unwrap_or_else(|removed| {
        let text = settle(&plain::text_only(input, most)).map(|(text, _)| text).unwrap_or_default();
        (text, Removed { text_only: true, ..removed })
    })
}

/// Writes HTML until it stays as it is; an error: it does not, or is over a bound.
fn settle(
    input: &str,
    most: usize,
    rules: &HtmlFilter,
    charset: &Charset,
    depth: usize,
) -> Result<(String, Removed), Removed> {
    let mut text = std::borrow::Cow::Borrowed(input);
    let mut first = None;
    for _ in 0..MAX_ROUNDS {
        let Some(tree) = parse::parse(&text, most) else { break };
        let (written, removed) = write::write(&tree, rules, charset, depth);
        let removed = *first.get_or_insert(removed);
        if written.len() > most {
            break;
        }
        if written == text {
            return Ok((written, removed));
        }
        text = written.into();
    }
    Err(first.unwrap_or_default())
}
