//! AppleSingle and AppleDouble (RFC 1740), and MacBinary: where the forks of a file lie.

const SINGLE: &[u8] = &[0x00, 0x05, 0x16, 0x00];
const DOUBLE: &[u8] = &[0x00, 0x05, 0x16, 0x07];
/// Entries that are looked at; real files have two to six.
const MAX_ENTRIES: usize = 32;
/// Octets of MacBinary's header.
const MAC_HEADER: usize = 128;

/// The forks of a file that is one of these; nothing for any other.
pub(crate) fn forks(octets: &[u8]) -> Vec<&[u8]> {
    if octets.starts_with(SINGLE) || octets.starts_with(DOUBLE) {
        return entries(octets).unwrap_or_default();
    }
    mac_binary(octets).unwrap_or_default()
}

/// Magic, version, 16 octets of filler, a count, then (id, offset, length) of every entry.
fn entries(octets: &[u8]) -> Option<Vec<&[u8]>> {
    let count = u16::from_be_bytes(octets.get(24..26)?.try_into().ok()?);
    let table = octets.get(26..)?;
    let mut forks = Vec::new();
    for entry in table.chunks_exact(12).take(usize::from(count).min(MAX_ENTRIES)) {
        let [_id, offset, length] = [entry.get(..4)?, entry.get(4..8)?, entry.get(8..)?].map(be32);
        let fork = octets.get(offset?..offset?.checked_add(length?)?.min(octets.len()));
        forks.extend(fork.filter(|fork| !fork.is_empty()));
    }
    Some(forks)
}

/// Version octet, a name of 1 to 63 octets, zeros where the format wants them, and lengths that fit.
fn mac_binary(octets: &[u8]) -> Option<Vec<&[u8]>> {
    let header = octets.get(..MAC_HEADER)?;
    let plausible = header.first() == Some(&0)
        && header.get(1).is_some_and(|length| (1..=63).contains(length))
        && header.get(74) == Some(&0)
        && header.get(82) == Some(&0);
    let [data, resource] = [header.get(83..87)?, header.get(87..91)?].map(be32);
    let (data, resource) = (data?, resource?);
    let second = MAC_HEADER.checked_add(data.checked_next_multiple_of(128)?)?;
    if !plausible || MAC_HEADER.checked_add(data)? > octets.len() || (data == 0 && resource == 0) {
        return None;
    }
    let ends = second.checked_add(resource)?.min(octets.len());
    Some(
        [octets.get(MAC_HEADER..MAC_HEADER + data), octets.get(second..ends)]
            .into_iter()
            .flatten()
            .filter(|fork| !fork.is_empty())
            .collect(),
    )
}

fn be32(octets: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(octets.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_fork_is_found_in_each_format() {
        let mut single = [SINGLE, &[0, 2, 0, 0], &[0; 16], &[0, 1]].concat();
        single.extend([&[0, 0, 0, 1][..], &[0, 0, 0, 38], &[0, 0, 0, 4], b"data"].concat());
        assert_eq!(forks(&single), [b"data"]);
        let mut binary = vec![0; 128];
        binary[1] = 1;
        binary[2] = b'x';
        binary[86] = 4;
        binary.extend(b"data");
        binary.resize(256, 0);
        assert_eq!(forks(&binary), [b"data"]);
        assert!(forks(b"plain text").is_empty());
        assert!(forks(&single[..30]).is_empty());
    }
}
