//! A file of expectations, run like a test suite: policy as code.
//!
//! ```toml
//! [[test]]
//! name = "the office reads its mail"
//! from = "10.1.2.3"
//! time = "mon 09:30"
//! expect = { outcome = "accept", session-acl = "office" }
//! ```
use super::answer::{Answer, answer};
use super::print;
use super::question::Question;
use policy::model::Policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    test: Vec<Test>,
}

// `deny_unknown_fields` and `flatten` exclude each other: the question is read from what is left, and denies.
#[derive(Debug, Deserialize)]
struct Test {
    name: String,
    expect: Expect,
    #[serde(flatten)]
    question: BTreeMap<String, toml::Value>,
}

/// What is given must be so.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Expect {
    outcome: Option<String>,
    session_acl: Option<String>,
    command_acl: Option<String>,
    doc_acl: Option<String>,
    mail_acl: Option<String>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    name: String,
    passed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

/// Runs every test of the file and prints what differs. Whether nothing does.
///
/// # Errors
/// A sentence: the file cannot be read.
pub(crate) fn run(policy: &Policy, path: &Path, json: bool) -> Result<bool, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    if file.test.is_empty() {
        return Err(format!("{}: there is no [[test]] in it", path.display()));
    }
    let mut failed = 0;
    let all = file.test.len();
    for Test { name, expect, question } in file.test {
        let differences = toml::Value::try_from(question)
            .and_then(|table| table.try_into::<Question>().map_err(serde::ser::Error::custom))
            .map_err(|error| error.to_string())
            .and_then(|question| answer(policy, &question))
            .map_or_else(|why| vec![why], |answer| expect.differences(&answer));
        let passed = differences.is_empty();
        failed += usize::from(!passed);
        let result = Outcome { name, passed, differences };
        if json { print::json(&result) } else { result.print() }
    }
    if !json {
        print::out(&format!("{} passed, {failed} failed\n", all - failed));
    }
    Ok(failed == 0)
}

impl Outcome {
    fn print(&self) {
        let mut text = format!("{}  {}\n", if self.passed { "ok    " } else { "FAILED" }, self.name);
        for difference in &self.differences {
            text.push_str(&format!("        {difference}\n"));
        }
        print::out(&text);
    }
}

impl Expect {
    fn differences(&self, answer: &Answer) -> Vec<String> {
        let rule = |kind: &str| {
            let phases = answer.phases.iter().filter(|phase| phase.phase == kind);
            phases.filter_map(|phase| phase.rule.clone()).collect::<Vec<_>>()
        };
        // Of the statuses of a mail the strongest decides; the scanner says which.
        let mut mail = rule("mail");
        if mail.is_empty() {
            mail = answer
                .phases
                .iter()
                .filter(|phase| phase.phase == "mail-acl" && phase.action == answer.outcome)
                .filter_map(|phase| phase.rule.clone())
                .collect();
        }
        let wanted = [
            ("outcome", &self.outcome, vec![answer.outcome.clone()]),
            ("session-acl", &self.session_acl, rule("session-acl")),
            ("command-acl", &self.command_acl, rule("command-acl")),
            ("doc-acl", &self.doc_acl, rule("doc-acl")),
            ("mail-acl", &self.mail_acl, mail),
        ];
        wanted
            .into_iter()
            .filter_map(|(what, wanted, is)| {
                let wanted = wanted.as_ref()?;
                let is = is.first().map_or("none", String::as_str);
                (wanted != is).then(|| format!("{what}: expected {wanted}, is {is}"))
            })
            .collect()
    }
}
