//! The start of a child: what it is given, and what of its report is believed.
use super::links::{Outbox, converse, listen_to_log};
use super::{Child, ChildId, Children, FromChild, Group, GroupPlan, Phase};
use ipc::boot::{Boot, Ready, Role, build};
use sandbox::{Jail, Namespace, Spec};
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

impl Children {
    pub(super) fn start(&mut self, index: usize) -> io::Result<()> {
        let Some(group) = self.groups.get(index) else { return Ok(()) };
        let GroupPlan { role, tenant, id: user, lives, limits, .. } = group.plan;
        let (ours, theirs) = ipc::pair()?;
        let (our_log, their_log) = ipc::pair()?;
        let tenant_name = self.tenants.get(usize::from(tenant)).cloned().unwrap_or_default();
        let title = match role {
            Role::Lookup | Role::Keyholder => format!("mailward {role}"),
            Role::Worker | Role::Scanner | Role::Writer => format!("mailward {role} {tenant_name}"),
        };
        let join = group.jail.as_ref().map(Jail::kinds).unwrap_or_default();
        let mut descriptors = group.jail.as_ref().map(Jail::descriptors).unwrap_or_default();
        let directory = match role {
            Role::Writer => Some(crate::quarantine::open_folder(&self.state_dir, &tenant_name, user)?),
            Role::Worker | Role::Scanner | Role::Lookup | Role::Keyholder => None,
        };
        descriptors.extend(directory.as_ref().map(AsFd::as_fd));
        let boot = Boot {
            build: build(),
            role,
            tenant: tenant_name,
            spec: Spec {
                id: user,
                make: if group.jail.is_some() { Vec::new() } else { own_namespaces(role) },
                empty_root: group.jail.is_none(),
                join,
                directory: directory.is_some(),
                network: role == Role::Lookup,
                limits,
                require_all: self.require_all,
                supervisor_pid: std::process::id(),
            },
        };
        // The socket is fresh: there is room, so this does not block.
        ipc::link::send_blocking(ours.as_fd(), &boot, &descriptors).map_err(io::Error::other)?;
        let process = sandbox::spawn(role.name(), &title, theirs, their_log)?;
        // Inherited from us, who are to be taken last; a child is to be taken like any other process.
        let _ = std::fs::write(format!("/proc/{}/oom_score_adj", process.pid), "0");
        let id = ChildId(self.next);
        self.next += 1;
        let (ready, events) = (ours.try_clone()?, self.events.clone());
        let outbox = match role {
            Role::Worker => Outbox::Worker(converse(id, ready, ours, FromChild::Worker, events)),
            Role::Scanner => Outbox::Scanner(converse(id, ready, ours, FromChild::Scanner, events)),
            Role::Lookup => Outbox::Lookup(converse(id, ready, ours, FromChild::Lookup, events)),
            Role::Keyholder => Outbox::Keyholder(converse(id, ready, ours, FromChild::Keyholder, events)),
            Role::Writer => Outbox::Writer(converse(id, ready, ours, FromChild::Writer, events)),
        };
        tokio::task::spawn_local(listen_to_log(id, our_log, self.events.clone()));
        self.living.insert(
            id,
            Child {
                role,
                tenant,
                pid: process.pid,
                phase: Phase::Booting,
                sessions: 0,
                lease: None,
                lives,
                group: index,
                born: Instant::now(),
                process,
                outbox,
            },
        );
        Ok(())
    }

    /// Checks `Ready`: the same build, and as root every wall against `/proc`.
    ///
    /// # Errors
    /// A sentence for the log; the child must die.
    pub(crate) fn check_ready(&mut self, id: ChildId, ready: &Ready) -> Result<(), String> {
        let Some(child) = self.living.get_mut(&id) else { return Ok(()) };
        if child.phase != Phase::Booting {
            return Err("Ready twice".to_owned());
        }
        if ready.build != build() {
            return Err("another build".to_owned());
        }
        if ready.walls.pid != child.pid {
            return Err("reports another process".to_owned());
        }
        if let Some(Group { plan: GroupPlan { id: Some(id), .. }, jail, .. }) = self.groups.get(child.group) {
            if ready.walls.uid != *id || ready.walls.gid != *id {
                return Err("reports another user".to_owned());
            }
            let expected = jail.as_ref().map(Jail::inodes).unwrap_or_default();
            if expected.iter().any(|namespace| !ready.walls.namespaces.contains(namespace)) {
                return Err("is not in the namespaces of its role".to_owned());
            }
            sandbox::verify(child.pid, &ready.walls).map_err(|differences| differences.join("; "))?;
        }
        if self.require_all && !ready.walls.missing.is_empty() {
            return Err(format!("walls are missing: {}", ready.walls.missing.join("; ")));
        }
        child.phase = match child.role {
            Role::Scanner | Role::Keyholder | Role::Writer => Phase::Preparing,
            Role::Worker | Role::Lookup => Phase::Serving,
        };
        Ok(())
    }
}

/// What each role has of its own, in the order of joining: the root last, while names can still be looked up. Lookup
/// needs the network.
pub(super) fn namespaces(role: Role) -> Vec<Namespace> {
    let mut kinds = vec![Namespace::Ipc, Namespace::Uts, Namespace::Mount];
    if role != Role::Lookup {
        kinds.insert(0, Namespace::Network);
    }
    kinds
}

/// Without root, namespaces are made by the child itself, where the kernel lets a user do so. Lookup needs the network.
fn own_namespaces(role: Role) -> Vec<Namespace> {
    let mut make = vec![Namespace::User];
    make.extend(namespaces(role));
    make
}
