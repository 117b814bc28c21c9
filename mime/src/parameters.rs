//! A structured field's value as a tolerant reader takes it: comments skipped, escapes and folding undone, whatever is
//! left over ignored. For what IMAP tells about a part; what the recogniser accepts reads the same in `field`.

/// Parameters that are told.
const MAX_PARAMETERS: usize = 64;

/// Names as written and values without quotes, escapes and line ends, in order.
pub type Parameters = Vec<(Vec<u8>, Vec<u8>)>;

/// Content-Type: `type/subtype` in lower case, if it is one.
#[must_use]
pub fn content_type(value: &[u8]) -> (Option<String>, Parameters) {
    let mut cursor = Cursor { rest: value };
    let kind = cursor.token();
    cursor.blanks();
    let slash = cursor.take(b'/');
    let subtype = cursor.token();
    let good = slash && !kind.is_empty() && !subtype.is_empty() && kind.is_ascii() && subtype.is_ascii();
    let full = [kind, b"/", subtype].concat().to_ascii_lowercase();
    let full = String::from_utf8(full).ok().filter(|_| good);
    (full, cursor.parameters())
}

/// Content-Disposition: its word and its parameters.
#[must_use]
pub fn disposition(value: &[u8]) -> (Vec<u8>, Parameters) {
    let mut cursor = Cursor { rest: value };
    let word = cursor.token().to_vec();
    (word, cursor.parameters())
}

/// The first word of a value, such as Content-Transfer-Encoding's.
#[must_use]
pub fn word(value: &[u8]) -> &[u8] {
    Cursor { rest: value }.token()
}

/// Words divided by commas: Content-Language's.
#[must_use]
pub fn words(value: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = Cursor { rest: value };
    let mut words = Vec::new();
    while !cursor.rest.is_empty() && words.len() < MAX_PARAMETERS {
        let word = cursor.value();
        if !word.is_empty() {
            words.push(word);
        }
        cursor.skip_to(b',');
        cursor.take(b',');
    }
    words
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn advance(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }

    fn take(&mut self, octet: u8) -> bool {
        let found = self.rest.first() == Some(&octet);
        if found {
            self.advance(1);
        }
        found
    }

    /// Blanks, line ends and comments.
    fn blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_ascii_start();
            if self.rest.first() != Some(&b'(') {
                return;
            }
            self.comment();
        }
    }

    fn comment(&mut self) {
        let mut depth = 0_usize;
        let mut escaped = false;
        while let Some(octet) = self.rest.first() {
            let plain = !std::mem::replace(&mut escaped, false);
            match octet {
                b'\\' if plain => escaped = true,
                b'(' if plain => depth += 1,
                b')' if plain => depth -= 1,
                _ => {}
            }
            self.advance(1);
            if depth == 0 {
                return;
            }
        }
    }

    fn token(&mut self) -> &'a [u8] {
        self.blanks();
        let special = |octet: &u8| matches!(octet, 0..=32 | 127) || b"()<>@,;:\\\"/[]?=".contains(octet);
        let end = self.rest.iter().position(special).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    /// A quoted string, else what stands up to the next separator.
    fn value(&mut self) -> Vec<u8> {
        self.blanks();
        if self.take(b'"') {
            return self.quoted();
        }
        let special = |octet: &u8| matches!(octet, 0..=32 | b';' | b'"' | b'(' | b',');
        let end = self.rest.iter().position(special).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        self.rest = rest;
        value.to_vec()
    }

    /// Up to the closing quote, or the end.
    fn quoted(&mut self) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut escaped = false;
        for (index, octet) in self.rest.iter().enumerate() {
            match octet {
                b'\r' | b'\n' => {}
                b'\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                b'"' if !escaped => {
                    self.advance(index + 1);
                    return plain;
                }
                octet => plain.push(*octet),
            }
            escaped = false;
        }
        self.rest = &[];
        plain
    }

    /// Up to `separator`, but not one within quotes or comments.
    fn skip_to(&mut self, separator: u8) {
        loop {
            self.blanks();
            match self.rest.first() {
                Some(b'"') => {
                    self.advance(1);
                    self.quoted();
                }
                Some(octet) if *octet != separator => self.advance(1),
                Some(_) | None => return,
            }
        }
    }

    fn parameters(&mut self) -> Parameters {
        let mut parameters = Parameters::new();
        while parameters.len() < MAX_PARAMETERS {
            self.skip_to(b';');
            if !self.take(b';') {
                break;
            }
            let name = self.token().to_vec();
            self.blanks();
            if self.take(b'=') && !name.is_empty() {
                let value = self.value();
                parameters.push((name, value));
            }
        }
        parameters
    }
}
