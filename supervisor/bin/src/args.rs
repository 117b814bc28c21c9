//! The command line. `--help`, the man pages and the completions are made from this file and from `args/`.
mod running;

pub(crate) use running::{
    Allow, AllowAdd, AllowList, AllowRemove, Case, Export, Kick, Quarantine, Reload, Service, Sessions,
    Where, WhichMail, WhichSessions,
};

use crate::test::Question;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// Where the configuration is unless `--config` says otherwise.
const DEFAULT_CONFIG: &str = "/etc/mailward/mailward.toml";

const EXAMPLES: &str = "\
Examples:
  mailward init                         write the first configuration
  mailward demo                         see it work, on loopback only
  mailward check -c mailward.toml       find every error in a configuration
  mailward test --from 10.1.2.3         what would happen to this client
  mailward run -c mailward.toml         serve until SIGTERM or SIGINT
  mailward reload                       apply a changed configuration
  mailward allow add 4f6e3c2a9d10       let a false positive pass
  mailward sessions                     who is connected
  mailward kick 2a                      end a session

Exit status:
  0  all is well
  1  the configuration is wrong (each error names file, line and remedy)
  2  the command line is wrong
  3  the service cannot start or cannot go on
  4  the demonstration broke a promise, or an expectation was not met";

/// POP3 and IMAP security proxy: nothing reaches a mail client that was not scanned.
#[derive(Debug, Parser)]
#[command(name = "mailward", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGTERM or SIGINT.
    ///
    /// Binds the listeners, installs NAT redirections, starts the confined workers, scanners and lookup, and logs to
    /// standard error: as text on a terminal, as JSON otherwise. Redirections are removed when it ends, however it
    /// ends. As root every role gets a uid, namespaces and an empty root of its own; as an ordinary user it runs with
    /// the walls that a user can build and says which are missing.
    Run(Run),
    /// Write the first configuration.
    ///
    /// Looks for clamd, rspamd, certificates and a mail server on this machine, asks at most four questions, and writes a
    /// short commented file. It never overwrites one. Flags answer questions beforehand; without a terminal nothing is asked.
    Init(Init),
    /// Find every error in a configuration, without the network.
    ///
    /// Prints all errors and warnings at once, each with file, line, column and remedy.
    #[command(short_flag = 't')]
    Check(Check),
    /// Ask what would happen, before it does.
    ///
    /// Walks all phases of the policy for the client, user, time and mail of the question, and prints for each the rules
    /// tried, the condition that failed, the rule that matched and what follows. With --mail a real scanner judges the
    /// mail in its sandbox, with the engines of the policy. With --file a file of expectations is run like a test suite.
    Test(Box<Test>),
    /// Show the rules, the configuration or its hash, as they take effect.
    ///
    /// Included files are merged and the shipped rules stand after one's own, as the TOML that they are. The hash is of
    /// what takes effect: comments, the order of items and the cut into files do not change it.
    Show(Show),
    /// Apply a changed configuration to the running service.
    ///
    /// The service reads and checks the configuration that it was started with; if anything is wrong, nothing changes and
    /// the errors are printed here. Mail rules, engines and limits apply from the next mail of every session; sessions that
    /// the rules deny now are ended in their protocol. SIGHUP does the same.
    Reload(Reload),
    /// The originals of mails that were served changed.
    ///
    /// Works on the directory of the quarantine, as root, whether the service runs or not. What is known of a mail is shown;
    /// the mail itself is only written to a file that you name.
    Quarantine {
        #[command(subcommand)]
        command: Quarantine,
    },
    /// Let a mail pass in which a virus was found that is none.
    ///
    /// For false positives. That mail, octet for octet, is judged from now on as if the virus of that name had not been found in
    /// it. Whatever else is found counts as ever: viruses of other names, whichever engine names them, and every other status.
    /// The service that runs does it at once, keeps it over restarts, and logs who asked, and each mail that passes by it.
    #[command(after_help = running::ALLOW_EXAMPLES)]
    Allow {
        #[command(subcommand)]
        command: Allow,
    },
    /// The sessions that there are, oldest first.
    ///
    /// For each its number (the log has it too), how long it has been there, the client, by which name it logged in, tenant and
    /// listener, and the server. The running service is asked.
    Sessions(Sessions),
    /// End sessions, by number or by what they have in common.
    ///
    /// Each ends in its protocol: its client reads `* BYE` or `-ERR`, then the connection closes, and the log says `kicked`. A session
    /// that has not ended after five seconds has its connections cut by the kernel; a worker that still holds it after five more is
    /// ended with all of its sessions. Nothing keeps the client from coming back: for that a rule must deny it (mailward reload).
    #[command(after_help = running::KICK_EXAMPLES)]
    Kick(Kick),
    /// Look at TLS of a server.
    Tls {
        #[command(subcommand)]
        command: TlsCommand,
    },
    /// See it work: a sample mailbox, Mailward in front of it, and a client.
    ///
    /// Needs no network, no engine and no file outside a temporary directory. Stays up until Ctrl-C, so that you can
    /// connect your own client.
    Demo {
        /// End after the story; the status is 0 only if every mail met its promise.
        #[arg(long)]
        once: bool,
    },
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Write the man pages into a directory, by their sections: man1 and man5.
    Man {
        /// Where, such as /usr/local/share/man; it must exist.
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    /// Say what a server offers, and whether the configuration would take it.
    ///
    /// Shakes hands with each version of TLS and shows the certificates, with names and dates. Then it shakes hands as the
    /// service would; the status is 0 if that server is taken, else 1.
    Probe(Probe),
}

