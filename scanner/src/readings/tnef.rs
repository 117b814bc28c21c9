//! TNEF (MS-OXTNEF): what Outlook puts into winmail.dat. Attributes with their length and a checksum, one behind the
//! other; attachments and the text lie in them, some inside lists of MAPI properties.
//!
//! Reads what anybody on the Internet wrote. Nothing is believed but lengths that fit; what does not fit ends the reading.

const SIGNATURE: &[u8] = &[0x78, 0x9f, 0x3e, 0x22];
/// Attachments of one file.
const MAX_ATTACHMENTS: usize = 1000;
/// Properties of one list.
const MAX_PROPERTIES: u32 = 4096;

/// One attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Every name that it bears, the long one first.
    pub names: Vec<String>,
    /// Its octets.
    pub content: Vec<u8>,
}

/// What such a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tnef {
    /// The text: plain, HTML or RTF, whichever is there.
    pub text: Option<Vec<u8>>,
    /// What the text is.
    pub text_type: &'static str,
    /// In order.
    pub attachments: Vec<Attachment>,
    /// The file ends where its attributes say, and every one could be read.
    pub whole: bool,
}

/// Whether octets begin as such a file does.
pub fn is_tnef(octets: &[u8]) -> bool {
    octets.starts_with(SIGNATURE)
}

/// Takes it apart; `None` if it is no such file.
pub fn unpack(octets: &[u8]) -> Option<Tnef> {
    let mut reader = Reader { rest: octets.strip_prefix(SIGNATURE)? };
    reader.take(2)?;
    let mut tnef = Tnef { text_type: "text/plain", ..Tnef::default() };
    tnef.whole = loop {
        if reader.rest.is_empty() {
            break true;
        }
        let Some((level, attribute, data)) = reader.attribute() else { break false };
        if !tnef.take(level, attribute, data) {
            break false;
        }
    };
    Some(tnef)
}

impl Tnef {
    /// Whether the attribute could be read.
    fn take(&mut self, level: u8, attribute: u16, data: &[u8]) -> bool {
        match (level, attribute) {
            (1, 0x800c) => self.offer("text/plain", || without_nul(data).to_vec()),
            (1, 0x9003) => return self.properties(data),
            (2, 0x9002) => {
                if self.attachments.len() >= MAX_ATTACHMENTS {
                    return false;
                }
                self.attachments.push(Attachment::default());
            }
            (2, 0x800f) => self.last().content = data.to_vec(),
            (2, 0x8010) => {
                let name = text(data);
                self.last().add_name(name, false);
            }
            (2, 0x9005) => return self.attachment_properties(data),
            _ => {}
        }
        true
    }

    /// The attachment that is being described; some writers forget to say where it begins.
    fn last(&mut self) -> &mut Attachment {
        if self.attachments.is_empty() {
            self.attachments.push(Attachment::default());
        }
        let last = self.attachments.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "there is one, see above")]
        &mut self.attachments[last]
    }

    /// The first text counts, but plain text and HTML are preferred to RTF.
    fn offer(&mut self, kind: &'static str, content: impl FnOnce() -> Vec<u8>) {
        if self.text.is_none() || self.text_type == "text/rtf" {
            let content = content();
            if !content.is_empty() {
                self.text = Some(content);
                self.text_type = kind;
            }
        }
    }

    fn properties(&mut self, data: &[u8]) -> bool {
        for_each_property(data, |id, kind, value| match (id, kind) {
            (0x1000, 0x1e | 0x1f) => self.offer("text/plain", || string(kind, value).into_bytes()),
            (0x1013, 0x102 | 0x1e) => self.offer("text/html", || value.to_vec()),
            (0x1009, 0x102) if self.text.is_none() => {
                self.offer("text/rtf", || rtf(value).unwrap_or_default());
            }
            _ => {}
        })
        .is_some()
    }

    fn attachment_properties(&mut self, data: &[u8]) -> bool {
        for_each_property(data, |id, kind, value| match (id, kind) {
            (0x3707, 0x1e | 0x1f) => self.last().add_name(string(kind, value), true),
            (0x3001 | 0x3704, 0x1e | 0x1f) => self.last().add_name(string(kind, value), false),
            // An embedded object; a message is again such a file behind the 16 octets that say so.
            (0x3701, 0x102 | 0x0d) if self.last().content.is_empty() => {
                let value = if kind == 0x0d { value.get(16..).unwrap_or_default() } else { value };
                self.last().content = value.to_vec();
            }
            _ => {}
        })
        .is_some()
    }
}

