//! PDF: whether it is locked. Its trailer names a dictionary of the lock (ISO 32000-1 section 7.6.1), and the trailer itself is never
//! locked or packed; one that opens without a password is locked all the same, because engines differ in opening it.
use super::Fault;
use memchr::memmem;
use policy::status::Status;

pub(super) fn check(pdf: &[u8]) -> Result<(), Fault> {
    const KEY: &[u8] = b"/Encrypt";
    let locked = memmem::find_iter(pdf, KEY).any(|at| {
        let behind = pdf.get(at + KEY.len()..).unwrap_or_default().trim_ascii_start();
        behind.first().is_some_and(u8::is_ascii_digit) || behind.starts_with(b"<<")
    });
    if locked { Err((Status::Encrypted, "a locked PDF")) } else { Ok(()) }
}
