//! Phase 3: what becomes of a mail, from its statuses. Pure; called by the scanner for every mail and by `load` to
//! find rules that can never match.
//!
//! The rules are walked once for each status of the mail, and the strongest of the decisions wins
//! (deny > defer > replace > accept). For one status the first rule decides that
//!
//! * accepts, and names *every* status of the mail: a tolerance for one finding never covers another one;
//! * or does anything else, and names *this* status (no `virus` at all: every status).
//!
//! No such rule: the mail is deferred. So a mail that is infected and whose other engine failed is deferred by the
//! shipped rules although the infection alone would be replaced, wherever the rule for infections stands. A mail of
//! which nothing is known yet (the empty set) is deferred.
use crate::model::{MailAcl, MailAction};
use crate::status::{Status, StatusSet};

/// What phase 3 decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement<'a> {
    /// What to do.
    pub action: MailAction,
    /// The rule; `None`: no rule matched, which defers.
    pub rule: Option<&'a str>,
}

/// Judges a mail that a session under the command-acl rule `command_rule` retrieves.
///
/// ```
/// # use policy::{judge, model::{MailAcl, MailAction}, status::{Status, StatusSet}};
/// let tolerant = MailAcl {
///     name: "tolerant".to_owned(),
///     command_acls: vec![],
///     virus: StatusSet::naming([Status::Clean, Status::Encrypted]),
///     names_statuses: true,
///     action: MailAction::Accept,
/// };
/// let rules = [tolerant];
/// let encrypted = StatusSet::of(Status::Encrypted);
/// assert_eq!(judge::mail(&rules, "staff", encrypted).action, MailAction::Accept);
/// assert_eq!(judge::mail(&rules, "staff", encrypted.with(Status::Infected)).action, MailAction::Defer);
/// ```
pub fn mail<'a>(rules: &'a [MailAcl], command_rule: &str, statuses: StatusSet) -> Judgement<'a> {
    statuses
        .iter()
        .map(|status| match first_match(rules, command_rule, statuses, status) {
            Some((_, rule)) => Judgement { action: rule.action, rule: Some(&rule.name) },
            None => Judgement { action: MailAction::Defer, rule: None },
        })
        // Of equally strong decisions the one is shown that a rule made, then the one of the status shown first.
        .reduce(|best, next| {
            let stronger = next.action > best.action;
            let named = next.action == best.action && best.rule.is_none();
            if stronger || named { next } else { best }
        })
        .unwrap_or(Judgement { action: MailAction::Defer, rule: None })
}

/// The rule that decides about one status of a mail, with its index.
pub(crate) fn first_match<'a>(
    rules: &'a [MailAcl],
    command_rule: &str,
    statuses: StatusSet,
    status: Status,
) -> Option<(usize, &'a MailAcl)> {
    rules.iter().enumerate().find(|(_, rule)| {
        let under = rule.command_acls.is_empty() || rule.command_acls.iter().any(|name| name == command_rule);
        under
            && match rule.action {
                // Without `virus` nothing is named, and only a clean mail needs no naming.
                MailAction::Accept if !rule.names_statuses => statuses.is_clean(),
                MailAction::Accept => statuses.within(rule.virus),
                MailAction::Replace | MailAction::Defer | MailAction::Deny => {
                    !rule.names_statuses || rule.virus.contains(status)
                }
            }
    })
}
