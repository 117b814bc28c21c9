//! The validated policy: every name resolved to an index, every default filled in.
use crate::comparison::{Comparison, SpamCondition};
use crate::conditions::Conditions;
use crate::engine::{Engine, SpamFilter};
use crate::html::HtmlFilter;
use crate::list::Patterns;
use crate::names::{Direction, Language, Protocol};
use crate::notice::Notice;
use crate::status::StatusSet;
use crate::time::Zone;
use crate::tls::{ClientMode, ClientTls, Required, ServerMode, ServerTls};
use crate::violation::Treatments;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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

/// `[service]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `isolation = "session"`: a worker process for each session.
    pub process_per_session: bool,
    /// `workers`, per tenant; "auto" is one per core.
    pub workers: usize,
    /// `spare-workers`, with `isolation = "session"`.
    pub spare_workers: usize,
    /// `scanners`, per tenant; "auto" is three for two cores.
    pub scanners: usize,
    /// `scanner-lives`: mails per scanner process.
    pub scanner_lives: u32,
    /// `require-sandbox`: `None` is "full as root, best effort otherwise".
    pub require_full_sandbox: Option<bool>,
    /// `uid-range`, both ends included; large enough for three ids per tenant and two more.
    pub uid_range: (u32, u32),
    /// `accounts`: (role name, uid) overrides; outside `uid_range`, each id once.
    pub accounts: Vec<(String, u32)>,
    /// `state-dir`.
    pub state_dir: PathBuf,
    /// `spool-dir`.
    pub spool_dir: PathBuf,
    /// `spool-memory`: octets of mail in memory, per tenant.
    pub spool_memory: u64,
    /// `spool-file-above`: mails of more octets wait in a file; at most `spool_memory`.
    pub spool_file_above: u64,
    /// `max-sessions`; 0 is none.
    pub max_sessions: usize,
    /// `max-sessions-per-client`; 0 is none.
    pub max_sessions_per_client: usize,
    /// `backlog`: connections that the kernel keeps until they are accepted.
    pub backlog: i32,
    /// `copy-cache`, octets per session.
    pub copy_cache: u64,
    /// `answer-cache`, answers of all tenants.
    pub answer_cache: usize,
    /// `pid-file`, absolute.
    pub pid_file: Option<PathBuf>,
    /// `tz`; `None`: the system's.
    pub zone: Option<Zone>,
    /// `language`.
    pub language: Language,
}

/// A worker has at least this much memory for mail, octets.
const LEAST_SHARE: u64 = 64 * 1024;
/// Sessions that are reckoned with where `max-sessions` is none.
const MANY_SESSIONS: u64 = 20_000;

impl Service {
    /// What each worker of a tenant has of `spool-memory`: with `isolation = "session"` there may be as many workers as
    /// sessions.
    pub fn spool_share(&self) -> u64 {
        let workers = match (self.process_per_session, self.max_sessions as u64) {
            (false, _) => self.workers as u64,
            (true, 0) => MANY_SESSIONS,
            (true, sessions) => sessions,
        };
        (self.spool_memory / workers.max(1)).max(LEAST_SHARE)
    }
}

/// `[control]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `socket`, absolute.
    pub socket: PathBuf,
    /// `group`: its members may use the socket, as root may.
    pub group: String,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `level`: error warn info debug trace.
    pub level: String,
    /// `format`: auto text json.
    pub format: String,
}

/// `[login]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// `failure-limit`: this many failed logins are answered, then the session ends.
    pub failure_limit: u32,
    /// `bad-command-limit`: this many are answered, the next closes.
    pub bad_command_limit: u32,
    /// `deadline`, from admission to a successful login.
    pub deadline: Duration,
    /// `failure-delay` before a failed login is answered.
    pub failure_delay: Duration,
}

