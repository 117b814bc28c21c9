//! The quarantine as the supervisor knows it: the directory that it opens for each tenant's writer, links between workers
//! and writers, and whether a copy is there. It sees names of files, and no octet of a mail.
use crate::children::{ChildId, Phase};
use crate::event_loop::Supervisor;
use ipc::boot::Role;
use ipc::ids::Sha256;
use ipc::log::Level;
use ipc::supervisor_worker::{ChangedMail, ToWorker};
use ipc::supervisor_writer::{FromWriter, ToWriter};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where the copies of all tenants are, a folder for each.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("quarantine")
}

/// The name of a tenant's folder: its own, with whatever means something in a path written as `%2f`.
pub fn folder_name(tenant: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    tenant.bytes().map(|o| if plain(o) { char::from(o).to_string() } else { format!("%{o:02x}") }).collect()
}

/// The tenant whose folder has this name.
pub fn tenant_of(folder: &str) -> String {
    let mut octets = Vec::with_capacity(folder.len());
    let mut rest = folder;
    while let Some(first) = rest.bytes().next() {
        let written = rest.get(1..3).filter(|_| first == b'%');
        let octet = written.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = rest.get(if octet.is_some() { 3 } else { 1 }..).unwrap_or_default();
        octets.push(octet.unwrap_or(first));
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// The name of the file that has a mail.
pub fn file_name(sha256: Sha256) -> String {
    format!("{sha256}.mail")
}

/// Opens a tenant's folder for its writer, whose it is; makes it where it is missing.
///
/// # Errors
/// Of the file system.
pub(crate) fn open_folder(state_dir: &Path, tenant: &str, writer: Option<u32>) -> io::Result<OwnedFd> {
    let path = folder(state_dir).join(folder_name(tenant));
    DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = open(&path, flags, Mode::empty())?;
    if let Some(id) = writer {
        fchown(&folder, Some(Uid::from_raw(id)), Some(Gid::from_raw(id)))?;
    }
    Ok(folder)
}

impl Supervisor {
    /// A writer is confined, or the policy is another: it gets its limits.
    pub(crate) fn prepare_writer(&mut self, id: ChildId) -> bool {
        let Some(quarantine) = &self.policy.quarantine else { return false };
        let message =
            ToWriter::Policy { keep_seconds: quarantine.keep.as_secs(), max_octets: quarantine.max_size };
        self.children.tell_writer(id, message, Vec::new())
    }

    /// A writer says.
    pub(crate) fn writer_said(&mut self, id: ChildId, message: FromWriter) {
        let FromWriter::Serving { copies, octets } = message;
        let Some(child) = self.children.get_mut(id).filter(|child| child.phase == Phase::Preparing) else {
            return;
        };
        child.phase = Phase::Serving;
        let tenant = child.tenant;
        let fields = [("copies", copies.to_string()), ("octets", octets.to_string())];
        self.journal.note(Level::Info, "the quarantine is open", &fields);
        let workers: Vec<ChildId> = self.children.serving(Role::Worker, tenant).map(|(id, _)| id).collect();
        for worker in workers {
            self.join_writer(worker);
        }
        self.announce();
    }

    /// Gives a worker a link to the writer of its tenant, if there is one.
    pub(crate) fn join_writer(&mut self, worker: ChildId) {
        let Some(tenant) = self.children.get(worker).map(|child| child.tenant) else { return };
        let Some(writer) = self.children.serving(Role::Writer, tenant).map(|(id, _)| id).next() else {
            return;
        };
        match ipc::pair() {
            Ok((asks, keeps)) => {
                if self.children.tell_writer(writer, ToWriter::Worker, vec![keeps]) {
                    self.children.tell_worker(worker, ToWorker::Writer, vec![asks]);
                }
            }
            Err(error) => {
                let fields = [("error", error.to_string())];
                self.journal.note(Level::Error, "a worker has no link to the writer", &fields);
            }
        }
    }

    /// Whether the quarantine has a copy of this mail now.
    pub(crate) fn is_kept(&self, tenant: u16, sha256: Sha256) -> bool {
        let name = self.policy.tenants.get(usize::from(tenant)).map_or("", |name| name);
        let folder = folder(&self.policy.service.state_dir).join(folder_name(name));
        self.policy.quarantine.is_some() && folder.join(file_name(sha256)).is_file()
    }

    /// The same entries, saying of each whether there is a copy of its original.
    pub(crate) fn marked_kept(&self, tenant: u16, mut entries: Vec<ChangedMail>) -> Vec<ChangedMail> {
        for entry in &mut entries {
            entry.kept = self.is_kept(tenant, entry.sha256);
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_tenant_leads_nowhere_else() {
        assert_eq!(folder_name("acme-2_x"), "acme-2_x");
        assert_eq!(folder_name("../a b"), "%2e%2e%2fa%20b");
        assert_ne!(folder_name("%2f"), folder_name("/"));
        for name in ["default", "../a b", "%2f", "/", "Zürich"] {
            assert_eq!(tenant_of(&folder_name(name)), name);
        }
        assert_eq!(tenant_of("%zz%2"), "%zz%2");
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again() {
        let state = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            open_folder(state.path(), "default", None).unwrap();
            std::fs::remove_dir(folder(state.path()).join("default")).unwrap();
        }
    }
}
