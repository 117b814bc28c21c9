//! `[[session-acl]]` and `[[command-acl]]`.
use super::conditions::Names;
use super::document::Document;
use super::service::{GIB, KIB, MIB, count};
use super::tls;
use super::{Named, Place};
use crate::conditions::Conditions;
use crate::diagnostic::At;
use crate::engine::{Engine, SpamFilter};
use crate::host::{is_host_name, socket_address};
use crate::list::{IMAP_COMMANDS, NameList, POP3_COMMANDS, UNKNOWN, matches};
use crate::model::{ClientId, CommandAcl, ImapRules, MailFilter, PlugTo, Scanning, SessionAcl, SessionRules};
use crate::names::Language;
use crate::read::{Item, Table, nearest};
use crate::tls::{ClientTls, ServerTls};
use std::net::SocketAddr;
use std::time::Duration;

/// RFC 2449 section 4: a client may send 255 octets and a server 512, so no limit is below that.
const LEAST_COMMAND_LINE: u64 = 255;
const LEAST_RESPONSE_LINE: u64 = 512;
/// RFC 5322 section 2.1.1: 998 octets and CRLF.
const LEAST_MAIL_LINE: u64 = 1000;

pub(super) fn session_acls(
    document: &mut Document<'_>,
    names: &Names<'_>,
    client_tls: &Named<ClientTls>,
) -> Named<SessionAcl> {
    let sink = document.sink;
    let mut acls = Named::new();
    let tables = document.some_tables(
        "session-acl",
        "there is no [[session-acl]], so no connection would be accepted",
        "write one, with from = [...] for the clients it accepts",
    );
    for (mut table, number) in tables.into_iter().zip(1_usize..) {
        let errors = sink.errors();
        let (name, at) = name(&mut table, "session-acl", number);
        let (tls, client_tls) = tls::of_session(&mut table, client_tls);
        let acl = SessionAcl {
            name: name.clone(),
            when: names.connection(&mut table),
            accept: accepts(&mut table),
            max_sessions_per_client: count(&mut table, "max-sessions-per-client", 0, 0, 10_000_000),
            language: language(&mut table),
            require_client_certificate: tls::required(&mut table, "require-client-certificate"),
            tls,
            client_tls,
        };
        table.finish();
        acls.push(sink, "session-acl", name, Place::read(sink, errors, at), acl);
    }
    acls
}

/// What a command-acl can name.
pub(super) struct Sections<'n> {
    pub(super) names: &'n Names<'n>,
    pub(super) session_acls: &'n Named<SessionAcl>,
    pub(super) engines: &'n Named<Engine>,
    pub(super) spam_filters: &'n Named<SpamFilter>,
    pub(super) filters: &'n Named<MailFilter>,
    pub(super) server_tls: &'n Named<ServerTls>,
}

pub(super) fn command_acls(document: &mut Document<'_>, sections: &Sections<'_>) -> Named<CommandAcl> {
    let sink = document.sink;
    let mut acls = Named::new();
    let tables = document.some_tables(
        "command-acl",
        "there is no [[command-acl]], so no session could do anything",
        "write one, with plug-to = [...] for the server",
    );
    for (mut table, number) in tables.into_iter().zip(1_usize..) {
        let errors = sink.errors();
        let (name, at) = name(&mut table, "command-acl", number);
        let acl = command_acl(&mut table, sections, name.clone());
        table.finish();
        acls.push(sink, "command-acl", name, Place::read(sink, errors, at), acl);
    }
    acls
}

