//! ZIP archives (APPNOTE.TXT 6.3), and what is built on them: OOXML, OpenDocument, JAR. Readers differ in whether they
//! believe the directory at the end or the headers before each member, and in what they make of octets around them. Here
//! both must say the same, and every octet must belong to something.
use super::read::{u16_at, u32_at, u64_at, unpack};
use super::{Fault, Members};
use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;
use memchr::memmem;
use policy::status::Status;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_LENGTH: usize = 20;
const END64: &[u8] = b"PK\x06\x06";
const END64_LENGTH: usize = 56;
/// Extra fields: ZIP64 sizes, and the name in Unicode.
const ZIP64: u16 = 0x0001;
const UNICODE_PATH: u16 = 0x7075;

const fn malformed(why: &'static str) -> Fault {
    (Status::Malformed, why)
}

const CUT: Fault = malformed("a ZIP archive that is cut off");

/// One member, as the directory describes it.
struct Entry<'z> {
    name: &'z [u8],
    flags: u16,
    method: u16,
    crc: u32,
    packed: usize,
    size: u64,
    local: usize,
    mode: u32,
    unicode: Option<&'z [u8]>,
}

impl Entry<'_> {
    /// Bits 0, 6 and 13, and the method of AES.
    const fn is_locked(&self) -> bool {
        self.flags & 0x2041 != 0 || self.method == 99
    }

    const fn has_descriptor(&self) -> bool {
        self.flags & 8 != 0
    }
}

pub(super) fn open(zip: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let (directory, count) = directory(zip)?;
    let end = directory.start;
    let entries = entries(zip, directory, count)?;
    let mut seen = HashSet::new();
    members.of_office = entries.iter().any(|entry| entry.name.eq_ignore_ascii_case(b"[Content_Types].xml"))
        || entries.first().is_some_and(|entry| entry.name == b"mimetype");
    members.of_document = members.of_office;
    for entry in &entries {
        members.name(&String::from_utf8_lossy(entry.name))?;
        for name in [entry.unicode, local_unicode(zip, entry)].into_iter().flatten() {
            members.name(&String::from_utf8_lossy(name))?;
        }
        if !seen.insert(entry.name.to_ascii_lowercase()) {
            return Err(malformed("a ZIP archive with the same name twice"));
        }
        check_name(entry.name)?;
    }
    let contents = lie_side_by_side(zip, &entries, end)?;
    let office = members.of_office;
    for (entry, content) in entries.iter().zip(contents) {
        if entry.is_locked() {
            members.fault((Status::Encrypted, "a locked ZIP archive"));
            continue;
        }
        if office && entry.name == b"META-INF/manifest.xml" {
            let manifest = unpacked(zip, entry, content.clone(), members)?;
            if memmem::find(&manifest, b"encryption-data").is_some() {
                members.fault((Status::Encrypted, "a locked document"));
            }
        }
        // The type of a link in the attributes of Unix.
        if entry.mode & 0o170_000 == 0o120_000 {
            members.fault(malformed("a ZIP archive with a link in it"));
            continue;
        }
        let octets = unpacked(zip, entry, content, members)?;
        members.content(&String::from_utf8_lossy(entry.name), &octets)?;
    }
    Ok(())
}

/// A package whose members can be taken apart and put together again.
pub(super) struct Package<'z> {
    pub(super) pieces: Vec<Piece<'z>>,
}

/// One member, packed.
#[derive(Clone, Debug)]
pub(super) struct Piece<'z> {
    pub(super) name: &'z [u8],
    flags: u16,
    time: [u8; 4],
    method: u16,
    crc: u32,
    size: u64,
    packed: Cow<'z, [u8]>,
}

impl<'z> Piece<'z> {
    /// The same member with another content.
    pub(super) fn with(&self, content: &[u8]) -> Option<Self> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).ok()?;
        let packed = encoder.finish().ok()?.into();
        let (crc, size) = (crc32fast::hash(content), content.len() as u64);
        Some(Self { method: 8, crc, size, packed, ..self.clone() })
    }
}

impl<'z> Package<'z> {
    /// Reads what [`open`] would take, and has nothing locked in it.
    pub(super) fn read(zip: &'z [u8]) -> Result<Self, Fault> {
        let (directory, count) = directory(zip)?;
        let end = directory.start;
        let entries = entries(zip, directory, count)?;
        if entries.iter().any(Entry::is_locked) {
            return Err((Status::Encrypted, "a locked document"));
        }
        let contents = lie_side_by_side(zip, &entries, end)?;
        let piece = |(entry, content): (&Entry<'z>, Range<usize>)| {
            let time = zip.get(entry.local + 10..entry.local + 14).and_then(|time| time.try_into().ok());
            Ok(Piece {
                name: entry.name,
                flags: entry.flags,
                time: time.ok_or(CUT)?,
                method: entry.method,
                crc: entry.crc,
                size: entry.size,
                packed: Cow::Borrowed(zip.get(content).ok_or(CUT)?),
            })
        };
        let pieces = entries.iter().zip(contents).map(piece);
        Ok(Self { pieces: pieces.collect::<Result<_, Fault>>()? })
    }

