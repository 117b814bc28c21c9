//! The leaves of a mail, decoded, for the engines and for the rules. A mail that the strict recogniser accepts is what
//! it is; any other is rebuilt without ambiguity if the mail filter corrects what is wrong with it, and whatever some
//! other reader could open in it is shown to the engines too.
use crate::canonical::{as_utf8, rebuild};
use crate::readings::{self, Bounds};
use mail_parser::{MessageParser, MessagePart, MimeHeaders, PartType};
use mime::recogniser::{self, Accepted, Limits, Offence, Refused};
use policy::model::MailFilter;
use policy::status::{Status, StatusSet};
use policy::violation::{Treatment, Violation};
use std::borrow::Cow;
use std::collections::BTreeSet;

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
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// Its leaves, in order; of a rebuilt mail, those of the copy.
    pub leaves: Vec<Leaf<'a>>,
    /// For the engines only: texts whose charset hides them; of a mail that the recogniser refused, what other readers
    /// might open.
    pub extra: Vec<Vec<u8>>,
    /// `malformed` or `limit`, or nothing.
    pub found: StatusSet,
    /// Why, in constant words.
    pub why: &'static str,
    /// The recogniser accepted it.
    pub recognised: bool,
    /// What the recogniser, and the reader that rebuilds, found wrong with it.
    pub violations: BTreeSet<Violation>,
    /// The mail without what was wrong with it, where the mail filter wants it corrected: this is delivered in its place.
    pub canonical: Option<Vec<u8>>,
}

impl Parts<'_> {
    /// What some reader might open in these octets, for the engines.
    fn add_readings(&mut self, octets: &[u8], filter: &MailFilter) {
        let bounds = Bounds { leaves: filter.max_parts.saturating_mul(READINGS), octets: filter.max_decoded };
        let readings = readings::of(octets, bounds);
        if readings.over {
            self.found = self.found.with(Status::Limit);
            self.why = "more readings than can be looked into";
        }
        self.extra.extend(readings.leaves);
    }
}

/// Takes a mail apart within the filter's limits.
pub fn take_apart<'a>(mail: &'a [u8], filter: &MailFilter) -> Parts<'a> {
    let limits =
        Limits { max_parts: filter.max_parts, max_depth: filter.max_depth, max_header: filter.max_header };
    match recogniser::recognise(mail, &limits) {
        Ok(accepted) => recognised(mail, &accepted, filter),
        Err(refused) if refused.limit => over(refused.what),
        Err(refused) => doubtful(mail, &refused, filter, &limits),
    }
}

fn over(why: &'static str) -> Parts<'static> {
    Parts { found: StatusSet::of(Status::Limit), why, ..Parts::default() }
}

/// A mail about which readers could disagree.
fn doubtful<'a>(mail: &'a [u8], refused: &Refused, filter: &MailFilter, limits: &Limits) -> Parts<'a> {
    let rebuilt = rebuild(mail, limits, filter.max_decoded);
    let found = rebuilt.as_ref().map(|rebuilt| rebuilt.offences.clone()).unwrap_or_default();
    let violations: BTreeSet<Violation> = found.into_iter().chain([refused.offence]).map(violation).collect();
    let mut parts = lenient(mail, filter);
    parts.violations = violations;
    parts.why = refused.what;
    parts.extra.extend(parts.leaves.iter().map(|leaf| leaf.octets.to_vec()));
    match (filter.treatments.of_all(parts.violations.iter().copied()), rebuilt) {
        (Treatment::Pass, _) => {}
        (Treatment::Correct, Ok(rebuilt)) => {
            let why = parts.why;
            if let Ok(accepted) = recogniser::recognise(&rebuilt.mail, limits) {
                parts.leaves = copied(&rebuilt.mail, &accepted, rebuilt.names);
                parts.extra.insert(0, rebuilt.mail.clone());
                parts.canonical = Some(rebuilt.mail);
            } else {
                parts = malformed(parts, why);
            }
        }
        (Treatment::Correct, Err(refused)) if refused.limit => {
            parts.found = parts.found.with(Status::Limit);
            parts.why = refused.what;
        }
        (Treatment::Correct, Err(refused)) => parts = malformed(parts, refused.what),
        (Treatment::Malformed, _) => parts = malformed(parts, refused.what),
    }
    parts.add_readings(mail, filter);
    parts
}

fn malformed<'a>(parts: Parts<'a>, why: &'static str) -> Parts<'a> {
    Parts { found: parts.found.with(Status::Malformed), why, ..parts }
}

/// The leaves of a rebuilt mail, with every name that they bore before.
fn copied(copy: &[u8], accepted: &Accepted, names: Vec<Vec<String>>) -> Vec<Leaf<'static>> {
    let mut names = names.into_iter();
    let leaf = |place: &recogniser::Leaf| {
        let mut all = place.names.clone();
        all.extend(names.next().unwrap_or_default().into_iter().filter(|name| !place.names.contains(name)));
        Leaf {
            octets: Cow::Owned(recogniser::decode(copy, place)),
            declared: place.content_type.clone(),
            names: all,
            place: Some(place.clone()),
        }
    };
    accepted.leaves.iter().map(leaf).collect()
}

const fn violation(offence: Offence) -> Violation {
    match offence {
        Offence::BareNewlines => Violation::BareNewlines,
        Offence::NulBytes => Violation::NulBytes,
        Offence::EightBitHeader => Violation::EightBitHeader,
        Offence::EightBitBody => Violation::EightBitBody,
        Offence::LongLines => Violation::LongLines,
        Offence::BadQuoting => Violation::BadQuoting,
        Offence::BadEncoding => Violation::BadEncoding,
        Offence::BadBoundary => Violation::BadBoundary,
        Offence::DuplicateHeaders => Violation::DuplicateHeaders,
        Offence::InvalidHeader => Violation::InvalidHeader,
        Offence::InvalidType => Violation::InvalidType,
        Offence::Ambiguous => Violation::Ambiguous,
        Offence::PartialMessage => Violation::PartialMessage,
    }
}

fn recognised<'a>(mail: &'a [u8], accepted: &Accepted, filter: &MailFilter) -> Parts<'a> {
    let mut parts = Parts { recognised: true, ..Parts::default() };
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
        let header = mail.get(leaf.header.clone()).unwrap_or_default();
        parts.extra.extend(as_utf8(header, &octets));
        if recogniser::holds_a_part(&octets) || readings::is_opaque(&octets) {
            parts.add_readings(&octets, filter);
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
    let mut parts = Parts::default();
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
