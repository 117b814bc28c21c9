//! Office documents (OOXML) without their macros: the project of Visual Basic is left out of the package, and so is what
//! points to it. Everything else is copied; what comes out has the length of what went in, so that it can stand in its place.
//!
//! Nothing is repaired and nothing guessed: the package must be what the strict reader takes, the three kinds of XML that
//! change must be as every program writes them, and what comes out is opened again by the same reader, which must find
//! no macro in it. Anything else is no document without macros, and is not made one: `None`.
use super::zip::Package;
use super::{Inside, Opener};
use policy::model::MailFilter;

/// The project, its data, and signatures over it.
const PROJECT: [&str; 5] = [
    "vbaproject.bin",
    "vbadata.xml",
    "vbaprojectsignature.bin",
    "vbaprojectsignatureagile.bin",
    "vbaprojectsignaturev3.bin",
];
const TYPES: &[u8] = b"[Content_Types].xml";
const PROJECT_TYPE: &str = "application/vnd.ms-office.vbaproject";

/// The same document without macros, of the same length.
pub fn without_macros(document: &[u8]) -> Option<Vec<u8>> {
    let package = Package::read(document).ok()?;
    let (gone, kept): (Vec<_>, Vec<_>) = package.pieces.iter().partition(|piece| is_of_project(piece.name));
    let names: Vec<String> =
        gone.iter().map(|piece| last(&text(piece.name)?).map(str::to_owned)).collect::<Option<_>>()?;
    if names.is_empty() {
        return None;
    }
    let other_bin = kept.iter().any(|piece| piece.name.to_ascii_lowercase().ends_with(b".bin"));
    let mut pieces = Vec::with_capacity(kept.len());
    for piece in kept {
        let changed = if piece.name == TYPES {
            let types = package.content(piece).ok()?;
            Some(types_without(&types, &names, other_bin)?)
        } else if piece.name.ends_with(b".rels") {
            Some(relations_without(&package.content(piece).ok()?, &names)?)
        } else {
            None
        };
        pieces.push(match changed {
            Some(xml) => piece.with(&xml)?,
            None => piece.clone(),
        });
    }
    let written = super::zip::write(&pieces, document.len())?;
    let Inside { finding, macros, names: members, .. } =
        Opener::new(&MailFilter::default(), &[], None).open(&written);
    let sound =
        finding.statuses.is_empty() && !macros && !members.is_empty() && written.len() == document.len();
    sound.then_some(written)
}

fn is_of_project(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let part = name.strip_suffix(".rels").unwrap_or(&name);
    last(part).is_some_and(|part| PROJECT.contains(&part))
}

fn text(octets: &[u8]) -> Option<String> {
    std::str::from_utf8(octets).ok().map(str::to_ascii_lowercase)
}

fn last(path: &str) -> Option<&str> {
    path.rsplit('/').next()
}

/// The list of types without those of the project. A default that says that every `.bin` is one goes too, if none is left.
fn types_without(xml: &[u8], gone: &[String], other_bin: bool) -> Option<Vec<u8>> {
    without(xml, |tag| match tag.name {
        "Override" => points_to(tag.value("PartName")?, gone),
        "Default" if tag.value("ContentType")?.eq_ignore_ascii_case(PROJECT_TYPE) => {
            if other_bin {
                None
            } else {
                Some(true)
            }
        }
        _ => Some(false),
    })
}

/// Relations without those to the project.
fn relations_without(xml: &[u8], gone: &[String]) -> Option<Vec<u8>> {
    without(xml, |tag| match tag.name {
        "Relationship" => points_to(tag.value("Target")?, gone),
        _ => Some(false),
    })
}

fn points_to(path: &str, gone: &[String]) -> Option<bool> {
    // Escapes could hide a name.
    if path.contains(['&', '%']) && !path.contains("://") {
        return None;
    }
    let path = path.to_ascii_lowercase();
    Some(last(&path).is_some_and(|part| gone.iter().any(|name| name == part)))
}

