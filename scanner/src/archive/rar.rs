//! RAR, versions 4 and 5: names and locks from the headers. Nothing here unpacks it (the only unpacker that is complete is not
//! free software), so what is packed stays closed; what is only stored is looked at.
use super::read::{u16_at, u32_at};
use super::{Fault, Members};
use policy::status::Status;

const FOUR: &[u8] = b"Rar!\x1a\x07\0";
const FIVE: &[u8] = b"Rar!\x1a\x07\x01\0";

const BAD: Fault = (Status::Malformed, "a RAR archive that cannot be read");
const LOCKED: Fault = (Status::Encrypted, "a locked RAR archive");
const PIECES: Fault = (Status::Malformed, "a RAR archive in several pieces");
const BEHIND: Fault = (Status::Malformed, "a RAR archive with something behind its end");

pub(super) fn open(rar: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    if let Some(rest) = rar.strip_prefix(FIVE) {
        return five(rest, members);
    }
    match rar.strip_prefix(FOUR) {
        Some(rest) => four(rest, members),
        None => Err(BAD),
    }
}

/// Version 4: crc (2), type (1), flags (2), size (2), then what the type says, then data if a flag says so.
fn four(octets: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let mut rest = octets;
    while !rest.is_empty() {
        let kind = *rest.get(2).ok_or(BAD)?;
        let flags = u16_at(rest, 3).ok_or(BAD)?;
        let size = usize::from(u16_at(rest, 5).ok_or(BAD)?);
        let header = rest.get(..size).filter(|_| size >= 7).ok_or(BAD)?;
        let crc = crc32fast::hash(header.get(2..).unwrap_or_default()) & 0xffff;
        if u16_at(rest, 0).map(u32::from) != Some(crc) {
            return Err(BAD);
        }
        let has_data = flags & 0x8000 != 0 || kind == 0x74;
        let data = if has_data { u32_at(header, 7).ok_or(BAD)? } else { 0 };
        let large = if kind == 0x74 && flags & 0x100 != 0 { u32_at(header, 32).ok_or(BAD)? } else { 0 };
        let length = usize::try_from(u64::from(large) << 32 | u64::from(data)).map_err(|_| BAD)?;
        let content = rest.get(size..).and_then(|rest| rest.get(..length)).ok_or(BAD)?;
        match kind {
            // The archive: locked headers, or one volume of several.
            0x73 if flags & 0x80 != 0 => return Err(LOCKED),
            0x73 if flags & 0x01 != 0 => return Err(PIECES),
            0x74 => {
                let name_at = if flags & 0x100 != 0 { 40 } else { 32 };
                let name_length = usize::from(u16_at(header, 26).ok_or(BAD)?);
                let name = header.get(name_at..name_at + name_length).ok_or(BAD)?;
                // Behind a NUL stands a packed Unicode form.
                let plain = name.split(|octet| *octet == 0).next().unwrap_or_default();
                let name = String::from_utf8_lossy(plain).into_owned();
                members.name(&name)?;
                if flags & 0x03 != 0 {
                    return Err(PIECES);
                }
                let stored = header.get(25) == Some(&0x30);
                member(&name, flags & 0x04 != 0, stored, content, members)?;
            }
            0x7b => {
                let behind = rest.get(size + length..).unwrap_or_default();
                return if behind.is_empty() { Ok(()) } else { Err(BEHIND) };
            }
            _ => {}
        }
        rest = rest.get(size + length..).ok_or(BAD)?;
    }
    Ok(())
}

/// Version 5: crc (4), size, type, flags, all numbers in seven bits an octet.
fn five(octets: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let mut rest = octets;
    while !rest.is_empty() {
        let mut reader = Reader { rest: rest.get(4..).ok_or(BAD)? };
        let size = reader.number()?;
        let size_length = rest.len() - 4 - reader.rest.len();
        let header = reader.take(size)?;
        let hashed = rest.get(4..4 + size_length + header.len()).ok_or(BAD)?;
        if u32_at(rest, 0) != Some(crc32fast::hash(hashed)) {
            return Err(BAD);
        }
        let behind = reader.rest;
        let mut header = Reader { rest: header };
        let (kind, flags) = (header.number()?, header.number()?);
        let extra = if flags & 1 != 0 { header.number()? } else { 0 };
        let data = if flags & 2 != 0 { header.number()? } else { 0 };
        let content = behind.get(..usize::try_from(data).map_err(|_| BAD)?).ok_or(BAD)?;
        match kind {
            1 if header.number()? & 1 != 0 => return Err(PIECES),
            2 => {
                let extra_at =
                    header.rest.len().checked_sub(usize::try_from(extra).map_err(|_| BAD)?).ok_or(BAD)?;
                let records = header.rest.get(extra_at..).unwrap_or_default();
                if flags & 0x18 != 0 {
                    return Err(PIECES);
                }
                let (name, stored) = file(&mut header)?;
                members.name(&name)?;
                member(&name, has_lock(records)?, stored, content, members)?;
            }
            4 => return Err(LOCKED),
            5 => return if behind.len() == content.len() { Ok(()) } else { Err(BEHIND) },
            _ => {}
        }
        rest = behind.get(content.len()..).ok_or(BAD)?;
    }
    Ok(())
}

/// The fields of a file's header: its name, and whether it is only stored.
fn file(header: &mut Reader<'_>) -> Result<(String, bool), Fault> {
    let flags = header.number()?;
    let _unpacked = header.number()?;
    let _attributes = header.number()?;
    header.take(if flags & 2 != 0 { 4 } else { 0 })?;
    header.take(if flags & 4 != 0 { 4 } else { 0 })?;
    let stored = (header.number()? >> 7) & 7 == 0;
    let _system = header.number()?;
    let length = header.number()?;
    Ok((String::from_utf8_lossy(header.take(length)?).into_owned(), stored))
}

/// Whether one of the records says that the file is locked.
fn has_lock(records: &[u8]) -> Result<bool, Fault> {
    let mut reader = Reader { rest: records };
    while !reader.rest.is_empty() {
        let size = reader.number()?;
        let mut record = Reader { rest: reader.take(size)? };
        if record.number()? == 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn member(
    name: &str,
    locked: bool,
    stored: bool,
    content: &[u8],
    members: &mut Members<'_, '_, '_>,
) -> Result<(), Fault> {
    if locked {
        members.fault(LOCKED);
    } else if stored {
        members.content(name, content)?;
    } else {
        members.inside.closed = true;
    }
    Ok(())
}

/// Takes from the front; never more than there is.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u64, Fault> {
        let mut number = 0_u64;
        for shift in 0..9 {
            let (first, rest) = self.rest.split_first().ok_or(BAD)?;
            self.rest = rest;
            number |= u64::from(first & 0x7f) << (7 * shift);
            if first & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(BAD)
    }

    fn take(&mut self, octets: u64) -> Result<&'a [u8], Fault> {
        let octets = usize::try_from(octets).map_err(|_| BAD)?;
        let (taken, rest) = self.rest.split_at_checked(octets).ok_or(BAD)?;
        self.rest = rest;
        Ok(taken)
    }
}
