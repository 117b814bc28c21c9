//! Connects to servers: which candidate first, which address is never dialled, how long to wait. The addresses come
//! from the configuration, from NAT or from lookup.
use crate::event_loop::Event;
use crate::listener::tune;
use ipc::ids::SessionId;
use ipc::supervisor_worker::NoServer;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

/// How long an item of `plug-to` that failed is tried last.
const RESTS: Duration = Duration::from_secs(10);

/// One place to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Address and port.
    pub(crate) address: SocketAddr,
    /// The `plug-to` item that it came from; `None`: the original destination.
    pub(crate) item: Option<u16>,
    /// The host name of that item, where it is one.
    pub(crate) name: Option<String>,
}

impl Target {
    /// What the index of changed mails calls this server: the name as it is configured, which survives a change of its
    /// address, or the address.
    pub(crate) fn key(&self) -> String {
        match &self.name {
            Some(host) => format!("{host}:{}", self.address.port()),
            None => self.address.to_string(),
        }
    }
}

/// A connected server.
#[derive(Debug)]
pub(crate) struct Dialled {
    /// The connection.
    pub(crate) socket: OwnedFd,
    /// Our end of it.
    pub(crate) from: SocketAddr,
    /// Where it leads.
    pub(crate) target: Target,
}

/// Whose turn it is among the items of each rule, and which of them failed lately. Pure.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    turns: HashMap<u16, usize>,
    failed: HashMap<(u16, u16), Instant>,
}

impl Balance {
    /// Puts candidates in the order in which they are dialled: items take turns, those that failed lately come last;
    /// addresses of one item stay as lookup ordered them.
    pub(crate) fn order(&mut self, rule: u16, items: usize, targets: &mut [Target], now: Instant) {
        if items == 0 {
            return;
        }
        let turn = self.turns.entry(rule).or_default();
        let first = *turn % items;
        *turn = turn.wrapping_add(1);
        targets.sort_by_key(|target| {
            let item = target.item.unwrap_or(0);
            let rests =
                self.failed.get(&(rule, item)).is_some_and(|since| now.duration_since(*since) < RESTS);
            (rests, (usize::from(item) + items - first) % items)
        });
    }

    /// Remembers the items that could not be reached, and forgets that of the one that could.
    pub(crate) fn outcome(&mut self, rule: u16, failed: &[u16], reached: Option<u16>, now: Instant) {
        for item in failed {
            self.failed.insert((rule, *item), now);
        }
        if let Some(item) = reached {
            self.failed.remove(&(rule, item));
        }
    }
}

/// The addresses that this service itself listens on: dialling one would be a loop.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnAddresses {
    listeners: Vec<SocketAddr>,
}

impl OwnAddresses {
    /// Of the addresses that were bound.
    pub(crate) fn new(listeners: Vec<SocketAddr>) -> Self {
        Self { listeners: listeners.into_iter().map(crate::original_dst::canonical).collect() }
    }

    /// Whether a connection to this address would come back to us.
    pub(crate) fn contain(&self, address: SocketAddr) -> bool {
        self.contain_where(address, is_local)
    }

    fn contain_where(&self, address: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> bool {
        let address = crate::original_dst::canonical(address);
        self.listeners.iter().any(|own| {
            own.port() == address.port()
                && (own.ip() == address.ip()
                    // Connecting to the unspecified address reaches this machine.
                    || address.ip().is_unspecified()
                    || (own.ip().is_unspecified() && is_local(address.ip())))
        })
    }
}

/// Whether an address belongs to this machine. When the kernel does not say, only loopback counts: the connection would
/// then be stopped by `max-sessions-per-client` at the latest.
fn is_local(ip: IpAddr) -> bool {
    if ip.is_loopback() {
        return true;
    }
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return false };
    interfaces.filter_map(|interface| interface.address).any(|address| {
        address.as_sockaddr_in().is_some_and(|v4| IpAddr::from(v4.ip()) == ip)
            || address.as_sockaddr_in6().is_some_and(|v6| IpAddr::from(v6.ip()) == ip)
    })
}

