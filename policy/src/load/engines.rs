//! `[antivirus.NAME]` and `[antispam.NAME]`: who is asked about a mail, and where they listen.
use super::document::Document;
use super::mail::header_match;
use super::service::{GIB, KIB, MIB};
use super::{Named, Place};
use crate::engine::{
    Daemon, DaemonSocket, DaemonTls, Engine, EngineKind, MOST_DAEMONS, Outside, SpamFilter, SpamKind,
    SpamRule,
};
use crate::host::is_host_name;
use crate::read::{Item, Table};
use crate::tls::{SERVER_OFF, SERVER_SYSTEM, ServerTls};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The signature set that knows EICAR's test file and nothing else.
pub(super) const TEST_SIGNATURES: &str = "builtin:test";
const RSPAMD: &str = "http://127.0.0.1:11333";
const SPAMD: &str = "127.0.0.1:783";
/// RFC 3507 section 7.2, and what servers use for ICAP in TLS.
const ICAP: u16 = 1344;
const ICAPS: u16 = 11344;

#[derive(Clone, Copy)]
enum EngineType {
    Builtin,
    Clamd,
    Icap,
}

pub(super) fn engines(document: &mut Document<'_>, server_tls: &Named<ServerTls>) -> Named<Engine> {
    const TYPES: &[(&str, EngineType)] =
        &[("builtin", EngineType::Builtin), ("clamd", EngineType::Clamd), ("icap", EngineType::Icap)];
    let sink = document.sink;
    let mut engines = Named::new();
    for (name, at, mut table) in document.named_tables("antivirus") {
        let errors = sink.errors();
        let kind =
            kind(&mut table, name, TYPES, "write type = \"clamd\", type = \"icap\" or type = \"builtin\"");
        let timeout = table.duration("timeout", Duration::from_secs(60), Duration::from_secs(1));
        let kind = match kind {
            Some(EngineType::Builtin) => EngineKind::Builtin { signatures: signatures(&mut table) },
            Some(EngineType::Clamd) => {
                let daemon = socket(&mut table, server_tls, "auto", 3310);
                EngineKind::Clamd(outside(&mut table, daemon))
            }
            Some(EngineType::Icap) => {
                let (daemon, url) = icap_url(&mut table, server_tls);
                EngineKind::Icap { outside: outside(&mut table, daemon), url }
            }
            None => {
                // The engine keeps its name, so that rules which name it are not wrong too.
                table.drain();
                EngineKind::Builtin { signatures: Vec::new() }
            }
        };
        table.finish();
        let engine = Engine { name: name.to_owned(), kind, timeout };
        engines.push(sink, "antivirus engine", name.to_owned(), Place::read(sink, errors, at), engine);
    }
    engines
}

pub(super) fn spam_filters(document: &mut Document<'_>, server_tls: &Named<ServerTls>) -> Named<SpamFilter> {
    #[derive(Clone, Copy)]
    enum FilterType {
        Builtin,
        Rspamd,
        Spamd,
    }
    const TYPES: &[(&str, FilterType)] =
        &[("builtin", FilterType::Builtin), ("rspamd", FilterType::Rspamd), ("spamd", FilterType::Spamd)];
    let sink = document.sink;
    let mut filters = Named::new();
    for (name, at, mut table) in document.named_tables("antispam") {
        let errors = sink.errors();
        let kind =
            kind(&mut table, name, TYPES, "write type = \"rspamd\", type = \"spamd\" or type = \"builtin\"");
        let timeout = table.duration("timeout", Duration::from_secs(15), Duration::from_secs(1));
        let max_size = table.size("max-size", 2 * MIB, KIB..=256 * MIB);
        let kind = match kind {
            Some(FilterType::Builtin) => SpamKind::Builtin { rules: spam_rules(&mut table) },
            Some(FilterType::Rspamd) => {
                let (daemon, host) = http_url(&mut table, server_tls);
                SpamKind::Rspamd { daemon, host }
            }
            Some(FilterType::Spamd) => SpamKind::Spamd { daemon: socket(&mut table, server_tls, SPAMD, 783) },
            None => {
                table.drain();
                SpamKind::Builtin { rules: Vec::new() }
            }
        };
        table.finish();
        let filter = SpamFilter { name: name.to_owned(), kind, timeout, max_size };
        filters.push(sink, "spam filter", name.to_owned(), Place::read(sink, errors, at), filter);
    }
    filters
}

