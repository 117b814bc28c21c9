//! Looks around: what of a first configuration can be known without asking. Nothing is changed, and nothing is sent
//! but the engines' own "are you there".
use super::protocol::{self, Protocol};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// How long one place may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long all names together may take.
const SOON: Duration = Duration::from_secs(3);

/// What was found.
pub(super) struct Found {
    pub(super) clamd: Option<Clamd>,
    rspamd: bool,
    /// Certificates with their keys.
    pub(super) certificates: Vec<(PathBuf, PathBuf)>,
    /// A server of either protocol.
    pub(super) server: Option<String>,
    /// The networks that this machine is in.
    pub(super) networks: Vec<String>,
    /// The usual ports that nobody has on this machine.
    pub(super) free: Vec<u16>,
}

/// A running clamd.
pub(super) struct Clamd {
    pub(super) place: String,
    pub(super) version: String,
}

/// Looks everywhere.
pub(super) fn everything() -> Found {
    Found {
        clamd: clamd(),
        rspamd: rspamd(),
        certificates: certificates(Path::new("/etc/letsencrypt/live")),
        server: server_soon(),
        networks: networks(),
        free: protocol::ports().filter(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()).collect(),
    }
}

impl Found {
    /// For the operator, a line each.
    pub(super) fn told(&self) -> String {
        let clamd = self.clamd.as_ref().map_or_else(
            || "not found; Debian: apt-get install clamav-daemon".to_owned(),
            |clamd| format!("{} at {}", clamd.version, clamd.place),
        );
        let rspamd = if self.rspamd {
            "127.0.0.1:11333; [antispam.rspamd] in the file asks it for scores"
        } else {
            "not found"
        };
        let certificates: Vec<String> =
            self.certificates.iter().map(|(path, _)| path.display().to_string()).collect();
        let certificates = match certificates.join(", ") {
            none if none.is_empty() => "none; --certificate and --key name one".to_owned(),
            some => some,
        };
        let server = self.server.as_deref().unwrap_or("not found");
        let taken: Vec<String> =
            protocol::ports().filter(|port| !self.free.contains(port)).map(|port| port.to_string()).collect();
        let ports = match taken.as_slice() {
            [] => "110, 143, 993 and 995 are free".to_owned(),
            taken => format!("taken by other programs: {}", taken.join(", ")),
        };
        format!(
            "  clamd         {clamd}\n  rspamd        {rspamd}\n  certificates  {certificates}\n  \
             mail server   {server}\n  ports         {ports}\n\n"
        )
    }
}

fn clamd() -> Option<Clamd> {
    let paths = supervisor::CLAMD_PATHS.iter().find_map(|path| {
        let stream = UnixStream::connect(path).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Clamd { place: (*path).to_owned(), version: version(stream)? })
    });
    paths.or_else(|| {
        let (host, port) = supervisor::CLAMD_PORT;
        let address = SocketAddr::new(host.parse().ok()?, port);
        let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Clamd { place: address.to_string(), version: version(stream)? })
    })
}

/// "ClamAV 1.4.3", of "ClamAV 1.4.3/27817/Mon Nov 23 09:26:23 2026".
fn version(mut stream: impl Read + Write) -> Option<String> {
    stream.write_all(b"zVERSION\0").ok()?;
    let answer = first_octets(stream);
    let version = answer.split(['/', '\0']).next()?.trim();
    (version.starts_with("ClamAV") && version.len() < 64).then(|| version.to_owned())
}

/// What a peer says first; printable.
fn first_octets(mut stream: impl Read) -> String {
    let mut octets = [0; 256];
    let length = stream.read(&mut octets).unwrap_or(0);
    let text = String::from_utf8_lossy(octets.get(..length).unwrap_or_default()).into_owned();
    text.chars().filter(|c| !c.is_control() || matches!(c, '\0' | '\r' | '\n')).collect()
}

fn rspamd() -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], 11333));
    TcpStream::connect_timeout(&address, PATIENCE).is_ok_and(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE)).is_ok()
            && stream.write_all(b"GET /ping HTTP/1.0\r\n\r\n").is_ok()
            && first_octets(stream).contains("200")
    })
}

