//! Numbers out of octets, and bounded unpacking.
use super::Fault;
use policy::status::Status;
use std::io::Read;

pub(super) fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

pub(super) fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

pub(super) fn u64_at(octets: &[u8], at: usize) -> Option<u64> {
    octets.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// Everything that comes out, if it is at most `room`.
///
/// # Errors
/// `broken` if it cannot be unpacked, `limit` if it is more.
pub(super) fn unpack(reader: impl Read, room: u64, broken: &'static str) -> Result<Vec<u8>, Fault> {
    let mut octets = Vec::new();
    let read = reader.take(room.saturating_add(1)).read_to_end(&mut octets);
    if octets.len() as u64 > room {
        return Err((Status::Limit, "an archive that unpacks to too much"));
    }
    match read {
        Ok(_) => Ok(octets),
        Err(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
            Err((Status::Limit, "an archive whose unpacking takes too much memory"))
        }
        Err(_) => Err((Status::Malformed, broken)),
    }
}
