//! HTML that anybody on the Internet wrote, in any charset: the filter ends, and what it lets through stays as it is when
//! it is read and filtered again. The first octet chooses rules and charset.
#![no_main]
use libfuzzer_sys::fuzz_target;
use policy::html::{Family, HtmlFilter, Links};
use scanner::html::filter;

const CHARSETS: [Option<&str>; 8] = [
    Some("utf-8"),
    None,
    Some("iso-8859-1"),
    Some("utf-7"),
    Some("utf-16"),
    Some("iso-2022-jp"),
    Some("gb18030"),
    Some("x-unknown"),
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, html)) = data.split_first() else { return };
    let charset = CHARSETS[usize::from(choice % 8)];
    let family = |bit: u8| if choice & bit == 0 { Family::Remove } else { Family::Keep };
    let rules = HtmlFilter {
        frames: family(8),
        forms: family(16),
        styles: family(32),
        remote_images: family(64),
        links: if choice & 128 == 0 { Links::Reveal } else { Links::Remove },
        ..HtmlFilter::new("fuzz")
    };
    let once = filter(html, charset, &rules);
    let twice = filter(&once.bytes, charset, &rules);
    assert_eq!(once.bytes, twice.bytes);
    assert!(!twice.changed);
});
