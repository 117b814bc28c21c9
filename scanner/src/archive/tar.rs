//! tar (POSIX.1-1988 ustar, pax and GNU forms). Every header has its checksum, nothing but zeros stands behind the end, and there is
//! neither a link nor a sparse file, about which readers differ.
use super::{Fault, Members};
use policy::status::Status;

const BLOCK: usize = 512;
/// A pax header or a long name of more octets is no name.
const MAX_NAME_RECORD: usize = 64 * 1024;

const fn malformed(why: &'static str) -> Fault {
    (Status::Malformed, why)
}

/// Whether octets begin with a header of tar.
pub(super) fn is_tar(octets: &[u8]) -> bool {
    let Some(header) = octets.get(..BLOCK) else { return false };
    header.get(257..262) == Some(b"ustar") || (header.first() != Some(&0) && has_checksum(header))
}

pub(super) fn open(tar: &[u8], members: &mut Members<'_, '_, '_>) -> Result<(), Fault> {
    let mut rest = tar;
    let mut long_name: Option<String> = None;
    loop {
        let Some((header, behind)) = rest.split_at_checked(BLOCK) else {
            return Err(malformed("a tar archive that is cut off"));
        };
        if header.iter().all(|octet| *octet == 0) {
            let clean = behind.iter().all(|octet| *octet == 0);
            return if clean {
                Ok(())
            } else {
                Err(malformed("a tar archive with something behind its end"))
            };
        }
        if !has_checksum(header) {
            return Err(malformed("a tar archive with a wrong checksum"));
        }
        let size = number(header.get(124..136).unwrap_or_default())
            .and_then(|size| usize::try_from(size).ok())
            .ok_or(malformed("a tar archive with a size that is none"))?;
        let padded = size.div_ceil(BLOCK).saturating_mul(BLOCK);
        let (content, after) =
            behind.split_at_checked(padded).ok_or(malformed("a tar archive that is cut off"))?;
        let content = content.get(..size).unwrap_or_default();
        rest = after;
        match header.get(156) {
            Some(b'0' | 0 | b'7') => {
                let name = long_name.take().unwrap_or_else(|| name(header));
                members.name(&name)?;
                check_name(&name)?;
                members.content(&name, content)?;
            }
            Some(b'5') => {
                let name = long_name.take().unwrap_or_else(|| name(header));
                members.name(&name)?;
                check_name(&name)?;
            }
            // GNU: the name of the next member. pax: records, of which only names are taken.
            Some(b'L') if size <= MAX_NAME_RECORD => {
                let end = content.iter().position(|octet| *octet == 0).unwrap_or(size);
                long_name =
                    Some(String::from_utf8_lossy(content.get(..end).unwrap_or_default()).into_owned());
            }
            Some(b'x' | b'g') if size <= MAX_NAME_RECORD => {
                if let Some(path) = pax_path(content)? {
                    long_name = Some(path);
                }
            }
            Some(b'1' | b'2') => {
                members.name(&long_name.take().unwrap_or_else(|| name(header)))?;
                members.fault(malformed("a tar archive with a link in it"));
            }
            _ => return Err(malformed("a tar archive with a member of an unknown kind")),
        }
    }
}

/// `length key=value\n`, again and again. Sizes and sparse maps would change what the headers say.
fn pax_path(records: &[u8]) -> Result<Option<String>, Fault> {
    const BAD: Fault = malformed("a tar archive with records that are none");
    let mut rest = records;
    let mut path = None;
    while !rest.is_empty() {
        let blank = memchr::memchr(b' ', rest).ok_or(BAD)?;
        let digits = std::str::from_utf8(rest.get(..blank).unwrap_or_default()).map_err(|_| BAD)?;
        let length: usize = digits.parse().map_err(|_| BAD)?;
        let record = rest.get(blank + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(BAD)?;
        rest = rest.get(length..).ok_or(BAD)?;
        let text = String::from_utf8_lossy(record);
        match text.split_once('=') {
            Some(("path", value)) => path = Some(value.to_owned()),
            Some(("size" | "linkpath", _)) => {
                return Err(malformed("a tar archive with two sizes of a member"));
            }
            Some((key, _)) if key.starts_with("GNU.sparse") => {
                return Err(malformed("a tar archive with a sparse file"));
            }
            Some(_) => {}
            None => return Err(BAD),
        }
    }
    Ok(path)
}

fn name(header: &[u8]) -> String {
    let text = |range: std::ops::Range<usize>| {
        let field = header.get(range).unwrap_or_default();
        let end = field.iter().position(|octet| *octet == 0).unwrap_or(field.len());
        String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
    };
    let (name, prefix) = (text(0..100), text(345..500));
    let ustar = header.get(257..263) == Some(b"ustar\0");
    if ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let odd = name.is_empty()
        || name.starts_with('/')
        || name.chars().any(char::is_control)
        || name.split(['/', '\\']).any(|segment| segment == "..");
    if odd { Err(malformed("a tar archive with a name that leads elsewhere")) } else { Ok(()) }
}

/// The sum of all octets, its own field taken for blanks; or that of the octets with signs, as old writers made it.
fn has_checksum(header: &[u8]) -> bool {
    let octets =
        || header.iter().enumerate().map(|(at, octet)| if (148..156).contains(&at) { b' ' } else { *octet });
    let sum: i64 = octets().map(i64::from).sum();
    let signed: i64 = octets().map(|octet| i64::from(octet.cast_signed())).sum();
    let said = number(header.get(148..156).unwrap_or_default()).and_then(|said| i64::try_from(said).ok());
    said == Some(sum) || said == Some(signed)
}

/// Octal digits between blanks and NULs, or the big-endian form of GNU.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, rest)) = field.split_first().map(|(first, rest)| (*first, rest)) {
        let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
        let low = u64::from_be_bytes(low.try_into().ok()?);
        return high.iter().all(|octet| *octet == 0).then_some(low);
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(text, 8).ok()
}
