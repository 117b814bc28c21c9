//! Types by content: `file-format`, and marks of what it does not know and attackers like. Reads octets that anybody on
//! the Internet chose; looks at the beginning, the end, and a few marks in between, each in one pass.
use super::relation::alias;
use file_format::FileFormat;
use memchr::memmem;
use policy::model::ExtraType;

/// Nothing is known about it.
pub const UNKNOWN: &str = "application/octet-stream";
const TEXT: &str = "text/plain";
const PROGRAM: &str = "application/vnd.microsoft.portable-executable";
pub(crate) const RAR: &str = "application/vnd.rar";
pub(crate) const SEVEN: &str = "application/x-7z-compressed";
/// How far into a text its kind is looked for.
const HEAD: usize = 4096;
/// Documents with macros bear this type besides their own.
pub const MACROS: &str = "application/vnd.ms-office.vbaproject";

/// What octets are.
#[derive(Debug, Default)]
pub struct Magic {
    /// The type first, then whatever else it is.
    pub types: Vec<String>,
    /// It is several documents at once.
    pub polyglot: bool,
}

/// Says what octets are. Empty octets are of no type.
pub fn look(octets: &[u8], extra: &[ExtraType]) -> Magic {
    if octets.is_empty() {
        return Magic::default();
    }
    let has = |(at, mark): &(u32, Vec<u8>)| {
        usize::try_from(*at).ok().and_then(|at| octets.get(at..)).is_some_and(|rest| rest.starts_with(mark))
    };
    let own = extra.iter().find(|own| own.magic.iter().any(has));
    let main = own.map_or_else(|| main(octets), |own| own.mime_type.clone());
    let others = others(octets, &main);
    let polyglot = !others.is_empty();
    let mut types = vec![main];
    types.extend(others.into_iter().map(str::to_owned));
    Magic { types, polyglot }
}

/// Marks at fixed places that `file-format` does not know.
const MARKS: [(usize, &[u8], &str); 9] = [
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "application/onenote"),
    (0, b"\x78\x9f\x3e\x22", "application/vnd.ms-tnef"),
    // Word opens what begins like this, whatever follows.
    (0, b"{\\rt", "application/rtf"),
    (0, b"#@~^", "text/vbscript"),
    (0, b"\x60\xea", "application/x-arj"),
    (0, b"ITSF", "application/vnd.ms-htmlhelp"),
    (7, b"**ACE**", "application/x-ace-compressed"),
    (32_769, b"BEA01", "application/x-iso9660-image"),
    (32_769, b"CD001", "application/x-iso9660-image"),
];

fn main(octets: &[u8]) -> String {
    let marked =
        |(at, mark, _): &&(usize, &[u8], &str)| octets.get(*at..).is_some_and(|rest| rest.starts_with(mark));
    // Marks far behind the start are for disks, whose start may be anything; see `others`.
    if let Some((_, _, name)) = MARKS.iter().filter(|(at, _, _)| *at < 1024).find(marked) {
        return (*name).to_owned();
    }
    let format = FileFormat::from_bytes(octets);
    let guessed = alias(format.media_type());
    let head = octets.get(..octets.len().min(HEAD)).unwrap_or_default();
    let name = match text(head) {
        Some(text) => kind_of_text(&text).unwrap_or(match guessed {
            UNKNOWN => TEXT,
            known if is_textual(known) => known,
            // Two letters at the start of a text are no bitmap.
            _ => TEXT,
        }),
        // Too short for its own header, and a program to whoever starts it.
        None if guessed == UNKNOWN && octets.starts_with(b"MZ") => PROGRAM,
        None if guessed == UNKNOWN && ends_as_disk(octets) => "application/x-vhd",
        None if guessed == UNKNOWN => MARKS.iter().find(marked).map_or(UNKNOWN, |(_, _, name)| name),
        None => guessed,
    };
    name.to_owned()
}

/// A disk of fixed size (VHD) is known by its last sector alone.
fn ends_as_disk(octets: &[u8]) -> bool {
    let sector = |length: usize| octets.len().checked_sub(length).and_then(|at| octets.get(at..));
    [512, 511].into_iter().any(|length| sector(length).is_some_and(|end| end.starts_with(b"conectix")))
}

