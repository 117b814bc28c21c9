//! The static host table (hosts(5)): the administrator's word on a name, before any name server's. Pure.
use std::collections::HashMap;
use std::net::IpAddr;

/// Names in lower case, with their addresses in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    names: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Reads the table; lines that are none are left out, as the C library does.
    pub(crate) fn parse(text: &str) -> Self {
        let mut names: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                names.entry(name.to_ascii_lowercase()).or_default().push(address);
            }
        }
        Self { names }
    }

    /// The addresses of a name; `None` if the table does not have it.
    pub(crate) fn get(&self, name: &str) -> Option<&[IpAddr]> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.names.get(&name).map(Vec::as_slice)
    }

    /// The first name of an address, by the order of the alphabet.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<&str> {
        let named = self.names.iter().filter(|(_, addresses)| addresses.contains(&address));
        named.map(|(name, _)| name.as_str()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_all_its_addresses_whatever_its_case() {
        let hosts = Hosts::parse("127.0.0.1 localhost\n# no\n::1 LocalHost ip6 # yes\nnonsense here\n");
        let expected: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(hosts.get("LOCALHOST."), Some(&expected[..]));
        assert_eq!(hosts.get("here"), None);
    }
}
