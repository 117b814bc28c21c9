//! BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2), every extension field with it: sizes from the map, the rest from the
//! fields of each part's header.
use super::envelope::{Values, unfold};
use super::{MAX_HEADERS, Refusal};
use crate::imap::write::Writer;
use crate::machine::ScannedCopy;
use mime::parameters::{self, Parameters};
use mime::part_map::{Name, Part};

/// Writes the structure of the whole message, with the extension data or without.
pub(super) fn write(copy: &dyn ScannedCopy, extended: bool, writer: &mut Writer<'_>) -> Result<(), Refusal> {
    let mut structure = Structure { copy, parts: copy.parts().parts(), extended, left: MAX_HEADERS };
    structure.write_first(writer)
}

struct Structure<'m> {
    copy: &'m dyn ScannedCopy,
    /// What was not written yet, outer before inner.
    parts: &'m [Part],
    extended: bool,
    /// Octets of headers that may still be read.
    left: usize,
}

impl Structure<'_> {
    /// Writes the first part that was not written, with all that it contains. As deep as the map, whose depth is bounded.
    fn write_first(&mut self, writer: &mut Writer<'_>) -> Result<(), Refusal> {
        let Some((part, rest)) = self.parts.split_first() else { return Ok(()) };
        self.parts = rest;
        let values = Values::read(self.copy, part, &mut self.left)?;
        writer.word("(");
        if part.is_multipart() {
            while self.parts.first().is_some_and(|inner| inner.header.start < part.body.end) {
                self.write_first(writer)?;
            }
            self.write_multipart(part, &values, writer);
        } else {
            self.write_leaf(part, &values, writer)?;
        }
        writer.word(")");
        Ok(())
    }

    fn write_multipart(&self, part: &Part, values: &Values<'_>, writer: &mut Writer<'_>) {
        let (_, subtype) = kind(part);
        writer.space();
        writer.string_bytes(subtype.as_bytes());
        if self.extended {
            writer.space();
            let declared = values.raw(Name::ContentType).map(parameters::content_type);
            write_parameters(&declared.map(|(_, parameters)| parameters).unwrap_or_default(), writer);
            write_extension(values, writer);
        }
    }

    fn write_leaf(
        &mut self,
        part: &Part,
        values: &Values<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<(), Refusal> {
        let (kind, subtype) = kind(part);
        writer.string_bytes(kind.as_bytes());
        writer.space();
        writer.string_bytes(subtype.as_bytes());
        writer.space();
        write_parameters(&leaf_parameters(part, values), writer);
        for name in [Name::ContentId, Name::ContentDescription] {
            writer.space();
            values.write(name, writer);
        }
        writer.space();
        let encoding =
            values.raw(Name::ContentTransferEncoding).map(parameters::word).filter(|word| !word.is_empty());
        writer.string_bytes(encoding.unwrap_or(b"7bit"));
        writer.space();
        writer.number(part.body.len() as u64);
        if part.is_message() {
            // What it contains follows it in the map.
            let Some(contained) = self.parts.first() else { return Err(Refusal::Headers) };
            writer.space();
            Values::read(self.copy, contained, &mut self.left)?.write_envelope(writer);
            writer.space();
            self.write_first(writer)?;
        }
        if part.is_message() || kind == "text" {
            writer.space();
            writer.number(part.lines as u64);
        }
        if self.extended {
            writer.space();
            values.write(Name::ContentMd5, writer);
            write_extension(values, writer);
        }
        Ok(())
    }
}

/// Type and subtype. What is no type is a text (RFC 2045 section 5.2), which the map says already.
fn kind(part: &Part) -> (&str, &str) {
    part.content_type.split_once('/').unwrap_or((&part.content_type, "plain"))
}

/// Those of Content-Type if the map believes in its type. A text that names no character set is in US-ASCII (RFC 2046
/// section 4.1.2), and clients want to read that.
fn leaf_parameters(part: &Part, values: &Values<'_>) -> Parameters {
    let declared = values.raw(Name::ContentType).map(parameters::content_type);
    let mut parameters = match declared {
        Some((Some(kind), parameters)) if kind == part.content_type => parameters,
        Some(_) | None => Parameters::new(),
    };
    let named = parameters.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
    if part.content_type.starts_with("text/") && !named {
        parameters.push((b"charset".to_vec(), b"us-ascii".to_vec()));
    }
    parameters
}

fn write_parameters(parameters: &Parameters, writer: &mut Writer<'_>) {
    if parameters.is_empty() {
        return writer.nstring(None);
    }
    writer.word("(");
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            writer.space();
        }
        writer.string_bytes(&unfold(name));
        writer.space();
        writer.string_bytes(&unfold(value));
    }
    writer.word(")");
}

/// Disposition, language, location.
fn write_extension(values: &Values<'_>, writer: &mut Writer<'_>) {
    writer.space();
    match values.raw(Name::ContentDisposition).map(parameters::disposition) {
        Some((word, parameters)) if !word.is_empty() => {
            writer.word("(");
            writer.string_bytes(&unfold(&word));
            writer.space();
            write_parameters(&parameters, writer);
            writer.word(")");
        }
        Some(_) | None => writer.nstring(None),
    }
    writer.space();
    let languages = values.raw(Name::ContentLanguage).map(parameters::words).unwrap_or_default();
    if languages.is_empty() {
        writer.nstring(None);
    } else {
        writer.word("(");
        for (index, language) in languages.iter().enumerate() {
            if index > 0 {
                writer.space();
            }
            writer.string_bytes(&unfold(language));
        }
        writer.word(")");
    }
    writer.space();
    values.write(Name::ContentLocation, writer);
}
