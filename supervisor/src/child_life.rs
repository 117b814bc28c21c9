//! The life of a child as the supervisor sees it: it confined itself and gets what its role needs, it speaks, it breaks the
//! contract and is killed, it is lost, its place is filled. What children say is handled where it belongs.
//!
//! # Security
//! Whatever a child says is hostile input. The penalty is that child's life, never the supervisor's.
use crate::children::{ChildId, Death, FromChild};
use crate::event_loop::Supervisor;
use ipc::boot::{Ready, Role};
use ipc::link::LinkError;
use ipc::log::Level;
use ipc::supervisor_lookup::ToLookup;

impl Supervisor {
    pub(crate) fn child_did(&mut self, id: ChildId, what: FromChild) {
        match what {
            FromChild::Ready(ready) => self.ready(id, &ready),
            FromChild::Worker(message) => self.worker_said(id, message),
            FromChild::Scanner(message) => self.scanner_said(id, message),
            FromChild::Lookup(message) => self.lookup_said(id, message),
            FromChild::Keyholder(message) => self.keyholder_said(id, message),
            FromChild::Writer(message) => self.writer_said(id, message),
            FromChild::Log(event) => {
                if let Some(child) = self.children.get(id) {
                    let tenant = self.policy.tenants.get(usize::from(child.tenant)).map_or("", |name| name);
                    self.journal.child_event(child.role, tenant, child.pid, &event);
                }
            }
            FromChild::Lost(error) => self.lost(id, &error),
        }
    }

    /// A child confined itself: it is checked, and gets what its role needs to begin.
    fn ready(&mut self, id: ChildId, ready: &Ready) {
        if let Err(why) = self.children.check_ready(id, ready) {
            if !self.announced {
                self.fatal = Some(format!("a child cannot be confined: {why}"));
            }
            self.condemn(id, &why);
            return;
        }
        let Some(child) = self.children.get(id) else { return };
        let (role, tenant) = (child.role, child.tenant);
        for wall in &ready.walls.missing {
            if !self.missing_walls.contains(wall) {
                self.missing_walls.push(wall.clone());
            }
        }
        let tenant_name = self.policy.tenants.get(usize::from(tenant)).map_or("", |name| name);
        self.report.ready(role, tenant_name, &ready.walls);
        let generation = self.generation;
        let begun = match role {
            Role::Worker => self.slices.prepare_worker(&mut self.children, id, tenant, generation),
            Role::Scanner => self.slices.prepare_scanner(&mut self.children, id, tenant, generation),
            Role::Lookup => self.prepare_lookup(id),
            Role::Keyholder => self.prepare_keyholder(id),
            Role::Writer => self.prepare_writer(id),
        };
        if !begun {
            self.condemn(id, "cannot be given its policy");
            return;
        }
        match role {
            Role::Worker => {
                self.join_keyholder(id);
                self.join_writer(id);
                self.seat_waiting(tenant);
            }
            Role::Scanner | Role::Keyholder | Role::Writer => {}
            Role::Lookup => {
                self.ask_again();
                self.ask_names_again();
            }
        }
        self.announce();
    }

    pub(crate) fn prepare_lookup(&mut self, id: ChildId) -> bool {
        let generation = self.generation;
        let Some((fd, len)) = self.slices.lookup() else { return false };
        let mut begun = self.children.tell_lookup(id, ToLookup::Policy { generation, len }, vec![fd]);
        for (path, message) in [("/etc/resolv.conf", ToLookup::ResolvConf), ("/etc/hosts", ToLookup::Hosts)] {
            match std::fs::File::open(path) {
                Ok(file) => begun = begun && self.children.tell_lookup(id, message, vec![file.into()]),
                Err(error) => {
                    let fields = [("file", path.to_owned()), ("error", error.to_string())];
                    self.journal.note(Level::Warn, "cannot be read for lookup", &fields);
                }
            }
        }
        begun
    }

    /// Kills a child that broke the contract or is stuck.
    pub(crate) fn condemn(&mut self, id: ChildId, why: &str) {
        if let Some(child) = self.children.get(id) {
            self.killed += 1;
            let fields = [
                ("child", child.role.to_string()),
                ("pid", child.pid.to_string()),
                ("why", ipc::log::printable(why, 512)),
                ("killed-since-start", self.killed.to_string()),
            ];
            self.journal.note(Level::Error, "child killed", &fields);
            self.children.kill(id);
        }
    }

    fn lost(&mut self, id: ChildId, error: &LinkError) {
        let Some(loss) = self.children.lost(id) else { return };
        let (role, pid) = (loss.role, loss.pid);
        match error {
            LinkError::Closed => {}
            LinkError::Full | LinkError::Wire(_) | LinkError::Io(_) => {
                self.killed += 1;
                let fields = [
                    ("child", role.to_string()),
                    ("pid", pid.to_string()),
                    ("why", error.to_string()),
                    ("killed-since-start", self.killed.to_string()),
                ];
                self.journal.note(Level::Error, "child broke the contract and is killed", &fields);
            }
        }
        if loss.alarm {
            let wait = loss.wait.as_millis().to_string();
            let fields = [("child", role.to_string()), ("next-start-in-ms", wait)];
            self.journal.note(Level::Error, "crash loop: a role dies again and again", &fields);
            if loss.booting && !self.announced {
                self.fatal = Some(format!("{role} cannot start; its messages are above"));
            }
        }
        match role {
            Role::Worker => self.worker_lost(id),
            Role::Scanner => self.scanner_lost(id, loss.lease),
            Role::Lookup => self.lookup_lost(),
            Role::Keyholder => {
                self.journal.note(
                    Level::Error,
                    "the keyholder is lost; handshakes wait for its replacement",
                    &[],
                );
            }
            Role::Writer => {
                self.journal.note(
                    Level::Error,
                    "the writer is lost; originals are not kept until its replacement is there",
                    &[],
                );
            }
        }
        self.reap();
        self.fill();
    }

    /// Starts the children that are missing.
    pub(crate) fn fill(&mut self) {
        for (role, error) in self.children.fill() {
            let fields = [("child", role.to_string()), ("error", error.to_string())];
            self.journal.note(Level::Error, "cannot start a child", &fields);
        }
    }

    pub(crate) fn reap(&mut self) {
        self.keep_redirection();
        for Death { role, tenant, pid, how, expected } in self.children.reap() {
            let quiet = expected && (how == "exit status 0" || how == "killed by SIGKILL");
            let tenant = self.policy.tenants.get(usize::from(tenant)).cloned().unwrap_or_default();
            let fields =
                [("child", role.to_string()), ("tenant", tenant), ("pid", pid.to_string()), ("how", how)];
            self.journal.note(if quiet { Level::Debug } else { Level::Warn }, "child ended", &fields);
        }
    }
}
