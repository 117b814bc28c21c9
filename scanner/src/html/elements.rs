//! Which elements and attributes are kept, and to which family the others belong.
use super::Removed;
use policy::html::{Family, HtmlFilter};

/// A family, as a place in the rules and in what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Scripts,
    EventHandlers,
    Frames,
    Objects,
    Forms,
    Styles,
    RemoteImages,
    Links,
    Unknown,
}

impl Of {
    /// Whether the rules keep it. What belongs to no family never is; links are for [`super::write`] to decide.
    pub(super) fn is_kept(self, rules: &HtmlFilter) -> bool {
        let family = match self {
            Self::Scripts => rules.scripts,
            Self::EventHandlers => rules.event_handlers,
            Self::Frames => rules.frames,
            Self::Objects => rules.objects,
            Self::Forms => rules.forms,
            Self::Styles => rules.styles,
            Self::RemoteImages => rules.remote_images,
            Self::Links => Family::Keep,
            Self::Unknown => Family::Remove,
        };
        family == Family::Keep
    }

    pub(super) fn count(self, removed: &mut Removed) {
        let counter = match self {
            Self::Scripts => &mut removed.scripts,
            Self::EventHandlers => &mut removed.event_handlers,
            Self::Frames => &mut removed.frames,
            Self::Objects => &mut removed.objects,
            Self::Forms => &mut removed.forms,
            Self::Styles => &mut removed.styles,
            Self::RemoteImages => &mut removed.remote_images,
            Self::Links => &mut removed.links,
            Self::Unknown => &mut removed.unknown,
        };
        *counter = counter.saturating_add(1);
    }
}

/// What becomes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is kept.
    Keep,
    /// It is kept if its family is, else it goes and its children stay.
    KeepOrUnwrap(Of),
    /// It is kept if its family is, else it goes with all that is in it.
    KeepOrDrop(Of),
    /// Its tags go, its children stay: it says nothing that a reader of mail needs.
    Unwrap,
    /// It goes with all that is in it.
    Drop,
}

/// What becomes of an element of HTML. Every name that is not here is unknown: its text stays.
pub(super) fn fate(name: &str) -> Fate {
    match name {
        "a" | "abbr" | "acronym" | "address" | "area" | "article" | "aside" | "b" | "bdi" | "bdo" | "big"
        | "blockquote" | "body" | "br" | "caption" | "center" | "cite" | "code" | "col" | "colgroup"
        | "dd" | "del" | "details" | "dfn" | "dir" | "div" | "dl" | "dt" | "em" | "figcaption" | "figure"
        | "font" | "footer" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "head" | "header" | "hgroup"
        | "hr" | "html" | "i" | "img" | "ins" | "kbd" | "li" | "main" | "map" | "mark" | "menu" | "meta"
        | "nav" | "nobr" | "ol" | "p" | "pre" | "q" | "rp" | "rt" | "ruby" | "s" | "samp" | "section"
        | "small" | "span" | "strike" | "strong" | "sub" | "summary" | "sup" | "table" | "tbody" | "td"
        | "tfoot" | "th" | "thead" | "time" | "title" | "tr" | "tt" | "u" | "ul" | "var" | "wbr" => {
            Fate::Keep
        }
        "script" => Fate::KeepOrDrop(Of::Scripts),
        "style" => Fate::KeepOrDrop(Of::Styles),
        // A style sheet or an icon from elsewhere: nobody scanned it, and it is fetched when the mail is looked at.
        "link" => Fate::Drop,
        "iframe" | "frame" | "frameset" => Fate::KeepOrDrop(Of::Frames),
        "embed" | "param" | "source" | "track" => Fate::KeepOrDrop(Of::Objects),
        // What stands in them is for readers that cannot show them.
        "object" | "applet" | "audio" | "video" | "canvas" => Fate::KeepOrUnwrap(Of::Objects),
        "form" | "button" | "label" | "fieldset" | "legend" | "output" | "meter" | "progress" => {
            Fate::KeepOrUnwrap(Of::Forms)
        }
        "input" | "select" | "option" | "optgroup" | "textarea" | "datalist" => Fate::KeepOrDrop(Of::Forms),
        // It changes where every other address leads.
        "base" => Fate::Drop,
        // Settings of Word, which are no text.
        "xml" => Fate::Drop,
        // Read as text by some and as elements by others; their children were elements here.
        "noscript" | "template" | "picture" | "marquee" | "blink" => Fate::Unwrap,
        // Read as text by everyone.
        "noembed" | "noframes" => Fate::Drop,
        "xmp" | "plaintext" | "listing" => Fate::Unwrap,
        _ => Fate::Unwrap,
    }
}

