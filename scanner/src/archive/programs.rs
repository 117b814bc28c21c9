//! Documents with programs in them, by what stands in a member of one: Excel's older macros, OpenDocument's, documents that
//! are one XML file, web archives; and documents that fetch a program when they are opened.
use memchr::memmem;

/// Relations whose target is opened with the document.
const FETCHED: [&str; 5] = ["attachedtemplate", "oleobject", "/frame", "subdocument", "control"];

/// Whether this member makes a document one with macros.
pub(super) fn are_in(name: &str, octets: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("vbaproject.bin")
        // What Word and Excel write for a project into web archives and XML.
        || octets.starts_with(b"ActiveMime")
        || is_macro_sheet(octets)
        || is_of_basic(&name)
        || (name == "[content_types].xml" && memmem::find(&plain(octets), b"macrosheet").is_some())
        || (name.ends_with(".rels") && fetches(&plain(octets)))
        || is_xml_with_macros(octets)
}

/// Small letters without NULs: whatever charset XML is in, its ASCII is ASCII.
fn plain(octets: &[u8]) -> Vec<u8> {
    octets.iter().filter(|octet| **octet != 0).map(u8::to_ascii_lowercase).collect()
}

/// Excel 2 to 4: a file that is one sheet ([MS-XLS] 2.4.21: its kind behind the version).
fn is_macro_sheet(octets: &[u8]) -> bool {
    matches!(octets, [9, 0 | 2 | 4, 4 | 6 | 8, 0, _, _, 0x40, 0, ..])
}

/// OpenDocument 1.2, part 3, 3.2: a library's modules, and scripts. The lists of libraries are in every document.
fn is_of_basic(name: &str) -> bool {
    let list = ["script-lc.xml", "script-lb.xml"].iter().any(|list| name.ends_with(list));
    let module = name.starts_with("basic/") && name.ends_with(".xml") && !list;
    module || (name.starts_with("scripts/") && !name.ends_with('/'))
}

/// Word's and Excel's formats in one file: XML of 2003, and packages written as XML.
fn is_xml_with_macros(octets: &[u8]) -> bool {
    let head = octets.get(..octets.len().min(4096)).unwrap_or_default();
    let of_office = [b"schemas.microsoft.com/office".as_slice(), b"mso-application"];
    let is_xml = head.iter().find(|octet| !octet.is_ascii_whitespace() && **octet < 0x80) == Some(&b'<');
    if !is_xml || !of_office.iter().any(|mark| memmem::find(head, mark).is_some()) {
        return false;
    }
    let text = plain(octets);
    let marks =
        [b"macrospresent=\"yes\"".as_slice(), b"macrospresent='yes'", b"editdata.mso", b"vbaproject.bin"];
    marks.iter().any(|mark| memmem::find(&text, mark).is_some())
}

/// Whether a relation names a template or an object on another machine.
fn fetches(relations: &[u8]) -> bool {
    let text = String::from_utf8_lossy(relations);
    text.split("relationship ").skip(1).any(|relation| {
        let relation = relation.split('>').next().unwrap_or_default();
        let value = |name: &str| {
            let (_, behind) = relation.split_once(name)?;
            let behind = behind.trim_start().strip_prefix('=')?.trim_start();
            let quote = behind.chars().next()?;
            behind.get(1..)?.split(quote).next()
        };
        let external =
            value("targetmode").is_some_and(|mode| mode.trim() == "external" || mode.contains('&'));
        let kind = value("type").unwrap_or_default();
        let fetched = FETCHED.iter().any(|fetched| kind.contains(fetched)) || kind.contains('&');
        external && fetched && is_elsewhere(value(" target").unwrap_or_default())
    })
}

/// Not a path on the machine itself. An escape could hide one.
fn is_elsewhere(target: &str) -> bool {
    let path = target.trim().replace('\\', "/");
    if path.contains("&#") || path.starts_with("//") {
        return true;
    }
    match path.split_once(':') {
        Some(("file", rest)) => {
            let slashes = rest.bytes().take_while(|octet| *octet == b'/').count();
            slashes == 2 || slashes > 3
        }
        // A drive.
        Some((scheme, _)) => scheme.len() > 1,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(kind: &str, target: &str) -> Vec<u8> {
        format!(
            "<Relationships><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}\" Target=\"{target}\" TargetMode=\"External\"/></Relationships>"
        )
        .into_bytes()
    }

    #[test]
    fn a_document_that_fetches_a_program_has_one() {
        for (kind, target, expected) in [
            ("attachedTemplate", "http://example.org/a.dotm", true),
            ("attachedTemplate", "\\\\example.org\\share\\a.dotm", true),
            ("attachedTemplate", "file://example.org/a.dotm", true),
            ("attachedTemplate", "file:///\\\\example.org\\a.dotm", true),
            ("attachedTemplate", "&#104;ttp://example.org/a.dotm", true),
            ("oleObject", "https://example.org/a", true),
            ("frame", "mhtml:https://example.org/a!x", true),
            ("attachedTemplate", "file:///C:\\Templates\\Letter.dotm", false),
            ("attachedTemplate", "C:\\Templates\\Letter.dotm", false),
            ("hyperlink", "https://example.org/", false),
            ("image", "https://example.org/a.png", false),
        ] {
            assert_eq!(
                are_in("word/_rels/settings.xml.rels", &relation(kind, target)),
                expected,
                "{kind} {target}"
            );
        }
        let wide: Vec<u8> = relation("attachedTemplate", "http://example.org/a")
            .into_iter()
            .flat_map(|octet| [octet, 0])
            .collect();
        assert!(are_in("word/_rels/settings.xml.rels", &wide));
    }

    #[test]
    fn programs_are_known_in_every_kind_of_document() {
        for (name, octets, expected) in [
            ("xl/vbaProject.bin", b"".as_slice(), true),
            ("Basic/Standard/Module1.xml", b"<script:module/>", true),
            ("Basic/Standard/script-lb.xml", b"<library/>", false),
            ("Basic/script-lc.xml", b"<libraries/>", false),
            ("Scripts/python/run.py", b"", true),
            ("[content_types].XML", b"<Override ContentType=\"application/vnd.ms-excel.macrosheet+xml\"/>", true),
            ("", b"ActiveMime\0\0", true),
            ("old.xls", b"\x09\x04\x06\0\0\0\x40\0\0\0", true),
            ("old.xls", b"\x09\x04\x06\0\0\0\x10\0\0\0", false),
            ("", b"<?xml version=\"1.0\"?><?mso-application progid=\"Word.Document\"?><w:wordDocument w:macrosPresent=\"yes\"/>", true),
            ("", b"<?xml version=\"1.0\"?><?mso-application progid=\"Word.Document\"?><w:wordDocument/>", false),
            ("", b"a text about vbaProject.bin", false),
        ] {
            assert_eq!(are_in(name, octets), expected, "{name} {octets:?}");
        }
    }
}
