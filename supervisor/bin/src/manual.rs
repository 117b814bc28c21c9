//! mailward.toml(5), from the descriptions that the loader itself goes by.
use policy::schema::{self, Entry, Form, Section};
use roff::{Roff, bold, italic, roman};

/// The page.
pub(crate) fn page() -> String {
    let mut page = Roff::new();
    page.control(
        "TH",
        ["MAILWARD.TOML", "5", "", concat!("mailward ", env!("CARGO_PKG_VERSION")), "File formats"],
    );
    page.control("SH", ["NAME"]).text([roman("mailward.toml - the configuration of mailward(1)")]);
    page.control("SH", ["DESCRIPTION"]).text([roman(
        "A TOML file. Connections, sessions and mails are judged by the rules of [[session-acl]], [[command-acl]], \
         [[doc-acl]] and [[mail-acl]]: in each kind the first rule all of whose conditions hold decides. A condition that \
         is not given holds. Items that this version cannot honour are marked; mailward check names them, mailward run \
         does not start with them.",
    )]);
    page.control("PP", []).text([roman(
        "Sizes are octets or strings with a unit (\"64KiB\"), durations strings with a unit (\"30s\"). A list matches when \
         one of its items without ! matches, or it has none, and no item with ! does.",
    )]);
    for section in schema::sections() {
        draw(&mut page, section);
    }
    page.control("SH", ["SEE ALSO"]).text([
        bold("mailward"),
        roman("(1), "),
        bold("mailward-check"),
        roman("(1)"),
    ]);
    page.render()
}

fn draw(page: &mut Roff, section: &Section) {
    let title = match (section.place, section.form) {
        ("", _) => "Top of the file".to_owned(),
        (place, Form::Inner) => schema::title(place).replace('`', ""),
        (place, _) => schema::title(place),
    };
    let later = if schema::is_later(section.place) { " Not in this version." } else { "" };
    page.control("SH", [title.as_str()]).text([roman(section.doc), roman(later)]);
    for entry in section.entries {
        item(page, entry);
    }
}

fn item(page: &mut Roff, entry: &Entry) {
    let mut head = vec![bold(entry.name)];
    if !entry.default.is_empty() {
        head.extend([roman(" = "), italic(entry.default)]);
    }
    page.control("TP", []).text(head);
    let mut text = vec![roman(entry.doc)];
    if entry.later.is_some() {
        text.push(roman(" Not in this version."));
    }
    page.text(text);
}
