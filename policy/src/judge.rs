//! Phase 3: what becomes of a mail, from its statuses.
use crate::model::{MailAcl, MailAction};
use crate::status::StatusSet;

/// What phase 3 decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement<'a> {
    /// What to do.
    pub action: MailAction,
    /// The rule; `None`: no rule matched, which defers.
    pub rule: Option<&'a str>,
}

/// First match wins; a rule that accepts matches only if it names every status of the set, any other if it names one;
/// no match defers; infected together with error or unknown is never weaker than defer.
pub fn mail<'a>(_rules: &'a [MailAcl], _command_rule: &str, _statuses: StatusSet) -> Judgement<'a> {
    todo!()
}
