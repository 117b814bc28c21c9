//! Style sheets: read by the tokens of CSS Syntax 3, written with nothing hidden: no comments, no needless escapes, and
//! ASCII alone, so that no reader finds a word that is not written here.
use super::Removed;
use super::address::{self, Kind};
use super::elements::Of;
use policy::html::HtmlFilter;

/// Words with which old readers run scripts.
const SCRIPTS: [&str; 4] = ["expression", "-moz-binding", "behavior", "behaviour"];
/// What a word becomes that is not kept; it means nothing to anybody.
const NOTHING: &str = "x-removed";

/// A style sheet, or the declarations of a style attribute, as they may be passed on.
pub(super) fn filter(css: &str, rules: &HtmlFilter, removed: &mut Removed) -> String {
    let mut sheet = Sheet { rest: css, out: String::with_capacity(css.len()), rules, removed };
    while let Some(c) = sheet.rest.chars().next() {
        sheet.token(c);
    }
    sheet.out
}

struct Sheet<'a> {
    rest: &'a str,
    out: String,
    rules: &'a HtmlFilter,
    removed: &'a mut Removed,
}

impl Sheet<'_> {
    fn token(&mut self, c: char) {
        match c {
            '/' if self.rest.starts_with("/*") => {
                self.rest =
                    self.rest.get(2..).and_then(|rest| rest.split_once("*/")).map_or("", |(_, after)| after);
                // It separates two words, and must go on to.
                self.out.push(' ');
            }
            '"' | '\'' => {
                self.skip(1);
                let text = self.string(c);
                self.write_string(&text);
            }
            '@' => {
                self.skip(1);
                let name = self.name();
                self.out.push('@');
                // Nobody scanned what it would bring.
                if matches!(name.to_ascii_lowercase().as_str(), "import" | "charset" | "namespace") {
                    Of::Styles.count(self.removed);
                    self.out.push_str(NOTHING);
                } else {
                    self.write_name(&name);
                }
            }
            '<' if self.rest.starts_with("<!--") => self.skip(4),
            '-' if self.rest.starts_with("-->") => self.skip(3),
            // Of use in `(width <= 600px)` alone.
            '<' => {
                self.skip(1);
                if self.rest.starts_with(['=', ' ']) {
                    self.out.push('<');
                }
            }
            '\\' if self.escape().is_none() => self.skip(1),
            _ if is_in_name(c) || c == '\\' => self.word(),
            '\r' | '\x0c' => {
                self.skip(1);
                self.out.push('\n');
            }
            _ => {
                self.skip(c.len_utf8());
                if c == '\n' || c == '\t' || !c.is_control() {
                    self.out.push(c);
                }
            }
        }
    }

    fn word(&mut self) {
        let name = self.name();
        let plain = name.to_ascii_lowercase();
        if plain == "url" && self.rest.starts_with('(') {
            self.skip(1);
            return self.address();
        }
        if SCRIPTS.contains(&plain.as_str()) && !Of::Scripts.is_kept(self.rules) {
            Of::Scripts.count(self.removed);
            return self.out.push_str(NOTHING);
        }
        self.write_name(&name);
    }

    /// `url(`, to its end.
    fn address(&mut self) {
        self.rest = self.rest.trim_start();
        let text = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                self.skip(1);
                self.string(quote)
            }
            Some(_) | None => String::new(),
        };
        let mut unquoted = String::new();
        while let Some(c) = self.rest.chars().next() {
            if c == ')' {
                self.skip(1);
                break;
            }
            match self.escape() {
                Some((meant, length)) => {
                    self.skip(length);
                    unquoted.push(meant);
                }
                None => {
                    self.skip(c.len_utf8());
                    unquoted.push(c);
                }
            }
        }
        let text = if text.is_empty() { unquoted } else { text };
        let (address, kind) = address::read(&text);
        let family = match kind {
            Kind::Within | Kind::Image => None,
            Kind::Elsewhere => Some(Of::RemoteImages),
            Kind::Script => Some(Of::Scripts),
            Kind::Data | Kind::Forbidden => Some(Of::Unknown),
        };
        match family {
            Some(family) if !family.is_kept(self.rules) => {
                family.count(self.removed);
                self.out.push_str("none");
            }
            Some(_) | None => {
                self.out.push_str("url(");
                self.push_string(&address);
                self.out.push(')');
            }
        }
    }

    /// A string, whose quote was read, to its end.
    fn string(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.chars().next() {
            if self.rest.starts_with("\\\n") || self.rest.starts_with("\\\r") {
                self.skip(2);
                continue;
            }
            if let Some((meant, length)) = self.escape() {
                self.skip(length);
                text.push(meant);
                continue;
            }
            // CSS Syntax 4.3.5: a line break ends a bad string, and is not part of it.
            if matches!(c, '\n' | '\r' | '\x0c') {
                break;
            }
            self.skip(c.len_utf8());
            if c == quote {
                break;
            }
            text.push(c);
        }
        text
    }

    fn write_string(&mut self, text: &str) {
        let names_one = matches!(address::read(text), (_, Kind::Elsewhere)) && text.contains(':');
        let leads_away = names_one || text.contains("//") || text.contains('\\');
        if leads_away && !Of::RemoteImages.is_kept(self.rules) {
            Of::RemoteImages.count(self.removed);
            return self.out.push_str("\"\"");
        }
        self.push_string(text);
    }

    fn push_string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            if c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '<' | '>') {
                self.out.push(c);
            } else {
                self.push_escape(c);
            }
        }
        self.out.push('"');
    }

    /// A name; what is escaped in it as what it means.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.rest.chars().next() {
            if let Some((meant, length)) = self.escape() {
                self.skip(length);
                name.push(meant);
            } else if is_in_name(c) {
                self.skip(c.len_utf8());
                name.push(c);
            } else {
                break;
            }
        }
        name
    }

    fn write_name(&mut self, name: &str) {
        for c in name.chars() {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                self.out.push(c)
            } else {
                self.push_escape(c)
            }
        }
    }

    fn push_escape(&mut self, c: char) {
        self.out.push_str(&format!("\\{:x} ", u32::from(c)));
    }

    /// CSS Syntax 4.3.7: the character that is escaped here, and the octets of that.
    fn escape(&self) -> Option<(char, usize)> {
        let rest = self.rest.strip_prefix('\\')?;
        let digits = rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if digits == 0 {
            let c = rest.chars().next().filter(|c| !matches!(c, '\n' | '\r' | '\x0c'))?;
            return Some((c, 1 + c.len_utf8()));
        }
        let value = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
        let blank = usize::from(rest.get(digits..)?.starts_with([' ', '\t', '\n']));
        let c = char::from_u32(value).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
        Some((c, 1 + digits + blank))
    }

    fn skip(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::html::Family;

    fn filtered(css: &str, rules: &HtmlFilter) -> String {
        let mut removed = Removed::default();
        let once = filter(css, rules, &mut removed);
        assert_eq!(filter(&once, rules, &mut removed), once, "{css}");
        once
    }

    fn images_removed() -> HtmlFilter {
        HtmlFilter { remote_images: Family::Remove, ..HtmlFilter::new("test") }
    }

    #[test]
    fn honest_style_sheets_keep_their_meaning() {
        let rules = HtmlFilter::new("test");
        for css in [
            "color:#ff0000;font:12px/1.5 \"Helvetica Neue\",sans-serif",
            "@media (max-width: 600px){.a>b{width:100%!important}}",
            "background:url(\"cid:logo@example.net\") no-repeat -1px 50%",
            "p:nth-child(2n+1)::before{content:\"x\"}",
        ] {
            assert_eq!(filtered(css, &rules), css);
        }
    }

    #[test]
    fn scripts_are_found_however_they_are_written() {
        let rules = HtmlFilter::new("test");
        for css in [
            "width:expression(alert(1))",
            "width:EXPRESSION(alert(1))",
            "width:e\\78 pression(alert(1))",
            "width:\\65xpression(alert(1))",
            "-moz-bindin\\67:url(http://a/b)",
            "behavior:url(a.htc)",
        ] {
            let css = filtered(css, &rules).to_ascii_lowercase();
            assert!(css.contains(NOTHING), "{css}");
            assert!(
                !css.contains("expression(") && !css.contains("binding") && !css.contains("behavior"),
                "{css}"
            );
        }
        assert!(filtered("width:ex/**/pression(1)", &rules).contains("ex pression"));
        assert!(!filtered("background:url(java\\73 cript:x)", &rules).contains("script"));
    }

    #[test]
    fn images_from_elsewhere_go_with_all_that_can_name_one() {
        for css in [
            "background:url(http://a.example/b.png)",
            "background:u\\72 l( 'http://a.example/b.png' )",
            "background:image-set(\"http://a.example/b.png\" 1x)",
            "background:image-set(\"http:a.example/b.png\" 1x)",
            "background:url(a.example/b.png)",
            "@import \"http://a.example/b.css\";",
            "@\\69mport url(//a.example/b.css);",
            "src:url(//a.example/font.woff)",
        ] {
            let css = filtered(css, &images_removed());
            assert!(!css.contains("a.example"), "{css}");
        }
    }

    #[test]
    fn nothing_ends_the_element_that_it_stands_in() {
        let rules = HtmlFilter::new("test");
        for css in ["a{}</style><script>", "a{content:\"</style>\"}", "<!-- a{} -->", "url(</style>)"] {
            assert!(!filtered(css, &rules).contains("</"), "{css}");
        }
    }
}
