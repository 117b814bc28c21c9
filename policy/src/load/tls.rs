//! `[client-tls.NAME]`, `[server-tls.NAME]`, and what rules and listeners say of them.
use super::conditions::certificates;
use super::document::Document;
use super::{Named, Place};
use crate::diagnostic::At;
use crate::host::{HostError, is_host_name};
use crate::intercept::{Bypass, CertificateAsked, Intercept};
use crate::read::{Item, Table};
use crate::tls::{
    ClientMode, ClientTls, Demand, Exceptions, Pair, Required, SERVER_SYSTEM, ServerMode, ServerTls, Trust,
    Verify, Versions,
};
use std::path::PathBuf;
use std::time::Duration;

/// Cipher suites that there are, by IANA's names.
const CIPHERS: [&str; 9] = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
const CLIENT_MODES: &[(&str, ClientMode)] = &[
    ("off", ClientMode::Off),
    ("starttls", ClientMode::StartTls),
    ("starttls-required", ClientMode::StartTlsRequired),
    ("implicit", ClientMode::Implicit),
];
/// webpki's bound.
const DEPTH: usize = 6;

pub(super) fn client_tls(document: &mut Document<'_>) -> Named<ClientTls> {
    let sink = document.sink;
    let mut all = Named::new();
    for (name, at, mut table) in document.named_tables("client-tls") {
        let errors = sink.errors();
        let certificates = table.take("certificates").map(|item| item.tables_in("certificate"));
        let certificates: Vec<Pair> = certificates.into_iter().flatten().filter_map(pair).collect();
        if certificates.is_empty() && sink.errors() == errors {
            sink.error(
                &at,
                "there is no certificate to show to clients",
                "write certificates = [{ cert = \"/etc/mailward/tls/mail.pem\", key = \"/etc/mailward/tls/mail.key\" }]",
            );
        }
        let demand = table.choice(
            "client-certificates",
            Demand::None,
            &[("none", Demand::None), ("optional", Demand::Optional), ("required", Demand::Required)],
        );
        let tls = ClientTls {
            name: name.to_owned(),
            certificates,
            versions: versions(&mut table),
            ciphers: ciphers(&mut table),
            demand,
            client_ca: table.take("client-ca").and_then(|item| file(&item)),
            crl: table
                .take("crl")
                .and_then(|item| item.list())
                .map(|items| items.iter().filter_map(file).collect())
                .unwrap_or_default(),
            deadline: table.duration("deadline", Duration::from_secs(15), Duration::from_secs(1)),
            intercept: table
                .take("intercept")
                .and_then(|item| item.table("client-tls.intercept"))
                .and_then(intercept),
        };
        if demand != Demand::None && tls.client_ca.is_none() {
            sink.error(
                &at,
                "clients are asked for certificates, and no authority is named that could have signed them",
                "write client-ca = \"/etc/mailward/tls/users-ca.pem\"",
            );
        }
        table.finish();
        all.push(sink, "client-tls", name.to_owned(), Place::read(sink, errors, at), tls);
    }
    all
}

fn intercept(mut table: Table<'_>) -> Option<Intercept> {
    let ca = table
        .require(
            "ca",
            "write ca = { cert = \"/etc/mailward/tls/ca.pem\", key = \"/etc/mailward/tls/ca.key\" }",
        )
        .and_then(|item| item.table("certificate"))
        .and_then(pair);
    let untrusted_ca = table.take("untrusted-ca").and_then(|item| item.table("certificate")).and_then(pair);
    let mut bypass = Bypass::default();
    let items = table.take("bypass").and_then(|item| item.strings()).unwrap_or_default();
    for (item, text) in items {
        if let Err(HostError::Invalid(why)) = bypass.add(text) {
            item.error(
                format!("`{text}` in `bypass`: {why}"),
                "write \"192.0.2.1\", \"192.0.2.0/24\", \"mail.example.net\" or \"*.example.net\"",
            );
        }
    }
    let certificate_asked = table.choice(
        "certificate-asked",
        CertificateAsked::Refuse,
        &[("refuse", CertificateAsked::Refuse), ("bypass", CertificateAsked::Bypass)],
    );
    table.finish();
    Some(Intercept { ca: ca?, untrusted_ca, bypass, certificate_asked })
}

