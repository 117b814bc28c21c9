//! `[[listener]]`: where clients come in, and what they are told before they log in.
use super::document::Document;
use super::tls;
use super::{LoadOptions, Named, Place};
use crate::host::socket_address;
use crate::list::NameList;
use crate::model::{Listener, Transparent, Welcome};
use crate::names::Protocol;
use crate::read::{Item, Table};
use crate::tls::{ClientMode, ClientTls};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of a greeting: a line of POP3 has 512 (RFC 2449 section 4).
const MAX_GREETING: usize = 400;

pub(super) fn listeners(
    document: &mut Document<'_>,
    tenants: &Named<String>,
    client_tls: &Named<ClientTls>,
    options: LoadOptions,
) -> Named<Listener> {
    let sink = document.sink;
    let mut listeners: Named<Listener> = Named::new();
    for mut table in
        document.some_tables("listener", "there is no [[listener]]", "write one, with protocol = \"pop3\"")
    {
        let errors = sink.errors();
        let at = table.at.clone();
        let name = table.take("name").and_then(|item| item.filled());
        let protocol = table
            .require("protocol", "write protocol = \"imap\" or protocol = \"pop3\"")
            .and_then(|item| item.choice("listener", super::conditions::PROTOCOLS))
            .unwrap_or(Protocol::Pop3);
        let (tls, client_tls) = tls::of_listener(&mut table, client_tls);
        let port = protocol.port(tls == ClientMode::Implicit);
        let addresses = match table.take("address") {
            Some(item) => {
                let mut addresses = Vec::new();
                for (item, text) in item.some_strings().unwrap_or_default() {
                    addresses.extend(listen_address(&item, text, port, options));
                }
                addresses
            }
            None => every_address(port).to_vec(),
        };
        let given = table.take("tenant");
        let tenant = match table.tenant() {
            Some(own) => {
                if let Some(item) = given {
                    item.error(super::conditions::OWN_TENANT, "remove it");
                }
                Some(tenants.index_of(own))
            }
            None => given.and_then(|item| tenants.find(&item, "tenant", item.filled()?)),
        };
        let tenant = tenant.unwrap_or(0);
        let transparent = table.take("transparent").and_then(|item| transparent(&item, port));
        let port = addresses.first().map_or(port, SocketAddr::port);
        let name = name.map_or_else(|| format!("{protocol}-{port}"), str::to_owned);
        let welcome = welcome(&mut table, protocol);
        table.finish();
        let listener = Listener {
            name: name.clone(),
            protocol,
            addresses,
            tenant,
            tls,
            client_tls,
            transparent,
            welcome,
        };
        listeners.push(sink, "listener", name, Place::read(sink, errors, at), listener);
    }
    listeners
}

/// `greeting` and `capabilities`.
fn welcome(table: &mut Table<'_>, protocol: Protocol) -> Welcome {
    let greeting = table.take("greeting").and_then(|item| {
        let text = item.filled()?;
        let inside = text.replace("{hostname}", "");
        let plain = text.len() <= MAX_GREETING && text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
        // `[` would begin a response code, `<` the timestamp of APOP; other braces are a mistyped name.
        if !plain || inside.contains(['[', '<', '{', '}']) || text.starts_with(' ') {
            item.error(
                format!("this is no greeting: at most {MAX_GREETING} letters of ASCII without [ < {{ }}"),
                "write greeting = \"{hostname} ready\"",
            );
            return None;
        }
        Some(text.to_owned())
    });
    let Some(item) = table.take("capabilities") else {
        return Welcome { greeting: greeting.unwrap_or_default(), ..Welcome::default() };
    };
    let items = item.strings().unwrap_or_default();
    for (item, text) in &items {
        if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            item.error(format!("`{text}` is no name of a capability"), "write \"SASL-IR\" or \"AUTH=PLAIN\"");
        }
    }
    let capabilities = NameList::new(items.iter().map(|(_, text)| *text));
    if protocol == Protocol::Pop3 && !capabilities.allows("USER") && !capabilities.allows("SASL") {
        item.error("without USER and SASL nobody can log in", "add \"USER\" or \"SASL\"");
    }
    Welcome { greeting: greeting.unwrap_or_default(), capabilities }
}

/// `port`: the one that is redirected where none is written.
fn transparent(item: &Item<'_>, port: u16) -> Option<Transparent> {
    let mut table = item.table("listener.transparent")?;
    let redirect = table
        .require(
            "method",
            "write method = \"redirect\", or \"none\" where your own rules bring the connections",
        )
        .and_then(|item| {
            item.choice("listener.transparent", &[("redirect", true), ("none", false), ("tproxy", true)])
        })
        .unwrap_or(true);
    let ports = table.take("ports");
    let interfaces = table.take("interfaces");
    if !redirect {
        for item in ports.iter().chain(&interfaces) {
            table.sink.warn(
                &item.key_at,
                format!("`{}` has no effect with method = \"none\"", item.key),
                "remove it, or write method = \"redirect\"",
            );
        }
    }
    let ports = match ports {
        Some(item) => {
            let mut ports = Vec::new();
            for (item, text) in item.some_strings().unwrap_or_default() {
                match port_range(text) {
                    Some(range) => ports.push(range),
                    None => item.error(
                        format!("`{text}` is neither a port nor a range of ports"),
                        "write \"110\" or \"1100-1110\"",
                    ),
                }
            }
            ports
        }
        None => vec![(port, port)],
    };
    let interfaces = interfaces.and_then(|item| item.strings()).unwrap_or_default();
    let mut names = Vec::new();
    for (item, name) in interfaces {
        // The kernel's rule (IFNAMSIZ 16 with the closing NUL, no blank, no slash); the name goes into a rule.
        let plain = name.bytes().all(|octet| octet.is_ascii_graphic() && !b"/\"\\*".contains(&octet));
        if name.len() < 16 && plain {
            names.push(name.to_owned());
        } else {
            item.error(
                format!("`{name}` is not the name of an interface"),
                "write a name that `ip link` shows",
            );
        }
    }
    table.finish();
    Some(Transparent { redirect, ports, interfaces: names })
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range: (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (range.0 > 0 && range.0 <= range.1).then_some(range)
}

/// `*`: both families, each with a socket of its own (the IPv6 one takes IPv6 only).
fn every_address(port: u16) -> [SocketAddr; 2] {
    [
        SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
    ]
}

fn listen_address(item: &Item<'_>, text: &str, port: u16, options: LoadOptions) -> Vec<SocketAddr> {
    const FORM: &str = "write \"192.0.2.1:110\", \"[2001:db8::1]:110\", \"[::]:110\" or \"*:110\"";
    for later in ["unix:", "systemd:", "iface:"] {
        if text.starts_with(later) {
            item.error(format!("the address form `{later}` is not in this version"), FORM);
            return Vec::new();
        }
    }
    let addresses = if text == "*" {
        every_address(port).to_vec()
    } else if let Some(port) = text.strip_prefix("*:") {
        if port.contains('-') {
            item.error("a range of ports is not in this version", "write one address for each port");
            return Vec::new();
        }
        port.parse().map(|port| every_address(port).to_vec()).unwrap_or_default()
    } else if let Some(address) = socket_address(text, port) {
        vec![address]
    } else {
        Vec::new()
    };
    if addresses.is_empty() {
        item.error(format!("`{text}` is not an address to listen on"), FORM);
    } else if !options.demo && addresses.iter().any(|address| address.port() == 0) {
        item.error("port 0 is no port to listen on", FORM);
    }
    addresses
}