    /// What is packed in a member that is small.
    pub(super) fn content(&self, piece: &Piece<'_>) -> Result<Vec<u8>, Fault> {
        unpack_member(&piece.packed, piece.method, piece.size, piece.crc, super::BOMB)
    }
}

/// Writes a package of exactly so many octets: members behind one another, and their directory. What is to be filled is
/// filled in front of members, as Microsoft's programs do for members that will grow ([MS-OE376]: 0xA220, 0xA028).
pub(super) fn write(pieces: &[Piece<'_>], length: usize) -> Option<Vec<u8>> {
    /// The field's own head, its mark, and how much was added: with nothing behind it.
    const LEAST: usize = 8;
    const MOST: usize = 65_000;
    let own: usize = pieces
        .iter()
        .map(|piece| LOCAL_LENGTH + ENTRY_LENGTH + 2 * piece.name.len() + piece.packed.len())
        .sum();
    let mut fill = length.checked_sub(own + END_LENGTH)?;
    let (mut zip, mut directory) = (Vec::with_capacity(length), Vec::new());
    for piece in pieces {
        let mut room = fill.min(MOST);
        if (1..LEAST).contains(&(fill - room)) {
            room -= LEAST;
        }
        if room < LEAST {
            room = 0;
        }
        fill -= room;
        let local = u32::try_from(zip.len()).ok()?;
        let name_length = u16::try_from(piece.name.len()).ok()?;
        let mut common = Vec::new();
        // Sizes stand in front of the member: no descriptor follows it.
        for number in [20, piece.flags & !8, piece.method] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        common.extend_from_slice(&piece.time);
        for number in [piece.crc, u32::try_from(piece.packed.len()).ok()?, u32::try_from(piece.size).ok()?] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        common.extend_from_slice(&name_length.to_le_bytes());
        zip.extend_from_slice(LOCAL);
        zip.extend_from_slice(&common);
        zip.extend_from_slice(&u16::try_from(room).ok()?.to_le_bytes());
        zip.extend_from_slice(piece.name);
        if room > 0 {
            let added = u16::try_from(room - LEAST).ok()?;
            for number in [0xa220, u16::try_from(room - 4).ok()?, 0xa028, added] {
                zip.extend_from_slice(&number.to_le_bytes());
            }
            zip.resize(zip.len() + usize::from(added), 0);
        }
        zip.extend_from_slice(&piece.packed);
        directory.extend_from_slice(ENTRY);
        directory.extend_from_slice(&20_u16.to_le_bytes());
        directory.extend_from_slice(&common);
        // No field, no comment, the first volume, no attributes.
        directory.extend_from_slice(&[0; 12]);
        directory.extend_from_slice(&local.to_le_bytes());
        directory.extend_from_slice(piece.name);
    }
    // Too little for a field is a comment.
    let comment = u16::try_from(fill).ok().filter(|fill| usize::from(*fill) < LEAST)?;
    let count = u16::try_from(pieces.len()).ok()?.to_le_bytes();
    let (start, size) = (u32::try_from(zip.len()).ok()?, u32::try_from(directory.len()).ok()?);
    zip.extend_from_slice(&directory);
    zip.extend_from_slice(END);
    zip.extend_from_slice(&[0; 4]);
    zip.extend_from_slice(&[count, count].concat());
    zip.extend_from_slice(&size.to_le_bytes());
    zip.extend_from_slice(&start.to_le_bytes());
    zip.extend_from_slice(&comment.to_le_bytes());
    zip.resize(zip.len() + usize::from(comment), b' ');
    Some(zip)
}

/// The directory and the number of its entries. It ends where its end begins, and that ends with the file.
fn directory(zip: &[u8]) -> Result<(Range<usize>, u64), Fault> {
    let from = zip.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let tail = zip.get(from..).unwrap_or_default();
    let mut ends = memmem::find_iter(tail, END).map(|at| from + at).filter(|at| {
        u16_at(zip, at + 20).is_some_and(|comment| at + END_LENGTH + usize::from(comment) == zip.len())
    });
    let end = ends.next().ok_or(malformed("a ZIP archive whose end is not at its end"))?;
    if ends.next().is_some() {
        return Err(malformed("a ZIP archive with two ends"));
    }
    let short = |at| u16_at(zip, end + at).ok_or(CUT);
    let long = |at| u32_at(zip, end + at).ok_or(CUT);
    let (disk, start_disk, here, total) = (short(4)?, short(6)?, short(8)?, short(10)?);
    let (size, offset) = (long(12)?, long(16)?);
    let locator = end
        .checked_sub(LOCATOR_LENGTH)
        .filter(|at| zip.get(*at..).is_some_and(|rest| rest.starts_with(LOCATOR)));
    if let Some(locator) = locator {
        let end64 = u64_at(zip, locator + 8).and_then(|at| usize::try_from(at).ok()).ok_or(CUT)?;
        let right = zip.get(end64..).is_some_and(|rest| rest.starts_with(END64))
            && end64.checked_add(END64_LENGTH) == Some(locator)
            && u64_at(zip, end64 + 4) == Some(END64_LENGTH as u64 - 12);
        if !right {
            return Err(malformed("a ZIP archive whose second end is not where it says"));
        }
        let number = |at| u64_at(zip, end64 + at).ok_or(CUT);
        let (here, total, size, offset) = (number(24)?, number(32)?, number(40)?, number(48)?);
        if here != total {
            return Err(malformed("a ZIP archive in several pieces"));
        }
        return Ok((range(offset, size, end64)?, total));
    }
    if disk != 0 || start_disk != 0 || here != total {
        return Err(malformed("a ZIP archive in several pieces"));
    }
    Ok((range(offset.into(), size.into(), end)?, total.into()))
}

fn range(offset: u64, size: u64, end: usize) -> Result<Range<usize>, Fault> {
    let start = usize::try_from(offset).map_err(|_| CUT)?;
    let length = usize::try_from(size).map_err(|_| CUT)?;
    if start.checked_add(length) != Some(end) {
        return Err(malformed("a ZIP archive with something before, behind or between its pieces"));
    }
    Ok(start..end)
}

fn entries(zip: &[u8], directory: Range<usize>, count: u64) -> Result<Vec<Entry<'_>>, Fault> {
    let mut entries = Vec::new();
    let mut at = directory.start;
    while at < directory.end {
        let head = zip.get(at..directory.end).unwrap_or_default();
        if !head.starts_with(ENTRY) {
            return Err(malformed("a ZIP archive with a directory that is none"));
        }
        let short = |at| u16_at(head, at).ok_or(CUT);
        let long = |at| u32_at(head, at).ok_or(CUT);
        let (name_length, extra_length, comment) =
            (usize::from(short(28)?), usize::from(short(30)?), usize::from(short(32)?));
        let name = head.get(ENTRY_LENGTH..ENTRY_LENGTH + name_length).ok_or(CUT)?;
        let extra_at = ENTRY_LENGTH + name_length;
        let extra = head.get(extra_at..extra_at + extra_length).ok_or(CUT)?;
        let (packed, size, local) = sizes64(extra, long(20)?, long(24)?, long(42)?)?;
        // Only Unix and its like keep a mode there.
        let mode = if matches!(short(4)? >> 8, 3 | 19) { long(38)? >> 16 } else { 0 };
        entries.push(Entry {
            name,
            flags: short(8)?,
            method: short(10)?,
            crc: long(16)?,
            packed: usize::try_from(packed).map_err(|_| CUT)?,
            size,
            local: usize::try_from(local).map_err(|_| CUT)?,
            mode,
            unicode: field(extra, UNICODE_PATH).and_then(|field| field.get(5..)),
        });
        at += extra_at + extra_length + comment;
    }
    if at != directory.end || entries.len() as u64 != count {
        return Err(malformed("a ZIP archive with another number of members than it says"));
    }
    Ok(entries)
}

