//! Certificates: from PEM files, and what rules and logs ask of them.
use crate::Error;
use policy::conditions::Certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// Certificates in one file.
const MOST: usize = 100_000;
/// Octets of a name in a log.
const SHOWN: usize = 256;

/// What is to be known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What rules can ask.
    pub certificate: Certificate,
    /// Seconds since 1970, UTC.
    pub not_before: i64,
    /// Likewise.
    pub not_after: i64,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(der: &[u8]) -> Result<Self, Error> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|_| Error::new("a certificate cannot be read"))?;
        if !rest.is_empty() {
            return Err(Error::new("a certificate is followed by other octets"));
        }
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.iter().filter_map(general_name).collect());
        Ok(Self {
            certificate: Certificate {
                subject: distinguished(parsed.subject()),
                issuer: distinguished(parsed.issuer()),
                names: names.unwrap_or_default(),
                fingerprint: hexadecimal(&Sha256::digest(der)),
            },
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }

    /// Days until it expires; negative: since.
    pub const fn days_left(&self, now: i64) -> i64 {
        (self.not_after - now).div_euclid(86_400)
    }

    /// Whether it is for this name (RFC 6125 section 6.4: `*` stands for one label).
    pub fn is_for(&self, name: &str) -> bool {
        self.certificate.names.iter().any(|known| is_name(known, name))
    }

    /// Whether it was signed with its own name.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.certificate.subject == self.certificate.issuer
    }
}

/// One line for the log about a certificate that a peer showed.
pub(crate) fn describe(der: &[u8]) -> String {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return "an unreadable certificate".to_owned();
    };
    let Ok(facts) = Facts::of(der) else { return "an unreadable certificate".to_owned() };
    let Certificate { subject, issuer, names, fingerprint } = facts.certificate;
    let validity = parsed.validity();
    let text = format!(
        "subject {subject}, issuer {issuer}, names {}, valid {} to {}, sha256 {fingerprint}",
        names.join(" "),
        validity.not_before,
        validity.not_after
    );
    let printable = |letter: char| if matches!(letter, ' '..='~') { letter } else { '?' };
    text.chars().map(printable).take(3 * SHOWN).collect()
}

/// RFC 4514 section 2: most specific first, special characters escaped.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            let oid = attribute.attr_type();
            match short_name(&oid.to_id_string()) {
                Some(short) => text.push_str(short),
                None => text.push_str(&oid.to_id_string()),
            }
            text.push('=');
            escape(attribute.as_str().unwrap_or("?"), &mut text);
        }
    }
    text
}

/// RFC 4514 section 3 names these; the mail address is RFC 2985's.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (index, letter) in value.chars().enumerate() {
        let at_edge = letter == ' ' && (index == 0 || index == last);
        if "\"+,;<>\\".contains(letter) || at_edge || (letter == '#' && index == 0) {
            text.push('\\');
        }
        if letter == '\0' {
            text.push_str("\\00");
        } else {
            text.push(letter);
        }
    }
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// A certificate and those between it and an authority, as they are shown to peers.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(crate) der: Vec<CertificateDer<'static>>,
    facts: Facts,
}

impl Chain {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// When there is no certificate in it, or one that cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let der = certificates(pem)?;
        let first = der.first().ok_or_else(|| Error::new("there is no certificate in it"))?;
        Ok(Self { facts: Facts::of(first)?, der })
    }

    /// Of certificates as they are, the first one's facts being read.
    ///
    /// # Errors
    /// When there is none, or the first one cannot be read.
    pub(crate) fn from_der(der: &[Vec<u8>]) -> Result<Self, Error> {
        let first = der.first().ok_or_else(|| Error::new("there is no certificate"))?;
        let facts = Facts::of(first)?;
        Ok(Self { facts, der: der.iter().map(|der| CertificateDer::from(der.clone())).collect() })
    }

    /// How many certificates there are.
    pub const fn len(&self) -> usize {
        self.der.len()
    }

    /// Never: a chain has at least one.
    pub const fn is_empty(&self) -> bool {
        self.der.is_empty()
    }

    /// Of the first certificate.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether the first certificate is for this name (RFC 6125 section 6.4: `*` stands for one label).
    pub fn is_for(&self, name: &str) -> bool {
        self.facts.is_for(name)
    }
}

fn is_name(known: &str, name: &str) -> bool {
    match known.strip_prefix("*.") {
        Some(domain) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
        None => known.eq_ignore_ascii_case(name),
    }
}

/// Every certificate of a PEM file.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(MOST).collect();
    found.map_err(|error| Error::new(format!("not PEM: {error}")))
}

/// Whether there is a revocation list in a file.
///
/// # Errors
/// When there is none.
pub fn check_revocations(octets: &[u8]) -> Result<(), Error> {
    revocations(octets).map(drop)
}

/// Every revocation list of a PEM file, or the one of a DER file.
pub(crate) fn revocations(octets: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    if octets.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(octets.to_vec())]);
    }
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(octets).collect();
    let found = found.map_err(|error| Error::new(format!("not PEM: {error}")))?;
    if found.is_empty() { Err(Error::new("there is no revocation list in it")) } else { Ok(found) }
}
