//! `[service]`, `[[tenant]]`, `[log]`, `[login]`, `[resolver]` and `[quarantine]`.
use super::document::Document;
use super::rules::language;
use super::{LoadOptions, Named, Place};
use crate::diagnostic::At;
use crate::host::socket_address;
use crate::model::{Control, LogSettings, Login, Quarantine, Resolver, Service};
use crate::names::Language;
use crate::read::{Item, Table};
use crate::time::Zone;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
/// Counts that only have to be numbers.
const MANY: u64 = 10_000_000;

const UID_RANGE: (u32, u32) = (2_147_000_000, 2_147_000_999);

/// The tenants, and how many sessions each may have.
pub(super) fn tenants(document: &mut Document<'_>) -> (Named<String>, Vec<usize>) {
    let sink = document.sink;
    let mut tenants = Named::new();
    let start = document.start();
    tenants.push(sink, "tenant", "default".to_owned(), Place::implied(start), "default".to_owned());
    let mut sessions = vec![0];
    for mut table in document.tables("tenant") {
        let most = count(&mut table, "max-sessions", 0, 0, MANY);
        if let Some(item) = table.take("include") {
            if item.at.file == 0 {
                item.filled();
            } else {
                item.error("an included file cannot include", "name the tenant's file in the main file");
            }
        }
        if let Some(item) = table.require("name", "write name = \"...\"")
            && let Some(name) = item.filled()
        {
            if name == "default" {
                item.error("the tenant `default` always exists", "remove this [[tenant]]");
            } else {
                tenants.push(
                    sink,
                    "tenant",
                    name.to_owned(),
                    Place::implied(item.at.clone()),
                    name.to_owned(),
                );
                sessions.push(most);
            }
        }
        table.finish();
    }
    (tenants, sessions)
}

/// `[service]`, and where its `accounts` stand.
pub(super) fn service(document: &mut Document<'_>, options: LoadOptions) -> (Service, Option<At>) {
    let mut service = Service {
        process_per_session: false,
        workers: options.cores,
        spare_workers: 8,
        // A scanner that waits for an engine leaves its core to another: half as many more keep the engine busy.
        scanners: options.cores + options.cores.div_ceil(2),
        scanner_lives: 20,
        require_full_sandbox: None,
        uid_range: UID_RANGE,
        accounts: Vec::new(),
        state_dir: PathBuf::from("/var/lib/mailward"),
        spool_dir: PathBuf::from("/var/lib/mailward/spool"),
        spool_memory: 512 * MIB,
        spool_file_above: 16 * MIB,
        max_sessions: 20_000,
        max_sessions_per_client: 0,
        backlog: 2000,
        copy_cache: 32 * MIB,
        answer_cache: 100_000,
        pid_file: None,
        zone: None,
        language: Language::En,
    };
    let Some(mut table) = document.table("service") else { return (service, None) };
    let at = table.at.clone();
    service.process_per_session = table.choice("isolation", false, &[("shared", false), ("session", true)]);
    service.workers = processes(&mut table, "workers", service.workers);
    service.spare_workers = count(&mut table, "spare-workers", service.spare_workers, 0, 4096);
    service.scanners = processes(&mut table, "scanners", service.scanners);
    service.scanner_lives = count32(&mut table, "scanner-lives", service.scanner_lives, 1);
    service.require_full_sandbox =
        table.choice("require-sandbox", None, &[("full", Some(true)), ("best-effort", Some(false))]);
    if let Some(range) = table.take("uid-range").and_then(|item| uid_range(&item)) {
        service.uid_range = range;
    }
    let given = table.take("accounts");
    if let Some(item) = &given {
        service.accounts = accounts(item);
    }
    service.state_dir = path(&mut table, "state-dir").unwrap_or(service.state_dir);
    service.spool_dir = path(&mut table, "spool-dir").unwrap_or(service.spool_dir);
    service.spool_memory = table.size("spool-memory", service.spool_memory, MIB..=1024 * GIB);
    service.spool_file_above = table.size("spool-file-above", service.spool_file_above, 64 * KIB..=GIB);
    service.max_sessions = count(&mut table, "max-sessions", service.max_sessions, 0, MANY);
    service.max_sessions_per_client =
        count(&mut table, "max-sessions-per-client", service.max_sessions_per_client, 0, MANY);
    service.backlog = i32::try_from(table.count("backlog", 2000, 1..=65_535)).unwrap_or(2000);
    service.copy_cache = table.size("copy-cache", service.copy_cache, 0..=64 * GIB);
    service.answer_cache = count(&mut table, "answer-cache", service.answer_cache, 0, MANY);
    service.pid_file = table.take("pid-file").and_then(|item| match item.text() {
        Some("") => None,
        Some(_) => absolute(&item),
        None => None,
    });
    service.language = language(&mut table).unwrap_or_default();
    if let Some(item) = table.take("tz") {
        service.zone = zone(&item);
    }
    if service.spool_file_above > service.spool_memory {
        table.sink.error(
            &at,
            "`spool-file-above` is more than `spool-memory`, so some mails would fit nowhere",
            "lower `spool-file-above`, or raise `spool-memory`",
        );
    }
    table.finish();
    (service, given.map(|item| item.key_at))
}

