//! Who sent a mail, by what its header says of its way: for filters that judge by it. The proxy's own peer is the mail
//! server, or the user, and says nothing.
//!
//! Servers put their `Received` on top, so what the own servers wrote stands above what a sender could have forged. The
//! first hop from a public address is where the mail came in from outside; hops above it are between the own servers.
use std::net::IpAddr;

/// Hops that are looked at.
const MAX_HOPS: usize = 32;

/// What is known of a mail's way. Everything printable and without blanks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The address that it came in from.
    pub ip: Option<IpAddr>,
    /// The name that its sender gave there.
    pub helo: Option<String>,
    /// `Return-Path`: the envelope's sender.
    pub from: Option<String>,
    /// `Delivered-To` or `X-Original-To`: the envelope's recipient.
    pub to: Option<String>,
}

impl Envelope {
    /// Reads the fields of a header, in order.
    pub fn read(fields: &[(&str, &str)]) -> Self {
        let first = |name: &str| {
            let field = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
            field.and_then(|(_, value)| address(value))
        };
        let received = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("received"));
        let hop = received
            .take(MAX_HOPS)
            .map(|(_, value)| Hop::read(value))
            .find(|hop| hop.ip.is_some_and(is_public));
        let Hop { ip, helo } = hop.unwrap_or_default();
        Self {
            ip,
            helo,
            from: first("return-path"),
            to: first("delivered-to").or_else(|| first("x-original-to")),
        }
    }
}

#[derive(Default)]
struct Hop {
    ip: Option<IpAddr>,
    helo: Option<String>,
}

impl Hop {
    /// `from mail.example.org (name [192.0.2.1]) by mx.example.net ...` (RFC 5321 section 4.4).
    fn read(received: &str) -> Self {
        let Some(rest) = received.trim().strip_prefix("from ") else { return Self::default() };
        let from = rest.split(" by ").next().unwrap_or(rest);
        let helo = from.split_ascii_whitespace().next().and_then(word);
        // What stands in parentheses is what the server saw; a literal as the name is what the client said.
        let seen = from.split_once('(').map(|(_, seen)| seen);
        let ip = seen.and_then(|seen| {
            seen.split('[').skip(1).find_map(|literal| {
                let literal = literal.split(']').next()?;
                let literal = literal.strip_prefix("IPv6:").unwrap_or(literal);
                literal.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
            })
        });
        Self { ip, helo }
    }
}

/// Whether it can be the address of somebody outside.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && (64..128).contains(&second);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

/// An address, in angle brackets or bare.
fn address(value: &str) -> Option<String> {
    let value = value.trim();
    let bare = value.rsplit_once('<').map_or(value, |(_, rest)| rest.split('>').next().unwrap_or(rest));
    word(bare)
}

/// It becomes a field of a request: nothing in it may end one.
fn word(text: &str) -> Option<String> {
    let plain = !text.is_empty() && text.len() <= 320 && text.bytes().all(|octet| octet.is_ascii_graphic());
    plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hop_from_outside_counts_and_what_stands_below_it_does_not() {
        let fields = [
            ("Return-Path", "<bounce@example.org>"),
            ("Delivered-To", "ann@example.net"),
            (
                "Received",
                "from mx.example.net by store.example.net with LMTP id x; Fri, 27 Nov 2026 10:00:00 +0100",
            ),
            ("Received", "from relay (relay.example.net [10.0.0.7]) by mx.example.net with ESMTP; now"),
            ("Received", "from mail.example.org (unknown [203.0.113.9]) by relay with ESMTPS; now"),
            ("Received", "from forged (trusted.example.com [198.51.100.1]) by mail.example.org; now"),
        ];
        let envelope = Envelope::read(&fields);
        assert_eq!(envelope.ip, Some("203.0.113.9".parse().unwrap()));
        assert_eq!(envelope.helo.as_deref(), Some("mail.example.org"));
        assert_eq!(envelope.from.as_deref(), Some("bounce@example.org"));
        assert_eq!(envelope.to.as_deref(), Some("ann@example.net"));
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        for received in [
            "",
            "by mx.example.net; now",
            "from [203.0.113.9] by mx.example.net; now",
            "from x (y [127.0.0.1]) by mx; now",
            "from x (y [100.64.0.1]) by mx; now",
            "from x (y [IPv6:fe80::1]) by mx; now",
            "from x (y [IPv6:::ffff:192.168.1.1]) by mx; now",
            "from x (y [203.0.113) by mx; now",
            "from x by mx (z [203.0.113.9]); now",
        ] {
            assert_eq!(Envelope::read(&[("Received", received)]), Envelope::default(), "{received}");
        }
        let fields = [("Return-Path", "<a b>"), ("Delivered-To", "x\r\nIP: 1.2.3.4"), ("Return-Path", "<>")];
        assert_eq!(Envelope::read(&fields), Envelope::default());
        let six = [("RECEIVED", "from h (n [IPv6:2001:db8::1]) by mx; now")];
        assert_eq!(Envelope::read(&six).ip, Some("2001:db8::1".parse().unwrap()));
    }
}
