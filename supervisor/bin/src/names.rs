//! Names, asked of this machine's own resolver: for tools, never for the service.
use policy::host::Names;
use policy::model::Policy;
use std::net::{IpAddr, ToSocketAddrs};

/// The addresses of a name.
///
/// # Errors
/// Why there are none.
pub(crate) fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Fills in what names in lists of hosts stand for; returns those that did not resolve.
pub(crate) fn settle(policy: &mut Policy) -> Vec<String> {
    let mut names = Names::new();
    let mut missing = Vec::new();
    for name in policy.host_names() {
        match resolve(&name) {
            Ok(addresses) => drop(names.insert(name, addresses)),
            Err(_) => missing.push(name),
        }
    }
    policy.settle_names(&names);
    missing
}
