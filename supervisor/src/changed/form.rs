//! What a file of the index says: a first line with the number of its entries, and a line for each, so that whatever a crash or a
//! disk made of it is noticed.
use ipc::ids::{Found, Sha256, Viruses};
use ipc::supervisor_worker::ChangedMail;
use std::fmt::Write as _;

const MAGIC: &str = "mailward changed mails 1";

/// The number of entries that a first line announces.
pub(super) fn header(line: &str) -> Option<usize> {
    line.strip_prefix(MAGIC)?.trim().parse().ok()
}

pub(super) fn encode(entries: &[ChangedMail]) -> String {
    let mut text = format!("{MAGIC} {}\n", entries.len());
    for entry in entries {
        for byte in &entry.uidl {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, " {} {}", entry.sha256, entry.length);
        for found in &entry.found {
            text.push(' ');
            encode_found(&mut text, found);
        }
        text.push('\n');
    }
    text
}

/// `engine:names`, then `;leaf:names` for each leaf. Names are written in hex, one behind the other with a comma; a plus stands for one
/// without a name.
fn encode_found(text: &mut String, found: &Found) {
    let hex = |text: &mut String, name: &str| {
        name.bytes().for_each(|byte| {
            let _ = write!(text, "{byte:02x}");
        })
    };
    let names = |text: &mut String, viruses: &Viruses| {
        text.push(':');
        for name in &viruses.names {
            hex(text, name);
            text.push(',');
        }
        text.push_str(if viruses.more { "+" } else { "" });
    };
    hex(text, &found.engine);
    names(text, &found.viruses);
    for (leaf, viruses) in &found.parts {
        let _ = write!(text, ";{leaf}");
        names(text, viruses);
    }
}

fn decode_found(word: &str) -> Option<Found> {
    let name = |hex: &str| from_hex(hex).and_then(|octets| String::from_utf8(octets).ok());
    let viruses = |text: &str| {
        let named = text.strip_suffix('+');
        let names = named.unwrap_or(text).split_terminator(',').map(name).collect::<Option<_>>()?;
        Some(Viruses { names, more: named.is_some() })
    };
    let mut items = word.split(';');
    let (engine, all) = items.next()?.split_once(':')?;
    let part = |item: &str| {
        let (leaf, names) = item.split_once(':')?;
        Some((leaf.parse().ok()?, viruses(names)?))
    };
    let parts = items.map(part).collect::<Option<_>>()?;
    Some(Found { engine: name(engine)?, viruses: viruses(all)?, parts })
}

pub(super) fn decode(text: &str) -> Option<Vec<ChangedMail>> {
    let mut lines = text.lines();
    let count = header(lines.next()?)?;
    let entries: Vec<ChangedMail> = lines.map(decode_line).collect::<Option<_>>()?;
    (entries.len() == count && text.ends_with('\n')).then_some(entries)
}

fn decode_line(line: &str) -> Option<ChangedMail> {
    let mut words = line.split(' ');
    let uidl = from_hex(words.next()?)?;
    let sha256 = Sha256(from_hex(words.next()?)?.try_into().ok()?);
    let length = words.next()?.parse().ok()?;
    let found = words.map(decode_found).collect::<Option<_>>()?;
    Some(ChangedMail { uidl, sha256, length, found, kept: false })
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
