//! Ends a TCP connection of this machine, whoever holds its descriptor: SOCK_DESTROY of sock_diag(7). Needs CAP_NET_ADMIN, and a
//! kernel that was built with it.
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// `linux/sock_diag.h`
const SOCK_DESTROY: u16 = 21;
/// `linux/netlink.h`: NLM_F_REQUEST | NLM_F_ACK.
const REQUEST_ACK: u16 = 1 | 4;
/// NLMSG_ERROR, which is also an acknowledgement.
const ERROR: u16 = 2;
const TCP: u8 = 6;
/// A header of 16 octets and `struct inet_diag_req_v2` of 56.
const LENGTH: u32 = 72;

/// Ends the connection between these two addresses, of which the first is ours. One that is gone already is no error.
///
/// # Errors
/// What the kernel says.
pub(crate) fn destroy(ours: SocketAddr, theirs: SocketAddr) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let diag = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(diag.as_raw_fd(), &request(ours, theirs), &kernel, MsgFlags::empty())?;
    // The kernel has answered when it returns from taking the request.
    let mut answer = [0; 256];
    let length = recv(diag.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    match outcome(answer.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(error) if Errno::from_raw(-error) == Errno::ENOENT => Ok(()),
        Some(error) => Err(Errno::from_raw(-error)),
        None => Err(Errno::EPROTO),
    }
}

/// The error number of an acknowledgement, negative; 0 is none.
fn outcome(answer: &[u8]) -> Option<i32> {
    let kind = answer.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    let error = answer.get(16..20)?.try_into().ok().map(i32::from_ne_bytes)?;
    (kind == ERROR).then_some(error)
}

fn request(ours: SocketAddr, theirs: SocketAddr) -> Vec<u8> {
    let family = if ours.ip().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let mut request = Vec::with_capacity(LENGTH as usize);
    // struct nlmsghdr
    request.extend(LENGTH.to_ne_bytes());
    request.extend(SOCK_DESTROY.to_ne_bytes());
    request.extend(REQUEST_ACK.to_ne_bytes());
    request.extend([0; 8]);
    // struct inet_diag_req_v2: family, protocol, no extensions, every state
    request.extend([u8::try_from(family as i32).unwrap_or_default(), TCP, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes());
    // struct inet_diag_sockid
    request.extend(ours.port().to_be_bytes());
    request.extend(theirs.port().to_be_bytes());
    request.extend(sixteen(ours.ip()));
    request.extend(sixteen(theirs.ip()));
    // Whatever the interface (0), whatever the cookie.
    request.extend([0; 4]);
    request.extend([u8::MAX; 8]);
    request
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let mut octets = [0; 16];
            octets.iter_mut().zip(address.octets()).for_each(|(octet, of)| *octet = of);
            octets
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::original_dst::canonical;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        let (v4, v6) = ("192.0.2.1:110".parse().unwrap(), "[2001:db8::1]:995".parse().unwrap());
        assert_eq!(request(v4, v4).len(), 72);
        assert_eq!(request(v6, v6).len(), 72);
        assert_eq!(outcome(&[0; 10]), None);
    }

    #[test]
    fn a_connection_ends_at_both_of_its_ends_also_behind_a_listener_of_both_families() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        for (listen, connect) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let listener = TcpListener::bind(listen).unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut client = TcpStream::connect((connect.parse::<IpAddr>().unwrap(), port)).unwrap();
            let (mut held, peer) = listener.accept().unwrap();
            let ours = canonical(held.local_addr().unwrap());
            destroy(ours, canonical(peer)).unwrap();
            for stream in [&mut held, &mut client] {
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let read = stream.read(&mut [0]);
                let gone = match &read {
                    Ok(count) => *count == 0,
                    Err(error) => {
                        !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
                    }
                };
                assert!(gone, "{listen}: {read:?}");
            }
            destroy(ours, canonical(peer)).unwrap();
        }
    }
}
