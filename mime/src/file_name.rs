//! File names out of parameters (RFC 2045 quoted strings, RFC 2231). Programs differ most in these, so what is reported
//! is every form that some reader shows, for a policy to judge all of them; and what could make a reader see other
//! *parameters* is refused.
use crate::recogniser::Refused;

/// Every form of the name in parameter `key` of one field: plain, and RFC 2231's put together and decoded.
///
/// # Errors
/// Sections out of order or with holes, bad percent encoding, escapes that could hide or invent a parameter.
pub(crate) fn forms(
    parameters: &[(String, &[u8])],
    key: &str,
    offset: usize,
) -> Result<Vec<String>, Refused> {
    let mut names = Vec::new();
    let mut extended = Unfolded::default();
    let mut sections = 0_usize;
    let mut whole = false;
    for (name, value) in parameters {
        let Some(suffix) = name.strip_prefix(key) else { continue };
        if suffix.is_empty() {
            plain(value, offset, &mut names)?;
            continue;
        }
        let Some(suffix) = suffix.strip_prefix('*') else { continue };
        // "*" is one piece; "*0", "*1*" and so on are sections, each encoded or not.
        let (number, encoded) = match suffix.strip_suffix('*') {
            _ if suffix.is_empty() => (None, true),
            Some(number) => (Some(number), true),
            None => (Some(suffix), false),
        };
        // Some readers put sections into order, some take them as they come: so they have to come in order.
        let in_order = match number {
            None => sections == 0 && !whole,
            Some(number) => !whole && number == sections.to_string(),
        };
        if !in_order {
            return Err(Refused::malformed(offset, "a file name in sections out of order"));
        }
        if encoded {
            let first = sections == 0;
            let octets = percent_decoded(value, first)
                .ok_or(Refused::malformed(offset, "a file name that is not what RFC 2231 says"))?;
            extended.push(&octets);
        } else {
            extended.push(value);
        }
        match number {
            None => whole = true,
            Some(_) => sections += 1,
        }
    }
    if whole || sections > 0 {
        if extended.with_blanks.contains(&b'\\') {
            return Err(Refused::malformed(offset, "escapes in a file name that readers could take apart"));
        }
        extended.add_to(&mut names);
    }
    Ok(names)
}

/// RFC 2231 section 4: `charset'language'octets`; a later section has no charset.
fn percent_decoded(value: &[u8], first: bool) -> Option<Vec<u8>> {
    let start = if first {
        let mut quotes = value.iter().enumerate().filter(|(_, byte)| **byte == b'\'').map(|(index, _)| index);
        quotes.nth(1)? + 1
    } else {
        0
    };
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.get(start..)?;
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok().filter(|hex| !hex.starts_with('+'))?;
            decoded.push(u8::from_str_radix(hex, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    Some(decoded)
}

/// A value without its folds: some readers keep the blank behind a fold, as RFC 5322 says, some do not.
#[derive(Default)]
struct Unfolded {
    with_blanks: Vec<u8>,
    joined: Vec<u8>,
}

impl Unfolded {
    fn push(&mut self, value: &[u8]) {
        for (index, line) in value.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.with_blanks.extend_from_slice(line);
            self.joined.extend_from_slice(if index == 0 { line } else { line.trim_ascii_start() });
        }
    }

    fn add_to(&self, names: &mut Vec<String>) {
        add(names, &self.with_blanks);
        add(names, &self.joined);
    }
}

/// A token or quoted string: as it stands, and with escapes undone.
fn plain(value: &[u8], offset: usize, names: &mut Vec<String>) -> Result<(), Refused> {
    if !value.contains(&b'\\') {
        let mut unfolded = Unfolded::default();
        unfolded.push(value);
        unfolded.add_to(names);
        return Ok(());
    }
    // To a reader that does not know escapes the string ends at the first quote. It finds the same parameters behind it
    // if the quotes are paired, and nothing between them looks like a parameter.
    let quotes = value.iter().filter(|byte| **byte == b'"').count();
    let harmless =
        quotes.is_multiple_of(2) && !value.iter().any(|byte| matches!(byte, b';' | b'=' | b'\r' | b'\n'));
    let unescaped = unescaped(value)
        .filter(|_| harmless)
        .ok_or(Refused::malformed(offset, "escapes in a file name that readers could take apart"))?;
    add(names, &unescaped);
    add(names, value);
    let end = value.iter().position(|byte| *byte == b'"').unwrap_or(value.len());
    add(names, value.get(..end).unwrap_or_default());
    Ok(())
}

/// Only a quote may be escaped: of anything else readers differ in keeping the backslash.
fn unescaped(value: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(value.len());
    let mut octets = value.iter();
    while let Some(octet) = octets.next() {
        plain.push(match octet {
            b'\\' => *octets.next().filter(|next| **next == b'"')?,
            octet => *octet,
        });
    }
    Some(plain)
}

fn add(names: &mut Vec<String>, octets: &[u8]) {
    let name = String::from_utf8_lossy(octets).into_owned();
    if !names.contains(&name) {
        names.push(name);
    }
}
