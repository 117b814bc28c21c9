//! The conditions that rules of every phase share, as they are written.
use super::Named;
use super::lists::Lists;
use crate::conditions::{CertificateMatch, Conditions};
use crate::host::HostList;
use crate::list::{Case, Patterns};
use crate::model::Listener;
use crate::names::{Direction, Protocol};
use crate::read::{Item, Table};
use crate::time::TimeList;

/// The words of protocols.
pub(super) const PROTOCOLS: &[(&str, Protocol)] =
    &[("pop3", Protocol::Pop3), ("imap", Protocol::Imap), ("sieve", Protocol::Sieve)];
const DIRECTIONS: &[(&str, Direction)] = &[("download", Direction::Download), ("upload", Direction::Upload)];

/// What conditions can name.
pub(super) struct Names<'n> {
    pub(super) hosts: &'n Lists<HostList>,
    pub(super) times: &'n Lists<TimeList>,
    pub(super) listeners: &'n Named<Listener>,
    pub(super) tenants: &'n Named<String>,
}

/// In a tenant's own file.
pub(super) const OWN_TENANT: &str = "everything in this file is about its tenant";

impl Names<'_> {
    /// What can be known of a connection.
    pub(super) fn connection(&self, table: &mut Table<'_>) -> Conditions {
        Conditions {
            listeners: self.listeners.find_all(table.take("listener"), "listener"),
            tenants: self.tenants(table),
            transparent: table.take("transparent").and_then(|item| item.flag()),
            from: self.hosts.list(table.take("from")),
            time: self.times.list(table.take("time")),
            to: self.servers(table.take("to")),
            ..Conditions::default()
        }
    }

    /// `tenant`; in a tenant's own file it is that one.
    fn tenants(&self, table: &mut Table<'_>) -> Vec<u16> {
        let given = table.take("tenant");
        let Some(own) = table.tenant() else { return self.tenants.find_all(given, "tenant") };
        if let Some(item) = given {
            item.error(OWN_TENANT, "remove it");
        }
        vec![self.tenants.index_of(own)]
    }

    /// A list of places that clients want to go to: names have addresses, and nobody confirms a server's name.
    fn servers(&self, item: Option<Item<'_>>) -> HostList {
        let list = self.hosts.list(item.clone());
        if let Some(item) = item.filter(|_| list.has_patterns()) {
            item.error(
                "a pattern of names in `to`: the name of a server is not confirmed by anybody",
                "write whole names, or addresses",
            );
        }
        list
    }

    /// What can be known of a session.
    pub(super) fn session(&self, table: &mut Table<'_>) -> Conditions {
        Conditions {
            listeners: self.listeners.find_all(table.take("listener"), "listener"),
            tenants: self.tenants(table),
            protocols: words(table, "protocol", PROTOCOLS),
            from: self.hosts.list(table.take("from")),
            time: self.times.list(table.take("time")),
            certificates: certificates(table.take("client-certificate")),
            users: patterns(table.take("user"), Case::User),
            groups: patterns(table.take("group"), Case::Counts),
            ..Conditions::default()
        }
    }

    /// What can be known of the session of a mail; its parents are command-acls.
    pub(super) fn mail(&self, table: &mut Table<'_>, parents: Vec<u16>) -> Conditions {
        Conditions {
            parents,
            listeners: self.listeners.find_all(table.take("listener"), "listener"),
            tenants: self.tenants(table),
            protocols: words(table, "protocol", PROTOCOLS),
            from: self.hosts.list(table.take("from")),
            time: self.times.list(table.take("time")),
            users: patterns(table.take("user"), Case::User),
            groups: patterns(table.take("group"), Case::Counts),
            ..Conditions::default()
        }
    }
}

/// `direction`.
pub(super) fn directions(table: &mut Table<'_>) -> Vec<Direction> {
    words(table, "direction", DIRECTIONS)
}

/// A list of words; not given: empty.
fn words<T: Copy>(table: &mut Table<'_>, key: &'static str, known: &[(&str, T)]) -> Vec<T> {
    let place = table.place;
    let items = table.take(key).and_then(|item| item.some_strings()).unwrap_or_default();
    items.iter().filter_map(|(item, _)| item.choice(place, known)).collect()
}

/// A list of patterns; not given: everything.
pub(super) fn patterns(item: Option<Item<'_>>, case: Case) -> Patterns {
    let Some(items) = item.and_then(|item| item.some_strings()) else { return Patterns::default() };
    Patterns::new(items.iter().map(|(_, text)| *text), case)
}

/// A list of what certificates must be like.
pub(super) fn certificates(item: Option<Item<'_>>) -> Vec<CertificateMatch> {
    let tables = item.iter().flat_map(|item| item.tables("certificate-match"));
    tables.map(|table| certificate(table)).collect()
}

fn certificate(mut table: Table<'_>) -> CertificateMatch {
    let text = |item: Option<Item<'_>>| item.and_then(|item| item.filled()).map(str::to_lowercase);
    let wanted = CertificateMatch {
        subject: text(table.take("subject")),
        issuer: text(table.take("issuer")),
        san: table.take("san").and_then(|item| item.filled()).map(str::to_owned),
        fingerprint: table.take("fingerprint").and_then(|item| fingerprint(&item)),
    };
    if wanted == CertificateMatch::default() {
        table.sink.error(
            &table.at,
            "this asks nothing of a certificate, so every one would match",
            "write subject, issuer, san or fingerprint",
        );
    }
    table.finish();
    wanted
}

/// SHA-256 in hexadecimal, with or without colons.
pub(super) fn fingerprint(item: &Item<'_>) -> Option<String> {
    let digits = item.filled()?.replace(':', "").to_ascii_lowercase();
    if digits.len() == 64 && digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Some(digits);
    }
    item.error(
        "this is not the SHA-256 of a certificate",
        "write 64 hexadecimal digits: `openssl x509 -noout -fingerprint -sha256` prints them",
    );
    None
}
