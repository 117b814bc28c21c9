//! Compound files of Microsoft's older offices and of Outlook ([MS-CFB]): the streams in them, macros, locks, and the files that are
//! embedded in or attached to them.
use super::read::{u16_at, u32_at, unpack};
use super::{Fault, Members};
use crate::documents::magic;
use flate2::bufread::ZlibDecoder;
use policy::status::Status;
use std::borrow::Cow;

const BAD: Fault = (Status::Malformed, "an office document that cannot be read");
const LOCKED: Fault = (Status::Encrypted, "a locked office document");
const ENTRY: usize = 128;
/// The highest number of a sector; above stand marks.
const LAST: u32 = 0xffff_fffa;
/// Records of a workbook that are looked at for a lock: it is the first or second behind the beginning.
const FIRST_RECORDS: usize = 8;

struct File<'a> {
    octets: &'a [u8],
    sector: usize,
    fat: Vec<u32>,
}

struct Entry {
    name: String,
    kind: u8,
    start: u32,
    size: u64,
}

/// Kinds of entries: octets, and the root, whose own octets hold those of all small streams.
const STREAM: u8 = 2;
const ROOT: u8 = 5;
/// Streams of fewer octets stand in those of the root, in sectors of their own size.
const SMALL: u64 = 4096;
const SMALL_SECTOR: usize = 64;

pub(super) fn open(octets: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    members.of_document = true;
    let file = File::read(octets)?;
    if magic::ends_as_zip(file.behind()) {
        return Err((Status::Malformed, "an archive behind an office document"));
    }
    let directory = file.chain(u32_at(octets, 48).ok_or(BAD)?)?;
    let entries: Vec<Entry> = entries(&directory).collect();
    for entry in &entries {
        members.name(&entry.name)?;
        match entry.name.to_ascii_lowercase().as_str() {
            "vba" | "_vba_project" | "_vba_project_cur" | "macros" => members.inside.macros = true,
            // [MS-OFFCRYPTO] 2.3: a whole OOXML document, locked.
            "encryptedpackage" | "encryptioninfo" | "encryptedsummary" => members.fault(LOCKED),
            "worddocument" if is_locked_word(file.first(entry)) => members.fault(LOCKED),
            "workbook" | "book" if is_locked_workbook(file.first(entry)) => members.fault(LOCKED),
            _ => {}
        }
    }
    // A stream that cannot be followed hides what is in it from us, and from nobody else.
    let Ok(small) = Small::read(&file, &entries) else {
        members.inside.closed = true;
        return Ok(());
    };
    for entry in entries.iter().filter(|entry| entry.kind == STREAM) {
        match file.stream(entry, &small) {
            Ok(content) => stream(&entry.name.to_ascii_lowercase(), &content, members)?,
            Err(_) => members.inside.closed = true,
        }
    }
    Ok(())
}

/// The octets of one stream: those that are a file of their own are opened, the others are shown.
fn stream(name: &str, content: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    match name {
        "\u{1}ole10native" => {
            members.shown(content)?;
            if let Some((names, file)) = packaged(content) {
                for name in &names {
                    members.name(name)?;
                }
                return members.content(names.first().map_or("", String::as_str), file);
            }
        }
        // What is embedded as it is, and Outlook's attachments ([MS-OXMSG] 2.2.2).
        "package" | "contents" | "__substg1.0_37010102" => return members.content("", content),
        "__substg1.0_3704001f" | "__substg1.0_3707001f" => {
            let letters: Vec<u16> = content.chunks_exact(2).filter_map(|pair| u16_at(pair, 0)).collect();
            members.name(&String::from_utf16_lossy(&letters))?;
        }
        "__substg1.0_3704001e" | "__substg1.0_3707001e" => members.name(&String::from_utf8_lossy(content))?,
        "workbook" | "book" => members.inside.macros |= has_macro_sheet(content),
        "powerpoint document" => embedded_in_slides(content, members)?,
        _ => {}
    }
    members.shown(content)
}

