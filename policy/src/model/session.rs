//! Phase 2, the session: where it goes, and what it may do.
use crate::conditions::Conditions;
use crate::list::NameList;
use crate::names::{Direction, Language};
use crate::tls::Required;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One `[[command-acl]]`: phase 2, the session.
#[derive(Clone, Debug)]
pub struct CommandAcl {
    /// `name`.
    pub name: String,
    /// When it matches; its parents are session-acls.
    pub when: Conditions,
    /// `action = "accept"`.
    pub accept: bool,
    /// `plug-to`, used in turn; empty: the original destination, which `load` made sure that there is, or `route`.
    pub plug_to: Vec<PlugTo>,
    /// `route`: the `[route.NAME]` that finds the server.
    pub route: Option<String>,
    /// `language`, if it is written here.
    pub language: Option<Language>,
    /// `server-conn.connect-timeout`.
    pub connect_timeout: Duration,
    /// What the session may do, as the worker needs it.
    pub session: SessionRules,
}

/// One item of `plug-to`. Port 0: none is written, and it is the one of the session's protocol
/// ([`server_port`](super::Policy::server_port)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlugTo {
    /// A literal address.
    Address(SocketAddr),
    /// A name for lookup.
    Name {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
}

impl PlugTo {
    /// The same with this port, unless one is written.
    #[must_use]
    pub fn with_port(&self, default: u16) -> Self {
        let or = |port| if port == 0 { default } else { port };
        match self {
            Self::Address(address) => Self::Address(SocketAddr::new(address.ip(), or(address.port()))),
            Self::Name { host, port } => Self::Name { host: host.clone(), port: or(*port) },
        }
    }
}

impl fmt::Display for PlugTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// What a command-acl rule lets a session do; part of the worker's slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRules {
    /// Name of the rule.
    pub name: String,
    /// `commands`; `*` is spelled out, see [`NameList`].
    pub commands: NameList,
    /// `capabilities`.
    pub capabilities: NameList,
    /// `max-time`; `None` is none.
    pub max_time: Option<Duration>,
    /// `idle-timeout`.
    pub idle_timeout: Duration,
    /// `max-bytes-in`: server to client; 0 is none.
    pub max_bytes_in: u64,
    /// `max-bytes-out`; 0 is none.
    pub max_bytes_out: u64,
    /// `cmd-line-len`, octets with CRLF.
    pub cmd_line_len: usize,
    /// `resp-line-len`, octets with CRLF.
    pub resp_line_len: usize,
    /// `enforce = "monitor"`: mail is scanned and judged, and delivered as it is.
    pub monitor: bool,
    /// `scan-patience`.
    pub scan_patience: Duration,
    /// `metadata = "strict"`: what tells about content waits for the judgement as content does.
    pub strict: bool,
    /// `strict-limit`: mails of a maildrop that POP3 judges before it tells a size; 0: all.
    pub strict_limit: usize,
    /// `[command-acl.download]`.
    pub download: Scanning,
    /// `[command-acl.upload]`.
    pub upload: Scanning,
    /// What IMAP has of its own, or other defaults for.
    pub imap: ImapRules,
    /// `server-tls`: index into `server_tls`.
    pub server_tls: u16,
    /// `require-server-certificate`.
    pub require_server_certificate: Required,
}

impl SessionRules {
    /// How mail is scanned that travels this way.
    pub const fn scanning(&self, direction: Direction) -> &Scanning {
        match direction {
            Direction::Download => &self.download,
            Direction::Upload => &self.upload,
        }
    }

    /// What holds while the client's name is awaited, which decides the rule: the defaults, and no mail passes.
    pub fn before_login() -> Self {
        let nothing = Scanning {
            scan: false,
            max_mail: 0,
            mail_line_len: 0,
            engines: Vec::new(),
            spam_filters: Vec::new(),
            mail_filter: 0,
        };
        Self {
            name: String::new(),
            commands: NameList::default(),
            capabilities: NameList::default(),
            max_time: None,
            idle_timeout: Duration::from_secs(600),
            max_bytes_in: 0,
            max_bytes_out: 0,
            cmd_line_len: 8 * 1024,
            resp_line_len: 8 * 1024,
            monitor: false,
            scan_patience: Duration::from_secs(45),
            strict: false,
            strict_limit: 200,
            download: nothing.clone(),
            upload: nothing,
            imap: ImapRules::default(),
            server_tls: 0,
            require_server_certificate: Required::default(),
        }
    }
}

/// What a command-acl rule says about IMAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImapRules {
    /// `cmd-line-len`, octets with CRLF, literals apart; by default more than POP3's.
    pub cmd_line_len: usize,
    /// `resp-line-len`, likewise.
    pub resp_line_len: usize,
    /// `idle-timeout`; by default longer than POP3's. Suspended in IDLE.
    pub idle_timeout: Duration,
    /// `idle-heartbeat`: between signs of life during IDLE.
    pub idle_heartbeat: Duration,
    /// `client-id`.
    pub client_id: ClientId,
    /// `content-search = "refuse"`.
    pub refuse_content_search: bool,
}

impl Default for ImapRules {
    /// What a rule that says nothing of IMAP has.
    fn default() -> Self {
        Self {
            cmd_line_len: 64 * 1024,
            resp_line_len: 1024 * 1024,
            // RFC 9051 section 5.4 wants thirty.
            idle_timeout: Duration::from_secs(31 * 60),
            idle_heartbeat: Duration::from_secs(120),
            client_id: ClientId::Pass,
            refuse_content_search: false,
        }
    }
}

/// `client-id`: what becomes of IMAP's ID on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientId {
    /// It is passed on, except for what only proxies may say.
    Pass,
    /// The server learns of Mailward instead.
    Replace,
    /// The server learns nothing.
    Strip,
}

/// `[command-acl.download]` and `[command-acl.upload]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanning {
    /// Not `no-mail-scanning`.
    pub scan: bool,
    /// `max-mail`, octets.
    pub max_mail: u64,
    /// `mail-line-len`, octets with CRLF.
    pub mail_line_len: usize,
    /// `antivirus`: indices into `engines`, ascending. Empty: no engine is demanded and the status is `skipped`.
    pub engines: Vec<u16>,
    /// `antispam`: indices into `spam_filters`, ascending. Empty: the score is unknown.
    pub spam_filters: Vec<u16>,
    /// `mail-filter`: index into `mail_filters`.
    pub mail_filter: u16,
}
