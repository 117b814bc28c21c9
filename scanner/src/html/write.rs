//! The tree into text: what the rules keep, and nothing that is not known to be harmless. No comments, one form of
//! quoting, every element closed.
use super::address::{self, Kind};
use super::charset::Charset;
use super::elements::{self, Fate, Of, Value};
use super::tree::{DOCUMENT, Data, Id, Tree};
use super::{Removed, embedded, style};
use html5ever::interface::{Attribute, QuirksMode};
use html5ever::{LocalName, ns};
use policy::html::{HtmlFilter, Links};

/// Octets of a link's text that are compared with where it leads.
const MAX_LINK_TEXT: usize = 1024;

/// The text of a tree, and what of it is missing.
pub(super) fn write(tree: &Tree, rules: &HtmlFilter, charset: &Charset, depth: usize) -> (String, Removed) {
    let out = match tree.quirks() {
        QuirksMode::NoQuirks => "<!DOCTYPE html>",
        QuirksMode::LimitedQuirks => {
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \
             \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">"
        }
        QuirksMode::Quirks => "",
    };
    let mut writer = Writer {
        tree,
        rules,
        charset,
        depth,
        out: out.to_owned(),
        removed: Removed::default(),
        destination: None,
    };
    writer.children(DOCUMENT);
    writer.reveal();
    (writer.out, writer.removed)
}

struct Writer<'a> {
    tree: &'a Tree,
    rules: &'a HtmlFilter,
    charset: &'a Charset,
    depth: usize,
    out: String,
    removed: Removed,
    /// Where the link that ended last leads, to be shown unless the text that follows shows it.
    destination: Option<String>,
}

