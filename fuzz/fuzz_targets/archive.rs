//! A leaf that anybody on the Internet wrote: whatever kind of container it claims to be, its reader ends, within its budget.
#![no_main]
use libfuzzer_sys::fuzz_target;
use policy::model::MailFilter;
use scanner::antivirus::Finding;
use scanner::archive::{Opener, without_macros};
use scanner::documents::magic;
use std::cell::Cell;

fuzz_target!(|octets: &[u8]| {
    let filter = MailFilter { max_decoded: 1 << 20, max_archive_depth: 4, ..mailward_fuzz::mail_filter() };
    let seen = Cell::new(0_u64);
    let look = |member: &[u8]| {
        seen.set(seen.get() + member.len() as u64);
        Finding::clean()
    };
    let inside = Opener::new(&filter, &[], Some(&look)).open(octets);
    assert!(seen.get() <= filter.max_decoded);
    assert!(inside.names.iter().all(|name| !name.is_empty()));
    if let Some(document) = without_macros(octets) {
        assert_eq!(document.len(), octets.len());
        let without = Opener::new(&mailward_fuzz::mail_filter(), &[], None).open(&document);
        assert!(!without.macros && without.finding.statuses.is_empty());
    }
    let magic = magic::look(octets, &[]);
    assert_eq!(magic.types.is_empty(), octets.is_empty());
});
