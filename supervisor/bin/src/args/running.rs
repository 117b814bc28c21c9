//! The commands about a service that runs, and about what it keeps: sessions, the quarantine, allowed viruses, a reload.
use super::Config;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

pub(super) const ALLOW_EXAMPLES: &str = "\
Examples:
  mailward quarantine show 4f6e3c2a9d10                  what was found, by which engine
  mailward allow add 4f6e3c2a9d10                        it is none
  mailward allow add 4f6e3c2a9d10 --for 30d              until the signatures are corrected
  mailward allow add SHA256 --virus Win.Test.Example     a mail that the quarantine does not have
  mailward allow list
  mailward allow remove 4f6e3c2a9d10

Exit status: 0 done; 1 nothing was changed, and why; 2 the command line is wrong; 3 the service does not answer.";

pub(super) const KICK_EXAMPLES: &str = "\
Examples:
  mailward sessions --user alice@example.net     the numbers of her sessions
  mailward kick 0000002a 0000002b                end two of them
  mailward kick --user alice@example.net         end all of them
  mailward kick --client 192.0.2.0/24 --tenant acme

Exit status: 0 they end; 1 there is no such session, or one of several numbers is none; 2 the command line is wrong;
3 the service does not answer.";

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// Every mail: case, when it came last, octets, whose it is, what was found.
    List(Where),
    /// All that is known of one.
    Show(Case),
    /// Write one to a file, as it came: with whatever was found in it.
    Export(Export),
    /// Delete one for good. Where a client has not deleted it on the server, it cannot until the mail is kept again.
    Delete(Case),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Allow {
    /// Allow a virus in a mail.
    ///
    /// A case of the quarantine needs no more: the mail and the virus are known there. Where several viruses were found, or the
    /// quarantine does not have the mail, --virus names what is none. A mail that was served as a notice stays one under its UID:
    /// its user gets the original as a new message, which then passes.
    Add(AllowAdd),
    /// What is allowed: case, until when, tenant, virus, since when and by whom.
    List(AllowList),
    /// Allow it no more. What passed meanwhile is not called back.
    Remove(AllowRemove),
}

#[derive(Debug, Args)]
pub(crate) struct Sessions {
    #[command(flatten)]
    pub(crate) which: WhichSessions,
    #[command(flatten)]
    pub(crate) service: Service,
    /// Print JSON, an object on a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["session", "user", "tenant", "client"])))]
pub(crate) struct Kick {
    /// Their numbers, as `mailward sessions` and the log have them; leading zeros may be left out.
    #[arg(value_name = "SESSION", value_parser = number, conflicts_with_all = ["user", "tenant", "client"])]
    pub(crate) session: Vec<String>,
    #[command(flatten)]
    pub(crate) which: WhichSessions,
    #[command(flatten)]
    pub(crate) service: Service,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Sessions of which all of this is true.
#[derive(Debug, Args)]
pub(crate) struct WhichSessions {
    /// Whose client logged in by this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Of this tenant.
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Of this client: an address, or a network such as 192.0.2.0/24.
    #[arg(long, value_name = "ADDRESS|NETWORK")]
    pub(crate) client: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AllowAdd {
    #[command(flatten)]
    pub(crate) mail: WhichMail,
    /// For how long, as in 12h or 30d; for good without it.
    #[arg(long = "for", value_name = "DURATION", value_parser = period)]
    pub(crate) period: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct AllowRemove {
    #[command(flatten)]
    pub(crate) mail: WhichMail,
}

#[derive(Debug, Args)]
pub(crate) struct AllowList {
    /// In whose mails.
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    #[command(flatten)]
    pub(crate) service: Service,
    /// Print JSON, an object on a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A mail, and viruses in it.
#[derive(Debug, Args)]
pub(crate) struct WhichMail {
    /// The case, as notices and the log name it, or the SHA-256 of the mail.
    #[arg(value_name = "CASE|SHA256")]
    pub(crate) mail: String,
    /// The virus, by the name that the log has; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) virus: Vec<String>,
    /// Whose mail, where there are several tenants.
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    #[command(flatten)]
    pub(crate) service: Service,
    /// The state directory, if the configuration cannot be read.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl WhichMail {
    /// Where the quarantine is.
    pub(crate) fn place(&self) -> Where {
        let file = Config { config: self.service.file.config.clone() };
        Where { file, state_dir: self.state_dir.clone(), json: self.json }
    }
}

fn period(text: &str) -> Result<Duration, String> {
    let period = policy::parse_duration(text).filter(|period| *period >= Duration::from_secs(1));
    period.ok_or_else(|| "a duration such as 90m, 12h or 30d".to_owned())
}

/// A session's number as the log writes it.
fn number(text: &str) -> Result<String, String> {
    let number = u64::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'));
    number.map(|number| format!("{number:08x}")).ok_or_else(|| "a number such as 0000002a".to_owned())
}

/// The service that is asked.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// Where its control socket is named.
    #[command(flatten)]
    pub(crate) file: Config,
    /// The control socket, if the configuration cannot be read.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// Where the state directory is named.
    #[command(flatten)]
    pub(crate) file: Config,
    /// The state directory, if the configuration cannot be read.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print JSON, an object on a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Case {
    /// The case, as notices and the log name it, or the SHA-256 of the mail.
    #[arg(value_name = "CASE")]
    pub(crate) case: String,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) case: Case,
    /// Where to write it; it must not be there.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) service: Service,
    /// Let sessions stay under the rules that they are under, even if these would not let them in any more.
    #[arg(long)]
    pub(crate) keep_sessions: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
