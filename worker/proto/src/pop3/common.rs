//! What is true in every state of a session.
use super::answer::say;
use super::command::{Verb, VerbSet};
use super::listing;
use super::reply::Reply;
use crate::capability::{Capability, CapabilitySet};
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
    /// Whose greeting the client got.
    pub(super) greeted: Greeted,
    /// TLS with the client.
    pub(super) security: Security,
    /// Of our own answers.
    pub(super) language: Language,
    /// What the client is told before it logged in; taken when it did.
    pub(super) welcome: Option<Rc<Welcome>>,
    /// Commands that may be sent on.
    pub(super) verbs: VerbSet,
    /// Capabilities that may be announced.
    pub(super) capabilities: CapabilitySet,
    /// What the server announced, once the client asked.
    pub(super) offered: Option<CapabilitySet>,
    /// The client asked for UTF-8 (RFC 6856) and the server agreed.
    pub(super) utf8: bool,
    /// Commands that were refused.
    pub(super) strikes: u32,
    /// The rest of an overlong line is being skipped.
    pub(super) skipping: bool,
    /// The client sends no more.
    pub(super) client_ended: bool,
    /// Octets received from the client and from the server.
    pub(super) received: [u64; 2],
    /// Octets of these that are dealt with.
    pub(super) used: [u64; 2],
    pub(super) started: Duration,
    pub(super) now: Duration,
    /// The last command of the client, or the last octet of what it waits for.
    pub(super) active: Duration,
}

/// The commands and capabilities that agree with each other under these rules. `welcome`: before the login.
pub(super) fn permitted(
    settings: &Settings,
    greeted: Greeted,
    welcome: Option<&Welcome>,
) -> (VerbSet, CapabilitySet) {
    let mut verbs = VerbSet::permitted(&settings.rules.commands);
    if greeted != Greeted::ByServer {
        verbs.remove(Verb::Apop);
    }
    let mut capabilities = CapabilitySet::permitted(&settings.rules.capabilities);
    let hidden = |capability: &Capability| {
        welcome.is_some_and(|welcome| !welcome.capabilities.allows(capability.name()))
    };
    Capability::ALL.into_iter().filter(hidden).for_each(|hidden| capabilities.remove(hidden));
    listing::agree(&mut capabilities, &mut verbs);
    (verbs, capabilities)
}

impl Common {
    /// Answers in the client's language.
    pub(super) fn say(&self, answer: Answer, out: &mut Vec<u8>) {
        say(answer, self.language, self.utf8, out);
    }

    /// Whether nobody may log in: not at all, or not before TLS.
    pub(super) fn is_shut(&self) -> bool {
        self.security == Security::Required || self.settings.login.disabled
    }

    /// A successful login's answer, in the words of `ok-text` where it has some.
    pub(super) fn welcoming<'r>(&'r self, reply: Reply<'r>) -> Reply<'r> {
        let own = self.settings.login.ok_text.as_bytes();
        if own.is_empty() { reply } else { Reply { text: own, ..reply } }
    }

    /// Other rules apply from here on; what the session did and was told stays.
    pub(super) fn take_settings(&mut self, settings: Rc<Settings>, language: Language) {
        self.language = language;
        self.settings = settings;
        self.look();
    }

    /// What is said before the login counts, or no more.
    pub(super) fn welcome(&mut self, welcome: Option<Rc<Welcome>>) {
        self.welcome = welcome;
        self.look();
    }

    fn look(&mut self) {
        (self.verbs, self.capabilities) = permitted(&self.settings, self.greeted, self.welcome.as_deref());
    }

    pub(super) fn max_time(&self) -> Option<Duration> {
        self.settings.rules.max_time.map(|time| self.started.saturating_add(time))
    }

    pub(super) fn login_deadline(&self) -> Duration {
        self.started.saturating_add(self.settings.login.deadline)
    }

    pub(super) fn idle_deadline(&self) -> Duration {
        self.active.saturating_add(self.settings.rules.idle_timeout)
    }
}

impl Security {
    /// Why a command has no place before or after TLS.
    pub(super) const fn objection(self, verb: Verb) -> Option<Answer> {
        match (self, verb) {
            (Self::Clear, Verb::Stls) => Some(Answer::NoTlsHere),
            (Self::Secured, Verb::Stls) => Some(Answer::AlreadySecured),
            (Self::Required, Verb::User | Verb::Pass | Verb::Apop | Verb::Auth) => Some(Answer::TlsFirst),
            (Self::Clear | Self::Offered | Self::Required | Self::Secured, _) => None,
        }
    }

    /// Whether a client could ask for TLS.
    pub(super) const fn is_offered(self) -> bool {
        matches!(self, Self::Offered | Self::Required)
    }
}

/// A peer broke the protocol; becomes a `Fault` with the octet where it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    pub(super) side: Side,
    pub(super) what: &'static str,
}

impl Broken {
    pub(super) const fn server(what: &'static str) -> Self {
        Self { side: Side::Server, what }
    }
}