fn is_textual(guessed: &str) -> bool {
    guessed.starts_with("text/")
        || guessed.ends_with("xml")
        || guessed.starts_with("model/")
        || ["application/pdf", "application/rtf", "application/postscript", "application/x-pem-file"]
            .contains(&guessed)
        || guessed.starts_with("application/pgp")
        || guessed.starts_with("image/x-")
}

/// A beginning as lower-case text, if it is one: UTF-8, UTF-16 with its mark, or some one-octet charset.
fn text(head: &[u8]) -> Option<String> {
    let wide = match head {
        [0xff, 0xfe, rest @ ..] => Some((rest, 0)),
        [0xfe, 0xff, rest @ ..] => Some((rest, 1)),
        _ => None,
    };
    let narrow: Vec<u8> = match wide {
        Some((rest, low)) => rest
            .chunks_exact(2)
            .map(|pair| match (pair.get(low), pair.get(1 - low)) {
                (Some(low), Some(0)) => *low,
                _ => b'?',
            })
            .collect(),
        None => head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).to_vec(),
    };
    let plain = narrow.iter().all(|byte| !matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127));
    plain.then(|| String::from_utf8_lossy(&narrow).to_lowercase())
}

/// What programs make of a text by its beginning.
fn kind_of_text(head: &str) -> Option<&'static str> {
    let start = head.trim_start();
    let begins = |words: &[&str]| words.iter().any(|word| start.starts_with(word));
    let holds = |words: &[&str]| words.iter().any(|word| head.contains(word));
    let xml = start.starts_with("<?xml") || start.starts_with("<!--");
    if holds(&["<hta:application"]) {
        return Some("application/hta");
    }
    if begins(&["<svg"]) || (xml && holds(&["<svg", "<!doctype svg"])) {
        return Some("image/svg+xml");
    }
    if holds(&["<job", "<package", "<component"]) && holds(&["<script"]) && !holds(&["<html", "<body"]) {
        return Some("application/x-wsf");
    }
    if holds(&["<librarydescription", "<persistedquery", "<searchconnectordescription", "<pcsettings"]) {
        return Some("application/windows-library+xml");
    }
    let html = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<script",
        "<iframe",
        "<table",
        "<div",
        "<style",
        "<meta",
        "<a href",
        "<p>",
        "<br",
        "<img",
        "<form",
        "<title",
    ];
    if begins(&html) || (xml && holds(&["<html", "<!doctype html"])) {
        return Some("text/html");
    }
    // Under whatever prefix their elements stand, a browser runs what is in them.
    if holds(&["=\"http://www.w3.org/1999/xhtml", "='http://www.w3.org/1999/xhtml"]) && start.starts_with('<')
    {
        return Some("application/xhtml+xml");
    }
    if holds(&["=\"http://www.w3.org/2000/svg", "='http://www.w3.org/2000/svg"]) && start.starts_with('<') {
        return Some("image/svg+xml");
    }
    if begins(&["[internetshortcut]"]) {
        return Some("application/x-mswinurl");
    }
    if begins(&["windows registry editor", "regedit4"]) {
        return Some("text/x-ms-regedit");
    }
    if begins(&["mime-version:"])
        || (begins(&["from:", "received:", "return-path:", "date:", "message-id:", "subject:"])
            && holds(&["\ncontent-type:", "\nmime-version:"]))
    {
        return Some(if holds(&["multipart/related"]) {
            "application/x-mimearchive"
        } else {
            "message/rfc822"
        });
    }
    if begins(&["web\r\n1\r\n", "web\n1\n"]) {
        return Some("text/x-ms-iqy");
    }
    if begins(&["id;p"]) {
        return Some("application/x-sylk");
    }
    if begins(&["@echo off"]) {
        return Some("text/x-msdos-batch");
    }
    if begins(&["<?php"]) {
        return Some("application/x-php");
    }
    if holds(&["full address:s:"]) {
        return Some("application/x-rdp");
    }
    if holds(&["wscript.shell", "activexobject(", "wscript.createobject"]) {
        return Some(if holds(&["var ", "function", "new activexobject"]) {
            "application/javascript"
        } else {
            "text/vbscript"
        });
    }
    if holds(&["createobject("]) && holds(&["dim ", "set ", "sub "]) {
        return Some("text/vbscript");
    }
    None
}

