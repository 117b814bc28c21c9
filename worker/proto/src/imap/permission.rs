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
    pub(super) fn objection(&self, command: &Command<'_>) -> Option<Answer> {
        // What is hidden is refused too.
        let usable = self.common.usable(self.phase != Phase::Before);
        let hidden = command.uses().beyond(usable).is_some() || self.refuses_search(command);
        let mechanism = matches!(&command.body, Body::Authenticate { mechanism, .. } if !may_authenticate(mechanism, self.common.viewer(false)));
        // What it would remove is known of the open mailbox alone, should a server take another one for open.
        let blind = self.selected.is_none() && removes_mails(command.verb);
        self.objection_to(command.verb)
            .or(hidden.then_some(Answer::NotPermitted))
            .or(mechanism.then_some(Answer::MechanismNotAvailable))
            .or(blind.then_some(Answer::NotNow))
    }

    /// Why no command with this name is sent on, whatever follows it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others need a login and no more")]
    pub(super) fn objection_to(&self, verb: Verb) -> Option<Answer> {
        let before = self.phase == Phase::Before;
        if !self.common.verbs.contains(verb) {
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
            Verb::Login | Verb::Authenticate => None,
            _of_mailboxes if before => Some(Answer::LogInFirst),
            _of_mailboxes => None,
        }
    }
}

const fn removes_mails(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Expunge
            | Verb::UidExpunge
            | Verb::Close
            | Verb::Move
            | Verb::UidMove
            | Verb::Replace
            | Verb::UidReplace
    )
}
