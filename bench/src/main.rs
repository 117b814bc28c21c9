//! Loads Mailward and the peers that Debian has, in turn, with one load generator, and prints ratios: absolute
//! figures drift from machine to machine, ratios within one run do not. Every octet of every mail is verified.
#![forbid(unsafe_code)]

mod auth_http;
mod backend;
mod canned_imap;
mod load;
mod mail;
mod measure;
mod peers;
mod rows;
mod rules;
mod scan_ref;
mod scanned;
mod scanner;
mod tls;

use clap::{Parser, Subcommand};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

/// Side-by-side measurements of Mailward and its peers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The release build to measure.
    #[arg(long, default_value = "target/release/mailward")]
    mailward: PathBuf,
    /// Seconds of one load.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Rounds of every measurement; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only the measurements whose name contains this (storm, dovecot, bulk, latency, idle, session, scan, scanner, rules, tls, imap).
    #[arg(long)]
    only: Option<String>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The canned backend (started by the bench itself).
    #[command(hide = true)]
    Backend {
        listen: SocketAddr,
        mails: usize,
        octets: usize,
        /// Speak IMAP.
        #[arg(long)]
        imap: bool,
        /// Behind TLS, with this certificate and key.
        #[arg(num_args = 2)]
        pair: Vec<PathBuf>,
    },
    /// The scanning reference relay (started by the bench itself).
    #[command(hide = true)]
    ScanRef { listen: SocketAddr, server: SocketAddr, clamd: PathBuf },
    /// nginx's auth_http (started by the bench itself).
    #[command(hide = true)]
    AuthHttp { listen: SocketAddr, server: SocketAddr },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            match arguments.part {
                None => {
                    let settings = rows::Settings {
                        binary: arguments.mailward.clone(),
                        time: std::time::Duration::from_secs(arguments.seconds),
                        rounds: arguments.rounds,
                        only: arguments.only.clone(),
                    };
                    rows::run(&settings).await
                }
                Some(Part::Backend { listen, mails, octets, imap, pair }) => {
                    let protocol = if imap { load::Protocol::Imap } else { load::Protocol::Pop3 };
                    let tls = match pair.as_slice() {
                        [cert, key] => Some(tls::acceptor(cert, key)?),
                        _ => None,
                    };
                    let mails = (0..mails).map(|seed| mail::Mail::new(octets, seed as u64 + 1)).collect();
                    backend::serve(listen, protocol, Rc::new(mails), tls).await
                }
                Some(Part::ScanRef { listen, server, clamd }) => scan_ref::serve(listen, server, clamd).await,
                Some(Part::AuthHttp { listen, server }) => auth_http::serve(listen, server).await,
            }
        })
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailward-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