/// The protocol whose clear-text beginning leads to TLS.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum StartTls {
    /// STLS (RFC 2595).
    Pop3,
    /// STARTTLS (RFC 9051).
    Imap,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The server: `mail.example.net:995`, `[2001:db8::1]:995`.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) server: String,
    /// Ask for TLS in this protocol first.
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) starttls: Option<StartTls>,
    /// The configuration with the server-tls that is asked about.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Which of its server-tls.
    #[arg(long, value_name = "NAME", default_value = "system", requires = "config")]
    pub(crate) server_tls: String,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) file: Config,
    /// Ask the network too: look up every name of a server or host.
    #[arg(long)]
    pub(crate) resolve: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) file: Config,
    /// The mail server: a name or an address, with a port if that is not the usual one.
    #[arg(long, value_name = "HOST")]
    pub(crate) server: Option<String>,
    /// Networks whose clients may connect; may be given several times.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) clients: Vec<String>,
    /// Where clients connect: "*:993", "*:995"; may be given several times. Ports that end in 143 or 993 are for IMAP, in
    /// 110 or 995 for POP3.
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    pub(crate) listen: Vec<String>,
    /// The certificate to show to clients, PEM with the chain.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Where clamd listens, if it is not where it usually is.
    #[arg(long, value_name = "PATH|ADDRESS:PORT")]
    pub(crate) clamd: Option<String>,
    /// Ask nothing: take what was found.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the file instead of writing it.
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// What to show.
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) file: Config,
    /// With config: fill in every default.
    #[arg(long)]
    pub(crate) defaults: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `show` shows.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum What {
    /// The rules of all phases.
    Rules,
    /// The whole configuration.
    Config,
    /// A hash of it.
    Hash,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    #[command(flatten)]
    pub(crate) file: Config,
    /// A file of expectations: [[test]] tables with a name, the question, and expect = { outcome, session-acl, ... }.
    #[arg(long = "file", value_name = "FILE", conflicts_with = "from")]
    pub(crate) expectations: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) question: Question,
    /// Print JSON, an object on a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Permit what only a demonstration may do.
    #[arg(long, hide = true)]
    pub(crate) demo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) file: Config,
    /// Report processes and walls as JSON lines on this descriptor: 1 is standard output.
    #[arg(long, hide = true, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=1))]
    pub(crate) report_fd: Option<u8>,
    /// Permit what only a demonstration may do: the test signature as the only engine.
    #[arg(long, hide = true)]
    pub(crate) demo: bool,
}
