//! The service itself: top of the file, processes, log, control, listeners.
use super::Form::{Inner, List, Named, Single};
use super::{ANY_COUNT, Entry, Kind, REMOVE, Section, TEXTS, Word, YES_NO, later, later_word, now, word};

const LANGUAGES: &[Word] = &[word("en"), word("cs"), word("de"), word("fr"), word("es")];
/// The language of answers and notices.
pub(super) const LANGUAGE: Kind = Kind::Word(LANGUAGES);
const PROCESSES: Kind = Kind::Either(&[Kind::Count(1, 1024), Kind::Word(&[word("auto")])]);
const NO_SIEVE: &str = "this version speaks POP3 and IMAP";
/// What a listener speaks.
pub(super) const PROTOCOL: Kind = Kind::Word(&[word("pop3"), word("imap"), later_word("sieve", NO_SIEVE)]);

const TOP: &[Entry] = &[
    now(
        "version",
        Kind::Count(1, 1),
        "",
        "The version of the language, which is 1, as the first line. Required.",
    ),
    now(
        "include",
        TEXTS,
        "[]",
        "Files to read too, relative to the folder of this file; `*` may stand in the file name.",
    ),
    now("standard-rules", YES_NO, "true", "Append the shipped document and mail rules after one's own."),
];

const SERVICE: &[Entry] = &[
    now(
        "isolation",
        Kind::Word(&[word("shared"), word("session")]),
        "\"shared\"",
        "\"shared\": each worker process serves many sessions; \"session\": one worker process for each session.",
    ),
    now("workers", PROCESSES, "\"auto\"", "Worker processes for each tenant; \"auto\" is one for each core."),
    now("spare-workers", Kind::Count(0, 4096), "8", "Processes kept ready with isolation = \"session\"."),
    now(
        "scanners",
        PROCESSES,
        "\"auto\"",
        "Scanner processes for each tenant; \"auto\" is three for every two cores.",
    ),
    now(
        "scanner-lives",
        Kind::Count(1, 1_000_000),
        "20",
        "Mails that a scanner process sees before a fresh one takes its place; 1: a fresh one for each mail.",
    ),
    now(
        "require-sandbox",
        Kind::Word(&[word("full"), word("best-effort")]),
        "",
        "\"full\": no start unless every wall stands; \"best-effort\": start, and log which is absent. Absent: full as \
         root, else best effort.",
    ),
    now(
        "uid-range",
        Kind::Text,
        "\"2147000000-2147000999\"",
        "User ids of confined processes: three for each tenant and two more; they need no entry in passwd.",
    ),
    now(
        "accounts",
        Kind::Table("service.accounts"),
        "{}",
        "User ids by role instead, outside `uid-range`, each once. With several tenants only `lookup` and `keyholder`.",
    ),
    now("state-dir", Kind::Path, "\"/var/lib/mailward\"", "Where the index of changed mails is kept."),
    now("spool-dir", Kind::Path, "\"/var/lib/mailward/spool\"", "Where large mails wait for their scan."),
    now(
        "spool-memory",
        Kind::Size,
        "\"512MiB\"",
        "Memory for mails that wait or are served, for each tenant, divided between its workers; what does not fit waits in a file.",
    ),
    now("spool-file-above", Kind::Size, "\"16MiB\"", "Larger mails wait in a file; at most `spool-memory`."),
    now("max-sessions", ANY_COUNT, "20000", "Sessions at once; 0: no limit."),
    now("max-sessions-per-client", ANY_COUNT, "0", "Sessions at once from one address; 0: no limit."),
    later(
        "connection-rate",
        Kind::Rate,
        "\"0\"",
        "New connections in a time, of all clients together.",
        "remove it; `max-sessions` limits sessions",
    ),
    later(
        "connection-rate-per-client",
        Kind::Rate,
        "\"0\"",
        "New connections in a time, of one address.",
        "remove it; `max-sessions-per-client` limits clients",
    ),
    now(
        "backlog",
        Kind::Count(1, 65_535),
        "2000",
        "Connections that the kernel keeps until they are accepted.",
    ),
    now(
        "copy-cache",
        Kind::Size,
        "\"32MiB\"",
        "Scanned copies that a session keeps, so that reading a mail twice scans it once.",
    ),
    now(
        "answer-cache",
        ANY_COUNT,
        "100000",
        "Answers of engines that are remembered, so that one mail in many mailboxes is shown to each engine once; 0: none.",
    ),
    now(
        "language",
        LANGUAGE,
        "\"en\"",
        "The language of protocol answers and notices, where no rule says otherwise.",
    ),
    now(
        "tz",
        Kind::Text,
        "\"local\"",
        "The time zone of `time` conditions: \"local\" or a name such as \"Europe/Prague\".",
    ),
    now(
        "pid-file",
        Kind::Either(&[Kind::Path, Kind::Word(&[word("")])]),
        "\"\"",
        "Absolute path; empty: none.",
    ),
];

