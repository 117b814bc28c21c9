//! What is true in every state of a session.
use super::answer::say;
use super::capability::{CapabilitySet, Viewer, announce};
use super::response::Words;
use super::verb::VerbSet;
use super::write::Literals;
use crate::machine::{Greeted, Security, Settings, Side};
use policy::model::Welcome;
use policy::names::Language;
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;

/// What is true in every state.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) settings: Rc<Settings>,
    /// What the client is told before it logged in.
    pub(super) welcome: Rc<Welcome>,
    /// Whose greeting the client got.
    pub(super) greeted: Greeted,
    /// TLS with the client.
    pub(super) security: Security,
    /// Of our own answers.
    pub(super) language: Language,
    /// Commands that may be sent on.
    pub(super) verbs: VerbSet,
    /// Capabilities that the rules permit.
    pub(super) capabilities: CapabilitySet,
    /// What the server takes without waiting, as far as it said.
    pub(super) literals: Literals,
    /// It takes ID, as far as it said.
    pub(super) server_takes_id: bool,
    /// Proxies that may still follow, this one included.
    pub(super) hops: u32,
    /// ENABLE UTF8=ACCEPT was agreed on (RFC 6855).
    pub(super) utf8: bool,
    /// Commands that were refused.
    pub(super) strikes: u32,
    /// Logins that failed.
    pub(super) failures: u32,
    /// The client sends no more.
    pub(super) client_ended: bool,
    /// Octets received from the client and from the server.
    pub(super) received: [u64; 2],
    pub(super) started: Duration,
    pub(super) now: Duration,
    /// The last command of the client, or the last octet of what it waits for.
    pub(super) active: Duration,
    /// When the client last heard anything.
    pub(super) spoke: Duration,
}

impl Common {
    /// Answers a command in the client's language.
    pub(super) fn say(&self, tag: Option<&[u8]>, answer: Answer, out: &mut Vec<u8>) {
        say(tag, answer, self.language, self.utf8, out);
    }

    /// Other rules apply from here on; what the session did and was told stays.
    pub(super) fn take_settings(&mut self, settings: Rc<Settings>, language: Language) {
        self.language = language;
        self.verbs = VerbSet::permitted(&settings.rules.commands);
        self.capabilities = CapabilitySet::permitted(&settings.rules.capabilities);
        self.settings = settings;
    }

    /// Capabilities that may be used.
    pub(super) fn usable(&self, logged_in: bool) -> CapabilitySet {
        if logged_in {
            self.capabilities
        } else {
            self.capabilities.and(CapabilitySet::permitted(&self.welcome.capabilities))
        }
    }

    /// Who looks at capabilities.
    pub(super) fn viewer(&self, logged_in: bool) -> Viewer<'_> {
        let (list, welcome) = (&self.settings.rules.capabilities, &self.welcome.capabilities);
        let disabled = self.settings.login.disabled;
        Viewer { list, welcome, security: self.security, disabled, logged_in }
    }

    /// `CAPABILITY …` of a server that is not known yet, as the client may see it.
    pub(super) fn announce_words<'w>(&self, words: impl Iterator<Item = &'w [u8]> + Clone) -> Vec<u8> {
        announce(words, self.viewer(false))
    }

    /// `CAPABILITY …` as the client may see what the server announced.
    pub(super) fn announce(&self, words: Words<'_>, logged_in: bool) -> Vec<u8> {
        let words: Vec<&[u8]> = words.iter().collect();
        announce(words.iter().copied(), self.viewer(logged_in))
    }

    pub(super) fn max_time(&self) -> Option<Duration> {
        self.settings.rules.max_time.map(|time| self.started.saturating_add(time))
    }

    pub(super) fn login_deadline(&self) -> Duration {
        self.started.saturating_add(self.settings.login.deadline)
    }

    pub(super) fn idle_deadline(&self) -> Duration {
        self.active.saturating_add(self.settings.rules.imap.idle_timeout)
    }
}

/// A peer broke the protocol; becomes a `Fault` with the octet where it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    pub(super) side: Side,
    pub(super) what: &'static str,
    /// What the client is told.
    pub(super) answer: Answer,
}

impl Broken {
    pub(super) const fn server(what: &'static str) -> Self {
        Self { side: Side::Server, what, answer: Answer::ServerFault }
    }

    pub(super) const fn client(what: &'static str) -> Self {
        Self { side: Side::Client, what, answer: Answer::MalformedArgument }
    }

    /// It is a proxy, and one of a circle.
    pub(super) const fn circle() -> Self {
        let what = "it came through too many proxies: they lead in a circle";
        Self { side: Side::Client, what, answer: Answer::ServerUnreachable }
    }

    /// The client went over a bound, with what cannot be answered and passed over.
    pub(super) const fn too_long(what: &'static str) -> Self {
        Self { side: Side::Client, what, answer: Answer::LineTooLong }
    }
}
