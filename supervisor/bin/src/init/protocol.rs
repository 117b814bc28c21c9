//! The protocols of a first configuration, told by their ports.

/// POP3 or IMAP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    /// As the configuration says it.
    pub(super) name: &'static str,
    /// As people say it.
    pub(super) told: &'static str,
    /// The port without TLS.
    pub(super) clear: u16,
    /// The port with implicit TLS.
    pub(super) tls: u16,
    /// How its servers begin.
    pub(super) greets: &'static str,
}

/// In the order of the file.
pub(super) const ALL: [Protocol; 2] = [
    Protocol { name: "imap", told: "IMAP", clear: 143, tls: 993, greets: "* " },
    Protocol { name: "pop3", told: "POP3", clear: 110, tls: 995, greets: "+OK" },
];

/// What to say about another port.
pub(super) const PORTS: &str = "write address:port, with a port that ends in 143 or 993 for IMAP, in 110 or 995 for POP3; \
                                any other can be written in the file";

/// The usual ports, in their order.
pub(super) fn ports() -> impl Iterator<Item = u16> {
    [110, 143, 993, 995].into_iter()
}

/// The protocol of a place where clients connect: that of a port which ends as one of its own (1993, 2110).
pub(super) fn of(place: &str) -> Option<&'static Protocol> {
    let end = port(place)? % 1000;
    ALL.iter().find(|protocol| [protocol.clear, protocol.tls].contains(&end))
}

/// The protocol of a server that has a port; POP3 where that tells nothing.
pub(super) fn with_port(server: &str) -> Option<&'static Protocol> {
    port(server)?;
    let [_, pop3] = &ALL;
    Some(of(server).unwrap_or(pop3))
}

/// The port behind a host or an address; an IPv6 address that has one is in brackets.
pub(super) fn port(place: &str) -> Option<u16> {
    let (host, port) = place.rsplit_once(':')?;
    (!host.contains(':') || host.ends_with(']')).then(|| port.parse().ok()).flatten()
}
