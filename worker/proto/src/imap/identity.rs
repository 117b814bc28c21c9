//! ID (RFC 2971): what the server learns of who the client is.
use super::command::{Body, Command, Fields};
use super::core::Core;
use super::cursor::Str;
use super::outstanding::Purpose;
use crate::machine::Output;
use policy::model::ClientId;

/// Names by which proxies tell servers who the client is: nobody but a proxy may use them.
const PROXY_FIELDS: &[&str] = &[
    "x-originating-ip",
    "x-originating-port",
    "x-connected-ip",
    "x-connected-port",
    "x-connected-name",
    "x-proxy-ttl",
    "x-session-id",
    "x-session-ext-id",
];

impl Core {
    /// ID: who the client is, as far as the rules let the server know; what only proxies may say is left out.
    pub(super) fn id(&mut self, command: &Command<'_>, fields: Option<&Fields<'_>>, out: &mut Output) {
        let said = match self.common.settings.rules.imap.client_id {
            ClientId::Pass => fields.map(without_proxies),
            ClientId::Replace => {
                Some(vec![(Str::Quoted(b"name"[..].into()), Some(Str::Quoted(b"Mailward"[..].into())))])
            }
            ClientId::Strip => {
                let tag = command.tag;
                return self.outbox.say(out, |octets| {
                    octets.extend_from_slice(b"* ID NIL\r\n");
                    octets.extend_from_slice(tag);
                    octets.extend_from_slice(b" OK ID\r\n");
                });
            }
        };
        let command = Command { tag: command.tag, verb: command.verb, body: Body::Id(said) };
        self.send(&command, Purpose::Relay, out);
    }
}

/// What anybody may say of itself.
fn without_proxies<'f>(fields: &Fields<'f>) -> Fields<'f> {
    let of_proxies = |name: &Str<'_>| {
        PROXY_FIELDS.iter().any(|field| name.is(field))
            || name.bytes().get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forward"))
    };
    fields.iter().filter(|(name, _)| !of_proxies(name)).cloned().collect()
}
