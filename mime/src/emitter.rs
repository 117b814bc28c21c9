//! The canonical form of a mail: one field of each kind, boundaries of our own, every leaf in base64, one clean name in
//! both places, nothing before, between or behind the parts. What it writes, the recogniser accepts, whatever it was
//! given; the scanner gives it what it parsed out of mails that the recogniser refused.
//!
//! ```
//! use mime::emitter::{Entity, Leaf, Message, emit};
//! let leaf = Leaf { content_type: "text/plain".into(), content: b"Hi.".to_vec(), ..Leaf::default() };
//! let message = Message { fields: vec![(b"Subject".to_vec(), b"hello".to_vec())], body: Entity::Leaf(leaf) };
//! let mail = emit(&message);
//! assert!(mime::recogniser::recognise(&mail, &mime::recogniser::Limits::default()).is_ok());
//! ```
mod name;
mod value;

pub use name::clean as clean_name;

use crate::body;
use crate::field::{DOUBTFUL_TYPES, is_token};
use crate::header::{OWN, SINGULAR, is_nearly_mime};
use crate::transfer_encoding::encode_base64_into;
use std::borrow::Cow;
use std::fmt::Write;

/// Octets of a field's name.
const MAX_FIELD_NAME: usize = 64;
/// Octets of a parameter's value, and of an identifier.
const MAX_PARAMETER: usize = 200;
/// Parameters of one part, names aside.
const MAX_PARAMETERS: usize = 8;
/// Multiparts that every reader takes for what they are; others are written as mixed. A signature does not survive
/// this form, so multipart/signed is none of them.
const MULTIPARTS: [&str; 5] = ["mixed", "alternative", "related", "report", "encrypted"];
const OPAQUE: &str = "application/octet-stream";

/// A message: its fields (those of MIME are written anew) and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Names and values in order, as they stood or already cleaned.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its content.
    pub body: Entity,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    /// Content.
    Leaf(Leaf),
    /// Parts side by side.
    Multipart {
        /// Behind `multipart/`.
        subtype: String,
        /// Of Content-Type, without the boundary.
        parameters: Vec<(String, String)>,
        /// In order; an empty text stands where there is none.
        parts: Vec<Self>,
    },
    /// An embedded message.
    Message(Box<Message>),
}

/// A leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// type/subtype; what is none becomes application/octet-stream.
    pub content_type: String,
    /// Of Content-Type, without the name.
    pub parameters: Vec<(String, String)>,
    /// The file name.
    pub name: Option<String>,
    /// Content-Disposition: an attachment.
    pub attached: bool,
    /// Content-ID, without the angle brackets.
    pub id: Option<String>,
    /// Decoded.
    pub content: Vec<u8>,
}

/// Writes the canonical form.
pub fn emit(message: &Message) -> Vec<u8> {
    let mut emitter = Emitter { mail: Vec::new(), boundaries: 0 };
    emitter.message(message);
    emitter.mail
}

struct Emitter {
    mail: Vec<u8>,
    boundaries: usize,
}

