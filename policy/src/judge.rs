//! Phase 3: what becomes of a part and of a mail. Pure; called by the scanner for every mail, by `load` to find rules that
//! can never decide, and by `mailward test`, which watches.
//!
//! The rules are walked once for each status of the mail (or part), and the strongest of the decisions wins
//! (deny > defer > replace the body > replace parts > accept). For one status the first rule decides that
//!
//! * accepts, and names *every* status of the mail: a tolerance for one finding never covers another one;
//! * or does anything else, and names *this* status (no `virus` at all: every status).
//!
//! Names (of viruses, files, types) follow the same law: a rule that accepts must match all of them, any other rule one.
//!
//! No such rule: a mail is deferred, a part is left as it is, for its statuses are the mail's too. So a mail that is
//! infected and whose other engine failed is deferred by the shipped rules although the infection alone would be
//! replaced, wherever the rule for infections stands. A mail of which nothing is known yet is deferred.
use crate::acl::Watch;
use crate::comparison::Spam;
use crate::conditions::{Facts, Verdict};
use crate::list::Patterns;
use crate::model::{DocAcl, HeaderMatch, MailAcl, MailAction, PartAction, TypeSource};
use crate::names::Direction;
use crate::status::{Status, StatusSet};
use std::cmp::Ordering;

/// What is known of a mail.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// Which way it travels.
    pub direction: Direction,
    /// Everything that was found.
    pub statuses: StatusSet,
    /// Names of the viruses that were found.
    pub viruses: &'a [&'a str],
    /// Of the statuses those that some part bears: an infection that nobody found in a part is the whole mail's.
    pub borne: StatusSet,
    /// What the spam filters said.
    pub spam: Spam,
    /// Octets.
    pub size: u64,
    /// The fields of its own header, in order: name and unfolded value.
    pub header: &'a [(&'a str, &'a str)],
    /// The addresses in From and Sender.
    pub senders: &'a [&'a str],
}

/// What is known of a part of a mail.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Which way its mail travels.
    pub direction: Direction,
    /// What was found in it.
    pub statuses: StatusSet,
    /// Names of the viruses that were found in it.
    pub viruses: &'a [&'a str],
    /// Every type that it could be, and by which source.
    pub types: &'a [(TypeSource, &'a str)],
    /// The types of what is inside, if it is an archive: for rules that take something away.
    pub inner: &'a [(TypeSource, &'a str)],
    /// Every name that it bears; members of archives too.
    pub filenames: &'a [&'a str],
    /// Content, name and declaration contradict each other.
    pub mismatch: bool,
    /// Its content is of several types at once.
    pub polyglot: bool,
    /// Octets, decoded.
    pub size: u64,
}

/// What was decided about a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement<'a> {
    /// What to do.
    pub action: MailAction,
    /// The rule; `None`: no rule matched, which defers.
    pub rule: Option<&'a MailAcl>,
    /// Replace the parts that bear one of these statuses rather than the body. Empty unless that is what is to be done.
    pub parts: StatusSet,
}

/// Judges a mail of a session that is under the command-acl with index `parent`.
pub fn mail<'a>(
    rules: &'a [MailAcl],
    facts: &Facts<'_>,
    parent: u16,
    mail: &Mail<'_>,
    watch: &mut impl Watch,
) -> Judgement<'a> {
    let decide = |status| {
        let rule = first(rules, status, watch, |rule, status| rule.hold(facts, parent, mail, status));
        let parts = match rule {
            Some(rule) if rule.replaces_parts() && mail.borne.contains(status) => StatusSet::of(status),
            Some(_) | None => StatusSet::EMPTY,
        };
        Judgement { action: rule.map_or(MailAction::Defer, |rule| rule.action), rule, parts }
    };
    mail.statuses
        .iter()
        .map(decide)
        // Of equally strong decisions the one is shown that a rule made, then the one of the status shown first.
        .reduce(|best, next| {
            let named = next.rule.is_some() && best.rule.is_none();
            match next.strength().cmp(&best.strength()) {
                Ordering::Greater => next,
                Ordering::Equal if named => next,
                Ordering::Equal => Judgement { parts: best.parts.union(next.parts), ..best },
                Ordering::Less => best,
            }
        })
        .unwrap_or(Judgement { action: MailAction::Defer, rule: None, parts: StatusSet::EMPTY })
}

impl Judgement<'_> {
    /// To replace the body is more than to replace parts.
    fn strength(&self) -> (MailAction, bool) {
        (self.action, self.parts.is_empty())
    }
}

/// Judges a part; `None`: no rule matched, and it is left as it is.
pub fn part<'a>(
    rules: &'a [DocAcl],
    facts: &Facts<'_>,
    parent: u16,
    part: &Part<'_>,
    watch: &mut impl Watch,
) -> Option<&'a DocAcl> {
    part.statuses
        .iter()
        .filter_map(|status| {
            first(rules, status, watch, |rule, status| rule.hold(facts, parent, part, status))
        })
        .reduce(|best, next| if next.action > best.action { next } else { best })
}

