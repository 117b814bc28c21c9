//! ENVELOPE (RFC 9051 section 7.5.2): fields of a message as they stand in its header, unfolded and not decoded, and
//! addresses taken apart.
use super::{MAX_HEADERS, Refusal, address, message, read};
use crate::imap::write::Writer;
use crate::machine::ScannedCopy;
use mime::part_map::{Name, Part};

/// Writes the envelope of the whole message.
pub(super) fn write(copy: &dyn ScannedCopy, writer: &mut Writer<'_>) -> Result<(), Refusal> {
    let Some(part) = message(copy.parts()) else { return Err(Refusal::Headers) };
    let values = Values::read(copy, part, &mut MAX_HEADERS.clone())?;
    values.write_envelope(writer);
    Ok(())
}

/// The fields of one part that answers are made from.
pub(super) struct Values<'m> {
    part: &'m Part,
    /// Where in the copy `octets` begin.
    start: usize,
    octets: Vec<u8>,
}

impl<'m> Values<'m> {
    /// Reads the stretch of the header that they stand in, with one call.
    pub(super) fn read(copy: &dyn ScannedCopy, part: &'m Part, left: &mut usize) -> Result<Self, Refusal> {
        let start = part.fields.iter().map(|(_, value)| value.start).min().unwrap_or_default();
        let end = part.fields.iter().map(|(_, value)| value.end).max().unwrap_or_default();
        Ok(Self { part, start, octets: read(copy, &(start..end), left)? })
    }

    /// The value of a field as it stands there.
    pub(super) fn raw(&self, name: Name) -> Option<&[u8]> {
        let value = self.part.field(name)?;
        self.octets.get(value.start.checked_sub(self.start)?..value.end.checked_sub(self.start)?)
    }

    /// The value of a field without its folding and the blanks around it.
    pub(super) fn unfolded(&self, name: Name) -> Option<Vec<u8>> {
        self.raw(name).map(|value| unfold(value.trim_ascii()))
    }

    pub(super) fn write_envelope(&self, writer: &mut Writer<'_>) {
        writer.word("(");
        self.write(Name::Date, writer);
        writer.space();
        self.write(Name::Subject, writer);
        let from = self.addresses(Name::From);
        for name in [Name::From, Name::Sender, Name::ReplyTo, Name::To, Name::Cc, Name::Bcc] {
            writer.space();
            let mut entries = self.addresses(name);
            // A missing or empty Sender or Reply-To is From.
            if entries.is_empty() && matches!(name, Name::Sender | Name::ReplyTo) {
                entries.clone_from(&from);
            }
            address::write(&entries, writer);
        }
        writer.space();
        self.write(Name::InReplyTo, writer);
        writer.space();
        self.write(Name::MessageId, writer);
        writer.word(")");
    }

    /// Writes the value as `nstring`.
    pub(super) fn write(&self, name: Name, writer: &mut Writer<'_>) {
        match self.unfolded(name) {
            Some(value) => writer.string_bytes(&value),
            None => writer.nstring(None),
        }
    }

    fn addresses(&self, name: Name) -> Vec<address::Entry> {
        self.raw(name).map(address::parse).unwrap_or_default()
    }
}

/// A fold and the blanks around it are one blank (RFC 5322 section 2.2.3 lets it mean that; dovecot tells the same). NUL
/// may stand in no string of IMAP's.
pub(super) fn unfold(value: &[u8]) -> Vec<u8> {
    let mut unfolded: Vec<u8> = Vec::with_capacity(value.len());
    let mut folded = false;
    for octet in value {
        match octet {
            0 => {}
            b'\r' | b'\n' => {
                unfolded.truncate(unfolded.trim_ascii_end().len());
                folded = true;
            }
            b' ' | b'\t' if folded => {}
            octet => {
                if std::mem::take(&mut folded) && !unfolded.is_empty() {
                    unfolded.push(b' ');
                }
                unfolded.push(*octet);
            }
        }
    }
    unfolded
}
