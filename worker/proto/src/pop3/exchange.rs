//! A SASL exchange between client and server (RFC 5034 section 4): lines pass as they are, if they are base64.
use super::command::is_base64;
use super::common::Broken;
use super::reply::printable;
use crate::machine::Output;

/// No mechanism needs more; without a bound an exchange would outlive every strike.
const MAX_RESPONSES: u8 = 8;

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exchange {
    responses: u8,
    cancelled: bool,
}

impl Exchange {
    /// The client has said its first message already.
    pub(super) const fn behind_the_first() -> Self {
        Self { responses: 1, cancelled: false }
    }

    /// Whether the client's next line is its first.
    pub(super) const fn is_first(self) -> bool {
        self.responses == 0
    }

    /// Sends a line of the client on. What is not base64 never reaches the server; it cancels the exchange, as `*` does.
    #[must_use]
    pub(super) fn respond(self, line: &[u8], out: &mut Output) -> Self {
        let cancelled = !is_base64(line) || self.responses >= MAX_RESPONSES;
        out.server.extend_from_slice(if cancelled { b"*" } else { line });
        out.server.extend_from_slice(b"\r\n");
        Self { responses: self.responses.saturating_add(1), cancelled }
    }

    /// Passes a challenge of the server on.
    pub(super) fn challenge(self, challenge: &[u8], out: &mut Output) -> Result<(), Broken> {
        if self.cancelled {
            return Err(Broken::server("a challenge after the exchange was cancelled"));
        }
        out.client.extend_from_slice(b"+ ");
        out.client.extend_from_slice(&printable(challenge, false));
        out.client.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The server takes the login.
    pub(super) fn accepted(self) -> Result<(), Broken> {
        if self.cancelled { Err(Broken::server("a login that the client had cancelled")) } else { Ok(()) }
    }
}
