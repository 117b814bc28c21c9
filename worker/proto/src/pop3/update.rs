//! After QUIT was sent (RFC 1939 section 6; before the login it only ends the session). Nothing of the client is read.
use super::common::{Broken, Common};
use super::reply::Reply;
use super::state::{State, end};
use crate::machine::{Close, Output};
use texts::Answer;

/// Waits for the server's answer to QUIT.
#[derive(Debug)]
pub(super) struct Update;

impl Update {
    /// Sends QUIT.
    pub(super) fn begin(out: &mut Output) -> State {
        out.server.extend_from_slice(b"QUIT\r\n");
        State::Update(Self)
    }

    /// Passes the answer on: `-ERR` says that some mails were not removed.
    pub(super) fn line(self, line: &[u8], common: &Common, out: &mut Output) -> Result<State, Broken> {
        let reply = Reply::parse(line).ok_or(Broken::server("an answer that is neither +OK nor -ERR"))?;
        reply.write(common.utf8, &mut out.client);
        Ok(end(Close::Quit, out))
    }

    /// The server hung up instead. Whether mails were removed is not known, so this is no `+OK`.
    pub(super) fn without_answer(self, common: &Common, out: &mut Output) -> State {
        common.say(Answer::ServerClosed, &mut out.client);
        end(Close::ServerClosed, out)
    }
}
