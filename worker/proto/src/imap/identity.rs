//! ID (RFC 2971): what the server learns of who the client is; and how many proxies a session may still pass. That count is
//! heeded from whoever tells it, since it can only become less, and told to the server by us alone.
use super::command::{Body, Command, Fields};
use super::common::Broken;
use super::core::{Core, Phase};
use super::cursor::Str;
use super::outstanding::Purpose;
use super::verb::Verb;
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

/// Proxies that a session may pass (Dovecot's count, by Dovecot's name).
pub(super) const HOPS: u32 = 5;
const HOPS_FIELD: &str = "x-proxy-ttl";

impl Core {
    /// Takes the count of a proxy in front of us.
    pub(super) fn heed_hops(&mut self, body: &Body<'_>) -> Result<(), Broken> {
        let Body::Id(Some(fields)) = body else { return Ok(()) };
        let told = fields.iter().find(|(name, _)| name.is(HOPS_FIELD)).and_then(|(_, value)| value.as_ref());
        let told = told.and_then(|value| std::str::from_utf8(value.bytes()).ok()?.parse().ok());
        self.common.hops = self.common.hops.min(told.unwrap_or(HOPS));
        if self.common.hops <= 1 && self.phase == Phase::Before {
            return Err(Broken::circle());
        }
        Ok(())
    }

    /// Tells the server how many proxies may follow, in front of a login; what it answers is nobody's to hear.
    pub(super) fn tell_hops(&mut self, out: &mut Output) {
        if !self.common.server_takes_id {
            return;
        }
        let number = self.upstream.next_number();
        out.server.extend_from_slice(&super::upstream::tag(number));
        let left = self.common.hops.saturating_sub(1);
        out.server.extend_from_slice(format!(" ID (\"{HOPS_FIELD}\" \"{left}\")\r\n").as_bytes());
        self.sent(number, b"", Verb::Id, Purpose::Hops);
    }

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
