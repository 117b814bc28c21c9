//! The MAIL record: what became of a mail, in words that are fit for a log.
use super::InHand;
use crate::limits::{ANSWER_TEXT, VIRUS_NAME};
use ipc::ids::{EngineAnswer, SessionId, SpamAnswer};
use ipc::log::{self, Outcome};
use ipc::worker_scanner::Judged;

impl InHand {
    /// What the log says of it. A mail that never came whole has no hash.
    pub(super) fn record(
        &self,
        session: SessionId,
        outcome: Outcome,
        judged: Option<&Judged>,
        reason: &str,
    ) -> log::Mail {
        let mail = self.mail();
        let answers = judged.map(|judged| printable(&judged.answers)).unwrap_or_default();
        let found = |virus: &String| answers.iter().any(|answer| answer.viruses.names.contains(virus));
        let allowed = self.allowed.iter().filter(|virus| found(virus)).cloned().collect();
        log::Mail {
            session,
            number: self.number,
            // What is uploaded is in none yet.
            mailbox: self.uid.and(self.mailbox.as_deref().cloned()).unwrap_or_default(),
            uid: self.uid,
            direction: self.direction,
            size: mail.map_or(0, |mail| mail.length()),
            sha256: mail.map(|mail| mail.sha256()),
            outcome,
            rule: judged.map(|judged| log::printable(&judged.rule, ANSWER_TEXT)).unwrap_or_default(),
            would: judged.and_then(|judged| judged.would),
            statuses: judged.map_or(self.found, |judged| judged.statuses),
            allowed,
            answers,
            spam: judged.map(|judged| judged.spam.iter().map(fit_for_a_log).collect()).unwrap_or_default(),
            reason: log::printable(reason, ANSWER_TEXT),
            micros: u32::try_from(self.since.elapsed().as_micros()).unwrap_or(u32::MAX),
        }
    }
}

/// What engines said, fit for a log: the names in it were chosen by whoever wrote the signatures, or the mail.
pub(crate) fn printable(answers: &[EngineAnswer]) -> Vec<EngineAnswer> {
    let mut answers = answers.to_vec();
    for answer in &mut answers {
        for virus in &mut answer.viruses.names {
            *virus = log::printable(virus, VIRUS_NAME);
        }
        answer.detail = log::printable(&answer.detail, ANSWER_TEXT);
    }
    answers
}

/// What a spam filter said, likewise: its symbols are named by whoever wrote its rules.
fn fit_for_a_log(answer: &SpamAnswer) -> SpamAnswer {
    let text = |text: &str| log::printable(text, ANSWER_TEXT);
    SpamAnswer {
        filter: text(&answer.filter),
        symbols: text(&answer.symbols),
        detail: text(&answer.detail),
        ..*answer
    }
}