fn command_acl(table: &mut Table<'_>, sections: &Sections<'_>, name: String) -> CommandAcl {
    let parents = sections.session_acls.find_all(table.take("session-acl"), "session-acl");
    let when = Conditions { parents, ..sections.names.session(table) };
    let accept = accepts(table);
    let servers = table.take("plug-to");
    let route = table.take("route");
    if let (Some(servers), Some(route)) = (&servers, &route) {
        let place = table.sink.place(&servers.key_at);
        table.sink.error(
            &route.key_at,
            "`plug-to` and `route` in one rule",
            format!("`plug-to` stands at {place}: keep one of them"),
        );
    }
    let servers = servers.and_then(|item| item.some_strings()).unwrap_or_default();
    let route = route.and_then(|item| {
        item.check_as("command-acl");
        item.filled().map(str::to_owned)
    });
    let server_tls = tls::of_server(table, sections.server_tls);
    let plug_to = servers.iter().filter_map(|(item, text)| plug_to(item, text)).collect();
    let mut connect_timeout = Duration::from_secs(75);
    if let Some(mut conn) = table.take("server-conn").and_then(|item| item.table("conn")) {
        connect_timeout = conn.duration("connect-timeout", connect_timeout, Duration::from_millis(100));
        conn.finish();
    }
    let download_item = table.take("download");
    let mut download = download_item.as_ref().and_then(|item| item.table("command-acl.download"));
    let scan = !download.as_mut().is_some_and(|table| table.flag("no-mail-scanning", false));
    let upload_item = table.take("upload");
    let mut upload = upload_item.as_ref().and_then(|item| item.table("command-acl.upload"));
    let scan_upload = !upload.as_mut().is_some_and(|table| table.flag("no-mail-scanning", false));
    let commands = table.take("commands");
    let capabilities = table.take("capabilities").and_then(|item| item.some_strings());
    let capabilities = capabilities
        .map_or_else(|| NameList::new(["*"]), |items| NameList::new(items.iter().map(|(_, name)| *name)));
    let no_limit = |duration: Duration| (!duration.is_zero()).then_some(duration);
    let usize_of = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    // IMAP's lines and pauses are longer than POP3's, unless one length is written for both.
    let mut by_protocol = |name: &'static str, pop3: u64, imap: usize, least: u64| {
        let written = table.has(name);
        let pop3 = usize_of(table.size(name, pop3, least..=MIB));
        (pop3, if written { pop3 } else { imap })
    };
    let defaults = ImapRules::default();
    let cmd_line_len = by_protocol("cmd-line-len", 8 * KIB, defaults.cmd_line_len, LEAST_COMMAND_LINE);
    let resp_line_len = by_protocol("resp-line-len", 8 * KIB, defaults.resp_line_len, LEAST_RESPONSE_LINE);
    let written = table.has("idle-timeout");
    // RFC 1939 section 3 wants ten minutes at least; an operator may know better, a second is a mistake.
    let idle_timeout = table.duration("idle-timeout", Duration::from_secs(600), Duration::from_secs(10));
    let imap = ImapRules {
        cmd_line_len: cmd_line_len.1,
        resp_line_len: resp_line_len.1,
        idle_timeout: if written { idle_timeout } else { defaults.idle_timeout },
        idle_heartbeat: table.duration("idle-heartbeat", defaults.idle_heartbeat, Duration::from_secs(10)),
        client_id: table.choice(
            "client-id",
            ClientId::Pass,
            &[("pass", ClientId::Pass), ("replace", ClientId::Replace), ("strip", ClientId::Strip)],
        ),
        refuse_content_search: table.choice("content-search", false, &[("pass", false), ("refuse", true)]),
    };
    let session = SessionRules {
        name,
        commands: command_list(commands, scan && scan_upload),
        capabilities,
        max_time: no_limit(table.duration("max-time", Duration::ZERO, Duration::ZERO)),
        idle_timeout,
        max_bytes_in: table.size("max-bytes-in", 0, 0..=u64::MAX),
        max_bytes_out: table.size("max-bytes-out", 0, 0..=u64::MAX),
        cmd_line_len: cmd_line_len.0,
        resp_line_len: resp_line_len.0,
        monitor: monitors(table),
        scan_patience: table.duration("scan-patience", Duration::from_secs(45), Duration::from_secs(1)),
        strict: table.choice("metadata", false, &[("lazy", false), ("strict", true)]),
        strict_limit: count(table, "strict-limit", 200, 0, 10_000_000),
        download: scanning(download, sections, scan),
        upload: scanning(upload, sections, scan_upload),
        imap,
        server_tls,
        require_server_certificate: tls::required(table, "require-server-certificate"),
    };
    let language = language(table);
    CommandAcl {
        name: session.name.clone(),
        when,
        accept,
        plug_to,
        route,
        language,
        connect_timeout,
        session,
    }
}

/// `language`, if it is written.
pub(super) fn language(table: &mut Table<'_>) -> Option<Language> {
    let names = Language::ALL.map(|language| (language.to_string(), language));
    let words: Vec<(&str, Language)> =
        names.iter().map(|(name, language)| (name.as_str(), *language)).collect();
    table.take("language").and_then(|item| item.choice(table.place, &words))
}

/// `enforce = "monitor"`.
pub(super) fn monitors(table: &mut Table<'_>) -> bool {
    let Some(item) = table.take("enforce") else { return false };
    let monitors = item.choice(table.place, &[("on", false), ("monitor", true)]).unwrap_or(false);
    if monitors {
        table.sink.warn(
            &item.at,
            "nothing is enforced here: what would be replaced or refused is delivered as it is",
            "write enforce = \"on\" when the log shows what you expect",
        );
    }
    monitors
}

