//! Phase 3: rules for parts and mails, filters, document types and engines.
use super::Form::{Inner, List, Named, Single};
use super::{Entry, Kind, Section, TEXTS, YES_NO, later, now, word};

const STATUSES: Kind = Kind::List(&Kind::Word(&[
    word("infected"),
    word("error"),
    word("unknown"),
    word("limit"),
    word("encrypted"),
    word("malformed"),
    word("skipped"),
    word("clean"),
]));
const DIRECTIONS: Kind = Kind::List(&Kind::Word(&[word("download"), word("upload")]));
const TYPE_SOURCES: Kind = Kind::List(&Kind::Word(&[word("magic"), word("extension"), word("content-type")]));

const PARENTS: Entry = now(
    "command-acl",
    Kind::List(&Kind::Name("command-acl", &[])),
    "",
    "Condition: the rules that the session is under.",
);
const LISTENERS: Entry =
    now("listener", Kind::List(&Kind::Name("listener", &[])), "", "Condition: listeners.");
const TENANTS: Entry =
    now("tenant", Kind::List(&Kind::Name("tenant", &["default"])), "", "Condition: tenants.");
const PROTOCOLS: Entry = now("protocol", super::acl::PROTOCOLS, "", "Condition: protocols.");
const DIRECTION: Entry = now("direction", DIRECTIONS, "", "Condition: which way the mail travels.");
const FROM: Entry = now("from", Kind::Hosts, "", "Condition: the client's address.");
const TIME: Entry = now("time", Kind::Times, "", "Condition: when the mail is judged.");
const USERS: Entry = now("user", Kind::Patterns, "", "Condition: the name that the client logged in with.");
const GROUPS: Entry = later(
    "group",
    Kind::Patterns,
    "",
    "Condition: groups of the user.",
    "remove it; `user` asks for the name that the client logged in with",
);
const VIRUS: Entry = now(
    "virus",
    STATUSES,
    "",
    "Condition: statuses. A rule that accepts must name every status, any other one of them.",
);
const VIRUS_NAME: Entry =
    now("virus-name", Kind::Patterns, "", "Condition: names of the viruses that were found.");

const DOC_ACL: &[Entry] = &[
    now("name", Kind::Text, "", "Its name; by default its number, \"doc-acl-1\"."),
    PARENTS,
    PROTOCOLS,
    LISTENERS,
    TENANTS,
    DIRECTION,
    FROM,
    TIME,
    USERS,
    GROUPS,
    VIRUS,
    VIRUS_NAME,
    now(
        "mime-type",
        Kind::Patterns,
        "",
        "Condition: types of the part, whichever way they were found out: \"image/*\", \"!text/plain\".",
    ),
    now(
        "filename",
        Kind::Patterns,
        "",
        "Condition: any of the names that the part bears, archives' members too.",
    ),
    now("mismatch", YES_NO, "", "Condition: content, name and declaration contradict each other."),
    now("polyglot", YES_NO, "", "Condition: the content is of several types at once."),
    now("size", Kind::Comparison, "", "Condition: octets of the decoded part: \"> 1KiB\"."),
    now(
        "action",
        Kind::Word(&[word("accept"), word("deny"), word("defer"), word("replace"), word("html-filter")]),
        "",
        "What becomes of the part; \"deny\" and \"defer\" are about the whole mail. Required.",
    ),
    now("replace-file", Kind::Template, "\"builtin:removed\"", "replace: what stands in the part's place."),
    now("html-filter", Kind::Name("html-filter", &[]), "", "The [html-filter.NAME] to use."),
    now(
        "document-types",
        TYPE_SOURCES,
        "",
        "The sources of types that count for this rule, the most trusted first; by default [document-types].",
    ),
    now(
        "force-type",
        YES_NO,
        "false",
        "Declare the part as what the most trusted source says that it is; the mail's size changes by it.",
    ),
    now(
        "enforce",
        super::acl::ENFORCE,
        "\"on\"",
        "\"monitor\": only the log says what would have been done.",
    ),
];

