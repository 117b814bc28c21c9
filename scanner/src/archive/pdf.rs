//! PDF: whether it is locked. Its trailer names a dictionary of the lock (ISO 32000-1 section 7.6.1), and the trailer itself is never
//! locked or packed; one that opens without a password is locked all the same, because engines differ in opening it.
use super::Fault;
use crate::readings::hex;
use memchr::memchr_iter;
use policy::status::Status;

pub(super) fn check(pdf: &[u8]) -> Result<(), Fault> {
    let locked = memchr_iter(b'/', pdf)
        .filter_map(|at| behind_key(pdf.get(at + 1..)?))
        .map(without_blanks)
        .any(|value| value.first().is_some_and(u8::is_ascii_digit) || value.starts_with(b"<<"));
    if locked { Err((Status::Encrypted, "a locked PDF")) } else { Ok(()) }
}

/// What follows the name of the lock. Any character of a name may stand as its number (section 7.3.5).
fn behind_key(name: &[u8]) -> Option<&[u8]> {
    b"Encrypt".iter().try_fold(name, |rest, wanted| {
        let (first, tail) = rest.split_first()?;
        match first {
            b'#' => tail.get(2..).filter(|_| tail.get(..2).and_then(hex) == Some(*wanted)),
            first => (first == wanted).then_some(tail),
        }
    })
}

/// Without white space and comments (sections 7.2.2 and 7.2.3).
fn without_blanks(value: &[u8]) -> &[u8] {
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        rest = match first {
            0 | 9 | 10 | 12 | 13 | 32 => tail,
            b'%' => {
                let end = tail.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(tail.len());
                tail.get(end..).unwrap_or_default()
            }
            _ => return rest,
        };
    }
    rest
}
