//! What only shows when all of the policy is there: connections that lead nowhere or back, scanning without an
//! engine, rules that never match.
use super::scanning::TEST_SIGNATURES;
use super::{LoadOptions, Place};
use crate::acl::holds;
use crate::diagnostic::{At, Sink};
use crate::judge;
use crate::model::{CommandAcl, EngineKind, Listener, MailAction, PlugTo, Policy};
use crate::status::{Status, StatusSet};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Where things stand, in the order of the policy.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) start: At,
    pub(super) listeners: Vec<Place>,
    pub(super) command_acls: Vec<Place>,
    pub(super) mail_acls: Vec<Place>,
}

pub(super) fn check(sink: &Sink<'_>, policy: &Policy, places: &Places, options: LoadOptions) {
    addresses(sink, policy, places);
    user_ids(sink, policy, places);
    for ((acl, place), index) in policy.command_acls.iter().zip(&places.command_acls).zip(0_usize..) {
        let at = &place.at;
        if !place.sound {
            continue;
        }
        if acl.accept {
            if let Some(listener) = without_destination(policy, places, acl, index) {
                sink.error(
                    at,
                    format!("`plug-to` is missing, and connections to listener `{listener}` have no destination of their own"),
                    "write plug-to = [\"mail.example.net\"], or limit the rule to transparent listeners with listener = [...]",
                );
            }
            not_to_oneself(sink, policy, acl, at);
            engines(sink, policy, acl, at, options);
        } else if !acl.plug_to.is_empty() {
            sink.warn(
                at,
                "this rule denies, so its `plug-to` has no effect",
                "remove `plug-to`, or write action = \"accept\"",
            );
        }
    }
    mail_rules(sink, policy, places);
}

fn addresses(sink: &Sink<'_>, policy: &Policy, places: &Places) {
    let mut seen: Vec<(SocketAddr, &At)> = Vec::new();
    for (listener, Place { at, .. }) in policy.listeners.iter().zip(&places.listeners) {
        for address in listener.addresses.iter().filter(|address| address.port() != 0) {
            match seen.iter().find(|(other, _)| other == address) {
                Some((_, first)) => sink.error(
                    at,
                    format!("listener `{}` listens on {address}, which is taken", listener.name),
                    format!("the listener at {} has it: choose another address or port", sink.place(first)),
                ),
                None => seen.push((*address, at)),
            }
        }
    }
}

/// One id for worker and scanner of each tenant, and one for lookup.
fn user_ids(sink: &Sink<'_>, policy: &Policy, places: &Places) {
    let (first, last) = policy.service.uid_range;
    let needed = 2 * policy.tenants.len() + 1;
    let there = usize::try_from(u64::from(last) - u64::from(first) + 1).unwrap_or(usize::MAX);
    if there < needed {
        sink.error(
            &places.start,
            format!("`uid-range` has {there} user ids, but {needed} are needed"),
            "make it larger: two for each tenant and one more",
        );
    }
}

/// A rule without `plug-to` goes on to the original destination, which only connections that NAT brought have. The name
/// of a listener whose connections would reach the rule without one.
fn without_destination<'p>(
    policy: &'p Policy,
    places: &Places,
    acl: &CommandAcl,
    index: usize,
) -> Option<&'p str> {
    if !acl.plug_to.is_empty() {
        return None;
    }
    let mut direct = (0_u16..)
        .zip(policy.listeners.iter().zip(&places.listeners))
        .filter(|(_, (listener, place))| place.sound && listener.transparent.is_none());
    let reaching = direct.find(|(number, (listener, _))| {
        (0_u16..).zip(&policy.session_acls).any(|(parent, session)| {
            session.accept
                && session.transparent != Some(true)
                && holds(&session.listeners, *number)
                && holds(&session.tenants, listener.tenant)
                && takes(acl, parent, *number, listener)
                // An earlier rule may take everything that this listener brings.
                && !policy.command_acls.iter().take(index).any(|earlier| {
                    earlier.from.is_everyone() && takes(earlier, parent, *number, listener)
                })
        })
    });
    reaching.map(|(_, (listener, _))| listener.name.as_str())
}

fn takes(acl: &CommandAcl, parent: u16, number: u16, listener: &Listener) -> bool {
    holds(&acl.session_acls, parent)
        && holds(&acl.protocols, listener.protocol)
        && holds(&acl.listeners, number)
        && holds(&acl.tenants, listener.tenant)
}

/// A server address that is an own listener's, as far as the text tells; the rest is refused when it is dialled.
fn not_to_oneself(sink: &Sink<'_>, policy: &Policy, acl: &CommandAcl, at: &At) {
    for server in &acl.plug_to {
        let own = policy.listeners.iter().find(|listener| {
            listener.addresses.iter().any(|address| match server {
                PlugTo::Address(server) => is_own(*address, *server),
                PlugTo::Name { host, port } => {
                    host == "localhost"
                        && *port == address.port()
                        && (address.ip().is_unspecified() || address.ip().is_loopback())
                }
            })
        });
        if let Some(listener) = own {
            let server = match server {
                PlugTo::Address(address) => address.to_string(),
                PlugTo::Name { host, port } => format!("{host}:{port}"),
            };
            sink.error(
                at,
                format!("`plug-to` {server} is Mailward's own listener `{}`", listener.name),
                "name the mail server, or let the listener use another port",
            );
        }
    }
}

fn is_own(listening: SocketAddr, server: SocketAddr) -> bool {
    let (own, other) = (listening.ip().to_canonical(), server.ip().to_canonical());
    listening.port() == server.port() && (own == other || (own.is_unspecified() && other.is_loopback()))
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
        EngineKind::Clamd { .. } => false,
    };
    if !demanded.is_empty() && !options.demo && demanded.iter().all(|engine| test_only(&engine.kind)) {
        sink.error(
            at,
            "the only engine knows nothing but the test file: every real virus would pass as clean",
            "add [antivirus.clamd], or signatures of your own to [antivirus.builtin]",
        );
    }
    let skipped = judge::mail(&policy.mail_acls, &acl.name, StatusSet::of(Status::Skipped));
    if demanded.is_empty() && skipped.action != MailAction::Accept {
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
    let scanning = policy.command_acls.iter().filter(|acl| acl.accept && acl.session.download.scan);
    let mut used = BTreeSet::new();
    let mut undecided: BTreeSet<Status> = BTreeSet::new();
    let mut any = false;
    for acl in scanning {
        any = true;
        for set in every_set() {
            for status in set.iter() {
                match judge::first_match(&policy.mail_acls, &acl.name, set, status) {
                    Some((index, _)) => {
                        used.insert(index);
                    }
                    None => {
                        undecided.insert(status);
                    }
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
            format!("no mail rule decides about mail that is {names}: it is deferred"),
            "write standard-rules = true, or a last [[mail-acl]] without `virus`",
        );
    }
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
