//! The leaves of a mail, decoded, for the engines and for the rules: by the strict recogniser where it accepts the
//! mail, else by a lenient reader, so that what some reader could open is scanned too.
use crate::readings::{self, Bounds};
use mail_parser::{MessageParser, MessagePart, MimeHeaders, PartType};
use mime::recogniser::{self, Accepted, Limits};
use policy::model::MailFilter;
use policy::status::{Status, StatusSet};
use std::borrow::Cow;

/// Readings of one part, on the average: so many leaves may be kept besides.
const READINGS: usize = 8;

/// One leaf: what the engines and the document rules look at.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// Decoded.
    pub octets: Cow<'a, [u8]>,
    /// Lower-case type/subtype as its header declares it.
    pub declared: String,
    /// Every file name that its header gives it.
    pub names: Vec<String>,
    /// Where it stands; `None` in a mail that was not recognised, in which nothing has a place beyond doubt.
    pub place: Option<recogniser::Leaf>,
}

/// A mail, taken apart.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Its leaves, in order.
    pub leaves: Vec<Leaf<'a>>,
    /// Of a mail that the recogniser refused: what other readers might open, for the engines only.
    pub extra: Vec<Vec<u8>>,
    /// `malformed` or `limit`, or nothing.
    pub found: StatusSet,
    /// Why, in constant words.
    pub why: &'static str,
    /// The recogniser accepted it.
    pub recognised: bool,
}

/// Takes a mail apart within the filter's limits.
pub fn take_apart<'a>(mail: &'a [u8], filter: &MailFilter) -> Parts<'a> {
    let limits =
        Limits { max_parts: filter.max_parts, max_depth: filter.max_depth, max_header: filter.max_header };
    match recogniser::recognise(mail, &limits) {
        Ok(accepted) => recognised(mail, &accepted, filter),
        Err(refused) if refused.limit => Parts {
            leaves: Vec::new(),
            extra: Vec::new(),
            found: StatusSet::of(Status::Limit),
            why: refused.what,
            recognised: false,
        },
        Err(refused) => {
            let mut parts = lenient(mail, filter);
            let bounds =
                Bounds { leaves: filter.max_parts.saturating_mul(READINGS), octets: filter.max_decoded };
            let readings = readings::of(mail, bounds);
            if readings.over {
                parts.found = parts.found.with(Status::Limit);
            }
            parts.extra = readings.leaves;
            parts.found = parts.found.with(Status::Malformed);
            parts.why = refused.what;
            parts
        }
    }
}

fn recognised<'a>(mail: &'a [u8], accepted: &Accepted, filter: &MailFilter) -> Parts<'a> {
    let mut parts =
        Parts { leaves: Vec::new(), extra: Vec::new(), found: StatusSet::EMPTY, why: "", recognised: true };
    let mut decoded = 0_u64;
    for leaf in &accepted.leaves {
        let octets = match leaf.encoding {
            recogniser::Encoding::Identity => Cow::Borrowed(mail.get(leaf.body.clone()).unwrap_or_default()),
            recogniser::Encoding::Base64 | recogniser::Encoding::QuotedPrintable => {
                Cow::Owned(recogniser::decode(mail, leaf))
            }
        };
        decoded = decoded.saturating_add(octets.len() as u64);
        if decoded > filter.max_decoded {
            parts.found = parts.found.with(Status::Limit);
            parts.why = "more decoded octets than max-decoded";
            break;
        }
        parts.leaves.push(Leaf {
            octets,
            declared: leaf.content_type.clone(),
            names: leaf.names.clone(),
            place: Some(leaf.clone()),
        });
    }
    parts
}

/// As a tolerant reader would: everything that it decodes is a leaf.
fn lenient<'a>(mail: &'a [u8], filter: &MailFilter) -> Parts<'a> {
    let mut parts =
        Parts { leaves: Vec::new(), extra: Vec::new(), found: StatusSet::EMPTY, why: "", recognised: false };
    // A million siblings cost the parser 180 MB: counted before it is asked.
    let delimiters =
        memchr::memmem::find_iter(mail, b"\n--").take(filter.max_parts.saturating_mul(2)).count();
    if delimiters >= filter.max_parts.saturating_mul(2) {
        parts.found = StatusSet::of(Status::Limit);
        return parts;
    }
    let Some(message) = MessageParser::default().parse(mail) else { return parts };
    let mut decoded = 0_u64;
    let mut messages = vec![message];
    while let Some(message) = messages.pop() {
        for part in message.parts {
            if parts.leaves.len() >= filter.max_parts {
                parts.found = StatusSet::of(Status::Limit);
                return parts;
            }
            let declared = declared(&part);
            let names = names(&part);
            let octets: Cow<'a, [u8]> = match part.body {
                PartType::Text(text) | PartType::Html(text) => Cow::Owned(text.into_owned().into_bytes()),
                PartType::Binary(octets) | PartType::InlineBinary(octets) => Cow::Owned(octets.into_owned()),
                PartType::Message(nested) => {
                    if messages.len() < filter.max_depth {
                        messages.push(nested.into_owned());
                    }
                    continue;
                }
                PartType::Multipart(_) => continue,
            };
            decoded = decoded.saturating_add(octets.len() as u64);
            if decoded > filter.max_decoded {
                parts.found = StatusSet::of(Status::Limit);
                return parts;
            }
            parts.leaves.push(Leaf { octets, declared, names, place: None });
        }
    }
    parts
}

fn declared(part: &MessagePart<'_>) -> String {
    part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |declared| {
            let subtype = declared.subtype().unwrap_or_default();
            format!("{}/{subtype}", declared.ctype()).to_ascii_lowercase()
        },
    )
}

/// What the reader calls it, and what either field says.
fn names(part: &MessagePart<'_>) -> Vec<String> {
    let disposition = part.content_disposition().and_then(|field| field.attribute("filename"));
    let content_type = part.content_type().and_then(|field| field.attribute("name"));
    let mut names: Vec<String> = Vec::new();
    for name in [part.attachment_name(), disposition, content_type].into_iter().flatten() {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}