/// `[resolver]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// `servers`; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// `timeout`.
    pub timeout: Duration,
    /// `startup-timeout`.
    pub startup_timeout: Duration,
}

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `name`.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `address`: where to bind, at least one. IPv6 sockets take IPv6 only (IPV6_V6ONLY): `*` is one address of each
    /// family.
    pub addresses: Vec<SocketAddr>,
    /// Index into `tenants`.
    pub tenant: u16,
    /// `tls`.
    pub tls: ClientMode,
    /// `client-tls`: index; `None` only where `tls` is off.
    pub client_tls: Option<u16>,
    /// `transparent`.
    pub transparent: Option<Transparent>,
}

/// `transparent = { method, ports, interfaces }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transparent {
    /// `method = "redirect"`: we install it; "none": the administrator has.
    pub redirect: bool,
    /// `ports` that are redirected to this listener: ranges, both ends included.
    pub ports: Vec<(u16, u16)>,
    /// `interfaces` that clients come in by; empty: every one.
    pub interfaces: Vec<String>,
}

/// One `[[session-acl]]`: phase 1, the connection.
#[derive(Clone, Debug)]
pub struct SessionAcl {
    /// `name`.
    pub name: String,
    /// When it matches.
    pub when: Conditions,
    /// `action = "accept"`.
    pub accept: bool,
    /// `max-sessions-per-client`; 0 is none.
    pub max_sessions_per_client: usize,
    /// `language`, if it is written here.
    pub language: Option<Language>,
    /// `tls`, instead of the listener's.
    pub tls: Option<ClientMode>,
    /// `client-tls`, instead of the listener's: index.
    pub client_tls: Option<u16>,
    /// `require-client-certificate`.
    pub require_client_certificate: Required,
}

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

/// One item of `plug-to`. Port 0: none is written, and it is the one of the session's protocol ([`Policy::server_port`]).
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

impl Policy {
    /// The port of servers under a rule where none is written: it follows the protocol and the TLS towards them.
    pub fn server_port(&self, rule: &CommandAcl, protocol: Protocol) -> u16 {
        let tls = self.server_tls.get(usize::from(rule.session.server_tls));
        protocol.port(tls.is_some_and(|tls| tls.mode == ServerMode::Implicit))
    }
}

/// What a command-acl rule lets a session do; part of the worker's slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRules {
    /// Name of the rule.
    pub name: String,
    /// `commands`; `*` is spelled out, see [`crate::list::NameList`].
    pub commands: crate::list::NameList,
    /// `capabilities`.
    pub capabilities: crate::list::NameList,
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
            commands: crate::list::NameList::default(),
            capabilities: crate::list::NameList::default(),
            max_time: None,
            idle_timeout: Duration::from_secs(600),
            max_bytes_in: 0,
            max_bytes_out: 0,
            cmd_line_len: 8 * 1024,
            resp_line_len: 8 * 1024,
            monitor: false,
            scan_patience: Duration::from_secs(45),
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
    /// `metadata = "strict"`: what tells about content waits for the judgement as content does.
    pub strict: bool,
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
            strict: false,
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

/// One `[[mail-acl]]`: phase 3, once per mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailAcl {
    /// `name`.
    pub name: String,
    /// When it matches, as far as the session goes; its parents are command-acls.
    pub when: Conditions,
    /// `direction`; empty: both.
    pub directions: Vec<Direction>,
    /// `virus`: statuses, `Clean` beside others too. `None`: not given; then a rule that accepts takes clean mail only,
    /// any other every mail.
    pub virus: Option<StatusSet>,
    /// `virus-name`.
    pub virus_names: Patterns,
    /// `spam-score`.
    pub spam_score: Option<SpamCondition>,
    /// `size`, octets.
    pub size: Option<Comparison>,
    /// `header`: alternatives.
    pub headers: Vec<HeaderMatch>,
    /// `sender`.
    pub senders: Patterns,
    /// `action`.
    pub action: MailAction,
    /// `replace = "body"`; else the parts that bear the status, where there are some.
    pub whole_body: bool,
    /// `replace-body`.
    pub notice: Notice,
    /// `subject-prefix`, `add-header`, `replace-header`, `remove-header`.
    pub fields: HeaderChanges,
    /// `enforce = "monitor"`.
    pub monitor: bool,
}