/// What else the octets are for a reader that looks elsewhere than at their start.
fn others(octets: &[u8], main: &str) -> Vec<&'static str> {
    let mut others = Vec::new();
    let is_picture = main.starts_with("image/") && main != "image/svg+xml";
    let is_media =
        is_picture || main.starts_with("audio/") || main.starts_with("video/") || main.starts_with("font/");
    let is_program =
        main == "application/vnd.microsoft.portable-executable" || main == "application/x-executable";
    let is_textual = main.starts_with("text/") || main == UNKNOWN;
    // Containers hold other documents honestly.
    let is_flat =
        is_media || is_program || is_textual || main == "application/pdf" || main == "application/rtf";
    if is_flat && ends_as_zip(octets) {
        others.push("application/zip");
    }
    // Their readers look for the beginning anywhere.
    if is_flat {
        for (mark, name) in [
            (b"Rar!\x1a\x07".as_slice(), RAR),
            (b"7z\xbc\xaf\x27\x1c", SEVEN),
            (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
        ] {
            if memmem::find(octets, mark).is_some() {
                others.push(name);
            }
        }
    }
    if is_media || main == "application/pdf" {
        for (mark, name) in [
            (b"<script".as_slice(), "text/html"),
            (b"<html", "text/html"),
            (b"<iframe", "text/html"),
            (b"<?php", "application/x-php"),
        ] {
            if !others.contains(&name) && holds_ignoring_case(octets, mark) {
                others.push(name);
            }
        }
    }
    let start = octets.get(..octets.len().min(1024)).unwrap_or_default();
    // PDF readers take one that begins within the first 1024 octets.
    if main != "application/pdf"
        && !is_textual
        && memmem::find(start, b"%PDF-").is_some()
        && memmem::find(octets, b"startxref").is_some()
    {
        others.push("application/pdf");
    }
    let disk = |at: usize, mark: &[u8]| octets.get(at..).is_some_and(|rest| rest.starts_with(mark));
    if main != "application/x-iso9660-image"
        && is_flat
        && main != UNKNOWN
        && (disk(32_769, b"CD001") || disk(32_769, b"BEA01"))
    {
        others.push("application/x-iso9660-image");
    }
    if main != "application/x-tar" && is_flat && main != UNKNOWN && disk(257, b"ustar") {
        others.push("application/x-tar");
    }
    others
}

/// An end of a central directory that points at one, as readers of ZIP archives look for it.
pub(crate) fn ends_as_zip(octets: &[u8]) -> bool {
    const END: usize = 22;
    let from = octets.len().saturating_sub(END + usize::from(u16::MAX));
    let tail = octets.get(from..).unwrap_or_default();
    let mark = b"PK\x05\x06";
    // Nearly always it is not there, which the search from the front finds out ten times as fast.
    if memmem::find(tail, mark).is_none() {
        return false;
    }
    let begins = |at: usize, mark: &[u8]| octets.get(at..).is_some_and(|rest| rest.starts_with(mark));
    memmem::rfind_iter(tail, mark).take(8).any(|at| {
        let end = from + at;
        let number = |offset: usize| {
            let octets = octets.get(end + offset..end + offset + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(octets)).ok()
        };
        let (Some(size), Some(offset)) = (number(12), number(16)) else { return false };
        // The directory stands right before its end, whatever was glued in front; or where it is said to; or another end,
        // with longer numbers, stands before this one.
        let before = |length: usize| end.checked_sub(length);
        before(size).is_some_and(|at| begins(at, b"PK\x01\x02"))
            || (offset < end && begins(offset, b"PK\x01\x02"))
            || before(20).is_some_and(|at| begins(at, b"PK\x06\x07"))
    })
}