/// `tz`; `None`: the system's.
fn zone(item: &Item<'_>) -> Option<Zone> {
    let name = item.filled().filter(|name| *name != "local")?;
    let zone = Zone::named(name);
    if zone.is_none() {
        item.error(
            format!("there is no time zone `{name}`"),
            "write \"local\", or a name of the IANA database: \"Europe/Prague\", \"UTC\"",
        );
    }
    zone
}

pub(super) fn log(document: &mut Document<'_>) -> LogSettings {
    let mut log = LogSettings { level: "info".to_owned(), format: "auto".to_owned() };
    let Some(mut table) = document.table("log") else { return log };
    let same = |word: &'static str| (word, word);
    log.level =
        table.choice("level", "info", &["error", "warn", "info", "debug", "trace"].map(same)).to_owned();
    log.format = table
        .choice("format", "auto", &["auto", "text", "json", "rfc5424", "perdition"].map(same))
        .to_owned();
    table.finish();
    log
}

/// Octets of `ok-text`: a line of POP3 has 512 (RFC 2449 section 4).
const MAX_OK_TEXT: usize = 400;

pub(super) fn login(document: &mut Document<'_>) -> Login {
    let mut login = Login {
        failure_limit: 5,
        bad_command_limit: 5,
        deadline: Duration::from_secs(60),
        failure_delay: Duration::from_secs(2),
        disabled: false,
        ok_text: String::new(),
    };
    let Some(mut table) = document.table("login") else { return login };
    login.failure_limit = count32(&mut table, "failure-limit", login.failure_limit, 1);
    login.bad_command_limit = count32(&mut table, "bad-command-limit", login.bad_command_limit, 1);
    login.deadline = table.duration("deadline", login.deadline, Duration::from_secs(1));
    login.failure_delay = table.duration("failure-delay", login.failure_delay, Duration::ZERO);
    login.disabled = table.flag("login-disabled", false);
    if let Some(item) = table.take("ok-text")
        && let Some(text) = item.text()
    {
        let plain = text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
        // `[` would begin a response code.
        if plain && text.len() <= MAX_OK_TEXT && !text.starts_with(['[', ' ']) {
            text.clone_into(&mut login.ok_text);
        } else {
            item.error(
                format!("this is no answer: at most {MAX_OK_TEXT} letters of ASCII that do not begin with ["),
                "write ok-text = \"welcome\"",
            );
        }
    }
    table.finish();
    login
}

pub(super) fn resolver(document: &mut Document<'_>) -> Resolver {
    let mut resolver = Resolver {
        servers: Vec::new(),
        timeout: Duration::from_secs(5),
        startup_timeout: Duration::from_secs(15),
    };
    let Some(mut table) = document.table("resolver") else { return resolver };
    for (item, text) in table.take("servers").and_then(|item| item.strings()).unwrap_or_default() {
        match socket_address(text, 53) {
            Some(server) if server.port() != 0 => resolver.servers.push(server),
            Some(_) | None => item.error(
                format!("`{text}` is not the address of a name server"),
                "write an address, with a port if it is not 53: \"192.0.2.53\", \"[2001:db8::53]:5353\"",
            ),
        }
    }
    resolver.timeout = table.duration("timeout", resolver.timeout, Duration::from_millis(100));
    resolver.startup_timeout = table.duration("startup-timeout", resolver.startup_timeout, Duration::ZERO);
    table.finish();
    resolver
}

