//! STLS with a server (RFC 2595 section 4): what is said in clear text before TLS, and that is three lines.
//!
//! Nothing of what the server says here is kept or passed on, because anybody on the way could have said it: not the
//! greeting, not its timestamp, no capability. One octet more than the protocol has ends the session: it could be an
//! answer planted for the time behind the handshake (CVE-2011-0411 and its mirror image in clients).
use crate::line::{self, Inbox};
use crate::machine::{Fault, Side};
use crate::pop3::reply::{Reply, Status};

/// What to send to the server once it greeted.
pub const STLS: &[u8] = b"STLS\r\n";
/// RFC 1939 section 3, with CRLF.
const LINE: usize = 512;

/// The dialogue, at the greeting or at the answer to STLS.
#[derive(Debug, Default)]
pub struct Upgrade {
    asked: bool,
    inbox: Inbox,
    received: u64,
}

/// What follows.
#[derive(Debug)]
pub enum Step {
    /// The server has not finished its line.
    More(Upgrade),
    /// It greeted: send [`STLS`].
    Ask(Upgrade),
    /// It agreed: the handshake begins.
    Start,
    /// It does not.
    Refused,
}

impl Upgrade {
    /// Takes octets of the server.
    ///
    /// # Errors
    /// A [`Fault`] where they are not what the protocol has here.
    pub fn feed(mut self, bytes: &[u8]) -> Result<Step, Fault> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        let fault = |what, offset| Fault { side: Side::Server, what, offset, farewell: Vec::new() };
        self.inbox.push(bytes);
        let mut rest = self.inbox.unread();
        let line = line::server_line(&mut rest, LINE)
            .map_err(|_| fault("a malformed or endless line before TLS", self.received))?;
        let Some(line) = line else { return Ok(Step::More(self)) };
        let answer =
            Reply::parse(line).ok_or_else(|| fault("neither +OK nor -ERR before TLS", self.received))?;
        if !rest.is_empty() {
            return Err(fault("octets behind a line before TLS", self.received));
        }
        match (self.asked, answer.status) {
            (false, Status::Ok) => Ok(Step::Ask(Self { asked: true, inbox: Inbox::default(), ..self })),
            (false, Status::Err) => Err(fault("it refuses service", self.received)),
            (true, Status::Ok) => Ok(Step::Start),
            (true, Status::Err) => Ok(Step::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays what the server says, cut as given: what came of it, or the fault.
    fn play(pieces: &[&[u8]]) -> Result<&'static str, &'static str> {
        let mut upgrade = Upgrade::default();
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