impl Attachment {
    fn add_name(&mut self, name: String, first: bool) {
        if name.is_empty() || self.names.contains(&name) {
            return;
        }
        if first { self.names.insert(0, name) } else { self.names.push(name) }
    }
}

/// Shows every value of a list of properties: id, type without its flag, octets. `None` if the list cannot be read.
fn for_each_property(data: &[u8], mut show: impl FnMut(u16, u16, &[u8])) -> Option<()> {
    let mut reader = Reader { rest: data };
    let count = reader.u32()?;
    if count > MAX_PROPERTIES {
        return None;
    }
    for _ in 0..count {
        let kind = reader.u16()?;
        let id = reader.u16()?;
        if id >= 0x8000 {
            reader.take(16)?;
            match reader.u32()? {
                0 => reader.take(4)?,
                _ => reader.padded()?,
            };
        }
        let many = kind & 0x1000 != 0;
        let kind = kind & 0x0fff;
        let variable = matches!(kind, 0x0d | 0x1e | 0x1f | 0x102);
        let values = if many || variable { reader.u32()? } else { 1 };
        for _ in 0..values {
            let value = match kind {
                _ if variable => reader.padded()?,
                2 | 3 | 4 | 0x0a | 0x0b => reader.take(4)?,
                5 | 6 | 7 | 0x14 | 0x40 => reader.take(8)?,
                0x48 => reader.take(16)?,
                0 | 1 => &[],
                _ => return None,
            };
            if value.is_empty() && values > MAX_PROPERTIES {
                return None;
            }
            show(id, kind, value);
        }
    }
    Some(())
}

fn without_nul(octets: &[u8]) -> &[u8] {
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    octets.get(..end).unwrap_or_default()
}

fn text(octets: &[u8]) -> String {
    let octets = without_nul(octets);
    std::str::from_utf8(octets)
        .map_or_else(|_| octets.iter().map(|octet| char::from(*octet)).collect(), str::to_owned)
}

