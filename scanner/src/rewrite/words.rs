//! What a tombstone says: the shipped notice in the language of the session, or the operator's text.
use super::tombstone::{Words, inert};
use policy::names::Language;
use policy::notice::{Notice, Shipped, fill};
use policy::status::{Status, StatusSet};
use texts::Label;

/// Letters of a value.
const MAX_VALUE: usize = 120;

/// What there is to tell of a part.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The reader's.
    pub language: Language,
    /// What was found in it.
    pub statuses: StatusSet,
    /// Names of viruses in it.
    pub viruses: &'a [String],
    /// Its first name.
    pub file: &'a str,
    /// What it is.
    pub kind: &'a str,
    /// The rule that decided.
    pub rule: &'a str,
    /// The case id.
    pub case: &'a str,
    /// Who sent the mail, and what it is about.
    pub sender: &'a str,
    /// Its subject.
    pub subject: &'a str,
}

/// The shipped notice for a part that bears these statuses.
pub fn shipped(statuses: StatusSet) -> Notice {
    Notice::Shipped(if statuses.contains(Status::Infected) {
        Shipped::Virus
    } else if statuses.contains(Status::Encrypted) {
        Shipped::Locked
    } else {
        Shipped::Removed
    })
}

/// The words of a tombstone.
pub fn of(notice: &Notice, told: &Told<'_>) -> Words {
    let label = |label| texts::label_ascii(told.language, label);
    let short = format!("{} - {} {}", label(Label::PartShort), label(Label::Case), told.case);
    let long = match notice {
        Notice::Shipped(shipped) => {
            let head = match shipped {
                Shipped::Virus => Label::PartVirus,
                Shipped::Removed => Label::PartRemoved,
                Shipped::Locked => Label::PartLocked,
            };
            let mut lines = vec![label(head)];
            let mut line = |name, value: String| {
                if !value.is_empty() {
                    lines.push(format!("{} {value}", label(name)));
                }
            };
            line(Label::Virus, value(told, "virus"));
            line(Label::File, value(told, "file"));
            line(Label::Type, value(told, "type"));
            line(Label::Rule, value(told, "rule"));
            line(Label::Case, value(told, "case"));
            lines.push(label(Label::Ask));
            lines
        }
        // A tombstone has no charset of its own: letters lose their marks.
        Notice::Own(text) => fill(text.of(told.language), |field| value(told, field))
            .lines()
            .map(|line| inert(&texts::ascii(line)))
            .collect(),
    };
    Words { long, short }
}

fn value(told: &Told<'_>, field: &str) -> String {
    let text = match field {
        "virus" => told.viruses.join(", "),
        "file" => told.file.to_owned(),
        "type" => told.kind.to_owned(),
        "status" => told.statuses.to_string(),
        "sender" => told.sender.to_owned(),
        "subject" => told.subject.to_owned(),
        "rule" => told.rule.to_owned(),
        "case" => told.case.to_owned(),
        _ => String::new(),
    };
    inert(&texts::ascii(&text)).chars().take(MAX_VALUE).collect()
}
