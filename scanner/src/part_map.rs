//! The part map of what is delivered, written beside it: from it the worker answers IMAP (D13).
use crate::job::write_all;
use ipc::worker_scanner::Map;
use mime::part_map::PartMap;
use mime::recogniser::Limits;
use policy::model::MailFilter;
use std::os::fd::OwnedFd;

/// Writes the map of these octets: as the recogniser sees them, or where it refuses them as a tolerant reader does.
///
/// # Errors
/// In constant words; the mail is deferred.
pub(crate) fn write(file: &OwnedFd, copy: &[u8], filter: &MailFilter) -> Result<Map, &'static str> {
    let limits =
        Limits { max_parts: filter.max_parts, max_depth: filter.max_depth, max_header: filter.max_header };
    let accepted = PartMap::of(copy, &limits).ok().and_then(|map| map.encode().ok());
    let recognised = accepted.is_some();
    let octets = match accepted {
        Some(octets) => octets,
        None => PartMap::tolerant(copy).encode().map_err(|_| "the part map is too large")?,
    };
    write_all(file, &octets).map_err(|_| "the part map cannot be written")?;
    let length = u32::try_from(octets.len()).map_err(|_| "the part map is too large")?;
    Ok(Map { length, recognised })
}

#[cfg(test)]
mod tests {
    use super::{PartMap, write};
    use crate::content::read_all;
    use mime::recogniser::Limits;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use policy::model::MailFilter;
    use std::os::fd::AsFd;

    fn written(copy: &[u8]) -> (PartMap, bool) {
        let file = memfd_create(c"map", MFdFlags::MFD_CLOEXEC).unwrap();
        let map = write(&file, copy, &MailFilter::default()).unwrap();
        let octets = read_all(file.as_fd(), map.length as usize).unwrap();
        (PartMap::decode(&octets, copy.len(), &Limits::default()).unwrap(), map.recognised)
    }

    #[test]
    fn whatever_is_delivered_has_a_map() {
        let mail = b"Subject: s\r\n\r\nHi.\r\n";
        assert_eq!(written(mail), (PartMap::of(mail, &Limits::default()).unwrap(), true));
        for refused in [&b"Subject: s\n\nHi."[..], b"", b"X-Mailward-Notice: replaced\r\n\r\n"] {
            assert_eq!(written(refused), (PartMap::tolerant(refused), false));
        }
    }
}
