//! The part map of what is delivered: from it the worker answers IMAP (D13).
use ipc::wire::MAX_OCTETS;
use ipc::worker_scanner::Map;
use mime::part_map::PartMap;
use mime::recogniser::Limits;
use policy::model::MailFilter;

/// The map of these octets, encoded: as the recogniser sees them, or where it refuses them as a tolerant reader does.
///
/// # Errors
/// In constant words; the mail is deferred.
pub(crate) fn of(copy: &[u8], filter: &MailFilter) -> Result<(Map, Vec<u8>), &'static str> {
    let limits =
        Limits { max_parts: filter.max_parts, max_depth: filter.max_depth, max_header: filter.max_header };
    let accepted = PartMap::of(copy, &limits).ok().and_then(|map| map.encode().ok());
    let recognised = accepted.is_some();
    let octets = match accepted {
        Some(octets) => octets,
        None => PartMap::tolerant(copy).encode().map_err(|_| "the part map is too large")?,
    };
    let length = u32::try_from(octets.len()).map_err(|_| "the part map is too large")?;
    Ok((Map { length, here: octets.len() <= MAX_OCTETS, recognised }, octets))
}

#[cfg(test)]
mod tests {
    use super::{PartMap, of};
    use mime::recogniser::Limits;
    use policy::model::MailFilter;

    fn mapped(copy: &[u8]) -> (PartMap, bool) {
        let (map, octets) = of(copy, &MailFilter::default()).unwrap();
        assert_eq!((map.length as usize, map.here), (octets.len(), true));
        (PartMap::decode(&octets, copy.len(), &Limits::default()).unwrap(), map.recognised)
    }

    #[test]
    fn whatever_is_delivered_has_a_map() {
        let mail = b"Subject: s\r\n\r\nHi.\r\n";
        assert_eq!(mapped(mail), (PartMap::of(mail, &Limits::default()).unwrap(), true));
        for refused in [&b"Subject: s\n\nHi."[..], b"", b"X-Mailward-Notice: replaced\r\n\r\n"] {
            assert_eq!(mapped(refused), (PartMap::tolerant(refused), false));
        }
    }

    #[test]
    fn a_large_map_does_not_travel_with_the_judgement() {
        let mut mail = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
        let part =
            b"--b\r\nContent-Type: text/plain\r\nContent-Description: d\r\nContent-ID: <i@x>\r\n\r\nHi.\r\n";
        (0..900).for_each(|_| mail.extend(part));
        mail.extend(b"--b--\r\n");
        let (map, octets) = of(&mail, &MailFilter::default()).unwrap();
        assert!(!map.here && octets.len() == map.length as usize);
    }
}
