//! What each role is allowed to know. A slice travels in a sealed memfd, encoded by `ipc::wire`.
use crate::model::{Engine, Login, MailAcl, MailFilter, PlugTo, Policy, Resolver, SessionRules};
use serde::{Deserialize, Serialize};

/// What a worker of one tenant knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSlice {
    /// Whose.
    pub tenant: String,
    /// Listener names; the index is the policy's.
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
    /// The tenant's mail rules, in order.
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
    pub fn worker_slice(&self, _tenant: u16) -> WorkerSlice {
        todo!()
    }
    /// The slice of the scanners of a tenant.
    pub fn scanner_slice(&self, _tenant: u16) -> ScannerSlice {
        todo!()
    }
    /// The slice of lookup.
    pub fn lookup_slice(&self) -> LookupSlice {
        todo!()
    }
}