/// To which family an element belongs that went without a rule about it.
pub(super) fn family_of_dropped(name: &str) -> Option<Of> {
    match name {
        "link" => Some(Of::Styles),
        "base" => Some(Of::Links),
        "noframes" => Some(Of::Frames),
        "noembed" => Some(Of::Objects),
        _ => None,
    }
}

/// Elements without end tag.
pub(super) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "br"
            | "col"
            | "embed"
            | "frame"
            | "hr"
            | "img"
            | "input"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Any text.
    Text,
    /// Where a link or a form leads.
    Link,
    /// An image, or film and sound.
    Image,
    /// A document, to be shown within this one.
    Document,
    /// The document itself.
    Source,
    /// A style sheet without selectors.
    Style,
    /// A script.
    Handler,
    /// It is not kept.
    Nothing,
}

/// What the attribute of an element holds.
pub(super) fn value(element: &str, attribute: &str) -> Value {
    match attribute {
        "href" => match element {
            "a" | "area" => Value::Link,
            _ => Value::Nothing,
        },
        "action" | "formaction" => Value::Link,
        "src" => match element {
            "img" | "input" | "audio" | "video" | "source" | "track" => Value::Image,
            "iframe" | "frame" | "embed" => Value::Document,
            "script" => Value::Link,
            _ => Value::Nothing,
        },
        "background" | "poster" => Value::Image,
        "data" if element == "object" => Value::Document,
        "srcdoc" if element == "iframe" => Value::Source,
        "style" => Value::Style,
        // A document that names its charset a second time can contradict its header.
        "name" | "content" if element == "meta" => Value::Text,
        _ if element == "meta" => Value::Nothing,
        "abbr" | "align" | "alink" | "alt" | "axis" | "bgcolor" | "border" | "bordercolor"
        | "cellpadding" | "cellspacing" | "char" | "charoff" | "checked" | "class" | "clear" | "color"
        | "cols" | "colspan" | "compact" | "coords" | "datetime" | "dir" | "disabled" | "enctype"
        | "face" | "for" | "frame" | "frameborder" | "headers" | "height" | "hidden" | "hspace" | "id"
        | "label" | "lang" | "link" | "marginheight" | "marginwidth" | "maxlength" | "media" | "method"
        | "multiple" | "name" | "noshade" | "nowrap" | "open" | "placeholder" | "readonly" | "rel"
        | "reversed" | "role" | "rows" | "rowspan" | "rules" | "scope" | "scrolling" | "selected"
        | "shape" | "size" | "span" | "start" | "summary" | "tabindex" | "target" | "text" | "title"
        | "type" | "valign" | "value" | "vlink" | "vspace" | "width" => Value::Text,
        "usemap" => Value::Text,
        _ if attribute.strip_prefix("on").is_some_and(is_letters) => Value::Handler,
        _ if attribute.strip_prefix("aria-").is_some_and(is_letters) => Value::Text,
        _ => Value::Nothing,
    }
}

fn is_letters(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_lowercase())
}

/// Attributes that nobody misses, of which a mail can have hundreds.
pub(super) fn is_idle(attribute: &str) -> bool {
    attribute.starts_with("xmlns")
        || attribute.starts_with("data-")
        || attribute.contains(':')
        || matches!(
            attribute,
            "srcset" | "sizes" | "loading" | "decoding" | "cite" | "charset" | "http-equiv"
        )
}

/// `<meta name=…>` that tells a reader how to lay the mail out.
pub(super) fn is_kept_meta(name: &str) -> bool {
    [
        "viewport",
        "color-scheme",
        "supported-color-schemes",
        "format-detection",
        "x-apple-disable-message-reformatting",
    ]
    .iter()
    .any(|kept| name.eq_ignore_ascii_case(kept))
}
