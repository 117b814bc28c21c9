//! What each role is given to know, as descriptors: slices in sealed memfds, signature files opened read-only (D23).
use crate::children::{ChildId, Children};
use crate::tls_files::{TlsFiles, trusted};
use ipc::supervisor_scanner::ToScanner;
use ipc::supervisor_worker::ToWorker;
use ipc::wire;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fstat};
use policy::credential;
use policy::engine::EngineKind;
use policy::model::Policy;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The test signature is built into the scanner, not a file.
const BUILTIN_TEST: &str = "builtin:test";
/// Signature files in all; each costs a descriptor in every scanner while it starts.
const MOST_FILES: usize = 1024;

/// A sealed memfd and the octets in it.
#[derive(Debug)]
struct Slice {
    memfd: OwnedFd,
    len: u32,
}

/// The slices of one policy generation.
#[derive(Debug)]
pub(crate) struct Slices {
    workers: Vec<Slice>,
    scanners: Vec<Slice>,
    lookup: Slice,
    keyholder: Slice,
    signatures: Vec<(String, OwnedFd)>,
    /// Whom scanners trust where daemons are behind TLS, by the index of the server-tls.
    authorities: Vec<(u16, OwnedFd)>,
    /// What tells the files of scanners from others.
    prints: Prints,
    tls: TlsFiles,
}

/// What tells one signature file from another, and from itself when it was changed: the source that names it, device,
/// inode, octets, change time.
type Print = (String, u64, u64, i64, (i64, i64));

/// Of several files, in order.
pub(crate) type Prints = Vec<Print>;

impl Slices {
    /// Encodes the slices and opens every signature file, which must belong to root or to us and be writable by its
    /// owner alone.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn new(policy: &Policy) -> Result<Self, String> {
        let (signatures, mut prints) = open_signatures(policy)?;
        let authorities = open_authorities(policy, &mut prints)?;
        let tenants = 0..u16::try_from(policy.tenants.len()).unwrap_or(u16::MAX);
        let hostname = nix::unistd::gethostname().unwrap_or_default();
        let hostname = hostname.to_string_lossy();
        let slice = |result: io::Result<Slice>| result.map_err(|error| format!("policy slice: {error}"));
        Ok(Self {
            workers: tenants
                .clone()
                .map(|tenant| slice(sealed(&policy.worker_slice(tenant, &hostname))))
                .collect::<Result<_, _>>()?,
            scanners: tenants
                .map(|tenant| slice(sealed(&policy.scanner_slice(tenant))))
                .collect::<Result<_, _>>()?,
            lookup: slice(sealed(&policy.lookup_slice()))?,
            keyholder: slice(sealed(&policy.keyholder_slice()))?,
            signatures,
            authorities,
            prints,
            tls: TlsFiles::open(policy)?,
        })
    }

    pub(crate) const fn tls(&self) -> &TlsFiles {
        &self.tls
    }

    /// Gives a worker what it has to know: the files first, so that they are there with the policy that names them.
    /// Whether it takes them.
    pub(crate) fn prepare_worker(
        &self,
        children: &mut Children,
        id: ChildId,
        tenant: u16,
        generation: u64,
    ) -> bool {
        let Some((fd, len)) = self.worker(tenant) else { return false };
        self.tls
            .of_tenant(tenant)
            .all(|(file, fd)| children.tell_worker(id, ToWorker::Tls { generation, file }, vec![fd]))
            && children.tell_worker(id, ToWorker::Policy { generation, len }, vec![fd])
    }

    fn worker(&self, tenant: u16) -> Option<(OwnedFd, u32)> {
        self.workers.get(usize::from(tenant)).and_then(Slice::again)
    }

    pub(crate) fn scanner(&self, tenant: u16) -> Option<(OwnedFd, u32)> {
        self.scanners.get(usize::from(tenant)).and_then(Slice::again)
    }

    pub(crate) fn lookup(&self) -> Option<(OwnedFd, u32)> {
        self.lookup.again()
    }

    pub(crate) fn keyholder(&self) -> Option<(OwnedFd, u32)> {
        self.keyholder.again()
    }

    /// Whether scanners that were given the files of the other would know the same.
    pub(crate) fn same_signatures(&self, other: &Self) -> bool {
        self.prints == other.prints
    }

    /// The files of scanners as they are by now, if one is another. One that cannot be opened now is being replaced, or was
    /// removed: then nothing is known, and the former ones stay.
    pub(crate) fn changed_signatures(&self, policy: &Policy) -> Option<Prints> {
        let (_, mut prints) = open_signatures(policy).ok()?;
        open_authorities(policy, &mut prints).ok()?;
        (prints != self.prints).then_some(prints)
    }

    /// Gives a fresh scanner its rules and signatures. Whether it takes them.
    pub(crate) fn prepare_scanner(
        &self,
        children: &mut Children,
        id: ChildId,
        tenant: u16,
        generation: u64,
    ) -> bool {
        let Some((fd, len)) = self.scanner(tenant) else { return false };
        children.tell_scanner(id, ToScanner::Policy { generation, len }, vec![fd])
            && self
                .signatures()
                .into_iter()
                .all(|(name, file)| children.tell_scanner(id, ToScanner::Signatures { name }, vec![file]))
            && self.authorities.iter().all(|(server_tls, file)| {
                let message = ToScanner::Authorities { server_tls: *server_tls };
                reopen(file).is_ok_and(|file| children.tell_scanner(id, message, vec![file]))
            })
            && children.tell_scanner(id, ToScanner::Serve, Vec::new())
    }

    /// The signature files, each with an offset of its own: children that start together must not read past each other.
    pub(crate) fn signatures(&self) -> Vec<(String, OwnedFd)> {
        self.signatures.iter().filter_map(|(name, file)| Some((name.clone(), reopen(file).ok()?))).collect()
    }
}

