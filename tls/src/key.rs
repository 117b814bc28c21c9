//! A private key. Only the keyholder has one, and `mailward check`, which runs, looks and ends.
use crate::chain::Chain;
use crate::{Error, provider};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode;
use pkcs8::der::pem::decode_vec;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Signs for one certificate.
#[derive(Clone)]
pub struct PrivateKey(Arc<dyn SigningKey>);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl PrivateKey {
    /// Reads a PEM file: PKCS#8, also encrypted, PKCS#1 or SEC1. The passphrase ends at a line end.
    ///
    /// # Errors
    /// When there is no usable key in it, or the passphrase is missing or wrong.
    pub fn from_pem(pem: &[u8], passphrase: Option<&[u8]>) -> Result<Self, Error> {
        Self::from_der(read(pem, passphrase)?)
    }

    pub(crate) fn from_der(der: PrivateKeyDer<'static>) -> Result<Self, Error> {
        let key = provider().key_provider.load_private_key(der);
        key.map(Self).map_err(|_| Error::new("a private key that is neither RSA nor ECDSA nor Ed25519"))
    }

    /// Signs with this scheme (RFC 8446 section 4.2.3).
    ///
    /// # Errors
    /// When the key does not have the scheme.
    pub fn sign(&self, scheme: u16, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signer = self.0.choose_scheme(&[SignatureScheme::from(scheme)]);
        let signer = signer.ok_or_else(|| Error::new("a scheme that the key does not have"))?;
        signer.sign(message).map_err(|_| Error::new("the key does not sign"))
    }

    /// Whether the first certificate of a chain is this key's.
    pub fn belongs_to(&self, chain: &Chain) -> bool {
        CertifiedKey::new(chain.der.clone(), Arc::clone(&self.0)).keys_match().is_ok()
    }
}

/// The key in a PEM file.
pub(crate) fn read(pem: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, Error> {
    if contains(pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(Error::new(
            "the way it is encrypted is not supported: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW` converts it",
        ));
    }
    if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") {
        let passphrase = passphrase.ok_or_else(|| Error::new("it is encrypted: name its passphrase-file"))?;
        decrypted(pem, passphrase)
    } else {
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| Error::new("there is no private key in it"))
    }
}

fn decrypted(pem: &[u8], passphrase: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    let passphrase = passphrase.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    let unreadable = |_| {
        Error::new(
            "the way it is encrypted is not supported: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW` converts it",
        )
    };
    let (_, der) = decode_vec(pem).map_err(|_| Error::new("the encrypted private key cannot be read"))?;
    let info = EncryptedPrivateKeyInfoRef::from_der(&der).map_err(unreadable)?;
    let plain =
        info.decrypt(passphrase).map_err(|_| Error::new("the passphrase does not open the private key"))?;
    let plain = Zeroizing::new(plain.as_bytes().to_vec());
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(plain.to_vec())))
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}
