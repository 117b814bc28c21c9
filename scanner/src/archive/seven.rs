//! 7z, read by sevenz-rust2 with its limits on memory, block by block; its reader for whole archives would ask the system
//! for threads.
use super::read::{u64_at, unpack};
use super::{DECODER_KIB, Fault, Members};
use policy::status::Status;
use sevenz_rust2::{Archive, BlockDecoder, Error, Password};
use std::io::Cursor;

/// Behind the signature, the version and a checksum: where the header is.
const START: u64 = 32;

pub(super) fn open(octets: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let number = |at| u64_at(octets, at).unwrap_or(u64::MAX);
    let end = START.checked_add(number(12)).and_then(|at| at.checked_add(number(20)));
    if end != Some(octets.len() as u64) {
        return Err((Status::Malformed, "a 7z archive whose end is not at its end"));
    }
    let password = Password::empty();
    let limit = usize::try_from(DECODER_KIB).unwrap_or_default();
    let mut source = Cursor::new(octets);
    let archive =
        Archive::read_with_memory_limit(&mut source, &password, limit).map_err(|error| fault(&error))?;
    for file in &archive.files {
        members.name(file.name())?;
        let leads_elsewhere = file.name().starts_with('/')
            || file.name().chars().any(char::is_control)
            || file.name().split(['/', '\\']).any(|segment| segment == "..");
        if leads_elsewhere || file.is_anti_item() {
            return Err((Status::Malformed, "a 7z archive with a name that leads elsewhere"));
        }
        // The mode of Unix stands in the upper half, if bit 15 says so.
        let attributes = file.windows_attributes();
        if attributes & 0x8000 != 0 && (attributes >> 16) & 0o170_000 == 0o120_000 {
            members.fault((Status::Malformed, "a 7z archive with a link in it"));
        }
    }
    if (0..archive.files.len()).any(|file| archive.is_file_encrypted(file)) {
        return Err((Status::Encrypted, "a locked 7z archive"));
    }
    for block in 0..archive.blocks.len() {
        let decoder = BlockDecoder::new_with_memory_limit(1, limit, block, &archive, &password, &mut source);
        let mut stopped = None;
        let done = decoder.for_each_entries(&mut |file, reader| {
            let room = members.room(octets.len());
            let content = unpack(reader, room, "a 7z member that cannot be unpacked");
            match content.and_then(|content| members.content(file.name(), &content)) {
                Ok(()) => Ok(true),
                Err(why) => {
                    stopped = Some(why);
                    Ok(false)
                }
            }
        });
        if let Some(why) = stopped {
            return Err(why);
        }
        done.map_err(|error| fault(&error))?;
    }
    Ok(())
}

fn fault(error: &Error) -> Fault {
    let locked = matches!(error, Error::PasswordRequired | Error::MaybeBadPassword(_))
        || matches!(error, Error::UnsupportedCompressionMethod(method) if method.contains("AES"));
    if locked {
        (Status::Encrypted, "a locked 7z archive")
    } else if matches!(error, Error::MaxMemLimited { .. }) {
        (Status::Limit, "a 7z archive whose unpacking takes too much memory")
    } else {
        (Status::Malformed, "a 7z archive that cannot be read")
    }
}
