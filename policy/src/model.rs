//! The validated policy: every name resolved to an index, every default filled in.
mod connection;
mod mail;
mod service;
mod session;

use crate::engine::{Engine, SpamFilter};
use crate::html::HtmlFilter;
use crate::names::Protocol;
use crate::tls::{ClientTls, ServerMode, ServerTls};
pub use connection::{Listener, SessionAcl, Transparent, Welcome};
pub use mail::{
    DocAcl, ExtraType, HeaderChanges, HeaderMatch, MailAcl, MailAction, MailFilter, PartAction, TypeSource,
};
pub use service::{Control, LogSettings, Login, Quarantine, Resolver, Service};
pub use session::{ClientId, CommandAcl, ImapRules, PlugTo, Scanning, SessionRules};

/// Everything that one configuration says.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `[service]`.
    pub service: Service,
    /// `[log]`.
    pub log: LogSettings,
    /// `[login]`.
    pub login: Login,
    /// `[resolver]`.
    pub resolver: Resolver,
    /// `[control]`.
    pub control: Control,
    /// `without-quarantine = "refuse-delete"`.
    pub refuse_delete: bool,
    /// `[quarantine]`; `None`: no copies are kept.
    pub quarantine: Option<Quarantine>,
    /// Tenant names; "default" is the first.
    pub tenants: Vec<String>,
    /// `max-sessions` of each; 0 is none.
    pub tenant_sessions: Vec<usize>,
    /// `[client-tls.NAME]`.
    pub client_tls: Vec<ClientTls>,
    /// `[server-tls.NAME]` behind those that are built in.
    pub server_tls: Vec<ServerTls>,
    /// `[[listener]]`.
    pub listeners: Vec<Listener>,
    /// `[[session-acl]]`, in order.
    pub session_acls: Vec<SessionAcl>,
    /// `[[command-acl]]`, in order.
    pub command_acls: Vec<CommandAcl>,
    /// `[[doc-acl]]`, one's own and then the standard ones.
    pub doc_acls: Vec<DocAcl>,
    /// `[[mail-acl]]`, one's own and then the standard ones.
    pub mail_acls: Vec<MailAcl>,
    /// `[antivirus.*]`.
    pub engines: Vec<Engine>,
    /// `[antispam.*]`.
    pub spam_filters: Vec<SpamFilter>,
    /// `[mail-filter.*]`, by name.
    pub mail_filters: Vec<MailFilter>,
    /// `[html-filter.*]`, by name.
    pub html_filters: Vec<HtmlFilter>,
    /// `[document-types] extra`.
    pub extra_types: Vec<ExtraType>,
}

impl Policy {
    /// The port of servers under a rule where none is written: it follows the protocol and the TLS towards them.
    pub fn server_port(&self, rule: &CommandAcl, protocol: Protocol) -> u16 {
        let tls = self.server_tls.get(usize::from(rule.session.server_tls));
        protocol.port(tls.is_some_and(|tls| tls.mode == ServerMode::Implicit))
    }
}