const MAIL_ACL: &[Entry] = &[
    now("name", Kind::Text, "", "Its name; by default its number, \"mail-acl-1\"."),
    PARENTS,
    PROTOCOLS,
    LISTENERS,
    TENANTS,
    DIRECTION,
    FROM,
    TIME,
    USERS,
    GROUPS,
    VIRUS,
    VIRUS_NAME,
    now(
        "spam-score",
        Kind::Either(&[Kind::Comparison, Kind::Word(&[word("unknown")])]),
        "",
        "Condition: \">= 5.0\", the highest score that a filter gave; or \"unknown\": a filter did not answer, or none was asked.",
    ),
    now("size", Kind::Comparison, "", "Condition: octets of the mail: \"<= 20MiB\"."),
    now("header", Kind::List(&Kind::Table("header")), "", "Condition: one of these header fields is there."),
    now("sender", Kind::Patterns, "", "Condition: the address in From or Sender."),
    now(
        "action",
        Kind::Word(&[word("accept"), word("deny"), word("defer"), word("replace")]),
        "",
        "\"replace\": a notice in its place; \"defer\": refused for now; \"deny\": refused for good. Required.",
    ),
    now(
        "replace",
        Kind::Word(&[word("parts"), word("body")]),
        "\"parts\"",
        "replace: the parts that bear the status (the body where none does), or always the body.",
    ),
    now("replace-body", Kind::Template, "\"builtin:virus\"", "replace: what stands in the place of a body."),
    now(
        "subject-prefix",
        Kind::Text,
        "",
        "accept: put before the subject. POP3, uploads, and IMAP with metadata = \"strict\", as all changes of headers.",
    ),
    now(
        "keyword",
        TEXTS,
        "",
        "accept: keywords that the mail gets in the mailbox of the server when it is downloaded by IMAP: [\"$Junk\"].",
    ),
    now("add-header", Kind::List(&Kind::Table("field")), "", "accept: header fields that are added."),
    now(
        "replace-header",
        Kind::List(&Kind::Table("field")),
        "",
        "accept: header fields that are replaced, or added.",
    ),
    now("remove-header", TEXTS, "", "accept: header fields that are removed: [\"X-Spam-*\"]."),
    now(
        "enforce",
        super::acl::ENFORCE,
        "\"on\"",
        "\"monitor\": the log says what would have been done, and the server's mail is delivered.",
    ),
];

const HEADER: &[Entry] = &[
    now("name", Kind::Text, "", "The field's name; `*` matches any run. Required."),
    now("match", Kind::Text, "\"*\"", "Its value, without case; `*` matches any run."),
];
const FIELD: &[Entry] = &[
    now("name", Kind::Text, "", "The field's name. Required."),
    now(
        "value",
        Kind::Text,
        "",
        "Its value; `{score}`, `{virus}`, `{status}`, `{rule}` and `{case}` are filled in. Required.",
    ),
];

const DOCUMENT_TYPES: &[Entry] = &[
    now(
        "order",
        TYPE_SOURCES,
        "[\"magic\", \"extension\", \"content-type\"]",
        "The sources of types that count, the most trusted first.",
    ),
    now(
        "extra",
        Kind::File,
        "",
        "A file with types of one's own: [[type]] with mime-type, extension, magic.",
    ),
];

const TRIPLE: Kind = Kind::Word(&[word("pass"), word("correct"), word("malformed")]);
const fn violation(name: &'static str, default: &'static str, doc: &'static str) -> Entry {
    now(name, TRIPLE, default, doc)
}

const CORRECT: &str = "\"correct\"";
const MAIL_FILTER: &[Entry] = &[
    violation("bare-newlines", CORRECT, "CR or LF alone."),
    violation("nul-bytes", CORRECT, "NUL octets."),
    violation("eight-bit-header", CORRECT, "Octets above 127 in a header."),
    violation("eight-bit-body", CORRECT, "Octets above 127 in a body that declares none."),
    violation("long-lines", CORRECT, "Lines of more than 998 octets."),
    violation("bad-quoting", CORRECT, "Wrong quoted-printable."),
    violation("bad-encoding", CORRECT, "Wrong base64, or an unknown encoding."),
    violation("bad-boundary", CORRECT, "Boundaries that are missing, late or ambiguous."),
    violation("duplicate-headers", CORRECT, "Fields twice that stand once."),
    violation("invalid-header", CORRECT, "Header lines that are none."),
    violation("invalid-type", "\"malformed\"", "Content types that are none."),
    violation("ambiguous", CORRECT, "Whatever readers could disagree about."),
    violation("partial-message", "\"malformed\"", "message/partial and message/external-body."),
    now(
        "encrypted",
        Kind::List(&Kind::Word(&[word("archive"), word("office"), word("pdf"), word("smime"), word("pgp")])),
        "[\"archive\", \"office\", \"pdf\"]",
        "What counts as status `encrypted`; the rest is left to the other rules, and the log names it.",
    ),
    now("max-parts", Kind::Count(1, 100_000), "1000", "MIME parts."),
    now("max-depth", Kind::Count(1, 256), "32", "Nesting of parts."),
    now("max-header", Kind::Size, "\"256KiB\"", "One header block; 1 KiB to 16 MiB."),
    now(
        "max-decoded",
        Kind::Size,
        "\"200MiB\"",
        "All parts together, decoded and unpacked; 1 KiB to 16 GiB.",
    ),
    now("max-archive-depth", Kind::Count(0, 64), "8", "Archives within archives."),
];

const KEEP: Kind = Kind::Word(&[word("keep"), word("remove")]);
const HTML_FILTER: &[Entry] = &[
    now("scripts", KEEP, "\"remove\"", "Scripts."),
    now("event-handlers", KEEP, "\"remove\"", "Event handlers."),
    now("frames", KEEP, "\"remove\"", "Frames."),
    now("objects", KEEP, "\"remove\"", "Objects and embedded content."),
    now("forms", KEEP, "\"remove\"", "Forms."),
    now("styles", KEEP, "\"keep\"", "Styles."),
    now("remote-images", KEEP, "\"keep\"", "Images from elsewhere."),
    now(
        "links",
        Kind::Word(&[word("keep"), word("reveal"), word("remove")]),
        "\"reveal\"",
        "Links; \"reveal\" shows where they lead.",
    ),
    now("macros", KEEP, "\"remove\"", "Macros of documents."),
];

