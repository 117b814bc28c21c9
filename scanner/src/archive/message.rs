//! Mails in files (.eml, .mht): whoever opens such a file sees its parts. They are taken apart like the mail that they came
//! with; about its form nothing is said, because nobody delivers it as a mail.
use super::{Fault, Members, inline};
use crate::documents;
use crate::parts::take_apart;
use policy::status::Status;
use std::borrow::Cow;

pub(super) fn open(octets: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    inline::open(octets, members)?;
    let mail = with_crlf(octets);
    let parts = take_apart(&mail, members.opener.filter);
    if parts.found.contains(Status::Limit) {
        members.fault((Status::Limit, "a mail in a file that is more than can be looked into"));
    }
    let base = parts.canonical.as_deref().unwrap_or(&mail);
    for leaf in &parts.leaves {
        let header = leaf.place.as_ref().and_then(|place| base.get(place.header.clone()));
        let names = documents::names_of(&leaf.names, header.unwrap_or_default());
        for name in &names {
            members.name(name)?;
        }
        members.content(names.first().map_or("", String::as_str), &leaf.octets)?;
    }
    for reading in &parts.extra {
        members.shown(reading)?;
    }
    Ok(())
}

/// Files have the line ends of the system that wrote them.
fn with_crlf(octets: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr_iter(b'\n', octets).all(|at| at > 0 && octets.get(at - 1) == Some(&b'\r')) {
        return Cow::Borrowed(octets);
    }
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        lines.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
        if text.len() < line.len() {
            lines.extend_from_slice(b"\r\n");
        }
    }
    Cow::Owned(lines)
}