fn string(kind: u16, octets: &[u8]) -> String {
    if kind == 0x1e {
        return text(octets);
    }
    let units = octets.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// MS-OXRTFCP: references into a window of 4096 octets that begins with common RTF.
fn rtf(octets: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \
        \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
    let mut reader = Reader { rest: octets };
    let (_packed, size, magic, _checksum) = (reader.u32()?, reader.u32()?, reader.take(4)?, reader.u32()?);
    if magic == b"MELA" {
        return Some(reader.rest.get(..(size as usize).min(reader.rest.len()))?.to_vec());
    }
    if magic != b"LZFu" {
        return None;
    }
    let mut window = vec![0_u8; 4096];
    window.get_mut(..BEGIN.len())?.copy_from_slice(BEGIN);
    let mut at = BEGIN.len();
    let mut text = Vec::new();
    let mut put = |window: &mut Vec<u8>, at: &mut usize, octet: u8| {
        if let Some(place) = window.get_mut(*at) {
            *place = octet;
        }
        *at = (*at + 1) % 4096;
        text.push(octet);
    };
    while let Some(control) = reader.u8() {
        for bit in 0..8 {
            if control & (1 << bit) == 0 {
                let Some(octet) = reader.u8() else { return Some(text) };
                put(&mut window, &mut at, octet);
                continue;
            }
            let Some(reference) =
                reader.take(2).and_then(|pair| pair.try_into().ok()).map(u16::from_be_bytes)
            else {
                return Some(text);
            };
            let (from, length) = (usize::from(reference >> 4), usize::from(reference & 15) + 2);
            if from == at {
                return Some(text);
            }
            for step in 0..length {
                let octet = window.get((from + step) % 4096).copied()?;
                put(&mut window, &mut at, octet);
            }
        }
    }
    Some(text)
}

/// Takes from the front; never more than there is. Integers are little-endian.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A length, so many octets, and what fills the last group of four.
    fn padded(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let value = self.take(length)?;
        let fill = length.checked_next_multiple_of(4)? - length;
        self.take(fill.min(self.rest.len()))?;
        Some(value)
    }

    /// Level, id (the type stands above it), data; the checksum is not looked at, for no reader does.
    fn attribute(&mut self) -> Option<(u8, u16, &'a [u8])> {
        let level = self.u8()?;
        let attribute = self.u16()?;
        self.u16()?;
        let length = usize::try_from(self.u32()?).ok()?;
        let data = self.take(length)?;
        self.take(2)?;
        Some((level, attribute, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(level: u8, id: u32, data: &[u8]) -> Vec<u8> {
        let sum = data.iter().fold(0_u16, |sum, octet| sum.wrapping_add(u16::from(*octet)));
        [
            &[level][..],
            &id.to_le_bytes(),
            &u32::try_from(data.len()).unwrap().to_le_bytes(),
            data,
            &sum.to_le_bytes(),
        ]
        .concat()
    }

    fn property(kind: u16, id: u16, value: &[u8]) -> Vec<u8> {
        let mut property = [&kind.to_le_bytes()[..], &id.to_le_bytes(), &1_u32.to_le_bytes()].concat();
        property.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        property.extend(value);
        property.resize(property.len().next_multiple_of(4), 0);
        property
    }

    fn file(attributes: &[Vec<u8>]) -> Vec<u8> {
        [SIGNATURE, &[1, 0], &attributes.concat()].concat()
    }

    #[test]
    fn attachments_are_found_with_every_name_and_the_text_too() {
        let long: Vec<u8> = "long name.docx".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let properties = [&1_u32.to_le_bytes()[..], &property(0x1f, 0x3707, &long)].concat();
        let tnef = unpack(&file(&[
            attribute(1, 0x0002_800c, b"Hello\0"),
            attribute(2, 0x0006_9002, &[0; 14]),
            attribute(2, 0x0001_8010, b"LONGNA~1.DOC\0"),
            attribute(2, 0x0006_800f, b"content"),
            attribute(2, 0x0006_9005, &properties),
        ]))
        .unwrap();
        assert!(tnef.whole);
        assert_eq!(tnef.text.as_deref(), Some(&b"Hello"[..]));
        assert_eq!(tnef.attachments[0].names, ["long name.docx", "LONGNA~1.DOC"]);
        assert_eq!(tnef.attachments[0].content, b"content");
    }

    #[test]
    fn compressed_rtf_is_unpacked() {
        // The example of MS-OXRTFCP section 4.1.1.
        let packed = [
            0x2d, 0, 0, 0, 0x2b, 0, 0, 0, 0x4c, 0x5a, 0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0x00, 0x0a,
            0x00, 0x72, 0x63, 0x70, 0x67, 0x31, 0x32, 0x35, 0x42, 0x32, 0x0a, 0xf3, 0x20, 0x68, 0x65, 0x6c,
            0x09, 0x00, 0x20, 0x62, 0x77, 0x05, 0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0,
        ];
        assert_eq!(rtf(&packed).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
    }

    #[test]
    fn a_file_that_breaks_off_is_not_whole_and_ends_the_reading() {
        let whole = file(&[attribute(2, 0x0006_9002, &[0; 14]), attribute(2, 0x0006_800f, b"content")]);
        for end in 6..whole.len() {
            let tnef = unpack(&whole[..end]).unwrap();
            assert!(
                !tnef.whole
                    || end == 6
                    || tnef.attachments.iter().all(|attachment| attachment.content.is_empty()),
                "{end}"
            );
        }
        assert_eq!(unpack(b"plain"), None);
    }
}