/// `mark` is in lower case and begins with a sign.
fn holds_ignoring_case(octets: &[u8], mark: &[u8]) -> bool {
    let Some((first, rest)) = mark.split_first() else { return false };
    memchr::memchr_iter(*first, octets).any(|at| {
        octets.get(at + 1..at + 1 + rest.len()).is_some_and(|found| found.eq_ignore_ascii_case(rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(octets: &[u8]) -> Vec<String> {
        look(octets, &[]).types
    }

    #[test]
    fn lures_are_known_by_their_content() {
        for (octets, name) in [
            (
                b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3rest".as_slice(),
                "application/onenote",
            ),
            (b"\x78\x9f\x3e\x22\0\0", "application/vnd.ms-tnef"),
            (b"{\\rt0 x}", "application/rtf"),
            (b"[InternetShortcut]\r\nURL=file://x\r\n", "application/x-mswinurl"),
            (b"<html><HTA:APPLICATION id=x></html>", "application/hta"),
            (b"<job id=\"a\"><script language=\"JScript\">x</script></job>", "application/x-wsf"),
            (b"var s = new ActiveXObject(\"WScript.Shell\"); s.Run(x);", "application/javascript"),
            (b"Dim s\r\nSet s = CreateObject(\"WScript.Shell\")\r\n", "text/vbscript"),
            (b"\xff\xfe<\0h\0t\0m\0l\0>\0", "text/html"),
            (b"\xef\xbb\xbf  <!DOCTYPE html><p>x", "text/html"),
            (b"Windows Registry Editor Version 5.00\r\n", "text/x-ms-regedit"),
            (b"WEB\r\n1\r\nhttp://example.org/\r\n", "text/x-ms-iqy"),
            (b"<?xml version=\"1.0\"?><svg xmlns=\"x\"/>", "image/svg+xml"),
            (
                b"<?xml version=\"1.0\"?><a xmlns:x='http://www.w3.org/1999/xhtml'><x:script/></a>",
                "application/xhtml+xml",
            ),
            (b"<x:svg xmlns:x=\"http://www.w3.org/2000/svg\"/>", "image/svg+xml"),
            (b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n\r\n", "application/x-mimearchive"),
            (b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "application/x-ms-shortcut"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0>\0", "application/x-executable"),
            (b"plain words, nothing else", "text/plain"),
            (b"latin-1: \xe4\xf6\xfc", "text/plain"),
            (b"\0\x01\x02\x03", UNKNOWN),
        ] {
            assert_eq!(is(octets).first().map(String::as_str), Some(name), "{octets:?}");
        }
        assert_eq!(is(b""), Vec::<String>::new());
    }

    #[test]
    fn several_documents_in_one_are_seen() {
        let zip = [
            b"PK\x01\x02".as_slice(),
            &[0; 42],
            b"PK\x05\x06",
            &[0; 4],
            &[1, 0, 1, 0, 46, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\0\0\0\0\0,\0\0\0\0".as_slice();
        let pdf = b"%PDF-1.4\n1 0 obj\nendobj\nstartxref\n0\n%%EOF\n".as_slice();
        for (octets, other) in [
            ([gif, &zip].concat(), "application/zip"),
            ([pdf, &zip].concat(), "application/zip"),
            ([gif, b"<ScRipt>alert(1)</script>"].concat(), "text/html"),
            ([gif, b"Rar!\x1a\x07\x01\0"].concat(), "application/vnd.rar"),
            ([gif, pdf].concat(), "application/pdf"),
        ] {
            let magic = look(&octets, &[]);
            assert!(magic.polyglot && magic.types.iter().any(|name| name == other), "{other}: {magic:?}");
        }
        for honest in [gif.to_vec(), pdf.to_vec(), b"a text about %PDF- and <script>".to_vec()] {
            assert!(!look(&honest, &[]).polyglot);
        }
    }

    #[test]
    fn types_of_ones_own_come_first() {
        let acme = ExtraType {
            mime_type: "application/x-acme".into(),
            extensions: Vec::new(),
            magic: vec![(2, b"ACME".to_vec())],
        };
        assert_eq!(look(b"%!ACME", std::slice::from_ref(&acme)).types, ["application/x-acme"]);
        assert_eq!(look(b"ACME", &[acme]).types, ["text/plain"]);
    }
}