/// The built-in ones come first.
pub(super) fn server_tls(document: &mut Document<'_>) -> Named<ServerTls> {
    const MODES: &[(&str, ServerMode)] = &[
        ("off", ServerMode::Off),
        ("starttls", ServerMode::StartTls),
        ("opportunistic", ServerMode::Opportunistic),
        ("implicit", ServerMode::Implicit),
    ];
    const VERIFY: &[(&str, Verify)] = &[
        ("full", Verify::Full),
        ("chain", Verify::Chain),
        ("fingerprint", Verify::Fingerprint),
        ("none", Verify::None),
    ];
    let sink = document.sink;
    let mut all = Named::new();
    for tls in ServerTls::built_in() {
        let name = tls.name.clone();
        all.push(sink, "server-tls", name, Place::implied(document.start()), tls);
    }
    for (name, at, mut table) in document.named_tables("server-tls") {
        let errors = sink.errors();
        if ServerTls::built_in().iter().any(|known| known.name == name) {
            sink.error(&at, format!("the server-tls `{name}` is built in"), "choose another name");
            table.drain();
            continue;
        }
        let tls = ServerTls {
            name: name.to_owned(),
            mode: table.choice("mode", ServerMode::Implicit, MODES),
            trust: table.take("ca").and_then(|item| trust(&item)).unwrap_or_default(),
            verify: table.choice("verify", Verify::Full, VERIFY),
            accept: exceptions(&mut table),
            depth: usize::try_from(table.count("depth", 6, 1..=6)).unwrap_or(DEPTH),
            expected: table.take("name").and_then(|item| expected(&item)),
            certificate: table.take("certificate").and_then(|item| item.table("certificate")).and_then(pair),
            fingerprints: fingerprints(&mut table),
            versions: versions(&mut table),
        };
        loud(&at, &table, &tls);
        table.finish();
        all.push(sink, "server-tls", name.to_owned(), Place::read(sink, errors, at), tls);
    }
    all
}

/// What weakens the verification is said each time the file is read.
fn loud(at: &At, table: &Table<'_>, tls: &ServerTls) {
    let sink = table.sink;
    if tls.verify == Verify::Fingerprint && tls.fingerprints.is_empty() {
        sink.error(
            at,
            "certificates are to be known by their fingerprints, and there is none",
            "write fingerprints = [\"...\"]: `openssl x509 -noout -fingerprint -sha256` prints them",
        );
    }
    if tls.verify != Verify::Fingerprint && !tls.fingerprints.is_empty() {
        sink.error(
            at,
            "`fingerprints` has no effect here",
            "write verify = \"fingerprint\", or `require-server-certificate` in the [[command-acl]]",
        );
    }
    let weak = match (tls.mode, tls.verify) {
        (ServerMode::Off, _) => None,
        (ServerMode::Opportunistic, _) => {
            Some("passwords and mail travel in clear text where the server refuses TLS")
        }
        (_, Verify::None) => Some("no certificate is verified: anybody on the way can be the server"),
        (_, Verify::Chain) => {
            Some("the name in the certificate is not verified: any certified host can be the server")
        }
        (_, Verify::Full | Verify::Fingerprint) if tls.accept != Exceptions::default() => {
            Some("certificates that do not verify are accepted")
        }
        (_, Verify::Full | Verify::Fingerprint) => None,
    };
    if let Some(weak) = weak {
        sink.warn(
            at,
            weak,
            "write mode = \"implicit\" or \"starttls\" with verify = \"full\" and no `accept`",
        );
    }
}

fn pair(mut table: Table<'_>) -> Option<Pair> {
    let cert =
        table.require("cert", "write cert = \"/etc/mailward/tls/mail.pem\"").and_then(|item| file(&item));
    let key =
        table.require("key", "write key = \"/etc/mailward/tls/mail.key\"").and_then(|item| item.secret());
    let passphrase = table.take("passphrase-file").and_then(|item| item.secret());
    let staple = table.take("staple").and_then(|item| file(&item));
    table.finish();
    Some(Pair { cert: cert?, key: key?, passphrase, staple })
}

fn file(item: &Item<'_>) -> Option<PathBuf> {
    let path = item.absolute()?;
    item.mention(path, false);
    Some(path.into())
}

fn trust(item: &Item<'_>) -> Option<Trust> {
    if item.text()? == "system" { Some(Trust::System) } else { file(item).map(Trust::Path) }
}

fn versions(table: &mut Table<'_>) -> Versions {
    let Some(item) = table.take("versions") else { return Versions::default() };
    let place = table.place;
    let known = [("1.2", false), ("1.3", true)];
    let items = item.some_strings().unwrap_or_default();
    let mut versions = Versions { v1_2: false, v1_3: false };
    for (item, _) in &items {
        match item.choice(place, &known) {
            Some(true) => versions.v1_3 = true,
            Some(false) => versions.v1_2 = true,
            None => {}
        }
    }
    versions
}

