//! What only shows when all of the policy is there: user ids that do not suffice, scanning without an engine, mail rules
//! that never decide. What is about connections and sessions is in `reach`.
use super::engines::TEST_SIGNATURES;
use super::{LoadOptions, Place, reach};
use crate::conditions::{Conditions, one_of};
use crate::diagnostic::{At, Sink};
use crate::engine::EngineKind;
use crate::model::{CommandAcl, HeaderChanges, MailAcl, MailAction, Policy};
use crate::names::{Direction, Protocol};
use crate::notice::Notice;
use crate::status::{Status, StatusSet};
use crate::tls::ClientMode;
use std::collections::BTreeSet;

/// Where things stand, in the order of the policy.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) start: At,
    pub(super) client_tls: Vec<Place>,
    pub(super) listeners: Vec<Place>,
    pub(super) session_acls: Vec<Place>,
    pub(super) command_acls: Vec<Place>,
    /// `accounts` in `[service]`, if it was given.
    pub(super) accounts: Option<At>,
    /// Every engine was read without an error.
    pub(super) engines_sound: bool,
    pub(super) mail_acls: Vec<Place>,
}

pub(super) fn check(sink: &Sink<'_>, policy: &Policy, places: &Places, options: LoadOptions) {
    reach::listeners(sink, policy, places);
    reach::rules(sink, policy, places);
    reach::interceptions(sink, policy, places);
    user_ids(sink, policy, places);
    for ((acl, place), index) in policy.command_acls.iter().zip(&places.command_acls).zip(0_usize..) {
        let at = &place.at;
        if !place.sound {
            continue;
        }
        if acl.accept {
            reach::servers(sink, policy, places, acl, index);
            if places.engines_sound {
                engines(sink, policy, acl, at, options);
            }
        } else if !acl.plug_to.is_empty() {
            sink.warn(
                at,
                "this rule denies, so its `plug-to` has no effect",
                "remove `plug-to`, or write action = \"accept\"",
            );
        }
    }
    for ((acl, place), rule) in policy.session_acls.iter().zip(&places.session_acls).zip(0_u16..) {
        if place.sound && acl.accept && !acl.require_client_certificate.is_empty() {
            required_certificates(sink, policy, rule, &place.at);
        }
    }
    mail_rules(sink, policy, places);
}

/// A certificate that is required must come with TLS, and from some authority.
fn required_certificates(sink: &Sink<'_>, policy: &Policy, rule: u16, at: &At) {
    let Some(acl) = policy.session_acls.get(usize::from(rule)) else { return };
    let listeners = (0_u16..).zip(&policy.listeners);
    let taken = listeners.filter(|(listener, settings)| {
        one_of(&acl.when.listeners, *listener) && one_of(&acl.when.tenants, settings.tenant)
    });
    for (listener, settings) in taken {
        let side = policy.client_side(listener, rule);
        if side.mode == ClientMode::Off {
            sink.error(
                at,
                format!("a certificate is required of clients, and listener `{}` has no TLS", settings.name),
                "limit the rule to other listeners with listener = [...], or write tls = \"implicit\"",
            );
            return;
        }
        let tls = policy.client_tls.get(usize::from(side.client_tls));
        if let Some(tls) = tls.filter(|tls| tls.client_ca.is_none()) {
            sink.error(
                at,
                format!(
                    "a certificate is required of clients, and [client-tls.{}] has no `client-ca`",
                    tls.name
                ),
                "write there client-ca = \"/etc/mailward/tls/users-ca.pem\", whose certificates are taken",
            );
            return;
        }
    }
}

