//! Commands that are sent on anew, and what their answers lead to.
use super::capability::{changes_syntax, may_enable};
use super::command::{Body, Command};
use super::core::Core;
use super::guard::Guarded;
use super::marks::Marks;
use super::outstanding::{Exchange, Idle, Purpose, Sent};
use super::selected::Permanent;
use super::verb::Verb;
use crate::capability::Mechanism;
use crate::machine::Output;
use crate::pop3::sasl;
use texts::Answer;

impl Core {
    /// Sends a command on, or answers it.
    pub(super) fn run(&mut self, command: &Command<'_>, out: &mut Output) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "most commands are sent on and no more")]
        let purpose = match &command.body {
            Body::Login { user, .. } => Purpose::Login { user: user.bytes().to_vec(), sasl: None },
            Body::Authenticate { mechanism, initial } => {
                let Some(mechanism) = Mechanism::named(mechanism) else { return };
                let initial = initial.as_ref().map(|initial| initial.0);
                let user = initial.and_then(|line| sasl::user(mechanism, true, line)).unwrap_or_default();
                let exchange =
                    Exchange { mechanism, first: initial.is_none(), challenged: false, cancelled: false };
                Purpose::Login { user, sasl: Some(exchange) }
            }
            Body::Select(select) => {
                let before = self.selected.take();
                self.no_mailbox();
                let mailbox = select.mailbox.canonical(self.common.utf8);
                let read_write = command.verb == Verb::Select;
                let permanent = Permanent::default();
                Purpose::Select { mailbox, uid_validity: 0, read_write, permanent, before }
            }
            Body::Id(fields) => return self.id(command, fields.as_ref(), out),
            Body::Enable(names) => return self.enable(command, names, out),
            Body::Fetch(_) => return self.fetch(command, out),
            _relayed => match command.verb {
                Verb::StartTls => {
                    self.upgrading = Some(command.tag.into());
                    return;
                }
                Verb::Idle => Purpose::Idle(Idle::Asked),
                Verb::Close | Verb::Unselect => Purpose::Close,
                _relayed => Purpose::Relay,
            },
        };
        if self.removes_mailbox(command) {
            return self.inspect(command, out);
        }
        match self.guard(command) {
            Guarded::Free => {}
            Guarded::Refused => {
                return self.common_say(Some(command.tag), Answer::DeleteReplaced, out);
            }
            Guarded::Ask(question) => return self.ask(command, &question, out),
        }
        if matches!(purpose, Purpose::Login { .. }) {
            self.tell_hops(out);
        }
        self.send(command, purpose, out);
    }

    /// Sends a command on.
    pub(super) fn send(&mut self, command: &Command<'_>, purpose: Purpose, out: &mut Output) {
        let number = self.upstream.send(command, self.common.literals, self.common.utf8, out);
        self.sent(number, command.tag, command.verb, purpose);
    }

    pub(super) fn sent(&mut self, number: u32, tag: &[u8], verb: Verb, purpose: Purpose) {
        self.outstanding.push(Sent { number, tag: tag.into(), verb, purpose });
    }

    /// ENABLE: what is not known is not enabled.
    fn enable(&mut self, command: &Command<'_>, names: &[&[u8]], out: &mut Output) {
        let names: Vec<&[u8]> =
            names.iter().copied().filter(|name| may_enable(name, self.common.capabilities)).collect();
        if names.is_empty() {
            let tag = command.tag;
            return self.outbox.say(out, |octets| {
                octets.extend_from_slice(b"* ENABLED\r\n");
                octets.extend_from_slice(tag);
                octets.extend_from_slice(b" OK nothing to enable\r\n");
            });
        }
        let utf8 = names.iter().any(|name| changes_syntax(name));
        let command = Command { tag: command.tag, verb: command.verb, body: Body::Enable(names) };
        self.send(&command, Purpose::Enable { utf8 }, out);
    }

    /// Nothing is open any more, and what was learnt of its mails is about no other's.
    pub(super) fn no_mailbox(&mut self) {
        self.selected = None;
        self.put_off.clear();
        // They are about mails of the mailbox that was open.
        self.marks = Marks::default();
    }

    pub(super) fn is_in_idle(&self) -> bool {
        self.outstanding.is_in_idle()
    }
}
