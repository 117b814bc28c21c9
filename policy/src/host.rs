//! Lists of hosts: addresses, CIDR, ranges, masks, names and patterns of names, `*`, `!`, `@list`. Pure; the texts are the operator's, the
//! addresses that are matched are the clients', and what names stand for is filled in by who can ask.
use crate::host_name::NamePattern;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// A parsed list of hosts. It matches iff some item without `!` matches (none given: all) and no item with `!` does;
/// the order of the items does not matter. An empty list matches every address.
///
/// ```
/// # use policy::host::HostList;
/// let mut list = HostList::default();
/// for item in ["10.0.0.0/8", "!10.9.0.0/16"] {
///     list.add(item, &mut |_| None)?;
/// }
/// assert!(list.matches("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!list.matches("10.9.1.1".parse().unwrap()));
/// # Ok::<(), policy::host::HostError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostList {
    positive: Vec<Hosts>,
    negative: Vec<Hosts>,
}

/// What one item covers. Bounds are inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Hosts {
    All,
    V4(u32, u32),
    V6(u128, u128),
    /// In lower case, with the addresses that it stands for; `None`: it was not resolved.
    Name(String, Option<Vec<IpAddr>>),
    /// Of the client's confirmed name.
    Pattern(NamePattern),
    List(Arc<HostList>),
}

/// The addresses of names, in lower case; a name that is missing was not resolved.
pub type Names = BTreeMap<String, Vec<IpAddr>>;

/// Why an item of a list of hosts was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// It is nothing that a list of hosts can have; says what is wrong.
    Invalid(String),
    /// `@list` names no list.
    UnknownList(String),
}

impl HostList {
    /// Whether the list matches this address (an IPv4-mapped address counts as IPv4). A name that was not resolved
    /// matches nothing, and behind `!` everything; in a list behind `!@` too.
    pub fn matches(&self, address: IpAddr) -> bool {
        self.matches_host(address, None)
    }

    /// The same for a client with its confirmed name, in lower case, which patterns are held against; `None`: it has none.
    pub fn matches_host(&self, address: IpAddr, name: Option<&str>) -> bool {
        self.holds(address.to_canonical(), name) == Some(true)
    }

    /// `None`: it depends on a name that was not resolved.
    fn holds(&self, address: IpAddr, name: Option<&str>) -> Option<bool> {
        let any = |side: &[Hosts]| {
            let mut unknown = false;
            for hosts in side {
                match hosts.contain(address, name) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => unknown = true,
                }
            }
            if unknown { None } else { Some(false) }
        };
        let inside = if self.positive.is_empty() { Some(true) } else { any(&self.positive) };
        match (inside, any(&self.negative)) {
            (Some(false), _) | (_, Some(true)) => Some(false),
            (Some(true), Some(false)) => Some(true),
            (None, _) | (_, None) => None,
        }
    }

    /// Whether the client's name is asked for, here or in the lists that it names.
    pub fn has_patterns(&self) -> bool {
        self.positive.iter().chain(&self.negative).any(|hosts| match hosts {
            Hosts::Pattern(_) => true,
            Hosts::List(list) => list.has_patterns(),
            Hosts::All | Hosts::V4(..) | Hosts::V6(..) | Hosts::Name(..) => false,
        })
    }

    /// Calls `each` with every name in the list and in the lists that it names.
    pub fn each_name(&self, each: &mut dyn FnMut(&str)) {
        for hosts in self.positive.iter().chain(&self.negative) {
            match hosts {
                Hosts::Name(name, _) => each(name),
                Hosts::List(list) => list.each_name(each),
                Hosts::All | Hosts::V4(..) | Hosts::V6(..) | Hosts::Pattern(_) => {}
            }
        }
    }

    /// Fills in what names stand for.
    pub fn settle(&mut self, names: &Names) {
        for hosts in self.positive.iter_mut().chain(&mut self.negative) {
            match hosts {
                Hosts::Name(name, addresses) => *addresses = names.get(name).cloned(),
                Hosts::List(list) => Arc::make_mut(list).settle(names),
                Hosts::All | Hosts::V4(..) | Hosts::V6(..) | Hosts::Pattern(_) => {}
            }
        }
    }

    /// Whether the list matches every address because it restricts nothing.
    pub fn is_everyone(&self) -> bool {
        self.negative.is_empty() && (self.positive.is_empty() || self.positive.contains(&Hosts::All))
    }

    /// Adds one item as the operator wrote it; `lists` gives the list behind `@name`.
    ///
    /// # Errors
    /// [`HostError`]; the list is then as it was.
    pub fn add(
        &mut self,
        item: &str,
        lists: &mut dyn FnMut(&str) -> Option<Arc<HostList>>,
    ) -> Result<(), HostError> {
        let (side, text) = match item.strip_prefix('!') {
            Some(rest) => (&mut self.negative, rest.trim()),
            None => (&mut self.positive, item.trim()),
        };
        let hosts = match text.strip_prefix('@') {
            Some(name) => Hosts::List(lists(name).ok_or_else(|| HostError::UnknownList(name.to_owned()))?),
            None => Hosts::parse(text)?,
        };
        side.push(hosts);
        Ok(())
    }
}

