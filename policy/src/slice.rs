//! What each role is allowed to know. A slice travels in a sealed memfd, encoded by `ipc::wire`.
use crate::conditions::{Conditions, one_of};
use crate::engine::{Engine, SpamFilter};
use crate::html::HtmlFilter;
use crate::model::{
    CommandAcl, DocAcl, ExtraType, Login, MailAcl, MailAction, MailFilter, PlugTo, Policy, Resolver,
    Scanning, SessionRules, Welcome,
};
use crate::names::Protocol;
use crate::status::{Status, StatusSet};
use crate::time::Zone;
use crate::tls::{ClientMode, ClientTls, Required, ServerTls};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a worker of one tenant knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSlice {
    /// Whose.
    pub tenant: String,
    /// Listener names; the index is the policy's. Empty: another tenant's.
    pub listeners: Vec<String>,
    /// What clients are told before they log in, likewise.
    pub welcomes: Vec<Welcome>,
    /// The tenant's rules by the policy's index; `None` belongs to others.
    pub rules: Vec<Option<SessionRules>>,
    /// TLS towards clients, by the policy's index; `None` belongs to others.
    pub client_tls: Vec<Option<ClientTls>>,
    /// TLS towards servers, likewise.
    pub server_tls: Vec<Option<ServerTls>>,
    /// `require-client-certificate` by the policy's index of the session-acl; others' are empty.
    pub required: Vec<Required>,
    /// `[login]`.
    pub login: Login,
    /// `spool-file-above`.
    pub spool_file_above: u64,
    /// This worker's share of `spool-memory`.
    pub spool_memory: u64,
    /// `copy-cache`.
    pub copy_cache: u64,
    /// `without-quarantine = "refuse-delete"`.
    pub refuse_delete: bool,
    /// Names of the engines by the policy's index.
    pub engines: Vec<String>,
    /// Keywords that a rule of the tenant may give a mail; another one a scanner has invented.
    pub keywords: Vec<String>,
    /// Statuses that a mail which passes unchanged can have by the tenant's rules; what else a scanner passes is a lie.
    pub passes: StatusSet,
}

/// What a scanner of one tenant knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerSlice {
    /// Whose.
    pub tenant: String,
    /// Its index in the policy.
    pub number: u16,
    /// The tenant's mail rules, in order.
    pub mail_acls: Vec<MailAcl>,
    /// The tenant's rules for parts, in order.
    pub doc_acls: Vec<DocAcl>,
    /// `[document-types] extra`.
    pub extra_types: Vec<ExtraType>,
    /// Where the operator's clock hangs.
    pub zone: Zone,
    /// By the policy's index of the command-acl: whether it only monitors.
    pub monitors: Vec<bool>,
    /// Likewise: whether clients of IMAP learn nothing of a mail before it is judged (`metadata = "strict"`).
    pub strict: Vec<bool>,
    /// Engines by the policy's index.
    pub engines: Vec<Engine>,
    /// Spam filters by the policy's index.
    pub spam_filters: Vec<SpamFilter>,
    /// TLS towards servers by the policy's index; `None`: no engine or spam filter is behind it.
    pub server_tls: Vec<Option<ServerTls>>,
    /// Mail filters by the policy's index.
    pub mail_filters: Vec<MailFilter>,
    /// HTML filters; rules name them.
    pub html_filters: Vec<HtmlFilter>,
    /// By the policy's index of the command-acl: its mail filters, of downloads and of uploads; `None` belongs to others.
    pub filters: Vec<Option<(u16, u16)>>,
}

/// What lookup knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupSlice {
    /// The conditions of the command-acl rules and whether each accepts, in order.
    pub rules: Vec<(Conditions, bool)>,
    /// `plug-to` by the policy's index of the command-acl rule.
    pub plug_to: Vec<Vec<PlugTo>>,
    /// Names in lists of hosts, sorted; asked for by index.
    pub hosts: Vec<String>,
    /// `[resolver]`.
    pub resolver: Resolver,
}

/// What the keyholder knows: how servers are verified in whose place it signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyholderSlice {
    /// TLS towards servers, by the policy's index; empty where nothing is intercepted.
    pub server_tls: Vec<ServerTls>,
}

