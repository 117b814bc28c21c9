//! Before the server's greeting: the client has not been told anything yet.
use super::authorization::Authorization;
use super::command::Verb;
use super::common::{Broken, Common};
use super::reply::{Reply, Status};
use super::state::{State, end};
use crate::machine::{Close, Output};
use memchr::{memchr, memrchr};

/// Waits for the server's greeting.
#[derive(Debug)]
pub(super) struct Greeting;

impl Greeting {
    /// Passes the greeting on, with the timestamp that APOP needs (RFC 1939 section 7), octet by octet as it came:
    /// the client's digest is made of it. Where APOP is not permitted its timestamp is not shown either.
    pub(super) fn line(self, line: &[u8], common: &mut Common, out: &mut Output) -> Result<State, Broken> {
        let reply = Reply::parse(line).ok_or(Broken::server("a greeting that is neither +OK nor -ERR"))?;
        match reply.status {
            Status::Err => {
                reply.write(false, &mut out.client);
                Ok(end(Close::ServerClosed, out))
            }
            Status::Ok => {
                let text = if common.verbs.contains(Verb::Apop) {
                    reply.text
                } else {
                    without_timestamp(reply.text)
                };
                Reply { text, ..reply }.write(false, &mut out.client);
                Ok(State::Authorization(Authorization::default()))
            }
        }
    }
}

/// The text before `<…>`.
fn without_timestamp(text: &[u8]) -> &[u8] {
    match (memchr(b'<', text), memrchr(b'>', text)) {
        (Some(start), Some(end)) if start < end => text.get(..start).unwrap_or_default().trim_ascii_end(),
        _neither => text,
    }
}
