//! Who goes where, and who may: logins, routes, tables, authentication.
use super::Form::{Inner, Named, Single};
use super::{ANY_COUNT, Entry, Kind, REMOVE, Section, TEXTS, YES_NO, later, now, word};

const LOGIN: &[Entry] = &[
    now(
        "failure-limit",
        Kind::Count(1, 1_000_000),
        "5",
        "This many failed logins are answered, then the session ends.",
    ),
    now(
        "bad-command-limit",
        Kind::Count(1, 1_000_000),
        "5",
        "This many unknown or forbidden commands are answered, the next one ends the session.",
    ),
    now("deadline", Kind::Duration, "\"60s\"", "From the connection to a successful login; at least 1 s."),
    now("failure-delay", Kind::Duration, "\"2s\"", "Wait before a failed login is answered."),
    now(
        "login-disabled",
        YES_NO,
        "false",
        "No login at all: clients are told so before they send a password.",
    ),
    later("throttle", Kind::Table("login.throttle"), "", "Failed logins in a time.", REMOVE),
    later("exempt", Kind::Hosts, "[]", "Clients that are not throttled.", REMOVE),
    now(
        "ok-text",
        Kind::Text,
        "\"\"",
        "What a successful login is answered with; empty: the server's words.",
    ),
    later(
        "last-login-dir",
        Kind::Either(&[Kind::Path, Kind::Word(&[word("")])]),
        "\"\"",
        "A file for each user's last login.",
        REMOVE,
    ),
    later("relog", Kind::Duration, "\"0\"", "Time between two records of one user's logins.", REMOVE),
];

const THROTTLE: &[Entry] = &[
    now(
        "pair",
        Kind::Rate,
        "\"10/10m\"",
        "Of a user from an address; the same wrong password again counts once.",
    ),
    now("address", Kind::Rate, "\"30/10m\"", "Of an address."),
];

const ROUTE: &[Entry] = &[
    now(
        "tables",
        Kind::List(&Kind::Name("table", &[])),
        "",
        "Tables in order; only \"not found\" goes on. Required.",
    ),
    now(
        "on-error",
        Kind::Word(&[word("unavailable"), word("default-servers")]),
        "\"unavailable\"",
        "When a table cannot be asked.",
    ),
    now("query", TEXTS, "[\"{id}\"]", "What is looked up, in order."),
    now("client-selects-server", YES_NO, "false", "A user may write user@server[:port]."),
    now("allowed-servers", Kind::Hosts, "[]", "Servers that a user may select."),
    now("delimiter", Kind::Text, "\"@\"", "Between user and domain."),
    now("delimiter-set", Kind::Text, "", "Any of these characters instead."),
    now("split", Kind::Word(&[word("last"), word("first")]), "\"last\"", "At which of several delimiters."),
    now("default-servers", TEXTS, "[]", "Servers of users that no table knows."),
    now("default-port", Kind::Count(0, 65_535), "0", "0: by protocol and TLS."),
    now("username-from-table", YES_NO, "false", "The table's login name goes to the server."),
    now("domain", Kind::Table("route.domain"), "", "What is done to the domain of a user."),
];

const PURPOSES: Kind = Kind::List(&Kind::Word(&[
    word("lookup"),
    word("remote-login"),
    word("local-login"),
    word("authentication"),
]));
const DOMAIN: &[Entry] = &[
    now("add", Kind::Text, "", "Added to names without one."),
    now("add-from-destination", YES_NO, "false", "The name of the address that the client reached is added."),
    now("strip-depth", Kind::Count(0, 32), "0", "Labels that are taken off."),
    now("add-for", PURPOSES, "[]", "Where it is added."),
    now("strip-for", PURPOSES, "[]", "Where it is taken off."),
    now("lowercase-for", PURPOSES, "[]", "Where it is written in lower case."),
];