const USER_ID: Kind = Kind::Either(&[Kind::Count(1, 4_294_967_294), Kind::Text]);
const ACCOUNTS: &[Entry] = &[
    now("worker", USER_ID, "", "Of workers."),
    now("scanner", USER_ID, "", "Of scanners."),
    now("writer", USER_ID, "", "Of writers."),
    now("lookup", USER_ID, "", "Of lookup."),
    now("keyholder", USER_ID, "", "Of the keyholder."),
];

const TENANT: &[Entry] = &[
    now("name", Kind::Text, "", "Its name. Required."),
    now(
        "include",
        Kind::Text,
        "",
        "A file that is about this tenant only, relative to the folder of this one: listeners, lists and rules.",
    ),
    now("max-sessions", ANY_COUNT, "0", "Sessions at once of this tenant; 0: no limit."),
];

const JSON_OR_TEXT: &str = "write format = \"json\", or \"text\"";
const LOG: &[Entry] = &[
    now(
        "level",
        Kind::Word(&[word("error"), word("warn"), word("info"), word("debug"), word("trace")]),
        "\"info\"",
        "How much is told. Never secrets, never content of mail.",
    ),
    later(
        "output",
        Kind::Text,
        "\"auto\"",
        "\"auto\" (the journal under systemd, else standard error), \"stderr\", \"journald\", \"syslog\", \
         \"syslog:HOST:PORT\", or the path of a file.",
        "remove it; the log goes to standard error",
    ),
    now(
        "format",
        Kind::Word(&[
            word("auto"),
            word("text"),
            word("json"),
            later_word("rfc5424", JSON_OR_TEXT),
            later_word("perdition", JSON_OR_TEXT),
        ]),
        "\"auto\"",
        "\"auto\": text on a terminal, else json.",
    ),
    later(
        "records",
        Kind::Word(&[word("summary"), word("mails"), word("all"), word("commands")]),
        "\"mails\"",
        "Which records are written.",
        REMOVE,
    ),
    later("denied-rate", Kind::Rate, "\"10/m\"", "Records of refused connections of one client.", REMOVE),
    later("subjects", YES_NO, "false", "Subjects of mails in the log.", REMOVE),
    later(
        "personal",
        Kind::Word(&[word("full"), word("pseudonym"), word("none")]),
        "\"full\"",
        "Names and addresses of people in the log.",
        REMOVE,
    ),
    later("facility", Kind::Text, "\"mail\"", "The facility of syslog.", REMOVE),
];

const METRICS: &[Entry] = &[now(
    "listen",
    Kind::Text,
    "",
    "Where metrics, health and the status page are served: \"127.0.0.1:9187\" or \"unix:/path\".",
)];

const CONTROL: &[Entry] = &[
    now(
        "socket",
        Kind::Path,
        "\"/run/mailward/control.sock\"",
        "Where `mailward reload` and its like reach the service.",
    ),
    now("group", Kind::Text, "\"root\"", "Members of this group may use it too."),
];

const RESOLVER: &[Entry] = &[
    now("servers", TEXTS, "[]", "Name servers, port 53 unless given; empty: those of /etc/resolv.conf."),
    now("timeout", Kind::Duration, "\"5s\"", "For one lookup; at least 100 ms."),
    now(
        "startup-timeout",
        Kind::Duration,
        "\"15s\"",
        "How long the start waits for names in lists of hosts; 0: not at all.",
    ),
];

const REDIS: &[Entry] = &[now("url", Kind::Text, "", "Where throttling, affinity and answers are shared.")];

const QUARANTINE: &[Entry] = &[
    now("enabled", YES_NO, "true", "Keep the original of every mail that is served changed, before it is."),
    now(
        "without-quarantine",
        Kind::Word(&[word("refuse-delete"), word("allow")]),
        "\"refuse-delete\"",
        "Whether a client may delete a replaced mail of which there is no copy.",
    ),
    now("keep", Kind::Duration, "\"14d\"", "How long copies are kept; at least 1h."),
    now(
        "max-size",
        Kind::Size,
        "\"10GiB\"",
        "Room for the copies of one tenant; when it is full, no more are kept until some are older than `keep`.",
    ),
];

