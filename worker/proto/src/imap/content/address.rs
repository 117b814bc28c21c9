//! Addresses (RFC 5322 section 3.4, and the obsolete forms of section 4.4) as ENVELOPE tells them: name, source route,
//! mailbox, host; a group begins and ends with an entry of its own. Whatever stands there, reading it ends.
use super::envelope::unfold;
use crate::imap::write::Writer;

/// Addresses of one field that are told.
const MAX_ENTRIES: usize = 10_000;
/// What stands for a part of an address that is not there. NIL would begin or end a group; dovecot uses the same words.
const MISSING_MAILBOX: &[u8] = b"MISSING_MAILBOX";
const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";

/// One parenthesis of an address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// An address; what is empty is missing.
    Mailbox { name: Vec<u8>, route: Vec<u8>, mailbox: Vec<u8>, host: Vec<u8> },
    /// From here on addresses belong to the group of this name.
    Group(Vec<u8>),
    /// The group is at its end.
    GroupEnd,
}

/// Writes an address list, or NIL.
pub(super) fn write(entries: &[Entry], writer: &mut Writer<'_>) {
    if entries.is_empty() {
        return writer.nstring(None);
    }
    writer.word("(");
    for entry in entries {
        match entry {
            Entry::Mailbox { name, route, mailbox, host } => {
                writer.word("(");
                optional(name, writer);
                writer.space();
                optional(route, writer);
                writer.space();
                writer.string_bytes(if mailbox.is_empty() { MISSING_MAILBOX } else { mailbox });
                writer.space();
                writer.string_bytes(if host.is_empty() { MISSING_DOMAIN } else { host });
                writer.word(")");
            }
            Entry::Group(name) => {
                writer.word("(NIL NIL ");
                writer.string_bytes(name);
                writer.word(" NIL)");
            }
            Entry::GroupEnd => writer.word("(NIL NIL NIL NIL)"),
        }
    }
    writer.word(")");
}

fn optional(octets: &[u8], writer: &mut Writer<'_>) {
    if octets.is_empty() { writer.nstring(None) } else { writer.string_bytes(octets) }
}

/// Takes a field's value apart.
pub(super) fn parse(value: &[u8]) -> Vec<Entry> {
    let value = unfold(value);
    let mut reader = Reader { rest: &value, comment: Vec::new() };
    let mut entries = Vec::new();
    let mut in_group = false;
    while entries.len() < MAX_ENTRIES {
        reader.blanks();
        match reader.rest.first() {
            None => break,
            Some(b',') => reader.advance(),
            Some(b';') => {
                reader.advance();
                if std::mem::take(&mut in_group) {
                    entries.push(Entry::GroupEnd);
                }
            }
            Some(_) => match reader.address(in_group) {
                Some(Entry::Group(name)) => {
                    in_group = true;
                    entries.push(Entry::Group(name));
                }
                Some(entry) => entries.push(entry),
                None => {}
            },
        }
    }
    if in_group {
        entries.push(Entry::GroupEnd);
    }
    entries
}

struct Reader<'a> {
    rest: &'a [u8],
    /// The last comment: in old mails the name of a bare address.
    comment: Vec<u8>,
}

