//! What a leaf is, for the document rules: its types by content, by name and as declared, every name that it bears, and
//! whether these contradict each other. Called for every leaf; octets and names are a sender's choice.
mod extension;
pub mod magic;
mod names;
mod relation;

use crate::archive::Inside;
use crate::parts::Leaf;
use policy::model::{ExtraType, TypeSource};

/// What the rules may ask of a leaf.
#[derive(Debug, Default)]
pub struct Document {
    /// Every type, and by which source.
    pub types: Vec<(TypeSource, String)>,
    /// The types of what is inside an archive.
    pub inner: Vec<(TypeSource, String)>,
    /// Every name, in every form in which some program takes it.
    pub names: Vec<String>,
    /// Content, name and declaration contradict each other.
    pub mismatch: bool,
    /// The content is of several types at once.
    pub polyglot: bool,
    /// Octets, decoded.
    pub size: u64,
}

/// Says what a leaf is; `inside` is what it holds, `header` its header block, empty where it has no place.
pub fn describe(leaf: &Leaf<'_>, inside: &Inside, header: &[u8], extra: &[ExtraType]) -> Document {
    let mut names = names::all(&leaf.names, header);
    let magic = magic::look(&leaf.octets, extra);
    let by_name = extension::types(&names, extra);
    let declared = relation::alias(&leaf.declared).to_owned();
    let mismatch = relation::mismatch(&magic.types, &by_name, &declared, leaf.octets.is_empty());
    let mut types: Vec<(TypeSource, String)> = Vec::new();
    types.extend(magic.types.into_iter().map(|name| (TypeSource::Magic, name)));
    types.extend(by_name.into_iter().map(|name| (TypeSource::Extension, name)));
    if declared != leaf.declared {
        types.push((TypeSource::ContentType, leaf.declared.clone()));
    }
    types.push((TypeSource::ContentType, declared));
    if inside.macros {
        types.push((TypeSource::Magic, magic::MACROS.to_owned()));
    }
    // Names of members stand for the leaf too, once its own have said what it is.
    names.extend(inside.names.iter().cloned());
    Document {
        types,
        inner: inside.types.clone(),
        names,
        mismatch,
        polyglot: magic.polyglot,
        size: leaf.octets.len() as u64,
    }
}

/// Every name of a leaf: `given`, and what else its header says.
pub(crate) fn names_of(given: &[String], header: &[u8]) -> Vec<String> {
    names::all(given, header)
}

/// Every form of a name.
pub(crate) fn forms(name: &str) -> Vec<String> {
    names::forms(name)
}

/// The types of what is inside a container, by content and by name: for rules that take something away.
pub(crate) fn types_of_member(name: &str, octets: &[u8], extra: &[ExtraType]) -> Vec<(TypeSource, String)> {
    let by_content = magic::look(octets, extra).types.into_iter().map(|name| (TypeSource::Magic, name));
    let by_name = extension::types(&names::forms(name), extra).into_iter();
    by_content.chain(by_name.map(|name| (TypeSource::Extension, name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn document(declared: &str, name: &str, octets: &[u8]) -> Document {
        let names = if name.is_empty() { Vec::new() } else { vec![name.to_owned()] };
        let leaf = Leaf { octets: Cow::Borrowed(octets), declared: declared.to_owned(), names, place: None };
        describe(&leaf, &Inside::default(), b"", &[])
    }

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    const PDF: &[u8] = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\nstartxref\n0\n%%EOF\n";
    const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0\0\0\0\0@\0\0\0";

    #[test]
    fn honest_documents_contradict_nothing() {
        for (declared, name, octets) in [
            ("image/png", "logo.png", PNG),
            ("application/pdf", "invoice.PDF", PDF),
            ("application/octet-stream", "invoice.pdf", PDF),
            ("application/octet-stream", "data.bin", b"\0\x01\x02\x03".as_slice()),
            ("text/plain", "", b"Hello.\r\n"),
            ("text/plain", "", b"BM is a car\r\n"),
            ("text/html", "", b"<html><body>hello</body></html>\r\n"),
            ("text/html", "", b"hello\r\n"),
            ("text/calendar", "invite.ics", b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"),
            ("text/csv", "table.csv", b"a,b\r\n1,2\r\n"),
            ("application/json", "x.json", b"{\"a\": 1}"),
            ("application/x-zip-compressed", "a.zip", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            ("application/msword", "letter.doc", b"{\\rtf1\\ansi hello}"),
            ("application/pdf", "empty.pdf", b""),
        ] {
            let document = document(declared, name, octets);
            assert!(!document.mismatch && !document.polyglot, "{declared} {name}: {document:?}");
        }
    }

    #[test]
    fn lies_about_the_type_are_found_whoever_tells_them() {
        for (declared, name, octets) in [
            ("image/png", "logo.png", EXE),
            ("application/pdf", "invoice.pdf", EXE),
            ("application/octet-stream", "invoice.pdf", EXE),
            ("application/pdf", "invoice.exe", PDF),
            ("application/pdf", "", PNG),
            ("application/pdf", "invoice.pdf", b"\0\x01\x02\x03".as_slice()),
            ("image/jpeg", "a.jpg", b"<html><script>alert(1)</script></html>"),
            ("application/msword", "a.doc", b"<html><body>x</body></html>"),
            (
                "application/msword",
                "a.doc",
                b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n",
            ),
        ] {
            let document = document(declared, name, octets);
            assert!(document.mismatch, "{declared} {name}: {document:?}");
        }
    }

    #[test]
    fn every_source_gives_its_type() {
        let types = document("image/png", "setup.exe", PDF).types;
        let by = |wanted| types.iter().find(|(source, _)| *source == wanted).map(|(_, name)| name.as_str());
        assert_eq!(by(TypeSource::Magic), Some("application/pdf"));
        assert_eq!(by(TypeSource::Extension), Some("application/vnd.microsoft.portable-executable"));
        assert_eq!(by(TypeSource::ContentType), Some("image/png"));
    }
}
