//! What is known of a mail that is kept: one line of JSON, which its file begins with. Bounded and printable, so that it can
//! be shown without care; nothing of the mail is in it but its size and hash.
use ipc::ids::Sha256;
use ipc::log::printable;
use ipc::worker_writer::Facts;
use serde::{Deserialize, Serialize};

/// Octets of the first line, its line break counted.
pub const MAX_LINE: usize = 16 * 1024;
/// Octets of a name that a user, an administrator or an engine chose.
const NAME: usize = 512;
/// Viruses that are named.
const VIRUSES: usize = 16;

/// The first line of a file of the quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The first twelve digits of the hash.
    pub case: String,
    /// Of the mail, in hexadecimal.
    pub sha256: String,
    /// Octets of the mail.
    pub size: u64,
    /// When it was first kept, in seconds since 1970.
    pub time: i64,
    /// What was spoken.
    pub protocol: String,
    /// Which way it went.
    pub direction: String,
    /// The client's address.
    pub client: String,
    /// Who was logged in.
    pub user: String,
    /// The server's name for it: its UIDL or UID.
    pub name: String,
    /// The rule that changed it.
    pub rule: String,
    /// What was found: "infected error".
    pub statuses: String,
    /// Which engine named which virus.
    pub viruses: Vec<Virus>,
    /// Why, as in the log.
    pub reason: String,
    /// The session, as in the log.
    pub session: String,
}

/// A virus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Virus {
    /// Who found it.
    pub engine: String,
    /// What it is called.
    pub name: String,
}

impl Record {
    /// Of what a worker says.
    pub(crate) fn new(sha256: Sha256, size: u64, facts: &Facts) -> Self {
        let named = facts.answers.iter().flat_map(|answer| {
            let engine = printable(&answer.engine, 64);
            let virus = move |name: &String| Virus { engine: engine.clone(), name: printable(name, 128) };
            answer.viruses.names.iter().map(virus)
        });
        Self {
            case: sha256.case(),
            sha256: sha256.to_string(),
            size,
            time: facts.time,
            protocol: facts.protocol.to_string(),
            direction: facts.direction.to_string(),
            client: facts.client.to_string(),
            user: printable(&facts.user, NAME),
            name: printable(&facts.name, NAME),
            rule: printable(&facts.rule, NAME),
            statuses: facts.statuses.to_string(),
            viruses: named.take(VIRUSES).collect(),
            reason: printable(&facts.reason, NAME),
            session: facts.session.to_string(),
        }
    }

    /// The line, with its line break. Its parts are bounded so that it always fits.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Reads the beginning of a file: the record, and where the mail begins.
    pub fn read(beginning: &[u8]) -> Option<(Self, usize)> {
        let end = beginning.iter().take(MAX_LINE).position(|octet| *octet == b'\n')?;
        Some((serde_json::from_slice(beginning.get(..end)?).ok()?, end + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::ids::{EngineAnswer, SessionId, Viruses};
    use policy::names::{Direction, Protocol};
    use policy::status::{Status, StatusSet};

    #[test]
    fn whatever_a_worker_says_the_line_is_one_line_within_its_bound() {
        let nasty = "\"\\\n\u{1b}[2J\u{e9}".repeat(4000);
        let answer = EngineAnswer {
            parts: Vec::new(),
            engine: nasty.clone(),
            statuses: StatusSet::of(Status::Infected),
            viruses: Viruses { names: vec![nasty.clone(); 20], more: true },
            detail: nasty.clone(),
            micros: 0,
        };
        let facts = Facts {
            session: SessionId(7),
            protocol: Protocol::Pop3,
            direction: Direction::Download,
            client: "192.0.2.1:1".parse().unwrap(),
            user: nasty.clone(),
            name: nasty.clone(),
            rule: nasty.clone(),
            statuses: StatusSet::naming(Status::ALL),
            answers: vec![answer; 40],
            reason: nasty,
            time: 1,
        };
        let record = Record::new(Sha256([0xab; 32]), 5, &facts);
        let mut file = record.line();
        assert!(file.len() <= MAX_LINE, "{}", file.len());
        assert_eq!(file.iter().filter(|octet| **octet == b'\n').count(), 1);
        assert!(file.iter().all(|octet| (0x20..0x7f).contains(octet) || *octet == b'\n'));
        let begins = file.len();
        file.extend_from_slice(b"From: x\n\n");
        assert_eq!(Record::read(&file), Some((record, begins)));
        assert_eq!(Record::read(b"no record"), None);
    }
}
