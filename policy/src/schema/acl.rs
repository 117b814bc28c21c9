//! Phases 1 and 2: `[[session-acl]]` and `[[command-acl]]`; and the conditions that every phase shares.
use super::Form::{Inner, List};
use super::{ANY_COUNT, Entry, Kind, REMOVE, Section, TEXTS, YES_NO, later, later_word, now, word};

const ACTION: Kind = Kind::Word(&[word("accept"), word("deny")]);
const NO_SIEVE: &str = "this version speaks POP3 and IMAP: remove it";
/// The condition `protocol`.
pub(super) const PROTOCOLS: Kind =
    Kind::List(&Kind::Word(&[word("pop3"), word("imap"), later_word("sieve", NO_SIEVE)]));
const NO_GROUPS: &str = "remove it; `user` asks for the name that the client logs in with";
const SERVER_FOUND: &str = "name the servers with `plug-to`";

/// `monitor` on the rules that have it.
pub(super) const ENFORCE: Kind = Kind::Word(&[word("on"), word("monitor")]);

const SESSION_ACL: &[Entry] = &[
    now("name", Kind::Text, "", "Its name; by default its number, \"session-acl-1\"."),
    now("listener", Kind::List(&Kind::Name("listener", &[])), "", "Condition: listeners."),
    now("tenant", Kind::List(&Kind::Name("tenant", &["default"])), "", "Condition: tenants."),
    now("from", Kind::Hosts, "", "Condition: the client."),
    now("to", Kind::Hosts, "", "Condition: where the client wanted to go."),
    now("time", Kind::Times, "", "Condition: when the client connects."),
    now("transparent", YES_NO, "", "Condition: true, only connections that NAT brought; false, only others."),
    now("action", ACTION, "\"accept\"", "Whether the connection is accepted."),
    now("client-tls", Kind::Name("client-tls", &[]), "", "The [client-tls.NAME] to use."),
    now("tls", super::tls::CLIENT_MODE, "", "TLS towards these clients, instead of the listener's."),
    now(
        "require-client-certificate",
        super::tls::MATCHES,
        "",
        "The client's certificate must match one of these, else the handshake fails.",
    ),
    later(
        "authentication",
        Kind::List(&Kind::Name("authentication", &[])),
        "",
        "Who authenticates the user, besides the server.",
        REMOVE,
    ),
    later(
        "source-address",
        Kind::Either(&[Kind::Table("session-acl.source-address"), Kind::Text]),
        "\"default\"",
        "The address towards servers: \"default\", \"client\", or an address for each family.",
        REMOVE,
    ),
    later(
        "source-port",
        Kind::Either(&[Kind::Count(1, 65_535), Kind::Word(&[word("any"), word("client")])]),
        "\"any\"",
        "The port towards servers.",
        REMOVE,
    ),
    later("client-conn", Kind::Table("conn"), "", "Timeouts and marks of the client's connection.", REMOVE),
    later("shape", Kind::Table("session-acl.shape"), "", "Bandwidth.", REMOVE),
    now(
        "max-sessions-per-client",
        ANY_COUNT,
        "0",
        "Sessions at once from one address under this rule; 0: no limit.",
    ),
    now(
        "language",
        super::service::LANGUAGE,
        "",
        "The language of answers and notices for these sessions; unless written, that of [service].",
    ),
];

const SOURCE_ADDRESS: &[Entry] =
    &[now("v4", Kind::Text, "", "Towards IPv4 servers."), now("v6", Kind::Text, "", "Towards IPv6 servers.")];

const CONN: &[Entry] = &[
    now(
        "connect-timeout",
        Kind::Duration,
        "\"75s\"",
        "For the connection; at least 100 ms. Towards servers only.",
    ),
    later("receive-timeout", Kind::Duration, "\"120s\"", "Without an octet from the peer.", REMOVE),
    later("send-timeout", Kind::Duration, "\"120s\"", "Without an octet to the peer.", REMOVE),
    later("close-timeout", Kind::Duration, "\"5s\"", "For the end of the connection.", REMOVE),
    later("buffer", Kind::Size, "\"16KiB\"", "The kernel's buffer.", REMOVE),
    later("keepalive", Kind::Duration, "\"2m\"", "Time between probes of an idle connection.", REMOVE),
    later("dscp", Kind::Count(0, 63), "0", "The mark of packets.", REMOVE),
];