pub(super) fn control(document: &mut Document<'_>) -> Control {
    let mut control =
        Control { socket: PathBuf::from("/run/mailward/control.sock"), group: "root".to_owned() };
    let Some(mut table) = document.table("control") else { return control };
    control.socket = path(&mut table, "socket").unwrap_or(control.socket);
    if let Some(group) = table.take("group").and_then(|item| item.filled().map(str::to_owned)) {
        control.group = group;
    }
    table.finish();
    control
}

/// Whether a mail of which there is no copy must not be deleted, and what is kept.
pub(super) fn quarantine(document: &mut Document<'_>) -> (bool, Option<Quarantine>) {
    let mut quarantine = Quarantine { keep: Duration::from_secs(14 * 24 * 3600), max_size: 10 * GIB };
    let Some(mut table) = document.table("quarantine") else { return (true, Some(quarantine)) };
    let enabled = table.take("enabled").and_then(|item| item.flag()).unwrap_or(true);
    quarantine.keep = table.duration("keep", quarantine.keep, Duration::from_secs(3600));
    quarantine.max_size = table.size("max-size", quarantine.max_size, MIB..=1024 * 1024 * GIB);
    let refuse = table.choice("without-quarantine", true, &[("refuse-delete", true), ("allow", false)]);
    table.finish();
    (refuse, enabled.then_some(quarantine))
}

/// "auto" or a number of processes.
fn processes(table: &mut Table<'_>, key: &'static str, auto: usize) -> usize {
    let Some(item) = table.take(key) else { return auto };
    if item.is_text() {
        item.choice("service", &[("auto", ())]);
        return auto;
    }
    item.count(1..=1024).and_then(|number| usize::try_from(number).ok()).unwrap_or(auto)
}

pub(super) fn count(
    table: &mut Table<'_>,
    key: &'static str,
    default: usize,
    least: u64,
    most: u64,
) -> usize {
    table
        .take(key)
        .and_then(|item| item.count(least..=most))
        .map_or(default, |n| usize::try_from(n).unwrap_or(default))
}

fn count32(table: &mut Table<'_>, key: &'static str, default: u32, least: u64) -> u32 {
    let number = table.take(key).and_then(|item| item.count(least..=1_000_000));
    number.map_or(default, |number| u32::try_from(number).unwrap_or(default))
}

fn path(table: &mut Table<'_>, key: &'static str) -> Option<PathBuf> {
    table.take(key).and_then(|item| absolute(&item))
}

/// An absolute path.
pub(super) fn absolute(item: &Item<'_>) -> Option<PathBuf> {
    item.absolute().map(PathBuf::from)
}

fn uid_range(item: &Item<'_>) -> Option<(u32, u32)> {
    let range = item.text()?.split_once('-').and_then(|(first, last)| {
        let range: (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (range.0 > 0 && range.0 <= range.1 && range.1 < u32::MAX).then_some(range)
    });
    if range.is_none() {
        item.error("`uid-range` is not a range of user ids", "write \"2147000000-2147000999\"; 0 is root");
    }
    range
}

fn accounts(item: &Item<'_>) -> Vec<(String, u32)> {
    let Some(mut table) = item.table("service.accounts") else { return Vec::new() };
    let mut accounts: Vec<(String, u32)> = Vec::new();
    for role in ["worker", "scanner", "writer", "lookup", "keyholder"] {
        let Some(item) = table.take(role) else { continue };
        let uid = if item.is_integer() {
            item.count(0..=u64::from(u32::MAX)).and_then(|uid| u32::try_from(uid).ok())
        } else {
            item.text().and_then(|text| text.parse().ok())
        };
        match uid {
            Some(0) => item.error("a confined role cannot be root", "write the number of another user"),
            Some(uid) if accounts.iter().any(|(_, other)| *other == uid) => {
                item.error(format!("user id {uid} is given twice"), "give each role a user id of its own");
            }
            Some(uid) => accounts.push((role.to_owned(), uid)),
            None if item.is_text() => item.error(
                "a user name is not in this version",
                format!("write the user's number: {role} = \"2147000500\""),
            ),
            None => {}
        }
    }
    table.finish();
    accounts
}