/// One id for worker, scanner and writer of each tenant, one for lookup and one for the keyholder; no id twice.
fn user_ids(sink: &Sink<'_>, policy: &Policy, places: &Places) {
    let (first, last) = policy.service.uid_range;
    let needed = 3 * policy.tenants.len() + 2;
    let there = usize::try_from(u64::from(last) - u64::from(first) + 1).unwrap_or(usize::MAX);
    if there < needed {
        sink.error(
            &places.start,
            format!("`uid-range` has {there} user ids, but {needed} are needed"),
            "make it larger: three for each tenant and two more",
        );
    }
    let Some(at) = &places.accounts else { return };
    for (role, uid) in &policy.service.accounts {
        if (first..=last).contains(uid) {
            sink.error(
                at,
                format!(
                    "the user id {uid} of {role} is in `uid-range`, so another process could have it too"
                ),
                "choose a user id outside that range",
            );
        }
        if role != "lookup" && role != "keyholder" && policy.tenants.len() > 1 {
            sink.error(
                at,
                format!("all tenants would have the user id {uid} for {role}, and no wall between them"),
                format!("remove `{role}` from `accounts`: each tenant then gets an id of its own"),
            );
        }
    }
}

/// Scanning needs an engine that knows more than the test file.
fn engines(sink: &Sink<'_>, policy: &Policy, acl: &CommandAcl, at: &At, options: LoadOptions) {
    let scanning = &acl.session.download;
    if !scanning.scan {
        return;
    }
    if policy.engines.is_empty() {
        sink.error(
            at,
            "mail is to be scanned, but there is no engine",
            "write [antivirus.clamd], or no-mail-scanning = true in [command-acl.download]",
        );
        return;
    }
    let demanded: Vec<_> =
        scanning.engines.iter().filter_map(|index| policy.engines.get(usize::from(*index))).collect();
    let test_only = |kind: &EngineKind| match kind {
        EngineKind::Builtin { signatures } => signatures.iter().all(|set| set == TEST_SIGNATURES),
        EngineKind::Clamd(_) | EngineKind::Icap { .. } => false,
    };
    if !demanded.is_empty() && !options.demo && demanded.iter().all(|engine| test_only(&engine.kind)) {
        sink.error(
            at,
            "the only engine knows nothing but the test file: every real virus would pass as clean",
            "add [antivirus.clamd], or signatures of your own to [antivirus.builtin]",
        );
    }
    let skipped = StatusSet::of(Status::Skipped);
    let accepted = policy
        .mail_acls
        .iter()
        .any(|rule| rule.action == MailAction::Accept && rule.names(skipped, Status::Skipped));
    if demanded.is_empty() && !accepted {
        sink.warn(
            at,
            "no engine is demanded here, so no mail gets through: the status `skipped` is not accepted",
            "name engines in `antivirus`, or write a [[mail-acl]] with virus = [\"skipped\"] and action = \"accept\"",
        );
    }
}

/// Tries every set of statuses under every command-acl: which rules decide nothing, which statuses nothing decides.
fn mail_rules(sink: &Sink<'_>, policy: &Policy, places: &Places) {
    if places.command_acls.iter().chain(&places.mail_acls).any(|place| !place.sound) {
        return;
    }
    for (rule, Place { at, .. }) in policy.mail_acls.iter().zip(&places.mail_acls) {
        marks(sink, policy, rule, at);
    }
    // Command-acls that no mail rule names are all alike here: one of them stands for the others.
    let mentioned: BTreeSet<u16> =
        policy.mail_acls.iter().flat_map(|rule| &rule.when.parents).copied().collect();
    let (named, unnamed): (Vec<_>, Vec<_>) = (0_u16..)
        .zip(&policy.command_acls)
        .filter(|(_, acl)| acl.accept && acl.session.download.scan)
        .map(|(index, _)| index)
        .partition(|index| mentioned.contains(index));
    let rules = by_conditions(&policy.mail_acls);
    let mut used = BTreeSet::new();
    let mut undecided: BTreeSet<Status> = BTreeSet::new();
    let mut any = false;
    for parent in named.into_iter().chain(unnamed.into_iter().take(1)) {
        any = true;
        for set in every_set() {
            for status in set.iter() {
                if !walk(&rules, parent, set, status, &mut used) {
                    undecided.insert(status);
                }
            }
        }
    }
    if !any {
        return;
    }
    for ((index, rule), Place { at, .. }) in policy.mail_acls.iter().enumerate().zip(&places.mail_acls) {
        // A shipped rule that one's own rules leave nothing to is no mistake.
        if !used.contains(&index) && *at != places.start {
            sink.warn(
                at,
                format!("the mail rule `{}` can never decide", rule.name),
                "an earlier rule takes everything that it names: move it up, or remove it",
            );
        }
    }
    if !undecided.is_empty() {
        let names = undecided.iter().map(|status| status.name()).collect::<Vec<_>>().join(", ");
        sink.warn(
            &places.start,
            format!("no mail rule decides about every mail that is {names}: what is left is deferred"),
            "write standard-rules = true, or a last [[mail-acl]] without `virus`",
        );
    }
}