impl Emitter {
    fn message(&mut self, message: &Message) {
        let mut seen = [false; SINGULAR.len()];
        for (name, value) in &message.fields {
            let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_field_name(name)) else {
                continue;
            };
            let lower = name.to_ascii_lowercase();
            let of_mime = lower.starts_with("content-") || lower == "mime-version";
            if of_mime || is_nearly_mime(lower.as_bytes()) || lower.starts_with(OWN) {
                continue;
            }
            if let Some(place) = SINGULAR.iter().position(|singular| *singular == lower)
                && seen.get_mut(place).is_some_and(|seen| std::mem::replace(seen, true))
            {
                continue;
            }
            self.mail.extend_from_slice(value::field(name, &lower, value).as_bytes());
        }
        self.line("MIME-Version: 1.0");
        self.entity(&message.body);
    }

    fn line(&mut self, line: &str) {
        self.mail.extend_from_slice(line.as_bytes());
        self.mail.extend_from_slice(b"\r\n");
    }

    /// The fields of MIME, the empty line, and the body.
    fn entity(&mut self, entity: &Entity) {
        match entity {
            Entity::Leaf(leaf) => self.leaf(leaf),
            Entity::Multipart { subtype, parameters, parts } => self.multipart(subtype, parameters, parts),
            Entity::Message(message) => {
                self.line("Content-Type: message/rfc822\r\n");
                self.message(message);
            }
        }
    }

    fn multipart(&mut self, subtype: &str, parameters: &[(String, String)], parts: &[Entity]) {
        let subtype =
            MULTIPARTS.into_iter().find(|known| subtype.eq_ignore_ascii_case(known)).unwrap_or("mixed");
        // No base64 has an underscore, and no field that is written here begins with a hyphen: the boundary is nowhere
        // else. All are of one length, so none begins like another.
        let boundary = format!("=_mailward_{:06}", self.boundaries);
        self.boundaries += 1;
        let mut field = format!("Content-Type: multipart/{subtype};\r\n boundary=\"{boundary}\"");
        write_parameters(&mut field, parameters);
        self.line(&field);
        self.line("");
        let nothing = [Entity::Leaf(Leaf { content_type: "text/plain".into(), ..Leaf::default() })];
        for part in if parts.is_empty() { &nothing } else { parts } {
            self.line(&format!("--{boundary}"));
            self.entity(part);
            match part {
                // The line end before a delimiter is the delimiter's: an embedded message keeps its own.
                Entity::Message(_) => self.line(""),
                Entity::Leaf(_) | Entity::Multipart { .. } => {}
            }
        }
        self.line(&format!("--{boundary}--"));
    }

    fn leaf(&mut self, leaf: &Leaf) {
        let content_type = leaf_type(&leaf.content_type);
        let name = leaf.name.as_deref().and_then(clean_name);
        let mut field = format!("Content-Type: {content_type}");
        write_parameters(&mut field, &leaf.parameters);
        if let Some(name) = &name {
            name::write(&mut field, "name", name);
        }
        self.line(&field);
        self.line("Content-Transfer-Encoding: base64");
        if leaf.attached || name.is_some() {
            let mut field = String::from("Content-Disposition: ");
            field.push_str(if leaf.attached { "attachment" } else { "inline" });
            if let Some(name) = &name {
                name::write(&mut field, "filename", name);
            }
            self.line(&field);
        }
        if let Some(id) = leaf.id.as_deref().filter(|id| is_identifier(id)) {
            self.line(&format!("Content-ID: <{id}>"));
        }
        self.line("");
        let content = if content_type.starts_with("text/") {
            body::without_second_encodings(&leaf.content)
        } else {
            Cow::Borrowed(leaf.content.as_slice())
        };
        if content.is_empty() {
            self.line("");
        }
        encode_base64_into(&content, &mut self.mail);
    }
}

fn is_field_name(name: &str) -> bool {
    name.len() <= MAX_FIELD_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'))
}

/// In lower case; nothing that some readers unpack, and nothing that has parts of its own.
fn leaf_type(content_type: &str) -> String {
    let lower = content_type.to_ascii_lowercase();
    let good = lower.split_once('/').is_some_and(|(kind, subtype)| {
        is_token(kind.as_bytes())
            && is_token(subtype.as_bytes())
            && !matches!(kind, "multipart" | "message")
            && lower.len() <= MAX_PARAMETER
            && !DOUBTFUL_TYPES.contains(&lower.as_str())
    });
    if good { lower } else { OPAQUE.to_owned() }
}

fn write_parameters(field: &mut String, parameters: &[(String, String)]) {
    let mut written: Vec<String> = Vec::new();
    for (name, value) in parameters {
        let lower = name.to_ascii_lowercase();
        let good = written.len() < MAX_PARAMETERS
            && !matches!(lower.as_str(), "name" | "filename" | "boundary")
            && !lower.is_empty()
            && lower.len() <= 32
            && lower
                .bytes()
                .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
            && value.len() <= MAX_PARAMETER
            && value.bytes().all(|octet| (32..=126).contains(&octet) && !matches!(octet, b'"' | b'\\'))
            && !value.contains("=?")
            && !written.contains(&lower);
        if good {
            let _ = write!(field, ";\r\n {lower}=\"{value}\"");
            written.push(lower);
        }
    }
}

/// What may stand between angle brackets without a doubt.
fn is_identifier(id: &str) -> bool {
    (1..=MAX_PARAMETER).contains(&id.len())
        && !id.contains("=?")
        && id.bytes().all(|octet| (33..=126).contains(&octet) && !b"<>()\",;\\".contains(&octet))
}