impl Policy {
    /// The slice of the keyholder.
    pub fn keyholder_slice(&self) -> KeyholderSlice {
        KeyholderSlice {
            server_tls: if self.has_interception() { self.server_tls.clone() } else { Vec::new() },
        }
    }

    /// The slice of the workers of a tenant (index into `tenants`); `hostname`: of this machine.
    pub fn worker_slice(&self, tenant: u16, hostname: &str) -> WorkerSlice {
        WorkerSlice {
            tenant: self.tenant_name(tenant),
            listeners: self
                .listeners
                .iter()
                .map(|listener| if listener.tenant == tenant { listener.name.clone() } else { String::new() })
                .collect(),
            welcomes: self
                .listeners
                .iter()
                .map(|listener| {
                    if listener.tenant == tenant { listener.welcome.on(hostname) } else { Welcome::default() }
                })
                .collect(),
            rules: self
                .command_acls
                .iter()
                .map(|acl| self.reaches(acl, tenant).then(|| acl.session.clone()))
                .collect(),
            client_tls: self
                .client_tls
                .iter()
                .zip(0_u16..)
                .map(|(tls, index)| self.shows(tenant, index).then(|| tls.clone()))
                .collect(),
            server_tls: self
                .server_tls
                .iter()
                .zip(0_u16..)
                .map(|(tls, index)| self.dials_with(tenant, index).then(|| tls.clone()))
                .collect(),
            required: self
                .session_acls
                .iter()
                .map(|acl| {
                    let own = one_of(&acl.when.tenants, tenant);
                    if own { acl.require_client_certificate.clone() } else { Vec::new() }
                })
                .collect(),
            login: self.login.clone(),
            spool_file_above: self.service.spool_file_above,
            spool_memory: self.service.spool_share(),
            copy_cache: self.service.copy_cache,
            refuse_delete: self.refuse_delete,
            engines: self.engines.iter().map(|engine| engine.name.clone()).collect(),
            keywords: self.keywords(tenant),
            passes: self.passes(tenant),
        }
    }

    /// How mail of a tenant is scanned, if it is: on its way down, and up where IMAP is spoken.
    pub fn scanning(&self, tenant: u16) -> impl Iterator<Item = &Scanning> {
        let uploads = self.listeners.iter().any(|own| own.tenant == tenant && own.protocol == Protocol::Imap);
        let rules = self.command_acls.iter().filter(move |acl| self.reaches(acl, tenant));
        rules.flat_map(move |acl| {
            let upload = Some(&acl.session.upload).filter(|_| uploads);
            [Some(&acl.session.download), upload].into_iter().flatten()
        })
    }

    /// The slice of the scanners of a tenant.
    pub fn scanner_slice(&self, tenant: u16) -> ScannerSlice {
        let own = |index: &u16| {
            self.command_acls.get(usize::from(*index)).is_some_and(|acl| self.reaches(acl, tenant))
        };
        let meant = |when: &Conditions| {
            one_of(&when.tenants, tenant) && (when.parents.is_empty() || when.parents.iter().any(own))
        };
        let filters =
            self.command_acls.iter().map(|acl| (acl, &acl.session.download, &acl.session.upload)).map(
                |(acl, down, up)| self.reaches(acl, tenant).then_some((down.mail_filter, up.mail_filter)),
            );
        ScannerSlice {
            tenant: self.tenant_name(tenant),
            number: tenant,
            zone: self.service.zone.clone().unwrap_or_default(),
            mail_acls: self.mail_acls.iter().filter(|rule| meant(&rule.when)).cloned().collect(),
            doc_acls: self.doc_acls.iter().filter(|rule| meant(&rule.when)).cloned().collect(),
            extra_types: self.extra_types.clone(),
            monitors: self
                .command_acls
                .iter()
                .map(|acl| self.reaches(acl, tenant) && acl.session.monitor)
                .collect(),
            strict: self.command_acls.iter().map(|acl| acl.session.strict).collect(),
            engines: self.engines.clone(),
            spam_filters: self.spam_filters.clone(),
            server_tls: (0_u16..)
                .zip(&self.server_tls)
                .map(|(index, tls)| self.asks_with(index).then(|| tls.clone()))
                .collect(),
            mail_filters: self.mail_filters.clone(),
            html_filters: self.html_filters.clone(),
            filters: filters.collect(),
        }
    }