fn ciphers(table: &mut Table<'_>) -> Vec<String> {
    let items = table.take("ciphers").and_then(|item| item.strings()).unwrap_or_default();
    let mut ciphers = Vec::new();
    for (item, text) in items {
        if CIPHERS.contains(&text) {
            ciphers.push(text.to_owned());
        } else {
            let near = crate::read::nearest(text, CIPHERS.into_iter());
            let help = near.map_or_else(
                || format!("there are: {}", CIPHERS.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            item.error(format!("`{text}` is no cipher suite of this version"), help);
        }
    }
    ciphers
}

fn exceptions(table: &mut Table<'_>) -> Exceptions {
    #[derive(Clone, Copy)]
    enum What {
        Expired,
        NotYetValid,
        SelfSigned,
    }
    const WORDS: &[(&str, What)] = &[
        ("expired", What::Expired),
        ("not-yet-valid", What::NotYetValid),
        ("self-signed", What::SelfSigned),
    ];
    let place = table.place;
    let items = table.take("accept").and_then(|item| item.strings()).unwrap_or_default();
    let mut accept = Exceptions::default();
    for (item, _) in &items {
        match item.choice(place, WORDS) {
            Some(What::Expired) => accept.expired = true,
            Some(What::NotYetValid) => accept.not_yet_valid = true,
            Some(What::SelfSigned) => accept.self_signed = true,
            None => {}
        }
    }
    accept
}

fn expected(item: &Item<'_>) -> Option<String> {
    let name = item.filled()?;
    if is_host_name(name) || name.parse::<std::net::IpAddr>().is_ok() {
        return Some(name.to_ascii_lowercase());
    }
    item.error(format!("`{name}` is not the name of a host"), "write the name that the certificate has");
    None
}

fn fingerprints(table: &mut Table<'_>) -> Vec<String> {
    let items = table.take("fingerprints").and_then(|item| item.strings()).unwrap_or_default();
    items.iter().filter_map(|(item, _)| super::conditions::fingerprint(item)).collect()
}

/// `tls` and `client-tls` of a listener; `None`: as wrong as was said.
pub(super) fn of_listener(table: &mut Table<'_>, all: &Named<ClientTls>) -> (ClientMode, Option<u16>) {
    let at = table.at.clone();
    let mode = mode(table).unwrap_or_default();
    match table.take("client-tls") {
        Some(item) => (mode, named(&item, all)),
        None => (mode, the_only_one(table, &at, all, mode)),
    }
}

/// `tls` and `client-tls` of a session-acl, which may leave both to the listener.
pub(super) fn of_session(table: &mut Table<'_>, all: &Named<ClientTls>) -> (Option<ClientMode>, Option<u16>) {
    let at = table.at.clone();
    let mode = mode(table);
    match (table.take("client-tls"), mode) {
        (Some(item), _) => (mode, named(&item, all)),
        (None, Some(some)) => (mode, the_only_one(table, &at, all, some)),
        (None, None) => (None, None),
    }
}

fn mode(table: &mut Table<'_>) -> Option<ClientMode> {
    let place = table.place;
    table.take("tls").and_then(|item| item.choice(place, CLIENT_MODES))
}

fn named(item: &Item<'_>, all: &Named<ClientTls>) -> Option<u16> {
    all.find(item, "client-tls", item.filled()?)
}

/// The only `[client-tls.NAME]` is used without being named.
fn the_only_one(table: &Table<'_>, at: &At, all: &Named<ClientTls>, mode: ClientMode) -> Option<u16> {
    if mode == ClientMode::Off {
        return None;
    }
    match all.names.as_slice() {
        [_] => return Some(0),
        [] => table.sink.error(
            at,
            "TLS towards clients needs a certificate, and there is no [client-tls.NAME]",
            "write [client-tls.default] with certificates = [{ cert = \"...\", key = \"...\" }], or tls = \"off\": user \
             names, passwords and mail then travel in clear text",
        ),
        names => table.sink.error(
            at,
            "there are several [client-tls.NAME], and none is named here",
            format!("write client-tls = one of: {}", names.join(", ")),
        ),
    }
    None
}

/// `server-tls` of a rule that accepts.
pub(super) fn of_server(table: &mut Table<'_>, all: &Named<ServerTls>) -> u16 {
    let Some(item) = table.take("server-tls") else { return SERVER_SYSTEM };
    item.filled().and_then(|name| all.find(&item, "server-tls", name)).unwrap_or(SERVER_SYSTEM)
}

/// `require-client-certificate` or `require-server-certificate`.
pub(super) fn required(table: &mut Table<'_>, key: &'static str) -> Required {
    certificates(table.take(key))
}