/// Certificates where certbot puts them, by their folders.
fn certificates(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let pairs = entries.map(|entry| ["fullchain.pem", "privkey.pem"].map(|name| entry.path().join(name)));
    let mut found: Vec<(PathBuf, PathBuf)> =
        pairs.filter(|[cert, key]| cert.exists() && key.exists()).map(|[cert, key]| (cert, key)).collect();
    found.sort();
    found
}

/// The domains that this machine is in, as its own name and its resolver have them.
fn own_domains() -> Vec<String> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let own = host.split_once('.').map(|(_, domain)| domain.to_owned());
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let searched = resolver.lines().filter_map(|line| {
        let rest = line.strip_prefix("search ").or_else(|| line.strip_prefix("domain "))?;
        rest.split_whitespace().next().map(str::to_owned)
    });
    let mut domains: Vec<String> = own.into_iter().chain(searched).collect();
    domains.dedup();
    domains.truncate(2);
    domains
}

/// A server that answers soon: a resolver that does not must not make the operator wait.
fn server_soon() -> Option<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = tell.send(server(&own_domains()));
    });
    told.recv_timeout(SOON).ok().flatten()
}

/// Whether a server speaks these protocols by implicit TLS, at its own port or their usual ones, with certificates that the
/// system's authorities verify.
pub(super) fn offers_tls(server: &str, protocols: &[&Protocol]) -> bool {
    let (tell, told) = mpsc::channel();
    let own = protocol::port(server);
    let host = own.and_then(|_| server.rsplit_once(':')).map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let ports: Vec<u16> = protocols.iter().map(|it| own.unwrap_or(it.tls)).collect();
    std::thread::spawn(move || {
        let _ = tell.send(ports.iter().all(|port| crate::probe::is_verified(&host, *port)));
    });
    told.recv_timeout(SOON).unwrap_or(false)
}

/// A server on this machine, or with a usual name in one of these domains.
fn server(domains: &[String]) -> Option<String> {
    let names =
        domains.iter().flat_map(|domain| ["mail", "imap", "pop"].map(|host| format!("{host}.{domain}")));
    let mut places = std::iter::once("127.0.0.1".to_owned()).chain(names);
    places.find(|place| protocol::ALL.iter().any(|protocol| greets(place, protocol)))
}

fn greets(place: &str, protocol: &Protocol) -> bool {
    let addresses = (place, protocol.clear).to_socket_addrs();
    addresses.into_iter().flatten().take(2).any(|address| {
        TcpStream::connect_timeout(&address, PATIENCE).is_ok_and(|stream| {
            stream.set_read_timeout(Some(PATIENCE)).is_ok()
                && first_octets(stream).starts_with(protocol.greets)
        })
    })
}

/// This machine, and every network that it has an address in.
fn networks() -> Vec<String> {
    let mut networks = vec!["127.0.0.0/8".to_owned(), "::1".to_owned()];
    for interface in getifaddrs().into_iter().flatten() {
        if interface.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let (Some(address), Some(mask)) = (interface.address, interface.netmask) else { continue };
        let v4 = address.as_sockaddr_in().zip(mask.as_sockaddr_in());
        let v6 = address.as_sockaddr_in6().zip(mask.as_sockaddr_in6());
        let network = match (v4, v6) {
            (Some((address, mask)), _) => {
                let bits = u32::from(mask.ip());
                let network = u32::from(address.ip()) & bits;
                Some((IpAddr::V4(network.into()), bits.count_ones()))
            }
            (None, Some((address, mask))) if !address.ip().is_unicast_link_local() => {
                let bits = u128::from(mask.ip());
                let network = u128::from(address.ip()) & bits;
                Some((IpAddr::V6(network.into()), bits.count_ones()))
            }
            (None, _) => None,
        };
        if let Some((network, prefix)) = network {
            networks.push(format!("{network}/{prefix}"));
        }
    }
    networks.sort_by_key(|network| network.starts_with("127.") || network == "::1");
    networks.dedup();
    networks
}
