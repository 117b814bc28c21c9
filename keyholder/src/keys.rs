//! The private keys of each policy generation, and the ticket keys, which outlive generations.
use ipc::log::printable;
use ipc::supervisor_keyholder::KeyOf;
use nix::sys::uio::pread;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use tls::{PrivateKey, TicketKeys};
use zeroize::Zeroizing;

/// Generations that handshakes may still name.
const GENERATIONS: usize = 4;
/// A key file is a few kilobytes.
const MAX_FILE: usize = 64 * 1024;
/// Keys that are told of, and the length of what is said of each.
const MAX_PROBLEMS: usize = 64;
const MAX_WHY: usize = 256;

/// Everything that is secret.
#[derive(Default)]
pub(crate) struct Keys {
    generations: BTreeMap<u64, Generation>,
    tickets: HashMap<u32, TicketKeys>,
}

#[derive(Default)]
struct Generation {
    keys: HashMap<KeyOf, PrivateKey>,
    problems: Vec<(KeyOf, String)>,
}

impl Keys {
    /// Reads a key. One that cannot be read is told of when its generation is complete.
    pub(crate) fn add(&mut self, generation: u64, of: KeyOf, files: &[OwnedFd]) {
        let read = |at: usize| files.get(at).map(read_file);
        let key = match (read(0), read(1)) {
            (None, _) | (Some(None), _) | (_, Some(None)) => Err("the file cannot be read".to_owned()),
            (Some(Some(pem)), passphrase) => {
                let passphrase = passphrase.flatten();
                PrivateKey::from_pem(&pem, passphrase.as_ref().map(|octets| octets.as_slice()))
                    .map_err(|error| error.to_string())
            }
        };
        let generation = self.generations.entry(generation).or_default();
        match key {
            Ok(key) => {
                generation.keys.insert(of, key);
            }
            Err(why) if generation.problems.len() < MAX_PROBLEMS => {
                generation.problems.push((of, printable(&why, MAX_WHY)));
            }
            Err(_) => {}
        }
        while self.generations.len() > GENERATIONS {
            self.generations.pop_first();
        }
    }

    /// What of a generation cannot be used.
    pub(crate) fn complete(&mut self, generation: u64) -> Vec<(KeyOf, String)> {
        self.generations.entry(generation).or_default().problems.clone()
    }

    pub(crate) fn get(&self, generation: u64, of: KeyOf) -> Option<&PrivateKey> {
        self.generations.get(&generation)?.keys.get(&of)
    }

    /// The ticket keys of a scope, made at their first use; `None`: there is no entropy.
    pub(crate) fn tickets(&mut self, scope: u32) -> Option<&TicketKeys> {
        match self.tickets.entry(scope) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => Some(place.insert(TicketKeys::new().ok()?)),
        }
    }
}

fn read_file(file: &OwnedFd) -> Option<Zeroizing<Vec<u8>>> {
    // One buffer that never grows: what is moved to grow would stay behind in memory.
    let mut octets = Zeroizing::new(vec![0; MAX_FILE]);
    let mut filled = 0;
    while let Some(room) = octets.get_mut(filled..).filter(|room| !room.is_empty()) {
        match pread(file, room, i64::try_from(filled).ok()?) {
            Ok(0) => {
                octets.truncate(filled);
                return Some(octets);
            }
            Ok(count) => filled += count,
            Err(_) => return None,
        }
    }
    None
}
