//! Certificates in the place of servers', signed by the operator's authority. Only the keyholder has one, and
//! `mailward check`, which looks whether it could be used.
use crate::chain::{Chain, certificates};
use crate::key::{self, PrivateKey};
use crate::{Error, provider};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Octets of a serial number (RFC 5280 section 4.1.2.2 allows 20).
const SERIAL: usize = 16;

/// Signs certificates for servers.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate and those above it, which clients are shown behind what it signs.
    chain: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(..)")
    }
}

/// A certificate in a server's place, with its key.
#[derive(Clone, Debug)]
pub struct Minted {
    /// What clients are shown: the certificate, its authority's, and those above.
    pub chain: Vec<Vec<u8>>,
    /// Its key, which is the certificate's alone.
    pub key: PrivateKey,
}

impl Authority {
    /// Reads the PEM files of its certificate and its key.
    ///
    /// # Errors
    /// When they do not belong together, or the certificate is no authority's.
    pub fn new(cert: &[u8], key: &[u8], passphrase: Option<&[u8]>) -> Result<Self, Error> {
        let chain = certificates(cert)?;
        let first = chain.first().ok_or_else(|| Error::new("there is no certificate in it"))?;
        let der = key::read(key, passphrase)?;
        let pair = KeyPair::try_from(&der)
            .map_err(|_| Error::new("a key that certificates cannot be signed with"))?;
        if !PrivateKey::from_der(der)?.belongs_to(&Chain::from_pem(cert)?) {
            return Err(Error::new("the key is not the certificate's"));
        }
        let (_, parsed) =
            X509Certificate::from_der(first).map_err(|_| Error::new("a certificate cannot be read"))?;
        if !parsed.is_ca() {
            return Err(Error::new("this is the certificate of a server or a client, not of an authority"));
        }
        let issuer = Issuer::from_ca_cert_der(first, pair)
            .map_err(|_| Error::new("a certificate that cannot be signed with"))?;
        Ok(Self { issuer, chain })
    }

    /// A certificate like this server's: the same names, the same dates, another key and another authority.
    ///
    /// # Errors
    /// When the server's cannot be read, or has no name.
    pub fn mint(&self, server: &[u8]) -> Result<Minted, Error> {
        let (_, parsed) = X509Certificate::from_der(server)
            .map_err(|_| Error::new("the server's certificate cannot be read"))?;
        let impossible = |_| Error::new("no certificate can be made of the server's");
        let mut params = CertificateParams::default();
        params.subject_alt_names = names(&parsed);
        if params.subject_alt_names.is_empty() {
            return Err(Error::new("the server's certificate has no name"));
        }
        params.distinguished_name = DistinguishedName::new();
        let common = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        let validity = parsed.validity();
        params.not_before = validity.not_before.to_datetime();
        params.not_after = validity.not_after.to_datetime();
        params.serial_number = Some(serial()?);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(impossible)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(impossible)?;
        let der =
            PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| Error::new("no key can be made"))?;
        let own = certificate.der().to_vec();
        let above = self.chain.iter().map(|der| der.to_vec());
        Ok(Minted { chain: [own].into_iter().chain(above).collect(), key: PrivateKey::from_der(der)? })
    }
}

/// DNS names and addresses: what servers are known by.
fn names(certificate: &X509Certificate<'_>) -> Vec<SanType> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect());
    names.unwrap_or_default()
}

