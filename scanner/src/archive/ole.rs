//! Compound files of Microsoft's older offices ([MS-CFB]): the names of what is in them, macros, and locks. What its streams hold
//! is for engines, which see the whole file.
use super::read::{u16_at, u32_at};
use super::{Fault, Members};
use policy::status::Status;

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
    start: u32,
    size: u64,
}

pub(super) fn open(octets: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let file = File::read(octets)?;
    let directory = file.chain(u32_at(octets, 48).ok_or(BAD)?)?;
    for entry in entries(&directory) {
        members.name(&entry.name)?;
        match entry.name.as_str() {
            "VBA" | "_VBA_PROJECT" | "_VBA_PROJECT_CUR" | "Macros" => members.inside.macros = true,
            // [MS-OFFCRYPTO] 2.3: a whole OOXML document, locked.
            "EncryptedPackage" | "EncryptionInfo" | "EncryptedSummary" => members.fault(LOCKED),
            "WordDocument" if is_locked_word(file.first(&entry)) => members.fault(LOCKED),
            "Workbook" | "Book" if is_locked_workbook(file.first(&entry)) => members.fault(LOCKED),
            _ => {}
        }
    }
    Ok(())
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

    /// The first sector of a stream that has sectors of its own.
    fn first(&self, entry: &Entry) -> &'a [u8] {
        const SMALL: u64 = 4096;
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
