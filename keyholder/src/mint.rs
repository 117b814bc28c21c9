//! Certificates in the place of servers': who signs them, how the servers are verified, and those that were made.
use std::collections::HashMap;
use std::rc::Rc;
use tls::{Authority, Judge, Minted, Verified};

/// Certificates that are kept; when there are as many, all are forgotten. Each takes some three kilobytes.
const KEPT: usize = 4096;

/// What one policy generation mints with.
#[derive(Default)]
pub(crate) struct Mint {
    authorities: HashMap<By, Authority>,
    /// By server-tls.
    judges: HashMap<u16, Result<Judge, String>>,
    /// By authority and the server's certificate.
    made: HashMap<(By, Vec<u8>), Rc<Minted>>,
}

/// A client-tls, and whether clients do not trust its authority.
type By = (u16, bool);

impl Mint {
    pub(crate) fn add(&mut self, tls: u16, untrusted: bool, authority: Authority) {
        self.authorities.insert((tls, untrusted), authority);
    }

    pub(crate) fn verify(&mut self, tls: u16, judge: Result<Judge, String>) {
        self.judges.insert(tls, judge);
    }

    /// Verifies the chain that a server of this name shows now, and gives the certificate in its place; and whether the
    /// server was verified wholly.
    pub(crate) fn mint(
        &mut self,
        tls: u16,
        server_tls: u16,
        (chain, name, now): (&[Vec<u8>], &str, u64),
    ) -> Result<(Rc<Minted>, bool), String> {
        let judge = self.judges.get(&server_tls).ok_or("the server-tls is unknown")?;
        let judge = judge.as_ref().map_err(String::clone)?;
        let verified = judge.judge(chain, name, now).map_err(|why| why.to_string())?;
        let untrusted = verified == Verified::ByException;
        let Some(authority) = self.authorities.get(&(tls, untrusted)) else {
            return Err(if untrusted {
                "it is accepted by an exception, and there is no `untrusted-ca`"
            } else {
                "the `ca` cannot be used"
            }
            .to_owned());
        };
        let server = chain.first().ok_or("there is no certificate")?;
        let key = ((tls, untrusted), server.clone());
        if let Some(made) = self.made.get(&key) {
            return Ok((Rc::clone(made), !untrusted));
        }
        let minted = Rc::new(authority.mint(server).map_err(|why| why.to_string())?);
        if self.made.len() >= KEPT {
            self.made.clear();
        }
        self.made.insert(key, Rc::clone(&minted));
        Ok((minted, !untrusted))
    }
}
