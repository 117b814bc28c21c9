//! `[antivirus.NAME]`, `[mail-filter.NAME]` and `[html-filter.NAME]`.
use super::document::Document;
use super::service::{GIB, KIB, MIB, count};
use super::{Named, Place};
use crate::host::is_host_name;
use crate::html::{Family, HtmlFilter, Links};
use crate::model::{Engine, EngineKind, EngineSocket, MailFilter};
use crate::read::{Item, Table};
use std::path::PathBuf;
use std::time::Duration;

/// The signature set that knows EICAR's test file and nothing else.
pub(super) const TEST_SIGNATURES: &str = "builtin:test";

#[derive(Clone, Copy)]
enum Kind {
    Builtin,
    Clamd,
}

pub(super) fn engines(document: &mut Document<'_>) -> Named<Engine> {
    const KINDS: &[(&str, Kind)] = &[("builtin", Kind::Builtin), ("clamd", Kind::Clamd)];
    let sink = document.sink;
    let mut engines = Named::new();
    for (name, at, mut table) in document.named_tables("antivirus") {
        let errors = sink.errors();
        let kind = match table.take("type") {
            Some(item) => item.choice("antivirus", KINDS),
            None => {
                let kind = KINDS.iter().find(|(word, _)| *word == name).map(|(_, kind)| *kind);
                if kind.is_none() {
                    let message = format!("`{name}` is no type of engine, and `type` is missing");
                    sink.error(&at, message, "write type = \"clamd\" or type = \"builtin\"");
                }
                kind
            }
        };
        let timeout = table.duration("timeout", Duration::from_secs(60), Duration::from_secs(1));
        let kind = match kind {
            Some(Kind::Builtin) => EngineKind::Builtin { signatures: signatures(&mut table) },
            Some(Kind::Clamd) => clamd(&mut table),
            None => {
                // The engine keeps its name, so that rules which name it are not wrong too.
                table.drain();
                EngineKind::Clamd { socket: EngineSocket::Auto, max_size: None, ignore: Vec::new() }
            }
        };
        table.finish();
        let engine = Engine { name: name.to_owned(), kind, timeout };
        engines.push(sink, "antivirus engine", name.to_owned(), Place::read(sink, errors, at), engine);
    }
    engines
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

fn clamd(table: &mut Table<'_>) -> EngineKind {
    let socket = table.take("socket").and_then(|item| engine_socket(&item)).unwrap_or(EngineSocket::Auto);
    let max_size = table.take("max-size").and_then(|item| {
        if item.is_text() && item.text() == Some("auto") { None } else { item.size(KIB..=4 * GIB) }
    });
    let ignore = table.take("ignore").and_then(|item| item.strings()).unwrap_or_default();
    let ignore = ignore.into_iter().map(|(_, pattern)| pattern.to_owned()).collect();
    EngineKind::Clamd { socket, max_size, ignore }
}

fn engine_socket(item: &Item<'_>) -> Option<EngineSocket> {
    const FORM: &str = "write \"auto\", the path of its socket, or \"192.0.2.1:3310\"";
    let text = item.filled()?;
    if text == "auto" {
        return Some(EngineSocket::Auto);
    }
    if text.starts_with('/') {
        return Some(EngineSocket::Path(PathBuf::from(text)));
    }
    match text.parse::<std::net::SocketAddr>() {
        Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => {
            return Some(EngineSocket::Tcp(address));
        }
        Ok(_) | Err(_) => {}
    }
    let host = text.rsplit_once(':').map(|(host, _)| host);
    if text.starts_with("tls:") {
        item.error(format!("an engine behind TLS (`{text}`) is not in this version"), FORM);
    } else if host.is_some_and(is_host_name) {
        item.error(format!("a host name (`{text}`) is not in this version for an engine"), FORM);
    } else {
        item.error(format!("`{text}` is no place where an engine listens"), FORM);
    }
    None
}

pub(super) fn mail_filters(document: &mut Document<'_>) -> Named<MailFilter> {
    let sink = document.sink;
    let mut filters = Named::new();
    let default = |name: &str| MailFilter {
        name: name.to_owned(),
        max_parts: 1000,
        max_depth: 32,
        max_header: 256 << 10,
        max_decoded: 200 * MIB,
        max_archive_depth: 8,
    };
    let mut given = Vec::new();
    for (name, at, mut table) in document.named_tables("mail-filter") {
        let mut filter = default(name);
        filter.max_parts = count(&mut table, "max-parts", filter.max_parts, 1, 100_000);
        filter.max_depth = count(&mut table, "max-depth", filter.max_depth, 1, 256);
        let header = table.size("max-header", 256 * KIB, KIB..=16 * MIB);
        filter.max_header = usize::try_from(header).unwrap_or(filter.max_header);
        filter.max_decoded = table.size("max-decoded", filter.max_decoded, KIB..=16 * GIB);
        filter.max_archive_depth = count(&mut table, "max-archive-depth", filter.max_archive_depth, 0, 64);
        table.finish();
        given.push((name, at, filter));
    }
    // `default` always exists and is the first, so that rules find it without naming it.
    if !given.iter().any(|(name, _, _)| *name == "default") {
        filters.push(
            sink,
            "mail-filter",
            "default".to_owned(),
            Place::implied(document.start()),
            default("default"),
        );
    }
    given.sort_by_key(|(name, _, _)| *name != "default");
    for (name, at, filter) in given {
        filters.push(sink, "mail-filter", name.to_owned(), Place::implied(at), filter);
    }
    filters
}

pub(super) fn html_filters(document: &mut Document<'_>) -> Named<HtmlFilter> {
    const FAMILY: &[(&str, Family)] = &[("keep", Family::Keep), ("remove", Family::Remove)];
    const LINKS: &[(&str, Links)] =
        &[("keep", Links::Keep), ("reveal", Links::Reveal), ("remove", Links::Remove)];
    let sink = document.sink;
    let mut filters = Named::new();
    for (name, at, mut table) in document.named_tables("html-filter") {
        let errors = sink.errors();
        let mut filter = HtmlFilter::new(name);
        for (item, family) in [
            ("scripts", &mut filter.scripts),
            ("event-handlers", &mut filter.event_handlers),
            ("frames", &mut filter.frames),
            ("objects", &mut filter.objects),
            ("forms", &mut filter.forms),
            ("styles", &mut filter.styles),
            ("remote-images", &mut filter.remote_images),
            ("macros", &mut filter.macros),
        ] {
            let word = table.take(item).and_then(|item| item.choice("html-filter", FAMILY));
            *family = word.unwrap_or(*family);
        }
        let links = table.take("links").and_then(|item| item.choice("html-filter", LINKS));
        filter.links = links.unwrap_or(filter.links);
        table.finish();
        filters.push(sink, "html-filter", name.to_owned(), Place::read(sink, errors, at), filter);
    }
    filters
}
