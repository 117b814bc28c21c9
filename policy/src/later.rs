//! The parts of the configuration language that this version does not have. They are named, so that a file written
//! for a later version gets "not in this version" and a remedy, and never a guess.

const CLEAR_TEXT: &str = "this version speaks clear text only: remove it";
const REMOVE: &str = "remove it";

/// (place, items, what to do).
const ITEMS: &[(&str, &[&str], &str)] = &[
    (
        "",
        &["client-tls", "server-tls", "html-filter", "time-list", "doc-acl", "document-types", "antispam"],
        REMOVE,
    ),
    ("", &["metrics", "control", "redis", "network"], REMOVE),
    (
        "",
        &["route", "table", "authentication"],
        "remove it, and name the servers with `plug-to` in [[command-acl]]",
    ),
    (
        "service",
        &["connection-rate", "connection-rate-per-client"],
        "remove it; `max-sessions-per-client` limits clients",
    ),
    ("service", &["answer-cache", "language", "tz"], REMOVE),
    (
        "tenant",
        &["include", "max-sessions"],
        "remove it; `max-sessions` in [service] limits all sessions together",
    ),
    ("log", &["output"], "remove it; the log goes to standard error"),
    ("log", &["records", "denied-rate", "subjects", "personal", "facility"], REMOVE),
    ("resolver", &["startup-timeout"], REMOVE),
    ("quarantine", &["keep", "max-size"], "remove it; this version keeps no copies"),
    ("listener", &["proxy-protocol", "greeting", "capabilities"], REMOVE),
    ("listener", &["client-tls"], CLEAR_TEXT),
    (
        "session-acl",
        &["time", "authentication", "source-address", "source-port", "client-conn", "shape", "language"],
        REMOVE,
    ),
    ("session-acl", &["client-tls", "tls", "require-client-certificate"], CLEAR_TEXT),
    (
        "command-acl",
        &["user", "group", "time"],
        "remove it; this version decides before the login, by listener, tenant and address",
    ),
    ("command-acl", &["client-certificate", "require-server-certificate"], CLEAR_TEXT),
    ("command-acl", &["route"], "name the servers with `plug-to`"),
    ("command-acl", &["enforce"], "remove it; this version always enforces"),
    (
        "command-acl",
        &[
            "server-client-info",
            "compress",
            "client-id",
            "read-only",
            "content-search",
            "idle-heartbeat",
            "metadata",
            "strict-limit",
            "language",
            "upload",
        ],
        REMOVE,
    ),
    ("command-acl.download", &["antispam"], REMOVE),
    (
        "command-acl.server-conn",
        &["receive-timeout", "send-timeout", "close-timeout", "buffer", "keepalive", "dscp"],
        REMOVE,
    ),
    (
        "mail-acl",
        &[
            "direction",
            "protocol",
            "listener",
            "tenant",
            "from",
            "user",
            "group",
            "time",
            "virus-name",
            "spam-score",
            "size",
            "header",
            "sender",
        ],
        "remove it; this version's mail rules know `command-acl` and `virus`",
    ),
    ("mail-acl", &["enforce"], "remove it; this version always enforces"),
    ("mail-acl", &["replace-body"], "remove it; the shipped notice stands in the mail's place"),
    ("mail-acl", &["subject-prefix", "keyword", "add-header", "replace-header", "remove-header"], REMOVE),
    (
        "mail-filter",
        &[
            "bare-newlines",
            "nul-bytes",
            "eight-bit-header",
            "eight-bit-body",
            "long-lines",
            "bad-quoting",
            "bad-encoding",
            "bad-boundary",
            "duplicate-headers",
            "invalid-header",
            "invalid-type",
            "ambiguous",
            "partial-message",
            "encrypted",
        ],
        "remove it; this version has the limits of a mail filter",
    ),
    ("antivirus", &["url"], REMOVE),
    ("login", &["login-disabled", "throttle", "exempt", "ok-text", "last-login-dir", "relog"], REMOVE),
];

/// (place, item, values, what to do).
const VALUES: &[(&str, &str, &[&str], &str)] = &[
    ("listener", "protocol", &["imap", "sieve"], "this version speaks POP3: write protocol = \"pop3\""),
    (
        "command-acl",
        "protocol",
        &["imap", "sieve"],
        "this version speaks POP3: write protocol = [\"pop3\"], or leave it out",
    ),
    (
        "listener.transparent",
        "method",
        &["tproxy"],
        "write method = \"redirect\", or \"none\" with rules of your own",
    ),
    ("log", "format", &["rfc5424", "perdition"], "write format = \"json\", or \"text\""),
    (
        "mail-acl",
        "replace",
        &["parts"],
        "write replace = \"body\", which is this version's default: a notice in the mail's place",
    ),
    ("mail-acl", "action", &["html-filter"], "write action = \"replace\", \"defer\", \"deny\" or \"accept\""),
    ("antivirus", "type", &["icap"], "write type = \"clamd\", or \"builtin\""),
];

/// What to do about an item that this version does not have; `None` if no version has it.
pub(crate) fn item(place: &str, name: &str) -> Option<&'static str> {
    ITEMS.iter().find(|(at, names, _)| *at == place && names.contains(&name)).map(|(_, _, help)| *help)
}

/// The names of the items that this version does not have at a place.
pub(crate) fn items(place: &str) -> impl Iterator<Item = &'static str> {
    ITEMS.iter().filter(move |(at, _, _)| *at == place).flat_map(|(_, names, _)| names.iter().copied())
}

/// What to do about a value that this version does not have; `None` if no version has it.
pub(crate) fn value(place: &str, item: &str, word: &str) -> Option<&'static str> {
    VALUES
        .iter()
        .find(|(at, name, words, _)| *at == place && *name == item && words.contains(&word))
        .map(|(_, _, _, help)| *help)
}

/// A place as the operator writes it.
pub(crate) fn title(place: &str) -> String {
    match place {
        "listener" | "tenant" | "session-acl" | "command-acl" | "mail-acl" => format!("[[{place}]]"),
        "antivirus" | "mail-filter" | "host-list" => format!("[{place}.NAME]"),
        _ => format!("[{place}]"),
    }
}