fn first<'a, R>(
    rules: &'a [R],
    status: Status,
    watch: &mut impl Watch,
    hold: impl Fn(&R, Status) -> Verdict,
) -> Option<&'a R> {
    rules.iter().zip(0_u16..).find_map(|(rule, index)| {
        let verdict = hold(rule, status);
        watch.tried(index, verdict);
        (verdict == Verdict::Holds).then_some(rule)
    })
}

impl MailAcl {
    fn hold(&self, facts: &Facts<'_>, parent: u16, mail: &Mail<'_>, status: Status) -> Verdict {
        let accepts = self.action == MailAction::Accept;
        let conditions = [
            ("direction", self.directions.is_empty() || self.directions.contains(&mail.direction)),
            ("virus", names(self.virus, accepts, mail.statuses, status)),
            ("virus-name", one_or_all(&self.virus_names, accepts, mail.viruses)),
            ("spam-score", self.spam_score.is_none_or(|wanted| wanted.holds(mail.spam))),
            ("size", self.size.is_none_or(|wanted| wanted.holds(octets(mail.size)))),
            (
                "header",
                self.headers.is_empty() || self.headers.iter().any(|wanted| wanted.is_in(mail.header)),
            ),
            ("sender", one_or_all(&self.senders, accepts, mail.senders)),
        ];
        match conditions.iter().find(|(_, holds)| !holds) {
            Some((condition, _)) => Verdict::Fails(condition),
            None => settled(self.when.hold(facts, Some(parent))),
        }
    }
}

impl DocAcl {
    fn hold(&self, facts: &Facts<'_>, parent: u16, part: &Part<'_>, status: Status) -> Verdict {
        let accepts = self.action == PartAction::Accept;
        let conditions = [
            ("direction", self.directions.is_empty() || self.directions.contains(&part.direction)),
            ("virus", names(self.virus, accepts, part.statuses, status)),
            ("virus-name", one_or_all(&self.virus_names, accepts, part.viruses)),
            ("mime-type", one_or_all(&self.types, accepts, &self.types_of(part))),
            ("filename", one_or_all(&self.filenames, accepts, part.filenames)),
            ("mismatch", self.mismatch.is_none_or(|wanted| wanted == part.mismatch)),
            ("polyglot", self.polyglot.is_none_or(|wanted| wanted == part.polyglot)),
            ("size", self.size.is_none_or(|wanted| wanted.holds(octets(part.size)))),
        ];
        match conditions.iter().find(|(_, holds)| !holds) {
            Some((condition, _)) => Verdict::Fails(condition),
            None => settled(self.when.hold(facts, Some(parent))),
        }
    }
}

impl DocAcl {
    /// The types of a part that count for this rule, by the most trusted source first.
    pub fn types_of<'a>(&self, part: &Part<'a>) -> Vec<&'a str> {
        // What a rule lets pass, or takes for text to be filtered, is the part itself.
        let takes_away = matches!(self.action, PartAction::Replace | PartAction::Defer | PartAction::Deny);
        let inner = if takes_away { part.inner } else { &[] };
        let by = |wanted: &TypeSource| {
            let wanted = *wanted;
            part.types.iter().chain(inner).filter(move |(source, _)| *source == wanted).map(|(_, name)| *name)
        };
        self.sources.iter().flat_map(by).collect()
    }
}

impl MailAcl {
    fn replaces_parts(&self) -> bool {
        self.action == MailAction::Replace && !self.whole_body
    }

    /// Whether the rule is about this status of a mail with these statuses, whatever its other conditions say.
    pub(crate) fn names(&self, statuses: StatusSet, status: Status) -> bool {
        names(self.virus, self.action == MailAction::Accept, statuses, status)
    }
}

impl HeaderMatch {
    /// Whether a field with one of these names has one of these values.
    pub fn is_in(&self, header: &[(&str, &str)]) -> bool {
        header.iter().any(|(name, value)| self.name.matches(name) && self.value.matches(value))
    }
}

/// Whether a rule that names `named` is about this status of the set; `None`: it names nothing.
fn names(named: Option<StatusSet>, accepts: bool, statuses: StatusSet, status: Status) -> bool {
    match named {
        // Without `virus` nothing is named, and only what is clean needs no naming.
        None => !accepts || statuses.is_clean(),
        Some(named) if accepts => statuses.within(named),
        Some(named) => named.contains(status),
    }
}

fn one_or_all(patterns: &Patterns, all: bool, texts: &[&str]) -> bool {
    patterns.is_everything() || if all { patterns.matches_all(texts) } else { patterns.matches_any(texts) }
}

/// When a mail is judged everything is known that will be: who logged in without a name or group has none.
fn settled(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Waits(condition) => Verdict::Fails(condition),
        Verdict::Holds | Verdict::Fails(_) => verdict,
    }
}

fn octets(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
