//! A language, read from its Fluent file. The files are part of the program, so an unreadable one is caught by the tests.
use crate::fold;
use crate::id::{Answer, Label};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use policy::names::Language;
use std::sync::OnceLock;
use unic_langid::LanguageIdentifier;

const MAIL_REFUSED: &str = "mail-refused";
const MAIL_DEFERRED: &str = "mail-deferred";
const MAIL_DEFERRED_UNNAMED: &str = "mail-deferred-unnamed";

/// One answer, as it is and in ASCII.
pub(crate) struct Text {
    pub(crate) full: String,
    pub(crate) folded: String,
}

/// What is said in one language. Whatever has nothing to fill in is formatted once.
pub(crate) struct Catalogue {
    bundle: FluentBundle<FluentResource>,
    answers: Vec<Text>,
    labels: Vec<String>,
}

/// The catalogue of a language.
pub(crate) fn catalogue(language: Language) -> &'static Catalogue {
    static READ: [OnceLock<Catalogue>; Language::ALL.len()] =
        [const { OnceLock::new() }; Language::ALL.len()];
    match READ.get(language as usize) {
        Some(slot) => slot.get_or_init(|| Catalogue::read(language, source(language))),
        // There is a slot for each; this arm keeps the lookup total.
        None => catalogue(Language::En),
    }
}

const fn source(language: Language) -> &'static str {
    match language {
        Language::En => include_str!("../catalogues/en.ftl"),
        Language::Cs => include_str!("../catalogues/cs.ftl"),
        Language::De => include_str!("../catalogues/de.ftl"),
        Language::Fr => include_str!("../catalogues/fr.ftl"),
        Language::Es => include_str!("../catalogues/es.ftl"),
    }
}

impl Catalogue {
    /// English first, the language over it: so what is missing is English.
    fn read(language: Language, text: &str) -> Self {
        let mut bundle = bundle(language);
        add(&mut bundle, source(Language::En));
        add(&mut bundle, text);
        let answers = Answer::ALL.iter().map(|answer| {
            let full = format(&bundle, answer.id(), None);
            Text { folded: fold::to_ascii(&full), full }
        });
        let answers = answers.collect();
        let labels = Label::ALL.iter().map(|label| format(&bundle, label.id(), None)).collect();
        Self { bundle, answers, labels }
    }

    pub(crate) fn answer(&self, answer: Answer) -> &Text {
        static NONE: Text = Text { full: String::new(), folded: String::new() };
        self.answers.get(answer as usize).unwrap_or(&NONE)
    }

    pub(crate) fn label(&self, label: Label) -> &str {
        self.labels.get(label as usize).map_or("", String::as_str)
    }

    pub(crate) fn mail_refused(&self, reason: &str, case: &str) -> String {
        let mut args = FluentArgs::with_capacity(2);
        args.set("reason", reason);
        args.set("case", case);
        format(&self.bundle, MAIL_REFUSED, Some(&args))
    }

    pub(crate) fn mail_deferred(&self, case: Option<&str>) -> String {
        let Some(case) = case else { return format(&self.bundle, MAIL_DEFERRED_UNNAMED, None) };
        let mut args = FluentArgs::with_capacity(1);
        args.set("case", case);
        format(&self.bundle, MAIL_DEFERRED, Some(&args))
    }
}

fn bundle(language: Language) -> FluentBundle<FluentResource> {
    let language: LanguageIdentifier = language.to_string().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Marks around what is filled in are for bidirectional text on screens; a protocol line has no use for them.
    bundle.set_use_isolating(false);
    bundle
}

fn add(bundle: &mut FluentBundle<FluentResource>, text: &str) {
    let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(readable, _)| readable);
    bundle.add_resource_overriding(resource);
}

fn format(bundle: &FluentBundle<FluentResource>, id: &str, args: Option<&FluentArgs<'_>>) -> String {
    let pattern = bundle.get_message(id).and_then(|message| message.value());
    let said = pattern.map(|pattern| bundle.format_pattern(pattern, args, &mut Vec::new()).into_owned());
    said.unwrap_or_default()
}

/// What a language does not say in its own words, and messages of its file that nobody says or that do not parse.
#[cfg(test)]
pub(crate) fn missing(language: Language) -> Vec<String> {
    let resource = match FluentResource::try_new(source(language).to_owned()) {
        Ok(resource) => resource,
        Err((_, errors)) => return errors.iter().map(ToString::to_string).collect(),
    };
    let mut own = bundle(language);
    own.add_resource(resource).unwrap();
    let answers = Answer::ALL.iter().map(|answer| answer.id());
    let labels = Label::ALL.iter().map(|label| label.id());
    let filled = [MAIL_REFUSED, MAIL_DEFERRED, MAIL_DEFERRED_UNNAMED];
    let known: Vec<&str> = answers.chain(labels).chain(filled).collect();
    let names = source(language).lines().filter_map(|line| Some(line.split_once(" = ")?.0));
    let unused = names.filter(|name| !known.contains(name)).map(|name| format!("{name} (unused)"));
    let absent = known.iter().filter(|id| !own.has_message(id)).map(|id| (*id).to_owned());
    absent.chain(unused).collect()
}

#[cfg(test)]
pub(crate) fn read_for_test(text: &str) -> Catalogue {
    Catalogue::read(Language::Cs, text)
}