/// What a rule does to the mails that it accepts, and where it cannot.
fn marks(sink: &Sink<'_>, policy: &Policy, rule: &MailAcl, at: &At) {
    let spoken = policy.listeners.iter().any(|listener| listener.protocol == Protocol::Imap);
    let down = rule.directions.is_empty() || rule.directions.contains(&Direction::Download);
    let imap = spoken && down && one_of(&rule.when.protocols, Protocol::Imap);
    let mut downloads = (0_u16..).zip(&policy.command_acls).filter(|(index, acl)| {
        imap && one_of(&rule.when.parents, *index)
            && one_of(&acl.when.protocols, Protocol::Imap)
            && acl.accept
            && acl.session.download.scan
    });
    if !rule.keywords.is_empty() && downloads.clone().next().is_none() {
        sink.warn(
            at,
            "this rule sets keywords, which only mails that are downloaded by IMAP have: it never does",
            "remove `keyword`, or limit the rule less",
        );
    }
    if !rule.fields.is_empty()
        && let Some((_, acl)) = downloads.find(|(_, acl)| !acl.session.strict)
    {
        sink.warn(
            at,
            format!(
                "this rule changes headers, which a client of IMAP has seen before the mail is judged: under `{}` it does not",
                acl.session.name
            ),
            "write metadata = \"strict\" there, or protocol = [\"pop3\"] here to say so",
        );
    }
}

/// The rules that can decide about a status of a mail with these statuses: those up to the first without other
/// conditions; of rules with the same conditions the first. Whether there is one without.
fn walk(rules: &Walk<'_>, parent: u16, set: StatusSet, status: Status, used: &mut BTreeSet<usize>) -> bool {
    let mut tried = BTreeSet::new();
    for (index, (rule, kind)) in rules.iter().enumerate() {
        if !one_of(&rule.when.parents, parent) || !rule.names(set, status) || !tried.insert(kind) {
            continue;
        }
        used.insert(index);
        if kind.is_none() {
            return true;
        }
    }
    false
}

/// Rules, each with the first rule that has the same conditions, parents and statuses apart; `None`: it has none.
type Walk<'p> = Vec<(&'p MailAcl, Option<usize>)>;

fn by_conditions(rules: &[MailAcl]) -> Walk<'_> {
    let bare = |rule: &MailAcl| MailAcl {
        name: String::new(),
        virus: None,
        action: MailAction::Accept,
        whole_body: false,
        notice: Notice::default(),
        fields: HeaderChanges::default(),
        keywords: Vec::new(),
        monitor: false,
        when: Conditions { parents: Vec::new(), ..rule.when.clone() },
        ..rule.clone()
    };
    let conditions: Vec<_> = rules.iter().map(bare).collect();
    let none = bare(&MailAcl::default());
    let kind = |own: &MailAcl| {
        if *own == none { None } else { conditions.iter().position(|first| first == own) }
    };
    rules.iter().zip(conditions.iter().map(kind)).collect()
}

/// Every set of statuses that a mail can have: clean alone, or any others together.
fn every_set() -> impl Iterator<Item = StatusSet> {
    (1_u16..256).map(|bits| {
        Status::ALL
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| bits >> bit & 1 == 1)
            .map(|(_, status)| status)
            .collect()
    })
}
