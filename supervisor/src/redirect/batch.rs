//! The redirection as nftables text: one line, which is one transaction. Pure; made of the checked policy and of
//! addresses that were bound, never of anything a peer sent.
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The table that is ours; nothing outside it is touched.
pub(crate) const TABLE: &str = "inet mailward";

/// What one listener wants redirected to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name, for errors.
    pub(crate) listener: String,
    /// Ports that clients dial: ranges, both ends included.
    pub(crate) ports: Vec<(u16, u16)>,
    /// Interfaces that clients come in by; empty: every one.
    pub(crate) interfaces: Vec<String>,
    /// Where the listener was bound, with the port that it has.
    pub(crate) bound: Vec<SocketAddr>,
    /// Whether its socket on `[::]` takes IPv4 too.
    pub(crate) dual_stack: bool,
    /// Where other listeners wait for clients that dial them: connections to these places are not redirected.
    pub(crate) direct: Vec<SocketAddr>,
}

/// The batch, and how many rules it has.
///
/// Only connections that arrive from outside pass the prerouting hook: the ones that Mailward itself makes to servers
/// are never redirected.
///
/// # Errors
/// A sentence, when a listener is bound where redirected connections cannot arrive.
pub(crate) fn batch(wanted: &[Wanted]) -> Result<(String, usize), String> {
    let mut rules = String::new();
    let mut count = 0;
    for listener in wanted {
        let targets = targets(listener)?;
        for end in direct(listener).into_iter().chain(targets.into_iter().flatten()) {
            let _ = write!(rules, " add rule {TABLE} prerouting");
            if !listener.interfaces.is_empty() {
                let names: Vec<String> =
                    listener.interfaces.iter().map(|name| format!("\"{name}\"")).collect();
                let _ = write!(rules, " iifname {{ {} }}", names.join(", "));
            }
            let _ = write!(rules, "{end};");
            count += 1;
        }
    }
    // `create`, unlike `add`, fails where somebody has made the table before.
    let batch = format!(
        "create table {TABLE} {{ flags owner; }}; \
         add chain {TABLE} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }};{rules}"
    );
    Ok((batch, count))
}

/// One rule end for each family that the listener can take: an address of its own if it is bound to one, else whatever
/// address the interface has.
fn targets(listener: &Wanted) -> Result<[Option<String>; 2], String> {
    let ports = ports(&listener.ports);
    let mut v4 = None;
    let mut v6 = None;
    for address in &listener.bound {
        let port = address.port();
        if address.ip().is_loopback() {
            return Err(format!(
                "listener \"{}\" is bound to {address}, where redirected connections cannot arrive: \
                 bind it to \"*:{port}\" or to an address that clients reach",
                listener.listener
            ));
        }
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                v4 = Some(format!(" meta nfproto ipv4 tcp dport {ports} redirect to :{port}"));
            }
            IpAddr::V4(ip) => {
                v4.get_or_insert(format!(" meta nfproto ipv4 tcp dport {ports} dnat ip to {ip}:{port}"));
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                v6 = Some(format!(" meta nfproto ipv6 tcp dport {ports} redirect to :{port}"));
                if listener.dual_stack {
                    v4.get_or_insert(format!(" meta nfproto ipv4 tcp dport {ports} redirect to :{port}"));
                }
            }
            IpAddr::V6(ip) => {
                v6.get_or_insert(format!(" meta nfproto ipv6 tcp dport {ports} dnat ip6 to [{ip}]:{port}"));
            }
        }
    }
    Ok([v4, v6])
}

/// Rule ends for the clients that dial another listener itself, on a port that is redirected here.
fn direct(listener: &Wanted) -> Vec<String> {
    let redirected = |port: u16| listener.ports.iter().any(|(first, last)| (*first..=*last).contains(&port));
    let ends = listener.direct.iter().filter(|address| redirected(address.port())).map(|address| {
        let port = address.port();
        match address.ip() {
            // Whatever address of this machine: all of them are the listener's.
            IpAddr::V4(ip) if ip.is_unspecified() => {
                format!(" meta nfproto ipv4 fib daddr type local tcp dport {port} accept")
            }
            IpAddr::V6(ip) if ip.is_unspecified() => format!(" fib daddr type local tcp dport {port} accept"),
            IpAddr::V4(ip) => format!(" ip daddr {ip} tcp dport {port} accept"),
            IpAddr::V6(ip) => format!(" ip6 daddr {ip} tcp dport {port} accept"),
        }
    });
    ends.collect()
}

