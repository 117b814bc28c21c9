//! ZIP archives, opened for the builtin engine. Anything that is not plainly a well-formed archive is a status, never
//! a pass: locked, over a limit, or not to be read.
use super::Finding;
use policy::model::MailFilter;
use policy::status::Status;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Members of one archive.
const MAX_MEMBERS: usize = 10_000;
const ZIP: &[u8] = b"PK\x03\x04";

/// Whether octets begin as a ZIP archive does (an empty one aside).
pub fn is_zip(octets: &[u8]) -> bool {
    octets.starts_with(ZIP)
}

/// Shows every member to `look`, and members that are archives again down to `max-archive-depth`. `budget` counts the
/// octets that may still be inflated for this mail.
pub fn open(
    octets: &[u8],
    depth: usize,
    filter: &MailFilter,
    budget: &mut u64,
    look: &mut dyn FnMut(&[u8]) -> Finding,
) -> Finding {
    if depth > filter.max_archive_depth {
        return Finding::of(Status::Limit, "archives nested deeper than max-archive-depth");
    }
    let Ok(mut archive) = ZipArchive::new(Cursor::new(octets)) else {
        return Finding::of(Status::Malformed, "a ZIP archive that cannot be read");
    };
    if archive.len() > MAX_MEMBERS {
        return Finding::of(Status::Limit, "a ZIP archive with too many members");
    }
    let mut finding = Finding::clean();
    for index in 0..archive.len() {
        match archive.by_index_raw(index) {
            Ok(member) if member.encrypted() => {
                finding = finding.and(Finding::of(Status::Encrypted, "a locked ZIP archive"));
                continue;
            }
            Ok(_) => {}
            Err(_) => return finding.and(Finding::of(Status::Malformed, "a ZIP member that cannot be read")),
        }
        let Ok(member) = archive.by_index(index) else {
            return finding.and(Finding::of(Status::Malformed, "a ZIP member that cannot be unpacked"));
        };
        let mut content = Vec::new();
        // What the header says of the size is not believed: what comes out is counted.
        let read = member.take(budget.saturating_add(1)).read_to_end(&mut content);
        let Some(left) = budget.checked_sub(content.len() as u64) else {
            return finding.and(Finding::of(Status::Limit, "an archive of more octets than max-decoded"));
        };
        *budget = left;
        finding = finding.and(look(&content));
        if read.is_err() {
            return finding.and(Finding::of(Status::Malformed, "a ZIP member that cannot be unpacked"));
        }
        if is_zip(&content) {
            finding = finding.and(open(&content, depth + 1, filter, budget, look));
        }
    }
    finding
}