const LISTENER: &[Entry] = &[
    now("name", Kind::Text, "", "Its name for rules and log; by default protocol and port, \"pop3-110\"."),
    now("protocol", PROTOCOL, "", "What is spoken. Required."),
    now(
        "address",
        TEXTS,
        "",
        "A list, where to listen: [\"192.0.2.1:110\", \"[2001:db8::1]:110\"] or [\"*:110\"] (IPv4 and IPv6, a socket each); by default every address, port 995 or 993 with implicit TLS, else 110 or 143.",
    ),
    now(
        "tls",
        super::tls::CLIENT_MODE,
        "\"implicit\"",
        "TLS towards clients: \"implicit\" from the first octet; \"starttls\" when they ask for it; \"starttls-required\" before a login; \"off\": clear text.",
    ),
    now("client-tls", Kind::Name("client-tls", &[]), "", "The [client-tls.NAME] to use."),
    now("tenant", Kind::Name("tenant", &["default"]), "\"default\"", "Whose it is."),
    now(
        "transparent",
        Kind::Table("listener.transparent"),
        "",
        "Takes connections that were on their way to other servers.",
    ),
    later(
        "proxy-protocol",
        Kind::Table("listener.proxy-protocol"),
        "",
        "Clients stand behind a balancer that sends a PROXY header.",
        REMOVE,
    ),
    now(
        "greeting",
        Kind::Text,
        "",
        "Our own greeting, where the client's name decides its server; `{hostname}` stands for the name of this machine.",
    ),
    now(
        "capabilities",
        TEXTS,
        "[]",
        "What is announced before the login, of what there is: [\"IMAP4rev1\", \"AUTH=PLAIN\"]; what is not announced is refused. Empty: all.",
    ),
];

const TRANSPARENT: &[Entry] = &[
    now(
        "method",
        Kind::Word(&[
            word("redirect"),
            later_word("tproxy", "write method = \"redirect\", or \"none\" with rules of your own"),
            word("none"),
        ]),
        "",
        "\"redirect\": Mailward redirects the ports to this listener while it runs; \"none\": your own rules do. Required.",
    ),
    now(
        "ports",
        TEXTS,
        "",
        "Ports or ranges (\"1100-1110\") that are redirected. Absent: 110, 995, 143 or 993, as protocol and TLS say.",
    ),
    now("interfaces", TEXTS, "[]", "Interfaces that clients come in by; empty: every one."),
];

const PROXY_PROTOCOL: &[Entry] =
    &[now("trusted", Kind::Hosts, "", "Who may send the header. Required: there is no start without it.")];

const NETWORK: &[Entry] = &[now(
    "wall",
    Kind::Text,
    "\"off\"",
    "A static rule that drops mail connections while Mailward does not run.",
)];

pub(super) static SECTIONS: &[Section] = &[
    Section { place: "", doc: "The top of the file.", form: Single, entries: TOP },
    Section { place: "service", doc: "Processes, limits and folders.", form: Single, entries: SERVICE },
    Section { place: "service.accounts", doc: "User ids by role.", form: Inner, entries: ACCOUNTS },
    Section {
        place: "tenant",
        doc: "Tenants share one Mailward and nothing else: each has its own processes, which know its rules only. The \
              tenant \"default\" always exists and owns every listener that names no other.",
        form: List,
        entries: TENANT,
    },
    Section { place: "log", doc: "The log.", form: Single, entries: LOG },
    Section { place: "metrics", doc: "Metrics, off until written.", form: Single, entries: METRICS },
    Section { place: "control", doc: "The control socket.", form: Single, entries: CONTROL },
    Section { place: "resolver", doc: "How names are looked up.", form: Single, entries: RESOLVER },
    Section { place: "redis", doc: "State shared between several Mailwards.", form: Single, entries: REDIS },
    Section {
        place: "quarantine",
        doc: "Copies of mails that were replaced or refused.",
        form: Single,
        entries: QUARANTINE,
    },
    Section { place: "listener", doc: "Where clients come in.", form: List, entries: LISTENER },
    Section {
        place: "listener.transparent",
        doc: "How a listener takes connections that were on their way to other servers.",
        form: Inner,
        entries: TRANSPARENT,
    },
    Section {
        place: "listener.proxy-protocol",
        doc: "The PROXY header of a balancer, versions 1 and 2.",
        form: Inner,
        entries: PROXY_PROTOCOL,
    },
    Section { place: "network", doc: "The network around Mailward.", form: Single, entries: NETWORK },
    Section {
        place: "host-list",
        doc: "A named list of hosts, used as \"@NAME\".",
        form: Named,
        entries: &[now("hosts", Kind::Hosts, "", "Its hosts; it may name other lists. Required.")],
    },
    Section {
        place: "time-list",
        doc: "A named list of times, used as \"@NAME\".",
        form: Named,
        entries: &[now("times", Kind::Times, "", "Its times; it may name other lists. Required.")],
    },
];

/// Sections of which this version has nothing: (place, what to do instead).
pub(crate) const LATER_SECTIONS: &[(&str, &str)] = &[
    ("metrics", REMOVE),
    ("redis", REMOVE),
    ("network", REMOVE),
    ("route", "remove it, and name the servers with `plug-to` in [[command-acl]]"),
    ("table", "remove it, and name the servers with `plug-to` in [[command-acl]]"),
    ("authentication", "remove it; users are authenticated by the mail server"),
];
