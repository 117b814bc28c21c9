//! Where the client wanted to go, asked of the kernel's connection tracking (the only source; no byte of the peer).
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

/// The address and port that the client dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OriginalDst {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// Whether NAT brought the connection here: else `address` is our own.
    pub(crate) redirected: bool,
}

/// Both ends of a connection as the one sees them who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

impl Ends {
    pub(crate) fn of(from: SocketAddr, to: SocketAddr) -> Self {
        Self { from: canonical(from), to: canonical(to) }
    }
}

/// Both ends of an accepted connection, whatever the listener makes of them.
pub(crate) fn ends(socket: &impl AsFd, client: SocketAddr, local: SocketAddr) -> Ends {
    Ends::of(client, ask(socket, client).unwrap_or(local))
}

/// Asks the kernel, on a transparent listener. A connection that nobody redirected has its own local address as
/// original destination, or none where connection tracking is not loaded.
pub(crate) fn of(
    socket: &impl AsFd,
    client: SocketAddr,
    local: SocketAddr,
    transparent: bool,
) -> OriginalDst {
    let asked = if transparent { ask(socket, client).ok() } else { None };
    choose(asked, local)
}

fn choose(asked: Option<SocketAddr>, local: SocketAddr) -> OriginalDst {
    let local = canonical(local);
    match asked.map(canonical) {
        Some(address) if address != local => OriginalDst { address, redirected: true },
        Some(_) | None => OriginalDst { address: local, redirected: false },
    }
}

/// An IPv4 client on a dual-stack listener is known to the kernel's IPv4 tables only (measured: the IPv6 option gives
/// ENOENT), so its canonical address chooses the option.
fn ask(socket: &impl AsFd, client: SocketAddr) -> nix::Result<SocketAddr> {
    if client.ip().to_canonical().is_ipv4() {
        let found = getsockopt(socket, sockopt::OriginalDst)?;
        let address = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
        Ok((address, u16::from_be(found.sin_port)).into())
    } else {
        let found = getsockopt(socket, sockopt::Ip6tOriginalDst)?;
        let address = Ipv6Addr::from(found.sin6_addr.s6_addr);
        if address.is_unspecified() {
            return Err(Errno::ENOENT);
        }
        Ok((address, u16::from_be(found.sin6_port)).into())
    }
}

/// The same address without its IPv4-mapped form, flow label or scope.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => (ip, address.port()).into(),
        // A link-local address is nothing without its interface.
        IpAddr::V6(ip) if ip.is_unicast_link_local() => address,
        IpAddr::V6(ip) => (ip, address.port()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirected_connection_keeps_where_it_wanted_to_go() {
        let chosen = choose(Some(at("192.0.2.1:110")), at("[::ffff:10.0.0.1]:10110"));
        assert_eq!(chosen, OriginalDst { address: at("192.0.2.1:110"), redirected: true });
    }

    #[test]
    fn a_connection_to_the_listener_itself_is_not_redirected() {
        let local = at("[::ffff:10.0.0.1]:10110");
        let expected = OriginalDst { address: at("10.0.0.1:10110"), redirected: false };
        assert_eq!(choose(Some(at("10.0.0.1:10110")), local), expected);
        assert_eq!(choose(None, local), expected);
    }
}
