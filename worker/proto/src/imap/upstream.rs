//! Commands on their way to the server. A literal that the server must ask for first holds back what follows it.
use super::command::Command;
use super::write::{Literals, Writer};
use crate::machine::Output;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// Our own tags: a letter and a number. The client's stay with us, so that no answer can be for a command that was not sent.
const LETTER: u8 = b'm';

/// What waits for the server's `+`.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    /// Of the next command.
    number: u32,
    /// Pieces of one command, each behind a literal's announcement. They may hold a password.
    held: VecDeque<Zeroizing<Vec<u8>>>,
    /// The number of the command to which they belong.
    waiting: u32,
}

impl Upstream {
    /// Whether a command is on its way that has to wait; nothing else may be sent meanwhile.
    pub(super) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Sends a command; the number of its tag.
    pub(super) fn send(
        &mut self,
        command: &Command<'_>,
        literals: Literals,
        utf8: bool,
        out: &mut Output,
    ) -> u32 {
        self.send_with(literals, utf8, out, |tag, writer| command.write(tag, writer))
    }

    /// Sends what is written behind a tag.
    pub(super) fn send_with(
        &mut self,
        literals: Literals,
        utf8: bool,
        out: &mut Output,
        write: impl FnOnce(&[u8], &mut Writer<'_>),
    ) -> u32 {
        let number = self.next_number();
        let start = out.server.len();
        let mut stops = Vec::new();
        write(&tag(number), &mut Writer::to_server(&mut out.server, &mut stops, literals, utf8));
        if let Some(first) = stops.first().copied() {
            self.waiting = number;
            let ends = stops.iter().skip(1).copied().chain([out.server.len()]);
            let pieces = stops.iter().copied().zip(ends);
            self.held = pieces
                .map(|(from, to)| Zeroizing::new(out.server.get(from..to).unwrap_or_default().to_vec()))
                .collect();
            out.server.truncate(first.max(start));
        }
        number
    }

    /// A number for a command that is written elsewhere.
    pub(super) const fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// The server is gone: what is left is not sent, least of all to another one.
    pub(super) fn give_up(&mut self) {
        self.held = VecDeque::new();
    }

    /// The server said `+`.
    pub(super) fn go_on(&mut self, out: &mut Output) {
        if let Some(piece) = self.held.pop_front() {
            out.server.extend_from_slice(&piece);
        }
    }

    /// The server answered this command. If it did so in its middle, what is left of it is not sent.
    pub(super) fn answered(&mut self, number: u32) {
        if number == self.waiting {
            self.held = VecDeque::new();
        }
    }
}

/// The tag of a number.
pub(super) fn tag(number: u32) -> Vec<u8> {
    let mut tag = vec![LETTER];
    tag.extend_from_slice(number.to_string().as_bytes());
    tag
}

/// The number of a tag, if it is one of ours.
pub(super) fn number(tag: &[u8]) -> Option<u32> {
    let digits = tag.strip_prefix(&[LETTER])?;
    let plain = digits.iter().all(u8::is_ascii_digit) && !digits.starts_with(b"0");
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_its_number_and_nothing_else_is() {
        assert_eq!(number(&tag(1)), Some(1));
        assert_eq!(number(&tag(u32::MAX)), Some(u32::MAX));
        for other in [&b"m"[..], b"m01", b"M1", b"m1x", b"m4294967296", b"a1", b"m-1", b"m+1"] {
            assert_eq!(number(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn what_follows_a_literal_waits_for_the_server() {
        let (mut upstream, mut out) = (Upstream::default(), Output::default());
        let written = |tag: &[u8], writer: &mut Writer<'_>| {
            writer.raw(tag);
            writer.word(" LOGIN ");
            writer.literal(b"me", false);
            writer.space();
            writer.literal(b"pa\"ss", false);
            writer.end();
        };
        upstream.send_with(Literals::Synchronising, false, &mut out, written);
        assert_eq!(out.server, b"m1 LOGIN {2}\r\n");
        upstream.go_on(&mut out);
        assert_eq!(out.server, b"m1 LOGIN {2}\r\nme {5}\r\n");
        assert!(upstream.is_waiting());
        upstream.answered(7);
        upstream.go_on(&mut out);
        assert!(out.server.ends_with(b"{5}\r\npa\"ss\r\n") && !upstream.is_waiting());
        out.server.clear();
        upstream.send_with(Literals::Plus, false, &mut out, written);
        assert_eq!(out.server, b"m2 LOGIN {2+}\r\nme {5+}\r\npa\"ss\r\n");
        assert!(!upstream.is_waiting());
    }
}
