//! What `mailward check` says of certificates: each is read with its key, and the days that are left are shown. The keys are
//! in the memory of this process, which ends when it has looked; the service reads them in the keyholder alone.
use policy::model::Policy;
use policy::tls::{ClientTls, Pair, Trust};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tls::{Authority, Chain, Facts, PrivateKey};

/// Fewer days than that are a warning: authorities that renew by themselves do it earlier.
const SOON: i64 = 14;

/// Prints a line for each certificate. Whether all can be used.
pub(crate) fn check(policy: &Policy) -> bool {
    let mut usable = true;
    let mut say = |section: String, outcome: Result<String, String>| {
        match outcome {
            Ok(line) => drop(writeln!(io::stdout(), "{section}: {line}")),
            Err(why) => {
                usable = false;
                crate::config::say(&format!("mailward: {section}: {why}\n"));
            }
        };
    };
    for tls in &policy.client_tls {
        for pair in &tls.certificates {
            say(format!("client-tls {}", tls.name), certificate(pair));
        }
        if let Some(path) = &tls.client_ca {
            say(format!("client-tls {}", tls.name), authorities(path));
        }
        for pair in interception(tls) {
            say(format!("client-tls {}", tls.name), authority(pair));
        }
    }
    for tls in &policy.server_tls {
        if let Some(pair) = &tls.certificate {
            say(format!("server-tls {}", tls.name), certificate(pair));
        }
        match &tls.trust {
            Trust::Path(path) if path.is_file() => say(format!("server-tls {}", tls.name), authorities(path)),
            Trust::Path(_) | Trust::System => {}
        }
    }
    usable
}

/// Whether every certificate, authority and revocation list can be read; the keys are left alone, for this may be the
/// service's own process.
///
/// # Errors
/// A line for each that cannot.
pub(crate) fn readable(policy: &Policy) -> Result<(), String> {
    let mut problems = String::new();
    let mut look = |section: &str, path: &Path, looked: fn(&[u8]) -> Result<(), tls::Error>| {
        if let Err(why) = read(path).and_then(|octets| looked(&octets).map_err(|why| at(path, why))) {
            problems.push_str(&format!("mailward: {section}: {why}\n"));
        }
    };
    let chain = |octets: &[u8]| Chain::from_pem(octets).map(drop);
    for tls in &policy.client_tls {
        let section = format!("client-tls {}", tls.name);
        let own = tls.certificates.iter().chain(interception(tls));
        let shown = own.map(|pair| &pair.cert).chain(&tls.client_ca);
        shown.for_each(|path| look(&section, path, chain));
        tls.crl.iter().for_each(|path| look(&section, path, tls::check_revocations));
    }
    for tls in &policy.server_tls {
        let section = format!("server-tls {}", tls.name);
        let own = tls.certificate.iter().map(|pair| &pair.cert);
        let trusted = match &tls.trust {
            Trust::Path(path) if path.is_file() => Some(path),
            Trust::Path(_) | Trust::System => None,
        };
        own.chain(trusted).for_each(|path| look(&section, path, chain));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The authorities of interception.
fn interception(tls: &ClientTls) -> impl Iterator<Item = &Pair> {
    let intercept = tls.intercept.iter();
    intercept.flat_map(|intercept| [&intercept.ca].into_iter().chain(&intercept.untrusted_ca))
}

/// The days left of an authority that can sign in servers' place.
fn authority(pair: &Pair) -> Result<String, String> {
    let cert = read(&pair.cert)?;
    let chain = Chain::from_pem(&cert).map_err(|why| at(&pair.cert, why))?;
    let passphrase = pair.passphrase.as_deref().map(read).transpose()?;
    Authority::new(&cert, &read(&pair.key)?, passphrase.as_deref()).map_err(|why| at(&pair.cert, why))?;
    let left = days_left(pair, chain.facts())?;
    Ok(format!("{}: signs in servers' place, {left}", pair.cert.display()))
}

/// The names and the days left of a certificate whose key is its own.
fn certificate(pair: &Pair) -> Result<String, String> {
    let chain = Chain::from_pem(&read(&pair.cert)?).map_err(|why| at(&pair.cert, why))?;
    let passphrase = pair.passphrase.as_deref().map(read).transpose()?;
    let key =
        PrivateKey::from_pem(&read(&pair.key)?, passphrase.as_deref()).map_err(|why| at(&pair.key, why))?;
    if !key.belongs_to(&chain) {
        return Err(at(&pair.key, format!("is not the key of {}", pair.cert.display())));
    }
    let facts = chain.facts();
    let left = days_left(pair, facts)?;
    if facts.certificate.names.is_empty() {
        return Err(at(&pair.cert, "has no subject alternative name, so no client would take it"));
    }
    Ok(format!("{}: {}, {left}", pair.cert.display(), facts.certificate.names.join(" ")))
}

/// How long a certificate is still valid.
fn days_left(pair: &Pair, facts: &Facts) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = facts.days_left(i64::try_from(now).unwrap_or(i64::MAX));
    let left = match days {
        ..0 => return Err(at(&pair.cert, format!("expired {} days ago", -days))),
        0..SOON => format!("only {days} days left"),
        SOON.. => format!("{days} days left"),
    };
    if i64::try_from(now).is_ok_and(|now| now < facts.not_before) {
        return Err(at(&pair.cert, "is not valid yet"));
    }
    Ok(left)
}

fn authorities(path: &Path) -> Result<String, String> {
    let count = Chain::from_pem(&read(path)?).map_err(|why| at(path, why))?.len();
    let authorities = if count == 1 { "authority" } else { "authorities" };
    Ok(format!("{}: {count} {authorities}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(crate::config::located(path).map_err(|why| at(path, why))?).map_err(|error| at(path, error))
}

fn at(path: &Path, why: impl std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}
