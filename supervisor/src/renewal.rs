//! Files that others renew on disk while we run: certificates with their keys, and signatures. They are taken without being
//! asked for, once they stay what they are: a certificate without its key, or half of a list, is worse than the old one.
//! Until then, and where the new ones cannot be taken, everything goes on with the old ones.
use crate::event_loop::Supervisor;
use crate::slices;
use crate::tls_files;
use ipc::log::Level;
use policy::model::Policy;

/// Ticks between two looks.
const LOOK_EVERY: u32 = 10;

/// The watch over the files.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    ticks: u32,
    /// Other files than the policy's, as they were a moment ago.
    seen: Option<Renewed>,
    /// Those that could not be taken: they are not tried again before they are others.
    refused: Option<Renewed>,
}

/// What is another than what the policy was given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Renewed {
    tls: Option<tls_files::Prints>,
    signatures: Option<slices::Prints>,
}

impl Renewed {
    const fn what(&self) -> &'static str {
        match (&self.tls, &self.signatures) {
            (Some(_), None) => "changed files of certificates",
            (None, _) => "changed files of signatures",
            (Some(_), Some(_)) => "changed files of certificates and signatures",
        }
    }
}

impl Supervisor {
    /// Looks whether files are others by now. Sessions stay; scanners with other signatures are replaced.
    pub(crate) fn look_at_files(&mut self) {
        self.watch.ticks += 1;
        if self.watch.seen.is_none() && !self.watch.ticks.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let now = Renewed {
            tls: self.slices.tls().changed(),
            signatures: self.slices.changed_signatures(&self.policy),
        };
        if now.tls.is_none() && now.signatures.is_none() {
            (self.watch.seen, self.watch.refused) = (None, None);
            return;
        }
        if self.watch.refused.as_ref() == Some(&now) {
            self.watch.seen = None;
            return;
        }
        if self.watch.seen.as_ref() != Some(&now) {
            self.watch.seen = Some(now);
            return;
        }
        self.watch.seen = None;
        match self.take_effect_again(Policy::clone(&self.policy)) {
            Ok(()) => {
                let fields = [("what", now.what().to_owned()), ("generation", self.generation.to_string())];
                self.journal.note(Level::Info, "files that were renewed are taken", &fields);
            }
            Err(why) => {
                let fields = [("what", now.what().to_owned()), ("why", why)];
                self.journal.note(Level::Error, "files that were renewed cannot be taken", &fields);
                self.watch.refused = Some(now);
            }
        }
    }
}