/// [MS-OLEDS] 2.3.6, as Windows writes a file that is put into a document: its names, and what it is.
fn packaged(stream: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let mut rest = stream.get(6..)?;
    let mut text = || {
        let end = memchr::memchr(0, rest)?;
        let (text, behind) = rest.split_at(end);
        rest = behind.get(1..)?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let (label, path) = (text()?, text()?);
    // A mark, and the length of the path that follows.
    let behind = rest.get(8..)?;
    let end = memchr::memchr(0, behind)?;
    let copied = String::from_utf8_lossy(behind.get(..end)?).into_owned();
    let file = behind.get(end + 1..)?;
    let length = usize::try_from(u32_at(file, 0)?).ok()?;
    let content = file.get(4..)?;
    Some((vec![label, path, copied], content.get(..length).unwrap_or(content)))
}

/// [MS-XLS] 2.4.28: a sheet whose kind is that of macros.
fn has_macro_sheet(book: &[u8]) -> bool {
    let mut rest = book;
    while let (Some(kind), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let end = 4 + usize::from(length);
        if kind == 0x0085 && rest.get(9) == Some(&1) {
            return true;
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    false
}

/// [MS-PPT] 2.10.34 and 2.4.10: compound files in the stream of slides, which may be packed; the project of macros is one.
fn embedded_in_slides(slides: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    const EMBEDDED: u16 = 0x1011;
    let mut rest = slides;
    while let (Some(head), Some(kind), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2), u32_at(rest, 4)) {
        let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(8);
        let content = rest.get(8..end.min(rest.len())).unwrap_or_default();
        if kind == EMBEDDED {
            let packed = content.get(4..).filter(|_| head >> 4 == 1);
            let file = match packed {
                Some(packed) => {
                    let room = members.room(packed.len());
                    Cow::Owned(unpack(
                        ZlibDecoder::new(packed),
                        room,
                        "an object in slides that cannot be unpacked",
                    )?)
                }
                None => Cow::Borrowed(content),
            };
            members.content("", &file)?;
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    Ok(())
}

/// The octets of the small streams, and which of their sectors follows which.
struct Small {
    octets: Vec<u8>,
    next: Vec<u32>,
}

impl Small {
    fn read(file: &File<'_>, entries: &[Entry]) -> Result<Self, Fault> {
        let root = entries.iter().find(|entry| entry.kind == ROOT).ok_or(BAD)?;
        let octets = if root.size == 0 { Vec::new() } else { file.chain(root.start)? };
        let table = u32_at(file.octets, 60).filter(|start| *start < LAST);
        let table = table.map(|start| file.chain(start)).transpose()?.unwrap_or_default();
        Ok(Self { octets, next: table.chunks_exact(4).filter_map(|number| u32_at(number, 0)).collect() })
    }

    fn chain(&self, start: u32) -> Result<Vec<u8>, Fault> {
        let mut octets = Vec::new();
        let (mut next, mut hops) = (start, 0);
        while next < LAST {
            let index = usize::try_from(next).map_err(|_| BAD)?;
            let at = index * SMALL_SECTOR;
            let end = (at + SMALL_SECTOR).min(self.octets.len());
            octets.extend_from_slice(self.octets.get(at..end).ok_or(BAD)?);
            next = self.next.get(index).copied().ok_or(BAD)?;
            hops += 1;
            if hops > self.next.len() {
                return Err(BAD);
            }
        }
        Ok(octets)
    }
}

impl<'a> File<'a> {
    fn read(octets: &'a [u8]) -> Result<Self, Fault> {
        let shift = u16_at(octets, 30).ok_or(BAD)?;
        if shift != 9 && shift != 12 {
            return Err(BAD);
        }
        let mut file = Self { octets, sector: 1 << shift, fat: Vec::new() };
        let most = octets.len() / file.sector + 1;
        // The table's own sectors: 109 in the header, the rest in a chain.
        let mut tables: Vec<u32> = (0..109).filter_map(|index| u32_at(octets, 76 + index * 4)).collect();
        let mut next = u32_at(octets, 68).ok_or(BAD)?;
        let mut hops = 0;
        while next < LAST {
            let sector = file.sector(next).ok_or(BAD)?;
            let (more, link) = sector.split_at_checked(file.sector - 4).ok_or(BAD)?;
            tables.extend(more.chunks_exact(4).filter_map(|number| u32_at(number, 0)));
            next = u32_at(link, 0).ok_or(BAD)?;
            hops += 1;
            if hops > most {
                return Err(BAD);
            }
        }
        for table in tables.into_iter().filter(|table| *table < LAST) {
            let sector = file.sector(table).ok_or(BAD)?;
            let numbers: Vec<u32> = sector.chunks_exact(4).filter_map(|number| u32_at(number, 0)).collect();
            file.fat.extend(numbers);
            if file.fat.len() > most + file.sector {
                return Err(BAD);
            }
        }
        Ok(file)
    }

    /// What stands behind the last sector that is in use.
    fn behind(&self) -> &'a [u8] {
        const FREE: u32 = 0xffff_ffff;
        let sectors = self.fat.iter().rposition(|next| *next != FREE).map_or(0, |last| last + 1);
        let end = (sectors + 1).saturating_mul(self.sector);
        self.octets.get(end..).unwrap_or_default()
    }

    fn sector(&self, number: u32) -> Option<&'a [u8]> {
        let at = (usize::try_from(number).ok()?).checked_add(1)?.checked_mul(self.sector)?;
        // The last sector may be cut short.
        let end = at.checked_add(self.sector)?.min(self.octets.len());
        self.octets.get(at..end)
    }

    /// The octets of a chain of sectors; one that comes back to itself is refused.
    fn chain(&self, start: u32) -> Result<Vec<u8>, Fault> {
        let mut octets = Vec::new();
        let mut next = start;
        let mut hops = 0;
        while next < LAST {
            octets.extend_from_slice(self.sector(next).ok_or(BAD)?);
            let index = usize::try_from(next).map_err(|_| BAD)?;
            next = self.fat.get(index).copied().ok_or(BAD)?;
            hops += 1;
            if hops > self.fat.len() {
                return Err(BAD);
            }
        }
        Ok(octets)
    }

    /// The octets of a stream.
    fn stream(&self, entry: &Entry, small: &Small) -> Result<Vec<u8>, Fault> {
        if entry.size == 0 {
            return Ok(Vec::new());
        }
        let mut octets = if entry.size < SMALL { small.chain(entry.start) } else { self.chain(entry.start) }?;
        octets.truncate(usize::try_from(entry.size).map_err(|_| BAD)?);
        Ok(octets)
    }

    /// The first sector of a stream that has sectors of its own.
    fn first(&self, entry: &Entry) -> &'a [u8] {
        if entry.size < SMALL { &[] } else { self.sector(entry.start).unwrap_or_default() }
    }
}

fn entries(directory: &[u8]) -> impl Iterator<Item = Entry> {
    directory.chunks_exact(ENTRY).filter_map(|entry| {
        // An unused entry has no type; its name is as long as it says, with a NUL.
        let length = usize::from(u16_at(entry, 64)?).min(64);
        if entry.get(66) == Some(&0) || length < 2 {
            return None;
        }
        let letters: Vec<u16> =
            entry.get(..length - 2)?.chunks_exact(2).filter_map(|pair| u16_at(pair, 0)).collect();
        let size = u32_at(entry, 120)?;
        Some(Entry {
            name: String::from_utf16_lossy(&letters),
            kind: entry.get(66).copied()?,
            start: u32_at(entry, 116)?,
            size: size.into(),
        })
    })
}

/// [MS-DOC] 2.5.2: fEncrypted.
fn is_locked_word(start: &[u8]) -> bool {
    u16_at(start, 0) == Some(0xa5ec) && u16_at(start, 10).is_some_and(|flags| flags & 0x0100 != 0)
}

/// [MS-XLS] 2.4.117: a FilePass record among the first.
fn is_locked_workbook(start: &[u8]) -> bool {
    let mut rest = start;
    for _ in 0..FIRST_RECORDS {
        let (Some(kind), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) else { return false };
        if kind == 0x002f {
            return true;
        }
        let Some(behind) = rest.get(4 + usize::from(length)..) else { return false };
        rest = behind;
    }
    false
}
