//! One JSON line for each child that is ready and one when the service listens, for whoever started it (the demo).
use ipc::boot::Role;
use sandbox::Walls;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// A line of the report.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    /// A child confined itself; as root its walls were checked against `/proc`.
    Ready { role: &'a str, tenant: &'a str, pid: u32, walls: &'a Walls },
    /// Clients can connect.
    Listening { addresses: &'a [SocketAddr] },
}

/// Where the report goes; nobody may have asked for it.
#[derive(Debug)]
pub(crate) struct Report {
    file: Option<File>,
}

impl Report {
    pub(crate) fn new(file: Option<OwnedFd>) -> Self {
        Self { file: file.map(File::from) }
    }

    /// A child confined itself.
    pub(crate) fn ready(&mut self, role: Role, tenant: &str, walls: &Walls) {
        self.line(&Line::Ready { role: role.name(), tenant, pid: walls.pid, walls });
    }

    /// Clients can connect to these addresses.
    pub(crate) fn listening(&mut self, addresses: &[SocketAddr]) {
        self.line(&Line::Listening { addresses });
    }

    fn line(&mut self, line: &Line<'_>) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_string(line).is_ok_and(|text| writeln!(file, "{text}").is_ok());
        if !written {
            // Nobody reads any more.
            self.file = None;
        }
    }
}
