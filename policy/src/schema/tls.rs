//! TLS on either side.
use super::Form::{Inner, Named};
use super::{Entry, Kind, Section, TEXTS, now, word};

/// `tls` of a listener or a session-acl.
pub(super) const CLIENT_MODE: Kind =
    Kind::Word(&[word("off"), word("starttls"), word("starttls-required"), word("implicit")]);

const VERSIONS: Kind = Kind::List(&Kind::Word(&[word("1.2"), word("1.3")]));
const PAIR: Kind = Kind::Table("certificate");
/// A list of certificates that are asked for; one of them must match.
pub(super) const MATCHES: Kind = Kind::List(&Kind::Table("certificate-match"));

const CERTIFICATE: &[Entry] = &[
    now("cert", Kind::File, "", "The chain, PEM, the end certificate first. Required."),
    now(
        "key",
        Kind::Secret,
        "",
        "The private key, PEM: a file, or \"credential:NAME\" for a credential of systemd. Required.",
    ),
    now("passphrase-file", Kind::Secret, "", "A file or credential with the passphrase of the key."),
    now("staple", Kind::File, "", "An OCSP answer to staple, DER."),
];

const CERTIFICATE_MATCH: &[Entry] = &[
    now("subject", Kind::Text, "", "The subject, RFC 4514, most specific first; `*` matches any run."),
    now("issuer", Kind::Text, "", "The issuer, likewise."),
    now("san", Kind::Text, "", "A subject alternative name; `*` stays within a label."),
    now(
        "fingerprint",
        Kind::Text,
        "",
        "SHA-256 of the certificate, 64 hexadecimal digits; colons may stand between.",
    ),
];

const CLIENT_TLS: &[Entry] = &[
    now(
        "certificates",
        Kind::List(&PAIR),
        "",
        "Certificates with keys, chosen by the name that the client asks for.",
    ),
    now("versions", VERSIONS, "[\"1.2\", \"1.3\"]", "Versions of TLS."),
    now("ciphers", TEXTS, "[]", "Cipher suites by IANA's names; empty: every safe one."),
    now(
        "client-certificates",
        Kind::Word(&[word("none"), word("optional"), word("required")]),
        "\"none\"",
        "Whether clients are asked for a certificate.",
    ),
    now("client-ca", Kind::File, "", "Authorities that clients' certificates must come from."),
    now("crl", Kind::List(&Kind::File), "[]", "Revocation lists."),
    now("deadline", Kind::Duration, "\"15s\"", "For the handshake."),
    now(
        "intercept",
        Kind::Table("client-tls.intercept"),
        "",
        "Implicit TLS of connections that NAT brought is ended with certificates in the servers' place.",
    ),
];

const INTERCEPT: &[Entry] = &[
    now("ca", PAIR, "", "Signs certificates for servers that were verified. Required."),
    now("untrusted-ca", PAIR, "", "Signs for servers that were not, where policy lets them pass."),
    now(
        "bypass",
        Kind::Hosts,
        "[]",
        "Servers that are relayed unseen: addresses, and names that their certificates prove.",
    ),
    now(
        "certificate-asked",
        Kind::Word(&[word("refuse"), word("bypass")]),
        "\"refuse\"",
        "What to do when the server asks for a client certificate.",
    ),
];

const SERVER_TLS: &[Entry] = &[
    now(
        "mode",
        Kind::Word(&[word("off"), word("starttls"), word("opportunistic"), word("implicit")]),
        "\"implicit\"",
        "\"starttls\" is never downgraded; \"opportunistic\" is, loudly.",
    ),
    now("ca", Kind::Either(&[Kind::Word(&[word("system")]), Kind::File]), "\"system\"", "Whom to trust."),
    now(
        "verify",
        Kind::Word(&[word("full"), word("chain"), word("fingerprint"), word("none")]),
        "\"full\"",
        "What is verified.",
    ),
    now(
        "accept",
        Kind::List(&Kind::Word(&[word("expired"), word("not-yet-valid"), word("self-signed")])),
        "[]",
        "Loud exceptions.",
    ),
    now("depth", Kind::Count(1, 6), "6", "Most certificates between the server's and an authority's."),
    now("name", Kind::Text, "", "The name to expect, where it differs from the server's."),
    now("certificate", PAIR, "", "A certificate to show to the server."),
    now("fingerprints", TEXTS, "[]", "SHA-256 of certificates to accept with verify = \"fingerprint\"."),
    now("versions", VERSIONS, "[\"1.2\", \"1.3\"]", "Versions of TLS."),
];

pub(super) static SECTIONS: &[Section] = &[
    Section {
        place: "client-tls",
        doc: "TLS towards clients. The only one is used without being named.",
        form: Named,
        entries: CLIENT_TLS,
    },
    Section { place: "client-tls.intercept", doc: "Interception.", form: Inner, entries: INTERCEPT },
    Section {
        place: "server-tls",
        doc: "TLS towards servers. \"system\" (implicit, verified) is built in, \"off\" is clear text.",
        form: Named,
        entries: SERVER_TLS,
    },
    Section { place: "certificate", doc: "A certificate and its key.", form: Inner, entries: CERTIFICATE },
    Section {
        place: "certificate-match",
        doc: "What a certificate must be like: everything that is given.",
        form: Inner,
        entries: CERTIFICATE_MATCH,
    },
];
