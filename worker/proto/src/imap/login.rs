//! How a login ended: told at once, or after `failure-delay`; too many failures end the session.
use super::common::Broken;
use super::core::{Core, Phase};
use super::response::{Status, StatusKind};
use crate::machine::{Close, Event, Output};
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;

impl Core {
    /// The server answered a login.
    pub(super) fn login_answered(
        &mut self,
        tag: &[u8],
        user: Vec<u8>,
        status: &Status<'_>,
        out: &mut Output,
    ) -> Result<(), Broken> {
        if status.kind == StatusKind::Ok {
            self.phase = Phase::After;
            self.late = None;
            out.events.push(Event::LoggedIn { user });
            let settings = Rc::clone(&self.common.settings);
            let own = settings.login.ok_text.as_bytes();
            let text = if own.is_empty() { status.text } else { own };
            self.pass_status(Some(tag), &Status { text, ..status.clone() }, out);
            return Ok(());
        }
        let words = self.status_octets(Some(tag), status);
        if self.late.is_some() {
            self.late = Some(Box::default());
        }
        self.login_failed(user, words, out);
        Ok(())
    }

    /// A login failed: the client hears so in its time.
    pub(super) fn login_failed(&mut self, user: Vec<u8>, words: Vec<u8>, out: &mut Output) {
        out.events.push(Event::LoginFailed { user });
        self.common.failures += 1;
        let due = self.common.now.saturating_add(self.common.settings.login.failure_delay);
        self.delayed = Some(Box::new((due, words)));
        self.delayed_login(out);
    }

    /// When the client may hear of a failed login.
    pub(super) fn login_due(&self) -> Option<Duration> {
        self.delayed.as_ref().map(|delayed| delayed.0)
    }

    /// Tells the client of a failed login, if it is time.
    pub(super) fn delayed_login(&mut self, out: &mut Output) {
        let Some(delayed) = self.delayed.take_if(|delayed| delayed.0 <= self.common.now) else { return };
        self.outbox.say(out, |octets| octets.extend_from_slice(&delayed.1));
        if self.denied {
            self.close(Close::Denied, None, out);
        } else if self.common.failures >= self.common.settings.login.failure_limit {
            self.close(Close::LoginFailures, Some(Answer::SessionDenied), out);
        }
    }
}
