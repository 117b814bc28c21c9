//! What was found out about a mail and each of its parts, before a rule is asked.
use crate::antivirus::Finding;
use crate::documents::Document;
use crate::notice::Facts;
use crate::parts::Leaf;
use ipc::ids::{EngineAnswer, SpamAnswer};
use policy::model::{DocAcl, TypeSource};
use policy::names::Language;
use policy::notice::Notice;
use policy::status::{Status, StatusSet};
use policy::violation::Violation;
use std::collections::BTreeSet;

/// Statuses that a part can bear; the others are about engines, and so about the whole mail.
const BORNE: [Status; 4] = [Status::Infected, Status::Limit, Status::Encrypted, Status::Malformed];

/// What was found out about a mail.
#[derive(Default)]
pub(crate) struct Inspection<'a> {
    pub(crate) statuses: StatusSet,
    pub(crate) answers: Vec<EngineAnswer>,
    pub(crate) spam: Vec<SpamAnswer>,
    pub(crate) why: &'static str,
    pub(crate) recognised: bool,
    /// What was wrong with its form.
    pub(crate) violations: BTreeSet<Violation>,
    /// The mail without it, where that is to be delivered: the places of the leaves are in it.
    pub(crate) canonical: Option<Vec<u8>>,
    /// Nothing of the mail may be read: it killed two scanners.
    pub(crate) unread: bool,
    /// Its leaves; what each of them is; what was found in it. As many of each.
    pub(crate) leaves: Vec<Leaf<'a>>,
    pub(crate) documents: Vec<Document>,
    pub(crate) found: Vec<Finding>,
    /// An engine found a virus in the mail that nobody found in a part.
    pub(crate) astray: bool,
    /// The viruses that do not count, wherever they were found.
    pub(crate) allowed: Vec<String>,
    /// What engines had found in it when it was served changed.
    pub(crate) formerly: Vec<EngineAnswer>,
}

impl Inspection<'_> {
    /// Of a mail that killed two scanners.
    pub(crate) fn poison(found: StatusSet) -> Self {
        Self {
            statuses: found.with(Status::Malformed),
            why: "it ended two scanners",
            unread: true,
            ..Self::default()
        }
    }

    /// The highest score that a spam filter gave.
    pub(crate) fn score(&self) -> Option<i64> {
        self.spam.iter().filter_map(|answer| answer.score).max()
    }

    /// Statuses of the mail that are those of some part.
    pub(crate) fn borne(&self) -> StatusSet {
        let all = self.found.iter().map(|found| found.statuses).fold(StatusSet::EMPTY, StatusSet::union);
        BORNE
            .into_iter()
            .filter(|status| all.contains(*status) && !(self.astray && *status == Status::Infected))
            .collect()
    }

    /// The statuses of a part: what was found in it; what kept engines from looking at all; else clean.
    pub(crate) fn statuses_of(&self, found: &Finding) -> StatusSet {
        let trouble =
            self.statuses.iter().filter(|status| !BORNE.contains(status) && *status != Status::Clean);
        let statuses = trouble.fold(found.statuses, StatusSet::with);
        if statuses.is_empty() { StatusSet::of(Status::Clean) } else { statuses }
    }

    /// The type that the most trusted source gives a leaf, if its header declares another.
    pub(crate) fn retyped(&self, leaf: usize, rule: &DocAcl) -> Option<String> {
        let document = self.documents.get(leaf)?;
        let of = |source: &TypeSource| {
            document.types.iter().find(|(known, _)| known == source).map(|(_, name)| name.clone())
        };
        let name = rule.sources.iter().find_map(of)?;
        let declared =
            document.types.iter().any(|(source, known)| *source == TypeSource::ContentType && *known == name);
        (!declared && name != crate::documents::magic::UNKNOWN).then_some(name)
    }

    /// For the log and the client.
    pub(crate) fn reason(&self) -> String {
        let named = |virus: &String| match self.allowed.contains(virus) {
            true => format!("{virus} is allowed"),
            false => virus.clone(),
        };
        let viruses = self.answers.iter().flat_map(|answer| answer.viruses.names.iter().map(named));
        let is_new =
            |virus: &&String| !self.answers.iter().any(|answer| answer.viruses.names.contains(virus));
        let former = self.formerly.iter().flat_map(|answer| &answer.viruses.names).filter(is_new);
        let viruses = viruses.chain(former.map(|virus| format!("{virus} had been found")));
        let details = self.answers.iter().map(|answer| answer.detail.clone());
        let in_parts = self.found.iter().map(|found| found.detail.clone());
        let names: Vec<&str> = self.violations.iter().map(|violation| violation.name()).collect();
        let form = [self.why.to_owned(), names.join(" ")];
        let mut parts: Vec<String> = Vec::new();
        for part in viruses.chain(details).chain(in_parts).chain(form) {
            if !part.is_empty() && !parts.contains(&part) {
                parts.push(part);
            }
        }
        if parts.is_empty() { self.statuses.to_string() } else { parts.join("; ") }
    }

    /// (engine, virus) of every virus that counts.
    pub(crate) fn viruses(&self) -> Vec<(String, String)> {
        let of = |answer: &EngineAnswer| {
            let engine = answer.engine.clone();
            answer.viruses.names.clone().into_iter().map(move |virus| (engine.clone(), virus))
        };
        let mut viruses: Vec<(String, String)> =
            self.answers.iter().flat_map(of).filter(|(_, virus)| !self.allowed.contains(virus)).collect();
        for former in self.formerly.iter().flat_map(of) {
            if !viruses.contains(&former) {
                viruses.push(former);
            }
        }
        viruses
    }

    pub(crate) fn facts<'a>(
        &self,
        notice: &'a Notice,
        language: Language,
        viruses: &'a [(String, String)],
        rule: &'a str,
        case: &'a str,
    ) -> Facts<'a> {
        let Self { statuses, recognised, unread, .. } = *self;
        Facts { notice, language, statuses, viruses, rule, case, recognised, unread }
    }
}