impl Writer<'_> {
    fn children(&mut self, id: Id) {
        for child in self.tree.children(id) {
            self.node(child);
        }
    }

    fn node(&mut self, id: Id) {
        match &*self.tree.data(id) {
            Data::Text(text) => self.text(text),
            Data::Element { name, attributes, .. } if name.ns == ns!(html) => {
                self.element(id, &name.local, attributes);
            }
            // SVG and MathML: each reader has its own idea of where they end.
            Data::Element { .. } => Of::Objects.count(&mut self.removed),
            Data::Document => self.children(id),
            Data::Nothing => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.destination.as_ref().is_some_and(|shown| text.starts_with(shown)) {
            self.destination = None;
        }
        self.reveal();
        escape(&mut self.out, text);
    }

    fn element(&mut self, id: Id, name: &LocalName, attributes: &[Attribute]) {
        let kept = match elements::fate(name) {
            Fate::Keep => true,
            Fate::KeepOrUnwrap(family) => {
                let kept = family.is_kept(self.rules);
                if !kept {
                    family.count(&mut self.removed);
                }
                kept
            }
            Fate::KeepOrDrop(family) => {
                if !family.is_kept(self.rules) {
                    return family.count(&mut self.removed);
                }
                true
            }
            Fate::Unwrap => false,
            Fate::Drop => {
                if let Some(family) = elements::family_of_dropped(name) {
                    family.count(&mut self.removed);
                }
                return;
            }
        };
        match &**name {
            _ if !kept => self.children(id),
            "html" | "head" | "body" => self.skeleton(id, name, attributes),
            "a" | "area" => self.link(id, name, attributes),
            "meta" => self.meta(attributes),
            "style" => self.style(id, attributes),
            "script" => self.script(id, attributes),
            // Whatever stands in it is for readers without frames.
            "iframe" => {
                self.start(name, attributes);
                self.end(name);
            }
            "pre" | "textarea" => {
                self.start(name, attributes);
                let begun = self.out.len();
                self.children(id);
                // HTML standard 13.1.2.5: the first line break would not count.
                if self.out.get(begun..).is_some_and(|text| text.starts_with('\n')) {
                    self.out.insert(begun, '\n');
                }
                self.end(name);
            }
            _ => {
                self.start(name, attributes);
                if !elements::is_void(name) {
                    self.children(id);
                    self.end(name);
                }
            }
        }
    }

    /// Elements that are there whether they are written or not: their tags are, if they say something.
    fn skeleton(&mut self, id: Id, name: &LocalName, attributes: &[Attribute]) {
        let begun = self.out.len();
        self.start(name, attributes);
        let bare = format!("<{name}>");
        let is_bare = self.out.get(begun..) == Some(bare.as_str());
        if is_bare {
            self.out.truncate(begun);
        }
        for child in self.tree.children(id) {
            // Blanks between them, which no reader shows and the parser moves about.
            if **name == *"body" || !matches!(*self.tree.data(child), Data::Text(_)) {
                self.node(child);
            }
        }
        if !is_bare {
            self.end(name);
        }
    }

    fn link(&mut self, id: Id, name: &LocalName, attributes: &[Attribute]) {
        let leads = |attribute: &Attribute| *attribute.name.local == *"href";
        if self.rules.links == Links::Remove && attributes.iter().any(leads) {
            Of::Links.count(&mut self.removed);
            if **name == *"a" {
                self.children(id);
            }
            return;
        }
        let href = self.start(name, attributes);
        if **name == *"area" {
            return;
        }
        self.children(id);
        self.end(name);
        if self.rules.links == Links::Reveal
            && let Some(href) = href
            && let Some(destination) = address::destination(&href)
        {
            let mut text = String::new();
            let is_plain = self.plain_text_of(id, &mut text);
            let text = text.trim().trim_end_matches('/');
            let same = [destination.as_str(), href.as_str().trim_end_matches('/')];
            let is_shown = is_plain
                && (same.iter().any(|same| same.eq_ignore_ascii_case(text))
                    || href.split_once(':').is_some_and(|(_, rest)| rest == text));
            self.destination = (!is_shown).then(|| format!(" [{destination}]"));
        }
    }

    /// Shows where a link leads.
    fn reveal(&mut self) {
        if let Some(destination) = self.destination.take() {
            escape(&mut self.out, &destination);
        }
    }

    fn meta(&mut self, attributes: &[Attribute]) {
        let named = |wanted: &str| attributes.iter().find(|one| *one.name.local == *wanted);
        if named("name").is_some_and(|name| elements::is_kept_meta(&name.value)) {
            self.start(&LocalName::from("meta"), attributes);
        } else if named("http-equiv").is_some_and(|name| name.value.trim().eq_ignore_ascii_case("refresh")) {
            Of::Scripts.count(&mut self.removed);
        }
    }

    fn style(&mut self, id: Id, attributes: &[Attribute]) {
        if self.charset.is_guarded() {
            return Of::Styles.count(&mut self.removed);
        }
        let name = LocalName::from("style");
        let mut css = String::new();
        self.text_of_all(id, &mut css);
        let css = style::filter(&css, self.rules, &mut self.removed);
        self.start(&name, attributes);
        self.out.push_str(&css);
        self.end(&name);
    }

    fn script(&mut self, id: Id, attributes: &[Attribute]) {
        let name = LocalName::from("script");
        let mut text = String::new();
        self.text_of_all(id, &mut text);
        let lower = text.to_ascii_lowercase();
        // What could end it elsewhere than here.
        if self.charset.is_guarded()
            || lower.contains("<!--")
            || lower.contains("<script")
            || lower.contains("</script")
        {
            return Of::Scripts.count(&mut self.removed);
        }
        self.start(&name, attributes);
        self.out.push_str(&text);
        self.end(&name);
    }

    /// Writes a tag with what is kept of its attributes; gives back where it leads.
    fn start(&mut self, name: &LocalName, attributes: &[Attribute]) -> Option<String> {
        self.reveal();
        let mut href = None;
        self.out.push('<');
        self.out.push_str(name);
        for attribute in attributes {
            let Some(value) = self.value(name, attribute) else { continue };
            let attribute = &*attribute.name.local;
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            escape(&mut self.out, &value);
            self.out.push('"');
            if attribute == "href" {
                href = Some(value);
            }
        }
        self.out.push('>');
        href
    }

    fn end(&mut self, name: &LocalName) {
        self.reveal();
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// What an attribute holds, as far as it is kept.
    fn value(&mut self, element: &LocalName, attribute: &Attribute) -> Option<String> {
        let name = &*attribute.name.local;
        let value = &*attribute.value;
        match elements::value(element, name) {
            // What pops up over a link is not to say that it leads elsewhere.
            Value::Text if name == "title" && **element == *"a" && self.rules.links == Links::Reveal => None,
            Value::Text => Some(value.to_owned()),
            Value::Handler => self.if_kept(Of::EventHandlers, || value.to_owned()),
            Value::Style => {
                self.if_kept(Of::Styles, String::new)?;
                Some(style::filter(value, self.rules, &mut self.removed))
            }
            Value::Link => self.link_or_document(value, Of::Links),
            Value::Document => self.link_or_document(value, Of::Frames),
            Value::Image => self.image(value),
            Value::Source => {
                let (document, removed) = embedded::document(value, self.rules, self.depth)?;
                self.removed.absorb(removed);
                Some(document)
            }
            Value::Nothing => {
                if !elements::is_idle(name) {
                    Of::Unknown.count(&mut self.removed);
                }
                None
            }
        }
    }

    fn link_or_document(&mut self, value: &str, family: Of) -> Option<String> {
        let (address, kind) = address::read(value);
        match kind {
            Kind::Within | Kind::Elsewhere => Some(address),
            Kind::Script => self.if_kept(Of::Scripts, || address),
            // A browser follows no link to one; another reader might.
            Kind::Data if family == Of::Links => self.not_kept(family),
            Kind::Data => match embedded::address(&address, self.rules, self.depth) {
                Some((document, removed)) => {
                    self.removed.absorb(removed);
                    Some(document)
                }
                None => self.not_kept(family),
            },
            Kind::Image if family == Of::Frames => Some(address),
            Kind::Image | Kind::Forbidden => self.not_kept(family),
        }
    }

    fn image(&mut self, value: &str) -> Option<String> {
        let (address, kind) = address::read(value);
        match kind {
            Kind::Within | Kind::Image => Some(address),
            Kind::Elsewhere => self.if_kept(Of::RemoteImages, || address),
            Kind::Script => self.if_kept(Of::Scripts, || address),
            Kind::Data | Kind::Forbidden => self.not_kept(Of::Unknown),
        }
    }

    fn if_kept(&mut self, family: Of, value: impl FnOnce() -> String) -> Option<String> {
        if family.is_kept(self.rules) { Some(value()) } else { self.not_kept(family) }
    }

    fn not_kept(&mut self, family: Of) -> Option<String> {
        family.count(&mut self.removed);
        None
    }

    /// The beginning of the text within an element; whether there is nothing else in it that could be shown instead, or
    /// hide it.
    fn plain_text_of(&self, id: Id, text: &mut String) -> bool {
        self.tree.children(id).into_iter().all(|child| match &*self.tree.data(child) {
            Data::Text(more) => {
                text.push_str(more);
                text.len() <= MAX_LINK_TEXT
            }
            Data::Element { name, attributes, .. } => {
                attributes.is_empty() && !elements::is_void(&name.local) && self.plain_text_of(child, text)
            }
            Data::Document | Data::Nothing => true,
        })
    }

    /// The text of an element that has nothing else.
    fn text_of_all(&self, id: Id, text: &mut String) {
        for child in self.tree.children(id) {
            if let Data::Text(more) = &*self.tree.data(child) {
                text.push_str(more);
            }
        }
    }
}

/// Text, or a value between double quotes.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Old readers quote with it.
            '`' => out.push_str("&#96;"),
            '\n' | '\t' => out.push(c),
            // Carriage returns (written as references), shifts of charsets, and what else shows nothing.
            _ if c.is_control() => {}
            _ => out.push(c),
        }
    }
}