    /// The slice of lookup.
    pub fn lookup_slice(&self) -> LookupSlice {
        LookupSlice {
            rules: self.command_acls.iter().map(|acl| (acl.when.clone(), acl.accept)).collect(),
            plug_to: self.command_acls.iter().map(|acl| acl.plug_to.clone()).collect(),
            hosts: self.host_names().into_iter().collect(),
            resolver: self.resolver.clone(),
        }
    }

    fn passes(&self, tenant: u16) -> StatusSet {
        let monitored = self.command_acls.iter().any(|acl| acl.session.monitor && self.reaches(acl, tenant));
        let rules = || self.mail_acls.iter().filter(|rule| one_of(&rule.when.tenants, tenant));
        if monitored || rules().any(|rule| rule.monitor) {
            return StatusSet::naming(Status::ALL);
        }
        let accepting = rules().filter(|rule| rule.action == MailAction::Accept);
        let clean = StatusSet::of(Status::Clean);
        StatusSet::naming(accepting.flat_map(|rule| rule.virus.unwrap_or(clean).iter()))
    }

    fn keywords(&self, tenant: u16) -> Vec<String> {
        let rules = self.mail_acls.iter().filter(|rule| one_of(&rule.when.tenants, tenant));
        rules.flat_map(|rule| rule.keywords.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a session of this tenant can be under this rule: it accepts, and its conditions and those of one of its
    /// parents leave at least one of the tenant's listeners.
    fn reaches(&self, acl: &CommandAcl, tenant: u16) -> bool {
        let own = |index: u16| {
            self.listeners.get(usize::from(index)).is_some_and(|listener| listener.tenant == tenant)
        };
        acl.accept
            && one_of(&acl.when.tenants, tenant)
            && (0_u16..).zip(&self.listeners).any(|(listener, _)| {
                own(listener)
                    && one_of(&acl.when.listeners, listener)
                    && (0_u16..).zip(&self.session_acls).any(|(parent, session)| {
                        session.accept
                            && one_of(&acl.when.parents, parent)
                            && one_of(&session.when.listeners, listener)
                            && one_of(&session.when.tenants, tenant)
                    })
            })
    }

    /// Whether clients of this tenant can be shown the certificates of this `[client-tls.NAME]`.
    pub fn shows(&self, tenant: u16, client_tls: u16) -> bool {
        let listeners = (0_u16..).zip(&self.listeners).filter(|(_, listener)| listener.tenant == tenant);
        listeners
            .flat_map(|(listener, _)| {
                (0_u16..).zip(&self.session_acls).map(move |(rule, acl)| (listener, rule, acl))
            })
            .any(|(listener, rule, acl)| {
                let side = self.client_side(listener, rule);
                acl.accept
                    && one_of(&acl.when.tenants, tenant)
                    && one_of(&acl.when.listeners, listener)
                    && side.mode != ClientMode::Off
                    && side.client_tls == client_tls
            })
    }

    /// Whether sessions of this tenant can use this `[server-tls.NAME]`.
    pub fn dials_with(&self, tenant: u16, server_tls: u16) -> bool {
        self.command_acls.iter().any(|acl| acl.session.server_tls == server_tls && self.reaches(acl, tenant))
    }

    /// Whether an engine or a spam filter is behind this `[server-tls.NAME]`.
    pub fn asks_with(&self, server_tls: u16) -> bool {
        let engines = self.engines.iter().filter_map(|engine| engine.kind.outside());
        let filters = self.spam_filters.iter().filter_map(|filter| filter.kind.daemon());
        let mut daemons = engines.map(|outside| &outside.daemon).chain(filters);
        daemons.any(|daemon| daemon.tls.as_ref().is_some_and(|tls| tls.server_tls == server_tls))
    }

    fn tenant_name(&self, tenant: u16) -> String {
        self.tenants.get(usize::from(tenant)).cloned().unwrap_or_default()
    }
}
