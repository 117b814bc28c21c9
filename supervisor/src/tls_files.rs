//! The files of TLS, opened and unread (D23): keys and passphrases for the keyholder, everything else for the workers
//! whose sessions use it. What tells a changed file from the former one is noted, so that a renewed certificate is seen.
use crate::slices::{expand, open_checked, reopen};
use ipc::supervisor_keyholder::KeyOf;
use ipc::supervisor_worker::TlsFile;
use nix::sys::stat::fstat;
use policy::model::Policy;
use policy::tls::{Pair, SERVER_OFF, Trust};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Where distributions keep the authorities of the system, most usual first.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Files of TLS in all; each costs a descriptor in every worker while it starts.
const MOST_FILES: usize = 512;

/// What tells a file from another and from itself when it was changed: device, inode, octets, change time.
pub(crate) type Print = (PathBuf, u64, u64, i64, i64, i64);

/// Of several files, in order.
pub(crate) type Prints = Vec<Print>;

/// The files of one policy.
#[derive(Debug, Default)]
pub(crate) struct TlsFiles {
    /// Which file, and whose workers use it.
    public: Vec<(TlsFile, Vec<u16>, OwnedFd)>,
    /// What the keyholder verifies servers with and mints by, where TLS is intercepted.
    minting: Vec<(TlsFile, OwnedFd)>,
    keys: Vec<(KeyOf, OwnedFd, Option<OwnedFd>)>,
    prints: Prints,
}

impl TlsFiles {
    /// Opens what the sessions of some tenant use.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn open(policy: &Policy) -> Result<Self, String> {
        let mut files = Self::default();
        let tenants = || 0..u16::try_from(policy.tenants.len()).unwrap_or(u16::MAX);
        for (settings, tls) in policy.client_tls.iter().zip(0_u16..) {
            let of: Vec<u16> = tenants().filter(|tenant| policy.shows(*tenant, tls)).collect();
            if of.is_empty() {
                continue;
            }
            for (pair, certificate) in settings.certificates.iter().zip(0_u16..) {
                files.public(TlsFile::ClientChain { tls, certificate }, &of, &pair.cert)?;
                if let Some(staple) = &pair.staple {
                    files.public(TlsFile::Staple { tls, certificate }, &of, staple)?;
                }
                files.key(KeyOf::ClientTls { tls, certificate }, pair)?;
            }
            if let Some(ca) = &settings.client_ca {
                files.public(TlsFile::ClientCa { tls }, &of, ca)?;
            }
            for list in &settings.crl {
                files.public(TlsFile::Crl { tls }, &of, list)?;
            }
            if let Some(intercept) = &settings.intercept {
                let authorities = [(false, Some(&intercept.ca)), (true, intercept.untrusted_ca.as_ref())];
                for (untrusted, pair) in authorities.into_iter().filter_map(|(is, pair)| Some((is, pair?))) {
                    let cert = files.open_one(&pair.cert)?;
                    files.minting.push((TlsFile::Authority { tls, untrusted }, cert));
                    files.key(KeyOf::Authority { tls, untrusted }, pair)?;
                }
            }
        }
        for (settings, tls) in policy.server_tls.iter().zip(0_u16..).filter(|(_, tls)| *tls != SERVER_OFF) {
            let of: Vec<u16> = tenants().filter(|tenant| policy.dials_with(*tenant, tls)).collect();
            if of.is_empty() {
                continue;
            }
            for path in trusted(&settings.trust)? {
                files.public(TlsFile::ServerCa { tls }, &of, &path)?;
                if policy.has_interception() {
                    let file = files.open_one(&path)?;
                    files.minting.push((TlsFile::ServerCa { tls }, file));
                }
            }
            if let Some(pair) = &settings.certificate {
                files.public(TlsFile::ServerChain { tls }, &of, &pair.cert)?;
                files.key(KeyOf::ServerTls { tls }, pair)?;
            }
        }
        let count = files.public.len() + files.minting.len() + files.keys.len();
        if count > MOST_FILES {
            return Err(format!("{count} files of TLS where {MOST_FILES} are allowed: join some"));
        }
        Ok(files)
    }

    fn public(&mut self, what: TlsFile, of: &[u16], path: &Path) -> Result<(), String> {
        let file = self.open_one(path)?;
        self.public.push((what, of.to_vec(), file));
        Ok(())
    }

    fn key(&mut self, of: KeyOf, pair: &Pair) -> Result<(), String> {
        let key = self.open_one(&pair.key)?;
        let passphrase = pair.passphrase.as_deref().map(|path| self.open_one(path)).transpose()?;
        self.keys.push((of, key, passphrase));
        Ok(())
    }

    fn open_one(&mut self, path: &Path) -> Result<OwnedFd, String> {
        let said = |why: String| format!("{}: {why}", path.display());
        let file = open_checked(path).map_err(said)?;
        self.prints.push(print(path, &file).ok_or_else(|| said("cannot be looked at".to_owned()))?);
        Ok(file)
    }

    /// What the workers of a tenant are given.
    pub(crate) fn of_tenant(&self, tenant: u16) -> impl Iterator<Item = (TlsFile, OwnedFd)> {
        let own = self.public.iter().filter(move |(_, of, _)| of.contains(&tenant));
        own.filter_map(|(what, _, file)| Some((*what, reopen(file).ok()?)))
    }

    /// What the keyholder is given besides keys.
    pub(crate) fn minting(&self) -> impl Iterator<Item = (TlsFile, OwnedFd)> {
        self.minting.iter().filter_map(|(what, file)| Some((*what, reopen(file).ok()?)))
    }

    /// What the keyholder is given: the key, and its passphrase if it has one.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (KeyOf, Vec<OwnedFd>)> {
        self.keys.iter().filter_map(|(of, key, passphrase)| {
            let mut files = vec![reopen(key).ok()?];
            if let Some(passphrase) = passphrase {
                files.push(reopen(passphrase).ok()?);
            }
            Some((*of, files))
        })
    }

    /// The files as they are by now, if one is another: renewed certificates are taken without being asked to.
    pub(crate) fn changed(&self) -> Option<Prints> {
        let now: Prints = self
            .prints
            .iter()
            .map(|former| {
                let now = open_checked(&former.0).ok().and_then(|file| print(&former.0, &file));
                // One that cannot be opened now is being replaced, or was removed: the former one stays.
                now.unwrap_or_else(|| former.clone())
            })
            .collect();
        (now != self.prints).then_some(now)
    }
}

fn print(path: &Path, file: &OwnedFd) -> Option<Print> {
    let stat = fstat(file).ok()?;
    Some((path.to_owned(), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec))
}

pub(crate) fn trusted(trust: &Trust) -> Result<Vec<PathBuf>, String> {
    match trust {
        Trust::Path(path) => expand(path).map_err(|error| format!("{}: {error}", path.display())),
        Trust::System => {
            // OpenSSL's and everybody's way to name another one.
            let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
            let usual = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
            named.or_else(usual).map(|path| vec![path]).ok_or_else(|| {
                "the system has no certificates of authorities: install ca-certificates, or write `ca` in the server-tls"
                    .to_owned()
            })
        }
    }
}
