//! An authority and a certificate for this run of the demonstration, and what its private key is known by.
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";

/// Files in the demonstration's directory.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// The private number: whoever has it in memory has the key.
    pub(crate) number: Vec<u8>,
}

/// Makes them.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn make(directory: &Path) -> io::Result<Certificates> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Mailward demonstration");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, key()?).map_err(io::Error::other)?;
    let own = key()?;
    let params = CertificateParams::new([NAME.to_owned()]).map_err(io::Error::other)?;
    let certificate = params.signed_by(&own, &issuer).map_err(io::Error::other)?;
    let [ca, cert, path] = ["ca.pem", "mail.pem", "mail.key"].map(|name| directory.join(name));
    fs::write(&ca, issuer.pem())?;
    fs::write(&cert, certificate.pem())?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(own.serialize_pem().as_bytes())?;
    let number = private_number(&own.serialize_der());
    Ok(Certificates {
        ca,
        cert,
        key: path,
        number: number.ok_or_else(|| io::Error::other("a key without a number"))?,
    })
}

fn key() -> io::Result<KeyPair> {
    KeyPair::generate().map_err(io::Error::other)
}

/// RFC 5915 section 3: version 1, then the number, 32 octets on this curve.
fn private_number(der: &[u8]) -> Option<Vec<u8>> {
    const BEFORE: &[u8] = &[2, 1, 1, 4, 32];
    let at = der.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    der.get(at..at + 32).map(<[u8]>::to_vec)
}
