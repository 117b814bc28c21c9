//! Lists of hosts: addresses, CIDR, ranges, masks, `*`, `!`, `@list`.

/// A parsed list of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {}

impl HostList {
    /// Whether the list matches this address (an IPv4-mapped address counts as IPv4).
    pub fn matches(&self, _address: std::net::IpAddr) -> bool {
        todo!()
    }
}