const ANTIVIRUS: &[Entry] = &[
    now("type", Kind::Word(&[word("builtin"), word("clamd"), word("icap")]), "", "By default the name."),
    now(
        "signatures",
        TEXTS,
        "[\"builtin:test\"]",
        "builtin: files and folders of hashes, body signatures and YARA rules.",
    ),
    now(
        "socket",
        Kind::Text,
        "\"auto\"",
        "clamd: \"auto\", a path, \"192.0.2.1:3310\", \"host.example.net:3310\", or \"tls:host.example.net:3310\".",
    ),
    now("url", Kind::Text, "", "icap: the service, \"icap://host:1344/service\"; icaps:// is ICAP in TLS."),
    now(
        "server-tls",
        Kind::Name("server-tls", &["system"]),
        "",
        "Whom to trust where the engine is behind TLS; by default the authorities of the system.",
    ),
    now(
        "timeout",
        Kind::Duration,
        "\"60s\"",
        "Absolute, for one mail; then the status is `error`; at least 1 s.",
    ),
    now(
        "max-size",
        Kind::Either(&[Kind::Size, Kind::Word(&[word("auto")])]),
        "\"auto\"",
        "clamd, icap: larger mail has the status `limit`; \"auto\": found out by trying.",
    ),
    now("ignore", Kind::Patterns, "[]", "clamd, icap: names of viruses that do not count: [\"PUA.*\"]."),
];

const ANTISPAM: &[Entry] = &[
    now("type", Kind::Word(&[word("builtin"), word("rspamd"), word("spamd")]), "", "By default the name."),
    now(
        "rules",
        Kind::List(&Kind::Table("spam-rule")),
        "[]",
        "builtin: points for fields of the header. The test mail of spam filters (GTUBE) has 1000 points.",
    ),
    now(
        "url",
        Kind::Text,
        "\"http://127.0.0.1:11333\"",
        "rspamd: where it listens; https:// is HTTP in TLS.",
    ),
    now(
        "socket",
        Kind::Text,
        "\"127.0.0.1:783\"",
        "spamd: where it listens, a path, \"192.0.2.1:783\", \"host.example.net:783\" or \"tls:host.example.net:783\".",
    ),
    now(
        "server-tls",
        Kind::Name("server-tls", &["system"]),
        "",
        "Whom to trust where the filter is behind TLS; by default the authorities of the system.",
    ),
    now("max-size", Kind::Size, "\"2MiB\"", "Larger mail is not asked about: its score is `unknown`."),
    now(
        "timeout",
        Kind::Duration,
        "\"15s\"",
        "Absolute, for one mail; then the score is `unknown`; at least 1 s.",
    ),
];
const SPAM_RULE: &[Entry] = &[
    now("name", Kind::Text, "", "The field's name; `*` matches any run. Required."),
    now("match", Kind::Text, "\"*\"", "Its value, without case; `*` matches any run."),
    now("score", Kind::Score, "", "Points, which may be negative: 2.5. Required."),
    now("symbol", Kind::Text, "", "What the log calls it; by default the field's name."),
];

pub(super) static SECTIONS: &[Section] = &[
    Section {
        place: "doc-acl",
        doc: "Phase 3, for each part of a mail. The first rule that matches decides; without one the part is left as it \
              is, and its statuses are judged with the mail's.",
        form: List,
        entries: DOC_ACL,
    },
    Section {
        place: "mail-acl",
        doc: "Phase 3, for each mail. The rules are tried for each status of the mail and the strongest decision wins: \
              deny, defer, replace, accept. What no rule decides is deferred.",
        form: List,
        entries: MAIL_ACL,
    },
    Section { place: "header", doc: "A header field.", form: Inner, entries: HEADER },
    Section { place: "field", doc: "A header field that is written.", form: Inner, entries: FIELD },
    Section { place: "document-types", doc: "Types of documents.", form: Single, entries: DOCUMENT_TYPES },
    Section {
        place: "mail-filter",
        doc: "What a mail may be made of. A violation is passed, corrected, or gives the status `malformed`; over a limit \
              the status is `limit`. The filter \"default\" always exists.",
        form: Named,
        entries: MAIL_FILTER,
    },
    Section { place: "html-filter", doc: "What HTML may have in it.", form: Named, entries: HTML_FILTER },
    Section {
        place: "antivirus",
        doc: "An engine. Every one is used unless a [command-acl.download] names some.",
        form: Named,
        entries: ANTIVIRUS,
    },
    Section {
        place: "antispam",
        doc: "A spam filter. Every one is used unless a [command-acl.download] names some. It gives a mail points, which \
              `spam-score` in [[mail-acl]] asks for; it never blocks a mail by itself.",
        form: Named,
        entries: ANTISPAM,
    },
    Section {
        place: "spam-rule",
        doc: "Points for a header field, once however often it is there.",
        form: Inner,
        entries: SPAM_RULE,
    },
];
