//! `[antivirus.NAME]` and `[antispam.NAME]`: who is asked about a mail, and where they are. Plain data; read by the
//! supervisor, which dials, and by scanners, which ask.
use crate::host::Names;
use crate::model::HeaderMatch;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Descriptors of one lease (`ipc`): the worker's pair, and a connection to each daemon.
pub const MOST_DAEMONS: usize = 15;

/// One `[antivirus.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// NAME.
    pub name: String,
    /// Its type and settings.
    pub kind: EngineKind,
    /// `timeout`: absolute, per mail.
    pub timeout: Duration,
}

/// The type of an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineKind {
    /// Runs inside the scanner.
    Builtin {
        /// "builtin:test" or paths of files and directories.
        signatures: Vec<String>,
    },
    /// ClamAV's daemon.
    Clamd(Outside),
    /// A service that speaks ICAP (RFC 3507).
    Icap {
        /// The daemon.
        outside: Outside,
        /// `url` as it was written: what is asked for.
        url: String,
    },
}

/// An engine in a process that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Where.
    pub daemon: Daemon,
    /// `max-size`: octets, `None` is probed.
    pub max_size: Option<u64>,
    /// `ignore`: virus names that do not count, with `*`.
    pub ignore: Vec<String>,
}

/// One `[antispam.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpamFilter {
    /// NAME.
    pub name: String,
    /// Its type and settings.
    pub kind: SpamKind,
    /// `timeout`: absolute, per mail.
    pub timeout: Duration,
    /// `max-size`: larger mail is not asked about.
    pub max_size: u64,
}

/// The type of a spam filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpamKind {
    /// Runs inside the scanner: rules about header fields, and the test mail of all spam filters (GTUBE).
    Builtin {
        /// `rules`.
        rules: Vec<SpamRule>,
    },
    /// rspamd's worker, over HTTP.
    Rspamd {
        /// Where.
        daemon: Daemon,
        /// Host and port as they were written, for the request.
        host: String,
    },
    /// SpamAssassin's daemon.
    Spamd {
        /// Where.
        daemon: Daemon,
    },
}

/// One of `rules`: points for a header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpamRule {
    /// `name` and `match`.
    pub field: HeaderMatch,
    /// What the log calls it.
    pub symbol: String,
    /// `score`, thousandths of a point.
    pub score: i64,
}

/// A daemon that mails are shown to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Where it listens.
    pub socket: DaemonSocket,
    /// TLS, if it is spoken.
    pub tls: Option<DaemonTls>,
}

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DaemonSocket {
    /// `auto`: clamd's usual places, tried when it is dialled.
    Auto,
    /// A unix socket.
    Path(PathBuf),
    /// Address and port.
    Tcp(SocketAddr),
    /// A host by name.
    Name {
        /// In lower case.
        host: String,
        /// Its port.
        port: u16,
        /// What the name stands for; empty: not known yet.
        addresses: Vec<IpAddr>,
    },
}

/// TLS towards a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonTls {
    /// The name, or address, that its certificate must have.
    pub name: String,
    /// `server-tls`: index into the policy's, whom to trust.
    pub server_tls: u16,
}

impl EngineKind {
    /// The engine's daemon, if it has one.
    pub const fn outside(&self) -> Option<&Outside> {
        match self {
            Self::Builtin { .. } => None,
            Self::Clamd(outside) | Self::Icap { outside, .. } => Some(outside),
        }
    }

    pub(crate) const fn daemon_mut(&mut self) -> Option<&mut Daemon> {
        match self {
            Self::Builtin { .. } => None,
            Self::Clamd(outside) | Self::Icap { outside, .. } => Some(&mut outside.daemon),
        }
    }
}

impl SpamKind {
    /// The filter's daemon, if it has one.
    pub const fn daemon(&self) -> Option<&Daemon> {
        match self {
            Self::Builtin { .. } => None,
            Self::Rspamd { daemon, .. } | Self::Spamd { daemon } => Some(daemon),
        }
    }

    pub(crate) const fn daemon_mut(&mut self) -> Option<&mut Daemon> {
        match self {
            Self::Builtin { .. } => None,
            Self::Rspamd { daemon, .. } | Self::Spamd { daemon } => Some(daemon),
        }
    }
}

impl Daemon {
    /// The name of its host, in lower case, if it has to be looked up.
    pub(crate) fn host_name(&self) -> Option<&str> {
        match &self.socket {
            DaemonSocket::Name { host, .. } => Some(host),
            DaemonSocket::Auto | DaemonSocket::Path(_) | DaemonSocket::Tcp(_) => None,
        }
    }

    /// Fills in what its name stands for.
    pub(crate) fn settle(&mut self, names: &Names) {
        if let DaemonSocket::Name { host, addresses, .. } = &mut self.socket {
            *addresses = names.get(host).cloned().unwrap_or_default();
        }
    }
}

/// When the signatures of a version were made, in seconds since 1970: "ClamAV 1.4.6/27830/Thu Nov 26 09:31:02 2026". The
/// time is that of the daemon's zone, which it does not say: right to half a day.
pub fn signatures_made(version: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = version.splitn(3, '/').nth(2)?.split_ascii_whitespace().skip(1);
    let month = words.next().and_then(|word| MONTHS.iter().position(|month| *month == word))?;
    let month = i64::try_from(month).ok()? + 1;
    let day: i64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.splitn(3, ':').map(|number| number.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let year: i64 = words.next()?.parse().ok()?;
    if !(1..=31).contains(&day) || !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days from the civil calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_signatures_is_read_and_anything_else_is_no_date() {
        for (version, made) in [
            ("ClamAV 1.4.6/27830/Thu Nov 26 09:31:02 2026", Some(1_795_685_462)),
            ("ClamAV 1.4.6/27830/Thu Jan  1 00:00:00 1970", Some(0)),
            ("ClamAV 0.103.2/26100/Sat Feb 29 12:00:00 2020", Some(1_582_977_600)),
            ("ClamAV 1.4.6", None),
            ("ClamAV 1.4.6/27830/", None),
            ("ClamAV 1.4.6/27830/Thu Nov 99 09:31:02 2026", None),
            ("ClamAV 1.4.6/27830/Thu Foo 26 09:31:02 2026", None),
            ("ClamAV 1.4.6/27830/Thu Nov 26 09:31 2026", None),
        ] {
            assert_eq!(signatures_made(version), made, "{version}");
        }
    }
}