/// Every daemon costs a descriptor in the lease of a mail.
pub(super) fn count(document: &Document<'_>, engines: &Named<Engine>, filters: &Named<SpamFilter>) {
    let engines =
        engines.values.iter().zip(&engines.places).filter(|(engine, _)| engine.kind.outside().is_some());
    let filters =
        filters.values.iter().zip(&filters.places).filter(|(filter, _)| filter.kind.daemon().is_some());
    let mut places = engines.map(|(_, place)| place).chain(filters.map(|(_, place)| place));
    if let Some(place) = places.nth(MOST_DAEMONS) {
        document.sink.error(
            &place.at,
            format!("more than {MOST_DAEMONS} engines and spam filters outside of Mailward"),
            "remove some",
        );
    }
}

/// `type`, or the name of the section.
fn kind<T: Copy>(table: &mut Table<'_>, name: &str, types: &[(&str, T)], help: &str) -> Option<T> {
    match table.take("type") {
        Some(item) => item.choice(table.place, types),
        None => {
            let kind = types.iter().find(|(word, _)| *word == name).map(|(_, kind)| *kind);
            if kind.is_none() {
                let message = format!("`{name}` is no type, and `type` is missing");
                table.sink.error(&table.at, message, help);
            }
            kind
        }
    }
}

fn signatures(table: &mut Table<'_>) -> Vec<String> {
    let Some(item) = table.take("signatures") else { return vec![TEST_SIGNATURES.to_owned()] };
    let mut signatures = Vec::new();
    for (item, text) in item.some_strings().unwrap_or_default() {
        if text == TEST_SIGNATURES || text.starts_with('/') {
            signatures.push(text.to_owned());
        } else {
            item.error(
                format!("`{text}` is no set of signatures"),
                "write \"builtin:test\", or the absolute path of a file or folder",
            );
        }
    }
    signatures
}

fn outside(table: &mut Table<'_>, daemon: Daemon) -> Outside {
    let max_size = table.take("max-size").and_then(|item| {
        if item.is_text() && item.text() == Some("auto") { None } else { item.size(KIB..=4 * GIB) }
    });
    let ignore = table.take("ignore").and_then(|item| item.strings()).unwrap_or_default();
    let ignore = ignore.into_iter().map(|(_, pattern)| pattern.to_owned()).collect();
    Outside { daemon, max_size, ignore }
}

fn spam_rules(table: &mut Table<'_>) -> Vec<SpamRule> {
    let item = table.take("rules");
    let tables = item.iter().flat_map(|item| item.tables_in("spam-rule"));
    tables
        .map(|mut table| {
            let score = table.require("score", "write the points: score = 2.5").and_then(|item| item.score());
            let symbol = table.take("symbol").and_then(|item| item.filled()).map(str::to_owned);
            let (field, name) = header_match(table);
            SpamRule { field, symbol: symbol.unwrap_or(name), score: score.unwrap_or_default() }
        })
        .collect()
}

/// `socket`: "auto" where `default` is, a path, an address or a name with a port, "tls:" before the latter two.
fn socket(table: &mut Table<'_>, server_tls: &Named<ServerTls>, default: &str, usual: u16) -> Daemon {
    let item = table.take("socket");
    let text = item.as_ref().and_then(|item| item.filled()).unwrap_or(default);
    let (place, behind_tls) = text.strip_prefix("tls:").map_or((text, false), |place| (place, true));
    let found = match place {
        "auto" if default == "auto" && !behind_tls => Some((DaemonSocket::Auto, String::new())),
        path if path.starts_with('/') && !behind_tls => {
            Some((DaemonSocket::Path(PathBuf::from(path)), String::new()))
        }
        place => place.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            at_host(host, port)
        }),
    };
    if found.is_none()
        && let Some(item) = &item
    {
        let auto = if default == "auto" { "\"auto\", " } else { "" };
        item.error(
            format!("`{text}` is no place where a daemon listens"),
            format!(
                "write {auto}the path of its socket, \"192.0.2.1:{usual}\", \"host.example.net:{usual}\" or \
                 \"tls:host.example.net:{usual}\""
            ),
        );
    }
    let (socket, name) = found.unwrap_or((DaemonSocket::Auto, String::new()));
    Daemon { socket, tls: tls(table, server_tls, behind_tls, name) }
}