/// What becomes of a mail's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderChanges {
    /// `subject-prefix`, without blanks at its end.
    pub subject_prefix: String,
    /// `add-header`: name, value.
    pub add: Vec<(String, String)>,
    /// `replace-header`: name, value.
    pub replace: Vec<(String, String)>,
    /// `remove-header`: names.
    pub remove: Option<Patterns>,
}

impl HeaderChanges {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One alternative of `header`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// `name`.
    pub name: Patterns,
    /// `match`.
    pub value: Patterns,
}

/// One `[[doc-acl]]`: phase 3, once per part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocAcl {
    /// `name`.
    pub name: String,
    /// When it matches, as far as the session goes; its parents are command-acls.
    pub when: Conditions,
    /// `direction`; empty: both.
    pub directions: Vec<Direction>,
    /// `virus`, as in [`MailAcl`].
    pub virus: Option<StatusSet>,
    /// `virus-name`.
    pub virus_names: Patterns,
    /// `mime-type`.
    pub types: Patterns,
    /// `filename`.
    pub filenames: Patterns,
    /// `document-types`, or `[document-types] order`: the sources of types that count, the most trusted first.
    pub sources: Vec<TypeSource>,
    /// `force-type`.
    pub force_type: bool,
    /// `mismatch`.
    pub mismatch: Option<bool>,
    /// `polyglot`.
    pub polyglot: Option<bool>,
    /// `size`, octets.
    pub size: Option<Comparison>,
    /// `action`.
    pub action: PartAction,
    /// `replace-file`.
    pub notice: Notice,
    /// `html-filter`.
    pub html_filter: String,
    /// `enforce = "monitor"`.
    pub monitor: bool,
}

/// Where a type of a document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeSource {
    /// What its octets are.
    Magic,
    /// What its file name says.
    Extension,
    /// What its Content-Type declares.
    ContentType,
}

impl TypeSource {
    /// All of them, in the order of `[document-types]`.
    pub const ALL: [Self; 3] = [Self::Magic, Self::Extension, Self::ContentType];
}

/// One type of `[document-types] extra`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraType {
    /// `mime-type`.
    pub mime_type: String,
    /// `extension`: lower case, without the dot.
    pub extensions: Vec<String>,
    /// `magic`: octets, and where they stand.
    pub magic: Vec<(u32, Vec<u8>)>,
}

/// What becomes of a part, weakest first; the last two are about its mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PartAction {
    /// Leave it as it is.
    Accept,
    /// Take the active content out.
    HtmlFilter,
    /// A notice in its place.
    Replace,
    /// Refuse the mail for now.
    Defer,
    /// Refuse the mail for good.
    Deny,
}

/// What becomes of a mail, weakest first: of all decisions on one mail the strongest wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MailAction {
    /// Deliver it as it is.
    Accept,
    /// A notice in its place.
    Replace,
    /// Refuse it for now.
    #[default]
    Defer,
    /// Refuse it for good.
    Deny,
}

impl MailAction {
    /// The word used in the configuration and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Replace => "replace",
            Self::Defer => "defer",
            Self::Deny => "deny",
        }
    }
}

impl PartAction {
    /// The word used in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::HtmlFilter => "html-filter",
            Self::Replace => "replace",
            Self::Defer => "defer",
            Self::Deny => "deny",
        }
    }
}

/// `[quarantine]`, for each tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// `keep`.
    pub keep: Duration,
    /// `max-size`, octets.
    pub max_size: u64,
}

/// One `[mail-filter.NAME]`: limits, over which the status is `limit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailFilter {
    /// NAME.
    pub name: String,
    /// What is done about each violation.
    pub treatments: Treatments,
    /// `max-parts`.
    pub max_parts: usize,
    /// `max-depth`.
    pub max_depth: usize,
    /// `max-header`, octets of one header block.
    pub max_header: usize,
    /// `max-decoded`, octets over all leaves.
    pub max_decoded: u64,
    /// `max-archive-depth`.
    pub max_archive_depth: usize,
}
