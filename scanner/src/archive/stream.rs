//! Files packed one by one: gzip (RFC 1952), bzip2, xz, zstd (RFC 8878). Several streams behind each other are one file to
//! every reader; anything else behind the last one is not.
use super::read::{u32_at, unpack};
use super::{DECODER_KIB, Fault, Members};
use flate2::bufread::GzDecoder;
use policy::status::Status;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A window that a zstd frame may ask for; RFC 8878 section 3.1.1.1.2 recommends 8 MiB.
const ZSTD_ROOM: usize = 64 << 20;

const fn malformed(why: &'static str) -> Fault {
    (Status::Malformed, why)
}

pub(super) fn gzip(packed: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    const BROKEN: &str = "a gzip file that cannot be unpacked";
    let room = members.room(packed.len());
    let mut rest = packed;
    let mut octets = Vec::new();
    let mut name = String::new();
    while !rest.is_empty() {
        if !rest.starts_with(&[0x1f, 0x8b]) {
            return Err(malformed("a gzip file with something behind its end"));
        }
        let mut decoder = GzDecoder::new(rest);
        let left = room.saturating_sub(octets.len() as u64);
        octets.append(&mut unpack(&mut decoder, left, BROKEN)?);
        if let Some(given) = decoder.header().and_then(|header| header.filename()) {
            name = String::from_utf8_lossy(given).into_owned();
            members.name(&name)?;
        }
        rest = decoder.into_inner();
    }
    members.content(&name, &octets)
}

pub(super) fn bzip2(packed: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    const BROKEN: &str = "a bzip2 file that cannot be unpacked";
    let room = members.room(packed.len());
    let mut rest = packed;
    let mut octets = Vec::new();
    while !rest.is_empty() {
        if !rest.starts_with(b"BZh") {
            return Err(malformed("a bzip2 file with something behind its end"));
        }
        let mut decoder = bzip2::bufread::BzDecoder::new(rest);
        let left = room.saturating_sub(octets.len() as u64);
        octets.append(&mut unpack(&mut decoder, left, BROKEN)?);
        rest = decoder.into_inner();
    }
    members.content("", &octets)
}

pub(super) fn xz(packed: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let room = members.room(packed.len());
    let mut rest = packed;
    let reader = lzma_rust2::XzReader::new_mem_limit(&mut rest, true, DECODER_KIB);
    let octets = unpack(reader, room, "an xz file that cannot be unpacked")?;
    if !rest.is_empty() {
        return Err(malformed("an xz file with something behind its end"));
    }
    members.content("", &octets)
}

pub(super) fn zstd(packed: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let octets = unzstd(packed, members.room(packed.len()))?;
    members.content("", &octets)
}

/// Every frame; those that are skipped hold nothing for a reader and are refused, because something could hide in them.
pub(super) fn unzstd(packed: &[u8], room: u64) -> Result<Vec<u8>, Fault> {
    const BROKEN: Fault = malformed("a zstd file that cannot be unpacked");
    let mut rest = packed;
    let mut octets: Vec<u8> = Vec::new();
    while !rest.is_empty() {
        if u32_at(rest, 0) != Some(0xfd2f_b528) {
            return Err(malformed("a zstd file with something behind its end"));
        }
        if window(rest).is_none_or(|window| window > ZSTD_ROOM as u64) {
            return Err((Status::Limit, "a zstd file whose unpacking takes too much memory"));
        }
        let mut decoder = FrameDecoder::new();
        decoder.init(&mut rest).map_err(|_| BROKEN)?;
        while !decoder.is_finished() {
            decoder.decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(8)).map_err(|_| BROKEN)?;
            if let Some(more) = decoder.collect() {
                octets.extend_from_slice(&more);
            }
            if octets.len() as u64 > room {
                return Err((Status::Limit, "an archive that unpacks to too much"));
            }
        }
        if let Some(more) = decoder.collect() {
            octets.extend_from_slice(&more);
        }
        let said = decoder.get_checksum_from_data();
        if said.is_some() && said != decoder.get_calculated_checksum() {
            return Err(malformed("a zstd file whose checksum is wrong"));
        }
    }
    Ok(octets)
}

/// RFC 8878 section 3.1.1.1: the window, or the content's size where a single segment holds it all.
fn window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    let single = descriptor & 0x20 != 0;
    if !single {
        let octet = *frame.get(5)?;
        let base = 1_u64 << (10 + u32::from(octet >> 3));
        return Some(base + base / 8 * u64::from(octet & 7));
    }
    let at = 5 + [0_usize, 1, 2, 4].get(usize::from(descriptor & 3)).copied()?;
    match descriptor >> 6 {
        0 => frame.get(at).map(|size| u64::from(*size)),
        1 => super::read::u16_at(frame, at).map(|size| u64::from(size) + 256),
        2 => u32_at(frame, at).map(u64::from),
        _ => super::read::u64_at(frame, at),
    }
}
