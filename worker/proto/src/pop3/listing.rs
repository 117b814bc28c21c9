//! Multi-line answers that are lists: read line by line, checked, and written anew.
use super::command::{MessageNumber, Verb, VerbSet, parse_decimal, push_number};
use super::common::Common;
use super::maildrop::Maildrop;
use super::reply::printable;
use crate::capability::{Capability, CapabilitySet, Mechanism};
use crate::quirks;

/// Which list, and what has been gathered from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// CAPA (RFC 2449 section 5).
    Capabilities { seen: CapabilitySet },
    /// AUTH without an argument.
    Mechanisms,
    /// LANG without an argument (RFC 6856 section 3).
    Languages,
    /// LIST.
    Sizes,
    /// LIST, asked to answer STAT with the octets that are served.
    Total { messages: u64, octets: u64 },
    /// UIDL.
    Identifiers,
    /// UIDL, asked by us: the client does not see it.
    Identify,
    /// LIST, likewise: which mails there are.
    Survey,
}

impl Listing {
    /// Whether the client sees the list as it comes.
    pub(super) const fn is_shown(self) -> bool {
        match self {
            Self::Capabilities { .. }
            | Self::Mechanisms
            | Self::Languages
            | Self::Sizes
            | Self::Identifiers => true,
            Self::Total { .. } | Self::Identify | Self::Survey => false,
        }
    }

    /// Takes a line that is not the last one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn line(
        &mut self,
        line: &[u8],
        common: &Common,
        maildrop: Option<&mut Maildrop>,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        match self {
            Self::Capabilities { seen } => capability(line, seen, common, out),
            Self::Mechanisms => {
                if let Some(mechanism) = Mechanism::named(line.trim_ascii()) {
                    out.extend_from_slice(mechanism.name().as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
            }
            Self::Languages => push_line(line, common.utf8, out),
            Self::Sizes => {
                let (number, octets) = size(line).ok_or("malformed line in LIST")?;
                let octets = maildrop.and_then(|maildrop| maildrop.length(number)).unwrap_or(octets);
                push_number(out, number.into());
                out.push(b' ');
                push_number(out, octets);
                out.extend_from_slice(b"\r\n");
            }
            Self::Total { messages, octets: total } => {
                let (number, octets) = size(line).ok_or("malformed line in LIST")?;
                let octets = maildrop.and_then(|maildrop| maildrop.length(number)).unwrap_or(octets);
                *messages += 1;
                *total = total.saturating_add(octets);
            }
            Self::Identifiers => {
                let (number, uidl) = identifier(line).ok_or("malformed line in UIDL")?;
                push_number(out, number.into());
                out.push(b' ');
                out.extend_from_slice(uidl);
                out.extend_from_slice(b"\r\n");
            }
            Self::Identify => {
                let (number, uidl) = identifier(line).ok_or("malformed line in UIDL")?;
                if let Some(maildrop) = maildrop {
                    maildrop.identify(number, uidl);
                }
            }
            Self::Survey => {
                size(line).ok_or("malformed line in LIST")?;
                let number = line.split(|octet| *octet == b' ').next().and_then(MessageNumber::parse);
                let number = number.ok_or("malformed line in LIST")?;
                if let Some(maildrop) = maildrop {
                    maildrop.found(number);
                }
            }
        }
        Ok(())
    }

    /// The list is complete.
    pub(super) fn finish(self, common: &mut Common, maildrop: Option<&mut Maildrop>, out: &mut Vec<u8>) {
        match self {
            Self::Capabilities { seen } => {
                common.offered = Some(seen);
                if common.security.is_offered() {
                    out.extend_from_slice(b"STLS\r\n");
                }
                out.extend_from_slice(b".\r\n");
            }
            Self::Mechanisms | Self::Languages | Self::Sizes | Self::Identifiers => {
                out.extend_from_slice(b".\r\n")
            }
            Self::Total { messages, octets } => {
                out.extend_from_slice(b"+OK ");
                push_number(out, messages);
                out.push(b' ');
                push_number(out, octets);
                out.extend_from_slice(b"\r\n");
            }
            Self::Identify => {
                if let Some(maildrop) = maildrop {
                    maildrop.identified();
                }
            }
            Self::Survey => {}
        }
    }
}

/// `n octets`, of LIST.
pub(super) fn size(line: &[u8]) -> Option<(u32, u64)> {
    let (number, octets) = split_number(line)?;
    Some((number, parse_decimal(quirks::without_listing_remarks(octets))?))
}

/// `n identifier`, of UIDL. RFC 1939 section 7 allows 1 to 70 octets without blanks; longer ones are seen.
pub(super) fn identifier(line: &[u8]) -> Option<(u32, &[u8])> {
    let (number, uidl) = split_number(line)?;
    let uidl = uidl.trim_ascii_end();
    (!uidl.is_empty() && uidl.iter().all(|byte| matches!(byte, b' '..=b'~'))).then_some((number, uidl))
}

fn split_number(line: &[u8]) -> Option<(u32, &[u8])> {
    let at = memchr::memchr(b' ', line)?;
    let number = MessageNumber::parse(line.get(..at)?)?;
    Some((number.get(), line.get(at..)?.trim_ascii_start()))
}

/// Passes a line of CAPA on where we know it and the rules permit it and its command.
fn capability(line: &[u8], seen: &mut CapabilitySet, common: &Common, out: &mut Vec<u8>) {
    let line = line.trim_ascii_end();
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let Some(capability) = words.next().and_then(Capability::named) else { return };
    let arguments = words.next();
    seen.insert(capability);
    let before_tls = matches!(capability, Capability::User | Capability::Sasl) && common.is_shut();
    if !common.capabilities.contains(capability) || before_tls {
        return;
    }
    if capability == Capability::Sasl {
        let start = out.len();
        out.extend_from_slice(b"SASL");
        let mut any = false;
        for mechanism in
            arguments.unwrap_or_default().split(|byte| *byte == b' ').filter_map(Mechanism::named)
        {
            out.push(b' ');
            out.extend_from_slice(mechanism.name().as_bytes());
            any = true;
        }
        if any {
            out.extend_from_slice(b"\r\n");
        } else {
            out.truncate(start);
        }
        return;
    }
    out.extend_from_slice(capability.name().as_bytes());
    if let Some(arguments) = arguments {
        out.push(b' ');
        out.extend_from_slice(&printable(arguments, common.utf8));
    }
    out.extend_from_slice(b"\r\n");
}

fn push_line(line: &[u8], utf8: bool, out: &mut Vec<u8>) {
    let line = printable(line, utf8);
    if line.starts_with(b".") {
        out.push(b'.');
    }
    out.extend_from_slice(&line);
    out.extend_from_slice(b"\r\n");
}

/// Capabilities whose command is not permitted are hidden, and commands whose capability is hidden are refused.
pub(super) fn agree(capabilities: &mut CapabilitySet, verbs: &mut VerbSet) {
    let announced = || Verb::ALL.into_iter().filter_map(|verb| Some((verb, verb.capability()?)));
    for (verb, capability) in announced() {
        if !verbs.contains(verb) {
            capabilities.remove(capability);
        }
    }
    for (verb, capability) in announced() {
        if !capabilities.contains(capability) {
            verbs.remove(verb);
        }
    }
}
