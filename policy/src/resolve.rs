//! Names in the lists of hosts of a policy, and of daemons: which there are, and what they stand for.
use crate::conditions::Conditions;
use crate::engine::Daemon;
use crate::host::Names;
use crate::model::{PlugTo, Policy};
use std::collections::BTreeSet;

impl Policy {
    /// Every name in a list of hosts, and every name of a daemon's host, in lower case.
    pub fn host_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let session = self.session_acls.iter().map(|acl| &acl.when);
        let command = self.command_acls.iter().map(|acl| &acl.when);
        let mail = self.mail_acls.iter().map(|acl| &acl.when);
        let doc = self.doc_acls.iter().map(|acl| &acl.when);
        for when in session.chain(command).chain(mail).chain(doc) {
            for list in [&when.from, &when.to] {
                list.each_name(&mut |name| {
                    names.insert(name.to_owned());
                });
            }
        }
        let engines = self.engines.iter().filter_map(|engine| engine.kind.outside());
        let filters = self.spam_filters.iter().filter_map(|filter| filter.kind.daemon());
        let daemons = engines.map(|outside| &outside.daemon).chain(filters);
        names.extend(daemons.filter_map(Daemon::host_name).map(str::to_owned));
        names
    }

    /// Whether a rule asks for the name of a client.
    pub fn asks_client_names(&self) -> bool {
        let session = self.session_acls.iter().map(|acl| &acl.when);
        let command = self.command_acls.iter().map(|acl| &acl.when);
        let mail = self.mail_acls.iter().map(|acl| &acl.when);
        let doc = self.doc_acls.iter().map(|acl| &acl.when);
        session.chain(command).chain(mail).chain(doc).any(|when| when.from.has_patterns())
    }

    /// Every name of a server.
    pub fn server_names(&self) -> BTreeSet<String> {
        let items = self.command_acls.iter().flat_map(|acl| &acl.plug_to);
        items
            .filter_map(|item| match item {
                PlugTo::Name { host, .. } => Some(host.clone()),
                PlugTo::Address(_) => None,
            })
            .collect()
    }

    /// Fills in what the names in lists of hosts and of daemons stand for; those that are missing count as not resolved.
    pub fn settle_names(&mut self, names: &Names) {
        let settle = |when: &mut Conditions| {
            when.from.settle(names);
            when.to.settle(names);
        };
        self.session_acls.iter_mut().for_each(|acl| settle(&mut acl.when));
        self.command_acls.iter_mut().for_each(|acl| settle(&mut acl.when));
        self.mail_acls.iter_mut().for_each(|acl| settle(&mut acl.when));
        self.doc_acls.iter_mut().for_each(|acl| settle(&mut acl.when));
        let engines = self.engines.iter_mut().filter_map(|engine| engine.kind.daemon_mut());
        let filters = self.spam_filters.iter_mut().filter_map(|filter| filter.kind.daemon_mut());
        engines.chain(filters).for_each(|daemon| daemon.settle(names));
    }
}
