//! Certificates of the laboratory: an authority and what it signs, in PEM files of a temporary directory.
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Pair {
    /// `{ cert = "...", key = "..." }`.
    pub fn toml(&self) -> String {
        format!("{{ cert = \"{}\", key = \"{}\" }}", self.cert.display(), self.key.display())
    }

    /// The number that is the secret of its ECDSA key.
    pub fn private_number(&self) -> Vec<u8> {
        let mut command = Command::new("openssl");
        let output = command.args(["pkey", "-noout", "-text", "-in"]).arg(&self.key).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let digits = text.split("priv:").nth(1).unwrap().split("pub:").next().unwrap();
        let digits: Vec<u8> = digits
            .split(|c: char| !c.is_ascii_hexdigit())
            .filter(|pair| !pair.is_empty())
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect();
        assert!(digits.len() >= 31, "{text}");
        // The first octet may be a sign, or missing.
        digits[digits.len() - 31..].to_vec()
    }
}

/// How a certificate differs from an ordinary one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flaws {
    /// Its time is over.
    pub expired: bool,
    /// Its time has not come.
    pub early: bool,
    /// It signed itself.
    pub self_signed: bool,
    /// Its number; by default one of its own.
    pub serial: Option<u64>,
}

/// An authority.
pub struct Pki {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new("Lab CA")
    }
}

impl Pki {
    /// A new authority of this name.
    pub fn new(name: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("mailward-pki-").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self { directory, issuer };
        fs::write(pki.ca(), pki.issuer.pem()).unwrap();
        pki
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The authority's certificate and key.
    pub fn authority(&self) -> Pair {
        self.write("authority", &self.issuer.pem(), &self.issuer.key().serialize_pem())
    }

    /// Where everything is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A certificate for these names, the first of them its common name; an address is a name too.
    pub fn sign(&self, names: &[&str]) -> Pair {
        self.sign_flawed(names, Flaws::default())
    }

    /// One that nobody should trust.
    pub fn sign_flawed(&self, names: &[&str], flaws: Flaws) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params.distinguished_name.push(DnType::OrganizationalUnitName, "Staff");
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if name.contains('@') => SanType::Rfc822Name((*name).try_into().unwrap()),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        params.serial_number = flaws.serial.map(SerialNumber::from);
        if flaws.expired {
            (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 2, 3));
        }
        if flaws.early {
            (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 2, 3));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = if flaws.self_signed {
            params.self_signed(&key).unwrap()
        } else {
            params.signed_by(&key, &self.issuer).unwrap()
        };
        self.write(names[0], &certificate.pem(), &key.serialize_pem())
    }

    /// A list that revokes the certificates with these numbers.
    pub fn revoke(&self, serials: &[u64]) -> PathBuf {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: date_time_ymd(2021, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.path().join("revoked.pem");
        fs::write(&path, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        path
    }

    /// Writes a pair under a name that no other has.
    pub fn write(&self, name: &str, cert: &str, key: &str) -> Pair {
        let number = fs::read_dir(self.path()).unwrap().count();
        let base = self.path().join(format!("{number}-{}", name.replace(['*', '@', '/'], "_")));
        let pair = Pair { cert: base.with_extension("pem"), key: base.with_extension("key") };
        fs::write(&pair.cert, cert).unwrap();
        fs::write(&pair.key, key).unwrap();
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).unwrap();
        pair
    }
}
