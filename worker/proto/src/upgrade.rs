//! STLS and STARTTLS with a server (RFC 2595 sections 3 and 4): what is said in clear text before TLS, and that is three lines.
//!
//! Nothing of what the server says here is kept or passed on, because anybody on the way could have said it: not the
//! greeting, not its timestamp, no capability; nor can a server declare that somebody has logged in already. One octet more than the protocol has ends the session: it could be an
//! answer planted for the time behind the handshake (CVE-2011-0411 and its mirror image in clients).
use crate::line::{self, Inbox};
use crate::machine::{Fault, Side};
use crate::pop3::reply::{Reply, Status};
use policy::names::Protocol;

/// RFC 1939 section 3, with CRLF; IMAP's greetings may list capabilities.
const POP3_LINE: usize = 512;
const IMAP_LINE: usize = 8 * 1024;
/// Our tag of STARTTLS.
const TAG: &[u8] = b"s1 ";

/// The dialogue, at the greeting or at the answer to STLS.
#[derive(Debug)]
pub struct Upgrade {
    protocol: Protocol,
    asked: bool,
    inbox: Inbox,
    received: u64,
}

/// What follows.
#[derive(Debug)]
pub enum Step {
    /// The server has not finished its line.
    More(Upgrade),
    /// It greeted: send [`Upgrade::question`].
    Ask(Upgrade),
    /// It agreed: the handshake begins.
    Start,
    /// It does not.
    Refused,
}

/// What a line says.
enum Said {
    Yes,
    No,
}

