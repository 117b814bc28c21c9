//! What connections can reach: listeners that nobody is let in by, rules that no connection gets to, sessions without
//! a server or back to Mailward. Only what is certain is told: conditions on addresses are compared, not computed.
use super::Place;
use super::check::Places;
use crate::conditions::one_of;
use crate::diagnostic::{At, Sink};
use crate::model::{CommandAcl, Listener, PlugTo, Policy, SessionAcl};
use std::net::SocketAddr;

/// Listeners that want the same address.
pub(super) fn listeners(sink: &Sink<'_>, policy: &Policy, places: &Places) {
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

/// Listeners and rules that no session gets to.
pub(super) fn rules(sink: &Sink<'_>, policy: &Policy, places: &Places) {
    let all = places.listeners.iter().chain(&places.session_acls).chain(&places.command_acls);
    let empty =
        policy.listeners.is_empty() || policy.session_acls.is_empty() || policy.command_acls.is_empty();
    if empty || all.into_iter().any(|place| !place.sound) {
        return;
    }
    for ((number, listener), place) in (0_u16..).zip(&policy.listeners).zip(&places.listeners) {
        if !policy.session_acls.iter().any(|session| session.accept && admits(session, number, listener)) {
            sink.warn(
                &place.at,
                format!("no [[session-acl]] accepts connections to listener `{}`", listener.name),
                "write one for it, or remove the listener",
            );
        }
    }
    for ((session, place), index) in policy.session_acls.iter().zip(&places.session_acls).zip(0_usize..) {
        match session_rule(policy, session, index) {
            Reach::Some => {}
            Reach::Nothing => never(sink, place, "its conditions fit no listener"),
            Reach::Taken => never(sink, place, "an earlier rule takes everything that it could"),
            Reach::NoSession => sink.warn(
                &place.at,
                format!(
                    "no [[command-acl]] takes the sessions that `{}` accepts: each of them is refused",
                    session.name
                ),
                "write one for them, or write action = \"deny\"",
            ),
        }
    }
    for ((acl, place), index) in policy.command_acls.iter().zip(&places.command_acls).zip(0_usize..) {
        match command_rule(policy, acl, index) {
            Reach::Some | Reach::NoSession => {}
            Reach::Nothing if !acl.when.certificates.is_empty() => never(
                sink,
                place,
                "no accepted connection has implicit TLS by a [client-tls] whose `client-certificates` asks for one, and \
                 fits its other conditions",
            ),
            Reach::Nothing => never(sink, place, "no accepted connection fits its conditions"),
            Reach::Taken => never(sink, place, "an earlier rule takes everything that it could"),
        }
    }
}

fn never(sink: &Sink<'_>, place: &Place, why: &str) {
    sink.warn(
        &place.at,
        format!("this rule can never match: {why}"),
        "change its conditions, move it up, or remove it",
    );
}

/// What gets to a rule.
enum Reach {
    Some,
    /// Its conditions contradict each other.
    Nothing,
    /// An earlier rule has it all.
    Taken,
    /// Connections get in, and no session comes of them.
    NoSession,
}

fn session_rule(policy: &Policy, session: &SessionAcl, index: usize) -> Reach {
    let mut outcome = Reach::Nothing;
    let fitting =
        (0_u16..).zip(&policy.listeners).filter(|(number, listener)| admits(session, *number, listener));
    for (number, listener) in fitting {
        let taken = policy
            .session_acls
            .iter()
            .take(index)
            .any(|earlier| admits(earlier, number, listener) && session.when.within(&earlier.when));
        let parent = u16::try_from(index).unwrap_or(u16::MAX);
        if taken {
            if matches!(outcome, Reach::Nothing) {
                outcome = Reach::Taken;
            }
        } else if !session.accept
            || policy.command_acls.iter().any(|acl| takes(policy, acl, parent, number, listener))
        {
            return Reach::Some;
        } else {
            outcome = Reach::NoSession;
        }
    }
    outcome
}

fn command_rule(policy: &Policy, acl: &CommandAcl, index: usize) -> Reach {
    let mut outcome = Reach::Nothing;
    for (number, listener) in (0_u16..).zip(&policy.listeners) {
        for (parent, session) in (0_u16..).zip(&policy.session_acls) {
            if !(session.accept
                && admits(session, number, listener)
                && takes(policy, acl, parent, number, listener))
            {
                continue;
            }
            let taken = policy.command_acls.iter().take(index).any(|earlier| {
                takes(policy, earlier, parent, number, listener) && acl.when.within(&earlier.when)
            });
            if !taken {
                return Reach::Some;
            }
            outcome = Reach::Taken;
        }
    }
    outcome
}

/// Interceptions that no connection can meet.
pub(super) fn interceptions(sink: &Sink<'_>, policy: &Policy, places: &Places) {
    let all = places.listeners.iter().chain(&places.session_acls);
    if all.into_iter().any(|place| !place.sound) {
        return;
    }
    for ((tls, index), place) in policy.client_tls.iter().zip(0_u16..).zip(&places.client_tls) {
        let used = (0_u16..).zip(&policy.listeners).any(|(number, listener)| {
            listener.transparent.is_some()
                && (0_u16..).zip(&policy.session_acls).any(|(parent, session)| {
                    session.accept
                        && session.when.transparent != Some(false)
                        && admits(session, number, listener)
                        && policy.client_side(number, parent).client_tls == index
                        && policy.intercepts(number, parent, true).is_some()
                })
        });
        if place.sound && tls.intercept.is_some() && !used {
            sink.warn(
                &place.at,
                "`intercept` has no effect: no accepted connection that NAT brings uses it with implicit TLS",
                "write tls = \"implicit\" and transparent = { method = \"redirect\" } in the [[listener]], or remove it",
            );
        }
    }
}

/// Sessions that have no server, or Mailward itself.
pub(super) fn servers(sink: &Sink<'_>, policy: &Policy, places: &Places, acl: &CommandAcl, index: usize) {
    let Some(Place { at, .. }) = places.command_acls.get(index) else { return };
    if let Some(listener) = without_destination(policy, places, acl, index) {
        sink.error(
            at,
            format!("`plug-to` is missing, and connections to listener `{listener}` have no destination of their own"),
            "write plug-to = [\"mail.example.net\"], or limit the rule to transparent listeners with listener = [...]",
        );
    }
    not_to_oneself(sink, policy, acl, at);
}

/// A rule without `plug-to` goes on to the original destination, which only connections that NAT brought have. The name
/// of a listener whose connections would reach the rule without one.
fn without_destination<'p>(
    policy: &'p Policy,
    places: &Places,
    acl: &CommandAcl,
    index: usize,
) -> Option<&'p str> {
    if !acl.plug_to.is_empty() || acl.route.is_some() {
        return None;
    }
    let mut direct = (0_u16..)
        .zip(policy.listeners.iter().zip(&places.listeners))
        .filter(|(_, (listener, place))| place.sound && listener.transparent.is_none());
    let reaching = direct.find(|(number, (listener, _))| {
        (0_u16..).zip(&policy.session_acls).any(|(parent, session)| {
            session.accept
                && admits(session, *number, listener)
                && takes(policy, acl, parent, *number, listener)
                // An earlier rule may take everything that this listener brings.
                && !policy.command_acls.iter().take(index).any(|earlier| {
                    acl.when.within(&earlier.when) && takes(policy, earlier, parent, *number, listener)
                })
        })
    });
    reaching.map(|(_, (listener, _))| listener.name.as_str())
}