/// Sizes and place, from the ZIP64 field where the short ones are all ones.
fn sizes64(extra: &[u8], packed: u32, size: u32, local: u32) -> Result<(u64, u64, u64), Fault> {
    let field = field(extra, ZIP64).unwrap_or_default();
    let mut at = 0;
    let mut long = |short: u32| {
        if short != u32::MAX {
            return Ok(u64::from(short));
        }
        let number = u64_at(field, at).ok_or(CUT);
        at += 8;
        number
    };
    let size = long(size)?;
    let packed = long(packed)?;
    Ok((packed, size, long(local)?))
}

fn field(extra: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = extra;
    while let (Some(id), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let end = 4 + usize::from(length);
        if id == wanted {
            return rest.get(4..end);
        }
        rest = rest.get(end..)?;
    }
    None
}

/// The name in Unicode that a member's own header gives it.
fn local_unicode<'z>(zip: &'z [u8], entry: &Entry<'_>) -> Option<&'z [u8]> {
    let head = zip.get(entry.local..)?;
    let extra_at = LOCAL_LENGTH + usize::from(u16_at(head, 26)?);
    let extra = head.get(extra_at..extra_at + usize::from(u16_at(head, 28)?))?;
    field(extra, UNICODE_PATH)?.get(5..)
}