const SHAPE: &[Entry] = &[
    now("download", Kind::Flow, "", "From the server to the client."),
    now("upload", Kind::Flow, "", "From the client to the server."),
    now(
        "per",
        Kind::Word(&[word("session"), word("user"), word("service"), word("tenant")]),
        "\"session\"",
        "What shares it.",
    ),
];

const COMMAND_ACL: &[Entry] = &[
    now("name", Kind::Text, "", "Its name; by default its number, \"command-acl-1\"."),
    now(
        "session-acl",
        Kind::List(&Kind::Name("session-acl", &[])),
        "",
        "Condition: the rules that accepted the connection.",
    ),
    now("protocol", PROTOCOLS, "", "Condition: protocols."),
    now("listener", Kind::List(&Kind::Name("listener", &[])), "", "Condition: listeners."),
    now("tenant", Kind::List(&Kind::Name("tenant", &["default"])), "", "Condition: tenants."),
    now("from", Kind::Hosts, "", "Condition: the client."),
    now("time", Kind::Times, "", "Condition: when the session begins."),
    now(
        "client-certificate",
        super::tls::MATCHES,
        "",
        "Condition: the client showed a certificate that matches one of these. Only where TLS is implicit and clients are asked for one.",
    ),
    now(
        "user",
        Kind::Patterns,
        "",
        "Condition: the name that the client logs in with. Mailward greets such clients itself, and dials after the name.",
    ),
    later(
        "group",
        Kind::Patterns,
        "",
        "Condition: groups of the user, known after authentication.",
        NO_GROUPS,
    ),
    now("action", ACTION, "\"accept\"", "Whether there is a session."),
    now(
        "plug-to",
        TEXTS,
        "",
        "Servers, in turn: \"mail.example.net\", \"192.0.2.1:110\", \"[2001:db8::1]:110\"; the port is the protocol's unless \
         it is given. Absent: the original destination; required where connections have none.",
    ),
    later(
        "route",
        Kind::Name("route", &[]),
        "",
        "The [route.NAME] that finds the server, instead of `plug-to`.",
        SERVER_FOUND,
    ),
    now(
        "server-tls",
        Kind::Name("server-tls", &["off", "system"]),
        "\"system\"",
        "The [server-tls.NAME] to use towards the server; \"system\": implicit TLS, verified by the system's authorities; \"off\": clear text.",
    ),
    now(
        "require-server-certificate",
        super::tls::MATCHES,
        "",
        "The server's certificate must match one of these.",
    ),
    later(
        "server-client-info",
        Kind::Word(&[
            word("auto"),
            word("imap-id"),
            word("xclient"),
            word("proxy-v1"),
            word("proxy-v2"),
            word("off"),
        ]),
        "\"auto\"",
        "How the server is told who the client is.",
        REMOVE,
    ),
    now("server-conn", Kind::Table("conn"), "", "Timeouts and marks of the server's connection."),
    now(
        "commands",
        Kind::Patterns,
        "[\"*\"]",
        "Commands that may be used, by their RFC names; `*` is every one that Mailward implements.",
    ),
    now("capabilities", Kind::Patterns, "[\"*\"]", "Capabilities of the server that are passed on."),
    later("compress", YES_NO, "false", "COMPRESS=DEFLATE towards the client.", REMOVE),
    now(
        "client-id",
        Kind::Word(&[word("pass"), word("replace"), word("strip")]),
        "\"pass\"",
        "What becomes of IMAP's ID on its way to the server; what only proxies may say never passes.",
    ),
    later("read-only", YES_NO, "false", "Mailboxes open read-only.", REMOVE),
    now(
        "content-search",
        Kind::Word(&[word("pass"), word("refuse")]),
        "\"pass\"",
        "IMAP: whether the server may be asked to search in content, which finds text of replaced mail too.",
    ),
    now("max-time", Kind::Duration, "\"0\"", "A session's longest life; 0: no limit."),
    now(
        "idle-timeout",
        Kind::Duration,
        "",
        "Without a command or an answer; at least 10 s. Unless written, 10 minutes for POP3 and 31 for IMAP, where IDLE does not count.",
    ),
    now(
        "idle-heartbeat",
        Kind::Duration,
        "\"2m\"",
        "Between signs of life during IMAP's IDLE; at least 10 s.",
    ),
    now("max-bytes-in", Kind::Size, "0", "Octets from the server in a session; 0: no limit."),
    now("max-bytes-out", Kind::Size, "0", "Octets to the server in a session; 0: no limit."),
    now(
        "cmd-line-len",
        Kind::Size,
        "",
        "Longest command with CRLF, literals apart; 255 to 1 MiB. Unless written, 8 KiB for POP3 and 64 KiB for IMAP.",
    ),
    now(
        "resp-line-len",
        Kind::Size,
        "",
        "Longest line of an answer with CRLF, mails apart; 512 to 1 MiB. Unless written, 8 KiB for POP3 and 1 MiB for IMAP.",
    ),
    now(
        "metadata",
        Kind::Word(&[word("lazy"), word("strict")]),
        "\"lazy\"",
        "\"strict\": sizes, headers and structures wait for the judgement of the mail, as its content does; POP3 judges the maildrop before it tells a size.",
    ),
    now(
        "strict-limit",
        ANY_COUNT,
        "200",
        "POP3: that many mails, the newest, `strict` judges first; 0: all.",
    ),
    now(
        "scan-patience",
        Kind::Duration,
        "\"45s\"",
        "How long a client waits for a scan before it is told to try again; the scan goes on; at least 1 s.",
    ),
    now(
        "enforce",
        ENFORCE,
        "\"on\"",
        "\"monitor\": mail is scanned and judged, the log says what would have been done, and the server's mail is delivered.",
    ),
    now(
        "language",
        super::service::LANGUAGE,
        "",
        "The language of answers and notices; unless written, that of the session-acl.",
    ),
    now("download", Kind::Table("command-acl.download"), "", "Mail from the server to the client."),
    now("upload", Kind::Table("command-acl.upload"), "", "Mail from the client to the server (IMAP APPEND)."),
];