fn scanning(download: Option<Table<'_>>, sections: &Sections<'_>, scan: bool) -> Scanning {
    let mut scanning = Scanning {
        scan,
        max_mail: 50 * MIB,
        mail_line_len: 1 << 20,
        engines: sections.engines.all(),
        spam_filters: sections.spam_filters.all(),
        // `default` always exists and is the first.
        mail_filter: 0,
    };
    let Some(mut table) = download else { return scanning };
    scanning.max_mail = table.size("max-mail", scanning.max_mail, KIB..=4 * GIB);
    let line = table.size("mail-line-len", MIB, LEAST_MAIL_LINE..=64 * MIB);
    scanning.mail_line_len = usize::try_from(line).unwrap_or(usize::MAX);
    if let Some(item) = table.take("mail-filter")
        && let Some(name) = item.filled()
    {
        scanning.mail_filter = sections.filters.find(&item, "mail-filter", name).unwrap_or(0);
    }
    if let Some(item) = table.take("antivirus") {
        // The empty list is meant: no engine is asked and the status is `skipped`.
        scanning.engines = sections.engines.some(&item, "antivirus engine");
    }
    if let Some(item) = table.take("antispam") {
        scanning.spam_filters = sections.spam_filters.some(&item, "spam filter");
    }
    table.finish();
    scanning
}

/// `commands`, with every positive item spelled out: `*` means every name that Mailward implements, never UNKNOWN.
fn command_list(item: Option<Item<'_>>, scan: bool) -> NameList {
    let items = item.and_then(|item| item.some_strings()).unwrap_or_default();
    let mut given = NameList::default();
    let mut unknown = false;
    for (item, text) in &items {
        let upper = text.to_ascii_uppercase();
        let (negative, name) = match upper.strip_prefix('!') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, upper),
        };
        if name == UNKNOWN {
            if !negative && !scan {
                item.later_value(
                    "`UNKNOWN` is not in this version: whether its answer has one line or more cannot be known",
                    "remove it; commands that Mailward does not implement are refused",
                );
            } else if !negative {
                item.error(
                    "`UNKNOWN` would let mail past the scanner",
                    "remove it; it is allowed only with no-mail-scanning = true in [command-acl.download]",
                );
            }
            unknown |= !negative;
            continue;
        }
        if matches!(name.as_str(), "STLS" | "STARTTLS") {
            item.error(format!("`{text}` is not decided here"), "remove it; `tls` of the listener decides");
            continue;
        }
        let meant = implemented().filter(|command| matches(&name, command)).map(str::to_owned);
        let meant: Vec<String> = meant.collect();
        if meant.is_empty() {
            let help = match nearest(&name, implemented()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!(
                    "Mailward implements of POP3: {}; of IMAP: {}",
                    POP3_COMMANDS.join(" "),
                    IMAP_COMMANDS.join(" ")
                ),
            };
            item.error(format!("`{text}` names no command that Mailward implements"), help);
        }
        if negative { &mut given.negative } else { &mut given.positive }.extend(meant);
    }
    if given.positive.is_empty() && !unknown {
        given.positive = implemented().map(str::to_owned).collect();
    }
    for side in [&mut given.positive, &mut given.negative] {
        side.sort();
        side.dedup();
    }
    if unknown {
        given.positive.push(UNKNOWN.to_owned());
    }
    given
}

/// The commands of both protocols; LIST, NOOP … are the same word in both.
fn implemented() -> impl Iterator<Item = &'static str> {
    POP3_COMMANDS.into_iter().chain(IMAP_COMMANDS)
}

fn plug_to(item: &Item<'_>, text: &str) -> Option<PlugTo> {
    const FORM: &str =
        "write \"mail.example.net\", \"mail.example.net:110\", \"192.0.2.1:110\" or \"[2001:db8::1]:110\"";
    let (server, written) = if let Some(address) = socket_address(text, 0) {
        (PlugTo::Address(address), text.parse::<SocketAddr>().is_ok())
    } else {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (text, Some(0)),
        };
        let Some(port) = port.filter(|_| is_host_name(host)) else {
            item.error(format!("`{text}` is not the address of a server"), FORM);
            return None;
        };
        (PlugTo::Name { host: host.to_ascii_lowercase(), port }, text != host)
    };
    let nowhere = match &server {
        PlugTo::Address(address) => {
            address.ip().is_unspecified() || address.ip().is_multicast() || (written && address.port() == 0)
        }
        PlugTo::Name { port, .. } => written && *port == 0,
    };
    if nowhere {
        item.error(format!("no server can be reached at `{text}`"), FORM);
        return None;
    }
    Some(server)
}

/// The rule's name and where it is best pointed at.
pub(super) fn name(table: &mut Table<'_>, kind: &str, number: usize) -> (String, At) {
    let item = table.take("name");
    let name = item.as_ref().and_then(|item| item.filled()).map(str::to_owned);
    let at = item.map_or_else(|| table.at.clone(), |item| item.at);
    (name.unwrap_or_else(|| format!("{kind}-{number}")), at)
}

fn accepts(table: &mut Table<'_>) -> bool {
    table.choice("action", true, &[("accept", true), ("deny", false)])
}