impl Upgrade {
    /// Nothing was said yet.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, asked: false, inbox: Inbox::default(), received: 0 }
    }

    /// What to send to the server once it greeted.
    pub const fn question(protocol: Protocol) -> &'static [u8] {
        match protocol {
            Protocol::Pop3 => b"STLS\r\n",
            Protocol::Imap | Protocol::Sieve => b"s1 STARTTLS\r\n",
        }
    }

    fn said(&self, line: &[u8]) -> Result<Said, &'static str> {
        match self.protocol {
            Protocol::Pop3 => match Reply::parse(line).ok_or("neither +OK nor -ERR before TLS")?.status {
                Status::Ok => Ok(Said::Yes),
                Status::Err => Ok(Said::No),
            },
            Protocol::Imap | Protocol::Sieve => {
                let prefix = if self.asked { TAG } else { b"* " };
                let rest = line.strip_prefix(prefix).ok_or("a line out of place before TLS")?;
                let word = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
                if word.eq_ignore_ascii_case(b"OK") {
                    Ok(Said::Yes)
                } else if word.eq_ignore_ascii_case(b"PREAUTH") {
                    Err("PREAUTH before TLS")
                } else if ["NO", "BAD", "BYE"].iter().any(|no| word.eq_ignore_ascii_case(no.as_bytes())) {
                    Ok(Said::No)
                } else {
                    Err("neither OK nor NO before TLS")
                }
            }
        }
    }

    /// Takes octets of the server.
    ///
    /// # Errors
    /// A [`Fault`] where they are not what the protocol has here.
    pub fn feed(mut self, bytes: &[u8]) -> Result<Step, Fault> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        let fault = |what, offset| Fault { side: Side::Server, what, offset, farewell: Vec::new() };
        self.inbox.push(bytes);
        let mut rest = self.inbox.unread();
        let limit = if self.protocol == Protocol::Pop3 { POP3_LINE } else { IMAP_LINE };
        let line = line::server_line(&mut rest, limit)
            .map_err(|_| fault("a malformed or endless line before TLS", self.received))?;
        let Some(line) = line else { return Ok(Step::More(self)) };
        let said = self.said(line).map_err(|what| fault(what, self.received))?;
        if !rest.is_empty() {
            return Err(fault("octets behind a line before TLS", self.received));
        }
        match (self.asked, said) {
            (false, Said::Yes) => Ok(Step::Ask(Self { asked: true, inbox: Inbox::default(), ..self })),
            (false, Said::No) => Err(fault("it refuses service", self.received)),
            (true, Said::Yes) => Ok(Step::Start),
            (true, Said::No) => Ok(Step::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays what the server says, cut as given: what came of it, or the fault.
    fn play(pieces: &[&[u8]]) -> Result<&'static str, &'static str> {
        play_with(Protocol::Pop3, pieces)
    }

    fn play_with(protocol: Protocol, pieces: &[&[u8]]) -> Result<&'static str, &'static str> {
        let mut upgrade = Upgrade::new(protocol);
        for piece in pieces {
            upgrade = match upgrade.feed(piece).map_err(|fault| fault.what)? {
                Step::More(next) | Step::Ask(next) => next,
                Step::Start => return Ok("start"),
                Step::Refused => return Ok("refused"),
            };
        }
        Ok("more")
    }

    fn bytes(text: &[u8]) -> Vec<&[u8]> {
        text.chunks(1).collect()
    }

    #[test]
    fn a_server_that_agrees_is_secured_however_its_lines_are_cut() {
        assert_eq!(play(&[b"+OK ready <1@x>\r\n", b"+OK begin\r\n"]), Ok("start"));
        assert_eq!(play(&bytes(b"+OK ready\r\n+OK\r\n")), Ok("start"));
        assert_eq!(play(&[b"+OK ready\r\n", b"-ERR what?\r\n"]), Ok("refused"));
        assert_eq!(play(&[b"+OK ready\r\n", b"+OK beg"]), Ok("more"));
    }

    #[test]
    fn imap_is_secured_by_three_lines_too_and_nothing_else_may_be_said() {
        let play = |pieces: &[&[u8]]| play_with(Protocol::Imap, pieces);
        assert_eq!(play(&[b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"s1 OK begin\r\n"]), Ok("start"));
        assert_eq!(play(&bytes(b"* OK\r\ns1 OK\r\n")), Ok("start"));
        assert_eq!(play(&[b"* OK\r\n", b"s1 BAD what?\r\n"]), Ok("refused"));
        assert_eq!(play(&[b"* PREAUTH welcome\r\n"]), Err("PREAUTH before TLS"));
        assert_eq!(play(&[b"* BYE busy\r\n"]), Err("it refuses service"));
        let behind = Err("octets behind a line before TLS");
        assert_eq!(play(&[b"* OK\r\n", b"s1 OK\r\n* 1 FETCH (FLAGS ())\r\n"]), behind);
        for planted in
            [&b"* CAPABILITY IMAP4rev1\r\n"[..], b"a OK\r\n", b"* OK [ALERT] planted\r\n", b"+ go\r\n"]
        {
            assert!(play(&[b"* OK\r\n", planted]).is_err(), "{}", String::from_utf8_lossy(planted));
        }
    }

    #[test]
    fn one_octet_behind_a_line_is_a_fault() {
        let behind = Err("octets behind a line before TLS");
        assert_eq!(play(&[b"+OK ready\r\n+OK begin\r\n"]), behind, "an answer before the question");
        assert_eq!(play(&[b"+OK ready\r\n", b"+OK begin\r\n+OK planted\r\n"]), behind);
        assert_eq!(play(&[b"+OK ready\r\n", b"+OK begin\r\n\x16"]), behind);
        assert_eq!(play(&[b"+OK ready\r\n", b"-ERR no\r\n+OK"]), behind);
    }

    #[test]
    fn what_is_no_pop3_is_a_fault() {
        for hostile in [&b"* OK IMAP4\r\n"[..], b"+OK \0\r\n", b"+OK bare\n", b"220 smtp\r\n", &[b'x'; 4096]]
        {
            assert!(play(&[hostile]).is_err(), "{}", String::from_utf8_lossy(hostile));
        }
        assert_eq!(play(&[b"-ERR busy\r\n"]), Err("it refuses service"));
        assert!(play(&[b"+OK ready\r\n", &[b'+'; 600]]).is_err(), "an endless answer");
    }
}
