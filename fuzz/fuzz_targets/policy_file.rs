//! A configuration file: every text loads or is refused with places inside it, and diagnostics can be drawn.
#![no_main]
use libfuzzer_sys::fuzz_target;
use policy::load::{LoadOptions, load, render};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = Path::new("mailward.toml");
    let include = |_: &Path| Ok(Vec::new());
    let diagnostics = match load(file, text, &include, LoadOptions { demo: false, cores: 2 }) {
        Ok(loaded) => loaded.notes,
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            diagnostics
        }
    };
    for diagnostic in diagnostics {
        assert!(diagnostic.span.end <= text.len());
        let _ = render(&diagnostic, text, false);
    }
});