const TABLE: &[Entry] = &[
    now(
        "type",
        Kind::Word(&[
            word("file"),
            word("regex"),
            word("cdb"),
            word("sqlite"),
            word("postgres"),
            word("mysql"),
            word("ldap"),
            word("redis"),
            word("http"),
            word("daemon"),
            word("program"),
        ]),
        "",
        "What it is. Required.",
    ),
    now("path", Kind::File, "", "file, regex, cdb, sqlite: the file."),
    now("url", Kind::Text, "", "postgres, mysql, ldap, redis, http: where it is."),
    now("socket", Kind::Text, "", "daemon: where it listens."),
    now("program", TEXTS, "", "program: the program and its arguments."),
    now("password-file", Kind::Secret, "", "A file with the password."),
    now("bind", Kind::Table("table.bind"), "", "ldap: as whom."),
    now("base", Kind::Text, "", "ldap: where the search begins."),
    now("filter", Kind::Text, "", "ldap: the filter; `{key}` is filled in."),
    now("attributes", Kind::Table("table.attributes"), "", "ldap: attributes of the answer."),
    now("query", Kind::Text, "", "sqlite, postgres, mysql: the query; $1 is the key."),
    now("cache", Kind::Table("table.cache"), "", "How long answers are remembered."),
    now("timeout", Kind::Duration, "\"5s\"", "For one answer."),
];

const BIND: &[Entry] = &[
    now("dn", Kind::Text, "", "The distinguished name. Required."),
    now("password-file", Kind::Secret, "", "A file with the password. Required."),
];
const ATTRIBUTES: &[Entry] = &[
    now("server", Kind::Text, "\"mailHost\"", "The server."),
    now("port", Kind::Text, "", "The port."),
    now("login", Kind::Text, "", "The login name towards the server."),
];
const CACHE: &[Entry] = &[
    now("found", Kind::Duration, "\"60s\"", "What was found."),
    now("not-found", Kind::Duration, "\"10s\"", "What was not."),
];

const AUTHENTICATION: &[Entry] = &[
    now(
        "type",
        Kind::Word(&[
            word("program"),
            word("pam"),
            word("ldap"),
            word("passwd-file"),
            word("oob"),
            word("http"),
        ]),
        "",
        "What it is; \"oob\" knows the user by the address, before the login. Required.",
    ),
    now("program", TEXTS, "", "program: the program and its arguments."),
    now("variable-prefix", Kind::Text, "\"PROXY_\"", "program: before the names of its variables."),
    now("timeout", Kind::Duration, "\"10s\"", "For one answer."),
    now("split-credentials", Kind::Text, "", "Between the proxy's and the server's user name."),
    now("run-as", Kind::Text, "\"nobody\"", "program, pam: the user."),
    now("source", Kind::Path, "", "oob: the file or socket that feeds it."),
    now("expire", Kind::Duration, "\"8h\"", "oob: how long an address stays a user's."),
    now("path", Kind::File, "", "passwd-file: the file."),
    now("url", Kind::Text, "", "ldap, http: where it is."),
    now("max-sessions", ANY_COUNT, "0", "Sessions at once of one user; 0: no limit."),
];

pub(super) static SECTIONS: &[Section] = &[
    Section { place: "login", doc: "Until a client has logged in.", form: Single, entries: LOGIN },
    Section { place: "login.throttle", doc: "Failed logins in a time.", form: Inner, entries: THROTTLE },
    Section { place: "route", doc: "How the server of a user is found.", form: Named, entries: ROUTE },
    Section { place: "route.domain", doc: "Domains of user names.", form: Inner, entries: DOMAIN },
    Section { place: "table", doc: "Where users are looked up.", form: Named, entries: TABLE },
    Section { place: "table.bind", doc: "As whom a directory is asked.", form: Inner, entries: BIND },
    Section {
        place: "table.attributes",
        doc: "Attributes of a directory.",
        form: Inner,
        entries: ATTRIBUTES,
    },
    Section { place: "table.cache", doc: "How long answers are remembered.", form: Inner, entries: CACHE },
    Section {
        place: "authentication",
        doc: "Who says that a user is one.",
        form: Named,
        entries: AUTHENTICATION,
    },
];
