//! What each role is allowed to know. A slice travels in a sealed memfd, encoded by `ipc::wire`.
use crate::acl::holds;
use crate::model::{CommandAcl, Engine, Login, MailAcl, MailFilter, PlugTo, Policy, Resolver, SessionRules};
use serde::{Deserialize, Serialize};

/// What a worker of one tenant knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSlice {
    /// Whose.
    pub tenant: String,
    /// Listener names; the index is the policy's. Empty: another tenant's.
    pub listeners: Vec<String>,
    /// The tenant's rules by the policy's index; `None` belongs to others.
    pub rules: Vec<Option<SessionRules>>,
    /// `[login]`.
    pub login: Login,
    /// `spool-file-above`.
    pub spool_file_above: u64,
    /// `copy-cache`.
    pub copy_cache: u64,
    /// `without-quarantine = "refuse-delete"`.
    pub refuse_delete: bool,
    /// Names of the engines by the policy's index.
    pub engines: Vec<String>,
}

/// What a scanner of one tenant knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerSlice {
    /// Whose.
    pub tenant: String,
    /// The tenant's mail rules, in order; parents that are other tenants' rules are left out of them.
    pub mail_acls: Vec<MailAcl>,
    /// Engines by the policy's index.
    pub engines: Vec<Engine>,
    /// Mail filters by the policy's index.
    pub mail_filters: Vec<MailFilter>,
    /// (command-acl rule name, mail filter index).
    pub filters_by_rule: Vec<(String, u16)>,
}

/// What lookup knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupSlice {
    /// `plug-to` by the policy's index of the command-acl rule.
    pub plug_to: Vec<Vec<PlugTo>>,
    /// `[resolver]`.
    pub resolver: Resolver,
}

impl Policy {
    /// The slice of the workers of a tenant (index into `tenants`).
    pub fn worker_slice(&self, tenant: u16) -> WorkerSlice {
        WorkerSlice {
            tenant: self.tenant_name(tenant),
            listeners: self
                .listeners
                .iter()
                .map(|listener| if listener.tenant == tenant { listener.name.clone() } else { String::new() })
                .collect(),
            rules: self
                .command_acls
                .iter()
                .map(|acl| self.reaches(acl, tenant).then(|| acl.session.clone()))
                .collect(),
            login: self.login.clone(),
            spool_file_above: self.service.spool_file_above,
            copy_cache: self.service.copy_cache,
            refuse_delete: self.refuse_delete,
            engines: self.engines.iter().map(|engine| engine.name.clone()).collect(),
        }
    }

    /// The slice of the scanners of a tenant.
    pub fn scanner_slice(&self, tenant: u16) -> ScannerSlice {
        let own: Vec<_> = self.command_acls.iter().filter(|acl| self.reaches(acl, tenant)).collect();
        let is_own = |name: &String| own.iter().any(|acl| acl.session.name == *name);
        let mail_acls = self
            .mail_acls
            .iter()
            .filter(|rule| rule.command_acls.is_empty() || rule.command_acls.iter().any(is_own))
            .map(|rule| {
                let mut rule = rule.clone();
                rule.command_acls.retain(is_own);
                rule
            })
            .collect();
        ScannerSlice {
            tenant: self.tenant_name(tenant),
            mail_acls,
            engines: self.engines.clone(),
            mail_filters: self.mail_filters.clone(),
            filters_by_rule: own
                .iter()
                .map(|acl| (acl.session.name.clone(), acl.session.download.mail_filter))
                .collect(),
        }
    }

    /// The slice of lookup.
    pub fn lookup_slice(&self) -> LookupSlice {
        LookupSlice {
            plug_to: self.command_acls.iter().map(|acl| acl.plug_to.clone()).collect(),
            resolver: self.resolver.clone(),
        }
    }

    /// Whether a session of this tenant can be under this rule: it accepts, and its conditions and those of one of its
    /// parents leave at least one of the tenant's listeners.
    fn reaches(&self, acl: &CommandAcl, tenant: u16) -> bool {
        let own = |index: u16| {
            self.listeners.get(usize::from(index)).is_some_and(|listener| listener.tenant == tenant)
        };
        acl.accept
            && holds(&acl.tenants, tenant)
            && (0_u16..).zip(&self.listeners).any(|(listener, _)| {
                own(listener)
                    && holds(&acl.listeners, listener)
                    && (0_u16..).zip(&self.session_acls).any(|(parent, session)| {
                        session.accept
                            && holds(&acl.session_acls, parent)
                            && holds(&session.listeners, listener)
                            && holds(&session.tenants, tenant)
                    })
            })
    }

    fn tenant_name(&self, tenant: u16) -> String {
        self.tenants.get(usize::from(tenant)).cloned().unwrap_or_default()
    }
}
