//! Answers, for people and for programs.
use super::answer::{Answer, Phase};
use std::io::{self, Write};

/// One JSON object on a line.
pub(crate) fn json(answer: &impl serde::Serialize) {
    if let Ok(text) = serde_json::to_string(answer) {
        out(&format!("{text}\n"));
    }
}

/// For people.
pub(crate) fn text(answer: &Answer) {
    let mut text = format!("{}\n", answer.question);
    if let Some(certificate) = &answer.certificate {
        text.push_str(&format!("  certificate  {}\n", certificate.subject));
        text.push_str(&format!("  issued by    {}\n", certificate.issuer));
        text.push_str(&format!("  names        {}\n", certificate.names.join(", ")));
        text.push_str(&format!("  sha256       {}\n", certificate.fingerprint));
    }
    for phase in &answer.phases {
        draw(&mut text, phase);
    }
    let outcome = match answer.outcome.as_str() {
        "close" => "the connection is closed without a byte",
        "refuse" => "there is no session",
        "wait" => "the decision waits",
        "accept" => "accept",
        "replace" => "a notice in the place of the mail, or of some of its parts",
        "defer" => "the mail is refused for now and stays on the server",
        "deny" => "the mail is refused for good",
        other => other,
    };
    text.push_str(&format!("\nOutcome: {outcome}\n"));
    out(&text);
}

fn draw(text: &mut String, phase: &Phase) {
    let about = if phase.about.is_empty() { String::new() } else { format!(", {}", phase.about) };
    text.push_str(&format!("\n{}{about}\n", phase.phase));
    let width = phase.tried.iter().map(|tried| tried.rule.chars().count()).max().unwrap_or(0);
    for tried in &phase.tried {
        let verdict = match tried.condition {
            None => format!("matches: {}", phase.action),
            Some(condition) if tried.verdict == "waits" => format!("waits for {condition}"),
            Some(condition) => format!("{condition} does not match"),
        };
        let mark = if tried.verdict == "fails" { ' ' } else { '>' };
        text.push_str(&format!("  {mark} {:width$}  {verdict}\n", tried.rule));
    }
    match (&phase.rule, phase.tried.is_empty()) {
        (None, _) => text.push_str(&format!("  > no rule matches: {}\n", phase.action)),
        (Some(rule), true) => text.push_str(&format!("  > {rule}: {}\n", phase.action)),
        (Some(_), false) => {}
    }
    for note in &phase.notes {
        text.push_str(&format!("    {note}\n"));
    }
}

/// Nobody can be told that standard output is closed.
pub(crate) fn out(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}
