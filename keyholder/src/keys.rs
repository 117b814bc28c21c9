//! The private keys of each policy generation, and the ticket keys, which outlive generations.
use crate::mint::Mint;
use ipc::descriptors::is_sealed;
use ipc::log::printable;
use ipc::supervisor_keyholder::KeyOf;
use ipc::supervisor_worker::TlsFile;
use ipc::wire::{MAX_SLICE, decode_slice};
use nix::sys::uio::pread;
use policy::slice::KeyholderSlice;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tls::{Authority, Judge, Minted, PrivateKey, TicketKeys};
use zeroize::Zeroizing;

/// Generations that handshakes may still name.
const GENERATIONS: usize = 4;
/// A key file is a few kilobytes.
const MAX_FILE: usize = 64 * 1024;
/// A bundle of authorities has some 200 KiB.
const MAX_PUBLIC: usize = 16 << 20;
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
    /// Keys of authorities of interception, until their certificates are there.
    authorities: Vec<(KeyOf, Secret)>,
    files: Vec<(TlsFile, Vec<u8>)>,
    slice: Option<KeyholderSlice>,
    mint: Mint,
    problems: Vec<(KeyOf, String)>,
}

/// The octets of a key file and of the file with its passphrase.
type Secret = (Zeroizing<Vec<u8>>, Option<Zeroizing<Vec<u8>>>);

impl Keys {
    /// Reads a key. One that cannot be read is told of when its generation is complete.
    pub(crate) fn add(&mut self, generation: u64, of: KeyOf, files: &[OwnedFd]) {
        let read = |at: usize| files.get(at).map(read_file);
        let generation = self.generations.entry(generation).or_default();
        match (read(0), read(1)) {
            (None, _) | (Some(None), _) | (_, Some(None)) => {
                generation.problem(of, "the file cannot be read");
            }
            (Some(Some(pem)), passphrase) => generation.add(of, (pem, passphrase.flatten())),
        }
        while self.generations.len() > GENERATIONS {
            self.generations.pop_first();
        }
    }

    /// Takes a public file; one that cannot be read is missing where it is needed.
    pub(crate) fn public(&mut self, generation: u64, what: TlsFile, files: &[OwnedFd]) {
        if let Some(octets) = files.first().and_then(|file| read_public(file, MAX_PUBLIC)) {
            self.generations.entry(generation).or_default().files.push((what, octets));
        }
    }

    /// Takes the slice.
    pub(crate) fn policy(&mut self, generation: u64, file: Option<&OwnedFd>, len: u32) {
        let sealed = file.filter(|file| is_sealed(file)).and_then(|file| read_public(file, MAX_SLICE));
        let octets = sealed.filter(|octets| u32::try_from(octets.len()) == Ok(len));
        self.generations.entry(generation).or_default().slice =
            octets.and_then(|octets| decode_slice(&octets).ok());
    }

    /// What of a generation cannot be used.
    pub(crate) fn complete(&mut self, generation: u64) -> Vec<(KeyOf, String)> {
        let generation = self.generations.entry(generation).or_default();
        generation.begin_minting();
        generation.problems.clone()
    }

    /// A certificate in a server's place, and whether the server was verified wholly.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn mint(
        &mut self,
        generation: u64,
        tls: u16,
        server_tls: u16,
        (chain, name, now): (&[Vec<u8>], &str, u64),
    ) -> Result<(Rc<Minted>, bool), String> {
        let generation = self.generations.get_mut(&generation).ok_or("the policy is forgotten")?;
        generation.mint.mint(tls, server_tls, (chain, name, now))
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

impl Generation {
    fn add(&mut self, of: KeyOf, secret: Secret) {
        match of {
            KeyOf::Authority { .. } => self.authorities.push((of, secret)),
            KeyOf::ClientTls { .. } | KeyOf::ServerTls { .. } => {
                match PrivateKey::from_pem(&secret.0, secret.1.as_ref().map(|octets| octets.as_slice())) {
                    Ok(key) => drop(self.keys.insert(of, key)),
                    Err(why) => self.problem(of, &why.to_string()),
                }
            }
        }
    }

    fn problem(&mut self, of: KeyOf, why: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push((of, printable(why, MAX_WHY)));
        }
    }

    /// Everything is there: the authorities, and what verifies servers.
    fn begin_minting(&mut self) {
        for (of, (key, passphrase)) in std::mem::take(&mut self.authorities) {
            let KeyOf::Authority { tls, untrusted } = of else { continue };
            let file = self.files.iter().find(|(what, _)| *what == TlsFile::Authority { tls, untrusted });
            let passphrase = passphrase.as_ref().map(|octets| octets.as_slice());
            let authority = file
                .ok_or_else(|| "its certificate cannot be read".to_owned())
                .and_then(|(_, cert)| Authority::new(cert, &key, passphrase).map_err(|why| why.to_string()));
            match authority {
                Ok(authority) => self.mint.add(tls, untrusted, authority),
                Err(why) => self.problem(of, &why),
            }
        }
        if let Some(slice) = self.slice.take() {
            for (settings, tls) in slice.server_tls.iter().zip(0_u16..) {
                let ca = self.files.iter().filter(|(what, _)| *what == TlsFile::ServerCa { tls });
                let ca: Vec<Vec<u8>> = ca.map(|(_, octets)| octets.clone()).collect();
                self.mint.verify(tls, Judge::new(settings, &ca).map_err(|why| why.to_string()));
            }
        }
        self.files = Vec::new();
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

/// A file that is not secret.
fn read_public(file: &OwnedFd, most: usize) -> Option<Vec<u8>> {
    let (mut octets, mut piece) = (Vec::new(), vec![0; MAX_FILE]);
    loop {
        match pread(file, &mut piece, i64::try_from(octets.len()).ok()?) {
            Ok(0) => return Some(octets),
            Ok(count) if octets.len() + count <= most => octets.extend_from_slice(piece.get(..count)?),
            Ok(_) | Err(_) => return None,
        }
    }
}
