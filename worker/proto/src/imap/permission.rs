//! Whether a command may go on: at all, by the rules and the state; and now, or behind those before it.
use super::capability::may_authenticate;
use super::command::{Body, Command};
use super::core::{Core, Phase};
use super::verb::Verb;
use crate::machine::Security;
use texts::Answer;

impl Core {
    /// Whether a command has to wait: for one that changes what it means, or since it does so itself.
    pub(super) fn must_wait(&self, verb: Verb) -> bool {
        let busy = !self.pulls.is_empty()
            || self.delayed.is_some()
            || self.outstanding.has_alone()
            || self.upstream.is_waiting()
            || self.opening.is_some()
            || self.inspection.is_some()
            || self.upload.is_some()
            || self.sending.is_some()
            || self.passing.is_some();
        let alone = match verb {
            Verb::Logout
            | Verb::StartTls
            | Verb::Enable
            | Verb::Login
            | Verb::Authenticate
            | Verb::Select
            | Verb::Examine
            | Verb::Append
            | Verb::Delete
            | Verb::Rename
            | Verb::Idle
            | Verb::Close
            | Verb::Unselect
            | Verb::Expunge
            | Verb::UidExpunge
            | Verb::Move
            | Verb::UidMove
            | Verb::Replace
            | Verb::UidReplace => true,
            Verb::Capability
            | Verb::Noop
            | Verb::Id
            | Verb::Create
            | Verb::Subscribe
            | Verb::Unsubscribe
            | Verb::List
            | Verb::Lsub
            | Verb::Namespace
            | Verb::Status
            | Verb::Check
            | Verb::Search
            | Verb::UidSearch
            | Verb::Sort
            | Verb::UidSort
            | Verb::Thread
            | Verb::UidThread
            | Verb::Fetch
            | Verb::UidFetch
            | Verb::Store
            | Verb::UidStore
            | Verb::Copy
            | Verb::UidCopy
            | Verb::GetQuota
            | Verb::GetQuotaRoot
            | Verb::SetQuota
            | Verb::GetAcl
            | Verb::SetAcl
            | Verb::DeleteAcl
            | Verb::ListRights
            | Verb::MyRights
            | Verb::GetMetadata
            | Verb::SetMetadata => false,
        };
        busy || (alone && !(self.outstanding.is_empty() && self.outbox.is_empty()))
    }

    /// Why a well-formed command is not sent on.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others need a login and no more")]
    pub(super) fn objection(&self, command: &Command<'_>) -> Option<Answer> {
        let verb = command.verb;
        // What is hidden is refused too.
        let before = self.phase == Phase::Before;
        if !self.common.verbs.contains(verb) || command.uses().beyond(self.common.usable(!before)).is_some() {
            return Some(Answer::NotPermitted);
        }
        match verb {
            Verb::Capability | Verb::Noop | Verb::Logout | Verb::Id => None,
            Verb::StartTls => match self.common.security {
                Security::Clear => Some(Answer::NoTlsHere),
                Security::Secured => Some(Answer::AlreadySecured),
                Security::Offered | Security::Required => (!before).then_some(Answer::AlreadyLoggedIn),
            },
            Verb::Login | Verb::Authenticate if !before => Some(Answer::AlreadyLoggedIn),
            Verb::Login | Verb::Authenticate if self.common.settings.login.disabled => {
                Some(Answer::LoginsDisabled)
            }
            Verb::Login | Verb::Authenticate if self.common.security == Security::Required => {
                Some(Answer::TlsFirst)
            }
            Verb::Login => None,
            Verb::Authenticate => {
                let viewer = self.common.viewer(false);
                let hidden = matches!(&command.body, Body::Authenticate { mechanism, .. } if !may_authenticate(mechanism, viewer));
                hidden.then_some(Answer::MechanismNotAvailable)
            }
            _of_mailboxes if before => Some(Answer::LogInFirst),
            _of_mailboxes => self.refuses_search(command).then_some(Answer::NotPermitted),
        }
    }
}