impl Slice {
    fn again(&self) -> Option<(OwnedFd, u32)> {
        Some((reopen(&self.memfd).ok()?, self.len))
    }
}

/// A new open file description of the same file: a duplicated descriptor would share its offset.
pub(crate) fn reopen(file: &OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)
}

fn sealed<S: Serialize>(slice: &S) -> io::Result<Slice> {
    let bytes = wire::encode_slice(slice).map_err(io::Error::other)?;
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    Ok(Slice { memfd: sealed_file("policy", &bytes)?, len })
}

/// A memory file of these octets that nobody can change.
pub(crate) fn sealed_file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let memfd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(memfd);
    file.write_all(bytes)?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(file.as_fd(), FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

type Signatures = (Vec<(String, OwnedFd)>, Prints);

fn open_signatures(policy: &Policy) -> Result<Signatures, String> {
    let (mut files, mut prints) = (Vec::new(), Vec::new());
    for engine in &policy.engines {
        let EngineKind::Builtin { signatures } = &engine.kind else { continue };
        if signatures.iter().any(|source| source == BUILTIN_TEST) {
            prints.push((BUILTIN_TEST.to_owned(), 0, 0, 0, (0, 0)));
        }
        for source in signatures.iter().filter(|source| *source != BUILTIN_TEST) {
            for path in expand(Path::new(source)).map_err(|error| format!("{source}: {error}"))? {
                let file = open_checked(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                prints.push(print(source.clone(), &path, &file)?);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                files.push((ipc::log::printable(&name, 255), file));
            }
        }
    }
    if files.len() > MOST_FILES {
        return Err(format!("{} signature files where {MOST_FILES} are allowed: join some", files.len()));
    }
    Ok((files, prints))
}

fn open_authorities(policy: &Policy, prints: &mut Prints) -> Result<Vec<(u16, OwnedFd)>, String> {
    let mut files = Vec::new();
    for (settings, index) in
        policy.server_tls.iter().zip(0_u16..).filter(|(_, index)| policy.asks_with(*index))
    {
        for path in trusted(&settings.trust)? {
            let file = open_checked(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            prints.push(print(format!("[server-tls.{}]", settings.name), &path, &file)?);
            files.push((index, file));
        }
    }
    if files.len() > MOST_FILES {
        return Err(format!(
            "{} files of authorities where {MOST_FILES} are allowed: join some",
            files.len()
        ));
    }
    Ok(files)
}

fn print(source: String, path: &Path, file: &OwnedFd) -> Result<Print, String> {
    let stat = fstat(file).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((source, stat.st_dev, stat.st_ino, stat.st_size, (stat.st_ctime, stat.st_ctime_nsec)))
}

/// The file itself, or the files of a directory by name, without hidden ones.
pub(crate) fn expand(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') && !entry.path().is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Opens read-only and checks owner and mode on the descriptor, so that nothing can change between check and use.
pub(crate) fn open_checked(path: &Path) -> Result<OwnedFd, String> {
    let path = credential::locate(path, std::env::var_os(credential::DIRECTORY).as_deref())?;
    let file = open(path.as_ref(), OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty())
        .map_err(|errno| errno.desc().to_owned())?;
    let stat = fstat(&file).map_err(|errno| errno.desc().to_owned())?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err("not a regular file".to_owned());
    }
    if stat.st_uid != 0 && stat.st_uid != nix::unistd::geteuid().as_raw() {
        return Err("belongs to another user: chown it to root".to_owned());
    }
    if stat.st_mode & 0o022 != 0 {
        return Err("others may write it: chmod go-w".to_owned());
    }
    Ok(file)
}
