//! `force-type`: another type in a part's Content-Type. Its parameters stay.
use super::Edit;
use std::ops::Range;

const FIELD: &[u8] = b"content-type:";

/// The edit of a part with this header block that declares it as `name`.
pub(super) fn edit(mail: &[u8], header: Range<usize>, name: &str) -> Option<Edit> {
    let mut at = header.start;
    for line in mail.get(header.clone())?.split_inclusive(|octet| *octet == b'\n') {
        if line.get(..FIELD.len()).is_some_and(|field| field.eq_ignore_ascii_case(FIELD)) {
            // The type may stand on a continuation line, and a fold may follow it.
            let value = mail.get(at + FIELD.len()..header.end)?;
            let blanks = value.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
            let start = at + FIELD.len() + blanks;
            let is_type = |octet: &u8| octet.is_ascii_graphic() && *octet != b';';
            let length = mail.get(start..header.end)?.iter().take_while(|octet| is_type(octet)).count();
            return Some(Edit { range: start..start + length, octets: name.as_bytes().to_vec() });
        }
        at += line.len();
    }
    Some(Edit { range: header.start..header.start, octets: format!("Content-Type: {name}\r\n").into_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retyped(header: &str) -> String {
        let edit = edit(header.as_bytes(), 0..header.len(), "application/pdf").unwrap();
        String::from_utf8(super::super::apply(header.as_bytes(), vec![edit]).unwrap()).unwrap()
    }

    #[test]
    fn only_the_type_changes() {
        assert_eq!(
            retyped("X: y\r\nContent-TYPE: image/png; name=\"a\"\r\n\r\n"),
            "X: y\r\nContent-TYPE: application/pdf; name=\"a\"\r\n\r\n"
        );
        assert_eq!(
            retyped("Content-Type:\r\n image/png;\r\n name=a\r\n\r\n"),
            "Content-Type:\r\n application/pdf;\r\n name=a\r\n\r\n"
        );
        assert_eq!(retyped("X: y\r\n\r\n"), "Content-Type: application/pdf\r\nX: y\r\n\r\n");
    }
}