fn check_name(name: &[u8]) -> Result<(), Fault> {
    let odd = name.is_empty()
        || name.iter().any(|octet| *octet < 32)
        || name.first() == Some(&b'/')
        || name.get(1) == Some(&b':')
        || name.split(|octet| matches!(octet, b'/' | b'\\')).any(|segment| segment == b"..");
    if odd { Err(malformed("a ZIP archive with a name that leads elsewhere")) } else { Ok(()) }
}

/// The packed octets of each member: its own header agrees with the directory, and all of them fill the file from its
/// start to the directory, each octet once.
fn lie_side_by_side(zip: &[u8], entries: &[Entry<'_>], end: usize) -> Result<Vec<Range<usize>>, Fault> {
    let mut contents = Vec::with_capacity(entries.len());
    let mut taken = Vec::with_capacity(entries.len());
    for entry in entries {
        let head = zip
            .get(entry.local..end)
            .filter(|head| head.starts_with(LOCAL))
            .ok_or(malformed("a ZIP member that is not where it should be"))?;
        let short = |at| u16_at(head, at).ok_or(CUT);
        let long = |at| u32_at(head, at).ok_or(CUT);
        let (name_length, extra_length) = (usize::from(short(26)?), usize::from(short(28)?));
        let name = head.get(LOCAL_LENGTH..LOCAL_LENGTH + name_length).ok_or(CUT)?;
        let extra_at = LOCAL_LENGTH + name_length;
        let extra = head.get(extra_at..extra_at + extra_length).ok_or(CUT)?;
        let same = name == entry.name && short(6)? == entry.flags && short(8)? == entry.method;
        let (packed, size, _) = sizes64(extra, long(18)?, long(22)?, 0)?;
        let exact = packed == entry.packed as u64 && size == entry.size && long(14)? == entry.crc;
        // With a descriptor behind the member its header may leave these out, but not lie.
        let left_out = entry.has_descriptor()
            && [packed, size, long(14)?.into()]
                .iter()
                .zip([entry.packed as u64, entry.size, entry.crc.into()])
                .all(|(own, said)| *own == 0 || *own == said);
        if !same || !(exact || left_out) {
            return Err(malformed("a ZIP archive whose headers contradict each other"));
        }
        let start = entry.local + extra_at + extra_length;
        let stop = start.checked_add(entry.packed).filter(|stop| *stop <= end).ok_or(CUT)?;
        contents.push(start..stop);
        taken.push((entry.local, stop, entry.has_descriptor()));
    }
    taken.sort_unstable();
    let mut free = 0;
    for (start, stop, _) in &taken {
        if *start < free {
            return Err(malformed("a ZIP archive whose members overlap"));
        }
        free = *stop;
    }
    let mut at = 0;
    let mut descriptor = false;
    for (start, stop, described) in taken.iter().copied().chain([(end, end, false)]) {
        let gap = start - at;
        // With its signature or without, for short or for long sizes.
        let permitted = if descriptor { [12, 16, 20, 24].contains(&gap) } else { gap == 0 };
        if !permitted {
            return Err(malformed("a ZIP archive with octets that belong to no member"));
        }
        (at, descriptor) = (stop, described);
    }
    Ok(contents)
}

fn unpacked(
    zip: &[u8],
    entry: &Entry<'_>,
    content: Range<usize>,
    members: &Members<'_, '_, '_>,
) -> Result<Vec<u8>, Fault> {
    let packed = zip.get(content).unwrap_or_default();
    unpack_member(packed, entry.method, entry.size, entry.crc, members.room(packed.len()))
}

fn unpack_member(packed: &[u8], method: u16, size: u64, crc: u32, room: u64) -> Result<Vec<u8>, Fault> {
    const BROKEN: &str = "a ZIP member that cannot be unpacked";
    let octets = match method {
        0 => unpack(packed, room, BROKEN)?,
        8 => {
            let mut decoder = DeflateDecoder::new(packed);
            let octets = unpack(&mut decoder, room, BROKEN)?;
            if decoder.total_in() != packed.len() as u64 {
                return Err(malformed("a ZIP member with octets behind its end"));
            }
            octets
        }
        12 => unpack(bzip2::bufread::BzDecoder::new(packed), room, BROKEN)?,
        93 => super::stream::unzstd(packed, room)?,
        _ => return Err(malformed("a ZIP archive packed in a way that is not known")),
    };
    if octets.len() as u64 != size || crc32fast::hash(&octets) != crc {
        return Err(malformed("a ZIP member that is not what its header says"));
    }
    Ok(octets)
}