/// `url` of an ICAP service.
fn icap_url(table: &mut Table<'_>, server_tls: &Named<ServerTls>) -> (Daemon, String) {
    const HELP: &str = "write url = \"icap://192.0.2.1:1344/avscan\"; icaps:// is ICAP in TLS";
    let item = table.require("url", HELP);
    let text = item.as_ref().and_then(|item| item.filled()).unwrap_or_default();
    let found = url(text, &[("icap://", ICAP, false), ("icaps://", ICAPS, true)]);
    if let (None, Some(item)) = (&found, &item) {
        item.error(format!("`{text}` is no address of an ICAP service"), HELP);
    }
    (daemon(table, server_tls, found.as_ref()), text.to_owned())
}

/// `url` of rspamd: host and port, without a path.
fn http_url(table: &mut Table<'_>, server_tls: &Named<ServerTls>) -> (Daemon, String) {
    let item = table.take("url");
    let text = item.as_ref().and_then(|item| item.filled()).unwrap_or(RSPAMD);
    let found = url(text, &[("http://", 11333, false), ("https://", 443, true)]);
    let found = found.filter(|found| found.path.is_empty() || found.path == "/");
    if let (None, Some(item)) = (&found, &item) {
        let help = "write url = \"http://127.0.0.1:11333\", without a path; https:// is HTTP in TLS";
        item.error(format!("`{text}` is no address of rspamd"), help);
    }
    let host = found.as_ref().map(|found| found.authority.clone()).unwrap_or_default();
    (daemon(table, server_tls, found.as_ref()), host)
}

struct Url {
    authority: String,
    path: String,
    socket: DaemonSocket,
    name: String,
    tls: bool,
}

/// A URL of one of these schemes, with their usual ports; printable, without blanks, user names and fragments.
fn url(text: &str, schemes: &[(&str, u16, bool)]) -> Option<Url> {
    let (rest, usual, tls) =
        schemes.iter().find_map(|(scheme, port, tls)| Some((text.strip_prefix(scheme)?, *port, *tls)))?;
    let path_at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(path_at)?;
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) || text.contains(['#', '@', '"', '\\']) {
        return None;
    }
    let bare = authority.ends_with(']') || !authority.contains(':');
    let (host, port) = if bare {
        (authority, Some(usual))
    } else {
        let (host, port) = authority.rsplit_once(':')?;
        (host, port.parse().ok().filter(|port| *port != 0))
    };
    let (socket, name) = at_host(host, port?)?;
    Some(Url { authority: authority.to_owned(), path: path.to_owned(), socket, name, tls })
}

/// An address or a name, with the name that a certificate must have.
fn at_host(host: &str, port: u16) -> Option<(DaemonSocket, String)> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match literal {
        Some(literal) => Some(IpAddr::V6(literal.parse().ok()?)),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    };
    if let Some(ip) = address {
        let usable = !ip.is_unspecified() && !ip.is_multicast();
        return usable.then(|| (DaemonSocket::Tcp(SocketAddr::new(ip, port)), ip.to_string()));
    }
    let host = host.to_ascii_lowercase();
    is_host_name(&host)
        .then(|| (DaemonSocket::Name { host: host.clone(), port, addresses: Vec::new() }, host))
}

fn daemon(table: &mut Table<'_>, server_tls: &Named<ServerTls>, url: Option<&Url>) -> Daemon {
    match url {
        Some(url) => {
            Daemon { socket: url.socket.clone(), tls: tls(table, server_tls, url.tls, url.name.clone()) }
        }
        None => Daemon { socket: DaemonSocket::Auto, tls: tls(table, server_tls, false, String::new()) },
    }
}

/// `server-tls`: whom to trust where the daemon is behind TLS.
fn tls(table: &mut Table<'_>, all: &Named<ServerTls>, behind: bool, name: String) -> Option<DaemonTls> {
    let item = table.take("server-tls");
    let given = item.as_ref().and_then(|item| all.find(item, "server-tls", item.filled()?));
    if let Some(item) = &item {
        wrong_tls(item, all, behind, given);
    }
    behind.then(|| DaemonTls { name, server_tls: given.unwrap_or(SERVER_SYSTEM) })
}

fn wrong_tls(item: &Item<'_>, all: &Named<ServerTls>, behind: bool, given: Option<u16>) {
    let settings = given.and_then(|index| all.values.get(usize::from(index)));
    if !behind {
        item.error(
            "`server-tls` without TLS",
            "remove it, or write socket = \"tls:host:port\", or a url with icaps:// or https://",
        );
    } else if given == Some(SERVER_OFF) {
        item.error("this server-tls is clear text, and the daemon is behind TLS", "name another one");
    } else if settings.is_some_and(|tls| tls.certificate.is_some()) {
        item.error(
            "this server-tls shows a certificate, for which scanners have no key",
            "name one without `certificate`",
        );
    }
}