/// A set of ports. Overlapping ranges are merged: nft refuses them.
fn ports(ranges: &[(u16, u16)]) -> String {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match merged.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
            Some(_) | None => merged.push((first, last)),
        }
    }
    let written: Vec<String> = merged
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    format!("{{ {} }}", written.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(bound: &[&str]) -> Wanted {
        Wanted {
            listener: "pop3".into(),
            ports: vec![(110, 110)],
            interfaces: vec!["lan0".into(), "lan1".into()],
            bound: bound.iter().map(|address| address.parse().unwrap()).collect(),
            dual_stack: false,
            direct: Vec::new(),
        }
    }

    #[test]
    fn who_dials_another_listener_itself_is_not_redirected() {
        let places = ["0.0.0.0:110", "192.0.2.1:110", "[2001:db8::1]:110", "[::]:110", "0.0.0.0:995"];
        let direct = places.iter().map(|address| address.parse().unwrap()).collect();
        let (text, rules) = batch(&[Wanted { direct, ..wanted(&["0.0.0.0:10110"]) }]).unwrap();
        let expected = [
            "meta nfproto ipv4 fib daddr type local tcp dport 110 accept;",
            "ip daddr 192.0.2.1 tcp dport 110 accept;",
            "ip6 daddr 2001:db8::1 tcp dport 110 accept;",
            "fib daddr type local tcp dport 110 accept;",
            "meta nfproto ipv4 tcp dport { 110 } redirect to :10110;",
        ];
        let begin = "add rule inet mailward prerouting iifname { \"lan0\", \"lan1\" }";
        let expected = expected.map(|end| format!("{begin} {end}")).join(" ");
        assert!(text.ends_with(&expected), "{text}");
        assert_eq!(rules, 5, "a port that is not redirected needs none");
    }

    #[test]
    fn a_listener_on_every_address_takes_both_families_by_the_interface_s_address() {
        insta::assert_snapshot!(batch(&[wanted(&["0.0.0.0:10110", "[::]:10110"])]).unwrap().0, @r#"create table inet mailward { flags owner; }; add chain inet mailward prerouting { type nat hook prerouting priority dstnat; policy accept; }; add rule inet mailward prerouting iifname { "lan0", "lan1" } meta nfproto ipv4 tcp dport { 110 } redirect to :10110; add rule inet mailward prerouting iifname { "lan0", "lan1" } meta nfproto ipv6 tcp dport { 110 } redirect to :10110;"#);
    }

    #[test]
    fn a_listener_on_one_address_takes_its_family_at_that_address() {
        let (text, rules) = batch(&[wanted(&["192.0.2.1:10110"])]).unwrap();
        assert!(text.ends_with("meta nfproto ipv4 tcp dport { 110 } dnat ip to 192.0.2.1:10110;"), "{text}");
        assert_eq!(rules, 1);
        let (text, _) = batch(&[wanted(&["[2001:db8::1]:10110"])]).unwrap();
        assert!(
            text.ends_with("meta nfproto ipv6 tcp dport { 110 } dnat ip6 to [2001:db8::1]:10110;"),
            "{text}"
        );
    }

    #[test]
    fn a_dual_stack_listener_takes_ipv4_too() {
        let dual = Wanted { dual_stack: true, ..wanted(&["[::]:10110"]) };
        assert_eq!(batch(&[dual]).unwrap().1, 2);
        assert_eq!(batch(&[wanted(&["[::]:10110"])]).unwrap().1, 1);
    }

    #[test]
    fn a_listener_on_loopback_is_refused_with_the_remedy() {
        assert!(batch(&[wanted(&["127.0.0.1:10110"])]).unwrap_err().contains("*:10110"));
    }

    #[test]
    fn overlapping_and_adjacent_ports_become_one_range() {
        assert_eq!(ports(&[(1100, 1110), (110, 110), (1105, 1120), (111, 111)]), "{ 110-111, 1100-1120 }");
        assert_eq!(ports(&[(1, 65535), (65535, 65535)]), "{ 1-65535 }");
    }
}