impl Hosts {
    fn contain(&self, address: IpAddr, name: Option<&str>) -> Option<bool> {
        match (self, address) {
            (Self::All, _) => Some(true),
            (Self::V4(first, last), IpAddr::V4(address)) => {
                Some((*first..=*last).contains(&u32::from(address)))
            }
            (Self::V6(first, last), IpAddr::V6(address)) => {
                Some((*first..=*last).contains(&u128::from(address)))
            }
            (Self::V4(..), IpAddr::V6(_)) | (Self::V6(..), IpAddr::V4(_)) => Some(false),
            (Self::Name(_, known), address) => {
                let known = known.as_ref()?;
                Some(known.iter().any(|known| known.to_canonical() == address))
            }
            (Self::Pattern(pattern), _) => name.map(|name| pattern.matches(name)),
            (Self::List(list), address) => list.holds(address, name),
        }
    }

    fn parse(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::All);
        }
        if text.len() > 1 && text.starts_with('/') && text.ends_with('/') {
            let text = text.trim_start_matches('/').trim_end_matches('/');
            let pattern = NamePattern::regex(text)
                .map_err(|why| invalid(&format!("this is no regular expression: {why}")))?;
            return Ok(Self::Pattern(pattern));
        }
        if let Some((address, width)) = text.split_once('/') {
            return Self::network(parse_address(address)?, width);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::range(address, address);
        }
        if let Some((first, last)) = text.split_once('-')
            && let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse())
        {
            return Self::range(first, last);
        }
        if text.contains('*') && is_host_name(&text.replace('*', "x")) {
            return Ok(Self::Pattern(NamePattern::Star(text.to_ascii_lowercase())));
        }
        if is_host_name(text) && !text.contains(':') {
            return Ok(Self::Name(text.trim_end_matches('.').to_ascii_lowercase(), None));
        }
        Err(parse_address(text).err().unwrap_or_else(|| invalid("this is neither an address nor a name")))
    }

    fn range(first: IpAddr, last: IpAddr) -> Result<Self, HostError> {
        match (first.to_canonical(), last.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Ok(Self::V4(first.into(), last.into())),
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Ok(Self::V6(first.into(), last.into())),
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                Err(invalid("the range ends before it begins"))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Err(invalid("the range has one IPv4 and one IPv6 end"))
            }
        }
    }

    /// `width` is a prefix length or a mask.
    fn network(address: IpAddr, width: &str) -> Result<Self, HostError> {
        let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match width.parse::<IpAddr>() {
            Ok(mask) if mask.is_ipv4() == address.is_ipv4() => mask_prefix(mask)?,
            Ok(_) => return Err(invalid("the mask is of the other address family")),
            Err(_) if !width.is_empty() && width.bytes().all(|octet| octet.is_ascii_digit()) => width
                .parse::<u32>()
                .ok()
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(|| invalid(&format!("the prefix length must be from 0 to {bits}")))?,
            Err(_) => return Err(invalid("after `/` stands neither a prefix length nor a mask")),
        };
        match address {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(prefix).unwrap_or(0);
                let number = u32::from(address);
                if number & host != 0 {
                    let network = Ipv4Addr::from(number & !host);
                    return Err(invalid(&format!(
                        "bits are set outside the prefix: {network}/{prefix} is the network"
                    )));
                }
                Ok(Self::V4(number, number | host))
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(prefix).unwrap_or(0);
                let number = u128::from(address);
                if number & host != 0 {
                    let network = Ipv6Addr::from(number & !host);
                    return Err(invalid(&format!(
                        "bits are set outside the prefix: {network}/{prefix} is the network"
                    )));
                }
                // ::ffff:0:0/96 and below are IPv4 in disguise, and addresses are compared without it.
                match (address.to_ipv4_mapped(), Ipv6Addr::from(number | host).to_ipv4_mapped()) {
                    (Some(first), Some(last)) => Ok(Self::V4(first.into(), last.into())),
                    (Some(_) | None, _) => Ok(Self::V6(number, number | host)),
                }
            }
        }
    }
}

fn mask_prefix(mask: IpAddr) -> Result<u32, HostError> {
    let (ones, zeros, bits) = match mask {
        IpAddr::V4(mask) => (u32::from(mask).leading_ones(), u32::from(mask).trailing_zeros(), 32),
        IpAddr::V6(mask) => (u128::from(mask).leading_ones(), u128::from(mask).trailing_zeros(), 128),
    };
    if ones + zeros == bits { Ok(ones) } else { Err(invalid("the mask has holes")) }
}

fn parse_address(text: &str) -> Result<IpAddr, HostError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    Err(invalid("this is not an address"))
}

/// An address with its port, or with `port` where it has none: `192.0.2.1`, `192.0.2.1:110`, `::1`, `[::1]`, `[::1]:110`.
pub(crate) fn socket_address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare =
        text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|rest| rest.contains(':'));
    text.parse().ok().or_else(|| Some(SocketAddr::new(bare.unwrap_or(text).parse().ok()?, port)))
}

/// RFC 1123 section 2.1: labels of 1 to 63 letters, digits and `-`, at most 253 octets. `_` is taken too: it occurs.
pub(crate) fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
    };
    text.len() <= 253
        && text.split('.').all(label)
        && !text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
}

fn invalid(why: &str) -> HostError {
    HostError::Invalid(why.to_owned())
}