/// Dials the targets in order, each for at most `timeout`, and reports the first connection.
pub(crate) async fn dial(
    session: SessionId,
    targets: Vec<Target>,
    timeout: Duration,
    events: mpsc::Sender<Event>,
) {
    let mut failed = Vec::new();
    let mut failures = Vec::new();
    let mut why = NoServer::TimedOut;
    let mut server = None;
    for target in targets {
        match tokio::time::timeout(timeout, connect(target.address)).await {
            Ok(Ok((socket, from))) => {
                server = Some(Dialled { socket, from, target });
                break;
            }
            Ok(Err(error)) => {
                why = NoServer::Unreachable;
                failed.extend(target.item);
                failures.push((target.address, error.to_string()));
            }
            Err(_) => {
                failed.extend(target.item);
                failures.push((target.address, "silent until connect-timeout".to_owned()));
            }
        }
    }
    let outcome = server.ok_or(why);
    let _ = events.send(Event::Dialled { session, outcome, failed, failures }).await;
}

async fn connect(address: SocketAddr) -> std::io::Result<(OwnedFd, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let stream = socket.connect(address).await?;
    let from = stream.local_addr()?;
    let socket = OwnedFd::from(stream.into_std()?);
    tune(&socket)?;
    Ok((socket, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(items: &[u16]) -> Vec<Target> {
        items
            .iter()
            .map(|item| Target {
                address: ([192, 0, 2, 1], 110 + item).into(),
                item: Some(*item),
                name: None,
            })
            .collect()
    }

    fn order(balance: &mut Balance, now: Instant) -> Vec<u16> {
        let mut targets = targets(&[0, 1, 2]);
        balance.order(4, 3, &mut targets, now);
        targets.iter().filter_map(|target| target.item).collect()
    }

    #[test]
    fn items_take_turns() {
        let mut balance = Balance::default();
        let now = Instant::now();
        assert_eq!(order(&mut balance, now), [0, 1, 2]);
        assert_eq!(order(&mut balance, now), [1, 2, 0]);
        assert_eq!(order(&mut balance, now), [2, 0, 1]);
        assert_eq!(order(&mut balance, now), [0, 1, 2]);
    }

    #[test]
    fn an_item_that_failed_rests_and_then_comes_back() {
        let mut balance = Balance::default();
        let now = Instant::now();
        balance.outcome(4, &[0], None, now);
        assert_eq!(order(&mut balance, now), [1, 2, 0]);
        assert_eq!(order(&mut balance, now), [1, 2, 0]);
        balance.turns.clear();
        assert_eq!(order(&mut balance, now + RESTS), [0, 1, 2]);
        balance.turns.clear();
        balance.outcome(4, &[], Some(0), now);
        assert_eq!(order(&mut balance, now), [0, 1, 2]);
    }

    #[test]
    fn a_server_that_is_silent_is_left_for_the_next_after_the_timeout() {
        use std::net::{TcpListener, TcpStream};
        let silent = crate::listener::open("127.0.0.1:0".parse().unwrap(), false, 1).unwrap();
        let silent = (silent.local_addr().unwrap(), silent);
        // Nobody accepts: once its backlog is full the kernel answers no more.
        let one_more = || TcpStream::connect_timeout(&silent.0, Duration::from_secs(1)).ok();
        let waiting: Vec<TcpStream> = std::iter::from_fn(one_more).collect();
        assert!(!waiting.is_empty());
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let places = [silent.0, good.local_addr().unwrap()];
        let targets =
            (0..).zip(places).map(|(item, address)| Target { address, item: Some(item), name: None });
        let (events, mut inbox) = mpsc::channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(dial(SessionId(1), targets.collect(), Duration::from_millis(50), events));
        let Ok(Event::Dialled { outcome: Ok(server), failed, failures, .. }) = inbox.try_recv() else {
            panic!("no server");
        };
        assert_eq!(server.target.address, places[1]);
        assert_eq!(failed, [0]);
        assert_eq!(failures, [(silent.0, "silent until connect-timeout".to_owned())]);
    }

    #[test]
    fn our_own_listeners_are_never_dialled() {
        let own = OwnAddresses::new(vec![
            "10.0.0.1:110".parse().unwrap(),
            "[::]:10110".parse().unwrap(),
            "0.0.0.0:20110".parse().unwrap(),
        ]);
        let ours = |ip: IpAddr| ip == IpAddr::from([10, 0, 0, 1]) || ip.is_loopback();
        for (address, expected) in [
            ("10.0.0.1:110", true),
            ("[::ffff:10.0.0.1]:110", true),
            ("10.0.0.2:110", false),
            ("10.0.0.1:111", false),
            ("127.0.0.1:10110", true),
            ("[::1]:10110", true),
            ("192.0.2.1:10110", false),
            ("0.0.0.0:110", true),
            ("127.0.0.9:20110", true),
        ] {
            assert_eq!(own.contain_where(address.parse().unwrap(), ours), expected, "{address}");
        }
    }
}