impl Reader<'_> {
    fn advance(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn take(&mut self, octet: u8) -> bool {
        let found = self.rest.first() == Some(&octet);
        if found {
            self.advance();
        }
        found
    }

    /// Blanks and comments.
    fn blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_ascii_start();
            if !self.take(b'(') {
                return;
            }
            self.comment = self.up_to(b')', Some(b'('));
        }
    }

    /// What stands before the closing octet, without escapes; behind it the reading goes on.
    fn up_to(&mut self, close: u8, open: Option<u8>) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut depth = 1_usize;
        while let Some((octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            if *octet == b'\\' {
                plain.extend(self.rest.first());
                self.advance();
                continue;
            }
            if *octet == close {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            } else if Some(*octet) == open {
                depth += 1;
            }
            plain.push(*octet);
        }
        plain
    }

    /// One address, or the beginning of a group. At least one octet is read.
    fn address(&mut self, in_group: bool) -> Option<Entry> {
        self.comment.clear();
        let mut words: Vec<Vec<u8>> = Vec::new();
        loop {
            self.blanks();
            match self.rest.first() {
                Some(b'"') => {
                    self.advance();
                    words.push(self.up_to(b'"', None));
                }
                Some(b'<') => {
                    self.advance();
                    return Some(self.angle(words.join(&b' ')));
                }
                Some(b'@') => {
                    self.advance();
                    let host = self.domain();
                    let entry = self.bare(words.concat(), host);
                    self.skip();
                    return Some(entry);
                }
                Some(b':') if !in_group => {
                    self.advance();
                    return Some(Entry::Group(words.join(&b' ')));
                }
                None | Some(b',' | b';') => {
                    // Words without an address: one is a mailbox of an unknown host, several are somebody's name.
                    self.blanks();
                    return match words.as_slice() {
                        [] => None,
                        [mailbox] => Some(self.bare(mailbox.clone(), Vec::new())),
                        several => {
                            let name = several.join(&b' ');
                            Some(Entry::Mailbox {
                                name,
                                route: Vec::new(),
                                mailbox: Vec::new(),
                                host: Vec::new(),
                            })
                        }
                    };
                }
                Some(_) => words.push(self.atom()),
            }
        }
    }

    fn bare(&mut self, mailbox: Vec<u8>, host: Vec<u8>) -> Entry {
        self.blanks();
        Entry::Mailbox { name: std::mem::take(&mut self.comment), route: Vec::new(), mailbox, host }
    }

    /// Behind `<`: `@a,@b:mailbox@host>`.
    fn angle(&mut self, name: Vec<u8>) -> Entry {
        let mut route = Vec::new();
        self.blanks();
        while let Some(b'@') = self.rest.first() {
            self.advance();
            if !route.is_empty() {
                route.push(b',');
            }
            route.push(b'@');
            route.extend(self.domain());
            self.blanks();
            while self.take(b',') {
                self.blanks();
            }
            if self.take(b':') {
                self.blanks();
                break;
            }
        }
        let mut mailbox = Vec::new();
        let mut host = Vec::new();
        loop {
            self.blanks();
            match self.rest.first() {
                None => break,
                Some(b'>') => {
                    self.advance();
                    break;
                }
                Some(b'"') => {
                    self.advance();
                    mailbox.extend(self.up_to(b'"', None));
                }
                Some(b'@') => {
                    self.advance();
                    host = self.domain();
                }
                Some(_) => mailbox.extend(self.atom()),
            }
        }
        self.skip();
        Entry::Mailbox { name, route, mailbox, host }
    }

    /// Words and dots, or an address literal in brackets.
    fn domain(&mut self) -> Vec<u8> {
        let mut domain = Vec::new();
        loop {
            self.blanks();
            match self.rest.first() {
                Some(b'[') => {
                    self.advance();
                    domain.push(b'[');
                    domain.extend(self.up_to(b']', None));
                    domain.push(b']');
                }
                Some(b'<' | b'>' | b',' | b';' | b':' | b'@' | b'"') | None => return domain,
                // A blank divides words, but not at a dot.
                Some(octet) if domain.is_empty() || *octet == b'.' || domain.ends_with(b".") => {
                    domain.extend(self.atom());
                }
                Some(_) => return domain,
            }
        }
    }

    /// Up to a blank or a special octet; a special one at the start is taken as it is.
    fn atom(&mut self) -> Vec<u8> {
        let special = |octet: &u8| octet.is_ascii_whitespace() || b"()<>@,;:\"[]".contains(octet);
        let end = self.rest.iter().position(special).unwrap_or(self.rest.len()).max(1);
        let (atom, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        atom.to_vec()
    }

    /// Whatever stands before the next address.
    fn skip(&mut self) {
        loop {
            self.blanks();
            match self.rest.first() {
                None | Some(b',' | b';') => return,
                Some(b'"') => {
                    self.advance();
                    self.up_to(b'"', None);
                }
                Some(_) => self.advance(),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn told(value: &str) -> String {
        let mut out = Vec::new();
        write(&parse(value.as_bytes()), &mut Writer::to_client(&mut out, false));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_are_told_as_four_strings() {
        for (value, expected) in [
            (" a@example.org", r#"((NIL NIL "a" "example.org"))"#),
            (" A B <a@example.org>, b@c", r#"(("A B" NIL "a" "example.org")(NIL NIL "b" "c"))"#),
            (" \"B, \\\"A\\\"\" <a@b>", r#"(("B, \"A\"" NIL "a" "b"))"#),
            (" =?utf-8?Q?=C4=8D?= <a@b>", r#"(("=?utf-8?Q?=C4=8D?=" NIL "a" "b"))"#),
            (" a@b (An Author)", r#"(("An Author" NIL "a" "b"))"#),
            (" \"john doe\"@b", r#"((NIL NIL "john doe" "b"))"#),
            (" <@a,@b:c@d>", r#"((NIL "@a,@b" "c" "d"))"#),
            (" a . b @ c . d", r#"((NIL NIL "a.b" "c.d"))"#),
            (" a@[192.0.2.1]", r#"((NIL NIL "a" "[192.0.2.1]"))"#),
            (
                " team: a@b, C <c@d>;, e@f",
                r#"((NIL NIL "team" NIL)(NIL NIL "a" "b")("C" NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "e" "f"))"#,
            ),
            (" undisclosed-recipients:;", r#"((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))"#),
            (" nobody", r#"((NIL NIL "nobody" "MISSING_DOMAIN"))"#),
            (" ", "NIL"),
            (" , ,", "NIL"),
        ] {
            assert_eq!(told(value), expected, "{value}");
        }
    }

    #[test]
    fn whatever_stands_in_a_field_is_read_to_its_end() {
        for value in [
            "<", "\"", "(", "a@", "@", "<>", "a:b:c;", "<@", "<@:", "[", "a@b c@d", "\\", "\"\\", "))",
            "<a@b@c>", ";;:",
        ] {
            told(value);
            told(&value.repeat(50));
        }
    }
}