fn name(name: &GeneralName<'_>) -> Option<SanType> {
    match name {
        GeneralName::DNSName(name) => (*name).try_into().ok().map(SanType::DnsName),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(SanType::IpAddress)
        }
        GeneralName::RFC822Name(_)
        | GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

fn serial() -> Result<SerialNumber, Error> {
    let mut octets = [0; SERIAL];
    provider().secure_random.fill(&mut octets).map_err(|_| Error::new("the kernel gives no entropy"))?;
    // Positive, and of one length.
    octets[0] = octets[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&octets))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::{Judge, Verified};
    use policy::tls::{Exceptions, ServerTls, Verify};
    use rcgen::{BasicConstraints, CertifiedIssuer, date_time_ymd};

    /// Seconds since 1970 of 8 May 2026.
    const NOW: u64 = 1_778_198_400;

    fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn server(by: &CertifiedIssuer<'static, KeyPair>, until: i32) -> Vec<u8> {
        let names = ["mail.example.net".to_owned(), "*.pop.example.net".to_owned(), "192.0.2.7".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 2, 3);
        params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().to_vec()
    }

    #[test]
    fn a_minted_certificate_has_the_names_and_dates_of_the_servers_and_the_operators_signature() {
        let (public, operator) = (authority("Public CA"), authority("Operator CA"));
        let signs =
            Authority::new(operator.pem().as_bytes(), operator.key().serialize_pem().as_bytes(), None);
        let original = server(&public, 2030);
        let minted = signs.unwrap().mint(&original).unwrap();
        let (first, second) = (minted.chain.first().unwrap(), minted.chain.get(1).unwrap());
        assert_eq!(second, &operator.der().to_vec());
        let (ours, theirs) = (crate::Facts::of(first).unwrap(), crate::Facts::of(&original).unwrap());
        assert_eq!(ours.certificate.names, theirs.certificate.names);
        assert_eq!((ours.not_before, ours.not_after), (theirs.not_before, theirs.not_after));
        assert_eq!(ours.certificate.issuer, crate::Facts::of(second).unwrap().certificate.subject);
        assert!(minted.key.belongs_to(&Chain::from_der(&minted.chain).unwrap()));
        // Who trusts the operator verifies it by any of the names.
        let judge = Judge::new(&ServerTls::default(), &[operator.pem().into_bytes()]).unwrap();
        for name in ["mail.example.net", "x.pop.example.net", "192.0.2.7"] {
            assert_eq!(judge.judge(&minted.chain, name, NOW), Ok(Verified::Wholly), "{name}");
        }
        assert!(judge.judge(&minted.chain, "example.net", NOW).is_err());
        assert!(judge.judge(&[original], "mail.example.net", NOW).is_err());
    }

    #[test]
    fn what_is_no_authority_signs_nothing() {
        let (operator, other) = (authority("Operator CA"), authority("Other CA"));
        let pem = |of: &CertifiedIssuer<'static, KeyPair>| of.key().serialize_pem();
        let new = |cert: &str, key: &str| Authority::new(cert.as_bytes(), key.as_bytes(), None).is_ok();
        assert!(new(&operator.pem(), &pem(&operator)));
        assert!(!new(&operator.pem(), &pem(&other)), "another key");
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(["a.example.net".to_owned()]).unwrap().signed_by(&key, &operator).unwrap();
        assert!(!new(&leaf.pem(), &key.serialize_pem()), "a server's certificate");
        assert!(!new("", &pem(&operator)) && !new(&operator.pem(), ""));
    }

    #[test]
    fn whom_only_an_exception_lets_pass_is_not_verified_wholly() {
        let public = authority("Public CA");
        let (good, old) = (server(&public, 2030), server(&public, 2021));
        let ca = [public.pem().into_bytes()];
        let judged = |tls: &ServerTls, chain: &[u8], name: &str| {
            Judge::new(tls, &ca).unwrap().judge(&[chain.to_vec()], name, NOW).ok()
        };
        let name = "mail.example.net";
        let plain = ServerTls::default();
        let expired = ServerTls {
            accept: Exceptions { expired: true, ..Exceptions::default() },
            ..ServerTls::default()
        };
        let chain = ServerTls { verify: Verify::Chain, ..ServerTls::default() };
        let none = ServerTls { verify: Verify::None, ..ServerTls::default() };
        let named = ServerTls { expected: Some(name.to_owned()), ..ServerTls::default() };
        let fingerprint = crate::Facts::of(&old).unwrap().certificate.fingerprint;
        let pinned = ServerTls {
            verify: Verify::Fingerprint,
            fingerprints: vec![fingerprint],
            ..ServerTls::default()
        };
        let (wholly, excepted) = (Some(Verified::Wholly), Some(Verified::ByException));
        for (tls, certificate, name, expected) in [
            (&plain, &good, name, wholly),
            (&plain, &old, name, None),
            (&expired, &good, name, wholly),
            (&expired, &old, name, excepted),
            (&chain, &good, name, wholly),
            (&chain, &good, "other.example.net", excepted),
            (&none, &old, "other.example.net", excepted),
            (&named, &good, "other.example.net", wholly),
            (&pinned, &old, "other.example.net", wholly),
            (&pinned, &good, name, None),
        ] {
            assert_eq!(judged(tls, certificate, name), expected, "{tls:?} {name}");
        }
    }
}
