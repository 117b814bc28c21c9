//! `[mail-filter.NAME]` and `[html-filter.NAME]`.
use super::document::Document;
use super::service::{GIB, KIB, MIB, count};
use super::{Named, Place};
use crate::html::{Family, HtmlFilter, Links};
use crate::locked::{Locked, LockedKinds};
use crate::model::MailFilter;
use crate::read::Item;
use crate::violation::{Treatment, Violation};

pub(super) fn mail_filters(document: &mut Document<'_>) -> Named<MailFilter> {
    const TREATMENTS: &[(&str, Treatment)] =
        &[("pass", Treatment::Pass), ("correct", Treatment::Correct), ("malformed", Treatment::Malformed)];
    let sink = document.sink;
    let mut filters = Named::new();
    let default = |name: &str| MailFilter { name: name.to_owned(), ..MailFilter::default() };
    let mut given = Vec::new();
    for (name, at, mut table) in document.named_tables("mail-filter") {
        let mut filter = default(name);
        for violation in Violation::ALL {
            let treatment =
                table.take(violation.name()).and_then(|item| item.choice("mail-filter", TREATMENTS));
            filter.treatments.set(violation, treatment.unwrap_or_else(|| filter.treatments.of(violation)));
        }
        if let Some(kinds) = table.take("encrypted").and_then(|item| locked(&item)) {
            filter.encrypted = kinds;
        }
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

/// Kinds of locked content; none at all is a word too.
fn locked(item: &Item<'_>) -> Option<LockedKinds> {
    let kinds = item.list()?.into_iter().map(|item| item.choice("mail-filter", &Locked::WORDS));
    kinds.collect::<Option<Vec<_>>>().map(LockedKinds::of)
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