const NO_MAIL_SCANNING: Entry = now("no-mail-scanning", YES_NO, "false", "true: mail passes unseen.");
const MAX_MAIL: Entry =
    now("max-mail", Kind::Size, "\"50MiB\"", "Larger mail has the status `limit`; 1 KiB to 4 GiB.");
const MAIL_LINE_LEN: Entry = now(
    "mail-line-len",
    Kind::Size,
    "\"1MiB\"",
    "Mail with a longer line (with CRLF) has the status `limit`; 1000 to 64 MiB.",
);
const MAIL_FILTER: Entry = now(
    "mail-filter",
    Kind::Name("mail-filter", &["default"]),
    "\"default\"",
    "The [mail-filter.NAME] to use.",
);
const ANTIVIRUS: Entry = now(
    "antivirus",
    Kind::List(&Kind::Name("antivirus", &[])),
    "",
    "Engines that must all have looked, by default every one; []: none, and mail has the status `skipped`.",
);
const ANTISPAM: Entry = now(
    "antispam",
    Kind::List(&Kind::Name("antispam", &[])),
    "",
    "Spam filters that are asked, by default every one; []: none, and the score is `unknown`.",
);
const SCANNING: &[Entry] = &[NO_MAIL_SCANNING, MAX_MAIL, MAIL_LINE_LEN, MAIL_FILTER, ANTIVIRUS, ANTISPAM];

pub(super) static SECTIONS: &[Section] = &[
    Section {
        place: "session-acl",
        doc: "Phase 1, the connection. The first rule whose conditions all hold decides; without one the connection is \
              refused.",
        form: List,
        entries: SESSION_ACL,
    },
    Section {
        place: "session-acl.source-address",
        doc: "Addresses towards servers.",
        form: Inner,
        entries: SOURCE_ADDRESS,
    },
    Section { place: "session-acl.shape", doc: "Bandwidth.", form: Inner, entries: SHAPE },
    Section { place: "conn", doc: "Timeouts and marks of a connection.", form: Inner, entries: CONN },
    Section {
        place: "command-acl",
        doc: "Phase 2, what the session may do. The first rule whose conditions all hold decides; without one there is \
              no session.",
        form: List,
        entries: COMMAND_ACL,
    },
    Section {
        place: "command-acl.download",
        doc: "Mail on its way from the server to the client.",
        form: Inner,
        entries: SCANNING,
    },
    Section {
        place: "command-acl.upload",
        doc: "Mail on its way from the client to the server.",
        form: Inner,
        entries: SCANNING,
    },
];