/// One tag, as it stands.
struct Tag<'x> {
    name: &'x str,
    attributes: &'x str,
}

impl<'x> Tag<'x> {
    /// The value of an attribute, which must be there once.
    fn value(&self, name: &str) -> Option<&'x str> {
        let mut found = None;
        let mut rest = self.attributes.trim_start();
        while !rest.is_empty() {
            let (key, behind) = rest.split_once('=')?;
            let behind = behind.trim_start();
            let quote = behind.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, after) = behind.get(1..)?.split_once(quote)?;
            if key.trim() == name && found.replace(value).is_some() {
                return None;
            }
            rest = after.trim_start();
        }
        found
    }
}

/// XML without the empty elements that are `unwanted`. `None` where it is anything but UTF-8 and plain elements.
fn without(xml: &[u8], unwanted: impl Fn(&Tag<'_>) -> Option<bool>) -> Option<Vec<u8>> {
    let xml = std::str::from_utf8(xml).ok()?;
    let mut written = String::with_capacity(xml.len());
    let mut rest = xml;
    let mut first = true;
    while let Some((before, behind)) = rest.split_once('<') {
        written.push_str(before);
        let end = tag_end(behind)?;
        let (tag, after) = behind.split_at_checked(end)?;
        rest = after.get(1..)?;
        // The declaration, once, and no other instruction, comment, section or type of document.
        if tag.starts_with(['?', '!'])
            && !(first && tag.starts_with("?xml ") && !tag.to_ascii_lowercase().contains("utf-16"))
        {
            return None;
        }
        first = false;
        let empty = tag.strip_suffix('/');
        let inside = empty.unwrap_or(tag);
        let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        // With a prefix it could be the same element under another name.
        let plain = !name.contains(':');
        if !tag.starts_with(['?', '/']) {
            let tag = Tag { name, attributes };
            if !plain && ["Relationship", "Override", "Default"].iter().any(|local| name.ends_with(local)) {
                return None;
            }
            if unwanted(&tag)? {
                empty?;
                continue;
            }
        }
        written.push('<');
        written.push_str(tag);
        written.push('>');
    }
    written.push_str(rest);
    Some(written.into_bytes())
}

/// Where a tag ends, quotes apart.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, letter)| {
        match (quote, letter) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None | Some(_), _) => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::zip::write::SimpleFileOptions;
    use std::io::{Cursor, Write};

    const TYPES_XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\r\n<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"bin\" ContentType=\"application/vnd.ms-office.vbaProject\"/><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.ms-word.document.macroEnabled.main+xml\"/><Override PartName=\"/word/vbaData.xml\" ContentType=\"application/vnd.ms-word.vbaData+xml\"/></Types>";
    const RELATIONS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\r\n<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"http://schemas.microsoft.com/office/2006/relationships/vbaProject\" Target=\"vbaProject.bin\"/><Relationship Id=\"rId2\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink\" Target=\"https://example.org/?a=1&amp;b=%20\" TargetMode=\"External\"/></Relationships>";

    fn package(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn document<'a>(types: &'a str, relations: &'a str, project: &'a [u8]) -> Vec<(&'a str, &'a [u8])> {
        vec![
            ("[Content_Types].xml", types.as_bytes()),
            ("_rels/.rels", b"<Relationships><Relationship Id=\"r1\" Type=\"t\" Target=\"word/document.xml\"/></Relationships>"),
            ("word/document.xml", b"<w:document xmlns:w=\"w\"><w:body/></w:document>"),
            ("word/_rels/document.xml.rels", relations.as_bytes()),
            ("word/_rels/vbaProject.bin.rels", b"<Relationships><Relationship Id=\"r1\" Type=\"t\" Target=\"vbaData.xml\"/></Relationships>"),
            ("word/vbaData.xml", b"<wne:vbaSuppData/>"),
            ("word/vbaProject.bin", project),
        ]
    }

    fn members(zip: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = ::zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        (0..archive.len())
            .map(|index| {
                let mut member = archive.by_index(index).unwrap();
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut member, &mut content).unwrap();
                (member.name().unwrap().into_owned(), content)
            })
            .collect()
    }

    #[test]
    fn a_document_keeps_everything_but_its_project_and_its_length() {
        let mut state = 7_u32;
        for size in [0_usize, 1, 20, 3000, 200_000] {
            let project: Vec<u8> = (0..size)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state.to_be_bytes()[0]
                })
                .collect();
            let with = package(&document(TYPES_XML, RELATIONS, &project));
            let without = without_macros(&with).unwrap_or_else(|| panic!("a project of {size} octets"));
            assert_eq!(without.len(), with.len());
            let members = members(&without);
            let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names,
                ["[Content_Types].xml", "_rels/.rels", "word/document.xml", "word/_rels/document.xml.rels"]
            );
            let types = String::from_utf8_lossy(&members[0].1).to_ascii_lowercase();
            assert!(!types.contains("vba") && types.contains("/word/document.xml"), "{types}");
            let relations = String::from_utf8_lossy(&members[3].1).into_owned();
            assert!(!relations.contains("vba") && relations.contains("https://example.org/?a=1&amp;b=%20"));
            assert_eq!(without_macros(&without), None, "there is nothing to take out any more");
        }
        // Four members have no room for so much: it is not made shorter.
        let project: Vec<u8> =
            (0..400_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_769)).to_be_bytes()).collect();
        assert_eq!(without_macros(&package(&document(TYPES_XML, RELATIONS, &project))), None);
    }

    #[test]
    fn a_package_that_is_odd_in_any_way_is_not_made_a_document_without_macros() {
        for (types, relations) in [
            (TYPES_XML.replace("<Types", "<!-- x --><Types"), RELATIONS.to_owned()),
            (TYPES_XML.replace("<Types", "<!DOCTYPE x [<!ENTITY e 'x'>]><Types"), RELATIONS.to_owned()),
            (TYPES_XML.to_owned(), RELATIONS.replace("vbaProject.bin\"", "vba&#80;roject.bin\"")),
            (TYPES_XML.to_owned(), RELATIONS.replace("<Relationship ", "<r:Relationship ")),
            (TYPES_XML.to_owned(), RELATIONS.replace("Target=\"vbaProject.bin\"/>", "Target=\"vbaProject.bin\"></Relationship>")),
            (TYPES_XML.to_owned(), RELATIONS.replace("Target=\"vbaProject.bin\"", "Target=\"a\" Target=\"vbaProject.bin\"")),
            (TYPES_XML.replace("<Types", "<Types><Override PartName=\"/x.xml\" ContentType=\"application/vnd.ms-excel.macrosheet+xml\"/"), RELATIONS.to_owned()),
        ] {
            let with = package(&document(&types, &relations, b"a project"));
            assert_eq!(without_macros(&with), None, "{types} {relations}");
        }
        // Macros elsewhere: a document in the document, a project under another name.
        let inner = package(&document(TYPES_XML, RELATIONS, b"a project"));
        let mut parts = document(TYPES_XML, RELATIONS, b"a project");
        parts.push(("word/embeddings/inner.docm", &inner));
        assert_eq!(without_macros(&package(&parts)), None);
        let mut parts = document(TYPES_XML, RELATIONS, b"a project");
        parts.push(("word/settings.bin", b"of a printer"));
        assert_eq!(without_macros(&package(&parts)), None, "every .bin was declared to be a project");
        let glued = [package(&document(TYPES_XML, RELATIONS, b"a project")), b"x".to_vec()].concat();
        assert_eq!(without_macros(&glued), None);
        assert_eq!(without_macros(b"no package"), None);
    }
}