/// A server address that is an own listener's, as far as the text tells; the rest is refused when it is dialled.
fn not_to_oneself(sink: &Sink<'_>, policy: &Policy, acl: &CommandAcl, at: &At) {
    for server in &acl.plug_to {
        let own = policy.listeners.iter().find(|listener| {
            let server = server.with_port(policy.server_port(acl, listener.protocol));
            listener.addresses.iter().any(|address| match &server {
                PlugTo::Address(server) => is_own(*address, *server),
                PlugTo::Name { host, port } => {
                    host == "localhost"
                        && *port == address.port()
                        && (address.ip().is_unspecified() || address.ip().is_loopback())
                }
            })
        });
        if let Some(listener) = own {
            let server = server.with_port(policy.server_port(acl, listener.protocol));
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

/// Whether connections to a listener can meet a session-acl, addresses apart. Only those that NAT brought are
/// transparent, and NAT brings them to transparent listeners only.
fn admits(session: &SessionAcl, number: u16, listener: &Listener) -> bool {
    one_of(&session.when.listeners, number)
        && one_of(&session.when.tenants, listener.tenant)
        && (session.when.transparent != Some(true) || listener.transparent.is_some())
}

/// The same for a command-acl and a session that the session-acl `parent` accepted. A rule that asks for a certificate takes
/// only sessions that learn it in time.
fn takes(policy: &Policy, acl: &CommandAcl, parent: u16, number: u16, listener: &Listener) -> bool {
    let redirected =
        policy.session_acls.get(usize::from(parent)).and_then(|session| session.when.transparent);
    (acl.when.certificates.is_empty()
        || policy.learns_certificate(number, parent, redirected.unwrap_or_default()))
        && one_of(&acl.when.parents, parent)
        && one_of(&acl.when.protocols, listener.protocol)
        && one_of(&acl.when.listeners, number)
        && one_of(&acl.when.tenants, listener.tenant)
}
